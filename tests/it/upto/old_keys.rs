//! The account that was quoted is the one that settles, after a change of the configuration too: by an old
//! settler where that still takes calls, and not at all without the old key, which is said at the start.

#![cfg(feature = "failpoints")]

use super::{approve, balance, good};
use crate::faults::units;
use crate::harness::{Setup, Stack, chat};
use alloy::primitives::{Address, B256, U256, keccak256};
use alloy::signers::local::PrivateKeySigner;
use alloy::sol_types::SolValue;
use groat::chain::dev::SETTLER;
use serde_json::Value;

/// A gateway that dies when the first call has its receipt, before anything is settled; and the key of
/// another relayer, with coin.
async fn with_a_call_left_open(payment: &'static str, settler: bool) -> (Stack, Address) {
    let other = PrivateKeySigner::random();
    let mut stack = Stack::with(Setup {
        payment,
        settler,
        environment: vec![("IT_OTHER_KEY", format!("{:#x}", other.to_bytes()))],
        failpoints: "receipt=return",
        ..Setup::default()
    })
    .await;
    let ether = U256::from(10_u64.pow(18));
    let funded = stack.chain.fund(other.address(), ether).await;
    funded.expect("gas for the other relayer");
    approve(&stack, U256::MAX).await;
    let body = chat("m", "hello", false);
    let payment = good(&stack.payer, &body).await;
    let cut = stack.payer.send(&body, &payment).await;
    assert!(cut.is_err(), "the gateway dies before the answer: {cut:?}");
    stack.gateway.wait().await;
    (stack, other.address())
}

fn old_to_new(config: &str) -> String {
    config.replace("{ env = \"IT_RELAYER_KEY\" }", "{ env = \"IT_OTHER_KEY\" }")
}

/// What a gateway says that does not start.
async fn refuses_to_start(stack: &mut Stack) -> String {
    let before = stack.gateway.log().len();
    stack.gateway.spawn("");
    let status = stack.gateway.wait().await;
    assert!(!status.success());
    stack.gateway.log().split_off(before)
}

/// The ledger's only call.
async fn only_call(stack: &Stack) -> String {
    let url = format!("{}/admin/ledger/export", stack.payer.url);
    let asked = stack.payer.client.get(url).bearer_auth(&stack.admin_token);
    let lines = asked.send().await.expect("an answer").text().await;
    let first: Value = serde_json::from_str(lines.expect("an export").lines().next().expect("one"))
        .expect("an entry");
    first["id"].as_str().expect("an id").to_owned()
}

async fn paid(stack: &Stack) -> u64 {
    let payee = stack.chain.pay_to_key.address();
    balance(stack, payee).await.to()
}

#[tokio::test]
async fn a_new_relayer_does_not_start_while_a_call_waits_for_the_one_that_was_quoted() {
    let (mut stack, _) = with_a_call_left_open("", false).await;
    let old = stack.chain.relayer_key.address();
    stack.gateway.rewrite_config(|config| old_to_new(&config));
    let said = refuses_to_start(&mut stack).await;
    assert!(said.contains(&format!("needs {old}")), "{said}");
    assert!(
        said.contains("call_") && said.contains("relayers_gone"),
        "{said}"
    );
    assert_eq!(paid(&stack).await, 0);

    let new_to_old = |config: String| config.replace("IT_OTHER_KEY", "IT_RELAYER_KEY");
    stack.gateway.rewrite_config(new_to_old);
    stack.gateway.start("").await;
    let report = stack.reconcile().await;
    let bill = report["totals"][0]["captured"].as_u64().expect("a bill");
    assert!(bill > 0);
    assert_eq!(
        paid(&stack).await,
        bill,
        "the old key settles what it was quoted for"
    );

    stack.gateway.kill_9().await;
    stack.gateway.rewrite_config(|config| old_to_new(&config));
    stack.gateway.start("").await;
    let next = super::pay(&stack.payer, &chat("m", "again", false)).await;
    assert_eq!(next.status, 200, "{}", next.body);
    stack.reconcile().await;
    assert_eq!(paid(&stack).await, bill + super::charged(&next));
}

#[tokio::test]
async fn a_call_whose_key_is_gone_for_good_is_a_loss_and_its_payer_is_served_on() {
    let (mut stack, new) = with_a_call_left_open("", false).await;
    let old = stack.chain.relayer_key.address();
    stack.gateway.rewrite_config(|config| {
        let gone = format!("[payment]\nrelayers_gone = [\"{old}\"]");
        old_to_new(&config).replace("[payment]", &gone)
    });
    stack.gateway.start("").await;
    let call = only_call(&stack).await;
    let receipt = crate::batch::ended(&stack, &call).await;
    assert_eq!(receipt["settlement"]["status"], "failed", "{receipt}");
    assert!(units(&receipt, "charged") > 0);
    let metrics = stack
        .payer
        .client
        .get(format!("{}/metrics", stack.payer.url));
    let metrics = metrics.send().await.expect("metrics").text().await;
    let metrics = metrics.expect("a text");
    assert!(
        metrics.contains("groat_losses_total{rail=\"x402-upto\"} 1"),
        "{metrics}"
    );
    assert_eq!(paid(&stack).await, 0);
    let next = super::pay(&stack.payer, &chat("m", "again", false)).await;
    assert_eq!(
        next.status, 200,
        "it was no fault of the payer's: {}",
        next.body
    );
    stack.reconcile().await;
    assert_eq!(paid(&stack).await, super::charged(&next));
    let sent: U256 = stack
        .chain
        .rpc
        .request("eth_getTransactionCount", (new, "latest"))
        .await
        .expect("a count");
    assert_eq!(sent, U256::ONE, "nothing was sent in vain");
}

const BY_SETTLER: &str = r#"
rails = ["upto", "exact"]
[settler]
address = "0x5e771e4000000000000000000000000000000001"
"#;

fn without_settler(config: &str) -> String {
    let address = format!("address = \"{}\"\n", SETTLER.to_string().to_lowercase());
    assert!(config.contains(&address), "{config}");
    config.replace(&address, "")
}

#[tokio::test]
async fn a_call_that_was_quoted_a_settler_is_settled_by_it_after_that_was_given_up() {
    let (mut stack, _) = with_a_call_left_open(BY_SETTLER, true).await;
    stack
        .gateway
        .rewrite_config(|config| without_settler(&config));
    stack.gateway.start("").await;
    let report = stack.reconcile().await;
    let bill = report["totals"][0]["captured"].as_u64().expect("a bill");
    assert!(bill > 0);
    assert_eq!(paid(&stack).await, bill);
    assert_eq!(balance(&stack, SETTLER).await, U256::ZERO);
    let next = super::pay(&stack.payer, &chat("m", "again", false)).await;
    assert_eq!(next.status, 200, "{}", next.body);
    stack.reconcile().await;
}

#[tokio::test]
async fn a_settler_that_takes_no_calls_any_more_is_named_with_the_call_that_needs_it() {
    let (mut stack, _) = with_a_call_left_open(BY_SETTLER, true).await;
    let relayer = stack.chain.relayer_key.address();
    let slot = keccak256((relayer, U256::ZERO).abi_encode());
    let shut = (SETTLER, slot, B256::ZERO);
    let _: Value = stack
        .chain
        .rpc
        .request("anvil_setStorageAt", shut)
        .await
        .expect("the settler's storage");
    stack
        .gateway
        .rewrite_config(|config| without_settler(&config));
    let said = refuses_to_start(&mut stack).await;
    assert!(said.contains(&format!("needs {SETTLER}")), "{said}");
    stack.chain.settler(&[relayer]).await.expect("a settler");
    stack.gateway.start("").await;
    let report = stack.reconcile().await;
    assert_eq!(report["totals"][0]["captured"], paid(&stack).await);
}
