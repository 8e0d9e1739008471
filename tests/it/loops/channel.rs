//! Published clients, unmodified, pay by channels through everything that can get lost, and in the end
//! the chain has moved what was billed, to the last unit.

use super::books::{Books, Moved};
use super::front::{Front, Loses};
use super::program::{Calls, Loop};
use crate::harness::{Setup, Stack, until};

/// Calls of the long-lived process; the gateway is killed under it when it has this many answers.
const CALLS: u64 = 180;
const KILLED_AT: u64 = 80;

/// Calls of a process that comes after it, and knows of the channel only what the chain says.
const CALLS_AFRESH: u64 = 24;

#[tokio::test]
async fn the_typescript_client_pays_by_channel_through_losses_to_the_last_unit() {
    all_is_accounted_for(Loop::Node).await;
}

#[tokio::test]
async fn the_python_client_pays_by_channel_through_losses_to_the_last_unit() {
    all_is_accounted_for(Loop::Python).await;
}

async fn all_is_accounted_for(program: Loop) {
    // Deposits are small, so that channels are filled up again on the way.
    let mut stack = Stack::with(Setup {
        payment: r#"rails = ["batch-settlement", "exact"]
[channels]
deposit_min_usd = "0.0005"
claim_after_seconds = 1
watch_every_ms = 100
"#,
        ..Setup::default()
    })
    .await;
    let front = Front::before(&stack.gateway.url, Loses::Header(7)).await;
    let before = Moved::balances(&stack).await;

    let lived = Calls::by("batch-settlement", CALLS);
    let lived = program.start(&stack, &front.url, &lived);
    front.answered(KILLED_AT).await;
    stack.gateway.kill_9().await;
    stack.gateway.start("").await;
    let lived = lived.end().await;
    let afresh = Calls {
        refund: true,
        ..Calls::by("batch-settlement", CALLS_AFRESH)
    };
    let afresh = program.start(&stack, &front.url, &afresh).end().await;

    let refund = afresh.refund.clone();
    assert_eq!(refund["success"], true, "{refund}");
    let moved = until("everything is claimed, settled and refunded", || async {
        let moved = Moved::read(&stack, before).await;
        let books = Books::read(&stack).await;
        (moved.received == books.bills()).then_some(moved)
    })
    .await;
    let report = stack.reconcile().await;
    let books = Books::read(&stack).await;
    let seen = front.seen();
    let told = format!(
        "{seen:?} {moved:?} {report} {:?} {:?}",
        lived.failed, afresh.failed
    );

    lived.both_ways(CALLS);
    afresh.both_ways(CALLS_AFRESH);
    let calls: Vec<&String> = lived.calls.iter().chain(&afresh.calls).collect();
    for call in &calls {
        assert!(
            books.charged(call) > Some(0),
            "{call} is not billed: {told}"
        );
    }
    let mut once = calls.clone();
    once.sort();
    once.dedup();
    assert_eq!(once.len(), calls.len(), "no call is told twice");
    assert_eq!(afresh.failed, Vec::<String>::new(), "{told}");
    assert!(seen.lost_whole > 0 && seen.lost_streamed > 0, "{told}");
    assert!(moved.deposits > 1, "the channel is filled up: {told}");
    for reason in &seen.corrected {
        assert_eq!(
            reason,
            "invalid_batch_settlement_evm_cumulative_amount_mismatch"
        );
    }

    let bills = books.bills();
    assert_eq!(moved.received, bills, "the payee has the bills: {told}");
    assert_eq!(moved.spent, bills, "the payer paid the bills: {told}");
    assert_eq!(moved.deposited - moved.given_back, bills, "{told}");
    assert_eq!(moved.left_in_contract, 0, "{told}");
    let channels = books.channels();
    assert_eq!(channels.len(), 1, "both processes pay by one channel");
    for (channel, account) in channels {
        assert_eq!(account.bills, account.claimed, "{channel}: {told}");
    }
    let state = &refund["extra"]["channelState"];
    for figure in ["chargedCumulativeAmount", "totalClaimed", "balance"] {
        assert_eq!(state[figure], bills.to_string(), "{figure} in {refund}");
    }
}
