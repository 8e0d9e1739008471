//! `strict = true`, the letter of the channels' specification: published clients pay, whole and streamed, one
//! call after another and without ever asking the chain; of two at once the second is told that the
//! channel is busy.

use super::books::{Books, Moved};
use super::front::{Front, Loses};
use super::program::{Calls, Loop};
use crate::harness::{Setup, Stack, until};

const CALLS: u64 = 40;

async fn stack() -> Stack {
    Stack::with(Setup {
        models: vec![("slow", "sim/small?delay=1500")],
        payment: r#"rails = ["batch-settlement"]
[channels]
strict = true
deposit_min_usd = "0.0005"
watch_every_ms = 100
"#,
        ..Setup::default()
    })
    .await
}

#[tokio::test]
async fn by_the_letter_the_typescript_client_pays_one_call_after_another() {
    one_after_another(Loop::Node).await;
}

#[tokio::test]
async fn by_the_letter_the_python_client_pays_one_call_after_another() {
    one_after_another(Loop::Python).await;
}

async fn one_after_another(program: Loop) {
    let stack = stack().await;
    let front = Front::before(&stack.gateway.url, Loses::Header(u64::MAX)).await;
    let before = Moved::balances(&stack).await;
    let calls = Calls {
        at_once: 1,
        reads_chain: false,
        refund: true,
        ..Calls::by("batch-settlement", CALLS)
    };
    let said = program.start(&stack, &front.url, &calls).end().await;
    said.both_ways(CALLS);
    assert_eq!(said.failed, Vec::<String>::new(), "{said:?}");
    assert_eq!(
        front.seen().corrected,
        Vec::<String>::new(),
        "no count was off"
    );
    let moved = until("everything is claimed, settled and refunded", || async {
        let moved = Moved::read(&stack, before).await;
        let books = Books::read(&stack).await;
        (moved.received == books.bills()).then_some(moved)
    })
    .await;
    let books = Books::read(&stack).await;
    assert!(said.calls.iter().all(|call| books.charged(call) > Some(0)));
    assert_eq!(moved.spent, books.bills(), "{moved:?}");
    assert!(moved.deposits > 1, "the channel is filled up: {moved:?}");
    assert_eq!(moved.left_in_contract, 0, "{moved:?}");
    stack.reconcile().await;
}

#[tokio::test]
async fn by_the_letter_the_second_of_two_calls_finds_the_channel_busy() {
    for program in [Loop::Node, Loop::Python] {
        let stack = stack().await;
        let calls = Calls {
            model: "slow",
            gives_up: true,
            ..Calls::by("batch-settlement", 6)
        };
        let said = program
            .start(&stack, &stack.gateway.url, &calls)
            .end()
            .await;
        assert_eq!(said.calls.len() + said.failed.len(), 6, "{said:?}");
        assert!(
            !said.calls.is_empty() && !said.failed.is_empty(),
            "{said:?}"
        );
        let busy = "invalid_batch_settlement_evm_channel_busy";
        let busy = said.failed.iter().all(|why| why.contains(busy));
        assert!(busy, "{program:?}: {said:?}");
        stack.reconcile().await;
    }
}
