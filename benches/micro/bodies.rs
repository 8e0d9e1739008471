//! What goes up and what comes down: chat requests of a given size, answers whole and streamed.

use serde_json::{Value, json};

/// English text with line breaks and quotes that never changes.
const PROSE: &str = include_str!("../../LICENSE-APACHE");

/// How long one message of a conversation is, in bytes.
const MESSAGE_BYTES: usize = 2000;

/// How many chunks of text a streamed answer has.
const CHUNKS: usize = 200;

/// A streamed chat request of `model` that is about `bytes` long, a conversation when it is long.
pub(crate) fn request(model: &str, bytes: usize) -> Vec<u8> {
    let prose: Vec<char> = PROSE.chars().collect();
    let mut messages = vec![json!({
        "role": "system",
        "content": "You answer questions about licences, in one paragraph, and say what you leave out.",
    })];
    let mut left = bytes.saturating_sub(300);
    for (turn, start) in (0..).zip((0..).step_by(MESSAGE_BYTES)) {
        let length = left.min(MESSAGE_BYTES);
        let text = prose.iter().cycle().skip(start % prose.len()).take(length);
        let role = if turn % 2 == 0 { "user" } else { "assistant" };
        messages.push(json!({ "role": role, "content": text.collect::<String>() }));
        left -= length;
        if left == 0 {
            break;
        }
    }
    let body = json!({
        "model": model,
        "messages": messages,
        "temperature": 0.2,
        "stream": true,
        "user": "caller-7",
    });
    body.to_string().into_bytes()
}

/// A whole answer of 2 kB of text with DeepSeek's usage.
pub(crate) fn answer() -> Vec<u8> {
    let body = json!({
        "id": "0193-0c3d-7a70",
        "object": "chat.completion",
        "created": 1_760_203_927,
        "model": "deepseek-chat",
        "choices": [{
            "index": 0,
            "message": { "role": "assistant", "content": &PROSE[..MESSAGE_BYTES] },
            "logprobs": null,
            "finish_reason": "stop",
        }],
        "usage": usage(),
        "system_fingerprint": "fp_eaab8d114b",
    });
    body.to_string().into_bytes()
}

/// The same streamed: a role, 200 chunks of text, a finish reason, the usage, `[DONE]`.
pub(crate) fn stream() -> Vec<u8> {
    let words = PROSE.split(' ').filter(|word| !word.is_empty());
    let mut events = vec![chunk(
        &json!({ "role": "assistant", "content": "" }),
        &Value::Null,
    )];
    events.extend(words.take(CHUNKS).map(|word| {
        let delta = json!({ "content": format!(" {word}") });
        chunk(&delta, &Value::Null)
    }));
    events.push(chunk(&json!({}), &json!("stop")));
    let mut last = chunk(&json!({}), &Value::Null);
    last["choices"] = json!([]);
    last["usage"] = usage();
    events.push(last);
    let mut text: String = events
        .iter()
        .map(|event| format!("data: {event}\n\n"))
        .collect();
    text.push_str("data: [DONE]\n\n");
    text.into_bytes()
}

fn chunk(delta: &Value, finish_reason: &Value) -> Value {
    json!({
        "id": "0193-0c3d-7a70",
        "object": "chat.completion.chunk",
        "created": 1_760_203_927,
        "model": "deepseek-chat",
        "system_fingerprint": "fp_eaab8d114b",
        "choices": [{ "index": 0, "delta": delta, "logprobs": null, "finish_reason": finish_reason }],
    })
}

fn usage() -> Value {
    json!({
        "prompt_tokens": 4908,
        "completion_tokens": 402,
        "total_tokens": 5310,
        "prompt_tokens_details": { "cached_tokens": 4096 },
        "prompt_cache_hit_tokens": 4096,
        "prompt_cache_miss_tokens": 812,
    })
}
