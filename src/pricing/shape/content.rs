//! Messages and tools: only text and function calls have a price.

use super::ShapeRefusal;
use super::members::{present, shown};
use crate::json::{self, Limits, Object};
use std::borrow::Cow;
use std::fmt;

/// A body was bounded as a whole before its parts are looked at.
const LIMITS: Limits = Limits {
    depth_max: 128,
    bytes_max: usize::MAX,
};

/// Content parts that are text and nothing else. Any other part is refused by name.
const TEXT_PARTS: [&str; 10] = [
    "text",
    "input_text",
    "output_text",
    "summary_text",
    "refusal",
    "thinking",
    "redacted_thinking",
    "reasoning",
    "reasoning_text",
    "tool_use",
];

/// Tools that the caller runs itself. Any other type runs at the provider, at a price of its own.
const CALLER_TOOLS: [&str; 2] = ["function", "custom"];

/// Checks `messages` and counts them (OpenAI's chat completions; Anthropic's messages, whose parts may
/// hold the result of a tool).
pub(super) fn messages(body: &Object<'_>) -> Result<u64, ShapeRefusal> {
    let raw = present(body, "messages")
        .ok_or_else(|| ShapeRefusal::invalid("messages", "is required: an array of messages"))?;
    let messages = items(raw, "messages")?;
    if messages.is_empty() {
        return Err(ShapeRefusal::invalid("messages", "must not be empty"));
    }
    for (i, raw) in messages.iter().enumerate() {
        message(raw, &At::root("messages", i))?;
    }
    Ok(count(&messages))
}

/// Checks `tools`, and counts them with the legacy `functions`; `untyped` tools are the caller's own.
pub(super) fn tools(body: &Object<'_>, untyped: bool) -> Result<u64, ShapeRefusal> {
    let tools = match present(body, "tools") {
        Some(raw) => items(raw, "tools")?,
        None => Vec::new(),
    };
    for (i, raw) in tools.iter().enumerate() {
        let at = At::root("tools", i);
        let kind = match object(raw, &at)?.raw("type") {
            None | Some("null") if untyped => continue,
            _ => kind(raw, &at)?,
        };
        if !CALLER_TOOLS.contains(&kind.as_ref()) {
            let what = format!("a tool of type {} runs at the provider and", shown(&kind));
            return Err(ShapeRefusal::unpriced(format!("{at}.type"), &what));
        }
    }
    let functions = match present(body, "functions") {
        Some(raw) => items(raw, "functions")?,
        None => Vec::new(),
    };
    Ok(count(&tools).saturating_add(count(&functions)))
}

fn message(raw: &str, at: &At<'_>) -> Result<(), ShapeRefusal> {
    let message = object(raw, at)?;
    if present(&message, "audio").is_some() {
        return Err(ShapeRefusal::unpriced(format!("{at}.audio"), "audio"));
    }
    let no_images = |raw: &&str| !matches!(json::items(raw, &LIMITS), Ok(i) if i.is_empty());
    if present(&message, "images").filter(no_images).is_some() {
        return Err(ShapeRefusal::unpriced(format!("{at}.images"), "an image"));
    }
    content(&message, "content", at)
}

/// Checks a member that is a text or a list of parts, or is absent.
fn content(of: &Object<'_>, member: &'static str, at: &At<'_>) -> Result<(), ShapeRefusal> {
    let content = of.raw(member).unwrap_or("null");
    match content.bytes().next() {
        Some(b'"' | b'n') => Ok(()),
        Some(b'[') => parts(content, Some(at), member),
        _ => Err(ShapeRefusal::invalid(
            format!("{at}.{member}"),
            "must be a string or an array of parts",
        )),
    }
}

/// Checks a list of parts.
pub(super) fn parts(
    raw: &str,
    parent: Option<&At<'_>>,
    list: &'static str,
) -> Result<(), ShapeRefusal> {
    for (index, raw) in items(raw, list)?.into_iter().enumerate() {
        let at = At {
            parent,
            list,
            index,
        };
        let kind = kind(raw, &at)?;
        if kind == "tool_result" {
            content(&object(raw, &at)?, "content", &at)?;
        } else if !TEXT_PARTS.contains(&kind.as_ref()) {
            let what = format!("a content part of type {}", shown(&kind));
            return Err(ShapeRefusal::unpriced(format!("{at}.type"), &what));
        }
    }
    Ok(())
}

/// Checks the items of a response's `input` and counts them (OpenAI Responses).
pub(super) fn input_items(raw: &str) -> Result<u64, ShapeRefusal> {
    let items = items(raw, "input")?;
    for (i, raw) in items.iter().enumerate() {
        let at = At::root("input", i);
        let item = object(raw, &at)?;
        let kind = item.text_of("type").ok().flatten();
        match kind.as_deref().unwrap_or("message") {
            "message" => content(&item, "content", &at)?,
            "function_call_output" | "custom_tool_call_output" => content(&item, "output", &at)?,
            "function_call" | "custom_tool_call" | "reasoning" => {}
            other => {
                let what = format!("an item of type {}", shown(other));
                return Err(ShapeRefusal::unpriced(format!("{at}.type"), &what));
            }
        }
    }
    Ok(count(&items))
}

/// The `type` of an object that must have one.
fn kind<'a>(raw: &'a str, at: &At<'_>) -> Result<Cow<'a, str>, ShapeRefusal> {
    let kind = object(raw, at)?.text_of("type").ok().flatten();
    kind.ok_or_else(|| ShapeRefusal::invalid(format!("{at}.type"), "is required: a string"))
}

/// Reads an object; one that names a member twice is refused, as two readers could disagree on it.
fn object<'a>(raw: &'a str, at: &At<'_>) -> Result<Object<'a>, ShapeRefusal> {
    let wrong = |_| {
        ShapeRefusal::invalid(
            at.to_string(),
            "must be an object that names each member once",
        )
    };
    Object::of(raw, &LIMITS).map_err(wrong)
}

pub(super) fn items<'a>(raw: &'a str, param: &str) -> Result<Vec<&'a str>, ShapeRefusal> {
    json::items(raw, &LIMITS).map_err(|_| ShapeRefusal::invalid(param, "must be an array"))
}

/// The place of a list's item, which is printed only when something is wrong there.
pub(super) struct At<'a> {
    parent: Option<&'a At<'a>>,
    list: &'a str,
    index: usize,
}

impl<'a> At<'a> {
    const fn root(list: &'a str, index: usize) -> Self {
        Self {
            parent: None,
            list,
            index,
        }
    }
}

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            write!(f, "{parent}.")?;
        }
        write!(f, "{}[{}]", self.list, self.index)
    }
}

pub(super) fn count<T>(items: &[T]) -> u64 {
    u64::try_from(items.len()).unwrap_or(u64::MAX)
}
