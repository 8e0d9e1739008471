//! Published clients pay by `upto`, unmodified: the chain moves what was billed and nothing else.

use super::{approve, balance};
use crate::clients::{AT_ONCE, Program};
use crate::harness::{Setup, Stack, chat};
use alloy::primitives::U256;
use futures::{StreamExt, stream};
use serde_json::Value;

/// The published packages that sign `upto`.
const PROGRAMS: [Program; 5] = [
    Program::Node("x402-fetch-v2"),
    Program::Node("x402-axios"),
    Program::Python("x402_httpx"),
    Program::Python("x402_requests"),
    Program::Rust,
];

#[tokio::test]
async fn clients_pay_the_bill_alone_from_a_standing_allowance() {
    let stack = Stack::usual().await;
    approve(&stack, U256::MAX).await;
    let calls = PROGRAMS
        .iter()
        .flat_map(|program| ["whole", "stream", "whole", "stream"].map(|mode| (*program, mode)));
    let outcomes = stream::iter(calls.enumerate()).map(|(n, (program, mode))| {
        paid(
            &stack,
            program,
            mode,
            n,
            vec![("SCHEMES", "upto".to_owned())],
        )
    });
    let outcomes: Vec<_> = outcomes.buffer_unordered(AT_ONCE).collect().await;
    books(&stack, outcomes).await;
}

/// One after another: a permit sets the allowance to one call's ceiling, for one call at a time.
#[tokio::test]
async fn clients_without_an_allowance_pay_by_a_permit_that_the_relayer_carries() {
    let stack = Stack::usual().await;
    let mut outcomes = Vec::new();
    for program in PROGRAMS {
        for mode in ["whole", "stream", "whole"] {
            let environment = vec![
                ("SCHEMES", "upto".to_owned()),
                ("RPC", stack.chain.rpc_url.clone()),
            ];
            let n = outcomes.len();
            outcomes.push(paid(&stack, program, mode, n, environment).await);
        }
    }
    books(&stack, outcomes).await;
    let ether: U256 = stack
        .chain
        .rpc
        .request(
            "eth_getTransactionCount",
            (stack.payer.key.address(), "latest"),
        )
        .await
        .expect("a count");
    assert_eq!(ether, U256::ZERO, "the payer sends no transaction");
}

/// Whatever a client has registered, it finds an offer that it can pay.
#[tokio::test]
async fn every_client_finds_its_offer_among_all_rails() {
    let stack = Stack::with(Setup {
        payment: "rails = [\"upto\", \"exact-permit2\", \"exact\"]",
        ..Setup::default()
    })
    .await;
    approve(&stack, U256::MAX).await;
    let old = [
        Program::Node("x402-fetch-v1"),
        Program::Node("openai-sdk"),
        Program::Python("openai_sdk"),
    ];
    let calls = PROGRAMS
        .iter()
        .flat_map(|program| ["exact", "upto", "exact,upto", "upto,exact"].map(|s| (*program, s)))
        .chain(old.map(|program| (program, "exact")));
    let outcomes = stream::iter(calls.enumerate()).map(|(n, (program, schemes))| {
        paid(
            &stack,
            program,
            "whole",
            n,
            vec![("SCHEMES", schemes.to_owned())],
        )
    });
    let outcomes: Vec<_> = outcomes.buffer_unordered(AT_ONCE).collect().await;
    let failures: Vec<_> = outcomes.iter().filter_map(|o| o.as_ref().err()).collect();
    assert!(failures.is_empty(), "{failures:#?}");
    stack.reconcile().await;
}

/// What one program's call was charged.
async fn paid(
    stack: &Stack,
    program: Program,
    mode: &str,
    n: usize,
    environment: Vec<(&'static str, String)>,
) -> Result<u64, String> {
    let prompt = format!("What is a groat? ({n})");
    let told = |problem: &str| format!("{program:?} {mode} {environment:?}: {problem}");
    let said = program
        .run_with(stack, "m", &[mode, &prompt], &environment)
        .await;
    let said: Value = said.map_err(|problem| told(&problem))?;
    let charged = said["usage"]["receipt"]["charged"].as_str();
    let charged = charged.and_then(|text| text.parse().ok());
    charged.ok_or_else(|| told(&said.to_string()))
}

async fn books(stack: &Stack, outcomes: Vec<Result<u64, String>>) {
    let failures: Vec<_> = outcomes.iter().filter_map(|o| o.as_ref().err()).collect();
    assert!(failures.is_empty(), "{failures:#?}");
    let report = stack.reconcile().await;
    assert_eq!(report["calls"], outcomes.len());
    let bills = U256::from(outcomes.iter().flatten().sum::<u64>());
    assert!(bills > U256::ZERO);
    let funds = U256::from(groat::chain::dev::PAYER_FUNDS);
    let payer = stack.payer.key.address();
    assert_eq!(balance(stack, payer).await, funds - bills, "the payer");
    let payee = stack.chain.pay_to_key.address();
    assert_eq!(balance(stack, payee).await, bills, "the payee");
}

/// A call without an answer, and one that costs nothing, leave no trace on chain.
#[tokio::test]
async fn what_costs_nothing_sends_nothing() {
    let stack = Stack::with(Setup {
        models: vec![("broken", "sim/fail-500"), ("free", "sim/small?out=0")],
        prices: vec![("free", r#"prompt = "0", completion = "0.40""#)],
        ..Setup::default()
    })
    .await;
    approve(&stack, U256::MAX).await;
    let sent = relayed(&stack).await;
    let broken = super::pay(&stack.payer, &chat("broken", "hello", false)).await;
    assert!(broken.status.is_server_error(), "{broken:?}");
    let free = super::pay(&stack.payer, &chat("free", "hello", true)).await;
    assert_eq!(free.status, 200, "{}", free.body);
    assert_eq!(super::charged(&free), 0);
    stack.reconcile().await;
    assert_eq!(relayed(&stack).await, sent, "no transaction");
    let payer = stack.payer.key.address();
    assert_eq!(
        balance(&stack, payer).await,
        U256::from(groat::chain::dev::PAYER_FUNDS)
    );
}

async fn relayed(stack: &Stack) -> U256 {
    let relayer = stack.chain.relayer_key.address();
    let rpc = &stack.chain.rpc;
    let count = rpc
        .request("eth_getTransactionCount", (relayer, "latest"))
        .await;
    count.expect("a count")
}

/// With no block mined there is no settlement: the stream still comes to its end.
#[tokio::test]
async fn a_stream_waits_for_no_settlement() {
    let stack = Stack::usual().await;
    approve(&stack, U256::MAX).await;
    let rpc = &stack.chain.rpc;
    let off = rpc.request::<_, Value>("evm_setAutomine", (false,));
    off.await.expect("no mining");
    let answer = super::pay(&stack.payer, &chat("m", "hello", true)).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.events().last().map(String::as_str), Some("[DONE]"));
    assert_eq!(answer.receipt()["settlement"]["status"], "pending");
    let on = rpc.request::<_, Value>("evm_setAutomine", (true,));
    on.await.expect("mining");
    rpc.request::<_, Value>("evm_mine", ())
        .await
        .expect("a block");
    let report = stack.reconcile().await;
    assert_eq!(report["totals"][0]["settled"], super::charged(&answer));
}
