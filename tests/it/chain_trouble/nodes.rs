//! A node that is down, slow, refusing or lying when a payment is to be judged.

use super::proxy::Mood;
use super::{Trouble, assert_come_back};
use crate::harness::{chat, until};

const IMPATIENT: &str = "settlement_patience_ms = 200";

#[tokio::test(flavor = "multi_thread")]
async fn rule_8_a_payment_that_cannot_be_judged_is_not_taken_and_may_come_again() {
    let trouble = Trouble::with(IMPATIENT).await;
    let mut answers = Vec::new();
    let moods = [
        Mood::Down,
        Mood::Slow,
        Mood::Refuses,
        Mood::Garbage,
        Mood::Nulls,
        Mood::Cut,
    ];
    for (n, mood) in moods.into_iter().enumerate() {
        let body = chat("m", &format!("{mood:?}"), n % 2 == 1);
        let payment = trouble.payer().payment(&body).await;
        let before = trouble.stack.report().await;
        trouble.proxy.turn(mood);
        for _ in 0..2 {
            let refused = trouble
                .payer()
                .send(&body, &payment)
                .await
                .expect("an answer");
            assert_come_back(&refused, &["chain_unavailable"]);
        }
        assert_eq!(
            trouble.stack.report().await["entries"],
            before["entries"],
            "{mood:?}: nothing is held"
        );
        trouble.proxy.turn(Mood::Honest);
        answers.push(trouble.send_until_answered(&body, &payment).await);
    }
    trouble.reconciled(&answers).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_8_a_node_that_lies_about_nonces_delays_but_never_charges_twice() {
    let trouble = Trouble::with(IMPATIENT).await;
    let mut answers = Vec::new();
    for n in 0..3 {
        answers.push(
            trouble
                .payer()
                .pay(&chat("m", &format!("before {n}"), false))
                .await,
        );
    }
    // Too low, too high by one, far too high; the truth is told only after each was sent.
    for lie in [0, 1, 4, 1000] {
        trouble.proxy.turn(Mood::Counts(lie));
        let body = chat("m", &format!("nonce {lie}"), true);
        let payment = trouble.payer().payment(&body).await;
        let first = trouble
            .payer()
            .send(&body, &payment)
            .await
            .expect("an answer");
        if first.status != 200 {
            assert_come_back(&first, &["settlement_pending"]);
        }
        trouble.proxy.turn(Mood::Honest);
        answers.push(trouble.send_until_answered(&body, &payment).await);
    }
    assert!(
        answers.iter().all(|answer| answer.status == 200),
        "{answers:?}"
    );
    trouble.reconciled(&answers).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_sees_that_the_chain_is_gone_and_back() {
    let trouble = Trouble::with(IMPATIENT).await;
    let ready = async |wanted: u16| {
        until("readyz says so", || async {
            let answer = trouble
                .payer()
                .client
                .get(format!("{}/readyz", trouble.stack.payer.url))
                .send()
                .await;
            (answer.expect("an answer").status() == wanted).then_some(())
        })
        .await;
    };
    trouble.proxy.turn(Mood::NoBroadcasts);
    let body = chat("m", "is it ready?", false);
    let payment = trouble.payer().payment(&body).await;
    let pending = trouble
        .payer()
        .send(&body, &payment)
        .await
        .expect("an answer");
    assert_come_back(&pending, &["settlement_pending"]);
    ready(503).await;
    trouble.proxy.turn(Mood::Honest);
    ready(200).await;
    let answer = trouble.send_until_answered(&body, &payment).await;
    trouble.reconciled(&[answer]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_12_a_gateway_without_its_chain_does_not_start_and_names_no_url() {
    let mut trouble = Trouble::with(IMPATIENT).await;
    trouble.stack.gateway.kill_9().await;
    let (url, keyed) = (
        trouble.proxy.url.clone(),
        format!("{}/v3/a-key", trouble.proxy.url),
    );
    trouble
        .stack
        .gateway
        .rewrite_config(|config| config.replace(&url, &keyed));
    for mood in [Mood::Down, Mood::Slow, Mood::Garbage, Mood::Nulls] {
        trouble.proxy.turn(mood);
        trouble.stack.gateway.spawn("");
        let ended = trouble.stack.gateway.wait().await;
        assert!(!ended.success(), "{mood:?}");
    }
    let log = trouble.stack.gateway.log();
    assert!(
        log.contains("chain.rpc_url"),
        "it says what to look at: {log}"
    );
    assert!(!log.contains("a-key"), "{log}");
    // And with its chain back it serves as before.
    trouble.proxy.turn(Mood::Honest);
    trouble.stack.gateway.start("").await;
    let answer = trouble.payer().pay(&chat("m", "back again", false)).await;
    trouble.reconciled(&[answer]).await;
}
