//! What crosses the gateway, and what a challenge looks like.

use crate::harness::{Answer, Payer, Setup, Stack, chat};
use futures::future::join_all;
use groat::protocol::x402::PaymentRequired;
use groat::sim::SimConfig;
use serde_json::{Value, json};

const UPSTREAM_KEY: &str = "upstream-key-canary";

fn keyed() -> Setup {
    let sim = SimConfig {
        key: Some(serde_json::from_value(json!(UPSTREAM_KEY)).expect("a key")),
        ..SimConfig::default()
    };
    Setup {
        models: vec![("cookies", "sim/cookies")],
        upstream: "key = { env = \"IT_UPSTREAM_KEY\" }",
        environment: vec![("IT_UPSTREAM_KEY", UPSTREAM_KEY.to_owned())],
        sim,
        ..Setup::default()
    }
}

#[tokio::test]
async fn rule_12_private_headers_do_not_reach_the_upstream() {
    let stack = Stack::with(keyed()).await;
    let body = chat("m", "hello", false);
    let payment = stack.payer.payment(&body).await;
    let private = [
        ("authorization", "Bearer callers-key-canary"),
        ("cookie", "session=callers-cookie-canary"),
        ("x-api-key", "callers-key-canary"),
        ("sign-in-with-x", "callers-sign-in-canary"),
        ("payment-retry", "1"),
        ("forwarded", "for=callers-address-canary"),
        ("x-forwarded-for", "callers-address-canary"),
        ("x-real-ip", "callers-address-canary"),
        ("cf-connecting-ip", "callers-address-canary"),
        ("via", "callers-proxy-canary"),
        ("origin", "https://callers-origin-canary"),
        ("access-control-expose-headers", "PAYMENT-RESPONSE"),
        ("groat-anything", "canary"),
        ("connection", "x-of-this-hop"),
        ("x-of-this-hop", "callers-hop-canary"),
    ];
    let mut request = stack
        .payer
        .post(&body)
        .header("payment-signature", &payment);
    for (name, value) in private {
        request = request.header(name, value);
    }
    let request = request
        .header("x-title", "kept")
        .header("x-session-id", "kept as well");
    let answer = Answer::of(request).await.expect("an answer");
    assert_eq!(
        answer.status, 200,
        "our own key opens the upstream: {}",
        answer.body
    );

    let seen = stack.seen().await;
    let headers = &seen.calls.last().expect("a call").headers;
    let text = format!("{headers:?}");
    assert!(
        !text.contains("canary") || !text.replace(UPSTREAM_KEY, "").contains("canary"),
        "{text}"
    );
    let of = |wanted: &str| {
        headers
            .iter()
            .filter(|(name, _)| name == wanted)
            .map(|(_, value)| value.as_str())
            .collect::<Vec<_>>()
    };
    assert_eq!(of("authorization"), [format!("Bearer {UPSTREAM_KEY}")]);
    assert_eq!(of("x-title"), ["kept"]);
    assert_eq!(of("x-session-id"), ["kept as well"]);
    assert_eq!(of("content-type"), ["application/json"]);
    for name in [
        "payment-signature",
        "x-payment",
        "payment-retry",
        "cookie",
        "sign-in-with-x",
        "x-of-this-hop",
    ] {
        assert_eq!(of(name), [""; 0], "{name}");
    }
}

#[tokio::test]
async fn rule_12_an_upstreams_private_headers_do_not_reach_the_caller() {
    let stack = Stack::with(keyed()).await;
    for stream in [false, true] {
        let answer = stack.payer.pay(&chat("cookies", "hello", stream)).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        for name in [
            "set-cookie",
            "authorization",
            "x-api-key",
            "www-authenticate",
            "payment-required",
            "x-payment-response",
            "payment-receipt",
            "server",
        ] {
            assert_eq!(answer.header(name), None, "{name}");
        }
        assert!(
            !format!("{:?}", answer.headers).contains("upstream-secret"),
            "{:?}",
            answer.headers
        );
        // The payment response is ours, not the upstream's.
        let ours = answer.header("payment-response").expect("our settlement");
        assert!(ours.len() > 100, "{ours}");
        assert_eq!(answer.headers.get_all("payment-response").iter().count(), 1);
        let kind = answer.header("content-type").unwrap_or_default();
        assert!(
            kind.starts_with(if stream {
                "text/event-stream"
            } else {
                "application/json"
            }),
            "{kind}"
        );
    }
}

#[tokio::test]
async fn browsers_may_send_and_read_the_payment_headers() {
    let stack = Stack::usual().await;
    let url = format!("{}/v1/chat/completions", stack.payer.url);
    let asked = "payment-signature, x-payment, sign-in-with-x, content-type, authorization, access-control-expose-headers, payment-retry, payment-recovery, x-title, x-openrouter-title";
    let preflight = stack
        .payer
        .client
        .request(reqwest::Method::OPTIONS, &url)
        .header("origin", "https://app.example")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", asked);
    let answer = Answer::of(preflight).await.expect("an answer");
    assert!(
        answer.status.is_success(),
        "no payment for a preflight: {}",
        answer.status
    );
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    let allowed = answer
        .header("access-control-allow-headers")
        .unwrap_or_default()
        .to_lowercase();
    for name in asked.split(", ") {
        assert!(
            allowed.split(',').any(|one| one.trim() == name),
            "{name} is not in {allowed}"
        );
    }
    assert!(
        answer
            .header("access-control-allow-methods")
            .unwrap_or_default()
            .contains("POST")
    );

    let unpaid = stack
        .payer
        .post(&chat("m", "hello", false))
        .header("origin", "https://app.example");
    let answer = Answer::of(unpaid).await.expect("an answer");
    assert_eq!(answer.status, 402);
    let exposed = answer
        .header("access-control-expose-headers")
        .unwrap_or_default()
        .to_lowercase();
    for name in ["payment-required", "payment-response", "x-payment-response"] {
        assert!(
            exposed.split(',').any(|one| one.trim() == name),
            "{name} is not in {exposed}"
        );
    }
}

#[tokio::test]
async fn a_challenge_is_the_same_for_the_same_request_and_reads_in_both_versions() {
    let stack = Stack::usual().await;
    let body = chat("m", "hello", false);
    let first = Answer::of(stack.payer.post(&body))
        .await
        .expect("an answer");
    let second = Answer::of(stack.payer.post(&body))
        .await
        .expect("an answer");
    assert_eq!(first.status, 402);
    assert_eq!(
        first.header("payment-required"),
        second.header("payment-required")
    );
    assert_eq!(first.body, second.body);
    assert_eq!(first.header("cache-control"), Some("no-store"));
    assert_eq!(first.header("payment-response"), None);

    let header = first.header("payment-required").expect("offers");
    assert!(
        header.len() < 3072,
        "intermediaries refuse long headers: {}",
        header.len()
    );
    let required = PaymentRequired::from_header(header).expect("version 2");
    assert_eq!(required.x402_version, 2);
    assert_eq!(
        required.resource.url,
        format!("{}/v1/chat/completions", stack.payer.url)
    );
    let offer = &required.accepts[0];
    assert_eq!(offer.scheme, "exact");
    assert_eq!(offer.network.to_string(), "eip155:84532");
    assert_eq!(offer.pay_to, stack.chain.pay_to_key.address());
    assert_eq!(
        (offer.extra_text("name"), offer.extra_text("version")),
        (Some("USDC"), Some("2"))
    );

    let body = first.json();
    assert_eq!(body["x402Version"], 1);
    assert!(body["error"].is_string());
    let v1 = &body["accepts"][0];
    assert_eq!(v1["scheme"], "exact");
    assert_eq!(v1["network"], "base-sepolia");
    assert_eq!(v1["maxAmountRequired"], offer.amount.to_string());
    assert_eq!(v1["resource"], required.resource.url);
    let extra = json!({"name": "USDC", "version": "2", "priceRow": v1["extra"]["priceRow"]});
    assert_eq!(v1["extra"], extra, "the token's domain and the price row");
    assert!(v1["extra"]["priceRow"].is_string());
    let members = v1.as_object().expect("an offer");
    for name in ["description", "mimeType", "payTo", "asset"] {
        assert!(members[name].is_string(), "{name}");
    }
    assert!(
        members.values().all(|value| *value != Value::Null),
        "version 1 parsers refuse null: {v1}"
    );

    // A dearer request has another price.
    let dearer = stack
        .payer
        .challenge(&chat("m", &"hello ".repeat(200), false))
        .await;
    assert!(dearer.accepts[0].amount > offer.amount);
}

#[tokio::test]
async fn a_stream_shows_its_usage_only_to_those_who_asked() {
    let models = vec![
        ("deepseek", "sim/deepseek"),
        ("gemini", "sim/gemini"),
        ("groq", "sim/groq"),
    ];
    let stack = Stack::with(Setup {
        models,
        ..Setup::default()
    })
    .await;
    for model in ["m", "gemini", "groq"] {
        let asked = stack.payer.pay(&chat(model, "hello", true)).await;
        assert_eq!(asked.receipt()["model"], model);
        assert_eq!(asked.events().last().map(String::as_str), Some("[DONE]"));

        let body = format!(
            r#"{{"model":"{model}","messages":[{{"role":"user","content":"hello"}}],"stream":true}}"#
        );
        let silent = stack.payer.pay(&body).await;
        assert_eq!(silent.status, 200, "{}", silent.body);
        assert_eq!(silent.events().last().map(String::as_str), Some("[DONE]"));
        if model == "m" {
            let usage_only = silent
                .events()
                .iter()
                .any(|event| event.contains("\"choices\":[],"));
            assert!(!usage_only, "{model}: {}", silent.body);
        }
        // It was asked for all the same, and billed.
        let receipt = stack.receipt(&silent.call()).await;
        assert_eq!(receipt["usage_source"], "reported", "{model}: {receipt}");
    }
    let deepseek = stack.payer.pay(&chat("deepseek", "hello", true)).await;
    assert_eq!(deepseek.receipt()["usage_source"], "reported");
    stack.reconcile().await;
}

#[tokio::test]
async fn calls_side_by_side_on_one_connection_of_http_2_are_answered_and_billed() {
    let stack = Stack::usual().await;
    let client = reqwest::Client::builder().http2_prior_knowledge().build();
    let payer = Payer {
        client: client.expect("a client"),
        ..stack.payer.clone()
    };
    let calls = (0..16).map(|number| {
        let payer = &payer;
        async move {
            let body = chat("m", &format!("call {number}"), number % 2 == 0);
            payer.pay(&body).await
        }
    });
    for answer in join_all(calls).await {
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(answer.receipt()["usage_source"], "reported");
    }
    stack.reconcile().await;
}
