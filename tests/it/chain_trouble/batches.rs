//! A batch whose block is taken out of the chain: each of its calls is settled once all the same.

use super::reorgs::{pay, settled_again, whole_again};
use super::{events, moved, node, settles};
use crate::batch::{ended, permits};
use crate::harness::{Answer, Setup, Stack, chat, until};
use alloy::primitives::{Address, B256, Bytes, U256};
use alloy::sol_types::SolCall;
use groat::chain::bindings::IEip3009Token;
use groat::protocol::signature::Key;
use serde_json::json;
use std::collections::BTreeSet;

/// Four calls a batch, and nothing but a full batch sends one.
const CALLS: usize = 4;

/// Lines for `[payment]`: one rail, whose calls are settled together.
macro_rules! together {
    ($rail:literal) => {
        concat!(
            "rails = [\"",
            $rail,
            "\"]\nsettle = \"after\"\n[settler]\naddress = \"0x5e771e4000000000000000000000000000000001\"\n",
            "batch_max = 4\nbatch_wait_ms = 600000\n"
        )
    };
}

const RAILS: [&str; 3] = [
    together!("exact"),
    together!("exact-permit2"),
    together!("upto"),
];

async fn stack(payment: &'static str) -> Stack {
    let stack = Stack::with(Setup {
        settler: true,
        payment,
        ..Setup::default()
    })
    .await;
    permits(&stack, stack.payer.key.address()).await;
    stack
}

/// Pays for so many full batches, and waits until they are in the chain.
async fn batches(stack: &Stack, count: usize) -> Vec<Answer> {
    let answers = pay(stack, count * CALLS).await;
    for answer in &answers {
        ended(stack, &answer.call()).await;
    }
    assert_eq!(transactions(stack).await.len(), count);
    answers
}

/// The transactions that paid the payee.
async fn transactions(stack: &Stack) -> BTreeSet<B256> {
    let moved = moved(stack).await;
    moved.iter().map(|one| one.transaction).collect()
}

/// The calls are settled once each, in as many batches as before.
async fn settled_together_again(stack: &Stack, answers: &[Answer]) {
    // Each batch and each of its calls say that they vanished.
    settled_again(stack, answers.len() + answers.len() / CALLS).await;
    whole_again(stack, answers).await;
    let (payer, payee) = (stack.payer.key.address(), stack.chain.pay_to_key.address());
    let sum: u64 = answers.iter().map(settles).sum();
    assert_eq!(stack.balance(payee).await, sum);
    let funds = groat::chain::dev::PAYER_FUNDS;
    assert_eq!(stack.balance(payer).await, funds - sum);
    assert_eq!(transactions(stack).await.len(), answers.len() / CALLS);
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_1_batches_that_vanish_in_a_reorg_are_recorded_and_settle_each_call_once_again() {
    for rail in RAILS {
        let stack = stack(rail).await;
        let answers = batches(&stack, 2).await;
        let nothing: [u8; 0] = [];
        node(&stack, "anvil_reorg", (2, nothing)).await;
        settled_together_again(&stack, &answers).await;
        // What is paid then is settled with others as before.
        let more = batches_after(&stack, &answers).await;
        whole_again(&stack, &more).await;
    }
}

/// One more batch after these calls; answers all of them.
async fn batches_after(stack: &Stack, before: &[Answer]) -> Vec<Answer> {
    let mut answers = before.to_vec();
    for n in 0..CALLS {
        let body = chat("m", &format!("after the reorg {n}"), n % 2 == 0);
        let answer = stack.payer.pay(&body).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answers.push(answer);
    }
    answers
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_1_a_batch_that_vanishes_while_the_gateway_is_down_is_found_at_its_start() {
    for rail in RAILS {
        let mut stack = stack(rail).await;
        let answers = batches(&stack, 1).await;
        let nothing: [u8; 0] = [];
        stack.gateway.kill_9().await;
        node(&stack, "anvil_reorg", (1, nothing)).await;
        stack.gateway.start("").await;
        settled_together_again(&stack, &answers).await;
    }
}

#[cfg(feature = "failpoints")]
#[tokio::test(flavor = "multi_thread")]
async fn rule_5_killed_while_a_vanished_batch_is_sent_again_it_settles_once() {
    // A batch and its four calls vanish; then the calls are settled again, and the batch last.
    for spared in [0, 3, 5, 7, 9] {
        let failpoint = match spared {
            0 => "settle_confirmed=return".to_owned(),
            _ => format!("settle_confirmed={spared}*off->return"),
        };
        for rail in RAILS {
            let mut stack = stack(rail).await;
            let answers = batches(&stack, 1).await;
            let nothing: [u8; 0] = [];
            stack.gateway.kill_9().await;
            node(&stack, "anvil_reorg", (1, nothing)).await;
            stack.gateway.spawn(&failpoint);
            stack.gateway.wait().await;
            stack.gateway.start("").await;
            settled_together_again(&stack, &answers).await;
        }
    }
}

/// Another wallet at the same gateway, with tokens of its own.
async fn another(stack: &Stack) -> crate::harness::Payer {
    let key = Key::from_bytes(&rand::random()).expect("a key");
    let other = stack.payer.with_key(key);
    let wallet = other.key.address();
    let funds = U256::from(1_000_000);
    let minted = stack.chain.mint(stack.asset, wallet, funds).await;
    minted.expect("tokens");
    permits(stack, wallet).await;
    other
}

/// The chain changes its mind, and before the batch is in it again, one of its payers is gone with
/// the money: that call is lost, and no other.
#[tokio::test(flavor = "multi_thread")]
async fn a_payer_who_drains_the_wallet_in_a_reorg_fails_alone() {
    for rail in RAILS {
        let stack = stack(rail).await;
        let poor = another(&stack).await;
        let bad = poor.pay(&chat("m", "the bad one", false)).await;
        assert_eq!(bad.status, 200, "{bad:?}");
        let answers = pay(&stack, CALLS - 1).await;
        for answer in answers.iter().chain([&bad]) {
            let receipt = ended(&stack, &answer.call()).await;
            assert_eq!(receipt["settlement"]["status"], "settled", "{receipt}");
        }
        node(&stack, "evm_setAutomine", (false,)).await;
        let nothing: [u8; 0] = [];
        node(&stack, "anvil_reorg", (1, nothing)).await;
        until("the batch waits to be mined again", || async {
            let status = node(&stack, "txpool_status", ()).await;
            (status["pending"] == "0x1").then_some(())
        })
        .await;
        drain(&stack, poor.key.address()).await;
        node(&stack, "evm_setAutomine", (true,)).await;
        let receipt = until("the bad call is known to be lost", || async {
            let receipt = stack.receipt(&bad.call()).await;
            (receipt["settlement"]["status"] == "failed").then_some(receipt)
        })
        .await;
        assert_eq!(receipt["charged"], bad.receipt()["charged"]);
        whole_again(&stack, &answers).await;
        let reorged = events(&stack).await;
        let reorged = reorged.iter().filter(|name| *name == "settlement_reorged");
        assert!(reorged.count() >= CALLS, "each call's first settlement");
    }
}

/// Takes all tokens out of a wallet, before anything that waits to be mined.
async fn drain(stack: &Stack, wallet: Address) {
    let call = IEip3009Token::transferCall {
        to: Address::repeat_byte(0xdd),
        value: U256::from(stack.balance(wallet).await),
    };
    let data: Bytes = call.abi_encode().into();
    let ether = U256::from(10).pow(U256::from(18));
    stack.chain.fund(wallet, ether).await.expect("gas");
    node(stack, "anvil_impersonateAccount", (wallet,)).await;
    let gwei = |n: u64| U256::from(n) * U256::from(1_000_000_000_u64);
    let dear = json!({
        "from": wallet, "to": stack.asset, "data": data, "gas": "0x30d40",
        "maxFeePerGas": gwei(300), "maxPriorityFeePerGas": gwei(200),
    });
    node(stack, "eth_sendTransaction", (dear,)).await;
    node(stack, "anvil_mine", (U256::from(1),)).await;
}
