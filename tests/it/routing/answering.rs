//! Who may answer, what that is quoted at, and by whose prices it is billed.

use super::{Provider, ask, by, stack};
use crate::harness::{Answer, Stack, until};
use groat::protocol::receipt;
use serde_json::{Value, json};

const CHEAP: &str = r#"price = { prompt = "1", completion = "1", cache_read = "0.5" }"#;
const DEAR: &str = r#"tag = "dear/fp8"
quantization = "fp8"
aliases = ["latest"]
price = { prompt = "4", completion = "4", cache_read = "0.1" }"#;

async fn two() -> (Stack, Provider, Provider) {
    let (cheap, dear) = (
        Provider::start("cheap").await,
        Provider::start("dear").await,
    );
    let upstreams = [
        cheap.entry("", "sim/small", CHEAP),
        dear.entry("zdr = true\nregion = \"eu\"", "sim/small", DEAR),
    ];
    let stack = stack(&upstreams).await;
    (stack, cheap, dear)
}

fn priced(answer: &Answer) -> String {
    let receipt = answer.receipt();
    if let Err(faults) = receipt::verify(&receipt.to_string()) {
        panic!("{faults:?}: {receipt}");
    }
    let rate = receipt["price_row"]["prompt"].as_str();
    rate.expect("a rate").to_owned()
}

#[tokio::test]
async fn the_quote_covers_the_dearest_that_may_answer_and_the_bill_is_by_who_did() {
    let (stack, ..) = two().await;
    let ceiling = async |members: Value| {
        let challenge = stack.payer.challenge(&ask(&members)).await;
        let offer = challenge.accepts.first().expect("an offer").clone();
        let row = offer.extra_text("priceRow").expect("rows").to_owned();
        (offer.amount.atomic(), row)
    };
    let (all, rows) = ceiling(json!({})).await;
    let (cheap, cheap_row) = ceiling(json!({"provider": {"only": ["cheap"]}})).await;
    let (dear, dear_row) = ceiling(json!({"provider": {"only": ["dear"]}})).await;
    assert!(cheap < dear);
    // The body that names the dear one is longer than the one that names nobody.
    assert!(cheap < all && all <= dear, "{cheap} {all} {dear}");
    assert!(rows != cheap_row && rows != dear_row && cheap_row != dear_row);

    for (members, endpoint, rate) in [
        (json!({}), "cheap", "1000000"),
        (
            json!({"stream": true, "stream_options": {"include_usage": true}}),
            "cheap",
            "1000000",
        ),
        (
            json!({"provider": {"order": ["dear"]}}),
            "dear/fp8",
            "4000000",
        ),
        (
            json!({"provider": {"order": ["dear"]}, "stream": true, "stream_options": {"include_usage": true}}),
            "dear/fp8",
            "4000000",
        ),
    ] {
        let answer = stack.payer.pay(&ask(&members)).await;
        assert_eq!(
            (by(&answer).as_str(), priced(&answer).as_str()),
            (endpoint, rate),
            "{members}"
        );
    }
    stack.reconcile().await;
}

#[tokio::test]
async fn openrouters_members_choose_who_answers() {
    let (stack, ..) = two().await;
    for (members, expected) in [
        (json!({"provider": {"only": ["dear"]}}), "dear/fp8"),
        (json!({"provider": {"only": ["dear/eu"]}}), "dear/fp8"),
        (json!({"provider": {"ignore": ["cheap"]}}), "dear/fp8"),
        (json!({"provider": {"zdr": true}}), "dear/fp8"),
        (json!({"provider": {"data_collection": "deny"}}), "dear/fp8"),
        (json!({"provider": {"quantizations": ["fp8"]}}), "dear/fp8"),
        (json!({"provider": {"max_price": {"prompt": 2}}}), "cheap"),
        (json!({"provider": {"sort": "price"}}), "cheap"),
        (
            json!({"provider": {"order": ["dear", "cheap"]}}),
            "dear/fp8",
        ),
        (json!({"model": "shared:floor"}), "cheap"),
        (json!({"model": "latest"}), "cheap"),
        (
            json!({"model": "nobody/knows", "models": ["shared"]}),
            "cheap",
        ),
        (json!({"models": ["m"]}), "cheap"),
        (json!({"model": "m", "models": ["shared"]}), "sim"),
    ] {
        let answer = stack.payer.pay(&ask(&members)).await;
        assert_eq!(by(&answer), expected, "{members}");
    }
    for (members, status, code, param) in [
        (
            json!({"provider": {"only": ["nobody"]}}),
            404,
            "no_endpoints",
            "provider",
        ),
        (
            json!({"provider": {"require_parameters": true}, "top_k": 3}),
            404,
            "no_endpoints",
            "provider",
        ),
        (
            json!({"model": "shared:free"}),
            404,
            "no_endpoints",
            "provider",
        ),
        (
            json!({"model": "shared:unknown"}),
            404,
            "model_not_found",
            "model",
        ),
        (
            json!({"provider": {"sort": "best"}}),
            400,
            "invalid_request",
            "provider.sort",
        ),
        (json!({"provider": []}), 400, "invalid_request", "provider"),
        (json!({"models": "m"}), 400, "invalid_request", "models"),
    ] {
        let answer = Answer::of(stack.payer.post(&ask(&members))).await;
        let answer = answer.expect("an answer");
        assert_eq!(answer.status, status, "{members}: {}", answer.body);
        assert_eq!(answer.code(), code, "{members}");
        assert_eq!(answer.json()["error"]["param"], param, "{members}");
    }
    stack.reconcile().await;
}

#[tokio::test]
async fn members_that_are_obeyed_here_go_to_an_openrouter_alone() {
    let (direct, router) = (
        Provider::start("direct").await,
        Provider::start("router").await,
    );
    let upstreams = [
        direct.entry("", "sim/small", CHEAP),
        router.entry("dialect = \"openrouter\"", "sim/openrouter", CHEAP),
    ];
    let stack = stack(&upstreams).await;
    let members = json!({
        "models": ["m"],
        "provider": {"order": ["router", "far/away"], "zdr": false, "own": [1]},
        "top_k": 7,
        "x_unknown": {"b": 1, "a": 2},
    });
    let answer = stack.payer.pay(&ask(&members)).await;
    assert_eq!(by(&answer), "router");
    let body = router.last_body().await;
    assert_eq!(
        body["provider"],
        json!({"order": ["far/away"], "zdr": false, "own": [1]})
    );
    assert_eq!(body.get("models"), None);
    assert_eq!(body["x_unknown"], members["x_unknown"]);

    let mut members = members;
    members["provider"]["order"] = json!(["direct"]);
    let answer = stack.payer.pay(&ask(&members)).await;
    assert_eq!(by(&answer), "direct");
    let body = direct.last_body().await;
    let mut keys: Vec<&String> = body.as_object().expect("an object").keys().collect();
    keys.sort();
    assert_eq!(
        keys,
        ["max_tokens", "messages", "model", "top_k", "x_unknown"]
    );
}

#[tokio::test]
async fn rule_9_a_quote_given_before_a_price_change_is_kept_or_bettered() {
    let (stack, ..) = two().await;
    let body = ask(&json!({"provider": {"order": ["dear"]}}));
    let rows = async || {
        let challenge = stack.payer.challenge(&body).await;
        let offer = challenge.accepts.first().expect("an offer");
        offer.extra_text("priceRow").expect("rows").to_owned()
    };
    let (before, at_first) = (stack.payer.payment(&body).await, rows().await);
    let change = |config: String| config.replace("prompt = \"4\"", "prompt = \"5\"");
    stack.gateway.rewrite_config(change);
    stack.gateway.signal("HUP").await;
    until("the new price is in force", async || {
        (rows().await != at_first).then_some(())
    })
    .await;
    let answer = stack.payer.send(&body, &before).await.expect("an answer");
    assert_eq!(priced(&answer), "4000000", "as it was quoted");
    let answer = stack.payer.pay(&body).await;
    assert_eq!(by(&answer), "dear/fp8");
    assert_eq!(priced(&answer), "5000000");
    stack.reconcile().await;
}
