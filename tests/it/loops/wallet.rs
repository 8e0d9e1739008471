//! A contract that takes its owner's signatures for its own (ERC-1271) pays by the published TypeScript
//! client: by `exact`, and out of a channel whose vouchers it judges itself.

use super::books::{Books, Moved};
use super::program::{Calls, Loop};
use crate::channels::trouble::wallet;
use crate::harness::{Setup, Stack, until};

#[tokio::test]
async fn a_contract_wallet_pays_by_exact_with_the_typescript_client() {
    let stack = Stack::usual().await;
    let wallet = wallet(&stack).await;
    let funds = stack.balance(wallet).await;
    let calls = Calls {
        wallet: Some(wallet),
        ..Calls::by("exact", 6)
    };
    let said = Loop::Node
        .start(&stack, &stack.gateway.url, &calls)
        .end()
        .await;
    said.both_ways(6);
    assert_eq!(said.failed, Vec::<String>::new());
    let report = stack.reconcile().await;
    let settled = report["totals"][0]["settled"].as_u64().expect("a sum");
    assert!(settled > 0);
    assert_eq!(funds - stack.balance(wallet).await, settled);
}

#[tokio::test]
async fn a_contract_wallet_pays_by_channel_with_the_typescript_client() {
    let stack = Stack::with(Setup {
        payment: r#"rails = ["batch-settlement"]
[channels]
deposit_min_usd = "0.0005"
watch_every_ms = 100
"#,
        ..Setup::default()
    })
    .await;
    let wallet = wallet(&stack).await;
    let funds = stack.balance(wallet).await;
    let before = Moved::balances(&stack).await;
    let calls = Calls {
        wallet: Some(wallet),
        refund: true,
        ..Calls::by("batch-settlement", 24)
    };
    let said = Loop::Node
        .start(&stack, &stack.gateway.url, &calls)
        .end()
        .await;
    said.both_ways(24);
    assert_eq!(said.failed, Vec::<String>::new());
    assert_eq!(said.refund["success"], true, "{said:?}");
    until("everything is claimed, settled and refunded", || async {
        let moved = Moved::read(&stack, before).await;
        let books = Books::read(&stack).await;
        (moved.received == books.bills()).then_some(())
    })
    .await;
    let books = Books::read(&stack).await;
    assert!(said.calls.iter().all(|call| books.charged(call) > Some(0)));
    let spent = u128::from(funds - stack.balance(wallet).await);
    assert_eq!(spent, books.bills());
    stack.reconcile().await;
}
