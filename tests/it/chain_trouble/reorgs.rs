//! Settlements that were in the chain and are no more.

use super::{Trouble, events, moved, node, settles};
use crate::harness::{Answer, Stack, chat, until};
use serde_json::Value;

/// Waits until the ledger holds this many settlements that vanished, then until all are back.
pub(super) async fn settled_again(stack: &Stack, vanished: usize) {
    until("the reorganisation is in the ledger", || async {
        let names = events(stack).await;
        (names
            .iter()
            .filter(|name| *name == "settlement_reorged")
            .count()
            >= vanished)
            .then_some(())
    })
    .await;
}

pub(super) async fn pay(stack: &Stack, calls: usize) -> Vec<Answer> {
    let mut answers = Vec::new();
    // One after the other, so that each settlement is in a block of its own.
    for n in 0..calls {
        let answer = stack
            .payer
            .pay(&chat("m", &format!("reorg {n}"), n % 2 == 0))
            .await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answers.push(answer);
    }
    answers
}

/// Everything is settled once, in blocks that are in the chain, and receipts name those blocks.
pub(super) async fn whole_again(stack: &Stack, answers: &[Answer]) {
    let report = stack.reconcile().await;
    let sum: u64 = answers.iter().map(settles).sum();
    assert_eq!(report["totals"][0]["settled"], sum, "{report}");
    let moved = moved(stack).await;
    assert_eq!(moved.len(), answers.len());
    for answer in answers {
        let url = format!("{}/v1/receipts/{}", stack.payer.url, answer.call());
        until("the receipt names a block that is in the chain", || async {
            let receipt: Value = stack
                .payer
                .client
                .get(&url)
                .send()
                .await
                .ok()?
                .json()
                .await
                .ok()?;
            let settlement = &receipt["settlement"];
            let found = moved.iter().any(|one| {
                settlement["block"] == one.block
                    && settlement["transaction"] == format!("{:#x}", one.transaction)
            });
            (settlement["status"] == "settled" && found).then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_1_a_settlement_that_vanishes_in_a_reorg_is_recorded_and_settled_again() {
    let stack = Stack::usual().await;
    let answers = pay(&stack, 4).await;
    let nothing: [u8; 0] = [];
    node(&stack, "anvil_reorg", (3, nothing)).await;
    settled_again(&stack, 3).await;
    whole_again(&stack, &answers).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_1_a_chain_that_grows_shorter_is_a_reorg_too() {
    let stack = Stack::usual().await;
    let answers = pay(&stack, 3).await;
    node(&stack, "anvil_rollback", (2,)).await;
    settled_again(&stack, 2).await;
    whole_again(&stack, &answers).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_1_a_reorg_while_the_gateway_is_down_is_found_at_its_start() {
    let mut stack = Stack::usual().await;
    let answers = pay(&stack, 4).await;
    let nothing: [u8; 0] = [];
    stack.gateway.kill_9().await;
    node(&stack, "anvil_reorg", (3, nothing)).await;
    stack.gateway.start("").await;
    settled_again(&stack, 3).await;
    whole_again(&stack, &answers).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_8_a_payment_made_after_a_reorg_is_taken_as_usual() {
    let trouble = Trouble::with("settlement_patience_ms = 20000").await;
    let stack = &trouble.stack;
    let mut answers = pay(stack, 2).await;
    let snapshot = node(stack, "evm_snapshot", ()).await;
    answers.extend(pay(stack, 1).await);
    node(stack, "evm_revert", (snapshot,)).await;
    // The key's nonce went back too; the lane must not leave a gap nor reuse one in vain.
    answers.push(stack.payer.pay(&chat("m", "after the reorg", false)).await);
    assert_eq!(
        answers.last().map(|answer| answer.status.as_u16()),
        Some(200),
        "{answers:?}"
    );
    settled_again(stack, 1).await;
    whole_again(stack, &answers).await;
}
