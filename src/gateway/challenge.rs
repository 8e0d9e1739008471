//! The 402 that every published client can pay: x402's version 2 header and version 1 body, and MPP's
//! challenges.

use super::paid::Asked;
use super::{ApiError, App};
use crate::call::Quoted;
use crate::config::RailKind;
use crate::ledger::ChannelState;
use crate::money::Units;
use crate::payment::{Rails, Wish, is_session, session_account};
use crate::protocol::mpp::PROBLEM_JSON;
use crate::protocol::x402::{
    Blank, Extensions, PAYMENT_REQUIRED, PaymentRequired, Printed, Requirements, ResourceInfo,
};
use crate::protocol::{HeaderError, Refusal as PaymentRefusal, payment_identifier};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde_json::{Map, Value};

impl App {
    /// The 402 for a quoted call: the same request, wish and price table give the same offers.
    pub(super) fn challenge(
        &self,
        call: &Quoted,
        asked: &Asked,
        wish: Wish,
        (refusal, channel): (&PaymentRefusal, Option<&ChannelState>),
    ) -> Response {
        let mut response = self.offers(call, wish, refusal, channel);
        if self
            .inner
            .desk
            .rails()
            .amounts(call.ceiling, wish)
            .is_empty()
        {
            response.headers_mut().remove(PAYMENT_REQUIRED);
        }
        self.challenge_by_mpp(&mut response, call, asked, wish);
        response
    }

    fn offers(
        &self,
        call: &Quoted,
        wish: Wish,
        refusal: &PaymentRefusal,
        channel: Option<&ChannelState>,
    ) -> Response {
        let rails = self.inner.desk.rails();
        let offers = || rails.offers(call.ceiling, call.price_rows(), wish);
        if *refusal == PaymentRefusal::PaymentRequired {
            let blank = self.inner.blanks.of(call, wish, || {
                let required = self.required(call, refusal, offers());
                Blank::of(&required, told(refusal))
            });
            let amounts = rails.amounts(call.ceiling, wish);
            return response(blank.and_then(|blank| blank.fill(&amounts)));
        }
        let mut offers = offers();
        let mut told = told(refusal);
        if let Some(channel) = channel {
            rails.correct(&mut offers, channel);
            if is_session(&channel.opening) {
                told.extend(session_account(channel).members());
            }
        }
        printed(&self.required(call, refusal, offers), told)
    }

    fn required(
        &self,
        call: &Quoted,
        refusal: &PaymentRefusal,
        offers: Vec<Requirements>,
    ) -> PaymentRequired {
        let model = &call.model.id;
        PaymentRequired {
            x402_version: 2,
            error: Some(refusal.reason().to_owned()),
            resource: ResourceInfo {
                url: format!("{}{}", self.inner.origin, call.route.path()),
                description: Some(format!(
                    "One {} of {model}; unused money becomes your credit",
                    call.route.call()
                )),
                mime_type: Some(mime_type(call).to_owned()),
                service_name: Some("Groat".to_owned()),
            },
            accepts: offers,
            extensions: Some(self.inner.advertised.clone()),
        }
    }
}

/// The extensions that every challenge of a call advertises.
pub(super) fn advertised(rails: &Rails) -> Extensions {
    let identifier = payment_identifier::advert(false);
    let mut extensions = rails.sponsoring();
    extensions.insert(payment_identifier::KEY.to_owned(), identifier);
    extensions
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

/// Prints a challenge.
pub(super) fn payment_required(required: &PaymentRequired, refusal: &PaymentRefusal) -> Response {
    printed(required, told(refusal))
}

fn printed(required: &PaymentRequired, told: Map<String, Value>) -> Response {
    let amounts: Vec<Units> = required.accepts.iter().map(|offer| offer.amount).collect();
    let blank = Blank::of(required, told);
    response(blank.and_then(|blank| blank.fill(&amounts)))
}

/// What a 402 says to people, and to programs that read RFC 9457.
fn told(refusal: &PaymentRefusal) -> Map<String, Value> {
    let status = StatusCode::PAYMENT_REQUIRED.as_u16();
    refusal.problem().members(status, &refusal.to_string())
}

/// A challenge that no header can carry is a fault of this gateway.
fn response(printed: Result<Printed, HeaderError>) -> Response {
    let printed = printed
        .ok()
        .and_then(|Printed { header, body }| Some((HeaderValue::try_from(header).ok()?, body)));
    let Some((offers, body)) = printed else {
        return ApiError::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "The challenge cannot be printed.",
        )
        .into_response();
    };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (HeaderName::from_static(PAYMENT_REQUIRED), offers),
    ];
    (StatusCode::PAYMENT_REQUIRED, headers, body).into_response()
}

fn mime_type(call: &Quoted) -> &'static str {
    if call.stream {
        "text/event-stream"
    } else {
        "application/json"
    }
}
