//! A payer may move the money before it is captured: that costs the operator what was configured and
//! no more, and from then on such a payer pays beforehand.

use super::{approve, charged, good, offer, pay, payer_calls};
use crate::harness::{Answer, Payer, Setup, Stack, chat, until};
use alloy::primitives::{Address, U256};
use futures::future::join_all;
use futures::{StreamExt, stream};
use groat::chain::bindings::{IErc20, IPermit2};
use groat::protocol::addresses::PERMIT2;
use groat::protocol::x402::PaymentRequired;
use reqwest::StatusCode;

/// What a payer may owe in these tests: this many calls.
pub(super) const CALLS: usize = 4;

/// Calls that a payer of bad will makes in all.
const ATTEMPTS: usize = 1_000;

async fn strict() -> Stack {
    let stack = Stack::with(Setup {
        models: vec![("slow", "sim/small?tps=16")],
        payment: "rails = [\"exact\", \"upto\"]",
        chain: "[exposure]\npayer_calls = 4",
        ..Setup::default()
    })
    .await;
    approve(&stack, U256::MAX).await;
    stack
}

/// How a payer takes the money away between the answer and its settlement.
#[derive(Debug, Clone, Copy)]
pub(super) enum Trick {
    Drain,
    BurnNonces,
    Revoke,
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_13_a_payer_who_drains_the_wallet_costs_no_more_than_configured() {
    cheated(Trick::Drain).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_13_a_payer_who_burns_the_nonces_costs_no_more_than_configured() {
    cheated(Trick::BurnNonces).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_13_a_payer_who_revokes_the_allowance_costs_no_more_than_configured() {
    cheated(Trick::Revoke).await;
}

async fn cheated(trick: Trick) {
    let stack = strict().await;
    let bodies: Vec<String> = (0..CALLS)
        .map(|n| chat("slow", &format!("question {n}"), true))
        .collect();
    let mut payments = Vec::new();
    for body in &bodies {
        payments.push(good(&stack.payer, body).await);
    }
    // Headers leave only with the first byte: all are held, none is captured.
    let asked = bodies.iter().zip(&payments).map(|(body, payment)| {
        let request = stack.payer.post(body).header("payment-signature", payment);
        request.send()
    });
    let begun: Vec<_> = join_all(asked).await.into_iter().flatten().collect();
    assert!(begun.iter().all(|answer| answer.status() == StatusCode::OK));
    assert_eq!(begun.len(), CALLS);
    let beyond = pay(&stack.payer, &chat("m", "one more", false)).await;
    assert_eq!(
        (beyond.status, beyond.reason().as_str()),
        (StatusCode::PAYMENT_REQUIRED, "unsettled_limit_reached"),
        "{beyond:?}"
    );
    play(&stack, trick, &payments).await;
    for answer in begun {
        answer.text().await.expect("the whole answer");
    }
    until("every settlement has failed", || async {
        (metric(&stack, "groat_losses_total").await == CALLS as u64).then_some(())
    })
    .await;
    let lost = metric(&stack, "groat_lost_units_total").await;
    assert!(lost > 0);

    restore(&stack, trick).await;
    let refused = stream::iter(CALLS..ATTEMPTS).map(|n| {
        let payer = &stack.payer;
        let body = chat("m", &format!("question {n}"), false);
        async move { pay(payer, &body).await }
    });
    let refused: Vec<Answer> = refused.buffer_unordered(16).collect().await;
    for answer in &refused {
        assert_eq!(answer.status, StatusCode::PAYMENT_REQUIRED, "{answer:?}");
        assert_eq!(answer.reason(), "prepaid_payment_required");
    }
    let again = refused[0].header("payment-required").expect("offers");
    let again = PaymentRequired::from_header(again).expect("a challenge");
    let schemes: Vec<&str> = again.accepts.iter().map(|o| o.scheme.as_str()).collect();
    assert_eq!(schemes, ["exact"], "what is paid beforehand");
    assert_eq!(metric(&stack, "groat_losses_total").await, CALLS as u64);
    assert_eq!(metric(&stack, "groat_lost_units_total").await, lost);
    assert_eq!(stack.seen().await.total, CALLS as u64);

    let prepaid = stack.payer.pay(&chat("m", "prepaid", false)).await;
    assert_eq!(prepaid.status, StatusCode::OK, "{}", prepaid.body);
    let another = other_payer(&stack).await;
    let served = pay(&another, &chat("m", "another's", false)).await;
    assert_eq!(served.status, StatusCode::OK, "{}", served.body);
    stack.reconcile().await;
}

pub(super) async fn play(stack: &Stack, trick: Trick, payments: &[String]) {
    match trick {
        Trick::Drain => {
            let account = stack.payer.key.address();
            let value = super::balance(stack, account).await;
            let to = Address::repeat_byte(0xee);
            let drain = groat::chain::bindings::IEip3009Token::transferCall { to, value };
            payer_calls(stack, stack.asset, drain).await;
        }
        Trick::Revoke => approve(stack, U256::ZERO).await,
        Trick::BurnNonces => {
            for payment in payments {
                let nonce = nonce(payment);
                let burn = IPermit2::invalidateUnorderedNoncesCall {
                    wordPos: nonce >> 8,
                    mask: U256::MAX,
                };
                payer_calls(stack, PERMIT2, burn).await;
            }
        }
    }
}

/// The wallet looks good again: only the ledger remembers.
pub(super) async fn restore(stack: &Stack, trick: Trick) {
    match trick {
        Trick::Drain => {
            let payer = stack.payer.key.address();
            let funds = U256::from(groat::chain::dev::PAYER_FUNDS);
            let minted = stack.chain.mint(stack.asset, payer, funds).await;
            minted.expect("money again");
        }
        Trick::Revoke => approve(stack, U256::MAX).await,
        Trick::BurnNonces => {}
    }
}

fn nonce(payment: &str) -> U256 {
    use base64::Engine;
    let json = base64::engine::general_purpose::STANDARD.decode(payment);
    let json: serde_json::Value = serde_json::from_slice(&json.expect("base64")).expect("JSON");
    let nonce = json["payload"]["permit2Authorization"]["nonce"].as_str();
    nonce.expect("a nonce").parse().expect("a number")
}

async fn other_payer(stack: &Stack) -> Payer {
    let wallet = alloy::signers::local::PrivateKeySigner::random();
    let secret = format!("{:#x}", wallet.to_bytes());
    let key = groat::protocol::signature::Key::from_hex(&secret).expect("a key");
    let funds = U256::from(1_000_000);
    let minted = stack.chain.mint(stack.asset, wallet.address(), funds).await;
    minted.expect("tokens");
    let approve = IErc20::approveCall {
        spender: PERMIT2,
        value: U256::MAX,
    };
    let approve = alloy::sol_types::SolCall::abi_encode(&approve).into();
    let chain = &stack.chain;
    let approved = chain.send_as(wallet.address(), stack.asset, approve).await;
    approved.expect("an approval");
    Payer {
        key,
        ..stack.payer.clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_13_calls_sent_all_at_once_owe_no_more_than_one_after_another() {
    let stack = strict().await;
    let bodies: Vec<String> = (0..24)
        .map(|n| chat("slow", &format!("question {n}"), false))
        .collect();
    let paid = bodies.iter().map(|body| good(&stack.payer, body));
    let payments = join_all(paid).await;
    let sent = bodies.iter().zip(&payments);
    let answers = join_all(sent.map(|(body, payment)| stack.payer.send(body, payment))).await;
    let answers: Vec<Answer> = answers.into_iter().flatten().collect();
    let served = answers.iter().filter(|a| a.status == StatusCode::OK);
    assert_eq!(served.count(), CALLS, "as many as may be owed");
    let refused = answers.iter().filter(|a| a.status != StatusCode::OK);
    for answer in refused {
        assert_eq!(answer.reason(), "unsettled_limit_reached", "{answer:?}");
    }
    stack.reconcile().await;
    let next = pay(&stack.payer, &chat("m", "when all is settled", false)).await;
    assert_eq!(next.status, StatusCode::OK, "{}", next.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_13_an_allowance_is_promised_once() {
    let stack = Stack::with(Setup {
        models: vec![("slow", "sim/small?tps=16")],
        ..Setup::default()
    })
    .await;
    let bodies: Vec<String> = (10..16)
        .map(|n| chat("slow", &format!("question {n}"), false))
        .collect();
    let ceiling = {
        let required = stack.payer.challenge(&bodies[0]).await;
        offer(&required).amount.atomic()
    };
    approve(&stack, U256::from(ceiling * 2)).await;
    let payments = join_all(bodies.iter().map(|body| good(&stack.payer, body))).await;
    let sent = bodies.iter().zip(&payments);
    let answers = join_all(sent.map(|(body, payment)| stack.payer.send(body, payment))).await;
    let answers: Vec<Answer> = answers.into_iter().flatten().collect();
    let served: Vec<_> = answers.iter().filter(|a| a.status == 200).collect();
    assert_eq!(served.len(), 2, "two ceilings are allowed");
    for answer in answers.iter().filter(|a| a.status != 200) {
        assert_eq!(answer.reason(), "permit2_allowance_required", "{answer:?}");
    }
    let report = stack.reconcile().await;
    let bills: u64 = served.iter().map(|answer| charged(answer)).sum();
    assert_eq!(report["totals"][0]["settled"], bills, "{report}");
    assert_eq!(metric(&stack, "groat_losses_total").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_13_a_restart_forgets_nothing_that_is_owed() {
    let mut stack = strict().await;
    let node = &stack.chain.rpc;
    let off = node.request::<_, serde_json::Value>("evm_setAutomine", (false,));
    off.await.expect("no mining");
    for n in 0..CALLS {
        let answer = pay(&stack.payer, &chat("m", &format!("question {n}"), false)).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    }
    for place in ["before", "after"] {
        let beyond = pay(&stack.payer, &chat("m", "one more", false)).await;
        assert_eq!(
            (beyond.status, beyond.reason().as_str()),
            (StatusCode::PAYMENT_REQUIRED, "unsettled_limit_reached"),
            "{place} the restart: {beyond:?}"
        );
        stack.gateway.kill_9().await;
        stack.gateway.start("").await;
    }
    let on = stack
        .chain
        .rpc
        .request::<_, serde_json::Value>("evm_setAutomine", (true,));
    on.await.expect("mining");
    let mine = stack
        .chain
        .rpc
        .request::<_, serde_json::Value>("evm_mine", ());
    mine.await.expect("a block");
    let report = stack.reconcile().await;
    assert_eq!(report["calls"], CALLS);
    let next = pay(&stack.payer, &chat("m", "when all is settled", false)).await;
    assert_eq!(next.status, StatusCode::OK, "{}", next.body);
    stack.reconcile().await;
}

/// A counter of the gateway, over all its labels.
pub(super) async fn metric(stack: &Stack, name: &str) -> u64 {
    let url = format!("{}/metrics", stack.payer.url);
    let answer = stack.payer.client.get(url).bearer_auth(&stack.admin_token);
    let text = answer.send().await.expect("an answer").text().await;
    let text = text.expect("the metrics");
    let samples = text.lines().filter(|line| line.starts_with(name));
    let values = samples.filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok());
    values.sum()
}
