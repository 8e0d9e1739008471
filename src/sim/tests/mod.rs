#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod cache;
mod dialects;
mod faults;
mod tcp;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::{SimConfig, SimStats, router};

struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
    /// The body ended with an error.
    broken: bool,
}

impl Reply {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }

    /// The JSON of all `data:` lines but `[DONE]`.
    fn events(&self) -> Vec<Value> {
        let data = self
            .text
            .lines()
            .filter_map(|line| line.strip_prefix("data: "));
        let json = data.filter(|data| *data != "[DONE]");
        json.map(|data| serde_json::from_str(data).unwrap())
            .collect()
    }
}

async fn send(
    app: &Router,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: String,
) -> Reply {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::from(body)).unwrap();
    let response = app.clone().oneshot(request).await.unwrap();
    let (head, mut body) = response.into_parts();
    let mut text = Vec::new();
    let mut broken = false;
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => text.extend_from_slice(frame.data_ref().unwrap()),
            Err(_) => {
                broken = true;
                break;
            }
        }
    }
    Reply {
        status: head.status,
        headers: head.headers,
        text: String::from_utf8(text).unwrap(),
        broken,
    }
}

async fn chat(app: &Router, body: Value) -> Reply {
    send(app, "POST", "/v1/chat/completions", &[], body.to_string()).await
}

async fn messages(app: &Router, body: Value) -> Reply {
    send(app, "POST", "/v1/messages", &[], body.to_string()).await
}

async fn stats(app: &Router) -> SimStats {
    let reply = send(app, "GET", "/sim/calls", &[], String::new()).await;
    serde_json::from_str(&reply.text).unwrap()
}

fn sim() -> Router {
    router(SimConfig::default())
}

fn ask(model: &str, content: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": content}]})
}

fn ask_stream(model: &str, content: &str) -> Value {
    let mut body = ask(model, content);
    body["stream"] = json!(true);
    body["stream_options"] = json!({"include_usage": true});
    body
}

/// A text of so many tokens.
fn long(tokens: usize) -> String {
    (0..tokens).map(|i| format!("{:04x}", i & 0xffff)).collect()
}

#[tokio::test]
async fn the_same_prompt_gets_the_same_text_and_another_prompt_another() {
    let app = sim();
    let text = |reply: Reply| reply.json()["choices"][0]["message"]["content"].clone();
    let first = text(chat(&app, ask("sim/small", "hello")).await);
    assert_eq!(text(chat(&app, ask("sim/small", "hello")).await), first);
    assert_ne!(text(chat(&app, ask("sim/small", "hullo")).await), first);
    let key = [("authorization", "Bearer another")];
    let body = ask("sim/small?tps=0", "hello").to_string();
    assert_eq!(
        text(send(&app, "POST", "/v1/chat/completions", &key, body).await),
        first
    );
}

#[tokio::test]
async fn echo_says_the_last_user_message_and_whole_equals_stream() {
    let app = sim();
    let said = "a \"quoted\" line\nwith naïve 🦀 letters";
    let mut body = ask("sim/echo", "before");
    body["messages"].as_array_mut().unwrap().extend([
        json!({"role": "assistant", "content": "no"}),
        json!({"role": "user", "content": [{"type": "text", "text": said}]}),
        json!({"role": "assistant", "content": "prefill"}),
    ]);
    let whole = chat(&app, body.clone()).await.json();
    assert_eq!(whole["choices"][0]["message"]["content"], said);
    body["stream"] = json!(true);
    let streamed = chat(&app, body.clone()).await;
    let parts = streamed.events();
    let text: String = parts
        .iter()
        .filter_map(|e| e["choices"][0]["delta"]["content"].as_str())
        .collect();
    assert_eq!(text, said);
    body["max_tokens"] = json!(9);
    let message = messages(&app, body).await;
    let text: String = message
        .events()
        .iter()
        .filter_map(|e| e["delta"]["text"].as_str())
        .collect();
    assert!(said.starts_with(&text) && text.len() > 20, "{text:?}");
}

#[tokio::test]
async fn the_output_limit_is_honoured_and_named() {
    let app = sim();
    let mut body = ask("sim/reasoning?out=20", "x");
    let whole = chat(&app, body.clone()).await.json();
    assert_eq!(whole["usage"]["completion_tokens"], 36);
    assert_eq!(whole["choices"][0]["finish_reason"], "stop");
    body["max_completion_tokens"] = json!(18);
    let whole = chat(&app, body.clone()).await.json();
    assert_eq!(whole["usage"]["completion_tokens"], 18);
    assert_eq!(
        whole["usage"]["completion_tokens_details"]["reasoning_tokens"],
        16
    );
    assert_eq!(
        whole["choices"][0]["message"]["content"]
            .as_str()
            .unwrap()
            .len(),
        8
    );
    assert_eq!(whole["choices"][0]["finish_reason"], "length");
    body["n"] = json!(2);
    let whole = chat(&app, body.clone()).await.json();
    assert_eq!(whole["usage"]["completion_tokens"], 36);
    assert_eq!(whole["choices"][1]["index"], 1);
    body["max_tokens"] = json!(18);
    assert_eq!(
        messages(&app, body).await.json()["stop_reason"],
        "max_tokens"
    );
}

#[tokio::test]
async fn calls_are_recorded_byte_for_byte_within_bounds() {
    let config: SimConfig = toml::from_str("calls_kept = 2\nbodies_bytes_max = 150").unwrap();
    let app = router(config);
    let odd = "{ \"model\" : \"sim/small\",\n\"messages\":[ ] , \"x\":1e2}".to_owned();
    for _ in 0..3 {
        let headers = [
            ("x-one", "1"),
            ("x-one", "2"),
            ("authorization", "Bearer k"),
        ];
        send(&app, "POST", "/v1/chat/completions", &headers, odd.clone()).await;
    }
    let stats = stats(&app).await;
    assert_eq!((stats.total, stats.by_model["sim/small"]), (3, 3));
    let numbers: Vec<u64> = stats.calls.iter().map(|call| call.n).collect();
    assert_eq!(numbers, [2, 3]);
    let last = &stats.calls[1];
    assert!(last.completed && last.status == 200 && last.body_bytes == odd.len());
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let sent = [
        pair("x-one", "1"),
        pair("x-one", "2"),
        pair("authorization", "Bearer k"),
    ];
    assert!(last.headers.starts_with(&sent), "{:?}", last.headers);
    assert_eq!(
        send(&app, "GET", "/sim/body/3", &[], String::new())
            .await
            .text,
        odd
    );
    let gone = send(&app, "GET", "/sim/body/1", &[], String::new()).await;
    assert_eq!(gone.status, StatusCode::NOT_FOUND);
    send(&app, "DELETE", "/sim/calls", &[], String::new()).await;
    assert_eq!(super::tests::stats(&app).await.total, 0);
}

#[tokio::test]
async fn the_small_routes_answer() {
    let app = sim();
    let list = send(&app, "GET", "/v1/models", &[], String::new())
        .await
        .json();
    let ids: Vec<&str> = list["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| m["id"].as_str().unwrap())
        .collect();
    assert!(ids.contains(&"sim/openrouter") && ids.contains(&"sim/cut"));
    assert_eq!(
        send(&app, "GET", "/health", &[], String::new())
            .await
            .json()["status"],
        "ok"
    );
    assert_eq!(
        send(&app, "GET", "/nowhere", &[], String::new())
            .await
            .status,
        404
    );
}

#[test]
fn configuration_is_strict_and_hides_the_key() {
    let text = "key = \"hush\"\n[model.\"gpt-x\"]\ndialect = \"xai\"\noutput_tokens = 5";
    let config: SimConfig = toml::from_str(text).unwrap();
    assert!(!format!("{config:?}").contains("hush"));
    assert_eq!(config.model["gpt-x"].output_tokens, Some(5));
    assert_eq!(
        toml::from_str::<SimConfig>("").unwrap(),
        SimConfig::default()
    );
    assert!(toml::from_str::<SimConfig>("kee = 1").is_err());
    assert!(toml::from_str::<SimConfig>("block_tokens = 0").is_err());
    assert!(toml::from_str::<SimConfig>("[model.a]\nspeed = 1").is_err());
    let again: SimConfig = toml::from_str(&toml::to_string(&config).unwrap()).unwrap();
    assert_eq!(again, config);
}

#[tokio::test]
async fn the_catalogue_says_what_was_written_and_speeds_to_those_with_a_key() {
    let config = r#"
        [[catalogue."a/b".endpoints]]
        tag = "x"
        pricing = { prompt = "0.000001" }
        latency_last_30m = { p50 = 300 }
    "#;
    let app = router(toml::from_str(config).unwrap());
    let read = |headers: &'static [(&'static str, &'static str)]| {
        let app = app.clone();
        async move {
            send(
                &app,
                "GET",
                "/v1/models/a/b/endpoints",
                headers,
                String::new(),
            )
            .await
        }
    };
    let told = read(&[]).await.json();
    assert_eq!(
        told["data"]["endpoints"][0]["pricing"]["prompt"],
        "0.000001"
    );
    assert_eq!(
        told["data"]["endpoints"][0]["latency_last_30m"],
        Value::Null
    );
    let told = read(&[("authorization", "Bearer k")]).await.json();
    assert_eq!(told["data"]["endpoints"][0]["latency_last_30m"]["p50"], 300);
    let json = [("content-type", "application/json")];
    let put = send(
        &app,
        "PUT",
        "/sim/catalogue/a/b",
        &json,
        "{\"endpoints\":[]}".into(),
    )
    .await;
    assert_eq!(put.status, 204);
    assert_eq!(read(&[]).await.json(), json!({"data": {"endpoints": []}}));
    send(&app, "DELETE", "/sim/catalogue/a/b", &[], String::new()).await;
    assert_eq!(read(&[]).await.status, 404);
    let reads = send(&app, "GET", "/sim/catalogue", &[], String::new()).await;
    assert_eq!(reads.json(), json!({"a/b": 4}));
}
