//! How channels of `tempo/session` end.

use super::hand::{Hand, requestCloseCall, to, told, units};
use super::{refused, session_body, sessions};
use crate::harness::{Answer, until};
use alloy::primitives::U256;
use alloy::sol_types::SolCall;
use serde_json::json;

const DEPOSIT: u64 = 100_000;

fn bill(answer: &Answer) -> u64 {
    units(&answer.receipt()["charged"])
}

#[tokio::test]
async fn a_close_waits_for_no_call_and_comes_once_from_its_payer_alone() {
    let slow = [("slow", "sim/slow?tps=20&out=32")];
    let tempo = sessions("", &slow).await;
    let hand = Hand::of(&tempo);
    let payer = hand.key.address();
    let (channel, first) = hand.opened(&session_body("one"), DEPOSIT).await;
    let spent = bill(&first);
    let stranger = hand.stranger();
    let theirs = stranger.manage(&channel.voucher("close", spent)).await;
    refused(&theirs, 402, "verification-failed", "another source");
    let mut forged = channel.clone();
    forged.key = stranger.key.clone();
    let theirs = hand.manage(&forged.voucher("close", spent)).await;
    refused(&theirs, 402, "verification-failed", "another key");

    let (_open, body, credential) = hand.under_way(&channel, spent + 1).await;
    let early = hand.manage(&channel.voucher("close", spent)).await;
    refused(&early, 409, "verification-failed", "a call runs");
    let rest = hand.streamed(&channel, &body, &credential).await;
    assert_eq!(rest.status, 200, "{rest:?}");
    let bills = spent + bill(&rest);
    assert_eq!(units(&told(&rest)["acceptedCumulative"]), bills);

    let before = tempo.chain.balance_of(payer).await.expect("a balance");
    let (one, two) = tokio::join!(
        async { hand.manage(&channel.voucher("close", bills)).await },
        async { hand.manage(&channel.voucher("close", bills)).await },
    );
    let statuses = [one.status.as_u16(), two.status.as_u16()];
    assert!(statuses.contains(&200), "{one:?} {two:?}");
    assert!(
        statuses
            .iter()
            .all(|status| [200, 409, 410].contains(status)),
        "{one:?} {two:?}"
    );
    let after = tempo.chain.balance_of(payer).await.expect("a balance");
    assert_eq!(
        after - before,
        U256::from(DEPOSIT - bills),
        "the rest went back"
    );
    for payload in [
        channel.voucher("close", bills),
        channel.voucher("voucher", bills),
        channel.voucher("voucher", bills + 1),
    ] {
        let late = hand.manage(&payload).await;
        refused(&late, 410, "session/channel-finalized", "it is over");
    }
    let late = hand.call(&channel, &session_body("three"), bills + 1).await;
    refused(&late, 410, "session/channel-finalized", "it is over");
    assert_eq!(tempo.reconcile().await["calls"], 2);
}

#[tokio::test]
async fn rule_1_a_payer_that_asks_for_its_money_is_met_with_the_best_voucher() {
    let tempo = sessions("[channels]\nwatch_every_ms = 100\n", &[]).await;
    let hand = Hand::of(&tempo);
    let (channel, first) = hand.opened(&session_body("one"), DEPOSIT).await;
    let spent = bill(&first);
    let call = requestCloseCall {
        channelId: channel.id,
    };
    let call = to(channel.session.escrow, call.abi_encode());
    hand.broadcast(&hand.signed(hand.transaction(vec![call]).await))
        .await;
    until("it is closed", || async {
        let left = tempo.chain.balance_of(tempo.chain.escrow).await.ok()?;
        left.is_zero().then_some(())
    })
    .await;
    let late = until("the books have it", || async {
        let late = hand.call(&channel, &session_body("two"), spent + 1).await;
        (late.status == 410).then_some(late)
    })
    .await;
    refused(&late, 410, "session/channel-finalized", "it is over");
    let report = tempo.reconcile().await;
    assert_eq!(report["faults"], json!([]));
}

#[tokio::test]
async fn a_stream_that_runs_while_its_payer_asks_for_its_money_is_paid_to_its_end() {
    let slow = [("slow", "sim/slow?tps=20&out=32")];
    let tempo = sessions("[channels]\nwatch_every_ms = 100\n", &slow).await;
    let hand = Hand::of(&tempo);
    let (channel, first) = hand.opened(&session_body("one"), DEPOSIT).await;
    let spent = bill(&first);
    let (_open, body, credential) = hand.under_way(&channel, spent + 1).await;
    let call = requestCloseCall {
        channelId: channel.id,
    };
    let call = to(channel.session.escrow, call.abi_encode());
    hand.broadcast(&hand.signed(hand.transaction(vec![call]).await))
        .await;
    let before = tempo.chain.balance_of(hand.key.address()).await;
    let rest = hand.streamed(&channel, &body, &credential).await;
    assert_eq!(rest.status, 200, "{rest:?}");
    let bills = spent + bill(&rest);
    until("it is closed", || async {
        let left = tempo.chain.balance_of(tempo.chain.escrow).await.ok()?;
        left.is_zero().then_some(())
    })
    .await;
    let after = tempo.chain.balance_of(hand.key.address()).await;
    let back = after.expect("a balance") - before.expect("a balance");
    assert_eq!(back, U256::from(DEPOSIT - bills));
    assert_eq!(tempo.reconcile().await["calls"], 2);
}
