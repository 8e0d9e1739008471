//! The rules of a call, held to on the rails that take the bill and nothing else.

use crate::batch::{ended, permits};
use crate::channels::client::{Client, told};
use crate::harness::{Setup, Stack, chat};
use crate::upto::good;
use alloy::primitives::U256;
use base64::Engine as _;
use serde_json::Value;

#[tokio::test]
async fn rule_9_a_permit_that_bought_this_body_buys_no_other() {
    let stack = Stack::usual().await;
    permits(&stack, stack.payer.key.address()).await;
    let [this, other] = ["hello", "hallo"].map(|prompt| chat("m", prompt, false));
    let payment = good(&stack.payer, &this).await;
    let bought = stack.payer.send(&this, &payment).await.expect("an answer");
    assert_eq!(bought.status, 200, "{}", bought.body);
    let refused = stack.payer.send(&other, &payment).await.expect("an answer");
    assert_eq!(refused.status, 409, "{refused:?}");
    assert_eq!(refused.code(), "payment_used_for_another_request");
    let again = stack.payer.send(&this, &payment).await.expect("an answer");
    assert_eq!(again.body, bought.body, "the same payment, the same answer");
    assert_eq!(stack.seen().await.total, 1);
    stack.reconcile().await;
}

#[tokio::test]
async fn rule_12_permits_and_vouchers_are_not_logged() {
    let mut stack = Stack::with(Setup {
        environment: vec![("GROAT_LOG", "trace".to_owned())],
        payment: "rails = [\"batch-settlement\", \"upto\"]\n",
        ..Setup::default()
    })
    .await;
    permits(&stack, stack.payer.key.address()).await;
    let mut client = Client::new(&stack);
    let mut secrets = Vec::new();
    for prompt in ["one", "two"] {
        let body = chat("m", prompt, false);
        let signed = client.sign(&body).await;
        signatures(&signed.header, &mut secrets);
        let answer = client.payer.send(&body, &signed.header).await;
        let answer = answer.expect("an answer");
        assert_eq!(answer.status, 200, "{}", answer.body);
        client.read(&signed, &answer);
        let payment = good(&stack.payer, &body).await;
        signatures(&payment, &mut secrets);
        let answer = stack.payer.send(&body, &payment).await.expect("an answer");
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    assert!(secrets.len() >= 5, "two vouchers, a deposit, two permits");
    stack.admin("/claim").await;
    stack.reconcile().await;
    assert!(stack.gateway.terminate().await);
    let log = stack.gateway.log();
    for secret in secrets {
        if let Some(line) = log.lines().find(|line| line.contains(&secret)) {
            panic!("a signature is in the log: {line}");
        }
    }
}

#[tokio::test]
async fn rule_13_who_left_an_exact_call_unpaid_pays_beforehand_from_then_on() {
    let stack = Stack::with(Setup {
        models: vec![("slow", "sim/small?tps=16")],
        payment: "rails = [\"exact\"]\nsettle = \"after\"\n",
        ..Setup::default()
    })
    .await;
    let trusted = stack.payer.pay(&chat("m", "trusted", false)).await;
    assert_eq!(trusted.status, 200, "{}", trusted.body);
    assert_eq!(trusted.header("payment-response"), None);
    stack.reconcile().await;

    let body = chat("slow", "hello", true);
    let payment = stack.payer.payment(&body).await;
    let asked = stack.payer.post(&body).header("payment-signature", payment);
    let begun = asked.send().await.expect("an answer");
    let call = begun.headers()["groat-call-id"]
        .to_str()
        .expect("an id")
        .to_owned();
    let payer = stack.payer.key.address();
    let funds = stack.balance(payer).await;
    stack.drain(payer).await;
    begun.text().await.expect("the whole answer");
    let receipt = ended(&stack, &call).await;
    assert_eq!(receipt["settlement"]["status"], "failed", "{receipt}");

    let minted = stack
        .chain
        .mint(stack.asset, payer, U256::from(funds))
        .await;
    minted.expect("money again");
    let next = stack.payer.pay(&chat("m", "again", false)).await;
    assert_eq!(next.status, 200, "{}", next.body);
    let paid = told(&next);
    assert!(
        paid.success && paid.transaction.starts_with("0x"),
        "{paid:?}"
    );
    stack.reconcile().await;
}

#[tokio::test]
async fn patience_is_with_the_settlement_and_not_with_the_answer() {
    for payment in [
        "settlement_patience_ms = 2000\nrails = [\"exact\"]\nsettle = \"before\"\n",
        "settlement_patience_ms = 2000\nrails = [\"batch-settlement\"]\n",
    ] {
        let stack = Stack::with(Setup {
            models: vec![("slow", "sim/small?delay=4000")],
            payment,
            ..Setup::default()
        })
        .await;
        let body = chat("slow", "hello", false);
        let answer = match payment.contains("exact") {
            true => stack.payer.pay(&body).await,
            false => {
                let client = Client::new(&stack);
                let signed = client.sign(&body).await;
                let sent = client.payer.send(&body, &signed.header).await;
                sent.expect("an answer")
            }
        };
        assert_eq!(answer.status, 200, "{payment}: {}", answer.body);
        assert!(told(&answer).success);
        stack.reconcile().await;
    }
}

/// Every signature in a payment, in hexadecimal digits.
fn signatures(header: &str, found: &mut Vec<String>) {
    let json = base64::engine::general_purpose::STANDARD.decode(header);
    let payment: Value = serde_json::from_slice(&json.expect("base64")).expect("JSON");
    let mut waiting = vec![&payment["payload"]];
    while let Some(value) = waiting.pop() {
        let members = value.as_object().into_iter().flatten();
        for (name, value) in members {
            match value.as_str().filter(|_| name == "signature") {
                Some(text) => found.push(text.trim_start_matches("0x").to_owned()),
                None => waiting.push(value),
            }
        }
    }
}
