use std::time::{Duration, Instant};

use serde_json::json;

use super::{SimConfig, ask, ask_stream, chat, messages, router, send, sim, stats};

#[tokio::test]
async fn statuses_come_as_asked_with_retry_after() {
    let app = sim();
    for (model, status) in [
        ("sim/fail-500", 500),
        ("sim/fail-429", 429),
        ("sim/small?fail=503&retry=7", 503),
        ("sim/402", 402),
        ("unknown", 404),
        ("sim/small?nonsense=1", 400),
        ("sim/small?dialect=klingon", 400),
        ("sim/small?fail=7", 400),
    ] {
        let reply = chat(&app, ask(model, "x")).await;
        assert_eq!(reply.status, status, "{model}");
        assert!(reply.json()["error"]["message"].is_string());
        assert_eq!(
            reply.headers.get("retry-after").is_some(),
            model.contains("retry")
        );
        assert_eq!(
            messages(&app, ask(model, "x")).await.json()["type"],
            "error"
        );
    }
    assert_eq!(
        send(&app, "POST", "/v1/chat/completions", &[], "{".into())
            .await
            .status,
        400
    );
    let any = router(toml::from_str("any_model = true").unwrap());
    assert_eq!(chat(&any, ask("unknown", "x")).await.status, 200);
}

#[tokio::test]
async fn a_key_is_asked_for_when_configured() {
    let app = router(toml::from_str::<SimConfig>("key = \"k\"").unwrap());
    let body = ask("sim/small", "x").to_string();
    for (headers, status) in [
        (vec![], 401),
        (vec![("authorization", "Bearer wrong")], 401),
        (vec![("authorization", "Bearer k")], 200),
        (vec![("x-api-key", "k")], 200),
    ] {
        let reply = send(&app, "POST", "/v1/messages", &headers, body.clone()).await;
        assert_eq!(reply.status, status);
    }
}

#[tokio::test]
async fn too_large_a_body_is_413() {
    let app = router(toml::from_str::<SimConfig>("body_bytes_max = 100").unwrap());
    assert_eq!(
        chat(&app, ask("sim/small", &"x".repeat(100))).await.status,
        413
    );
}

#[tokio::test]
async fn faults_end_after_fail_times() {
    let app = sim();
    let statuses = |model: &'static str| {
        let app = app.clone();
        async move {
            let mut seen = Vec::new();
            for _ in 0..4 {
                seen.push(chat(&app, ask(model, "x")).await.status.as_u16());
            }
            seen
        }
    };
    assert_eq!(statuses("sim/flaky").await, [503, 200, 200, 200]);
    assert_eq!(
        statuses("sim/a?fail=500&times=3").await,
        [500, 500, 500, 200]
    );
    send(&app, "DELETE", "/sim/calls", &[], String::new()).await;
    assert_eq!(statuses("sim/flaky").await[0], 503);
    let die = "sim/die?times=1";
    assert!(chat(&app, ask(die, "x")).await.broken);
    assert_eq!(chat(&app, ask(die, "x")).await.status, 200);
}

#[tokio::test]
async fn faults_meet_so_many_calls_in_a_hundred_and_the_same_each_time() {
    let app = sim();
    let mut runs = Vec::new();
    for _ in 0..2 {
        let mut failed = Vec::new();
        for _ in 0..200 {
            let reply = chat(&app, ask("sim/a?fail=500&percent=30", "x")).await;
            failed.push(reply.status == 500);
        }
        let count = failed.iter().filter(|failed| **failed).count();
        assert!((40..80).contains(&count), "{count} of 200");
        runs.push(failed);
        send(&app, "DELETE", "/sim/calls", &[], String::new()).await;
    }
    assert_eq!(runs[0], runs[1]);
}

#[tokio::test]
async fn a_cut_stream_delivers_exactly_its_chunks() {
    let app = sim();
    for cut in [0, 1, 3] {
        let model = format!("sim/small?cut={cut}");
        let reply = chat(&app, ask_stream(&model, "x")).await;
        assert!(reply.broken && !reply.text.contains("[DONE]"));
        let content = reply.events();
        let content = content
            .iter()
            .filter_map(|e| e["choices"][0]["delta"]["content"].as_str());
        assert_eq!(content.filter(|text| !text.is_empty()).count(), cut);
        let last = stats(&app).await.calls.pop().unwrap();
        assert_eq!((last.completed, last.chunks_sent), (false, cut as u64));
    }
    let reply = chat(&app, ask_stream("sim/cut?out=2", "x")).await;
    assert!(!reply.broken, "an answer shorter than the cut is whole");
    assert!(stats(&app).await.calls.pop().unwrap().completed);
    let reply = chat(&app, ask("sim/cut", "x")).await;
    let promised: usize = reply.headers["content-length"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!(reply.broken && reply.text.len() < promised);
    let mut body = ask_stream("sim/cut", "x");
    body["model"] = json!("sim/anthropic?cut=2");
    let reply = messages(&app, body).await;
    assert!(reply.broken);
    assert_eq!(reply.text.matches("text_delta").count(), 2);
}

#[tokio::test]
async fn an_error_event_ends_the_stream_in_order() {
    let app = sim();
    let reply = chat(&app, ask_stream("sim/error-event", "x")).await;
    assert!(!reply.broken && !reply.text.contains("[DONE]"));
    assert!(reply.events().last().unwrap()["error"].is_object());
    assert_eq!(stats(&app).await.calls[0].chunks_sent, 3);
    let routed = chat(&app, ask_stream("sim/openrouter?err=1", "x"))
        .await
        .events();
    assert_eq!(
        routed.last().unwrap()["choices"][0]["finish_reason"],
        "error"
    );
    let message = messages(&app, ask_stream("sim/anthropic?err=0", "x")).await;
    assert_eq!(message.events().last().unwrap()["type"], "error");
    let whole = chat(&app, ask("sim/error-event", "x")).await;
    assert_eq!(whole.status, 200);
    assert!(whole.json()["error"].is_object());
}

#[tokio::test]
async fn wrong_usage_is_wrong_in_every_wire() {
    let app = sim();
    let usage = |model: &'static str| {
        let app = app.clone();
        async move { chat(&app, ask(model, "x")).await.json()["usage"].clone() }
    };
    assert!(usage("sim/no-usage").await.is_null());
    assert!(
        usage("sim/negative-usage").await["completion_tokens"]
            .as_i64()
            .unwrap()
            < 0
    );
    assert_eq!(
        usage("sim/absurd-usage").await["prompt_tokens"],
        1_000_000_000_000_000_i64
    );
    let odd = usage("sim/contradictory-usage").await;
    assert!(odd["prompt_tokens_details"]["cached_tokens"].as_i64() > odd["prompt_tokens"].as_i64());
    assert_eq!(
        chat(&app, ask("sim/usage-twice", "x"))
            .await
            .text
            .matches("\"usage\"")
            .count(),
        2
    );
    let twice = chat(&app, ask_stream("sim/usage-twice", "x")).await.text;
    assert_eq!(twice.matches("\"usage\":{").count(), 2);
    let every = chat(&app, ask_stream("sim/usage-every-chunk", "x")).await;
    assert!(
        every
            .events()
            .iter()
            .all(|event| event["usage"].is_object())
    );
    for dialect in crate::sim::Dialect::ALL {
        let silent = chat(&app, ask_stream(&format!("sim/{dialect}?no_usage"), "x")).await;
        assert!(!silent.text.contains("\"usage\""), "{dialect}");
    }
    let silent = messages(&app, ask_stream("sim/anthropic?no_usage", "x")).await;
    assert!(!silent.text.contains("\"usage\""));
}

#[tokio::test]
async fn secrets_are_sent_to_be_stripped() {
    let app = sim();
    let reply = chat(&app, ask("sim/cookies", "x")).await;
    assert_eq!(reply.status, 200);
    let names = [
        "set-cookie",
        "authorization",
        "x-api-key",
        "www-authenticate",
        "payment-response",
    ];
    assert!(names.iter().all(|name| reply.headers.contains_key(*name)));
    let broke = chat(&app, ask("sim/402", "x")).await;
    assert!(broke.headers.contains_key("payment-required"));
}

#[tokio::test]
async fn delays_and_speed_are_kept() {
    let app = sim();
    for stream in [false, true] {
        let start = Instant::now();
        let mut body = ask("sim/small?delay=40&tps=200&out=12", "x");
        body["stream"] = json!(stream);
        chat(&app, body).await;
        let took = start.elapsed();
        assert!(took >= Duration::from_millis(90), "{took:?}");
        assert!(took < Duration::from_secs(2), "{took:?}");
    }
    let start = Instant::now();
    let reply = chat(&app, ask("sim/small?slow=15", "x")).await;
    assert!(start.elapsed() >= Duration::from_millis(60) && reply.json()["usage"].is_object());
}

#[tokio::test]
async fn a_hanging_call_never_answers() {
    let hanging = tokio::time::timeout(
        Duration::from_millis(50),
        chat(&sim(), ask("sim/hang", "x")),
    )
    .await;
    assert!(hanging.is_err());
}
