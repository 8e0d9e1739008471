//! A stop in good order: calls under way finish or are billed, and the next start finds nothing open.

use super::accounts::Accounts;
use super::books::Books;
use super::purchase::{Purchase, Seen};
use super::setup;
use super::wallet::{Rail, Wallet};
use crate::harness::{Setup, Stack, chat, until};
use futures::future::join_all;
use tokio::task::JoinHandle;

const RAILS: [Rail; 6] = [
    Rail::Exact,
    Rail::ExactPermit2,
    Rail::Upto,
    Rail::Channel(0),
    Rail::Channel(0),
    Rail::Channel(1),
];

/// Buys one call on each of the rails, of one model after the other, streamed and whole in turn, and
/// waits until the upstream has all of them.
async fn begun(stack: &Stack, wallet: &Wallet, models: &[&str]) -> Vec<JoinHandle<Purchase>> {
    let mut sent = Vec::new();
    for ((n, rail), model) in RAILS.into_iter().enumerate().zip(models.iter().cycle()) {
        let body = chat(model, &format!("drain {n}"), n.is_multiple_of(2));
        let purchase = Purchase::sign(wallet, rail, body, true).await;
        sent.push(tokio::spawn(purchase.send(stack.payer.clone())));
    }
    until("the upstream has the calls", || async {
        (stack.seen().await.total >= RAILS.len() as u64).then_some(())
    })
    .await;
    sent
}

async fn ended(sent: Vec<JoinHandle<Purchase>>, wallet: &mut Wallet) -> Vec<Purchase> {
    let ended = join_all(sent).await.into_iter();
    let purchases: Vec<Purchase> = ended.map(|one| one.expect("no panic")).collect();
    for purchase in &purchases {
        purchase.heard_by(wallet);
    }
    purchases
}

async fn agreed(stack: &Stack, wallet: &Wallet, purchases: &[Purchase]) {
    stack.reconcile().await;
    let books = Books::read(stack).await;
    assert_eq!(books.calls.len(), purchases.len());
    assert_eq!(books.stale_receipts(), Vec::<String>::new());
    books.agree_with(purchases);
    books.agree_with_upstream(purchases, stack).await;
    let accounts = Accounts::read(stack, wallet).await;
    accounts.agree_with(&books);
    accounts.channels_agree(&books, wallet, stack).await;
}

async fn stack(setup: Setup) -> (Stack, Wallet) {
    let stack = Stack::with(setup).await;
    crate::batch::permits(&stack, stack.payer.key.address()).await;
    let wallet = Wallet::of(&stack).await;
    (stack, wallet)
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_7_a_stop_lets_calls_under_way_finish() {
    let (mut stack, mut wallet) = stack(Setup {
        models: vec![("slow", "sim/small?tps=60&head=50")],
        ..setup(true)
    })
    .await;
    let sent = begun(&stack, &wallet, &["slow"]).await;
    assert!(
        stack.gateway.terminate().await,
        "a drained stop is a success"
    );
    let mut purchases = ended(sent, &mut wallet).await;
    for purchase in &purchases {
        assert!(
            matches!(purchase.seen, Seen::Whole),
            "cut by the stop: {purchase:?}"
        );
    }
    stack.gateway.start("").await;
    assert_eq!(
        stack.report().await["calls_open"],
        0,
        "the stop left nothing to take up"
    );
    for purchase in &mut purchases {
        purchase.send_again(&mut wallet, &stack).await;
    }
    agreed(&stack, &wallet, &purchases).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_7_what_outlives_the_drain_is_finished_by_the_next_start() {
    let (mut stack, mut wallet) = stack(Setup {
        models: vec![("hang", "sim/hang"), ("endless", "sim/small?tps=1&out=256")],
        gateway: "drain_seconds = 0",
        ..setup(true)
    })
    .await;
    let sent = begun(&stack, &wallet, &["hang", "endless", "endless"]).await;
    assert!(
        stack.gateway.terminate().await,
        "a stop does not wait for ever"
    );
    let mut purchases = ended(sent, &mut wallet).await;
    for purchase in &purchases {
        assert!(!matches!(purchase.seen, Seen::Whole), "{purchase:?}");
    }
    stack.gateway.start("").await;
    let report = stack.reconcile().await;
    let total = |name: &str| report["totals"][0][name].as_u64().unwrap_or(0);
    let charged = (total("captured"), total("channels_captured"));
    assert_eq!(charged, (0, 0), "nothing is charged: {report}");
    for purchase in &mut purchases {
        purchase.send_again(&mut wallet, &stack).await;
        assert!(
            matches!(&purchase.seen, Seen::Gone(code) if code == "call_voided"),
            "{purchase:?}"
        );
    }
    agreed(&stack, &wallet, &purchases).await;
}
