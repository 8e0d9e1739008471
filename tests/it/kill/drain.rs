//! A stop in good order: calls under way finish or are billed, and the next start finds nothing open.

use super::books::Books;
use super::purchase::{Purchase, Seen};
use crate::harness::{Setup, Stack, chat, until};

/// Waits until the upstream has this many calls under way.
async fn upstream_busy(stack: &Stack, calls: u64) {
    until("the upstream has the calls", || async {
        (stack.seen().await.total >= calls).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_7_a_stop_lets_calls_under_way_finish() {
    let models = vec![("slow", "sim/small?tps=60&head=50")];
    let mut stack = Stack::with(Setup {
        models,
        ..Setup::default()
    })
    .await;
    let mut sent = Vec::new();
    for n in 0..6 {
        let purchase = Purchase::sign(
            &stack.payer,
            chat("slow", &format!("drain {n}"), n % 2 == 0),
        )
        .await;
        sent.push(tokio::spawn(purchase.send(stack.payer.clone())));
    }
    upstream_busy(&stack, 6).await;
    assert!(
        stack.gateway.terminate().await,
        "a drained stop is a success"
    );

    let mut purchases = Vec::new();
    for one in sent {
        let purchase = one.await.expect("no panic");
        assert!(
            matches!(purchase.seen, Seen::Whole(_)),
            "cut by the stop: {purchase:?}"
        );
        purchases.push(purchase);
    }
    stack.gateway.start("").await;
    assert_eq!(
        stack.report().await["calls_open"],
        0,
        "the stop left nothing to take up"
    );
    for purchase in &mut purchases {
        purchase.send_again(&stack.payer).await;
    }
    stack.reconcile().await;
    let books = Books::read(&stack).await;
    assert_eq!(books.calls(), purchases.len());
    assert_eq!(books.stale_receipts(), Vec::<String>::new());
    books.agree_with(&purchases);
    books.agree_with_upstream(&stack).await;
    books.agree_with_chain(&stack).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_7_what_outlives_the_drain_is_finished_by_the_next_start() {
    let models = vec![("hang", "sim/hang"), ("endless", "sim/small?tps=1&out=256")];
    let mut stack = Stack::with(Setup {
        models,
        gateway: "drain_seconds = 0",
        ..Setup::default()
    })
    .await;
    let mut sent = Vec::new();
    for (model, stream) in [("hang", false), ("endless", true), ("endless", false)] {
        let purchase = Purchase::sign(&stack.payer, chat(model, "outlives", stream)).await;
        sent.push(tokio::spawn(purchase.send(stack.payer.clone())));
    }
    upstream_busy(&stack, 3).await;
    assert!(
        stack.gateway.terminate().await,
        "a stop does not wait for ever"
    );

    let mut purchases = Vec::new();
    for one in sent {
        let purchase = one.await.expect("no panic");
        assert!(!matches!(purchase.seen, Seen::Whole(_)), "{purchase:?}");
        purchases.push(purchase);
    }
    stack.gateway.start("").await;
    let report = stack.reconcile().await;
    assert_eq!(
        report["totals"][0]["captured"].as_u64().unwrap_or(0),
        0,
        "nothing is charged: {report}"
    );
    for purchase in &mut purchases {
        purchase.send_again(&stack.payer).await;
        assert!(
            matches!(&purchase.seen, Seen::Gone(code) if code == "call_voided"),
            "{purchase:?}"
        );
    }
    let books = Books::read(&stack).await;
    books.agree_with(&purchases);
    books.agree_with_upstream(&stack).await;
    books.agree_with_chain(&stack).await;
}
