//! What operators and clients look at: models, health, metrics.

use super::App;
use crate::pricing::CacheReadPrice;
use crate::router::Model;
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};

/// `GET /v1/models`: OpenAI's list, with OpenRouter's `pricing` (USD per token, as text).
pub(super) async fn models(State(app): State<App>) -> Json<Value> {
    let router = app.inner.desk.prices().current();
    let data: Vec<Value> = router.models().filter_map(|model| listed(model)).collect();
    Json(json!({"object": "list", "data": data}))
}

/// A model by its first endpoint.
fn listed(model: &Model) -> Option<Value> {
    let endpoint = model.endpoints.first()?;
    let model = &endpoint.model;
    let price = &model.price;
    let usd = |rate: crate::money::Rate| rate.times(1).unwrap_or_default().usd_text();
    let mut pricing = json!({"prompt": usd(price.prompt), "completion": usd(price.completion)});
    let mut set = |key: &str, rate: Option<crate::money::Rate>| {
        if let (Some(members), Some(rate)) = (pricing.as_object_mut(), rate) {
            members.insert(key.to_owned(), Value::from(usd(rate)));
        }
    };
    set(
        "input_cache_read",
        match price.cache_read {
            CacheReadPrice::Known(rate) => Some(rate),
            CacheReadPrice::SameAsPrompt => Some(price.prompt),
            CacheReadPrice::Unknown => None,
        },
    );
    set("input_cache_write", price.cache_write_5m);
    set("input_cache_write_1h", price.cache_write_1h);
    set("internal_reasoning", price.reasoning);
    set("request", price.request);
    Some(json!({
        "id": model.id,
        "object": "model",
        "created": 0,
        "owned_by": endpoint.upstream.name,
        "context_length": model.context_tokens,
        "pricing": pricing,
        "price_row_sha256": hex::encode(price.sha256()),
        "top_provider": {"max_completion_tokens": model.output_max},
    }))
}

/// `GET /healthz`: the process answers.
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

/// `GET /readyz`: payments can be taken; otherwise 503 and why not.
pub(super) async fn readyz(State(app): State<App>) -> Response {
    let ledger = app.inner.ledger.healthy();
    let relayer = app.inner.settlements.healthy();
    let status = if ledger && relayer.is_ok() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let body = json!({
        "ready": status == StatusCode::OK,
        "ledger": if ledger { "ok" } else { "not writable" },
        "relayer": relayer.map_or_else(|why| why.to_string(), |()| "ok".to_owned()),
        "calls_running": app.inner.desk.running(),
    });
    (status, Json(body)).into_response()
}

/// `GET /metrics`: OpenMetrics text.
pub(super) async fn metrics(State(app): State<App>) -> Response {
    let kind =
        HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
    ([(header::CONTENT_TYPE, kind)], app.inner.metrics.text()).into_response()
}
