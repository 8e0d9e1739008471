//! Calls settled together by the settler, through the built gateway.

use crate::faults::{holds, units};
use crate::harness::{Payer, Setup, Stack, chat, total, until};
use alloy::primitives::{Address, B256, Bytes, U256};
use alloy::sol_types::SolCall;
use futures::StreamExt;
use groat::chain::bindings::IErc20;
use groat::chain::{Rpc, Transfer};
use groat::protocol::addresses::PERMIT2;
use groat::protocol::eip3009;
use groat::protocol::signature::Key;
use serde_json::Value;
use std::collections::BTreeSet;

/// Twenty calls a batch, and nothing but a full batch or a stop sends one.
const UPTO: &str = r#"
rails = ["upto"]
[settler]
address = "0x5e771e4000000000000000000000000000000001"
batch_max = 20
batch_wait_ms = 600000
[exposure]
payer_calls = 1000
"#;

const EXACT: &str = r#"
rails = ["exact"]
settle = "after"
[settler]
address = "0x5e771e4000000000000000000000000000000001"
batch_max = 10
batch_wait_ms = 600000
[exposure]
payer_calls = 1000
"#;

const EXACT_PERMIT2: &str = r#"
rails = ["exact-permit2"]
settle = "after"
[settler]
address = "0x5e771e4000000000000000000000000000000001"
batch_max = 10
batch_wait_ms = 600000
[exposure]
payer_calls = 1000
"#;

async fn stack(payment: &'static str, failpoints: &'static str) -> Stack {
    let stack = Stack::with(Setup {
        settler: true,
        payment,
        failpoints,
        ..Setup::default()
    })
    .await;
    permits(&stack, stack.payer.key.address()).await;
    stack
}

/// A wallet lets Permit2 take everything.
pub(crate) async fn permits(stack: &Stack, wallet: Address) {
    let approve = IErc20::approveCall {
        spender: PERMIT2,
        value: U256::MAX,
    };
    let approve: Bytes = approve.abi_encode().into();
    let done = stack.chain.send_as(wallet, stack.asset, approve).await;
    done.expect("an approval");
}

/// Pays for so many calls, four at a time, whole and streamed; answers their bills by id.
pub(crate) async fn calls(payer: &Payer, count: usize) -> Vec<(String, u64)> {
    let one = |n: usize| async move {
        let body = chat("m", &format!("call {n}"), n.is_multiple_of(2));
        let answer = payer.pay(&body).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let receipt = answer.receipt();
        holds(&receipt);
        (answer.call(), units(&receipt, "charged"))
    };
    futures::stream::iter(0..count)
        .map(one)
        .buffer_unordered(4)
        .collect()
        .await
}

/// The transactions that settled these calls, once all are settled.
async fn transactions(stack: &Stack, calls: &[(String, u64)]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (call, charged) in calls {
        let receipt = ended(stack, call).await;
        assert_eq!(receipt["settlement"]["status"], "settled", "{receipt}");
        assert_eq!(units(&receipt, "charged"), *charged, "the bill stands");
        let transaction = receipt["settlement"]["transaction"].as_str();
        found.insert(transaction.expect("a transaction").to_owned());
    }
    found
}

/// A call's receipt, once its settlement has an end.
pub(crate) async fn ended(stack: &Stack, call: &str) -> Value {
    until("the settlement has an end", || async {
        let receipt = stack.receipt(call).await;
        (receipt["settlement"]["status"] != "pending").then_some(receipt)
    })
    .await
}

/// How many transactions the relayer has in the chain.
async fn sent(stack: &Stack) -> u64 {
    let rpc = Rpc::connect(&stack.chain.rpc_url, stack.chain.chain_id).await;
    let relayer = stack.chain.relayer_key.address();
    let count: alloy::primitives::U64 = rpc
        .expect("the chain")
        .request("eth_getTransactionCount", (relayer, "latest"))
        .await
        .expect("a count");
    count.to()
}

fn sum(calls: &[(String, u64)]) -> u64 {
    calls.iter().map(|(_, charged)| charged).sum()
}

#[tokio::test]
async fn rule_1_sixty_calls_settled_in_three_transactions_move_the_sum_of_their_bills() {
    let stack = stack(UPTO, "").await;
    let (payer, payee) = (stack.payer.key.address(), stack.chain.pay_to_key.address());
    let before = (stack.balance(payer).await, stack.balance(payee).await);
    let calls = calls(&stack.payer, 60).await;
    assert_eq!(transactions(&stack, &calls).await.len(), 3);
    assert_eq!(sent(&stack).await, 3);
    let after = (stack.balance(payer).await, stack.balance(payee).await);
    assert_eq!(before.0 - after.0, sum(&calls));
    assert_eq!(after.1 - before.1, sum(&calls));
    let report = stack.reconcile().await;
    assert_eq!(total(&report, "captured"), sum(&calls) as i64);
}

#[tokio::test]
async fn rule_1_calls_by_exact_permit2_are_settled_together_and_the_change_is_credit() {
    let stack = stack(EXACT_PERMIT2, "").await;
    let (payer, payee) = (stack.payer.key.address(), stack.chain.pay_to_key.address());
    let before = (stack.balance(payer).await, stack.balance(payee).await);
    let calls = calls(&stack.payer, 20).await;
    assert_eq!(transactions(&stack, &calls).await.len(), 2);
    assert_eq!(sent(&stack).await, 2);
    let mut held = 0;
    for (call, _) in &calls {
        held += units(&stack.receipt(call).await, "held");
    }
    assert_eq!(before.0 - stack.balance(payer).await, held);
    assert_eq!(stack.balance(payee).await - before.1, held);
    let report = stack.reconcile().await;
    assert_eq!(total(&report, "settled"), held as i64);
    assert_eq!(total(&report, "captured"), sum(&calls) as i64);
    assert_eq!(total(&report, "available"), (held - sum(&calls)) as i64);
}

#[tokio::test]
async fn a_payer_who_drains_the_wallet_fails_alone() {
    let stack = stack(UPTO, "").await;
    let poor = stack
        .payer
        .with_key(Key::from_bytes(&rand::random()).expect("a key"));
    let wallet = poor.key.address();
    let funds = U256::from(1_000_000);
    let minted = stack.chain.mint(stack.asset, wallet, funds).await;
    minted.expect("tokens");
    permits(&stack, wallet).await;
    let payer = stack.payer.key.address();
    let before = stack.balance(payer).await;
    let mut good = calls(&stack.payer, 10).await;
    let bad = calls(&poor, 1).await;
    stack.drain(wallet).await;
    good.extend(calls(&stack.payer, 9).await);
    assert_eq!(transactions(&stack, &good).await.len(), 1);
    for (call, _) in &bad {
        let receipt = ended(&stack, call).await;
        assert_eq!(receipt["settlement"]["status"], "failed", "{receipt}");
    }
    assert_eq!(before - stack.balance(payer).await, sum(&good));
    assert_eq!(sent(&stack).await, 1);
    let report = stack.reconcile().await;
    assert_eq!(total(&report, "settled"), sum(&good) as i64);
}

#[tokio::test]
async fn rule_2_a_stranger_who_settles_one_of_a_batch_settles_for_us() {
    let stack = stack(EXACT, "").await;
    let payer = stack.payer.key.address();
    let before = stack.balance(payer).await;
    let mut held = 0;
    let mut ids = Vec::new();
    for n in 0..10 {
        let body = chat("m", &format!("call {n}"), false);
        let required = stack.payer.challenge(&body).await;
        let offer = required.accepts.first().expect("an offer");
        let authorization = stack.payer.authorization(offer);
        let header = stack.payer.header_of(&required, &authorization);
        let answer = stack.payer.send(&body, &header).await.expect("an answer");
        assert_eq!(answer.status, 200, "{}", answer.body);
        held += units(&answer.receipt(), "ceiling");
        ids.push(answer.call());
        if n == 4 {
            let terms = eip3009::Terms::of(offer).expect("terms");
            let stolen = Transfer {
                asset: stack.asset,
                from: payer,
                to: authorization.to,
                value: authorization.value,
                valid_after: authorization.valid_after,
                valid_before: authorization.valid_before,
                nonce: authorization.nonce,
                signature: stack.payer.signature(offer, &authorization).into(),
                digest: eip3009::digest(&authorization, &terms),
            };
            let stranger = Address::repeat_byte(0x57);
            let calldata = stolen.calldata(false);
            let done = stack.chain.send_as(stranger, stack.asset, calldata).await;
            done.expect("the stranger's transaction");
        }
    }
    let mut found = BTreeSet::new();
    for call in &ids {
        let receipt = ended(&stack, call).await;
        assert_eq!(receipt["settlement"]["status"], "settled", "{receipt}");
        let transaction = receipt["settlement"]["transaction"].as_str();
        found.insert(transaction.expect("a transaction").to_owned());
    }
    assert_eq!(found.len(), 2, "the batch and the stranger's");
    assert_eq!(sent(&stack).await, 1, "nothing is sent for what is done");
    assert_eq!(before - stack.balance(payer).await, held);
    stack.reconcile().await;
}

#[tokio::test]
async fn rule_5_killed_at_any_point_of_a_batch_each_call_is_settled_once() {
    for failpoint in [
        "batch=return",
        "settle_sent=return",
        "settle_confirmed=return",
    ] {
        let mut stack = stack(UPTO, failpoint).await;
        let payer = stack.payer.key.address();
        let before = stack.balance(payer).await;
        let first = calls(&stack.payer, 19).await;
        // The process dies by the last call's batch; its answer may be lost, its bill is not.
        let body = chat("m", "the last", false);
        let payment = stack.payer.payment(&body).await;
        let _ = stack.payer.send(&body, &payment).await;
        stack.gateway.wait().await;
        stack.gateway.start("").await;
        let transactions = transactions(&stack, &first).await;
        assert_eq!(transactions.len(), 1, "{failpoint}");
        let report = stack.reconcile().await;
        let moved = before - stack.balance(payer).await;
        assert_eq!(total(&report, "captured"), moved as i64, "{failpoint}");
        assert!(
            moved > sum(&first),
            "{failpoint}: the last call is paid too"
        );
        assert_eq!(sent(&stack).await, 1, "{failpoint}");
        // And once more, with all of it settled: it is watched, and nothing is sent.
        stack.gateway.kill_9().await;
        stack.gateway.start("").await;
        stack.reconcile().await;
        assert_eq!(sent(&stack).await, 1, "{failpoint}");
    }
}

#[tokio::test]
async fn a_batch_that_was_too_long_to_keep_is_signed_anew_after_a_restart() {
    const LONG: &str = r#"
rails = ["upto"]
[settler]
address = "0x5e771e4000000000000000000000000000000001"
batch_max = 30
batch_wait_ms = 600000
[exposure]
payer_calls = 1000
"#;
    let mut stack = Stack::with(Setup {
        settler: true,
        payment: LONG,
        // What is sent again for being old would hide what is sent again for being lost.
        chain: "bump_after_ms = 600000\n",
        failpoints: "settle_sent=return",
        ..Setup::default()
    })
    .await;
    permits(&stack, stack.payer.key.address()).await;
    let first = calls(&stack.payer, 29).await;
    let body = chat("m", "the last", false);
    let payment = stack.payer.payment(&body).await;
    let _ = stack.payer.send(&body, &payment).await;
    stack.gateway.wait().await;
    stack.gateway.start("").await;
    assert_eq!(transactions(&stack, &first).await.len(), 1);
    assert_eq!(sent(&stack).await, 1);
    stack.reconcile().await;
}

#[tokio::test]
async fn rule_7_a_stop_sends_what_waits_to_be_settled_with_others() {
    let mut stack = stack(UPTO, "").await;
    let payer = stack.payer.key.address();
    let before = stack.balance(payer).await;
    let calls = calls(&stack.payer, 5).await;
    assert_eq!(before, stack.balance(payer).await, "they wait for others");
    assert!(stack.gateway.terminate().await);
    assert_eq!(before - stack.balance(payer).await, sum(&calls));
    // The last call may have become due after the stop had sent the others.
    let transactions_sent = sent(&stack).await;
    assert!((1..=2).contains(&transactions_sent), "{transactions_sent}");
    stack.gateway.start("").await;
    let settled = transactions(&stack, &calls).await.len();
    assert_eq!(settled as u64, transactions_sent);
    stack.reconcile().await;
}

#[tokio::test]
async fn a_batch_that_cannot_be_sent_leaves_its_calls_to_be_settled_one_by_one() {
    let stack = stack(EXACT, "").await;
    let payer = stack.payer.key.address();
    let before = stack.balance(payer).await;
    let relayer = stack.chain.relayer_key.address();
    let rpc = Rpc::connect(&stack.chain.rpc_url, stack.chain.chain_id).await;
    let rpc = rpc.expect("the chain");
    // Whoever runs the settler takes the relayer away.
    let slot = alloy::primitives::keccak256(alloy::sol_types::SolValue::abi_encode(&(
        relayer,
        U256::ZERO,
    )));
    let settler = groat::chain::dev::SETTLER;
    let _: Value = rpc
        .request("anvil_setStorageAt", (settler, slot, B256::ZERO))
        .await
        .expect("the settler's storage");
    let mut ids = Vec::new();
    let mut held = 0;
    for n in 0..10 {
        let answer = stack
            .payer
            .pay(&chat("m", &format!("call {n}"), false))
            .await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        held += units(&answer.receipt(), "ceiling");
        ids.push(answer.call());
    }
    for call in &ids {
        let receipt = ended(&stack, call).await;
        assert_eq!(receipt["settlement"]["status"], "settled", "{receipt}");
    }
    assert_eq!(before - stack.balance(payer).await, held);
    assert_eq!(sent(&stack).await, 10);
    stack.reconcile().await;
}
