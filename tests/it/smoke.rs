//! The main job, once, by hand.

use crate::harness::{Stack, chat};

#[tokio::test]
async fn a_call_is_paid_answered_billed_settled_and_receipted() {
    let stack = Stack::usual().await;
    let answer = stack.payer.pay(&chat("m", "hello", false)).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let receipt = answer.receipt();
    assert_eq!(receipt["settlement"]["status"], "settled");
    groat::protocol::receipt::verify(&receipt.to_string()).expect("a receipt that holds");
    let report = stack.reconcile().await;
    assert_eq!(report["calls"], 1);
}
