//! The catalogue as any HTTP client sees it: OpenRouter's objects, its filters, and names of every form.

use crate::harness::{Answer, Setup, Stack};
use serde_json::{Value, json};

/// Two models of three endpoints beside the usual one; the first is told of in full.
const UPSTREAMS: &str = r#"
[[upstream]]
name = "near"
base_url = "http://127.0.0.1:1/v1"
region = "eu"
zdr = true
privacy_policy_url = "https://near.example/privacy"
terms_of_service_url = "https://near.example/terms"
status_page_url = "https://status.near.example/"
headquarters = "DE"
datacenters = ["DE", "FI"]
[[upstream.model]]
id = "acme/big-1:v2"
tag = "near/fp8"
quantization = "fp8"
name = "Acme: Big 1"
description = "It is big."
created = 1760000000
hugging_face_id = "acme/big-1"
input_modalities = ["text", "image"]
aliases = ["big"]
context_tokens = 200000
output_max = 16384
tokenizer = "o200k_base"
supported_parameters = ["tools", "tool_choice"]
[upstream.model.price]
prompt = "3"
completion = "15"
cache_read = "0.30"
cache_write_5m = "3.75"
cache_write_1h = "6"
request = "0.01"
[[upstream.model.price.tier]]
above_prompt_tokens = 100000
prompt = "6"
cache_read = "0.60"

[[upstream]]
name = "far"
base_url = "http://127.0.0.1:1/v1"
routes = ["chat", "embeddings"]
[[upstream.model]]
id = "acme/big-1:v2"
routes = ["chat"]
context_tokens = 64000
supported_parameters = ["seed"]
price = { prompt = "1", completion = "2" }
[[upstream.model]]
id = "numbers"
routes = ["embeddings"]
price = { prompt = "0.02", completion = "0" }
"#;

async fn stack() -> Stack {
    Stack::with(Setup {
        upstreams: UPSTREAMS.to_owned(),
        payment: "markup_bps = 250",
        ..Setup::default()
    })
    .await
}

async fn get(stack: &Stack, path: &str) -> Answer {
    let url = format!("{}{path}", stack.payer.url);
    let answer = Answer::of(stack.payer.client.get(url)).await;
    answer.expect("an answer")
}

async fn told(stack: &Stack, path: &str) -> Value {
    let answer = get(stack, path).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    answer.json()
}

fn ids(list: &Value) -> Vec<&str> {
    let data = list["data"].as_array().expect("a list").iter();
    data.map(|model| model["id"].as_str().expect("an id"))
        .collect()
}

#[tokio::test]
async fn a_model_is_told_in_openrouters_words_and_true_to_the_configuration() {
    let stack = stack().await;
    let list = told(&stack, "/v1/models").await;
    assert_eq!(ids(&list), ["acme/big-1:v2", "m", "numbers"]);
    assert_eq!(
        (&list["object"], &list["total_count"], &list["links"]),
        (&json!("list"), &json!(3), &json!({"next": null}))
    );
    let mut big = list["data"][0].clone();
    let row = big["price_row_sha256"].take();
    assert_eq!(row.as_str().map(str::len), Some(64));
    assert_eq!(
        big,
        json!({
            "id": "acme/big-1:v2",
            "canonical_slug": "acme/big-1:v2",
            "hugging_face_id": "acme/big-1",
            "name": "Acme: Big 1",
            "description": "It is big.",
            "object": "model",
            "owned_by": "far",
            "created": 1_760_000_000,
            "context_length": 200_000,
            "architecture": {
                "modality": "text+image->text",
                "input_modalities": ["text", "image"],
                "output_modalities": ["text"],
                "tokenizer": "GPT",
                "instruct_type": null,
            },
            // By the cheapest of its endpoints.
            "pricing": {"prompt": "0.000001", "completion": "0.000002"},
            "price_row_sha256": null,
            "top_provider": {
                "context_length": 64_000,
                "max_completion_tokens": 8192,
                "is_moderated": false,
            },
            "per_request_limits": null,
            "supported_parameters": [
                "max_completion_tokens", "max_tokens", "seed", "stop", "temperature", "tool_choice", "tools", "top_p",
            ],
            "default_parameters": null,
            "supported_voices": null,
            "knowledge_cutoff": null,
            "expiration_date": null,
            "links": {"details": "/v1/models/acme/big-1:v2/endpoints"},
            "groat": {
                "aliases": ["big"],
                "endpoints": 2,
                "markup_bps": 250,
                "routes": ["/v1/chat/completions"],
            },
        })
    );
    // What nobody said is null, or left out where OpenRouter knows no null.
    let bare = &list["data"][1];
    assert_eq!(
        (
            &bare["name"],
            &bare["context_length"],
            &bare["created"],
            bare.get("description")
        ),
        (&json!("m"), &Value::Null, &json!(0), None)
    );
    let numbers = &list["data"][2];
    assert_eq!(numbers["architecture"]["modality"], "text->embeddings");
    assert_eq!(
        ids(&told(&stack, "/v1/embeddings/models").await),
        ["numbers"]
    );
    assert_eq!(
        told(&stack, "/v1/models/count").await,
        json!({"data": {"count": 3}})
    );
}

#[tokio::test]
async fn endpoints_and_providers_are_told_in_openrouters_words() {
    let stack = stack().await;
    let mut data = told(&stack, "/v1/models/acme/big-1:v2/endpoints").await["data"].take();
    let endpoints = data["endpoints"].take();
    assert_eq!(
        data,
        json!({
            "id": "acme/big-1:v2",
            "name": "Acme: Big 1",
            "created": 1_760_000_000,
            "description": "It is big.",
            "architecture": {
                "modality": "text+image->text",
                "input_modalities": ["text", "image"],
                "output_modalities": ["text"],
                "tokenizer": "GPT",
                "instruct_type": null,
            },
            "endpoints": null,
        })
    );
    let mut near = endpoints[0].clone();
    let groat = near["groat"].take();
    assert_eq!(groat["samples_min"], 10);
    assert_eq!(
        near,
        json!({
            "name": "near | acme/big-1:v2",
            "model_id": "acme/big-1:v2",
            "model_name": "Acme: Big 1",
            "provider_name": "near",
            "tag": "near/fp8",
            "quantization": "fp8",
            "context_length": 200_000,
            "max_prompt_tokens": null,
            "max_completion_tokens": 16_384,
            "pricing": {
                "prompt": "0.000003",
                "completion": "0.000015",
                "input_cache_read": "0.0000003",
                "input_cache_write": "0.00000375",
                "input_cache_write_1h": "0.000006",
                "request": "0.01",
                "overrides": [{
                    "min_prompt_tokens": 100_000,
                    "prompt": "0.000006",
                    "input_cache_read": "0.0000006",
                }],
            },
            "supported_parameters": [
                "max_completion_tokens", "max_tokens", "stop", "temperature", "tool_choice", "tools", "top_p",
            ],
            "supports_implicit_caching": true,
            "supports_tool_choice": {"auto": true, "function": true, "none": true, "required": true},
            "supports_voice_cloning": false,
            "status": 0,
            "uptime_last_5m": null,
            "uptime_last_30m": null,
            "uptime_last_1d": null,
            "latency_last_30m": null,
            "throughput_last_30m": null,
            "perf_last_30m_by_workload": {
                "text_generation": {"latency": null, "throughput": null, "request_count": 0},
            },
            "groat": null,
        })
    );
    assert_eq!(endpoints[1]["supports_implicit_caching"], false);
    assert_eq!(endpoints[1]["tag"], "far");
    let zdr = told(&stack, "/v1/endpoints/zdr").await;
    assert_eq!(zdr["data"].as_array().map(Vec::len), Some(1));
    assert_eq!(zdr["data"][0], endpoints[0]);

    let providers = told(&stack, "/v1/providers").await;
    assert_eq!(
        providers["data"][1],
        json!({
            "name": "near",
            "slug": "near",
            "privacy_policy_url": "https://near.example/privacy",
            "terms_of_service_url": "https://near.example/terms",
            "status_page_url": "https://status.near.example/",
            "headquarters": "DE",
            "datacenters": ["DE", "FI"],
            "groat": {"region": "eu", "zdr": true, "data_collection": "deny"},
        })
    );
    let far = &providers["data"][0];
    assert_eq!(
        (
            &far["name"],
            &far["privacy_policy_url"],
            &far["datacenters"]
        ),
        (&json!("far"), &Value::Null, &Value::Null)
    );
}

#[tokio::test]
async fn filters_leave_out_what_does_not_meet_them_and_what_cannot_be_obeyed_is_refused() {
    let stack = stack().await;
    let (big, m, numbers) = ("acme/big-1:v2", "m", "numbers");
    for (query, expected) in [
        ("supported_parameters=tools", vec![big]),
        ("supported_parameters=tools,tool_choice", vec![big]),
        // No endpoint has both.
        ("supported_parameters=tools,seed", vec![]),
        ("q=BIG", vec![big]),
        ("q=acme:", vec![big]),
        ("output_modalities=embeddings", vec![numbers]),
        ("output_modalities=text", vec![big, m]),
        ("output_modalities=all", vec![big, m, numbers]),
        ("input_modalities=image", vec![big]),
        ("context=100000", vec![big]),
        ("min_price=0.5", vec![big]),
        ("max_price=0.28", vec![m, numbers]),
        ("max_output_price=0.40", vec![m, numbers]),
        ("model_authors=Acme", vec![big]),
        ("providers=far,sim", vec![big, m, numbers]),
        ("providers=near", vec![big]),
        ("zdr=true", vec![big]),
        ("region=eu", vec![big]),
        ("region=us", vec![]),
        ("min_age_days=1", vec![big]),
        ("sort=pricing-low-to-high", vec![numbers, m, big]),
        ("sort=pricing-high-to-low", vec![big, m, numbers]),
        ("sort=context-high-to-low", vec![big, m, numbers]),
        ("sort=latency-low-to-high", vec![big, m, numbers]),
        ("sort=newest&q=", vec![big, m, numbers]),
        ("offset=1&limit=1", vec![m]),
        ("offset=9", vec![]),
        ("limit=1000&unknown=1", vec![big, m, numbers]),
    ] {
        let list = told(&stack, &format!("/v1/models?{query}")).await;
        assert_eq!(ids(&list), expected, "{query}");
    }
    // A model is priced by the endpoints that are listed.
    let dear = told(&stack, "/v1/models?zdr=true").await;
    assert_eq!(dear["data"][0]["pricing"]["prompt"], "0.000003");
    let page = told(&stack, "/v1/models?limit=2&q=&sort=newest").await;
    assert_eq!(page["total_count"], 3);
    let next = page["links"]["next"].as_str().expect("more");
    assert_eq!(ids(&told(&stack, next).await), [numbers]);
    let count = told(&stack, "/v1/models/count?output_modalities=text").await;
    assert_eq!(count["data"]["count"], 2);

    for (query, param) in [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("offset=-1", "offset"),
        ("context=much", "context"),
        ("max_price=-1", "max_price"),
        ("sort=best", "sort"),
        ("category=programming", "category"),
        ("min_coding_index=3", "min_coding_index"),
    ] {
        let answer = get(&stack, &format!("/v1/models?{query}")).await;
        assert_eq!(answer.status, 400, "{query}: {}", answer.body);
        let error = &answer.json()["error"];
        assert_eq!(
            (
                &error["code"],
                &error["param"],
                &error["metadata"]["error_type"]
            ),
            (&json!(400), &json!(param), &json!("invalid_request")),
            "{query}"
        );
    }
}

#[tokio::test]
async fn names_are_found_in_every_form_and_unknown_ones_are_not() {
    let stack = stack().await;
    for name in [
        "acme/big-1:v2",
        "acme%2Fbig-1%3Av2",
        "big",
        "acme/big-1:v2:floor",
    ] {
        let retrieved = told(&stack, &format!("/v1/models/{name}")).await;
        assert_eq!(retrieved["id"], "acme/big-1:v2", "{name}");
        let model = told(&stack, &format!("/v1/model/{name}")).await;
        assert_eq!(model["data"], retrieved, "{name}");
        let endpoints = told(&stack, &format!("/v1/models/{name}/endpoints")).await;
        assert_eq!(endpoints["data"]["id"], "acme/big-1:v2", "{name}");
    }
    for path in [
        "/v1/models/nobody/knows/endpoints",
        "/v1/models/big:free/endpoints",
        "/v1/model/nobody/knows",
        "/v1/models//endpoints",
    ] {
        let answer = get(&stack, path).await;
        assert_eq!(answer.status, 404, "{path}: {}", answer.body);
        let error = &answer.json()["error"];
        assert_eq!(
            (&error["code"], &error["metadata"]["error_type"]),
            (&json!(404), &json!("not_found")),
            "{path}"
        );
    }
    for path in [
        "/v1/models/nobody",
        "/v1/models/a%FFb",
        "/v1/models/count/x",
    ] {
        let answer = get(&stack, path).await;
        assert_eq!(
            (answer.status.as_u16(), answer.code().as_str()),
            (404, "model_not_found"),
            "{path}"
        );
    }
    let openapi = told(&stack, "/openapi.json").await;
    for path in [
        "/v1/models",
        "/v1/models/count",
        "/v1/models/{model}",
        "/v1/models/{model}/endpoints",
        "/v1/model/{model}",
        "/v1/embeddings/models",
        "/v1/endpoints/zdr",
        "/v1/providers",
        "/v1/generation",
    ] {
        assert!(openapi["paths"][path]["get"].is_object(), "{path}");
    }
}
