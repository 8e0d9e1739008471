//! Errors in the shape that the route's clients read: OpenAI's, or Anthropic's.

use crate::metering::Route;
use crate::protocol::mpp::{PROBLEM_JSON, Problem};
use axum::Json;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::json;

/// An error answer with a fixed status: OpenAI's `{"error": {message, type, param, code}}`, or
/// Anthropic's `{"type": "error", "error": {type, message}}` with the code beside it.
#[derive(Debug, Clone)]
pub(super) struct ApiError {
    route: Route,
    status: StatusCode,
    code: &'static str,
    message: String,
    param: Option<String>,
    retry_after: Option<&'static str>,
    problem: Option<Problem>,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            route: Route::default(),
            status,
            code,
            message: message.into(),
            param: None,
            retry_after: None,
            problem: None,
        }
    }

    /// The same for a caller that pays by MPP: in the words of RFC 9457 as well, and what another's payment
    /// already paid for is forbidden, because such callers sign anew on nothing but a 402.
    pub(super) fn by_mpp(mut self) -> Self {
        if self.problem.is_some() {
            return self;
        }
        if self.status == StatusCode::CONFLICT {
            self.status = StatusCode::FORBIDDEN;
        }
        let problem = problem(self.status);
        self.named(problem)
    }

    /// The same in the words of RFC 9457 as well.
    pub(super) const fn named(mut self, problem: Problem) -> Self {
        self.problem = Some(problem);
        self
    }

    /// The same as this route's clients read it.
    pub(super) fn on(mut self, route: Route) -> Self {
        self.route = route;
        self
    }

    pub(super) fn param(mut self, param: Option<String>) -> Self {
        self.param = param;
        self
    }

    pub(super) fn retry_after(mut self, seconds: &'static str) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// The body alone, for answers that add headers or members of their own.
    pub(super) fn body(&self) -> serde_json::Value {
        let kind = kind(self.route, self.status);
        let mut body = match self.route {
            Route::Messages => json!({"type": "error", "error": {
                "type": kind,
                "message": self.message,
                "code": self.code,
            }}),
            _ => json!({"error": {
                "message": self.message,
                "type": kind,
                "param": self.param,
                "code": self.code,
            }}),
        };
        if let (Some(problem), Some(members)) = (self.problem, body.as_object_mut()) {
            members.extend(problem.members(self.status.as_u16(), &self.message));
        }
        body
    }
}

/// The scheme's word for a status that is no challenge.
fn problem(status: StatusCode) -> Problem {
    match status {
        StatusCode::FORBIDDEN => Problem::VerificationFailed,
        status if status.is_server_error() => Problem::InternalPaymentError,
        _ => Problem::BadRequest,
    }
}

/// The word for a status in an error's `type`.
fn kind(route: Route, status: StatusCode) -> &'static str {
    match (route, status) {
        (_, StatusCode::UNAUTHORIZED) => "authentication_error",
        (Route::Messages, StatusCode::PAYMENT_REQUIRED) => "billing_error",
        (_, StatusCode::PAYMENT_REQUIRED) => "payment_error",
        (Route::Messages, StatusCode::NOT_FOUND) => "not_found_error",
        (Route::Messages, StatusCode::PAYLOAD_TOO_LARGE) => "request_too_large",
        (Route::Messages, StatusCode::GATEWAY_TIMEOUT) => "timeout_error",
        (Route::Messages, StatusCode::SERVICE_UNAVAILABLE) => "overloaded_error",
        (_, StatusCode::TOO_MANY_REQUESTS) => "rate_limit_error",
        (_, status) if status.is_client_error() => "invalid_request_error",
        (Route::Messages, _) => "api_error",
        _ => "server_error",
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body())).into_response();
        let headers = response.headers_mut();
        if self.problem.is_some() {
            let kind = http::HeaderValue::from_static(PROBLEM_JSON);
            headers.insert(http::header::CONTENT_TYPE, kind);
        }
        headers.insert(
            http::header::CACHE_CONTROL,
            http::HeaderValue::from_static("no-store"),
        );
        // OpenAI's SDKs retry above the paying layer, and each of their tries would sign anew.
        headers.insert("x-should-retry", http::HeaderValue::from_static("false"));
        if let Some(seconds) = self.retry_after {
            headers.insert(
                http::header::RETRY_AFTER,
                http::HeaderValue::from_static(seconds),
            );
        }
        response
    }
}
