use super::front::{Front, Turn};
use super::hops::{Hops, Near};
use super::passing::receipts;
use crate::harness::{Setup, Stack, chat, until};
use serde_json::{Value, json};

/// Another endpoint of the same model, at the simulator itself.
fn spare(far: &Stack) -> String {
    format!(
        r#"
[[upstream]]
name = "spare"
base_url = "{}/v1"
[[upstream.model]]
id = "near/m"
upstream_id = "sim/small"
output_cap = 256
price = {{ {} }}
"#,
        far.sim,
        super::hops::PRICE
    )
}

#[tokio::test]
async fn an_upstream_that_is_gone_is_stood_in_for_or_costs_nothing() {
    let mut alone = Hops::usual().await;
    alone.far.gateway.kill_9().await;
    let answer = alone.payer.pay(&chat("near/m", "hello", false)).await;
    assert!(answer.status.is_server_error(), "{}", answer.body);
    assert!(
        answer.body.contains("Nothing was charged"),
        "{}",
        answer.body
    );
    assert_eq!((alone.paid().await, alone.moved(100_000_000).await), (0, 0));
    alone.reconcile().await;

    let far = Stack::usual().await;
    let more = spare(&far);
    let near = Near {
        more,
        ..Near::default()
    };
    let mut two = Hops::with(far, near).await;
    two.far.gateway.kill_9().await;
    let body = json!({"model": "near/m", "messages": [{"role": "user", "content": "hello"}],
        "max_tokens": 16, "provider": {"order": ["far", "spare"]}});
    let answer = two.payer.pay(&body.to_string()).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let receipt = answer.receipt();
    assert_eq!(receipt["answered_by"]["endpoint"], "spare");
    assert_eq!(receipt.get("upstream_receipt"), None);
    assert_eq!(receipt["flags"], json!(["failed_over"]));
    assert_eq!(two.paid().await, 0);
    two.reconcile().await;
}

#[tokio::test]
async fn a_pending_settlement_and_a_broken_connection_get_the_same_payment_again() {
    for turn in [Turn::Pending, Turn::Break] {
        let far = Stack::usual().await;
        let first = move |n: usize| if n == 0 { turn } else { Turn::Pass };
        let front = Front::before(&far.payer.url, first, |text| text).await;
        let near = Near {
            url: Some(front.url.clone()),
            ..Near::default()
        };
        let hops = Hops::with(far, near).await;
        let answer = hops.payer.pay(&chat("near/m", "hello", false)).await;
        receipts(&answer);
        assert_eq!(front.payments(), (2, 1), "{turn:?}: one payment, twice");
        assert_eq!(hops.far.reconcile().await["calls"], 1);
        assert_eq!(hops.moved(100_000_000).await, hops.paid().await);
        hops.reconcile().await;
    }
}

#[tokio::test]
async fn a_paid_call_that_comes_to_nothing_is_not_bought_again_and_stays_paid() {
    let far = Stack::usual().await;
    let front = Front::before(&far.payer.url, |_| Turn::Fail, |text| text).await;
    let near = Near {
        url: Some(front.url.clone()),
        ..Near::default()
    };
    let hops = Hops::with(far, near).await;
    let answer = hops.payer.pay(&chat("near/m", "hello", false)).await;
    assert_eq!(answer.status, 502, "{}", answer.body);
    assert_eq!(front.payments(), (1, 1));
    assert!(hops.paid().await > 0, "the authorization may still be used");
    assert_eq!(hops.reconcile().await["calls"], 1);
}

#[tokio::test]
async fn a_payment_that_was_never_used_is_given_back_to_the_budget() {
    let far = Stack::usual().await;
    let front = Front::failing(&far.payer.url).await;
    let near = Near {
        url: Some(front.url.clone()),
        ..Near::default()
    };
    let hops = Hops::with(far, near).await;
    let answer = hops.payer.pay(&chat("near/m", "hello", false)).await;
    assert_eq!(answer.status, 502, "{}", answer.body);
    assert!(hops.paid().await > 0);
    // By the chain's own time it is dead two minutes later.
    let rpc = &hops.far.chain.rpc;
    let _: Value = rpc.request("evm_increaseTime", (120,)).await.expect("time");
    let _: Value = rpc.request("evm_mine", ()).await.expect("a block");
    until("the payment is given back", || async {
        (hops.paid().await == 0).then_some(())
    })
    .await;
    let given_back = "groat_bought_calls_total{upstream=\"far\",outcome=\"given_back\"}";
    assert_eq!(hops.metric(given_back).await, 1);
}

#[tokio::test]
async fn a_stream_that_the_upstream_cuts_is_receipted_by_both() {
    let setup = Setup {
        models: vec![("cut", "sim/gpt?cut=3")],
        ..Setup::default()
    };
    let far = Stack::with(setup).await;
    let near = Near {
        more: format!(
            "[[upstream.model]]\nid = \"near/cut\"\nupstream_id = \"cut\"\noutput_cap = 256\nprice = {{ {} }}\n",
            super::hops::PRICE
        ),
        ..Near::default()
    };
    let hops = Hops::with(far, near).await;
    let answer = hops.payer.pay(&chat("near/cut", "hello", true)).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let report = hops.reconcile().await;
    assert_eq!(report["calls"], 1);
    let near = hops
        .payer
        .client
        .get(format!("{}/v1/receipts/{}", hops.payer.url, answer.call()));
    let near = crate::harness::Answer::of(near)
        .await
        .expect("a receipt")
        .json();
    let flags = near["flags"].as_array().expect("flags");
    assert!(flags.contains(&json!("upstream_cut")), "{near}");
    let inside = &near["upstream_receipt"];
    let far = hops
        .far
        .receipt(inside["call"].as_str().expect("a call"))
        .await;
    assert_eq!(inside["charged"], far["charged"]);
    assert_eq!(hops.far.reconcile().await["calls"], 1);
    assert_eq!(hops.moved(100_000_000).await, hops.paid().await);
}
