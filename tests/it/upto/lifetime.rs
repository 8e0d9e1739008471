//! A payment does not live for ever: its call ends early enough for the settlement to be mined, and what
//! cannot be settled in time is not taken.

use super::{approve, balance};
use crate::faults::{flags, holds, units};
use crate::harness::{Answer, Payer, Setup, Stack, chat, encoded, payload, until};
use alloy::primitives::U256;
use alloy::sol_types::SolCall;
use groat::protocol::permit2::eip2612::{self, Permit, TokenDomain};
use groat::protocol::permit2::{Terms, signed_payload};
use groat::protocol::x402::{PaymentRequired, Requirements};
use reqwest::StatusCode;
use serde_json::{Value, json};

alloy::sol! {
    function nonces(address owner) external view returns (uint256);
}

/// Everything is settled after its answer, at the latest five seconds before its payment expires.
const AFTERWARDS: &str = r#"
rails = ["exact", "exact-permit2", "upto"]
settle = "after"
settle_margin_seconds = 5
"#;

/// Enough for a few words of an answer beside the margin.
const SHORT_S: u64 = 16;

async fn stack(payment: &'static str, settler: bool) -> Stack {
    let stack = Stack::with(Setup {
        models: vec![
            ("endless", "sim/small?tps=1&out=200"),
            ("late", "sim/small?delay=60000"),
        ],
        payment,
        settler,
        ..Setup::default()
    })
    .await;
    approve(&stack, U256::MAX).await;
    stack
}

/// What a payment is made by: the offer's scheme, and how it moves tokens.
type Rail = (&'static str, Option<&'static str>);

const EXACT: Rail = ("exact", None);
const EXACT_PERMIT2: Rail = ("exact", Some("permit2"));
const UPTO: Rail = ("upto", Some("permit2"));

fn offer_of(required: &PaymentRequired, (scheme, method): Rail) -> Requirements {
    let mut offers = required.accepts.iter();
    let found = offers
        .find(|offer| offer.scheme == scheme && offer.extra_text("assetTransferMethod") == method);
    found.expect("an offer").clone()
}

/// A payment of a rail's offer that expires after so many seconds.
async fn living(payer: &Payer, body: &str, rail: Rail, seconds: u64) -> Value {
    let mut required = payer.challenge(body).await;
    let offer = offer_of(&required, rail);
    let expires = groat::clock::now_ms() / 1000 + seconds;
    required.accepts = vec![offer.clone()];
    if rail == EXACT {
        let mut authorization = payer.authorization(&offer);
        authorization.valid_before = U256::from(expires);
        let signature = payer.signature(&offer, &authorization);
        return payload(&required, &authorization, &signature);
    }
    let terms = Terms::of(&offer).expect("terms");
    let nonce = U256::from_be_bytes(rand::random::<[u8; 32]>());
    let authorization = terms.authorization(payer.key.address(), nonce, expires);
    json!({
        "x402Version": 2,
        "resource": required.resource,
        "accepted": offer,
        "payload": signed_payload(&payer.key, &authorization, &terms),
        "extensions": required.extensions,
    })
}

async fn buy(payer: &Payer, body: &str, rail: Rail, seconds: u64) -> Answer {
    let payment = living(payer, body, rail, seconds).await;
    let sent = payer.send(body, &encoded(&payment)).await;
    sent.expect("an answer")
}

/// A call's receipt, once its settlement has an end.
async fn ended(stack: &Stack, call: &str) -> Value {
    until("the settlement has an end", || async {
        let receipt = stack.receipt(call).await;
        (receipt["settlement"]["status"] != "pending").then_some(receipt)
    })
    .await
}

#[tokio::test]
async fn rule_6_a_stream_that_outlives_its_payment_is_ended_billed_and_settled_in_time() {
    let stack = stack(AFTERWARDS, false).await;
    let payee = stack.chain.pay_to_key.address();
    let body = |n: usize| chat("endless", &format!("question {n}"), true);
    let bodies: Vec<String> = (0..3).map(body).collect();
    let (exact, permit2, upto) = tokio::join!(
        buy(&stack.payer, &bodies[0], EXACT, SHORT_S),
        buy(&stack.payer, &bodies[1], EXACT_PERMIT2, SHORT_S),
        buy(&stack.payer, &bodies[2], UPTO, SHORT_S),
    );
    let mut moved = 0;
    for (answer, takes) in [(exact, "held"), (permit2, "held"), (upto, "charged")] {
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        assert!(answer.body.contains("out_of_time"), "{}", answer.body);
        let receipt = ended(&stack, &answer.call()).await;
        holds(&receipt);
        assert_eq!(receipt["settlement"]["status"], "settled", "{receipt}");
        assert!(flags(&receipt).contains(&"upstream_cut".to_owned()));
        let (charged, ceiling) = (units(&receipt, "charged"), units(&receipt, "ceiling"));
        assert!(charged > 0 && charged < ceiling, "{receipt}");
        moved += units(&receipt, takes);
    }
    assert_eq!(balance(&stack, payee).await, U256::from(moved));
    stack.reconcile().await;
}

#[tokio::test]
async fn rule_6_a_whole_answer_that_comes_too_late_to_be_settled_costs_nothing_and_bars_nobody() {
    let stack = stack(AFTERWARDS, false).await;
    let body = |n: usize| chat("late", &format!("question {n}"), false);
    let bodies: Vec<String> = (0..3).map(body).collect();
    let (exact, permit2, upto) = tokio::join!(
        buy(&stack.payer, &bodies[0], EXACT, SHORT_S),
        buy(&stack.payer, &bodies[1], EXACT_PERMIT2, SHORT_S),
        buy(&stack.payer, &bodies[2], UPTO, SHORT_S),
    );
    for answer in [exact, permit2, upto] {
        assert_eq!(answer.status, StatusCode::GATEWAY_TIMEOUT, "{answer:?}");
        assert_eq!(answer.code(), "out_of_time");
    }
    let served = buy(&stack.payer, &chat("m", "hello", false), UPTO, 300).await;
    assert_eq!(served.status, StatusCode::OK, "{}", served.body);
    let report = stack.reconcile().await;
    assert_eq!(report["totals"][0]["settled"], super::charged(&served));
}

#[tokio::test]
async fn an_answer_that_comes_too_late_for_the_settlement_at_its_first_byte_costs_nothing() {
    let stack = stack("settle_margin_seconds = 5\n", false).await;
    for stream in [false, true] {
        let body = chat("late", "hello", stream);
        let answer = buy(&stack.payer, &body, EXACT, SHORT_S).await;
        assert_eq!(answer.status, StatusCode::GATEWAY_TIMEOUT, "{answer:?}");
        assert_eq!(answer.code(), "out_of_time");
    }
    // What is settled at its first byte has all the time from then on.
    let body = chat("endless", "hello", true);
    let payment = encoded(&living(&stack.payer, &body, EXACT, SHORT_S).await);
    let expired_s = groat::clock::now_ms() / 1000 + SHORT_S + 1;
    let begun = stack.payer.post(&body).header("payment-signature", payment);
    let mut answer = begun.send().await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::OK);
    while groat::clock::now_ms() / 1000 < expired_s {
        let piece = answer.chunk().await.expect("the stream goes on");
        let piece = String::from_utf8_lossy(&piece.expect("and on")).into_owned();
        assert!(!piece.contains("out_of_time"), "{piece}");
    }
    drop(answer);
    stack.reconcile().await;
}

#[tokio::test]
async fn a_call_waits_for_others_no_longer_than_its_payment_lives() {
    const TOGETHER: &str = r#"
rails = ["upto", "exact"]
settle = "after"
settle_margin_seconds = 5
[settler]
address = "0x5e771e4000000000000000000000000000000001"
batch_wait_ms = 600000
"#;
    let stack = stack(TOGETHER, true).await;
    let payee = stack.chain.pay_to_key.address();
    let bodies = ["one", "two"].map(|prompt| chat("m", prompt, false));
    let (long, short) = tokio::join!(
        buy(&stack.payer, &bodies[0], UPTO, 3_000),
        buy(&stack.payer, &bodies[1], EXACT, SHORT_S),
    );
    let mut moved = 0;
    let mut transactions = Vec::new();
    for (answer, takes) in [(long, "charged"), (short, "held")] {
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        let receipt = ended(&stack, &answer.call()).await;
        assert_eq!(receipt["settlement"]["status"], "settled", "{receipt}");
        moved += units(&receipt, takes);
        transactions.push(receipt["settlement"]["transaction"].clone());
    }
    assert_eq!(
        transactions[0], transactions[1],
        "the one takes the other along"
    );
    assert_eq!(balance(&stack, payee).await, U256::from(moved));
    stack.reconcile().await;
}

#[tokio::test]
async fn a_payment_with_too_little_life_left_is_refused_at_once_by_name() {
    let stack = stack("rails = [\"exact\", \"exact-permit2\", \"upto\"]\n", false).await;
    let body = chat("m", "hello", false);
    // Thirty seconds for the settlement by default, and six for the answer.
    for (rail, reason) in [
        (
            EXACT,
            "invalid_exact_evm_payload_authorization_valid_before",
        ),
        (EXACT_PERMIT2, "permit2_deadline_expired"),
        (UPTO, "permit2_deadline_expired"),
    ] {
        let refused = buy(&stack.payer, &body, rail, 33).await;
        assert_eq!(refused.status, StatusCode::PAYMENT_REQUIRED, "{refused:?}");
        assert_eq!(refused.reason(), reason, "{rail:?}");
    }
    approve(&stack, U256::ZERO).await;
    let refused = by_permit(&stack, &body, 33).await;
    assert_eq!(refused.reason(), "eip2612_deadline_expired", "{refused:?}");
    assert_eq!(stack.seen().await.total, 0, "nothing went upstream");
    let taken = by_permit(&stack, &body, 60).await;
    assert_eq!(taken.status, StatusCode::OK, "{}", taken.body);
    for rail in [EXACT, UPTO] {
        approve(&stack, U256::MAX).await;
        let taken = buy(&stack.payer, &body, rail, 60).await;
        assert_eq!(taken.status, StatusCode::OK, "{}", taken.body);
    }
    stack.reconcile().await;
}

/// Pays by `upto` with a permit of the token's that expires after so many seconds.
async fn by_permit(stack: &Stack, body: &str, seconds: u64) -> Answer {
    let payer = &stack.payer;
    let mut payment = living(payer, body, UPTO, 300).await;
    let offer: Requirements = serde_json::from_value(payment["accepted"].clone()).expect("one");
    let owner = payer.key.address();
    let ask = noncesCall { owner }.abi_encode();
    let nonce = stack.chain.rpc.call(stack.asset, &ask.into()).await;
    let permit = Permit {
        from: owner,
        asset: stack.asset,
        spender: groat::protocol::addresses::PERMIT2,
        amount: U256::from(offer.amount.atomic()),
        nonce: U256::from_be_slice(&nonce.expect("a nonce")),
        deadline: U256::from(groat::clock::now_ms() / 1000 + seconds),
    };
    let domain = TokenDomain::of(&offer).expect("a token's domain");
    let permit = eip2612::sign(&payer.key, permit, &domain);
    let advertised = payment["extensions"][eip2612::KEY].clone();
    payment["extensions"][eip2612::KEY] = eip2612::echo_with_permit(&advertised, &permit);
    let sent = payer.send(body, &encoded(&payment)).await;
    sent.expect("an answer")
}
