//! The messages and tools of a chat request: only text and function calls have a price.

use super::ShapeRefusal;
use super::members::{present, shown};
use crate::json::Object;
use serde::Deserialize;
use serde_json::value::RawValue;

/// Content parts that are text and nothing else. Any other part is refused by name.
const TEXT_PARTS: [&str; 6] = [
    "text",
    "refusal",
    "thinking",
    "redacted_thinking",
    "reasoning",
    "reasoning_text",
];

/// Tools that the caller runs itself. Any other type runs at the provider, at a price of its own.
const CALLER_TOOLS: [&str; 2] = ["function", "custom"];

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    /// An earlier spoken answer, put into the prompt by its id.
    #[serde(borrow)]
    audio: Option<&'a RawValue>,
    /// Pictures that an earlier answer carried.
    #[serde(borrow)]
    images: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Typed<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
}

/// Checks `messages` and counts them.
pub(super) fn messages(body: &Object<'_>) -> Result<u64, ShapeRefusal> {
    let raw = present(body, "messages")
        .ok_or_else(|| ShapeRefusal::invalid("messages", "is required: an array of messages"))?;
    let messages = items(raw, "messages")?;
    if messages.is_empty() {
        return Err(ShapeRefusal::invalid("messages", "must not be empty"));
    }
    for (i, raw) in messages.iter().enumerate() {
        message(raw.get(), &format!("messages[{i}]"))?;
    }
    Ok(count(&messages))
}

/// Checks `tools`, and counts them with the legacy `functions`.
pub(super) fn tools(body: &Object<'_>) -> Result<u64, ShapeRefusal> {
    let tools = match present(body, "tools") {
        Some(raw) => items(raw, "tools")?,
        None => Vec::new(),
    };
    for (i, raw) in tools.iter().enumerate() {
        let param = format!("tools[{i}]");
        let kind = kind(raw.get(), &param)?;
        if !CALLER_TOOLS.contains(&kind.as_str()) {
            let what = format!("a tool of type {} runs at the provider and", shown(&kind));
            return Err(ShapeRefusal::unpriced(format!("{param}.type"), &what));
        }
    }
    let functions = match present(body, "functions") {
        Some(raw) => items(raw, "functions")?,
        None => Vec::new(),
    };
    Ok(count(&tools).saturating_add(count(&functions)))
}

fn message(raw: &str, param: &str) -> Result<(), ShapeRefusal> {
    let message: Message<'_> = object(raw, param)?;
    if message.audio.is_some() {
        return Err(ShapeRefusal::unpriced(format!("{param}.audio"), "audio"));
    }
    let no_images = |raw: &&RawValue| !matches!(items(raw.get(), param), Ok(i) if i.is_empty());
    if message.images.filter(no_images).is_some() {
        return Err(ShapeRefusal::unpriced(
            format!("{param}.images"),
            "an image",
        ));
    }
    let content = message.content.map(RawValue::get).unwrap_or("null");
    match content.bytes().next() {
        Some(b'"' | b'n') => Ok(()),
        Some(b'[') => parts(content, &format!("{param}.content")),
        _ => Err(ShapeRefusal::invalid(
            format!("{param}.content"),
            "must be a string or an array of parts",
        )),
    }
}

fn parts(raw: &str, param: &str) -> Result<(), ShapeRefusal> {
    for (i, raw) in items(raw, param)?.iter().enumerate() {
        let param = format!("{param}[{i}]");
        let kind = kind(raw.get(), &param)?;
        if !TEXT_PARTS.contains(&kind.as_str()) {
            let what = format!("a content part of type {}", shown(&kind));
            return Err(ShapeRefusal::unpriced(format!("{param}.type"), &what));
        }
    }
    Ok(())
}

/// The `type` of an object that must have one.
fn kind(raw: &str, param: &str) -> Result<String, ShapeRefusal> {
    let typed: Typed<'_> = object(raw, param)?;
    typed
        .kind
        .and_then(|raw| serde_json::from_str(raw.get()).ok())
        .ok_or_else(|| ShapeRefusal::invalid(format!("{param}.type"), "is required: a string"))
}

/// Reads an object; one that names a member twice is refused, as two readers could disagree on it.
fn object<'a, T: Deserialize<'a>>(raw: &'a str, param: &str) -> Result<T, ShapeRefusal> {
    let wrong = || ShapeRefusal::invalid(param, "must be an object that names each member once");
    // serde would also read a struct from an array.
    if !raw.starts_with('{') {
        return Err(wrong());
    }
    serde_json::from_str(raw).map_err(|_| wrong())
}

fn items<'a>(raw: &'a str, param: &str) -> Result<Vec<&'a RawValue>, ShapeRefusal> {
    serde_json::from_str(raw).map_err(|_| ShapeRefusal::invalid(param, "must be an array"))
}

fn count<T>(items: &[T]) -> u64 {
    u64::try_from(items.len()).unwrap_or(u64::MAX)
}
