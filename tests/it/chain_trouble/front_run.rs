//! Somebody else executes the payer's authorization: it counts, once.

use super::{Trouble, held, moved, node, settling_call};
use crate::harness::{chat, until};
use alloy::primitives::{Address, U256};
use serde_json::json;

const STRANGER: Address = Address::repeat_byte(0x55);

/// A stranger settles while the upstream thinks, before the gateway has sent anything.
#[tokio::test(flavor = "multi_thread")]
async fn rule_2_a_stranger_who_settles_first_settles_for_us() {
    for settle in ["settle = \"on_first_byte\"", "settle = \"after\""] {
        let mut trouble = Trouble::with(settle).await;
        let body = chat("late", "who is first?", true);
        let required = trouble.payer().challenge(&body).await;
        let offer = required.accepts.first().expect("an offer");
        let authorization = trouble.payer().authorization(offer);
        let payment = trouble.payer().header_of(&required, &authorization);
        let (asset, calldata) = settling_call(trouble.payer(), &authorization, offer);

        let (payer, sent) = (trouble.payer().clone(), (body.clone(), payment.clone()));
        let asked = tokio::spawn(async move { payer.send(&sent.0, &sent.1).await });
        until("the upstream is called", || async {
            (trouble.stack.seen().await.total == 1).then_some(())
        })
        .await;
        trouble
            .stack
            .chain
            .send_as(STRANGER, asset, calldata)
            .await
            .expect("the stranger's call");
        let answer = asked.await.expect("no panic").expect("an answer");
        assert_eq!(answer.status, 200, "{answer:?}");

        trouble.reconciled(std::slice::from_ref(&answer)).await;
        let transfers = moved(&trouble.stack).await;
        assert_eq!(transfers[0].value, U256::from(held(&answer)));
        // A restart finds nothing to do.
        trouble.stack.gateway.kill_9().await;
        trouble.stack.gateway.start("").await;
        let again = trouble
            .payer()
            .send(&body, &payment)
            .await
            .expect("an answer");
        assert!(
            again.status == 409 || again.body == answer.body,
            "{again:?}"
        );
        trouble.reconciled(&[answer]).await;
    }
}

/// A stranger outbids the transaction that the gateway has sent.
#[tokio::test(flavor = "multi_thread")]
async fn rule_2_a_stranger_who_outbids_us_settles_for_us() {
    let trouble = Trouble::with("settlement_patience_ms = 20000").await;
    let stack = &trouble.stack;
    let body = chat("m", "who pays more?", false);
    let required = trouble.payer().challenge(&body).await;
    let offer = required.accepts.first().expect("an offer");
    let authorization = trouble.payer().authorization(offer);
    let payment = trouble.payer().header_of(&required, &authorization);
    let (asset, calldata) = settling_call(trouble.payer(), &authorization, offer);
    let ether = U256::from(10).pow(U256::from(18));
    stack.chain.fund(STRANGER, ether).await.expect("funds");
    node(stack, "anvil_impersonateAccount", (STRANGER,)).await;
    node(stack, "evm_setAutomine", (false,)).await;

    let payer = trouble.payer().clone();
    let asked = tokio::spawn(async move { payer.send(&body, &payment).await });
    until("our transaction waits to be mined", || async {
        let status = node(stack, "txpool_status", ()).await;
        (status["pending"] == "0x1").then_some(())
    })
    .await;
    let gwei = |n: u64| U256::from(n) * U256::from(1_000_000_000u64);
    let theirs = json!({
        "from": STRANGER, "to": asset, "data": calldata, "gas": "0x30d40",
        "maxFeePerGas": gwei(30), "maxPriorityFeePerGas": gwei(20),
    });
    node(stack, "eth_sendTransaction", (theirs,)).await;
    node(stack, "anvil_mine", (U256::from(1),)).await;
    node(stack, "evm_setAutomine", (true,)).await;
    let answer = asked.await.expect("no panic").expect("an answer");
    assert_eq!(answer.status, 200, "{answer:?}");
    trouble.reconciled(&[answer]).await;
}
