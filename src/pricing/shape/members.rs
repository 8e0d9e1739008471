//! Top-level members of a request.

use super::ShapeRefusal;
use crate::json::{self, Limits, Object};
use crate::metering::Route;
use serde::de::DeserializeOwned;
use std::borrow::Cow;

/// Members that add cost, or prompt text from elsewhere, that no rate of a row covers.
const UNPRICED: [&str; 13] = [
    "audio",
    "cached_content",
    "container",
    "conversation",
    "enable_search",
    "file_ids",
    "mcp_servers",
    "plugins",
    "prediction",
    "previous_response_id",
    "search_options",
    "search_parameters",
    "web_search_options",
];

/// The same, on one route: what another route calls by that name is something else.
const fn unpriced_on(route: Route) -> &'static [&'static str] {
    match route {
        Route::Completions => &[],
        // Answers that are fetched later, and prompts that the provider keeps.
        Route::Responses => &["best_of", "background", "prompt"],
        Route::Chat | Route::Embeddings | Route::Messages => &["best_of"],
    }
}

/// Members that choose another price than the row's, and the values that do not.
const AT_ROW_PRICE: [(&str, &[&str]); 2] = [
    (
        "service_tier",
        &["auto", "default", "standard", "standard_only"],
    ),
    ("speed", &["standard"]),
];

/// Refuses what the price row cannot price. Empty lists and `false` ask for nothing and pass.
pub(super) fn refuse_unpriced(route: Route, body: &Object<'_>) -> Result<(), ShapeRefusal> {
    for key in UNPRICED.iter().chain(unpriced_on(route)).copied() {
        if present(body, key).is_some_and(|raw| raw != "false" && !is_empty_array(raw)) {
            return Err(ShapeRefusal::unpriced(key, key));
        }
    }
    for (key, allowed) in AT_ROW_PRICE {
        if let Some(value) = text(body, key)?
            && !allowed.contains(&value.as_ref())
        {
            return Err(ShapeRefusal::unpriced(
                key,
                &format!("{key} {}", shown(&value)),
            ));
        }
    }
    let modalities: Option<Vec<String>> = get(body, "modalities", "an array of strings")?;
    for (i, modality) in modalities.unwrap_or_default().iter().enumerate() {
        if modality != "text" {
            let what = format!("{} output", shown(modality));
            return Err(ShapeRefusal::unpriced(format!("modalities[{i}]"), &what));
        }
    }
    Ok(())
}

/// The member's text, unless it is absent or `null`.
pub(super) fn present<'a>(body: &Object<'a>, key: &str) -> Option<&'a str> {
    body.raw(key).map(str::trim).filter(|raw| *raw != "null")
}

pub(super) fn get<T: DeserializeOwned>(
    body: &Object<'_>,
    key: &str,
    form: &str,
) -> Result<Option<T>, ShapeRefusal> {
    body.get(key)
        .map_err(|_| ShapeRefusal::invalid(key, format!("must be {form}")))
}

pub(super) fn text<'a>(body: &Object<'a>, key: &str) -> Result<Option<Cow<'a, str>>, ShapeRefusal> {
    body.text_of(key)
        .map_err(|_| ShapeRefusal::invalid(key, "must be a string"))
}

/// A whole number from 1 to `max`; `12.0`, `1e9` and `"12"` are refused, as readers disagree on them.
pub(super) fn count(body: &Object<'_>, key: &str, max: u64) -> Result<Option<u64>, ShapeRefusal> {
    let Some(raw) = present(body, key) else {
        return Ok(None);
    };
    let digits = raw.bytes().all(|b| b.is_ascii_digit());
    match raw.parse::<u64>() {
        Ok(n) if digits && (1..=max).contains(&n) => Ok(Some(n)),
        _ if max == u64::MAX => Err(ShapeRefusal::invalid(
            key,
            "must be a whole number of at least 1",
        )),
        _ => Err(ShapeRefusal::invalid(
            key,
            format!("must be a whole number from 1 to {max}"),
        )),
    }
}

fn is_empty_array(raw: &str) -> bool {
    json::items(raw, &Limits::default()).is_ok_and(|items| items.is_empty())
}

/// What a caller wrote, quoted and short enough for a message.
pub(super) fn shown(text: &str) -> String {
    let short: String = text.chars().take(40).collect();
    format!("{short:?}")
}
