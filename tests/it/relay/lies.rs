use super::front::{Front, Turn};
use super::hops::{Hops, Near};
use super::passing::{long, receipts};
use crate::harness::{Stack, chat};
use groat::protocol::receipt::verify;
use serde_json::{Value, json};

/// The near gateway before a liar that does this to each paid answer.
async fn before(lie: impl Fn(&mut Value) + Send + Sync + 'static) -> (Hops, Front) {
    let far = Stack::usual().await;
    let edit = move |text: String| {
        let mut answer: Value = serde_json::from_str(&text).expect("a whole answer");
        lie(&mut answer["usage"]);
        answer.to_string()
    };
    let front = Front::before(&far.payer.url, |_| Turn::Pass, edit).await;
    let near = Near {
        url: Some(front.url.clone()),
        ..Near::default()
    };
    (Hops::with(far, near).await, front)
}

#[tokio::test]
async fn a_receipt_that_was_changed_is_flagged_and_bills_nobody_more() {
    let (hops, _front) = before(|usage| usage["receipt"]["charged"] = json!("999999")).await;
    let answer = hops.payer.pay(&chat("near/m", "hello", false)).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let receipt = verify(&answer.receipt().to_string())
        .expect("ours holds")
        .receipt;
    assert_eq!(receipt.body.flags, ["upstream_receipt_unsound"]);
    assert_eq!(receipt.body.upstream_receipt, None);
    let raw = receipt.body.raw_usage.expect("the usage as it came");
    assert_eq!(raw["receipt"]["charged"], "999999", "the evidence is kept");
    let honest = raw["prompt_tokens"].as_u64().expect("a count");
    assert_eq!(receipt.body.usage.prompt_total(), Some(honest));
    let unsound = "groat_bought_calls_total{upstream=\"far\",outcome=\"unsound\"}";
    assert_eq!(hops.metric(unsound).await, 1);
    hops.reconcile().await;
    hops.far.reconcile().await;
    assert_eq!(hops.moved(100_000_000).await, hops.paid().await);
}

#[tokio::test]
async fn a_usage_beyond_what_was_signed_is_flagged_and_the_cheaper_is_billed() {
    let more = |usage: &mut Value| {
        usage["completion_tokens"] = json!(60);
        usage["prompt_tokens_details"]["cached_tokens"] = json!(0);
    };
    let (hops, _front) = before(more).await;
    for turn in 0..2 {
        let answer = hops.payer.pay(&chat("near/m", &long("?"), false)).await;
        let (near, far) = receipts(&answer);
        if turn == 1 {
            assert!(far.body.usage.cache_read > 0);
        }
        assert!(
            near.body
                .flags
                .contains(&"upstream_usage_differs".to_owned())
        );
        assert_eq!(
            near.body.usage, far.body.usage,
            "what was signed is cheaper"
        );
    }
    // And the other way round: less is told than was signed.
    let less = |usage: &mut Value| usage["completion_tokens"] = json!(1);
    let (hops, _front) = before(less).await;
    let answer = hops.payer.pay(&chat("near/m", "hello", false)).await;
    let (near, far) = receipts(&answer);
    assert!(
        near.body
            .flags
            .contains(&"upstream_usage_differs".to_owned())
    );
    assert_eq!(near.body.usage.output_total(), Some(1));
    assert!(far.body.usage.output_total() > Some(1));
    hops.reconcile().await;
}

#[tokio::test]
async fn an_answer_without_its_receipt_is_asked_for_it() {
    let (hops, _front) = before(|usage| {
        usage.as_object_mut().expect("an object").remove("receipt");
    })
    .await;
    let answer = hops.payer.pay(&chat("near/m", "hello", false)).await;
    let (near, far) = receipts(&answer);
    assert_eq!(near.body.flags, Vec::<String>::new());
    assert_eq!(near.body.usage, far.body.usage);
    hops.reconcile().await;
}
