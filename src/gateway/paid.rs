//! The paid routes: quote, challenge, or take the payment and pass on the answer.

use super::App;
use super::challenge::wish;
use super::error::ApiError;
use super::mpp::{carries_credential, manages, preferences};
use crate::call::{CALL_ID, Head, Listener, Quoted, Refusal};
use crate::metering::Route;
use crate::money::Units;
use crate::payment::Wish;
use crate::protocol::mpp::Preferences;
use crate::protocol::x402::{
    Credential, PAYMENT_RESPONSE, PAYMENT_SIGNATURE, Payload, Version, X_PAYMENT, check_echo,
    decode_payment,
};
use crate::protocol::{Refusal as PaymentRefusal, channel};
use crate::router::{Model, forwardable_request_headers};
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{RawQuery, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde_json::{Value, json};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

/// How long a request's body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);

/// A body up to this length may be a view of its connection's buffer, which would stay for as long as the
/// call lasts: it is copied.
const VIEW_BYTES_MAX: usize = 64 << 10;

/// All of them.
pub(super) fn routes() -> Router<App> {
    Route::ALL.into_iter().fold(Router::new(), |router, route| {
        let call = move |State(app): State<App>, request| call(app, route, request);
        let probe = move |State(app): State<App>, RawQuery(query), headers| {
            probe(app, (route, query), headers)
        };
        router.route(route.path(), post(call).get(probe))
    })
}

async fn call(app: App, route: Route, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = match read_body(&app, body).await {
        Ok(body) => body,
        Err(error) => return closing(error.on(route)),
    };
    let query = head.uri.query().map(str::to_owned);
    let asked = match Asked::read((route, query), body, &head.headers) {
        Ok(asked) => asked,
        Err(error) => return error.on(route).into_response(),
    };
    let credential = match app.payment(&head.headers, &asked).await {
        Ok(Some(credential)) => credential,
        Ok(None) => return unpaid(&app, &head.headers, &asked).await,
        // What comes without a request buys nothing, however wrong it is.
        Err(refusal) if asked.by_mpp && asked.body.is_empty() => {
            return app.not_managed(&refusal, &asked);
        }
        Err(refusal) => return app.refused(&refusal, Some(&asked)),
    };
    if is_refund(&credential) {
        return refund(&app, &credential, &asked).await;
    }
    if let Some(signed) = manages(&credential, &asked) {
        return app.manage(signed, &asked).await;
    }
    let headers = forwardable_request_headers(&head.headers);
    let taken = app.inner.desk.take(route, &asked.body, credential, headers);
    match taken.await {
        Ok(listener) => listen(&app, listener, &asked).await,
        Err(refusal) => app.refused(&refusal, Some(&asked)),
    }
}

/// A request without a payment: the offers, or the answer if it costs nothing.
async fn unpaid(app: &App, headers: &HeaderMap, asked: &Asked) -> Response {
    let desk = &app.inner.desk;
    let given = match desk.quote(asked.route, &asked.body) {
        Ok(quoted) if quoted.is_free() => {
            let headers = forwardable_request_headers(headers);
            desk.take_free(&asked.body, quoted, headers)
        }
        Ok(quoted) => return offered(app, &quoted, asked),
        Err(refusal) => Err(refusal),
    };
    match given {
        Ok(listener) => listen(app, listener, asked).await,
        Err(refusal) => app.refused(&refusal, Some(asked)),
    }
}

fn offered(app: &App, quoted: &Quoted, asked: &Asked) -> Response {
    app.inner.metrics.challenged();
    let unpaid = (&PaymentRefusal::PaymentRequired, None);
    let mut response = app.challenge(quoted, asked, asked.wish, unpaid);
    if let Some(value) = quote(app, quoted, asked) {
        response.headers_mut().insert(QUOTE, value);
    }
    response
}

/// What a 402 says of the price beside its offers: the most, and what is probable.
const QUOTE: HeaderName = HeaderName::from_static("groat-quote");

/// A dictionary (RFC 9651 §3.2), with amounts in US dollars as text.
fn quote(app: &App, quoted: &Quoted, asked: &Asked) -> Option<HeaderValue> {
    let desk = &app.inner.desk;
    let expected = desk.expected(quoted, &asked.body)?;
    let decimals = desk.rails().asset().decimals;
    let usd = |units: Units| units.asset_text(decimals);
    let text = format!(
        "ceiling=\"{}\", expected=\"{}\", cached-tokens={}",
        usd(quoted.ceiling),
        usd(expected.cost),
        expected.cached
    );
    HeaderValue::try_from(text).ok()
}

/// What a challenge is made for: a request's route and body, and what its caller wishes to pay by.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) route: Route,
    /// What stands behind the path; no call means anything by it.
    pub(super) query: Option<String>,
    pub(super) body: Bytes,
    pub(super) wish: Wish,
    /// What its caller can pay by, of MPP.
    pub(super) preferences: Option<Preferences>,
    /// Whether a credential of MPP came with it.
    pub(super) by_mpp: bool,
}

impl Asked {
    fn read(
        (route, query): (Route, Option<String>),
        body: Bytes,
        headers: &HeaderMap,
    ) -> Result<Self, ApiError> {
        Ok(Self {
            route,
            query,
            body,
            wish: wish(headers)?,
            preferences: preferences(headers),
            by_mpp: carries_credential(headers),
        })
    }
}

/// A look at a paid route without a body: the offer of the smallest call of the first model that is
/// paid for, so that crawlers and wallets see how payment is asked for. With a refund's credential, the
/// refund (x402 scheme_batch_settlement_evm asks for it by GET on the paid URL).
async fn probe(app: App, (route, query): (Route, Option<String>), headers: HeaderMap) -> Response {
    let prices = app.inner.desk.prices().current();
    let paid = |model: &&Arc<Model>| {
        let mut endpoints = model.endpoints.iter();
        endpoints.any(|endpoint| endpoint.speaks(route) && !endpoint.model.price.is_free())
    };
    let model = prices.models().find(paid).map(|model| model.id.clone());
    let body = smallest(route, model.as_deref()).to_string().into();
    let asked = match Asked::read((route, query), body, &headers) {
        Ok(asked) => asked,
        Err(error) => return error.on(route).into_response(),
    };
    match app.payment(&headers, &asked).await {
        Ok(None) if model.is_none() => post_it(route, "no model here is paid for on this route"),
        Ok(None) => match app.inner.desk.quote(asked.route, &asked.body) {
            Ok(call) if call.is_free() => post_it(route, "a small one is free"),
            Ok(call) => offered(&app, &call, &asked),
            Err(refusal) => app.refused(&refusal, Some(&asked)),
        },
        Ok(Some(credential)) if is_refund(&credential) => refund(&app, &credential, &asked).await,
        Ok(Some(_)) => post_it(route, "nothing was taken for this GET"),
        Err(refusal) => app.refused(&refusal, Some(&asked)),
    }
}

/// The smallest request of a route.
pub(super) fn smallest(route: Route, model: Option<&str>) -> Value {
    let messages = json!([{"role": "user", "content": ""}]);
    match route {
        Route::Chat | Route::Messages => {
            json!({"model": model, "messages": messages, "max_tokens": 1})
        }
        Route::Completions => json!({"model": model, "prompt": "", "max_tokens": 1}),
        Route::Embeddings => json!({"model": model, "input": ""}),
        Route::Responses => json!({"model": model, "input": "", "max_output_tokens": 1}),
    }
}

fn post_it(route: Route, why: &str) -> Response {
    let message = format!("A call is a POST with a body; {why}.");
    ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        message,
    )
    .on(route)
    .into_response()
}

fn is_refund(credential: &Credential) -> bool {
    matches!(&credential.payload, Payload::Channel(payload) if matches!(**payload, channel::Payload::Refund { .. }))
}

async fn refund(app: &App, credential: &Credential, asked: &Asked) -> Response {
    let (paid, body) = match app.inner.desk.refund(credential).await {
        Ok(refunded) => refunded,
        Err(refusal) => return app.refused(&refusal, Some(asked)),
    };
    let mut response = Json(body).into_response();
    let headers = response.headers_mut();
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("private, no-store"),
    );
    let paid = paid
        .to_header()
        .ok()
        .and_then(|value| HeaderValue::try_from(value).ok());
    if let Some(value) = paid {
        headers.insert(PAYMENT_RESPONSE, value);
    }
    response
}

/// What is left of the body is not read, so the connection cannot be used again; a client that is not
/// told so would lose its next request on it.
fn closing(error: ApiError) -> Response {
    let mut response = error.into_response();
    response
        .headers_mut()
        .insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

async fn read_body(app: &App, body: Body) -> Result<Bytes, ApiError> {
    let limit = app.inner.body_bytes_max;
    let read = tokio::time::timeout(BODY_TIMEOUT, to_bytes(body, limit)).await;
    let read = read.map_err(|_| {
        ApiError::new(
            StatusCode::REQUEST_TIMEOUT,
            "body_timeout",
            "The request body took too long to arrive.",
        )
    })?;
    let body = read.map_err(|_| {
        let message = format!("The request body is longer than {limit} bytes, or broke off.");
        ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", message)
    })?;
    Ok(match body.len() <= VIEW_BYTES_MAX {
        true => Bytes::copy_from_slice(&body),
        false => body,
    })
}

impl App {
    /// The payment of x402 in a request's headers; more than one is refused, because only one could be meant.
    pub fn credential(&self, headers: &HeaderMap) -> Result<Option<Credential>, PaymentRefusal> {
        let malformed = |text: &str| PaymentRefusal::Malformed(text.to_owned());
        let mut found = None;
        for (name, version) in [(PAYMENT_SIGNATURE, Version::V2), (X_PAYMENT, Version::V1)] {
            for value in headers.get_all(name) {
                if found.is_some() {
                    return Err(malformed("more than one payment header"));
                }
                let value = value
                    .to_str()
                    .map_err(|_| malformed("the header is not ASCII"))?;
                found = Some((version, value));
            }
        }
        let Some((version, value)) = found else {
            return Ok(None);
        };
        let credential = decode_payment(version, value)?;
        check_echo(&self.inner.advertised, &credential.extensions)?;
        Ok(Some(credential))
    }
}

async fn listen(app: &App, mut listener: Listener, asked: &Asked) -> Response {
    let refusal = match listener.head(app.inner.patience).await {
        Some(Head::Answer(headers)) => {
            if let Some(body) = listener.whole() {
                return (StatusCode::OK, headers, Body::from(body)).into_response();
            }
            let body = futures::stream::unfold(listener, |mut listener| async {
                let bytes = listener.next().await?;
                Some((Ok::<_, Infallible>(bytes), listener))
            });
            return (StatusCode::OK, headers, Body::from_stream(body)).into_response();
        }
        Some(Head::Refused(refusal)) => refusal,
        None => Refusal::SettlementPending,
    };
    let mut response = app.refused(&refusal, Some(asked));
    if let Some(id) = listener
        .call()
        .and_then(|call| HeaderValue::try_from(call.to_string()).ok())
    {
        response.headers_mut().insert(CALL_ID, id);
    }
    response
}
