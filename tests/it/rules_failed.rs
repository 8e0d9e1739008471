//! Settlements that fail after the check had passed.

use crate::harness::{Answer, Setup, Stack, chat, total};
use groat::protocol::x402::SettleResponse;

const QUIET_TOKEN: &str = include_str!("../../contracts/artifacts/QuietToken.json");

/// The payer's balance is gone between the check and the settlement.
async fn drained(stack: &Stack) -> Answer {
    let body = chat("late", "hello", false);
    let payment = stack.payer.payment(&body).await;
    let sent = stack.payer.send(&body, &payment);
    let (answer, ()) = tokio::join!(sent, stack.drain_payer_late());
    answer.expect("an answer")
}

async fn failed_settlement_is_told(stack: &Stack, reason: &str) {
    let answer = drained(stack).await;
    assert_eq!(answer.status, 402, "{}", answer.body);
    assert_eq!(answer.header("payment-required"), None, "not a challenge");
    assert_eq!(answer.code(), "settlement_failed");
    let response = answer
        .header("payment-response")
        .expect("a payment response");
    let response = SettleResponse::from_header(response).expect("readable");
    assert!(!response.success);
    assert_eq!(response.error_reason.as_deref(), Some(reason));
    assert_eq!(response.transaction, "");
    assert_eq!(response.network, "eip155:84532");
    let url = format!("{}/v1/models/late/endpoints", stack.payer.url);
    let endpoints = Answer::of(stack.payer.client.get(url)).await;
    let endpoints = endpoints.expect("an answer").json();
    assert_eq!(
        endpoints["data"]["endpoints"][0]["groat"]["windows"]["5m"]["settle_failures"],
        serde_json::json!({"ratio": null, "settled": 0, "failed": 1})
    );
    let report = stack.reconcile().await;
    assert_eq!(report["calls"], 1);
    for name in ["settled", "captured", "available", "pending", "receivable"] {
        assert_eq!(total(&report, name), 0, "{name}: {report}");
    }
}

fn late() -> Setup {
    Setup {
        models: vec![("late", "sim/late?head=1500")],
        ..Setup::default()
    }
}

#[tokio::test]
async fn a_settlement_that_reverts_is_a_402_without_offers_and_charges_nothing() {
    let stack = Stack::with(late()).await;
    failed_settlement_is_told(&stack, "invalid_exact_evm_transaction_simulation_failed").await;
}

#[tokio::test]
async fn a_settlement_is_believed_for_its_transfer_event_not_for_its_status() {
    let stack = Stack::with(Setup {
        token: Some(QUIET_TOKEN),
        ..late()
    })
    .await;
    failed_settlement_is_told(&stack, "invalid_exact_evm_transfer_event_mismatch").await;
}
