//! Settlements whose fate is unknown: the caller is told to come back, and is charged once.

use super::proxy::Mood;
use super::{Trouble, assert_come_back, events, held, moved};
use crate::harness::{Answer, chat, until};
use futures::future::join_all;

const ON_FIRST_BYTE: &str = "settlement_patience_ms = 200";
const BEFORE: &str = "settlement_patience_ms = 200\nsettle = \"before\"";
const AFTER: &str = "settlement_patience_ms = 200\nsettle = \"after\"";

/// A payment whose settlement was sent just before the node went silent.
async fn sent_and_silent(trouble: &Trouble, body: &str) -> String {
    let payment = trouble.payer().payment(body).await;
    trouble.proxy.turn(Mood::DownAfterBroadcast);
    let pending = trouble
        .payer()
        .send(body, &payment)
        .await
        .expect("an answer");
    assert_come_back(&pending, &["settlement_pending"]);
    trouble.proxy.turned(Mood::Down).await;
    let still = trouble
        .payer()
        .send(body, &payment)
        .await
        .expect("an answer");
    assert_come_back(&still, &["settlement_pending"]);
    payment
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_8_a_settlement_sent_into_silence_is_pending_and_then_answered_once() {
    for settle in [ON_FIRST_BYTE, BEFORE] {
        let trouble = Trouble::with(settle).await;
        let body = chat("m", "into silence", settle == BEFORE);
        let payment = sent_and_silent(&trouble, &body).await;
        trouble.proxy.turn(Mood::Honest);
        let answer = trouble.send_until_answered(&body, &payment).await;
        let again = trouble
            .payer()
            .send(&body, &payment)
            .await
            .expect("an answer");
        assert_eq!(again.body, answer.body);
        trouble.reconciled(&[answer]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_8_a_node_that_fails_while_a_settlement_is_due_delays_it() {
    let trouble = Trouble::with(ON_FIRST_BYTE).await;
    let moods = [
        Mood::Down,
        Mood::Slow,
        Mood::Refuses,
        Mood::Garbage,
        Mood::Nulls,
        Mood::Cut,
        Mood::NoReceipts,
    ];
    let mut answers = Vec::new();
    for (n, mood) in (1..).zip(moods) {
        let body = chat("late", &format!("{mood:?}"), n % 2 == 0);
        let payment = trouble.payer().payment(&body).await;
        let sent = trouble.payer().send(&body, &payment);
        let upstream_thinks = async {
            until("the upstream is called", || async {
                (trouble.stack.seen().await.total >= n).then_some(())
            })
            .await;
            trouble.proxy.turn(mood);
        };
        let (pending, ()) = futures::join!(sent, upstream_thinks);
        assert_come_back(&pending.expect("an answer"), &["settlement_pending"]);
        trouble.proxy.turn(Mood::Honest);
        answers.push(trouble.send_until_answered(&body, &payment).await);
    }
    trouble.reconciled(&answers).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_8_a_restart_in_the_silence_finds_the_settlement_and_credits_it() {
    let mut trouble = Trouble::with(ON_FIRST_BYTE).await;
    let body = chat("m", "restart in the silence", false);
    let payment = sent_and_silent(&trouble, &body).await;
    trouble.stack.gateway.kill_9().await;
    trouble.proxy.turn(Mood::Honest);
    trouble.stack.gateway.start("").await;

    let gone = trouble
        .payer()
        .send(&body, &payment)
        .await
        .expect("an answer");
    assert_eq!(gone.status, 409, "{gone:?}");
    assert_eq!(gone.json()["error"]["code"], "call_voided");
    let report = trouble.stack.reconcile().await;
    let moved = moved(&trouble.stack).await;
    let [once] = moved.as_slice() else {
        panic!("{moved:?}")
    };
    let totals = &report["totals"][0];
    assert_eq!(totals["captured"], 0, "{report}");
    assert_eq!(
        totals["available"],
        once.value.to::<u64>(),
        "all of it is the payer's: {report}"
    );
    assert_eq!(trouble.stack.seen().await.total, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_8_a_queue_of_settlements_drains_when_the_node_is_back() {
    for mood in [
        Mood::NoBroadcasts,
        Mood::SlowBroadcasts,
        Mood::DownAfterBroadcast,
    ] {
        let trouble = Trouble::with(ON_FIRST_BYTE).await;
        let mut purchases = Vec::new();
        for n in 0..8 {
            let body = chat("late", &format!("queued {n}"), n % 2 == 0);
            purchases.push((trouble.payer().payment(&body).await, body));
        }
        let all = || {
            join_all(
                purchases
                    .iter()
                    .map(|(payment, body)| trouble.payer().send(body, payment)),
            )
        };
        trouble.proxy.turn(mood);
        for first in all().await {
            let first = first.expect("an answer");
            if first.status != 200 {
                assert_come_back(&first, &["settlement_pending", "chain_unavailable"]);
            }
        }
        trouble.proxy.turn(Mood::Honest);
        let answered = purchases
            .iter()
            .map(|(payment, body)| trouble.send_until_answered(body, payment));
        let answers: Vec<Answer> = join_all(answered).await;
        trouble.reconciled(&answers).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_8_settling_afterwards_the_answer_does_not_wait_and_the_debt_is_collected() {
    let mut trouble = Trouble::with(AFTER).await;
    trouble.proxy.turn(Mood::NoBroadcasts);
    let answer = trouble.payer().pay(&chat("m", "on trust", true)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.receipt()["settlement"]["status"], "pending");
    // Not even a crash forgets the debt.
    trouble.stack.gateway.kill_9().await;
    trouble.proxy.turn(Mood::Honest);
    trouble.stack.gateway.start("").await;
    trouble.reconciled(std::slice::from_ref(&answer)).await;
    let confirmed = events(&trouble.stack)
        .await
        .iter()
        .filter(|name| *name == "settlement_confirmed")
        .count();
    assert_eq!(confirmed, 1);
    let receipt = trouble
        .payer()
        .client
        .get(format!(
            "{}/v1/receipts/{}",
            trouble.payer().url,
            answer.call()
        ))
        .send()
        .await;
    let receipt: serde_json::Value = receipt.expect("an answer").json().await.expect("a receipt");
    assert_eq!(
        receipt["settlement"]["status"], "settled",
        "a receipt says how things stand"
    );
    assert_eq!(receipt["held"], held(&answer).to_string());
}
