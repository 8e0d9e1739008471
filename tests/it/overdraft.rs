//! One wallet, more signed payments than it has money.

use crate::harness::{Payer, Setup, Stack, chat};
use alloy::primitives::U256;
use alloy::signers::local::PrivateKeySigner;
use futures::future::join_all;
use groat::protocol::signature::Key;

#[tokio::test]
async fn rule_13_a_wallet_is_served_no_more_calls_at_once_than_it_can_pay() {
    let setup = Setup {
        models: vec![("slow", "sim/gpt?delay=400")],
        ..Setup::default()
    };
    let stack = Stack::with(setup).await;
    let wallet = PrivateKeySigner::random();
    let key = Key::from_hex(&format!("{:#x}", wallet.to_bytes())).expect("a key");
    let payer = Payer {
        key,
        ..stack.payer.clone()
    };
    let bodies: Vec<String> = (10..34)
        .map(|n| chat("slow", &format!("question {n}"), false))
        .collect();
    let quote = payer.challenge(&bodies[0]).await.accepts[0].amount.atomic();
    let funds = U256::from(quote * 3);
    stack
        .chain
        .mint(stack.asset, wallet.address(), funds)
        .await
        .expect("three calls' money");

    let answers = join_all(bodies.iter().map(|body| payer.pay(body))).await;

    let served = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(served, 3);
    for refused in answers.iter().filter(|answer| answer.status != 200) {
        assert_eq!(refused.status, 402);
        assert_eq!(refused.reason(), "invalid_exact_evm_insufficient_balance");
    }
    assert_eq!(
        stack.seen().await.total,
        3,
        "calls upstream that nobody could pay"
    );
    stack.reconcile().await;
}
