//! The operator's view of a running gateway's ledger, behind the admin token.

use super::{ApiError, App};
use crate::config::Secret;
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use subtle::ConstantTimeEq;

/// `GET /admin/ledger/verify`: walks the whole log and lists what does not agree.
pub(super) async fn verify(State(app): State<App>, headers: HeaderMap) -> Response {
    if let Err(refused) = allowed(&app, &headers) {
        return refused.into_response();
    }
    match app.inner.ledger.verify().await {
        Ok(report) => Json(report).into_response(),
        Err(error) => unreadable(&error.to_string()),
    }
}

/// `GET /admin/ledger/export`: every event as a line of JSON.
pub(super) async fn export(State(app): State<App>, headers: HeaderMap) -> Response {
    if let Err(refused) = allowed(&app, &headers) {
        return refused.into_response();
    }
    let mut lines = Vec::new();
    match app.inner.ledger.export(&mut lines).await {
        Ok(_) => (
            [(
                header::CONTENT_TYPE,
                HeaderValue::from_static("application/x-ndjson"),
            )],
            lines,
        )
            .into_response(),
        Err(error) => unreadable(&error.to_string()),
    }
}

fn unreadable(error: &str) -> Response {
    tracing::error!(error, "the ledger cannot be read");
    ApiError::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "ledger_unreadable",
        "The ledger cannot be read; the log says why.",
    )
    .into_response()
}

pub(super) fn allowed(app: &App, headers: &HeaderMap) -> Result<(), ApiError> {
    let Some(token) = &app.inner.admin_token else {
        return Err(ApiError::new(
            StatusCode::NOT_FOUND,
            "not_found",
            "There is no admin token, so there is no admin route.",
        ));
    };
    let given = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let given = given
        .and_then(|value| value.strip_prefix("Bearer "))
        .unwrap_or_default();
    if matches(token, given) {
        Ok(())
    } else {
        Err(ApiError::new(
            StatusCode::UNAUTHORIZED,
            "admin_token",
            "This route takes the admin token as a bearer token.",
        ))
    }
}

fn matches(token: &Secret, given: &str) -> bool {
    token.reveal().as_bytes().ct_eq(given.as_bytes()).into()
}
