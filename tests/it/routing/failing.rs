//! Endpoints that fail before the first byte: another answers, and only that one is billed.

use super::{Provider, ask, by, stack};
use crate::harness::{Answer, total};
use serde_json::json;

const CHEAP: &str = r#"price = { prompt = "1", completion = "1" }"#;
const DEAR: &str = r#"price = { prompt = "2", completion = "2" }"#;

/// What the first endpoint does, and how often it is asked for two calls.
const TROUBLES: [(&str, u64); 9] = [
    ("sim/die", 2),
    ("sim/hang", 2),
    ("sim/x?fail=500", 2),
    ("sim/x?fail=404", 2),
    ("sim/402", 1),
    ("sim/x?fail=401", 1),
    ("sim/x?fail=429&retry=60", 1),
    ("sim/x?fail=503&retry=60", 1),
    ("sim/x?err=0", 2),
];

#[tokio::test]
async fn another_endpoint_answers_and_is_billed_alone() {
    for (trouble, asked) in TROUBLES {
        let (bad, good) = (Provider::start("bad").await, Provider::start("good").await);
        let upstreams = [
            bad.entry("first_byte_timeout_ms = 300", trouble, CHEAP),
            good.entry("", "sim/small", DEAR),
        ];
        let stack = stack(&upstreams).await;
        for stream in [false, true] {
            let body = ask(&json!({"stream": stream, "stream_options": {"include_usage": true}}));
            let answer = stack.payer.pay(&body).await;
            assert_eq!(by(&answer), "good", "{trouble}");
            assert_eq!(answer.receipt()["price_row"]["prompt"], "2000000");
        }
        // An endpoint in trouble is asked once, and then left alone for as long as it says.
        assert_eq!(bad.seen().await.total, asked, "{trouble}");
        let report = stack.reconcile().await;
        assert_eq!(report["calls"], 2);
    }
}

#[tokio::test]
async fn a_whole_answer_that_is_cut_is_asked_for_elsewhere() {
    let (bad, good) = (Provider::start("bad").await, Provider::start("good").await);
    let upstreams = [
        bad.entry("", "sim/cut", CHEAP),
        good.entry("", "sim/small", DEAR),
    ];
    let stack = stack(&upstreams).await;
    assert_eq!(by(&stack.payer.pay(&ask(&json!({}))).await), "good");
    // Of a stream something was delivered: that is billed, and nobody else is asked.
    let body = ask(&json!({"stream": true, "stream_options": {"include_usage": true}}));
    let cut = stack.payer.pay(&body).await;
    assert!(cut.body.contains("upstream_cut"), "{}", cut.body);
    let receipt = stack.receipt(&cut.call()).await;
    assert_eq!(receipt["answered_by"]["endpoint"], "bad");
    assert_eq!(good.seen().await.total, 1);
    stack.reconcile().await;
}

#[tokio::test]
async fn a_passing_trouble_is_waited_out_when_there_is_nobody_else() {
    let only = Provider::start("only").await;
    let stack = stack(&[only.entry("", "sim/x?fail=503&times=1", CHEAP)]).await;
    assert_eq!(by(&stack.payer.pay(&ask(&json!({}))).await), "only");
    assert_eq!(only.seen().await.total, 2);
    stack.reconcile().await;
}

#[tokio::test]
async fn when_all_fail_the_tries_are_listed_and_nothing_is_charged() {
    let (one, two) = (Provider::start("one").await, Provider::start("two").await);
    let upstreams = [
        one.entry("", "sim/x?fail=500", CHEAP),
        two.entry("", "sim/402", DEAR),
    ];
    let stack = stack(&upstreams).await;
    let answer = stack.payer.pay(&ask(&json!({}))).await;
    assert_eq!(answer.status, 503, "{}", answer.body);
    assert_eq!(answer.header("payment-required"), None);
    assert!(answer.header("retry-after").is_some());
    let error = &answer.json()["error"];
    assert_eq!(error["code"], 503);
    assert_eq!(error["metadata"]["error_type"], "provider_unavailable");
    let listed = error["metadata"]["attempts"].as_array().expect("attempts");
    let listed: Vec<_> = listed
        .iter()
        .map(|tried| (tried["provider"].as_str(), tried["status"].as_u64()))
        .collect();
    assert_eq!(
        listed,
        [
            (Some("one"), Some(500)),
            (Some("two"), Some(402)),
            (Some("one"), Some(500))
        ]
    );
    assert!(!answer.body.contains("credits"), "{}", answer.body);
    let report = stack.reconcile().await;
    assert_eq!(total(&report, "captured"), 0);
}

#[tokio::test]
async fn what_is_the_requests_own_fault_is_told_by_the_first_endpoint() {
    let (one, two) = (Provider::start("one").await, Provider::start("two").await);
    let upstreams = [
        one.entry("", "sim/x?fail=400", CHEAP),
        two.entry("", "sim/small", DEAR),
    ];
    let stack = stack(&upstreams).await;
    let answer: Answer = stack.payer.pay(&ask(&json!({}))).await;
    assert_eq!(
        (answer.status.as_u16(), answer.code().as_str()),
        (400, "400")
    );
    assert_eq!(two.seen().await.total, 0);
}
