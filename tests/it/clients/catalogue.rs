//! The catalogue as published SDKs read it, each by its own schema, and a call that was paid through one of them.

use super::program::Program;
use crate::harness::{Answer, Setup, Stack};
use serde_json::{Value, json};

const MODEL: &str = "acme/big-1:v2";

async fn stack() -> Stack {
    let setup = Setup {
        models: vec![(MODEL, "sim/small")],
        upstreams: r#"
[[upstream]]
name = "other"
base_url = "http://127.0.0.1:1/v1"
zdr = true
privacy_policy_url = "https://other.example/privacy"
[[upstream.model]]
id = "acme/small"
name = "Acme: Small"
description = "It is small."
created = 1760000000
context_tokens = 64000
supported_parameters = ["tools"]
[upstream.model.price]
prompt = "1"
completion = "2"
cache_read = "0.1"
[[upstream.model.price.tier]]
above_prompt_tokens = 32000
prompt = "2"
"#
        .to_owned(),
        ..Setup::default()
    };
    Stack::with(setup).await
}

fn ids(listed: &Value) -> Vec<&str> {
    let listed = listed.as_array().expect("a list").iter();
    listed
        .map(|model| model["id"].as_str().expect("an id"))
        .collect()
}

const ALL: [&str; 3] = [MODEL, "acme/small", "m"];

#[tokio::test]
async fn openrouters_sdk_reads_the_catalogue_and_the_call_that_it_paid() {
    let stack = stack().await;
    // Enough calls that percentiles are told: streams, whose first tokens are seen.
    for n in 0..10 {
        let body = json!({
            "model": MODEL,
            "messages": [{"role": "user", "content": format!("hello {n}")}],
            "max_tokens": 16,
            "stream": true,
        });
        let answer: Answer = stack.payer.pay(&body.to_string()).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    let said = Program::Node("openrouter-catalogue")
        .run(&stack, MODEL, &["whole", "What is a groat?"])
        .await
        .unwrap_or_else(|error| panic!("{error}"));
    let read = &said["more"];
    assert_eq!(ids(&read["models"]), ALL, "page by page");
    assert_eq!(read["tools"], json!(["acme/small"]));
    assert_eq!(read["count"], 3);
    assert_eq!(read["model"], read["models"][0]);
    let small = &read["models"][1];
    assert_eq!(
        (&small["name"], &small["contextLength"], &small["created"]),
        (&json!("Acme: Small"), &json!(64_000), &json!(1_760_000_000))
    );
    assert_eq!(
        small["pricing"]["overrides"],
        json!([{"minPromptTokens": 32_000, "prompt": "0.000002"}])
    );
    let endpoint = &read["endpoints"]["endpoints"][0];
    assert_eq!(
        (&endpoint["tag"], &endpoint["status"]),
        (&json!("sim"), &json!(0))
    );
    assert_eq!(endpoint["uptimeLast5m"], 100);
    for figures in ["latencyLast30m", "throughputLast30m"] {
        let median = endpoint[figures]["p50"].as_f64();
        assert!(median > Some(0.0), "{figures}: {endpoint}");
    }
    assert_eq!(read["zdr"][0]["modelId"], "acme/small");
    let provider = &read["providers"][0];
    assert_eq!(
        (&provider["slug"], &provider["privacyPolicyUrl"]),
        (&json!("other"), &json!("https://other.example/privacy"))
    );
    let generation = &read["generation"];
    assert_eq!(generation["id"], said["call_id"]);
    assert_eq!(generation["totalCost"], said["usage"]["cost"]);
    assert_eq!(
        read["unknown"],
        json!({"name": "NotFoundResponseError", "statusCode": 404})
    );
    let report = stack.reconcile().await;
    assert_eq!(report["calls"], 11, "reading costs nothing");
}

#[tokio::test]
async fn openais_and_anthropics_sdks_list_and_retrieve_models() {
    let stack = stack().await;
    let said = Program::Node("sdk-models").run(&stack, MODEL, &[]).await;
    let said = said.unwrap_or_else(|error| panic!("{error}"));
    for sdk in ["openai", "anthropic"] {
        let read = &said[sdk];
        assert_eq!(ids(&read["listed"]), ALL, "{sdk}");
        assert_eq!(read["retrieved"], read["listed"][0], "{sdk}");
        assert_eq!(read["failed"]["status"], 404, "{sdk}: {read}");
    }
    let openai = &said["openai"];
    assert_eq!(openai["retrieved"]["object"], "model");
    assert_eq!(openai["failed"]["error"]["code"], "model_not_found");
    let anthropic = &said["anthropic"];
    let small = &anthropic["listed"][1];
    assert_eq!(
        (&small["type"], &small["display_name"], &small["created_at"]),
        (
            &json!("model"),
            &json!("Acme: Small"),
            &json!("2025-10-09T08:53:20Z")
        )
    );
    assert_eq!(anthropic["failed"]["error"]["type"], "error");
    assert_eq!(
        anthropic["failed"]["error"]["error"]["type"],
        "not_found_error"
    );

    let said = Program::Python("openai_models")
        .run(&stack, MODEL, &[])
        .await;
    let said = said.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(ids(&said["listed"]), ALL);
    assert_eq!(said["retrieved"]["id"], MODEL);
    assert_eq!(
        said["failed"],
        json!({"status": 404, "code": "model_not_found"})
    );
    assert_eq!(stack.seen().await.total, 0);
}
