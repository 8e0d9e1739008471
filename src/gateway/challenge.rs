//! The 402 that every published client can pay: the version 2 header and the version 1 body.

use super::chat::PATH;
use super::{ApiError, App};
use crate::call::QuotedCall;
use crate::config::RailKind;
use crate::ledger::ChannelState;
use crate::payment::Wish;
use crate::protocol::x402::{Extensions, PAYMENT_REQUIRED, PaymentRequired, ResourceInfo};
use crate::protocol::{Refusal as PaymentRefusal, payment_identifier};
use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde_json::{Value, json};

impl App {
    /// The 402 for a quoted call: the same request, wish and price table give the same offers.
    pub(super) fn challenge(
        &self,
        call: &QuotedCall,
        wish: Wish,
        refusal: &PaymentRefusal,
        channel: Option<&ChannelState>,
    ) -> Response {
        let rails = self.inner.desk.rails();
        let mut offers = rails.offers(call.ceiling, &call.price_row(), wish);
        if let Some(channel) = channel {
            rails.correct(&mut offers, channel);
        }
        let model = &call.endpoint.model.id;
        let required = PaymentRequired {
            x402_version: 2,
            error: Some(refusal.reason().to_owned()),
            resource: ResourceInfo {
                url: format!("{}{PATH}", self.inner.origin),
                description: Some(format!(
                    "One chat completion of {model}; unused money becomes your credit"
                )),
                mime_type: Some(mime_type(call).to_owned()),
                service_name: Some("Groat".to_owned()),
            },
            accepts: offers,
            extensions: Some(self.advertised()),
        };
        payment_required(&required, refusal)
    }

    /// The extensions that every challenge of a call advertises.
    pub(super) fn advertised(&self) -> Extensions {
        let identifier = payment_identifier::advert(false);
        let mut extensions = self.inner.desk.rails().sponsoring();
        extensions.insert(payment_identifier::KEY.to_owned(), identifier);
        extensions
    }
}

/// The request header by which a caller asks for one rail's offer.
pub(super) const RAIL: HeaderName = HeaderName::from_static("groat-rail");

/// What a caller wishes to pay by; a rail that nobody knows is told so.
pub(super) fn wish(headers: &HeaderMap) -> Result<Wish, ApiError> {
    let Some(value) = headers.get(RAIL) else {
        return Ok(Wish::default());
    };
    let rail = value.to_str().ok().and_then(|name| name.parse().ok());
    rail.map(|rail| Wish {
        rail: Some(rail),
        prepaid: false,
    })
    .ok_or_else(|| {
        let names: Vec<&str> = RailKind::ALL.iter().map(|rail| rail.name()).collect();
        let message = format!("The header {RAIL} must be one of {}.", names.join(", "));
        ApiError::new(StatusCode::BAD_REQUEST, "unknown_rail", message)
    })
}

/// Prints a challenge; one that no header can carry is a fault of this gateway.
pub(super) fn payment_required(required: &PaymentRequired, refusal: &PaymentRefusal) -> Response {
    let value = required
        .to_header()
        .ok()
        .and_then(|text| HeaderValue::try_from(text).ok());
    let Some(value) = value else {
        return ApiError::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "The challenge cannot be printed.",
        )
        .into_response();
    };
    let body = required
        .to_v1()
        .map_or_else(|| json!({}), |body| json!(body));
    let mut response = (
        StatusCode::PAYMENT_REQUIRED,
        Json(with_sentence(body, refusal)),
    )
        .into_response();
    let headers = response.headers_mut();
    headers.insert(PAYMENT_REQUIRED, value);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Version 1 clients skip members they do not know, and people read the body.
fn with_sentence(mut body: Value, refusal: &PaymentRefusal) -> Value {
    if let Some(members) = body.as_object_mut() {
        members.insert("message".to_owned(), Value::from(refusal.to_string()));
    }
    body
}

fn mime_type(call: &QuotedCall) -> &'static str {
    if call.stream {
        "text/event-stream"
    } else {
        "application/json"
    }
}
