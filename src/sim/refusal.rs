//! Error answers, in the caller's wire.

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderName, HeaderValue, Response, StatusCode};

use super::openai::json;

/// Which API was called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wire {
    /// OpenAI's chat completions.
    Chat,
    /// OpenAI's completions.
    Completions,
    /// OpenAI's embeddings.
    Embeddings,
    /// OpenAI's responses.
    Responses,
    /// Anthropic's messages.
    Messages,
}

impl Wire {
    pub(super) const ALL: [Self; 5] = [
        Self::Chat,
        Self::Completions,
        Self::Embeddings,
        Self::Responses,
        Self::Messages,
    ];

    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Chat => "/v1/chat/completions",
            Self::Completions => "/v1/completions",
            Self::Embeddings => "/v1/embeddings",
            Self::Responses => "/v1/responses",
            Self::Messages => "/v1/messages",
        }
    }
}

/// Headers no proxy may pass on, from `set_cookie` and the simulated 402.
const SECRETS: &[(&str, &str)] = &[
    (
        "set-cookie",
        "sim_session=upstream-secret; Path=/; HttpOnly",
    ),
    ("authorization", "Bearer upstream-secret"),
    ("x-api-key", "upstream-secret"),
    ("proxy-authenticate", "Basic realm=\"sim\""),
];
const PAYMENT: &[(&str, &str)] = &[
    (
        "www-authenticate",
        "Payment id=\"sim\", realm=\"sim\", method=\"tempo\", intent=\"charge\", request=\"e30\"",
    ),
    ("payment-required", "eyJ4NDAyVmVyc2lvbiI6Mn0="),
    ("payment-response", "eyJzdWNjZXNzIjp0cnVlfQ=="),
    ("x-payment-response", "eyJzdWNjZXNzIjp0cnVlfQ=="),
    ("payment-receipt", "sim"),
];

/// An error in the wire's own shape.
pub(super) fn refuse(
    wire: Wire,
    status: u16,
    message: &str,
    retry_after: Option<u64>,
) -> Response<Body> {
    let kind = match (wire, status) {
        (_, 400 | 413 | 422) => "invalid_request_error",
        (_, 401) => "authentication_error",
        (_, 404) => "not_found_error",
        (_, 429) => "rate_limit_error",
        (Wire::Messages, 529) => "overloaded_error",
        (Wire::Messages, _) => "api_error",
        (_, _) => "server_error",
    };
    let message = json(message);
    let body = match wire {
        Wire::Chat | Wire::Completions | Wire::Embeddings | Wire::Responses => format!(
            r#"{{"error":{{"message":{message},"type":"{kind}","param":null,"code":{status}}}}}"#
        ),
        Wire::Messages => {
            format!(r#"{{"type":"error","error":{{"type":"{kind}","message":{message}}}}}"#)
        }
    };
    let mut response = json_response(status, body);
    if let Some(seconds) = retry_after {
        response
            .headers_mut()
            .insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// What a provider says whose account ran dry, dressed up as a payment challenge.
pub(super) fn out_of_credit(wire: Wire) -> Response<Body> {
    let mut response = refuse(
        wire,
        402,
        "Insufficient credits on the simulated account.",
        None,
    );
    add(&mut response, PAYMENT);
    response
}

pub(super) fn add_secrets(response: &mut Response<Body>) {
    add(response, SECRETS);
    add(response, PAYMENT);
}

pub(super) fn json_response(status: u16, body: String) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

fn add(response: &mut Response<Body>, headers: &[(&'static str, &'static str)]) {
    for (name, value) in headers {
        let name = HeaderName::from_static(name);
        response
            .headers_mut()
            .append(name, HeaderValue::from_static(value));
    }
}
