use serde_json::{Value, json};

use super::{Reply, ask, ask_stream, chat, long, messages, sim};
use crate::sim::Dialect;

/// The second of two equal calls, streamed or not, with reasoning.
async fn second(dialect: Dialect, stream: bool, usage_asked: bool) -> Reply {
    let app = sim();
    let model = format!("sim/{dialect}?think=4&out=6&cache=implicit");
    let mut body = if stream {
        ask_stream(&model, &long(300))
    } else {
        ask(&model, &long(300))
    };
    if !usage_asked {
        body.as_object_mut().unwrap().remove("stream_options");
    }
    chat(&app, body.clone()).await;
    chat(&app, body).await
}

fn usages_in(event: &Value) -> Vec<(&'static str, &Value)> {
    let places = [
        ("top", &event["usage"]),
        ("choice", &event["choices"][0]["usage"]),
        ("x_groq", &event["x_groq"]["usage"]),
    ];
    places
        .into_iter()
        .filter(|(_, usage)| usage.is_object())
        .collect()
}

#[tokio::test]
async fn every_dialect_spells_whole_usage_as_its_provider() {
    for dialect in Dialect::ALL {
        let usage = second(dialect, false, false).await.json()["usage"].clone();
        let excludes = matches!(dialect, Dialect::Xai | Dialect::Gemini);
        assert_eq!(usage["prompt_tokens"], 305, "{dialect}");
        assert_eq!(
            usage["completion_tokens"],
            if excludes { 6 } else { 10 },
            "{dialect}"
        );
        assert_eq!(usage["total_tokens"], 315, "{dialect}");
        let cached = &usage["prompt_tokens_details"]["cached_tokens"];
        match dialect {
            Dialect::Anthropic => assert!(cached.is_null()),
            Dialect::Moonshot => {
                assert!(cached.is_null());
                assert_eq!(usage["cached_tokens"], 256);
            }
            _ => assert_eq!(*cached, 256, "{dialect}"),
        }
        let own = match dialect {
            Dialect::DeepSeek => Some(("prompt_cache_miss_tokens", json!(49))),
            // (49 × 0.25 + 256 × 0.025 + 10 × 2) µUSD
            Dialect::Xai => Some(("cost_in_usd_ticks", json!(386_500))),
            Dialect::OpenRouter => Some(("cost", json!(0.00003865))),
            Dialect::DeepInfra => Some(("estimated_cost", json!(0.00003865))),
            _ => None,
        };
        if let Some((name, value)) = own {
            assert_eq!(usage[name], value, "{dialect}");
        }
    }
}

#[tokio::test]
async fn every_dialect_streams_usage_in_its_place() {
    for dialect in Dialect::ALL {
        for asked in [true, false] {
            let reply = second(dialect, true, asked).await;
            assert!(reply.text.ends_with("data: [DONE]\n\n"), "{dialect}");
            let events = reply.events();
            let found: Vec<(usize, &str)> = events
                .iter()
                .enumerate()
                .flat_map(|(i, e)| usages_in(e).into_iter().map(move |(place, _)| (i, place)))
                .collect();
            let (finish, last) = match events.last() {
                Some(e) if e["choices"] == json!([]) => (events.len() - 2, events.len() - 1),
                _ => (events.len() - 1, events.len()),
            };
            let expected: Vec<(usize, &str)> = match (dialect, asked) {
                (Dialect::OpenAi | Dialect::Anthropic | Dialect::Alibaba, false) => vec![],
                (Dialect::OpenAi | Dialect::Anthropic | Dialect::Alibaba, true) => {
                    vec![(last, "top")]
                }
                (Dialect::Xai | Dialect::DeepInfra | Dialect::OpenRouter, _) => vec![(last, "top")],
                (Dialect::Moonshot, true) => vec![(finish, "choice"), (last, "top")],
                (Dialect::Moonshot, false) => vec![(finish, "choice")],
                (Dialect::Groq, true) => vec![(finish, "x_groq"), (last, "top")],
                (Dialect::Groq, false) => vec![(finish, "x_groq")],
                (Dialect::Gemini, true) => (0..=finish).map(|i| (i, "top")).collect(),
                (Dialect::Gemini, false) => vec![],
                _ => vec![(finish, "top")],
            };
            assert_eq!(found, expected, "{dialect} asked={asked}");
            let whole = second(dialect, false, false).await.json()["usage"].clone();
            if let Some(usage) = events.iter().flat_map(usages_in).last() {
                assert_eq!(*usage.1, whole, "{dialect}");
            }
        }
    }
}

#[tokio::test]
async fn openai_says_null_until_the_last_chunk_only_when_asked() {
    let events = second(Dialect::OpenAi, true, true).await.events();
    let (last, before) = events.split_last().unwrap();
    assert!(last["usage"].is_object() && last["choices"] == json!([]));
    assert!(
        before
            .iter()
            .all(|e| e.as_object().unwrap().get("usage") == Some(&Value::Null))
    );
    let unasked = second(Dialect::OpenAi, true, false).await;
    assert!(!unasked.text.contains("usage"));
}

#[tokio::test]
async fn quirks_outside_the_usage_object() {
    let openrouter = second(Dialect::OpenRouter, true, false).await;
    assert!(
        openrouter
            .text
            .starts_with(": OPENROUTER PROCESSING\n\ndata: ")
    );
    assert!(
        openrouter.headers["x-generation-id"]
            .to_str()
            .unwrap()
            .starts_with("gen-")
    );
    let fireworks = second(Dialect::Fireworks, false, false).await;
    assert_eq!(fireworks.headers["fireworks-prompt-tokens"], "305");
    assert_eq!(fireworks.headers["fireworks-cached-prompt-tokens"], "256");
    let reasoning = |reply: Reply, member: &str| -> String {
        let events = reply.events();
        events
            .iter()
            .filter_map(|e| e["choices"][0]["delta"][member].as_str())
            .collect()
    };
    assert_eq!(
        reasoning(
            second(Dialect::DeepSeek, true, false).await,
            "reasoning_content"
        )
        .len(),
        16
    );
    assert_eq!(
        reasoning(second(Dialect::OpenRouter, true, false).await, "reasoning").len(),
        16
    );
    assert!(second(Dialect::MiniMax, false, false).await.json()["base_resp"].is_object());
}

#[tokio::test]
async fn cached_tokens_can_stand_in_each_known_place() {
    let app = sim();
    let places = [
        ("details", "/prompt_tokens_details/cached_tokens"),
        ("singular", "/prompt_token_details/cached_tokens"),
        ("num", "/num_cached_tokens"),
        ("top", "/cached_tokens"),
    ];
    for (spelling, pointer) in places {
        let body = ask(&format!("sim/mistral?cached={spelling}"), &long(200));
        chat(&app, body.clone()).await;
        let usage = chat(&app, body).await.json()["usage"].clone();
        assert_eq!(usage.pointer(pointer), Some(&json!(192)), "{spelling}");
        assert_eq!(usage.to_string().matches("cached").count(), 1, "{usage}");
    }
    let usage = chat(&app, ask("sim/openai?report_cache_writes", &long(400)))
        .await
        .json();
    let details = &usage["usage"]["prompt_tokens_details"];
    assert_eq!(details["cache_write_tokens"], 384);
}

#[tokio::test]
async fn a_streamed_message_has_anthropics_events_and_totals() {
    let app = sim();
    let mut body = ask("sim/anthropic?think=4&out=6", "hello");
    body["stream"] = json!(true);
    let reply = messages(&app, body.clone()).await;
    let names: Vec<&str> = reply
        .text
        .lines()
        .filter_map(|l| l.strip_prefix("event: "))
        .collect();
    assert_eq!(names[..3], ["message_start", "ping", "content_block_start"]);
    assert_eq!(
        names[names.len() - 3..],
        ["content_block_stop", "message_delta", "message_stop"]
    );
    let events = reply.events();
    let types: Vec<&str> = events.iter().filter_map(|e| e["type"].as_str()).collect();
    assert_eq!(types, names);
    let first = &events[0]["message"]["usage"];
    assert_eq!(
        (&first["input_tokens"], &first["output_tokens"]),
        (&json!(7), &json!(1))
    );
    let last = &events[events.len() - 2]["usage"];
    assert_eq!(last["output_tokens"], 10);
    assert!(last.get("cache_creation").is_none());
    body["stream"] = json!(false);
    let whole = messages(&app, body).await.json();
    let text: String = events
        .iter()
        .filter_map(|e| e["delta"]["text"].as_str())
        .collect();
    assert_eq!(whole["content"][1]["text"], text);
    assert_eq!(whole["usage"]["output_tokens"], 10);
}
