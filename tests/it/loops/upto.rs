//! By `upto`: whatever gets lost between, the chain has moved what was billed, to the last unit.
//! A payer may have many calls open here: how fast the chain settles beside other tests is not the matter.

use super::books::{Books, Moved};
use super::front::{Front, Loses};
use super::program::{Calls, Loop};
use crate::batch::permits;
use crate::harness::{Setup, Stack};

/// Calls of the long-lived process; the gateway is killed under it when it has this many answers.
const CALLS: u64 = 180;
const KILLED_AT: u64 = 80;

/// Calls of a process that comes after it.
const CALLS_AFRESH: u64 = 24;

#[tokio::test]
async fn the_typescript_client_pays_by_upto_through_losses_to_the_last_unit() {
    const ALONE: &str = r#"
rails = ["upto", "exact"]
[exposure]
payer_calls = 1000
"#;
    all_is_accounted_for(Loop::Node, ALONE, false).await;
}

#[tokio::test]
async fn the_python_client_pays_by_upto_through_a_settler_and_losses_to_the_last_unit() {
    const TOGETHER: &str = r#"
rails = ["upto", "exact"]
[settler]
address = "0x5e771e4000000000000000000000000000000001"
batch_wait_ms = 500
[exposure]
payer_calls = 1000
"#;
    all_is_accounted_for(Loop::Python, TOGETHER, true).await;
}

async fn all_is_accounted_for(program: Loop, payment: &'static str, settler: bool) {
    let mut stack = Stack::with(Setup {
        payment,
        settler,
        ..Setup::default()
    })
    .await;
    permits(&stack, stack.payer.key.address()).await;
    // By `upto` no header tells what was paid: the answer itself gets lost.
    let front = Front::before(&stack.gateway.url, Loses::Answer(23)).await;
    let before = Moved::balances(&stack).await;

    let lived = program.start(&stack, &front.url, &Calls::by("upto", CALLS));
    front.answered(KILLED_AT).await;
    stack.gateway.kill_9().await;
    stack.gateway.start("").await;
    let lived = lived.end().await;
    let afresh = Calls::by("upto", CALLS_AFRESH);
    let afresh = program.start(&stack, &front.url, &afresh).end().await;

    let report = stack.reconcile().await;
    let moved = Moved::read(&stack, before).await;
    let books = Books::read(&stack).await;
    let seen = front.seen();
    let told = format!("{seen:?} {moved:?} {report} {:?}", lived.failed);
    lived.both_ways(CALLS);
    afresh.both_ways(CALLS_AFRESH);
    let mut calls: Vec<&String> = lived.calls.iter().chain(&afresh.calls).collect();
    for call in &calls {
        assert!(
            books.charged(call) > Some(0),
            "{call} is not billed: {told}"
        );
    }
    calls.sort();
    calls.dedup();
    assert_eq!(
        calls.len() as u64,
        CALLS + CALLS_AFRESH,
        "no call is told twice"
    );
    assert!(seen.lost_whole > 0 && seen.lost_streamed > 0, "{told}");
    let lost = usize::try_from(seen.lost_whole + seen.lost_streamed).expect("few");
    assert!(
        books.count() >= calls.len() + lost,
        "what got lost is billed: {told}"
    );
    assert_eq!(seen.corrected, Vec::<String>::new(), "{told}");
    assert_eq!(
        moved.received,
        books.bills(),
        "the payee has the bills: {told}"
    );
    assert_eq!(
        moved.spent,
        books.bills(),
        "the payer paid the bills: {told}"
    );
}
