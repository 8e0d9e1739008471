//! What a paid call costs in gas on a real node, as `docs/gas.md` says it.

use crate::batch::{calls, ended, permits};
use crate::harness::{Setup, Stack, chat};
use alloy::primitives::U64;
use groat::chain::Rpc;
use serde_json::Value;
use std::collections::BTreeSet;

const SETTLER: &str = r#"
[settler]
address = "0x5e771e4000000000000000000000000000000001"
batch_max = 50
batch_wait_ms = 600000
"#;

const EXPOSURE: &str = "\n[exposure]\npayer_calls = 1000\n";

/// How many percent a figure may be beside the documented one: addresses and nonces differ in their
/// zero bytes.
const TOLERANCE: u64 = 3;

async fn stack(rail: &str, together: bool) -> Stack {
    let settler = if together { SETTLER } else { "" };
    let lines = format!("rails = [\"{rail}\"]\nsettle = \"after\"\n{settler}{EXPOSURE}");
    let stack = Stack::with(Setup {
        settler: together,
        payment: Box::leak(lines.into_boxed_str()),
        ..Setup::default()
    })
    .await;
    permits(&stack, stack.payer.key.address()).await;
    stack
}

/// The gas of the transactions that settled these calls, by call.
async fn gas(stack: &Stack, ids: &[String]) -> u64 {
    let mut transactions = BTreeSet::new();
    for call in ids {
        let receipt = ended(stack, call).await;
        let transaction = receipt["settlement"]["transaction"].as_str();
        transactions.insert(transaction.expect("a transaction").to_owned());
    }
    let rpc = Rpc::connect(&stack.chain.rpc_url, stack.chain.chain_id).await;
    let rpc = rpc.expect("the chain");
    let mut sum = 0;
    for transaction in transactions {
        let receipt: Value = rpc
            .request("eth_getTransactionReceipt", (transaction,))
            .await
            .expect("a receipt");
        let used: U64 = serde_json::from_value(receipt["gasUsed"].clone()).expect("gas");
        sum += used.to::<u64>();
    }
    sum / ids.len() as u64
}

/// The gas of a call by `exact`, so many of them settled; the first of all is not counted, as its
/// payee had nothing before.
async fn exact(together: bool, count: usize) -> u64 {
    let stack = stack("exact", together).await;
    let payee = stack.chain.pay_to_key.address();
    let before = alloy::primitives::U256::ONE;
    let minted = stack.chain.mint(stack.asset, payee, before).await;
    minted.expect("tokens");
    let mut ids = Vec::new();
    for n in 0..count {
        let answer = stack
            .payer
            .pay(&chat("m", &format!("call {n}"), false))
            .await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        ids.push(answer.call());
    }
    gas(&stack, &ids).await
}

async fn upto(together: bool, count: usize) -> u64 {
    let stack = stack("upto", together).await;
    let payee = stack.chain.pay_to_key.address();
    let before = alloy::primitives::U256::ONE;
    let minted = stack.chain.mint(stack.asset, payee, before).await;
    minted.expect("tokens");
    let calls = calls(&stack.payer, count).await;
    let ids: Vec<String> = calls.into_iter().map(|(id, _)| id).collect();
    gas(&stack, &ids).await
}

#[tokio::test]
async fn a_paid_call_takes_the_gas_that_the_documents_say() {
    let page = include_str!("../../docs/gas.md");
    let documented = |row: &str| -> u64 {
        let start = format!("| {row} |");
        let line = page.lines().find(|line| line.starts_with(&start));
        let line = line.unwrap_or_else(|| panic!("docs/gas.md has no row {row:?}"));
        let cell = line.split('|').nth(2).expect("a cell");
        cell.trim().replace(',', "").parse().expect("a figure")
    };
    let measured = [
        ("`exact`, alone", exact(false, 2).await),
        ("`exact`, 50 in one transaction", exact(true, 50).await),
        ("`upto`, alone", upto(false, 2).await),
        ("`upto`, 50 in one transaction", upto(true, 50).await),
    ];
    for (row, gas) in measured {
        let said = documented(row);
        let apart = said.abs_diff(gas) * 100;
        assert!(
            apart <= said * TOLERANCE,
            "{row}: {gas} gas, and docs/gas.md says {said}; all: {measured:?}"
        );
    }
}
