use super::program::{AT_ONCE, PYTHON, Program, TYPESCRIPT};
use crate::harness::Stack;
use alloy::primitives::{B256, U256};
use futures::{StreamExt, stream};
use groat::protocol::receipt::{Receipt, SettlementStatus, verify};
use serde_json::{Value, json};

#[tokio::test]
async fn typescript_clients_pay_unmodified_and_get_answers_whole_and_streamed() {
    all_pay(&TYPESCRIPT).await;
}

#[tokio::test]
async fn python_clients_pay_unmodified_and_get_answers_whole_and_streamed() {
    all_pay(&PYTHON).await;
}

#[tokio::test]
async fn the_rust_client_pays_unmodified_and_gets_answers_whole_and_streamed() {
    all_pay(&[Program::Rust]).await;
}

/// Every program once in each mode; then the books: each call is one call, settled once.
async fn all_pay(programs: &[Program]) {
    let stack = Stack::usual().await;
    let payer = stack.chain.payer_key.address();
    let before = stack
        .chain
        .balance_of(stack.chain.asset, payer)
        .await
        .expect("a balance");
    let calls: Vec<(Program, &str)> = programs
        .iter()
        .flat_map(|program| [(*program, "whole"), (*program, "stream")])
        .collect();
    let outcomes = stream::iter(calls.clone())
        .map(|(program, mode)| pays(&stack, program, mode))
        .buffer_unordered(AT_ONCE);
    let outcomes: Vec<Result<Receipt, String>> = outcomes.collect().await;
    let failures: Vec<&String> = outcomes
        .iter()
        .filter_map(|outcome| outcome.as_ref().err())
        .collect();
    assert!(failures.is_empty(), "{failures:#?}");

    let report = stack.reconcile().await;
    assert_eq!(report["calls"], calls.len());
    let seen = stack.seen().await;
    assert_eq!(
        seen.total,
        calls.len() as u64,
        "the provider is called once for each call"
    );
    for call in &seen.calls {
        let secret = call.headers.iter().find(|(name, _)| {
            ["authorization", "payment-signature", "x-payment"].contains(&name.as_str())
        });
        assert_eq!(secret, None, "a client's credential went upstream");
    }
    let held: u128 = outcomes
        .iter()
        .flatten()
        .map(|receipt| receipt.body.held.atomic())
        .sum();
    let after = stack
        .chain
        .balance_of(stack.chain.asset, payer)
        .await
        .expect("a balance");
    assert_eq!(
        before - after,
        U256::from(held),
        "the chain moved what was held, and nothing else"
    );
}

async fn pays(stack: &Stack, program: Program, mode: &str) -> Result<Receipt, String> {
    let prompt = format!("What is a groat? ({program:?}, {mode})");
    let told = |problem: String| format!("{program:?} {mode}: {problem}");
    let said = program
        .run(stack, "m", &[mode, &prompt])
        .await
        .map_err(told)?;
    judged(stack, &said)
        .await
        .map_err(|problem| told(format!("{problem}: {said}")))
}

/// What a caller must be able to read through its library, held against the gateway and the chain.
async fn judged(stack: &Stack, said: &Value) -> Result<Receipt, String> {
    let must = |holds: bool, what: &str| if holds { Ok(()) } else { Err(what.to_owned()) };
    must(said["status"] == 200, "the status is not 200")?;
    must(
        said["text"].as_str().is_some_and(|text| !text.is_empty()),
        "there is no text",
    )?;

    let receipt = verify(&said["usage"]["receipt"].to_string())
        .map_err(|faults| format!("the receipt: {faults:?}"))?
        .receipt;
    let body = &receipt.body;
    let cost: Option<f64> = body.total_pusd.usd_text().parse().ok();
    must(
        said["usage"]["cost"].as_f64() == cost && cost > Some(0.0),
        "usage.cost is not the receipt's total",
    )?;
    must(
        said["call_id"] == json!(body.call),
        "Groat-Call-Id is not the receipt's call",
    )?;
    must(
        body.payer == stack.chain.payer_key.address(),
        "the receipt names another payer",
    )?;
    must(
        body.charged <= body.held && body.held <= body.ceiling,
        "charged ≤ held ≤ ceiling does not hold",
    )?;
    must(
        body.settlement.status == SettlementStatus::Settled,
        "the receipt is not settled",
    )?;

    let payment = &said["payment_response"];
    must(
        payment["success"] == true,
        "the payment response is no success",
    )?;
    let transaction: B256 = payment["transaction"]
        .as_str()
        .unwrap_or_default()
        .parse()
        .map_err(|_| "no transaction")?;
    must(
        body.settlement.transaction == Some(transaction),
        "the receipt names another transaction",
    )?;
    let mined = stack
        .chain
        .rpc
        .receipt(transaction)
        .await
        .map_err(|error| error.to_string())?;
    must(
        mined.is_some_and(|mined| mined.is_success()),
        "the transaction is not mined",
    )?;
    kept(stack, &receipt).await
}

/// The gateway keeps the same receipt under the call's id.
async fn kept(stack: &Stack, receipt: &Receipt) -> Result<Receipt, String> {
    let url = format!("{}/v1/receipts/{}", stack.payer.url, receipt.body.call);
    let answer = stack
        .payer
        .client
        .get(url)
        .send()
        .await
        .map_err(|error| error.to_string())?;
    let text = answer.text().await.map_err(|error| error.to_string())?;
    let kept = verify(&text)
        .map_err(|faults| format!("{faults:?} in {text}"))?
        .receipt;
    if kept.body.lines == receipt.body.lines && kept.body.charged == receipt.body.charged {
        Ok(kept)
    } else {
        Err(format!("another receipt is kept: {text}"))
    }
}
