//! `tempo/charge` comes again, all at once, with somebody else's key, or for an answer that never comes.

use super::hand::Hand;
use super::refused;
use super::stack::{Setup, Tempo};
use crate::harness::{Answer, chat, total};
use alloy::primitives::U256;
use futures::future::join_all;
use groat::chain::dev::PAYER_FUNDS;

const CHARGE: &str = "\"tempo-charge\"";
const COPIES: usize = 64;

fn held(answer: &Answer) -> u64 {
    super::hand::units(&answer.receipt()["held"])
}

#[tokio::test]
async fn rule_2_copies_of_one_charge_make_one_call_and_one_transfer() {
    let tempo = Tempo::with(CHARGE, "").await;
    let hand = Hand::of(&tempo);
    let payee = tempo.chain.pay_to_key.address();
    let before = tempo.chain.balance_of(payee).await.expect("a balance");
    let mut moved = 0;
    for stream in [false, true] {
        let body = chat("m", &format!("hello {stream}"), stream);
        let credential = hand.charge(&body).await;
        let answers = join_all((0..COPIES).map(|_| hand.send(&body, &credential))).await;
        let first = answers.first().expect("an answer");
        // The answer is kept: another copy comes later.
        let later = hand.send(&body, &credential).await;
        for answer in answers.iter().chain([&later]) {
            assert_eq!(answer.status, 200, "{answer:?}");
            assert_eq!((&answer.body, answer.call()), (&first.body, first.call()));
        }
        moved += held(first);
    }
    assert_eq!(tempo.seen().await.total, 2);
    let after = tempo.chain.balance_of(payee).await.expect("a balance");
    assert_eq!(after - before, U256::from(moved));
    let report = tempo.reconcile().await;
    assert_eq!(report["calls"], 2);
    assert_eq!(total(&report, "settled"), moved as i64);
}

#[tokio::test]
async fn a_failure_after_a_charge_is_no_402_and_all_of_it_is_credit() {
    let tempo = Tempo::of(Setup {
        rails: CHARGE,
        models: &[
            ("broken", "sim/broken?fail_status=500"),
            ("unpaid", "sim/unpaid?status_402=true"),
        ],
        ..Setup::default()
    })
    .await;
    let hand = Hand::of(&tempo);
    for (model, status) in [("broken", 502), ("unpaid", 503)] {
        for stream in [false, true] {
            let body = chat(model, "hello", stream);
            let credential = hand.charge(&body).await;
            let answer = hand.send(&body, &credential).await;
            assert_eq!(answer.status, status, "{model}: {answer:?}");
            assert_eq!(answer.header("www-authenticate"), None, "{model}");
            assert_eq!(answer.header("payment-receipt"), None, "{model}");
            let again = hand.send(&body, &credential).await;
            refused(&again, 403, "verification-failed", model);
        }
    }
    let report = tempo.reconcile().await;
    assert_eq!(total(&report, "captured"), 0);
    assert!(total(&report, "settled") > 0, "{report}");
    assert_eq!(total(&report, "available"), total(&report, "settled"));
}

#[tokio::test]
async fn an_idempotency_key_opens_nobody_elses_call() {
    let tempo = Tempo::with(CHARGE, "").await;
    let hand = Hand::of(&tempo);
    let body = chat("m", "hello", false);
    let keyed = async |credential: String| {
        let request = hand.post(&body).header("authorization", credential);
        let request = request.header("idempotency-key", "order 7");
        Answer::of(request).await.expect("an answer")
    };
    let first = keyed(hand.charge(&body).await).await;
    assert_eq!(first.status, 200, "{first:?}");
    // Whoever names that payer as the sender of any transaction.
    let challenge = hand.asked("charge", &body).await;
    let pushed = hand.push(challenge, alloy::primitives::B256::repeat_byte(3));
    let answer = keyed(pushed).await;
    refused(&answer, 403, "verification-failed", "named");
    assert!(!answer.body.contains("usage"), "{answer:?}");
    // Another payer's key of the same name is another.
    let other = hand.stranger();
    let given = tempo
        .chain
        .give(other.key.address(), U256::from(PAYER_FUNDS))
        .await;
    given.expect("a gift");
    let answer = keyed(other.charge(&body).await).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_ne!(answer.call(), first.call());
    assert_eq!(tempo.reconcile().await["calls"], 2);
}
