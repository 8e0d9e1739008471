//! What `tempo/charge` does not take: told by name, and nothing is sent or charged.

use super::hand::{Hand, memo, to, transfer};
use super::refused;
use super::stack::{Setup, Tempo};
use crate::harness::{Answer, chat};
use alloy::primitives::{Address, B256, Bytes, U256};
use alloy::signers::local::PrivateKeySigner;
use alloy::sol_types::SolCall;
use groat::chain::bindings::IEip3009Token;
use groat::money::Units;
use groat::protocol::mpp::tempo::Charge;
use groat::protocol::mpp::{Challenge, WWW_AUTHENTICATE};
use serde_json::json;

const CHARGE: &str = "\"tempo-charge\"";

/// Nothing was bought, nothing was moved, and the provider saw nothing.
async fn nothing_happened(tempo: &Tempo, before: U256) {
    let payer = tempo.chain.payer_key.address();
    let after = tempo.chain.balance_of(payer).await.expect("a balance");
    assert_eq!(after, before, "the payer has all of its money");
    assert_eq!(tempo.seen().await.total, 0);
    assert_eq!(tempo.reconcile().await["calls"], 0);
}

async fn balance(tempo: &Tempo) -> U256 {
    let payer = tempo.chain.payer_key.address();
    tempo.chain.balance_of(payer).await.expect("a balance")
}

#[tokio::test]
async fn rule_9_a_transaction_that_pays_something_else_is_refused_by_name_and_not_sent() {
    let tempo = Tempo::with(CHARGE, "").await;
    let hand = Hand::of(&tempo);
    let before = balance(&tempo).await;
    let body = chat("m", "hello", false);
    let stranger = Address::repeat_byte(0x51);
    let other = hand.asked("charge", &body).await;
    type Bend<'a> =
        Box<dyn Fn(&Challenge, &Charge, &mut tempo_alloy::primitives::TempoTransaction) + 'a>;
    let bends: Vec<(&str, Bend<'_>)> = vec![
        (
            "less",
            Box::new(|challenge, charge, bent| {
                let less = Units::from_atomic(charge.amount.atomic() - 1);
                bent.calls = vec![transfer(
                    charge,
                    charge.recipient,
                    less,
                    memo(challenge, &challenge.id),
                )];
            }),
        ),
        (
            "more",
            Box::new(|challenge, charge, bent| {
                let more = Units::from_atomic(charge.amount.atomic() + 1);
                bent.calls = vec![transfer(
                    charge,
                    charge.recipient,
                    more,
                    memo(challenge, &challenge.id),
                )];
            }),
        ),
        (
            "to somebody else",
            Box::new(|challenge, charge, bent| {
                bent.calls = vec![transfer(
                    charge,
                    stranger,
                    charge.amount,
                    memo(challenge, &challenge.id),
                )];
            }),
        ),
        (
            "in another token",
            Box::new(|challenge, charge, bent| {
                let charge = Charge {
                    currency: stranger,
                    ..charge.clone()
                };
                bent.calls = vec![transfer(
                    &charge,
                    charge.recipient,
                    charge.amount,
                    memo(challenge, &challenge.id),
                )];
            }),
        ),
        (
            "for another challenge",
            Box::new(|challenge, charge, bent| {
                bent.calls = vec![transfer(
                    charge,
                    charge.recipient,
                    charge.amount,
                    memo(challenge, &other.id),
                )];
            }),
        ),
        (
            "with another memo",
            Box::new(|_, charge, bent| {
                bent.calls = vec![transfer(
                    charge,
                    charge.recipient,
                    charge.amount,
                    B256::repeat_byte(7),
                )];
            }),
        ),
        (
            "with no memo",
            Box::new(|_, charge, bent| {
                let call = IEip3009Token::transferCall {
                    to: charge.recipient,
                    value: U256::from(charge.amount.atomic()),
                };
                bent.calls = vec![to(charge.currency, call.abi_encode())];
            }),
        ),
        (
            "on another chain",
            Box::new(|_, _, bent| bent.chain_id += 1),
        ),
        ("for ever", Box::new(|_, _, bent| bent.valid_before = None)),
        (
            "for years",
            Box::new(|_, _, bent| bent.valid_before = std::num::NonZeroU64::new(4_000_000_000)),
        ),
        (
            "too late",
            Box::new(|_, _, bent| bent.valid_before = std::num::NonZeroU64::new(1_700_000_000)),
        ),
    ];
    for (what, bend) in &bends {
        let challenge = hand.asked("charge", &body).await;
        let charge = Charge::from_request(&challenge.request).expect("a charge");
        let mut bent = hand.paying(&challenge).await;
        bend(&challenge, &charge, &mut bent);
        let signed = hand.signed(bent);
        let answer = hand.send(&body, &hand.pull(challenge, &signed)).await;
        refused(&answer, 402, "verification-failed", what);
        assert!(answer.header(WWW_AUTHENTICATE).is_some(), "{what}");
    }
    nothing_happened(&tempo, before).await;
}

#[tokio::test]
async fn what_is_no_transaction_or_not_its_payers_own_is_refused_by_name() {
    let tempo = Tempo::with(CHARGE, "").await;
    let hand = Hand::of(&tempo);
    let before = balance(&tempo).await;
    let body = chat("m", "hello", false);
    let good = async || {
        let challenge = hand.asked("charge", &body).await;
        let signed = hand.signed(hand.paying(&challenge).await);
        (challenge, signed)
    };

    let (challenge, signed) = good().await;
    let longer: Bytes = [signed.as_ref(), &[0]].concat().into();
    let answer = hand.send(&body, &hand.pull(challenge, &longer)).await;
    refused(&answer, 402, "invalid-payload", "bytes behind it");

    let (challenge, signed) = good().await;
    let cut: Bytes = signed[..signed.len() - 1].to_vec().into();
    let answer = hand.send(&body, &hand.pull(challenge, &cut)).await;
    refused(&answer, 402, "invalid-payload", "bytes missing");

    let (challenge, signed) = good().await;
    let source = hand.stranger().source();
    let payload = json!({ "type": "transaction", "signature": signed });
    let credential = hand.credential_from(Some(source), challenge, &payload);
    let answer = hand.send(&body, &credential).await;
    refused(
        &answer,
        402,
        "verification-failed",
        "somebody else's source",
    );

    let (challenge, _) = good().await;
    let answer = hand
        .send(
            &body,
            &hand.credential(challenge, &json!({ "type": "gift" })),
        )
        .await;
    refused(&answer, 402, "invalid-payload", "another type");
    nothing_happened(&tempo, before).await;
}

#[tokio::test]
async fn rule_9_a_charge_buys_nothing_but_what_its_challenge_was_made_for() {
    let tempo = Tempo::of(Setup {
        rails: CHARGE,
        upstream: crate::routes::ALL,
        ..Setup::default()
    })
    .await;
    let hand = Hand::of(&tempo);
    let before = balance(&tempo).await;
    let (body, longer) = (chat("m", "hello", false), chat("m", "hello, too", false));
    let credential = hand.charge(&body).await;
    let answer = hand.send(&longer, &credential).await;
    refused(&answer, 402, "verification-failed", "another body");
    let completion = json!({"model": "m", "prompt": "hello", "max_tokens": 8}).to_string();
    let there = hand.post_to("/v1/completions", &completion);
    let answer = Answer::of(there.header("authorization", &credential)).await;
    refused(
        &answer.expect("one"),
        402,
        "verification-failed",
        "another route",
    );

    let challenge = hand.asked("charge", &body).await;
    let signed = hand.signed(hand.paying(&challenge).await);
    let realm = Challenge {
        realm: "elsewhere.example".to_owned(),
        ..challenge.clone()
    };
    let answer = hand.send(&body, &hand.pull(realm, &signed)).await;
    refused(&answer, 402, "invalid-challenge", "another realm");
    let mut cheaper = Charge::from_request(&challenge.request).expect("a charge");
    cheaper.amount = Units::from_atomic(1);
    let cheap = Challenge {
        request: cheaper.to_request(),
        ..challenge
    };
    let answer = hand.send(&body, &hand.pull(cheap, &signed)).await;
    refused(&answer, 402, "invalid-challenge", "another price");
    nothing_happened(&tempo, before).await;
}

#[tokio::test]
async fn an_expired_challenge_is_not_paid() {
    let tempo = Tempo::with(CHARGE, "[tempo]\ncharge_expires_seconds = 15\n").await;
    let hand = Hand::of(&tempo);
    let before = balance(&tempo).await;
    let body = chat("m", "hello", false);
    let challenge = hand.asked("charge", &body).await;
    let expires = challenge.expires.clone().expect("an end");
    let expires = groat::protocol::mpp::evm::unix_seconds(&expires).expect("a time");
    crate::harness::until("its time is over", || async {
        (groat::clock::now_ms() / 1000 >= expires).then_some(())
    })
    .await;
    let signed = hand.signed(hand.paying(&challenge).await);
    let answer = hand.send(&body, &hand.pull(challenge, &signed)).await;
    refused(&answer, 402, "payment-expired", "expired");
    nothing_happened(&tempo, before).await;
}

#[tokio::test]
async fn a_payer_without_enough_money_is_told_before_anything_is_sent() {
    let tempo = Tempo::with(CHARGE, "").await;
    let before = balance(&tempo).await;
    let mut hand = Hand::of(&tempo);
    hand.key = PrivateKeySigner::random();
    let one = tempo.chain.give(hand.key.address(), U256::from(1)).await;
    one.expect("a gift");
    let body = chat("m", "hello", false);
    let answer = hand.send(&body, &hand.charge(&body).await).await;
    refused(&answer, 402, "payment-insufficient", "poor");
    nothing_happened(&tempo, before).await;
}

#[tokio::test]
async fn what_was_sent_beforehand_pays_once_for_its_challenge_alone() {
    let tempo = Tempo::with(CHARGE, "").await;
    let hand = Hand::of(&tempo);
    let body = chat("m", "hello", false);
    let challenge = hand.asked("charge", &body).await;
    let signed = hand.signed(hand.paying(&challenge).await);

    // Nobody knows of it yet: it may be under way.
    let unknown = alloy::primitives::keccak256(&signed);
    let answer = hand
        .send(&body, &hand.push(challenge.clone(), unknown))
        .await;
    assert_eq!(answer.status, 503, "{answer:?}");
    assert_eq!(answer.header("www-authenticate"), None);
    assert_eq!(answer.header("retry-after"), Some("2"));

    let hash = hand.broadcast(&signed).await;
    // Another's challenge: the money has moved, and asking for it again would take it twice.
    let other = hand.asked("charge", &body).await;
    let answer = hand.send(&body, &hand.push(other.clone(), hash)).await;
    refused(&answer, 403, "verification-failed", "another challenge");
    let longer = chat("m", "hello, too", false);
    let answer = hand
        .send(&longer, &hand.push(challenge.clone(), hash))
        .await;
    refused(&answer, 403, "verification-failed", "another body");
    let stranger = hand.stranger();
    let answer = hand
        .send(&body, &stranger.push(challenge.clone(), hash))
        .await;
    refused(&answer, 403, "verification-failed", "another payer");
    assert_eq!(tempo.seen().await.total, 0);

    let first = hand.send(&body, &hand.push(challenge.clone(), hash)).await;
    assert_eq!(first.status, 200, "{first:?}");
    let again = hand.send(&body, &hand.push(challenge.clone(), hash)).await;
    assert_eq!((again.status, &again.body), (first.status, &first.body));
    let answer = hand.send(&body, &hand.push(other, hash)).await;
    refused(&answer, 403, "verification-failed", "used");
    // The same challenge, paid a second time by another transaction.
    let twice = hand.signed(hand.paying(&challenge).await);
    let answer = hand.send(&body, &hand.pull(challenge, &twice)).await;
    refused(
        &answer,
        403,
        "verification-failed",
        "a challenge that is paid",
    );
    assert_eq!(tempo.seen().await.total, 1);
    assert_eq!(tempo.reconcile().await["calls"], 1);
}

#[tokio::test]
async fn what_reverted_paid_nothing_and_is_asked_for_again() {
    let tempo = Tempo::with(CHARGE, "").await;
    let mut hand = Hand::of(&tempo);
    // Enough for the gas, and not for the price.
    hand.key = PrivateKeySigner::random();
    let body = chat("m", "hello", false);
    let challenge = hand.asked("charge", &body).await;
    let charge = Charge::from_request(&challenge.request).expect("a charge");
    let funds = U256::from(1_000_000);
    tempo
        .chain
        .give(hand.key.address(), funds)
        .await
        .expect("a gift");
    let dear = Units::from_atomic(2_000_000);
    let call = transfer(
        &charge,
        charge.recipient,
        dear,
        memo(&challenge, &challenge.id),
    );
    let signed = hand.signed(hand.transaction(vec![call]).await);
    let hash = hand.broadcast(&signed).await;
    let answer = hand.send(&body, &hand.push(challenge, hash)).await;
    refused(&answer, 402, "verification-failed", "reverted");
    assert!(answer.header(WWW_AUTHENTICATE).is_some(), "{answer:?}");
    assert_eq!(tempo.reconcile().await["calls"], 0);
}

#[tokio::test]
async fn rule_12_transactions_and_vouchers_are_not_logged() {
    let more = format!(
        "[tempo]\nescrow = \"{}\"\n",
        groat::chain::dev::TEMPO_ESCROW
    );
    let mut tempo = Tempo::of(Setup {
        rails: "\"tempo-charge\", \"tempo-session\"",
        more: &more,
        log: Some("trace"),
        ..Setup::default()
    })
    .await;
    // The node's URL carries a key from now on, as most providers' do.
    let rpc = tempo.chain.rpc_url.clone();
    let keyed = format!("{rpc}/?key=canary-rpc-key");
    tempo
        .gateway
        .rewrite_config(|text| text.replace(&rpc, &keyed));
    assert!(tempo.gateway.terminate().await);
    tempo.gateway.start("").await;
    let hand = Hand::of(&tempo);
    let body = chat("m", "hello", false);
    let challenge = hand.asked("charge", &body).await;
    let signed = hand.signed(hand.paying(&challenge).await);
    let paid = hand.send(&body, &hand.pull(challenge, &signed)).await;
    assert_eq!(paid.status, 200, "{paid:?}");
    let challenge = hand.asked("charge", &body).await;
    let sent = hand.signed(hand.paying(&challenge).await);
    let hash = hand.broadcast(&sent).await;
    let pushed = hand.send(&body, &hand.push(challenge, hash)).await;
    assert_eq!(pushed.status, 200, "{pushed:?}");
    let (channel, answer) = hand.opened(&super::session_body("hello"), 100_000).await;
    let spent = super::hand::units(&super::hand::told(&answer)["spent"]);
    let close = channel.voucher("close", spent);
    assert_eq!(hand.manage(&close).await.status, 200);
    tempo.reconcile().await;
    // The node goes away while a payment is judged: its errors are where its URL would slip out.
    let challenge = hand.asked("charge", &body).await;
    let late = hand.signed(hand.paying(&challenge).await);
    let unknown = hand.asked("charge", &body).await;
    let gone = groat::chain::dev::TempoChain::start()
        .await
        .expect("another");
    let gone = std::mem::replace(&mut tempo.chain, gone);
    gone.stop().await.expect("the node ends");
    let told = [
        hand.send(&body, &hand.pull(challenge, &late)).await,
        hand.send(&body, &hand.push(unknown, hash)).await,
    ];
    for answer in &told {
        assert_eq!(answer.status, 503, "{answer:?}");
        assert!(!format!("{answer:?}").contains("canary"), "{answer:?}");
    }
    assert!(tempo.gateway.terminate().await);
    let log = tempo.gateway.log();
    assert!(log.contains("TRACE"), "the log is as loud as it can be");
    let voucher = close["signature"]
        .as_str()
        .expect("a signature")
        .trim_start_matches("0x");
    let signatures = [&signed, &late].map(|raw| hex::encode(&raw[raw.len() - 65..]));
    for secret in signatures
        .iter()
        .map(String::as_str)
        .chain(["canary-rpc-key", voucher])
    {
        if let Some(line) = log.lines().find(|line| line.contains(secret)) {
            panic!("{secret} is in the log: {line}");
        }
    }
}
