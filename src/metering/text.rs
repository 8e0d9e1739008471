use serde_json::{Map, Value};

/// The members of a body or event that hold delivered text, across all wire formats.
///
/// Left out on purpose: members that repeat what was streamed before (`response`, `item`, `part`).
pub(super) const TEXT_MEMBERS: [&str; 7] = [
    "choices",
    "content",
    "delta",
    "content_block",
    "candidates",
    "output",
    "outputs",
];

/// The bytes of text that the member `key` of `value` delivers.
pub(super) fn text_bytes(key: &str, value: &Value) -> u64 {
    member(key, value, &Map::new())
}

fn below(value: &Value) -> u64 {
    match value {
        Value::Array(items) => items
            .iter()
            .fold(0, |sum, item| sum.saturating_add(below(item))),
        Value::Object(members) => members.iter().fold(0, |sum, (key, value)| {
            sum.saturating_add(member(key, value, members))
        }),
        _ => 0,
    }
}

fn member(key: &str, value: &Value, siblings: &Map<String, Value>) -> u64 {
    match (key, value) {
        // Some send the same reasoning under both names.
        ("reasoning_content", Value::String(text))
            if siblings.get("reasoning").and_then(Value::as_str) == Some(text) =>
        {
            0
        }
        (
            "content" | "text" | "delta" | "reasoning" | "reasoning_content" | "thinking"
            | "refusal" | "partial_json" | "arguments" | "summary",
            Value::String(text),
        ) => len(text.len()),
        // A tool call's arguments that come as JSON rather than as text.
        ("input" | "args" | "arguments", Value::Object(members)) if !members.is_empty() => {
            len(value.to_string().len())
        }
        (
            "choices" | "candidates" | "output" | "outputs" | "content" | "content_block" | "delta"
            | "message" | "parts" | "thinking" | "reasoning" | "summary" | "tool_calls"
            | "function_call" | "functionCall" | "function",
            nested,
        ) => below(nested),
        _ => 0,
    }
}

fn len(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

/// Why the answer ended, as the member `key` of `value` says it.
pub(super) fn finish_reason(key: &str, value: &Value) -> Option<String> {
    let word = |value: &Value, name: &str| {
        value
            .get(name)
            .and_then(Value::as_str)
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
    };
    let first = |name: &str| value.as_array()?.iter().find_map(|item| word(item, name));
    match key {
        "choices" => first("finish_reason"),
        "candidates" => first("finishReason"),
        "delta" => word(value, "stop_reason"),
        _ => None,
    }
}
