//! What operators look at: health and metrics.

use super::App;
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde_json::json;

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
