//! The body that goes upstream: the caller's own, with only these members spliced (rule 10).
//!
//! | member | becomes | why |
//! |---|---|---|
//! | `model` | the endpoint's own id | it knows no other |
//! | `max_tokens` (`max_output_tokens`) | the configured cap, where the caller named no limit | the quote relies on it |
//! | `stream_options` | as it was, with the usage chunk | the bill relies on it |
//! | `models`, `route` | removed | falling back is done here, at quoted prices |
//! | `provider` | removed, but for an OpenRouter | it is obeyed here, and others refuse it |
//! | `session_id` | removed, or the conversation's own name | it is the upstream's way to be told of that |
//! | `prompt_cache_key` | the conversation's own name, where that is the upstream's way | the same |
//!
//! An OpenRouter gets the `provider` object without the lists that name endpoints of this gateway.

use super::Refusal;
use super::quote::Candidate;
use crate::config::Affinity;
use crate::json::{Limits, Object, Splice};
use crate::metering::Route;
use crate::router::{Conversation, Wanted};

/// The body for an endpoint; `None` where it is the caller's own to the last byte.
pub(super) fn edited(
    route: Route,
    object: &Object<'_>,
    candidate: &Candidate,
    stream_options: Option<&str>,
    conversation: &Conversation,
) -> Result<Option<Vec<u8>>, Refusal> {
    let id = candidate.endpoint.upstream_id();
    let mut splice = Splice::new(object);
    if object.text_of("model").ok().flatten().as_deref() != Some(id) {
        let id = serde_json::to_string(id).map_err(|_| Refusal::Internal)?;
        splice.set("model", id);
    }
    for key in ["models", "route"] {
        splice.remove(key);
    }
    splice.remove("session_id");
    if !candidate.endpoint.is_router() {
        splice.remove("provider");
    } else if let Some(provider) = object.raw("provider").filter(|raw| *raw != "null") {
        splice.set("provider", elsewhere(provider, &candidate.wanted)?);
    }
    if let Affinity::Member(member) = candidate.endpoint.upstream.affinity {
        splice.set(member, format!("\"{}\"", conversation.affinity()));
    }
    if let (Some(member), Some(cap)) = (route.output_limit(), candidate.quote.impose_max_tokens) {
        splice.set(member, cap.to_string());
    }
    if let Some(options) = stream_options {
        splice.set("stream_options", options.to_owned());
    }
    Ok((!splice.is_idle()).then(|| splice.finish()))
}

/// A `provider` object without the slugs that name endpoints here.
fn elsewhere(provider: &str, wanted: &Wanted) -> Result<String, Refusal> {
    let object = Object::of(provider, &Limits::default()).map_err(|_| Refusal::Internal)?;
    let slugs = wanted.elsewhere();
    let mut splice = Splice::new(&object);
    for (key, own, left) in [
        ("order", wanted.order.len(), &slugs.order),
        ("only", wanted.only.len(), &slugs.only),
        ("ignore", wanted.ignore.len(), &slugs.ignore),
    ] {
        if own == left.len() {
            continue;
        }
        if left.is_empty() {
            splice.remove(key);
        } else {
            splice.set(key, serde_json::json!(left).to_string());
        }
    }
    String::from_utf8(splice.finish()).map_err(|_| Refusal::Internal)
}

/// Stream options that ask for the usage chunk, beside what the caller's own say.
pub(super) fn with_usage(options: Option<&str>) -> Result<String, Refusal> {
    let Some(options) = options.filter(|text| text.trim() != "null") else {
        return Ok(r#"{"include_usage":true}"#.to_owned());
    };
    let wrong = |error| Refusal::BadRequest {
        param: Some("stream_options".to_owned()),
        message: format!("`stream_options` cannot be read: {error}."),
    };
    let object = Object::parse(options.as_bytes(), &Limits::default()).map_err(wrong)?;
    let mut splice = Splice::new(&object);
    splice.set("include_usage", "true".to_owned());
    String::from_utf8(splice.finish()).map_err(|_| Refusal::Internal)
}
