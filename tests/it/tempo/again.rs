//! Payments come again: all at once, with somebody else's key, or for an answer that never comes.

use super::hand::{Hand, units};
use super::stack::{Setup, Tempo};
use super::{refused, session_body};
use crate::chain_trouble::proxy::{Mood, Proxy};
use crate::harness::{Answer, chat, total, until};
use alloy::primitives::U256;
use futures::future::join_all;
use groat::chain::dev::PAYER_FUNDS;
use groat::clock::now_ms;

const CHARGE: &str = "\"tempo-charge\"";
const COPIES: usize = 64;
const DEPOSIT: u64 = 100_000;

/// Has the gateway ask the chain through a proxy from now on.
async fn behind_proxy(tempo: &mut Tempo) -> Proxy {
    let node = tempo.chain.rpc_url.clone();
    let proxy = Proxy::before(&node).await;
    tempo.gateway.kill_9().await;
    let rewritten = |config: String| config.replace(&node, &proxy.url);
    tempo.gateway.rewrite_config(rewritten);
    tempo.gateway.start("").await;
    proxy
}

/// A gateway that takes sessions, whose callers have the patience for a channel's opening, and no more.
async fn sessions_behind_proxy() -> (Tempo, Proxy) {
    let escrow = groat::chain::dev::TEMPO_ESCROW;
    let more = format!(
        "settlement_patience_ms = 5000\n[tempo]\nescrow = \"{escrow}\"\nvoucher_patience_ms = 300\n"
    );
    let mut tempo = Tempo::with("\"tempo-session\"", &more).await;
    let proxy = behind_proxy(&mut tempo).await;
    (tempo, proxy)
}

/// Nobody knows yet, and nobody is asked to pay again.
#[track_caller]
fn pending(answer: &Answer) {
    assert_eq!(answer.status, 503, "{answer:?}");
    assert_eq!(answer.header("www-authenticate"), None, "{answer:?}");
}

fn held(answer: &Answer) -> u64 {
    units(&answer.receipt()["held"])
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

#[tokio::test]
async fn rule_8_a_charge_into_silence_is_pending_and_is_made_once() {
    for mood in [
        Mood::NoBroadcasts,
        Mood::DownAfterBroadcast,
        Mood::NoReceipts,
    ] {
        let mut tempo = Tempo::with(CHARGE, "settlement_patience_ms = 500\n").await;
        let proxy = behind_proxy(&mut tempo).await;
        let hand = Hand::of(&tempo);
        let payee = tempo.chain.pay_to_key.address();
        let before = tempo.chain.balance_of(payee).await.expect("a balance");
        let body = chat("m", "hello", false);
        let credential = hand.charge(&body).await;
        proxy.turn(mood);
        let first = hand.send(&body, &credential).await;
        pending(&first);
        proxy.turn(Mood::Honest);
        let answer = until("the same payment is answered", || async {
            let answer = hand.send(&body, &credential).await;
            match answer.status.as_u16() {
                200 => Some(answer),
                503 => None,
                _ => panic!("{mood:?}: {answer:?}"),
            }
        })
        .await;
        let after = tempo.chain.balance_of(payee).await.expect("a balance");
        assert_eq!(after - before, U256::from(held(&answer)), "{mood:?}");
        assert_eq!(tempo.seen().await.total, 1, "{mood:?}");
        assert_eq!(tempo.reconcile().await["calls"], 1, "{mood:?}");
    }
}

#[tokio::test]
async fn rule_8_a_channel_opened_into_silence_is_pending_and_nobody_late_is_asked_anew() {
    let (tempo, proxy) = sessions_behind_proxy().await;
    let mut hand = Hand::of(&tempo);
    hand.valid_seconds = 5;
    let body = session_body("hello");
    let (channel, sent, credential) = hand.to_open(&body, DEPOSIT).await;
    let expires_ms = now_ms() + hand.valid_seconds * 1000;
    proxy.turn(Mood::DownAfterBroadcast);
    pending(&hand.send(&body, &credential).await);
    until("the transaction has expired", || async {
        (now_ms() > expires_ms).then_some(())
    })
    .await;
    // The same money, for another request: nobody knows yet where it is.
    let other = session_body("late");
    let challenge = hand.asked("session", &other).await;
    let late = hand.open(challenge, &channel, &sent);
    pending(&hand.send(&other, &late).await);
    proxy.turn(Mood::Honest);
    let answer = until("the first request is answered", || async {
        let answer = hand.streamed(&channel, &body, &credential).await;
        (answer.status != 503).then_some(answer)
    })
    .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let held = tempo.chain.balance_of(tempo.chain.escrow).await;
    assert_eq!(held.expect("a balance"), U256::from(DEPOSIT));
    tempo.reconcile().await;
}

#[tokio::test]
async fn rule_8_a_close_into_silence_is_pending_and_is_made_once() {
    let (tempo, proxy) = sessions_behind_proxy().await;
    let hand = Hand::of(&tempo);
    let payer = hand.key.address();
    let (channel, first) = hand.opened(&session_body("one"), DEPOSIT).await;
    let spent = units(&first.receipt()["charged"]);
    let before = tempo.chain.balance_of(payer).await.expect("a balance");
    proxy.turn(Mood::DownAfterBroadcast);
    pending(&hand.manage(&channel.voucher("close", spent)).await);
    let meanwhile = hand.manage(&channel.voucher("close", spent)).await;
    refused(&meanwhile, 409, "verification-failed", "it is being closed");
    proxy.turn(Mood::Honest);
    until("it is closed", || async {
        let again = hand.manage(&channel.voucher("close", spent)).await;
        (again.status == 410).then_some(())
    })
    .await;
    let after = tempo.chain.balance_of(payer).await.expect("a balance");
    assert_eq!(after - before, U256::from(DEPOSIT - spent));
    tempo.reconcile().await;
}

#[tokio::test]
async fn a_payment_that_its_payer_sends_too_is_taken_once() {
    let tempo = Tempo::with(CHARGE, "").await;
    let hand = Hand::of(&tempo);
    let payee = tempo.chain.pay_to_key.address();
    let before = tempo.chain.balance_of(payee).await.expect("a balance");
    let body = chat("m", "hello", false);
    let challenge = hand.asked("charge", &body).await;
    let signed = hand.signed(hand.paying(&challenge).await);
    hand.broadcast(&signed).await;
    let answer = hand.send(&body, &hand.pull(challenge, &signed)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let after = tempo.chain.balance_of(payee).await.expect("a balance");
    assert_eq!(after - before, U256::from(held(&answer)));
    assert_eq!(tempo.reconcile().await["calls"], 1);
}
