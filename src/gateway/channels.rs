//! The operator's view of payment channels, behind the admin token: what is in them, and claims,
//! settlements and refunds at the operator's word.

use super::admin::allowed;
use super::{ApiError, App};
use crate::ledger::{ChannelId, ChannelState, OperationState, Settlement};
use crate::payment::{AuthorizeFailure, ChannelRail, Refunded};
use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

/// `GET /admin/channels`: every channel's books.
pub(super) async fn list(State(app): State<App>, headers: HeaderMap) -> Response {
    if let Err(refused) = allowed(&app, &headers) {
        return refused.into_response();
    }
    match app.inner.ledger.channels().await {
        Ok(channels) => {
            let channels: Vec<Value> = channels.iter().map(shown).collect();
            Json(json!({ "channels": channels })).into_response()
        }
        Err(_) => unknown().into_response(),
    }
}

/// `POST /admin/channels/claim`: claims all that was charged and can be claimed, and waits for it.
pub(super) async fn claim(State(app): State<App>, headers: HeaderMap) -> Response {
    let rail = match rail(&app, &headers) {
        Ok(rail) => rail,
        Err(refused) => return refused.into_response(),
    };
    match rail.claim_all().await {
        Ok(operations) => answered(&operations),
        Err(failure) => failed(&failure).into_response(),
    }
}

/// `POST /admin/channels/settle`: has the receiver paid what was claimed for it, and waits for it.
pub(super) async fn settle(State(app): State<App>, headers: HeaderMap) -> Response {
    let rail = match rail(&app, &headers) {
        Ok(rail) => rail,
        Err(refused) => return refused.into_response(),
    };
    match rail.settle_all().await {
        Ok(operation) => answered(operation.as_slice()),
        Err(failure) => failed(&failure).into_response(),
    }
}

/// `POST /admin/channels/{channel}/refund`: claims what the channel was charged, gives the rest back to
/// its payer, and waits for it.
pub(super) async fn refund(
    State(app): State<App>,
    Path(channel): Path<String>,
    headers: HeaderMap,
) -> Response {
    let rail = match rail(&app, &headers) {
        Ok(rail) => rail,
        Err(refused) => return refused.into_response(),
    };
    let Some(channel) = channel_id(&channel) else {
        let message = "A channel is named by ch_ or 0x and 64 lowercase hexadecimal digits.";
        return ApiError::new(StatusCode::BAD_REQUEST, "invalid_request", message).into_response();
    };
    match rail.refund_all(channel).await {
        Ok(refunded) => {
            let Refunded {
                payer,
                transaction,
                amount,
                ..
            } = refunded;
            let body = json!({"payer": payer, "transaction": transaction, "amount": amount});
            Json(body).into_response()
        }
        Err(failure) => failed(&failure).into_response(),
    }
}

/// The rail, for who has the admin token.
fn rail<'a>(app: &'a App, headers: &HeaderMap) -> Result<&'a ChannelRail, ApiError> {
    allowed(app, headers)?;
    Ok(app.inner.desk.rails().channels())
}

/// Reads a channel's id as we write it, or as the wire does.
fn channel_id(text: &str) -> Option<ChannelId> {
    match text.strip_prefix("0x") {
        Some(digits) => format!("ch_{digits}").parse().ok(),
        None => text.parse().ok(),
    }
}

fn shown(state: &ChannelState) -> Value {
    let on_chain = &state.on_chain;
    json!({
        "channel": state.opening.channel,
        "payer": state.opening.payer,
        "decimals": state.opening.asset_decimals,
        "balance": on_chain.balance,
        "charged": state.charged,
        "claimed": on_chain.total_claimed,
        "unclaimed": state.unclaimed(),
        "unclaimed_since_ms": state.unclaimed_since_ms,
        "reserved": state.reserved,
        "running": state.running,
        "signed": state.voucher.as_ref().map(|voucher| voucher.max_claimable),
        "withdrawal": on_chain.withdrawal,
        "last_used_ms": state.last_used_ms,
        "read_at_ms": on_chain.at_ms,
    })
}

fn answered(operations: &[OperationState]) -> Response {
    let shown = |state: &OperationState| {
        let transaction = match &state.settlement {
            Settlement::Confirmed { transaction, .. } => Some(transaction),
            _ => None,
        };
        json!({
            "operation": state.operation.id,
            "kind": state.operation.kind,
            "channels": state.operation.channels,
            "settlement": state.settlement.name(),
            "transaction": transaction,
        })
    };
    let operations: Vec<Value> = operations.iter().map(shown).collect();
    Json(json!({ "operations": operations })).into_response()
}

fn failed(failure: &AuthorizeFailure) -> ApiError {
    match failure {
        AuthorizeFailure::Refused(reason) | AuthorizeFailure::Channel { reason, .. } => {
            ApiError::new(StatusCode::CONFLICT, reason.reason(), reason.to_string())
        }
        AuthorizeFailure::Unknown => unknown(),
    }
}

fn unknown() -> ApiError {
    ApiError::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "channels_unknown",
        "The chain or the ledger did not answer; what was begun goes on. The log says more.",
    )
}
