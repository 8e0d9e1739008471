//! What a caller is told when no endpoint answered. Upstreams' 402 and 401 are our unpaid bill and our
//! key: 503, never a challenge.

use super::ApiError;
use crate::call::{Tried, Unanswered};
use crate::metering::Route;
use crate::router::{Fault, UpstreamFailure};
use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};

const NOTHING: &str = "Nothing was charged; what was already paid is your credit.";

/// One endpoint's failure by what it is; several endpoints' failures as 503 in OpenRouter's shape, with
/// every try listed.
pub(super) fn told(route: Route, unanswered: &Unanswered) -> Response {
    let failure = &unanswered.failure;
    let several = unanswered
        .attempts
        .windows(2)
        .any(|pair| matches!(pair, [a, b] if a.endpoint != b.endpoint || a.model != b.model));
    let mut response = match failure.fault() {
        Fault::Upstream | Fault::Endpoint | Fault::Account | Fault::Busy if several => {
            none_of(route, &unanswered.attempts)
        }
        Fault::Request | Fault::Endpoint => {
            theirs(route, failure).unwrap_or_else(|| one(route, failure))
        }
        _ => one(route, failure),
    };
    if matches!(
        response.status(),
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS
    ) {
        let wait = HeaderValue::from(failure.retry_after().map_or(
            if failure.fault() == Fault::Account {
                30
            } else {
                1
            },
            |wait| wait.as_secs(),
        ));
        response.headers_mut().insert(header::RETRY_AFTER, wait);
    }
    response
}

/// The upstream's own words about the request, where it has any.
fn theirs(route: Route, failure: &UpstreamFailure) -> Option<Response> {
    let UpstreamFailure::Refused { status, body, .. } = failure else {
        return None;
    };
    if !matches!(status.as_u16(), 400 | 404 | 413 | 422) {
        return None;
    }
    let body: Option<Value> = serde_json::from_slice(body).ok();
    let refused = || {
        let message = format!("The upstream refused this request. {NOTHING}");
        ApiError::new(*status, "upstream_refused", message)
            .on(route)
            .into_response()
    };
    Some(match body.filter(|body| body.get("error").is_some()) {
        Some(body) => (*status, Json(body)).into_response(),
        None => refused(),
    })
}

fn one(route: Route, failure: &UpstreamFailure) -> Response {
    let (status, code, message) = match failure {
        UpstreamFailure::TimedOut => (
            StatusCode::GATEWAY_TIMEOUT,
            "upstream_timeout",
            "The upstream did not answer in time.".to_owned(),
        ),
        ended @ UpstreamFailure::Ended(_) => (
            StatusCode::GATEWAY_TIMEOUT,
            "out_of_time",
            format!("No answer: {ended}."),
        ),
        refused @ UpstreamFailure::Refused { status, .. } => match refused.fault() {
            Fault::Busy => (
                StatusCode::TOO_MANY_REQUESTS,
                "upstream_rate_limited",
                "The upstream takes no more requests right now.".to_owned(),
            ),
            Fault::Account => {
                tracing::error!(%status, "the upstream refuses our account: check its key and balance");
                (
                    StatusCode::SERVICE_UNAVAILABLE,
                    "upstream_unavailable",
                    "The upstream is not available to this gateway right now.".to_owned(),
                )
            }
            _ => (
                StatusCode::BAD_GATEWAY,
                "upstream_failed",
                "The upstream failed.".to_owned(),
            ),
        },
        unpaid @ (UpstreamFailure::NotPaid(_) | UpstreamFailure::TooDear(_)) => {
            tracing::error!(%unpaid, "an upstream is not paid");
            (
                StatusCode::SERVICE_UNAVAILABLE,
                "upstream_unavailable",
                "The upstream is not available to this gateway right now.".to_owned(),
            )
        }
        UpstreamFailure::Paid(failure) => return one(route, failure),
        other => (
            StatusCode::BAD_GATEWAY,
            "upstream_failed",
            format!("No answer: {other}."),
        ),
    };
    let message = format!("{message} {NOTHING}");
    ApiError::new(status, code, message)
        .on(route)
        .into_response()
}

/// OpenRouter's error object; `type` and `param` are there for OpenAI's clients, and Anthropic's have
/// theirs around it.
fn none_of(route: Route, attempts: &[Tried]) -> Response {
    let listed: Vec<Value> = attempts
        .iter()
        .map(|tried| {
            json!({
                "provider": tried.endpoint,
                "model": tried.model,
                "status": tried.status,
                "message": tried.why,
            })
        })
        .collect();
    let messages = route == Route::Messages;
    let mut body = json!({"error": {
        "code": 503,
        "message": format!("None of the endpoints for this request answered. {NOTHING}"),
        "type": if messages { "overloaded_error" } else { "server_error" },
        "param": null,
        "metadata": {"error_type": "provider_unavailable", "attempts": listed},
    }});
    if let (true, Some(members)) = (messages, body.as_object_mut()) {
        members.insert("type".to_owned(), json!("error"));
    }
    let unavailable = StatusCode::SERVICE_UNAVAILABLE;
    let mut response = ApiError::new(unavailable, "upstream_unavailable", "").into_response();
    *response.body_mut() = body.to_string().into();
    response.headers_mut().remove(header::CONTENT_LENGTH);
    response
}
