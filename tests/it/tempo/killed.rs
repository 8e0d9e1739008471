//! A gateway that dies while somebody pays on Tempo: what moved is credit, what did not is nothing.

use super::hand::{Channel, Hand, told, units};
use super::stack::{Setup, Tempo};
use super::{refused, session_body, sessions};
use crate::harness::{Answer, chat, total, until};
use alloy::primitives::U256;

const CHARGE: &str = "\"tempo-charge\"";
const DEPOSIT: u64 = 100_000;

fn bill(answer: &Answer) -> u64 {
    units(&answer.receipt()["charged"])
}

/// Sends what kills the gateway.
async fn killed(tempo: &mut Tempo, hand: &Hand, body: &str, credential: &str) {
    let sent = hand.post(body).header("authorization", credential);
    let answer = Answer::of(sent).await;
    assert!(answer.is_err(), "{answer:?}");
    tempo.gateway.wait().await;
}

/// A gateway that died at `place` while it opened a channel, and lives again; who opened it, the channel,
/// and the credential.
async fn killed_by_an_opening(place: &str, body: &str) -> (Tempo, Hand, Channel, String) {
    let mut tempo = sessions("", &[]).await;
    tempo.gateway.kill_9().await;
    tempo.gateway.start(&format!("{place}=return")).await;
    let hand = Hand::of(&tempo);
    let (channel, _, credential) = hand.to_open(body, DEPOSIT).await;
    killed(&mut tempo, &hand, body, &credential).await;
    tempo.gateway.start("").await;
    (tempo, hand, channel, credential)
}

#[cfg(feature = "failpoints")]
#[tokio::test]
async fn rule_1_killed_while_a_charge_settles_what_moved_is_credit() {
    for (place, moves) in [
        ("hold", false),
        ("settle_sent", false),
        ("settle_confirmed", true),
        ("forward", true),
        ("first_byte", true),
        ("usage", true),
    ] {
        let mut tempo = Tempo::of(Setup {
            rails: CHARGE,
            failpoints: &format!("{place}=return"),
            ..Setup::default()
        })
        .await;
        let hand = Hand::of(&tempo);
        let payee = tempo.chain.pay_to_key.address();
        let before = tempo.chain.balance_of(payee).await.expect("a balance");
        let body = chat("m", "hello", false);
        let credential = hand.charge(&body).await;
        killed(&mut tempo, &hand, &body, &credential).await;
        tempo.gateway.start("").await;
        let report = tempo.reconcile().await;
        let after = tempo.chain.balance_of(payee).await.expect("a balance");
        let moved = i64::try_from(after - before).expect("few");
        assert_eq!(moved > 0, moves, "{place}");
        assert_eq!(report["calls"], 1, "{place}: {report}");
        assert_eq!(total(&report, "settled"), moved, "{place}: {report}");
        assert_eq!(total(&report, "captured"), 0, "{place}: {report}");
        assert_eq!(total(&report, "available"), moved, "{place}: {report}");
        let again = hand.send(&body, &credential).await;
        refused(&again, 403, "verification-failed", place);
    }
}

#[tokio::test]
async fn rule_1_killed_outright_in_the_middle_of_charges_the_books_agree() {
    let mut tempo = Tempo::of(Setup {
        rails: CHARGE,
        models: &[("late", "sim/late?head=600")],
        ..Setup::default()
    })
    .await;
    let hand = Hand::of(&tempo);
    let payee = tempo.chain.pay_to_key.address();
    let before = tempo.chain.balance_of(payee).await.expect("a balance");
    let bodies: Vec<String> = (0..4)
        .map(|n| chat("late", &format!("{n}"), false))
        .collect();
    let mut paid = Vec::new();
    for body in &bodies {
        paid.push(hand.charge(body).await);
    }
    let calls = bodies
        .iter()
        .zip(&paid)
        .map(|(body, paid)| Answer::of(hand.post(body).header("authorization", paid)));
    let calls = tokio::spawn(futures::future::join_all(calls.collect::<Vec<_>>()));
    until("one of them is under way", || async {
        (tempo.seen().await.total > 0).then_some(())
    })
    .await;
    tempo.gateway.kill_9().await;
    calls.await.expect("they end");
    tempo.gateway.start("").await;
    let report = tempo.reconcile().await;
    let after = tempo.chain.balance_of(payee).await.expect("a balance");
    assert_eq!(U256::from(total(&report, "settled")), after - before);
    assert_eq!(total(&report, "captured"), 0);
    assert_eq!(total(&report, "available"), total(&report, "settled"));
}

/// Reads a stream until it asks for a voucher; answers over how much.
async fn dry(
    hand: &Hand,
    channel: &Channel,
    body: &str,
    cumulative: u64,
) -> (super::hand::Stream, u64) {
    let challenge = hand.asked("session", body).await;
    let credential = hand.credential(challenge, &channel.voucher("voucher", cumulative));
    let mut stream = hand
        .begun(hand.post(body), &credential)
        .await
        .expect("a stream");
    while let Some((name, data)) = stream.next().await {
        if name == "payment-need-voucher" {
            let asked: serde_json::Value = serde_json::from_str(&data).expect("JSON");
            return (stream, units(&asked["requiredCumulative"]));
        }
    }
    panic!("it asks for nothing: {:?}", stream.answer());
}

#[tokio::test]
async fn rule_1_killed_in_the_middle_of_a_stream_its_channel_is_closed_to_the_unit() {
    let mut tempo = sessions("", super::streams::LONG).await;
    let hand = Hand::of(&tempo);
    let payer = hand.key.address();
    let (channel, first) = hand.opened(&session_body("one"), DEPOSIT).await;
    let spent = bill(&first);
    let body = super::streams::long("two");
    let (stream, required) = dry(&hand, &channel, &body, spent + 1).await;
    // It goes on, and cannot end before it asks again.
    let more = hand.manage(&channel.voucher("voucher", required)).await;
    assert_eq!(more.status, 200, "{more:?}");
    tempo.gateway.kill_9().await;
    drop(stream);
    tempo.gateway.start("").await;
    let report = tempo.reconcile().await;
    assert_eq!(report["calls"], 2, "{report}");
    let before = tempo.chain.balance_of(payer).await.expect("a balance");
    let closed = hand.manage(&channel.voucher("close", spent)).await;
    assert_eq!(closed.status, 200, "{closed:?}");
    assert_eq!(units(&told(&closed)["spent"]), spent);
    let after = tempo.chain.balance_of(payer).await.expect("a balance");
    assert_eq!(after - before, U256::from(DEPOSIT - spent));
    tempo.reconcile().await;
}

#[cfg(feature = "failpoints")]
#[tokio::test]
async fn rule_4_killed_after_a_sessions_capture_its_bill_stands() {
    for place in ["capture", "receipt"] {
        let mut tempo = sessions("", &[]).await;
        let hand = Hand::of(&tempo);
        let (channel, first) = hand.opened(&session_body("one"), DEPOSIT).await;
        let spent = bill(&first);
        tempo.gateway.kill_9().await;
        tempo.gateway.start(&format!("{place}=return")).await;
        let body = session_body("two");
        let challenge = hand.asked("session", &body).await;
        let credential = hand.credential(challenge, &channel.voucher("voucher", spent + 1));
        let cut = hand.streamed(&channel, &body, &credential).await;
        assert!(!cut.body.contains("payment-receipt"), "{place}: {cut:?}");
        tempo.gateway.wait().await;
        tempo.gateway.start("").await;
        tempo.reconcile().await;
        let again = hand.streamed(&channel, &body, &credential).await;
        assert_eq!(again.status, 200, "{place}: {again:?}");
        let bills = spent + bill(&again);
        assert_eq!(units(&told(&again)["spent"]), bills, "{place}");
        let closed = hand.manage(&channel.voucher("close", bills)).await;
        assert_eq!(closed.status, 200, "{place}: {closed:?}");
        assert_eq!(tempo.reconcile().await["calls"], 2, "{place}");
    }
}

#[cfg(feature = "failpoints")]
#[tokio::test]
async fn rule_5_killed_while_a_channel_is_opened_it_is_opened_once() {
    let body = session_body("hello");
    for place in ["settle_sent", "settle_confirmed"] {
        let (tempo, hand, channel, credential) = killed_by_an_opening(place, &body).await;
        tempo.reconcile().await;
        let answer = hand.streamed(&channel, &body, &credential).await;
        assert_eq!(answer.status, 200, "{place}: {answer:?}");
        let held = tempo.chain.balance_of(tempo.chain.escrow).await;
        assert_eq!(held.expect("a balance"), U256::from(DEPOSIT), "{place}");
        let closed = hand.manage(&channel.voucher("close", bill(&answer))).await;
        assert_eq!(closed.status, 200, "{place}: {closed:?}");
        tempo.reconcile().await;
    }
}

#[cfg(feature = "failpoints")]
#[tokio::test]
async fn rule_8_killed_while_a_channel_is_opened_it_is_in_the_books_though_nobody_asks_again() {
    let body = session_body("hello");
    for place in ["settle_sent", "settle_confirmed"] {
        let (tempo, hand, channel, _) = killed_by_an_opening(place, &body).await;
        // By a voucher alone, as who lost the opening's transaction does.
        let answer = until("the channel is known", || async {
            let answer = hand.call(&channel, &body, 1).await;
            (answer.status != 402).then_some(answer)
        })
        .await;
        assert_eq!(answer.status, 200, "{place}: {answer:?}");
        let closed = hand.manage(&channel.voucher("close", bill(&answer))).await;
        assert_eq!(closed.status, 200, "{place}: {closed:?}");
        tempo.reconcile().await;
    }
}

#[cfg(feature = "failpoints")]
#[tokio::test]
async fn rule_5_killed_while_a_channel_is_closed_its_books_say_what_was_paid() {
    for place in ["settle_sent", "settle_confirmed"] {
        let mut tempo = sessions("[channels]\nwatch_every_ms = 100\n", &[]).await;
        let hand = Hand::of(&tempo);
        let (channel, first) = hand.opened(&session_body("one"), DEPOSIT).await;
        let spent = bill(&first);
        tempo.gateway.kill_9().await;
        tempo.gateway.start(&format!("{place}=return")).await;
        let challenge = hand.asked("session", &session_body("any")).await;
        let credential = hand.credential(challenge, &channel.voucher("close", spent));
        killed(&mut tempo, &hand, "", &credential).await;
        tempo.gateway.start("").await;
        let late = until("the books have it", || async {
            let late = hand.manage(&channel.voucher("close", spent)).await;
            (late.status == 410).then_some(late)
        })
        .await;
        refused(&late, 410, "session/channel-finalized", place);
        let left = tempo.chain.balance_of(tempo.chain.escrow).await;
        assert_eq!(left.expect("a balance"), U256::ZERO, "{place}");
        let report = tempo.reconcile().await;
        assert_eq!(report["calls"], 1, "{place}: {report}");
    }
}
