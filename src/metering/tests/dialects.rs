//! One usage, said in every dialect, whole and streamed, is read as the same usage.
use super::*;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// The chat style's usage object; `outside` leaves reasoning out of the completion count.
fn chat(u: &Usage, outside: bool) -> Value {
    let prompt = u.prompt_total().unwrap();
    let output = u.output + u.reasoning;
    json!({
        "prompt_tokens": prompt,
        "completion_tokens": if outside { u.output } else { output },
        "total_tokens": prompt + output,
        "prompt_tokens_details": {"cached_tokens": u.cache_read},
        "completion_tokens_details": {"reasoning_tokens": u.reasoning},
    })
}

fn with(mut usage: Value, path: [&str; 2], value: Value) -> Value {
    usage[path[0]][path[1]] = value;
    usage
}

fn messages(u: &Usage) -> Value {
    json!({
        "input_tokens": u.uncached, "output_tokens": u.output + u.reasoning,
        "cache_read_input_tokens": u.cache_read,
        "cache_creation_input_tokens": u.cache_write_5m + u.cache_write_1h,
        "cache_creation": {
            "ephemeral_5m_input_tokens": u.cache_write_5m, "ephemeral_1h_input_tokens": u.cache_write_1h,
        },
        "output_tokens_details": {"thinking_tokens": u.reasoning},
    })
}

fn responses(u: &Usage) -> Value {
    let prompt = u.prompt_total().unwrap();
    json!({
        "input_tokens": prompt, "output_tokens": u.output + u.reasoning,
        "total_tokens": prompt + u.output + u.reasoning,
        "input_tokens_details": {
            "cached_tokens": u.cache_read, "cache_write_tokens": u.cache_write_5m + u.cache_write_1h,
            "cache_write_tokens_details": {"ttl_30m_tokens": u.cache_write_5m, "ttl_12h_tokens": u.cache_write_1h},
        },
        "output_tokens_details": {"reasoning_tokens": u.reasoning},
    })
}

fn gemini(u: &Usage) -> Value {
    let prompt = u.prompt_total().unwrap();
    json!({
        "promptTokenCount": prompt, "cachedContentTokenCount": u.cache_read,
        "candidatesTokenCount": u.output, "thoughtsTokenCount": u.reasoning,
        "totalTokenCount": prompt + u.output + u.reasoning,
    })
}

fn without(mut usage: Value, key: &str) -> Value {
    usage.as_object_mut().unwrap().remove(key);
    usage
}

/// A usage with no writes, in each style of each dialect: where it lies, and its text.
fn styles(u: &Usage) -> Vec<(Dialect, &'static [&'static str], Value)> {
    let details = "prompt_tokens_details";
    let bare = without(chat(u, false), details);
    let cached = json!(u.cache_read);
    let top = with_member(bare.clone(), "cached_tokens", cached.clone());
    let hit_miss = with_member(bare.clone(), "prompt_cache_hit_tokens", cached.clone());
    let hit_miss = with_member(hit_miss, "prompt_cache_miss_tokens", json!(u.uncached));
    let usage: &[&str] = &["usage"];
    let mut all = vec![
        (Dialect::OpenAi, &["response", "usage"][..], responses(u)),
        (Dialect::Anthropic, usage, messages(u)),
        (Dialect::Anthropic, &["message", "usage"], messages(u)),
        (
            Dialect::DeepSeek,
            usage,
            without(hit_miss.clone(), "prompt_tokens"),
        ),
        (Dialect::DeepSeek, usage, hit_miss),
        (Dialect::Gemini, &["usageMetadata"], gemini(u)),
        (Dialect::Xai, usage, chat(u, true)),
        (Dialect::Xai, usage, responses(u)),
        (Dialect::Moonshot, usage, top.clone()),
        (Dialect::MiniMax, usage, messages(u)),
        (Dialect::Groq, &["x_groq", "usage"], chat(u, false)),
        (Dialect::Together, usage, top),
        (
            Dialect::Mistral,
            usage,
            with_member(bare.clone(), "num_cached_tokens", cached.clone()),
        ),
        (
            Dialect::Mistral,
            usage,
            with_member(
                bare,
                "prompt_token_details",
                json!({"cached_tokens": cached}),
            ),
        ),
        (Dialect::OpenRouter, usage, messages(u)),
        (Dialect::OpenRouter, usage, responses(u)),
    ];
    let plain = Dialect::ALL
        .into_iter()
        .filter(|d| !matches!(d, Dialect::Anthropic));
    all.extend(plain.map(|d| {
        (
            d,
            usage,
            chat(u, matches!(d, Dialect::Gemini | Dialect::Xai)),
        )
    }));
    all
}

fn with_member(mut usage: Value, key: &str, value: Value) -> Value {
    usage.as_object_mut().unwrap().insert(key.to_owned(), value);
    usage
}

fn placed(path: &[&str], usage: Value) -> Value {
    path.iter().rev().fold(usage, |inner, key| {
        Value::Object(Map::from_iter([((*key).to_owned(), inner)]))
    })
}

fn read_both_ways(dialect: Dialect, body: &Value) -> [Reading; 2] {
    let stream = format!("data: {{\"choices\":[]}}\n\ndata: {body}\n\ndata: [DONE]\n\n");
    [
        meter_whole(dialect, body.to_string().as_bytes()),
        meter_stream(dialect, stream.as_bytes()),
    ]
}

proptest! {
    #[test]
    fn the_same_usage_in_any_dialect_is_the_same_usage(
        uncached in 1u64..1 << 20, cache_read in 0u64..1 << 20, output in 0u64..1 << 20, reasoning in 0u64..1 << 20,
    ) {
        let u = Usage { uncached, cache_read, output, reasoning, ..Usage::default() };
        for (dialect, path, usage) in styles(&u) {
            let body = placed(path, usage);
            for reading in read_both_ways(dialect, &body) {
                prop_assert_eq!(reading.usage, Ok(u), "{} {}", dialect, body);
                prop_assert!(reading.flags.is_empty(), "{} {} {:?}", dialect, body, reading.flags);
            }
        }
    }

    #[test]
    fn writes_are_the_same_in_every_dialect_that_has_them(
        uncached in 1u64..1 << 20, cache_read in 0u64..1 << 20, short in 0u64..1 << 20, long in 0u64..1 << 20,
    ) {
        let u = Usage { uncached, cache_read, cache_write_5m: short, cache_write_1h: long, output: 1, reasoning: 0 };
        let split = json!({"ephemeral_5m_input_tokens": short, "ephemeral_1h_input_tokens": long});
        let moonshot = with(chat(&u, false), ["prompt_tokens_details", "cache_creation"], split);
        let only_short = Usage { cache_write_1h: 0, ..u };
        let alibaba = with(
            chat(&only_short, false), ["prompt_tokens_details", "cache_creation_input_tokens"], json!(short),
        );
        for (dialect, usage, expected) in [
            (Dialect::Anthropic, messages(&u), u),
            (Dialect::MiniMax, messages(&u), u),
            (Dialect::OpenRouter, messages(&u), u),
            (Dialect::OpenAi, responses(&u), u),
            (Dialect::OpenRouter, responses(&u), u),
            (Dialect::Moonshot, moonshot, u),
            (Dialect::Alibaba, alibaba, only_short),
        ] {
            for reading in read_both_ways(dialect, &placed(&["usage"], usage.clone())) {
                prop_assert_eq!(reading.usage, Ok(expected), "{} {}", dialect, usage);
                prop_assert!(reading.flags.is_empty(), "{} {:?}", dialect, reading.flags);
            }
        }
    }

    #[test]
    fn no_count_is_ever_billed_twice_or_lost(
        prompt in 0u64..3000, cached in 0u64..3000, completion in 0u64..3000, reasoning in 0u64..3000,
        total in prop::option::of(0u64..9000),
    ) {
        let usage = json!({
            "prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total,
            "prompt_tokens_details": {"cached_tokens": cached},
            "completion_tokens_details": {"reasoning_tokens": reasoning},
        });
        for dialect in Dialect::ALL {
            let reading = meter_whole(dialect, placed(&["usage"], usage.clone()).to_string().as_bytes());
            if let Ok(u) = reading.usage {
                prop_assert_eq!(u.prompt_total(), Some(prompt), "{} {}", dialect, usage);
                prop_assert!(u.output_total().unwrap() >= completion, "{} {}", dialect, usage);
                let clean = reading.flags.is_empty() && total.is_some() && dialect != Dialect::Anthropic;
                prop_assert!(!clean || Some(prompt + u.output_total().unwrap()) == total, "{} {}", dialect, usage);
            }
        }
    }
}
