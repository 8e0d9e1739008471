//! What belongs to a payer: receipts, credit, and its withdrawal.

use super::{ApiError, App};
use crate::call::{CallId, Refusal};
use crate::clock::now_ms;
use crate::ledger::{CallState, LedgerError, Withdrawal, WithdrawalId, Work};
use crate::money::Units;
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Deserialize;
use serde_json::json;

/// `GET /v1/receipts/{call}`: call ids cannot be guessed, so who holds one may read its receipt.
pub(super) async fn receipt(State(app): State<App>, Path(call): Path<String>) -> Response {
    let unknown = || {
        ApiError::new(
            StatusCode::NOT_FOUND,
            "receipt_not_found",
            "There is no receipt of that id.",
        )
    };
    let Ok(id) = call.parse::<CallId>() else {
        return unknown().into_response();
    };
    let state = match app.inner.desk.call(&id).await {
        Ok(Some(state)) => state,
        Ok(None) => return unknown().into_response(),
        Err(refusal) => return app.refused(&refusal, None),
    };
    match &state.receipt {
        Some(receipt) => {
            let json = (
                header::CONTENT_TYPE,
                HeaderValue::from_static("application/json"),
            );
            ([json], receipt.clone()).into_response()
        }
        None => no_receipt_yet(&state),
    }
}

fn no_receipt_yet(state: &CallState) -> Response {
    match state.work {
        Work::Voided { .. } => ApiError::new(
            StatusCode::NOT_FOUND,
            "call_voided",
            "This call had no answer: nothing was charged, so there is nothing to receipt.",
        )
        .into_response(),
        _ => ApiError::new(
            StatusCode::NOT_FOUND,
            "receipt_pending",
            "This call is under way; its receipt comes with its end.",
        )
        .retry_after("1")
        .into_response(),
    }
}

/// `GET /v1/credits`: what a payer is owed.
pub(super) async fn credits(State(app): State<App>, headers: HeaderMap) -> Response {
    let payer = match app.signed_in(&headers, "/v1/credits") {
        Ok(payer) => format!("{payer:#x}"),
        Err(response) => return *response,
    };
    match app.inner.ledger.credits(&payer).await {
        Ok(entries) => {
            let credits: Vec<_> = entries
                .iter()
                .map(|entry| {
                    json!({
                        "network": entry.key.network,
                        "asset": entry.key.asset,
                        "available": entry.credit.spendable(),
                        "pending": entry.credit.pending.to_string(),
                        "withdrawing": entry.credit.withdrawing.to_string(),
                        "withdrawn": entry.credit.withdrawn.to_string(),
                    })
                })
                .collect();
            Json(json!({"payer": payer, "credits": credits})).into_response()
        }
        Err(_) => app.refused(&Refusal::LedgerUnavailable, None),
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct WithdrawRequest {
    /// Atomic units; absent: all that is available.
    amount: Option<Units>,
}

/// `POST /v1/credits/withdraw`: sends credit back to the wallet that it belongs to, and nowhere else.
pub(super) async fn withdraw(State(app): State<App>, headers: HeaderMap, body: Bytes) -> Response {
    let payer = match app.signed_in(&headers, "/v1/credits/withdraw") {
        Ok(payer) => format!("{payer:#x}"),
        Err(response) => return *response,
    };
    if !app.inner.settlements.pays_out() {
        let message = "This gateway has no payout key, so the operator pays credit out by hand.";
        return ApiError::new(StatusCode::NOT_IMPLEMENTED, "withdrawals_off", message)
            .into_response();
    }
    let request = if body.is_empty() {
        Ok(WithdrawRequest::default())
    } else {
        serde_json::from_slice(&body)
    };
    let Ok(request) = request else {
        let message = "The body must be empty, or {\"amount\": \"atomic units as decimal text\"}.";
        return ApiError::new(StatusCode::BAD_REQUEST, "invalid_request", message).into_response();
    };
    match start_withdrawal(&app, payer, request.amount).await {
        Ok(answer) => answer,
        Err(LedgerError::InsufficientCredit { available }) => ApiError::new(
            StatusCode::BAD_REQUEST,
            "insufficient_credit",
            format!("Only {available} atomic units can be withdrawn."),
        )
        .param(Some("amount".to_owned()))
        .into_response(),
        Err(_) => app.refused(&Refusal::LedgerUnavailable, None),
    }
}

async fn start_withdrawal(
    app: &App,
    payer: String,
    amount: Option<Units>,
) -> Result<Response, LedgerError> {
    let rails = app.inner.desk.rails();
    let network = rails.network().to_string();
    let asset = format!("{:#x}", rails.asset().address);
    let amount = match amount {
        Some(amount) => amount,
        None => {
            let entries = app.inner.ledger.credits(&payer).await?;
            let ours = entries
                .iter()
                .find(|entry| entry.key.network == network && entry.key.asset == asset);
            ours.map(|entry| entry.credit.spendable())
                .unwrap_or_default()
        }
    };
    if amount.is_zero() {
        return Err(LedgerError::InsufficientCredit { available: amount });
    }
    let withdrawal = Withdrawal {
        id: WithdrawalId::from_bytes(rand::random()),
        payer,
        network,
        asset,
        amount,
        at_ms: now_ms(),
    };
    let state = app
        .inner
        .ledger
        .request_withdrawal(withdrawal.clone())
        .await?;
    app.inner.settlements.pay_out(&withdrawal.id, &state).await;
    let body = json!({
        "withdrawal": withdrawal.id,
        "to": withdrawal.payer,
        "network": withdrawal.network,
        "asset": withdrawal.asset,
        "amount": withdrawal.amount,
        "status": "pending",
    });
    Ok((StatusCode::ACCEPTED, Json(body)).into_response())
}
