use std::time::{Duration, Instant};

use axum::Router;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{SimConfig, ask, chat, long, messages, router, send, sim};
use crate::sim::prefix_cache::{PrefixCache, Terms};
use crate::sim::prompt::{Prompt, Request};
use crate::sim::refusal::Wire;

fn rendered(body: &Value, block: u32) -> Prompt {
    let text = body.to_string();
    let request: Request<'_> = serde_json::from_str(&text).unwrap();
    request.render(Wire::Chat, block)
}

fn terms() -> Terms {
    Terms {
        block_tokens: 64,
        min_tokens: 0,
        ttl: Duration::from_secs(300),
        long_ttl: Duration::from_secs(3600),
        entries_max: 1000,
    }
}

async fn cached(app: &Router, body: Value) -> (u64, u64) {
    let usage = chat(app, body).await.json()["usage"].clone();
    let cached = usage["prompt_tokens_details"]["cached_tokens"]
        .as_u64()
        .unwrap();
    (usage["prompt_tokens"].as_u64().unwrap(), cached)
}

#[tokio::test]
async fn a_repeated_prefix_is_read_in_full_blocks() {
    let app = sim();
    let text = long(300);
    let mut body = ask("sim/small", &text);
    // "user:" 2 + text 300 + "assistant:" 3
    assert_eq!(cached(&app, body.clone()).await, (305, 0));
    assert_eq!(cached(&app, body.clone()).await, (305, 256));
    let turn =
        json!([{"role": "assistant", "content": "ok"}, {"role": "user", "content": long(100)}]);
    body["messages"]
        .as_array_mut()
        .unwrap()
        .extend(turn.as_array().unwrap().clone());
    assert_eq!(
        cached(&app, body.clone()).await,
        (305 + 1 + 2 + 100 + 3, 256)
    );
    body["messages"][0]["content"] = json!(format!("X{}", &text[1..]));
    assert_eq!(cached(&app, body).await.1, 0);
}

#[tokio::test]
async fn models_and_accounts_have_caches_of_their_own() {
    let app = sim();
    cached(&app, ask("sim/small", &long(200))).await;
    assert_eq!(cached(&app, ask("sim/zai", &long(200))).await.1, 0);
    assert_eq!(
        cached(&app, ask("sim/small?out=1", &long(200))).await.1,
        192
    );
    let other = [("authorization", "Bearer other")];
    let body = ask("sim/small", &long(200)).to_string();
    let reply = send(&app, "POST", "/v1/chat/completions", &other, body)
        .await
        .json();
    assert_eq!(reply["usage"]["prompt_tokens_details"]["cached_tokens"], 0);
    send(&app, "DELETE", "/sim/cache", &[], String::new()).await;
    assert_eq!(cached(&app, ask("sim/small", &long(200))).await.1, 0);
}

#[tokio::test]
async fn minimum_key_and_off_are_obeyed() {
    let app = router(toml::from_str::<SimConfig>("cache_min_tokens = 128").unwrap());
    for (tokens, second) in [(100, 0), (150, 128)] {
        cached(&app, ask("sim/small", &long(tokens))).await;
        assert_eq!(
            cached(&app, ask("sim/small", &long(tokens))).await.1,
            second
        );
    }
    let mut body = ask("sim/small?needs_cache_key", &long(150));
    assert_eq!(cached(&app, body.clone()).await.1, 0);
    body["prompt_cache_key"] = json!("k");
    assert_eq!(cached(&app, body).await.1, 128);
    assert_eq!(
        cached(&app, ask("sim/small?cache=off", &long(150))).await.1,
        0
    );
}

#[tokio::test]
async fn reordered_tools_miss_and_a_list_of_one_text_does_not() {
    let app = sim();
    let raw = |tool: &str, content: &str| {
        let content = content.replace('@', &long(200));
        let body = format!(
            r#"{{"model":"sim/small","tools":[{tool}],"messages":[{{"role":"user","content":{content}}}]}}"#
        );
        let app = app.clone();
        async move {
            let reply = send(&app, "POST", "/v1/chat/completions", &[], body)
                .await
                .json();
            reply["usage"]["prompt_tokens_details"]["cached_tokens"]
                .as_u64()
                .unwrap()
        }
    };
    let (tool, turned) = (r#"{"type":"f","name":"n"}"#, r#"{"name":"n","type":"f"}"#);
    assert_eq!(raw(tool, r#""@""#).await, 0);
    assert_eq!(raw(tool, r#"[{"type":"text","text":"@"}]"#).await, 192);
    assert_eq!(raw(turned, r#""@""#).await, 0);
}

#[tokio::test]
async fn breakpoints_write_and_read_as_anthropic_bills() {
    let app = sim();
    let body = |ttl: &str, more: &str| {
        json!({"model": "sim/anthropic", "max_tokens": 4,
            "system": [{"type": "text", "text": long(500), "cache_control": {"type": "ephemeral", "ttl": ttl}}],
            "messages": [{"role": "user", "content": [
                {"type": "text", "text": long(100), "cache_control": {"type": "ephemeral"}},
                {"type": "text", "text": more}]}]})
    };
    let usage = messages(&app, body("1h", "a")).await.json()["usage"].clone();
    // "system:" 2 + 500 | "user:" 2 + 100 | "a" 1 + "assistant:" 3
    assert_eq!(usage["cache_creation"]["ephemeral_1h_input_tokens"], 502);
    assert_eq!(usage["cache_creation"]["ephemeral_5m_input_tokens"], 102);
    assert_eq!(usage["cache_creation_input_tokens"], 604);
    assert_eq!(usage["cache_read_input_tokens"], 0);
    assert_eq!(usage["input_tokens"], 4);
    let usage = messages(&app, body("1h", "other")).await.json()["usage"].clone();
    assert_eq!(
        (&usage["cache_read_input_tokens"], &usage["input_tokens"]),
        (&json!(604), &json!(5))
    );
    assert_eq!(usage["cache_creation_input_tokens"], 0);
    let mut next = body("1h", "a");
    next["messages"][0]["content"][0]["text"] = json!("changed");
    let usage = messages(&app, next).await.json()["usage"].clone();
    assert_eq!(usage["cache_read_input_tokens"], 502);
    assert_eq!(usage["cache_creation_input_tokens"], 4);
    let mut five = body("5m", "a");
    five["messages"][0]["content"] = json!(vec![
        json!({"type": "text", "text": "t", "cache_control": {"type": "ephemeral"}});
        4
    ]);
    assert_eq!(messages(&app, five).await.status, 400);
}

#[tokio::test]
async fn anthropic_without_breakpoints_caches_nothing_unless_told() {
    let app = sim();
    for (model, second) in [
        ("sim/anthropic", 0),
        ("sim/anthropic?cache=implicit", 192),
        ("sim/deepseek", 192),
    ] {
        messages(&app, ask(model, &long(200))).await;
        let usage = messages(&app, ask(model, &long(200))).await.json()["usage"].clone();
        assert_eq!(usage["cache_read_input_tokens"], second, "{model}");
    }
}

#[test]
fn prefixes_expire_and_a_hit_renews_them() {
    let mut cache = PrefixCache::new(terms());
    let prompt = rendered(&ask("m", &long(200)), 64);
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    assert_eq!(cache.implicit(1, &prompt, at(0)).write_implicit, 192);
    assert_eq!(cache.implicit(1, &prompt, at(299)).read, 192);
    assert_eq!(cache.implicit(1, &prompt, at(598)).read, 192);
    assert_eq!(cache.implicit(1, &prompt, at(598 + 300)).read, 0);
}

#[test]
fn the_least_recently_used_prefix_goes_first() {
    let mut cache = PrefixCache::new(Terms {
        entries_max: 4,
        ..terms()
    });
    let now = Instant::now();
    let prompts = ["a", "b", "c"].map(|x| rendered(&ask("m", &format!("{x}{}", long(130))), 64));
    cache.implicit(1, &prompts[0], now);
    cache.implicit(1, &prompts[1], now);
    assert_eq!(cache.implicit(1, &prompts[0], now).read, 128);
    cache.implicit(1, &prompts[2], now);
    assert_eq!(cache.len(), 4);
    assert_eq!(cache.implicit(1, &prompts[0], now).read, 128);
    assert_eq!(cache.implicit(1, &prompts[1], now).read, 0);
}

proptest! {
    /// What is read never reaches the whole prompt, is whole blocks, and is a true common prefix.
    #[test]
    fn reads_are_common_prefixes(a in "[a-c]{0,400}", b in "[a-c]{0,400}", common in 0usize..400, block in 1u32..20) {
        let b = format!("{}{}", &a[..common.min(a.len())], b);
        let mut cache = PrefixCache::new(Terms { block_tokens: u64::from(block), ..terms() });
        let (first, second) = (rendered(&ask("m", &a), block), rendered(&ask("m", &b), block));
        let now = Instant::now();
        prop_assert_eq!(cache.implicit(7, &first, now).read, 0);
        let read = cache.implicit(7, &second, now).read;
        prop_assert!(read < second.tokens && read.is_multiple_of(u64::from(block)));
        let same = a.bytes().zip(b.bytes()).take_while(|(x, y)| x == y).count() as u64;
        let least = (2 + same / 4).saturating_sub(u64::from(block));
        prop_assert!(read >= least.min(second.tokens - u64::from(block).min(second.tokens)).saturating_sub(u64::from(block)));
        if a != b { prop_assert!(read <= 2 + same.div_ceil(4)); }
        prop_assert_eq!(cache.implicit(8, &second, now).read, 0);
    }
}
