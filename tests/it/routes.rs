//! The paid routes beside chat completions: each in its own API's shape, all under one 402.

use crate::harness::{Answer, Setup, Stack};
use groat::metering::Route;
use groat::protocol::receipt::{Receipt, Verified, verify};
use serde_json::{Value, json};

/// What an upstream's configuration says that speaks all of them.
pub(crate) const ALL: &str =
    r#"routes = ["chat", "completions", "embeddings", "responses", "messages"]"#;

async fn stack(models: Vec<(&'static str, &'static str)>) -> Stack {
    let setup = Setup {
        upstream: ALL,
        models,
        ..Setup::default()
    };
    Stack::with(setup).await
}

/// A request of a route in its own API's words.
pub(crate) fn ask(route: Route, model: &str, prompt: &str, stream: bool) -> Value {
    let messages = json!([{"role": "user", "content": prompt}]);
    let mut body = match route {
        Route::Chat | Route::Messages => {
            json!({"model": model, "messages": messages, "max_tokens": 24})
        }
        Route::Completions => json!({"model": model, "prompt": prompt, "max_tokens": 24}),
        Route::Embeddings => json!({"model": model, "input": [prompt, "and more"]}),
        Route::Responses => json!({"model": model, "input": messages, "max_output_tokens": 24}),
    };
    if stream {
        body["stream"] = json!(true);
    }
    body
}

fn receipt(answer: &Answer) -> Receipt {
    let Verified { receipt, .. } = verify(&answer.receipt().to_string()).expect("a receipt");
    receipt
}

#[tokio::test]
async fn every_route_is_paid_metered_and_receipted_whole_and_streamed() {
    let dialects = [
        "openai",
        "anthropic",
        "deepseek",
        "openrouter",
        "xai",
        "minimax",
    ];
    let models = vec![
        ("openai", "sim/openai"),
        ("anthropic", "sim/anthropic"),
        ("deepseek", "sim/deepseek"),
        ("openrouter", "sim/openrouter"),
        ("xai", "sim/xai"),
        ("minimax", "sim/minimax"),
    ];
    let stack = Stack::with(Setup {
        upstream: ALL,
        models,
        dialects: dialects.to_vec(),
        ..Setup::default()
    })
    .await;
    let mut n = 0;
    for model in dialects {
        for route in Route::ALL {
            for stream in [false, true] {
                if stream && route == Route::Embeddings {
                    continue;
                }
                let what = format!("{model} on {route}, stream {stream}");
                let body = ask(route, model, "What is a groat?", stream).to_string();
                let required = stack.payer.challenge_to(route, &body).await;
                let url = format!("{}{}", stack.payer.url, route.path());
                assert_eq!(required.resource.url, url, "{what}");

                let answer = stack.payer.pay_to(route, &body).await;
                assert_eq!(answer.status, 200, "{what}: {}", answer.body);
                let call = stack.seen().await.calls.pop().expect("a call");
                n += 1;
                assert_eq!((call.n, call.path.as_str()), (n, route.path()), "{what}");
                // A chunk that only carries usage is left out when the caller did not ask for it.
                let asked = !stream || !route.asks_for_usage();
                let receipt = match answer.body.contains("receipt") {
                    true => receipt(&answer),
                    false => {
                        assert!(!asked, "{what}: {}", answer.body);
                        assert!(!answer.body.contains("usage"), "{what}: {}", answer.body);
                        kept(&stack, &answer).await
                    }
                };
                let body = receipt.body;
                assert_eq!(
                    body.route,
                    (route != Route::Chat).then_some(route),
                    "{what}"
                );
                // Nobody counts the output of embeddings: it is the total less the prompt.
                let flags: &[&str] = match route {
                    Route::Embeddings => &["completion_from_total"],
                    _ => &[],
                };
                assert_eq!(body.flags, flags, "{what}");
                let used = &body.usage;
                assert_eq!(used.prompt_total(), Some(call.prompt_tokens), "{what}");
                assert_eq!(used.cache_read, call.cached_tokens, "{what}");
                assert_eq!(used.output_total(), Some(call.output_tokens), "{what}");
                assert!(body.charged.atomic() > 0, "{what}");
            }
        }
    }
    stack.reconcile().await;
}

/// The receipt that the gateway keeps of an answer.
async fn kept(stack: &Stack, answer: &Answer) -> Receipt {
    let url = format!("{}/v1/receipts/{}", stack.payer.url, answer.call());
    let kept = Answer::of(stack.payer.client.get(url)).await;
    verify(&kept.expect("an answer").body)
        .expect("a receipt")
        .receipt
}

#[tokio::test]
async fn rule_9_a_payment_for_one_route_buys_no_other() {
    let stack = stack(Vec::new()).await;
    // The same bytes are a request of both routes.
    let body = ask(Route::Chat, "m", "What is a groat?", false).to_string();
    let payment = stack.payer.payment(&body).await;
    let elsewhere = stack.payer.post_to(Route::Messages, &body);
    let refused = Answer::of(elsewhere.header("payment-signature", &payment)).await;
    let refused = refused.expect("an answer");
    assert_eq!(refused.status, 402, "{}", refused.body);
    assert_eq!(refused.reason(), "No matching payment requirements");

    let first = stack.payer.send(&body, &payment).await.expect("an answer");
    assert_eq!(first.status, 200, "{}", first.body);
    let elsewhere = stack.payer.post_to(Route::Messages, &body);
    let refused = Answer::of(elsewhere.header("payment-signature", &payment)).await;
    let refused = refused.expect("an answer");
    assert_eq!(refused.status, 409, "{}", refused.body);
    assert_eq!(
        refused.json()["type"],
        "error",
        "in the shape of that route"
    );
    assert_eq!(stack.seen().await.total, 1);

    let own = stack.payer.pay_to(Route::Messages, &body).await;
    assert_eq!(own.status, 200, "{}", own.body);
    let (chat, messages) = (receipt(&first).body, receipt(&own).body);
    assert_ne!(chat.request_sha256, messages.request_sha256);
    stack.reconcile().await;
}

#[tokio::test]
async fn errors_come_in_the_routes_own_shape() {
    let stack = stack(vec![
        ("limited", "sim/fail-429"),
        ("bad", "sim/fail-400"),
        ("down", "sim/fail-503"),
    ])
    .await;
    for route in Route::ALL {
        let anthropic = route == Route::Messages;
        let shaped = |answer: &Answer, openai: &str, messages: &str| {
            let body = answer.json();
            assert_eq!(body.get("type").is_some(), anthropic, "{route}: {body}");
            let kind = if anthropic { messages } else { openai };
            assert_eq!(body["error"]["type"], kind, "{route}: {body}");
            assert!(body["error"]["message"].is_string(), "{route}: {body}");
        };
        let unknown = ask(route, "nobody", "hello", false).to_string();
        let answer = Answer::of(stack.payer.post_to(route, &unknown))
            .await
            .expect("an answer");
        assert_eq!(answer.status, 404, "{}", answer.body);
        shaped(&answer, "invalid_request_error", "not_found_error");

        let answer = Answer::of(stack.payer.post_to(route, "{"))
            .await
            .expect("an answer");
        assert_eq!(answer.status, 400, "{}", answer.body);
        shaped(&answer, "invalid_request_error", "invalid_request_error");

        for (model, status, openai, messages) in [
            ("limited", 429, "rate_limit_error", "rate_limit_error"),
            ("bad", 400, "invalid_request_error", "invalid_request_error"),
            ("down", 502, "server_error", "api_error"),
        ] {
            let body = ask(route, model, "hello", false).to_string();
            let answer = stack.payer.pay_to(route, &body).await;
            assert_eq!(answer.status, status, "{}", answer.body);
            shaped(&answer, openai, messages);
        }
    }
    stack.reconcile().await;
}

#[tokio::test]
async fn a_cut_stream_ends_with_the_routes_own_error_event_and_is_billed_as_delivered() {
    let stack = stack(vec![("cut", "sim/cut")]).await;
    for route in Route::ALL
        .into_iter()
        .filter(|route| *route != Route::Embeddings)
    {
        let body = ask(route, "cut", "What is a groat?", true).to_string();
        let answer = stack.payer.pay_to(route, &body).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let events = answer.events();
        let last: Value = serde_json::from_str(events.last().expect("an event")).expect("JSON");
        match route {
            Route::Messages => assert_eq!(last["error"]["type"], "api_error", "{last}"),
            Route::Responses => assert_eq!(last["code"], "upstream_cut", "{last}"),
            _ => assert_eq!(last["error"]["code"], "upstream_cut", "{last}"),
        }
        let typed = matches!(route, Route::Messages | Route::Responses);
        assert_eq!(answer.body.contains("event: error\n"), typed, "{route}");
        let receipt = kept(&stack, &answer).await.body;
        assert!(
            receipt.flags.contains(&"upstream_cut".to_owned()),
            "{route}: {:?}",
            receipt.flags
        );
        assert!(
            receipt.usage.output_total() >= Some(3),
            "{route}: {:?}",
            receipt.usage
        );
    }
    stack.reconcile().await;
}

#[tokio::test]
async fn a_stream_of_messages_keeps_its_order_and_carries_the_receipt_in_its_last_delta() {
    let stack = stack(Vec::new()).await;
    let body = ask(Route::Messages, "m", "What is a groat?", true).to_string();
    let answer = stack.payer.pay_to(Route::Messages, &body).await;
    let names: Vec<&str> = answer
        .body
        .lines()
        .filter_map(|line| line.strip_prefix("event: "))
        .filter(|name| *name != "content_block_delta")
        .collect();
    let expected = [
        "message_start",
        "ping",
        "content_block_start",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ];
    assert_eq!(names, expected);
    let delta = answer
        .events()
        .into_iter()
        .find(|event| event.contains("receipt"));
    assert!(delta.is_some_and(|event| event.contains("message_delta")));
}

#[tokio::test]
async fn a_model_is_refused_on_a_route_that_it_does_not_speak() {
    let stack = Stack::usual().await;
    let body = ask(Route::Embeddings, "m", "hello", false).to_string();
    let answer = Answer::of(stack.payer.post_to(Route::Embeddings, &body)).await;
    let answer = answer.expect("an answer");
    assert_eq!(answer.status, 400, "{}", answer.body);
    let message = answer.json()["error"]["message"].to_string();
    assert!(message.contains("/v1/chat/completions"), "{message}");
}

#[tokio::test]
async fn the_headers_of_anthropics_api_reach_it_and_the_callers_key_does_not() {
    let stack = Stack::with(Setup {
        upstream: "routes = [\"messages\"]\ndialect = \"anthropic\"\nkey = { env = \"IT_PROVIDER_KEY\" }",
        environment: vec![("IT_PROVIDER_KEY", "the provider's key".to_owned())],
        ..Setup::default()
    })
    .await;
    let body = ask(Route::Messages, "m", "hello", false).to_string();
    for (version, beta) in [(None, None), (Some("2024-01-01"), Some("some-beta"))] {
        let payment = stack.payer.payment_to(Route::Messages, &body).await;
        let mut request = stack.payer.post_to(Route::Messages, &body);
        request = request
            .header("payment-signature", payment)
            .header("x-api-key", "the caller's");
        if let (Some(version), Some(beta)) = (version, beta) {
            request = request
                .header("anthropic-version", version)
                .header("anthropic-beta", beta);
        }
        let answer = Answer::of(request).await.expect("an answer");
        assert_eq!(answer.status, 200, "{}", answer.body);
        let call = stack.seen().await.calls.pop().expect("a call");
        let header = |name: &str| {
            let found = call.headers.iter().filter(|(header, _)| header == name);
            found.map(|(_, value)| value.as_str()).collect::<Vec<_>>()
        };
        assert_eq!(header("x-api-key"), ["the provider's key"]);
        assert_eq!(header("authorization"), Vec::<&str>::new());
        assert_eq!(
            header("anthropic-version"),
            [version.unwrap_or("2023-06-01")]
        );
        assert_eq!(
            header("anthropic-beta"),
            beta.into_iter().collect::<Vec<_>>()
        );
    }
}
