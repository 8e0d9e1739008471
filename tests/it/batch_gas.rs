//! What a paid call costs in gas on a real node, as `docs/gas.md` says it.

use crate::batch::{calls, ended, permits};
use crate::channels::client::Client;
use crate::harness::{Setup, Stack, chat};
use alloy::primitives::{U64, U256};
use groat::protocol::addresses::BATCH_SETTLEMENT;
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
    let mut sum = 0;
    for transaction in transactions {
        sum += gas_of(stack, &transaction).await;
    }
    sum / ids.len() as u64
}

async fn gas_of(stack: &Stack, transaction: &str) -> u64 {
    let rpc = &stack.chain.rpc;
    let receipt: Value = rpc
        .request("eth_getTransactionReceipt", (transaction.to_owned(),))
        .await
        .expect("a receipt");
    let used: U64 = serde_json::from_value(receipt["gasUsed"].clone()).expect("gas");
    used.to()
}

/// The gas of a call by `exact`, so many of them settled; the first of all is not counted, as its
/// payee had nothing before.
async fn exact(together: bool, count: usize) -> u64 {
    let stack = stack("exact", together).await;
    let payee = stack.chain.pay_to_key.address();
    let minted = stack.chain.mint(stack.asset, payee, U256::ONE).await;
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

/// The same of a rail that goes by Permit2.
async fn by_permit2(rail: &str, together: bool, count: usize) -> u64 {
    let stack = stack(rail, together).await;
    let payee = stack.chain.pay_to_key.address();
    let minted = stack.chain.mint(stack.asset, payee, U256::ONE).await;
    minted.expect("tokens");
    let calls = calls(&stack.payer, count).await;
    let ids: Vec<String> = calls.into_iter().map(|(id, _)| id).collect();
    gas(&stack, &ids).await
}

/// The gas of filling a channel, and by call that of claiming and paying out so many calls of one
/// channel. An operator at work: the contract holds tokens, and claimed of the channel before.
async fn channels(counts: [usize; 3]) -> (u64, [u64; 3]) {
    let stack = stack("batch-settlement", false).await;
    for holder in [stack.chain.pay_to_key.address(), BATCH_SETTLEMENT] {
        let minted = stack.chain.mint(stack.asset, holder, U256::ONE).await;
        minted.expect("tokens");
    }
    // Each voucher is another one, so that the same words are another call.
    let body = chat("m", "a call", false);
    let mut client = Client::new(&stack);
    let required = client.payer.challenge(&body).await;
    let signed = client.sign_for(&required);
    let answer = client.payer.send(&body, &signed.header).await;
    let filled = client.read(&signed, &answer.expect("an answer"));
    let deposit = gas_of(&stack, &filled.transaction).await;
    claimed_and_paid(&stack).await;
    let mut by_call = [0; 3];
    for (gas, count) in by_call.iter_mut().zip(counts) {
        for _ in 0..count {
            let signed = client.sign_for(&required);
            let answer = client.payer.send(&body, &signed.header).await;
            client.read(&signed, &answer.expect("an answer"));
        }
        let count = count as u64;
        *gas = (claimed_and_paid(&stack).await + count / 2) / count;
    }
    (deposit, by_call)
}

/// Has all that was charged claimed and paid out, and says what that took.
async fn claimed_and_paid(stack: &Stack) -> u64 {
    let mut sum = 0;
    for step in ["/claim", "/settle"] {
        let done = stack.admin(step).await;
        let operations = done["operations"].as_array().expect("operations");
        assert_eq!(operations.len(), 1, "{done}");
        let transaction = operations[0]["transaction"].as_str();
        sum += gas_of(stack, transaction.expect("a transaction")).await;
    }
    sum
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
    let permit2 = "exact-permit2";
    let (deposit, [ten, hundred, thousand]) = channels([10, 100, 1000]).await;
    let measured = [
        ("`exact`, alone", exact(false, 2).await),
        ("`exact`, 50 in one transaction", exact(true, 50).await),
        (
            "`exact-permit2`, alone",
            by_permit2(permit2, false, 2).await,
        ),
        ("`upto`, alone", by_permit2("upto", false, 2).await),
        (
            "`upto`, 50 in one transaction",
            by_permit2("upto", true, 50).await,
        ),
        ("a channel, 10 calls a claim", ten),
        ("a channel, 100 calls a claim", hundred),
        ("a channel, 1,000 calls a claim", thousand),
        ("a channel's first deposit", deposit),
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
