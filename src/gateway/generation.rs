//! `GET /v1/generation?id=`: what became of a call, in OpenRouter's field names. The id is the call's,
//! which cannot be guessed, so who holds one may read it.

use super::{ApiError, App};
use crate::call::CallId;
use crate::ledger::{CallState, Capture, Work};
use crate::metering::{Route, Usage};
use crate::money::Pusd;
use axum::Json;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

#[derive(Debug, Deserialize)]
pub(super) struct Asked {
    id: Option<String>,
}

pub(super) async fn generation(State(app): State<App>, Query(asked): Query<Asked>) -> Response {
    let unknown = || {
        let message = "There is no such generation: the id is that of the header Groat-Call-Id.";
        ApiError::new(StatusCode::NOT_FOUND, "generation_not_found", message).into_response()
    };
    let Some(id) = asked.id.and_then(|id| id.parse::<CallId>().ok()) else {
        return unknown();
    };
    let state = match app.inner.desk.call(&id).await {
        Ok(Some(state)) => state,
        Ok(None) => return unknown(),
        Err(refusal) => return app.refused(&refusal, None),
    };
    match &state.work {
        Work::Captured(capture) => Json(Told {
            data: Generation::of(&state, capture),
        })
        .into_response(),
        Work::Voided { .. } => ApiError::new(
            StatusCode::NOT_FOUND,
            "call_voided",
            "This call had no answer: nothing was charged.",
        )
        .into_response(),
        Work::Held | Work::Forwarded | Work::Answered => ApiError::new(
            StatusCode::NOT_FOUND,
            "generation_pending",
            "This call is under way.",
        )
        .retry_after("1")
        .into_response(),
    }
}

#[derive(Serialize)]
struct Told {
    data: Generation,
}

/// OpenRouter's object; what a call here never has stands as null.
#[derive(Default, Serialize)]
struct Generation {
    id: String,
    upstream_id: Option<String>,
    request_id: Option<String>,
    model: String,
    provider_name: String,
    api_type: &'static str,
    created_at: String,
    streamed: bool,
    cancelled: bool,
    origin: &'static str,
    total_cost: Option<Box<RawValue>>,
    usage: Option<Box<RawValue>>,
    upstream_inference_cost: Option<Box<RawValue>>,
    cache_discount: Option<Box<RawValue>>,
    is_byok: bool,
    latency: Option<u64>,
    generation_time: Option<u64>,
    moderation_latency: Option<u64>,
    tokens_prompt: Option<u64>,
    tokens_completion: Option<u64>,
    native_tokens_prompt: Option<u64>,
    native_tokens_completion: Option<u64>,
    native_tokens_reasoning: Option<u64>,
    native_tokens_cached: Option<u64>,
    native_tokens_completion_images: Option<u64>,
    num_media_prompt: Option<u64>,
    num_media_completion: Option<u64>,
    num_input_audio_prompt: Option<u64>,
    num_search_results: Option<u64>,
    num_fetches: Option<u64>,
    finish_reason: Option<String>,
    native_finish_reason: Option<String>,
    app_id: Option<u64>,
    http_referer: Option<String>,
    user_agent: Option<String>,
    external_user: Option<String>,
    session_id: Option<String>,
    response_cache_source_id: Option<String>,
    data_region: &'static str,
    preset_id: Option<String>,
    workspace_id: Option<String>,
    router: Option<String>,
    service_tier: Option<String>,
    web_search_engine: Option<String>,
    provider_responses: Option<u64>,
    /// Groat's own: where the usage is from, what is remarkable of it, and the receipt's place.
    usage_source: String,
    flags: Vec<String>,
    receipt: String,
}

impl Generation {
    fn of(state: &CallState, capture: &Capture) -> Self {
        let hold = &state.hold;
        let usage: Usage = serde_json::from_value(capture.usage.clone()).unwrap_or_default();
        let (prompt, output) = (usage.prompt_total(), usage.output_total());
        let since = |from: Option<u64>, to: Option<u64>| Some(to?.saturating_sub(from?));
        Self {
            id: hold.call.to_string(),
            model: capture
                .answered_model
                .clone()
                .unwrap_or_else(|| hold.model.clone()),
            provider_name: state.answering().0.to_owned(),
            api_type: match hold.route {
                Route::Embeddings => "embeddings",
                _ => "completions",
            },
            created_at: timestamp(hold.at_ms),
            streamed: hold.stream,
            // The SDKs know three regions, and every endpoint's own is in the catalogue.
            data_region: "global",
            total_cost: usd(capture.total),
            usage: usd(capture.total),
            upstream_inference_cost: usd(capture.reported_cost.unwrap_or(capture.total)),
            cache_discount: usd(capture.saving),
            latency: since(state.forwarded_at_ms, state.answered_at_ms),
            generation_time: since(state.forwarded_at_ms, Some(capture.at_ms)),
            tokens_prompt: prompt,
            tokens_completion: output,
            native_tokens_prompt: prompt,
            native_tokens_completion: output,
            native_tokens_reasoning: Some(usage.reasoning),
            native_tokens_cached: Some(usage.cache_read),
            usage_source: capture.usage_source.clone(),
            flags: capture.flags.clone(),
            receipt: format!("/v1/receipts/{}", hold.call),
            ..Self::default()
        }
    }
}

/// An amount as a JSON number in US dollars, exactly.
fn usd(amount: Pusd) -> Option<Box<RawValue>> {
    RawValue::from_string(amount.usd_text()).ok()
}

fn timestamp(at_ms: u64) -> String {
    let ms = i64::try_from(at_ms).unwrap_or(i64::MAX);
    let at = jiff::Timestamp::from_millisecond(ms).unwrap_or_default();
    at.to_string()
}
