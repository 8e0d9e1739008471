//! Each refusal with its fixed status and body, in the caller's own dialect.

use super::paid::Asked;
use super::unanswered;
use super::{ApiError, App};
use crate::call::Refusal;
use crate::ledger::ChannelState;
use crate::metering::Route;
use crate::payment::Wish;
use crate::protocol::Refusal as PaymentRefusal;
use crate::protocol::mpp::Refused;
use crate::protocol::x402::{PAYMENT_RESPONSE, Version, X_PAYMENT_RESPONSE};
use alloy::primitives::Address;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode};

/// What is said of a settlement that failed.
const NOT_SETTLED: &str = "The payment could not be settled and was not taken. Check the balance, then sign a new payment.";

impl App {
    /// Answers a refusal. A payment that is not good gets a fresh challenge for what was asked.
    pub(super) fn refused(&self, refusal: &Refusal, asked: Option<&Asked>) -> Response {
        self.inner.metrics.refused(name(refusal));
        let route = asked.map_or(Route::default(), |asked| asked.route);
        let by_mpp = asked.is_some_and(|asked| asked.by_mpp);
        let error = match refusal {
            Refusal::Payment(PaymentRefusal::Mpp(reason @ Refused::Twice)) => {
                ApiError::new(StatusCode::BAD_REQUEST, name(refusal), reason.to_string())
            }
            // Somebody's money has moved: no fresh challenge.
            Refusal::Payment(
                reason @ (PaymentRefusal::NonceUsed | PaymentRefusal::Mpp(Refused::Elsewhere(_))),
            ) if by_mpp => {
                ApiError::new(StatusCode::FORBIDDEN, name(refusal), reason.to_string())
            }
            Refusal::Payment(PaymentRefusal::Mpp(reason @ Refused::ChannelClosed)) => {
                let error = ApiError::new(StatusCode::GONE, name(refusal), reason.to_string());
                error.named(reason.problem())
            }
            Refusal::SettlementFailed { .. } if by_mpp => {
                ApiError::new(StatusCode::FORBIDDEN, name(refusal), NOT_SETTLED)
            }
            Refusal::Payment(PaymentRefusal::Mpp(reason @ Refused::ChannelBusy))
            | Refusal::Channel {
                reason: PaymentRefusal::Mpp(reason @ Refused::ChannelBusy),
                ..
            } => {
                let error = ApiError::new(StatusCode::CONFLICT, name(refusal), reason.to_string());
                error.named(reason.problem()).retry_after("1")
            }
            Refusal::Payment(reason) => return self.challenge_again(reason, asked, None),
            Refusal::Channel { reason, state } => {
                return self.challenge_again(reason, asked, Some(state));
            }
            Refusal::SettlementFailed { reason, payer, version } => {
                return self.settlement_failed(route, reason, (*payer, *version));
            }
            Refusal::Upstream(unanswered) => return unanswered::told(route, unanswered),
            Refusal::BadRequest { param, message } => {
                ApiError::new(StatusCode::BAD_REQUEST, name(refusal), message).param(param.clone())
            }
            Refusal::UnknownModel(model) => ApiError::new(
                StatusCode::NOT_FOUND,
                name(refusal),
                format!("The model {model:?} is not offered here; GET /v1/models lists those that are."),
            )
            .param(Some("model".to_owned())),
            Refusal::NoEndpoint { model, excluded_by } => ApiError::new(
                StatusCode::NOT_FOUND,
                name(refusal),
                format!("No endpoint of {model:?} is left by {}.", excluded_by.join(", ")),
            )
            .param(Some("provider".to_owned())),
            Refusal::TooDear { ceiling, ceiling_max } => {
                let decimals = self.inner.desk.rails().asset().decimals;
                let message = format!(
                    "This call could cost up to {} USD, and one call may cost at most {} USD here. Ask for fewer output tokens (max_tokens) or send a shorter prompt.",
                    ceiling.asset_text(decimals),
                    ceiling_max.asset_text(decimals),
                );
                ApiError::new(StatusCode::BAD_REQUEST, name(refusal), message).param(Some("max_tokens".to_owned()))
            }
            Refusal::Conflict(call) => ApiError::new(
                StatusCode::CONFLICT,
                name(refusal),
                format!("This payment was already used for another request ({call}). Nothing was charged for this one; sign a new payment."),
            ),
            Refusal::AnswerGone(call) => ApiError::new(
                StatusCode::CONFLICT,
                name(refusal),
                format!("This payment already bought this answer, and the answer is no longer kept. Its receipt is at /v1/receipts/{call}."),
            ),
            Refusal::Voided(call) => ApiError::new(
                StatusCode::CONFLICT,
                name(refusal),
                format!("This payment was taken for a call that had no answer ({call}); nothing was charged. Sign a new payment."),
            ),
            Refusal::SettlementPending => ApiError::new(
                StatusCode::SERVICE_UNAVAILABLE,
                name(refusal),
                "The payment is on its way and its outcome is not known yet. Send the same request with the same payment again; do not sign a new one.",
            )
            .retry_after("5"),
            Refusal::ChainUnknown => ApiError::new(
                StatusCode::SERVICE_UNAVAILABLE,
                name(refusal),
                "The chain cannot be asked about this payment right now. Nothing was taken; send the same request with the same payment again.",
            )
            .retry_after("2"),
            Refusal::LedgerUnavailable => ApiError::new(
                StatusCode::SERVICE_UNAVAILABLE,
                name(refusal),
                "This gateway cannot write its ledger and takes no payments until that is mended.",
            )
            .retry_after("30"),
            Refusal::Busy => ApiError::new(
                StatusCode::SERVICE_UNAVAILABLE,
                name(refusal),
                "This gateway takes no more calls right now. Nothing was taken.",
            )
            .retry_after("1"),
            Refusal::Internal => ApiError::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                name(refusal),
                "This gateway failed. If the payment was taken, sending the same request with the same payment tells what became of it.",
            ),
        };
        let error = match by_mpp {
            true => error.by_mpp(),
            false => error,
        };
        error.on(route).into_response()
    }

    /// Answers a refusal of what buys nothing: no request came with it that a challenge could be for.
    pub(super) fn not_managed(&self, refusal: &Refusal, asked: &Asked) -> Response {
        let (Refusal::Payment(reason) | Refusal::Channel { reason, .. }) = refusal else {
            return self.refused(refusal, Some(asked));
        };
        let status = match reason {
            PaymentRefusal::Mpp(Refused::ChannelClosed | Refused::ChannelBusy) => {
                return self.refused(refusal, Some(asked));
            }
            PaymentRefusal::Mpp(Refused::NoChannel) => StatusCode::GONE,
            _ => StatusCode::PAYMENT_REQUIRED,
        };
        self.inner.metrics.refused(name(refusal));
        let error = ApiError::new(status, reason.reason(), reason.to_string());
        let error = error.named(reason.problem()).on(asked.route);
        let mut response = error.into_response();
        if status == StatusCode::PAYMENT_REQUIRED {
            self.challenge_session(&mut response, asked);
        }
        response
    }

    fn challenge_again(
        &self,
        reason: &PaymentRefusal,
        asked: Option<&Asked>,
        channel: Option<&ChannelState>,
    ) -> Response {
        let route = asked.map_or(Route::default(), |asked| asked.route);
        let plain = || {
            ApiError::new(StatusCode::PAYMENT_REQUIRED, "payment", reason.to_string())
                .on(route)
                .into_response()
        };
        let Some(asked) = asked else { return plain() };
        let prepaid = matches!(
            reason,
            PaymentRefusal::UnsettledLimit | PaymentRefusal::PrepaidOnly
        );
        let wish = Wish {
            prepaid,
            ..asked.wish
        };
        match self.inner.desk.quote(asked.route, &asked.body) {
            Ok(call) if call.is_free() => plain(),
            Ok(call) => self.challenge(&call, asked, wish, (reason, channel)),
            Err(Refusal::Payment(_)) => plain(),
            Err(other) => self.refused(&other, Some(asked)),
        }
    }

    /// A settlement that failed: 402 with the payment response and without offers (x402 HTTP transport).
    fn settlement_failed(
        &self,
        route: Route,
        reason: &str,
        (payer, version): (Address, Version),
    ) -> Response {
        let rails = self.inner.desk.rails();
        let mut failed = rails.settle_response(payer, Err(settlement_reason(reason)), version);
        failed.error_message = Some(reason.to_owned());
        let failed = failed.to_header();
        let error = ApiError::new(
            StatusCode::PAYMENT_REQUIRED,
            "settlement_failed",
            NOT_SETTLED,
        );
        let mut response = error.on(route).into_response();
        if let Some(value) = failed
            .ok()
            .and_then(|value| HeaderValue::try_from(value).ok())
        {
            let name = match version {
                Version::V1 => X_PAYMENT_RESPONSE,
                Version::V2 => PAYMENT_RESPONSE,
            };
            response.headers_mut().insert(name, value);
        }
        response
    }
}

/// The SDKs' own string for what a lane says of a settlement that failed.
fn settlement_reason(reason: &str) -> &'static str {
    let refusal = match reason.split(':').next() {
        Some("transfer_event_mismatch") => PaymentRefusal::TransferEvent,
        Some("simulation_reverted") => PaymentRefusal::SimulationFailed,
        _ => PaymentRefusal::TransactionFailed,
    };
    refusal.reason()
}

/// The `code` of an error body, and the label of its metric.
fn name(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::BadRequest { .. } => "invalid_request",
        Refusal::UnknownModel(_) => "model_not_found",
        Refusal::NoEndpoint { .. } => "no_endpoints",
        Refusal::TooDear { .. } => "quote_above_limit",
        Refusal::Payment(reason) | Refusal::Channel { reason, .. } => reason.reason(),
        Refusal::SettlementFailed { .. } => "settlement_failed",
        Refusal::Conflict(_) => "payment_used_for_another_request",
        Refusal::AnswerGone(_) => "answer_expired",
        Refusal::Voided(_) => "call_voided",
        Refusal::SettlementPending => "settlement_pending",
        Refusal::ChainUnknown => "chain_unavailable",
        Refusal::LedgerUnavailable => "ledger_unavailable",
        Refusal::Busy => "busy",
        Refusal::Upstream(_) => "upstream",
        Refusal::Internal => "internal",
    }
}
