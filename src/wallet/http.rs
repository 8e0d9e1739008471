//! A paid route of one gateway, as its caller sees it.

use crate::metering::Route;
use crate::protocol::mpp::{Challenge, WWW_AUTHENTICATE};
use crate::protocol::receipt::{Hash, request_sha256};
use crate::protocol::x402::{PAYMENT_REQUIRED, PAYMENT_RESPONSE, PaymentRequired, SettleResponse};
use alloy::primitives::B256;
use bytes::Bytes;
use http::HeaderMap;
use reqwest::{Client, Method, Response, StatusCode, Url};
use serde_json::Value;
use std::time::Duration;

/// The request header by which a caller asks for one rail.
const RAIL: &str = "groat-rail";

/// The response header with the call's id.
const CALL_ID: &str = "groat-call-id";

/// How often the same payment is sent again while its settlement is pending.
const PENDING_TRIES: usize = 12;

/// How often it is sent again where the connection broke, and the pause before.
const BROKEN_TRIES: usize = 2;
const BROKEN_PAUSE: Duration = Duration::from_millis(250);

/// Longest pause that a gateway's `Retry-After` is followed for.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// Longest receipt or error that is read.
const TEXT_BYTES_MAX: usize = 1 << 20;

/// Why there is no usable answer.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The URL is none.
    #[error("{0} is no http or https URL")]
    Url(String),
    /// There was no answer.
    #[error("{0} cannot be reached: {1}")]
    Unreachable(String, String),
    /// The answer is no challenge that can be read.
    #[error("the 402 {0}")]
    Challenge(String),
    /// The settlement is still pending.
    #[error("the settlement is still pending; nothing more was signed")]
    Pending,
}

/// A paid route of a gateway.
#[derive(Debug, Clone)]
pub struct Gateway {
    client: Client,
    route: Route,
    url: Url,
    /// Where its receipts are, up to the last slash.
    receipts: Url,
    /// What goes along with every call.
    headers: HeaderMap,
}

/// What a gateway has of a call's receipt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stored {
    /// The receipt's text.
    Receipt(String),
    /// The call is under way.
    Pending,
    /// The call had no answer and cost nothing.
    Voided,
    /// The gateway knows no such call.
    Unknown,
}

impl Gateway {
    /// The chat route below a gateway's base URL; `client` must follow no redirects.
    pub fn new(client: Client, base: &str) -> Result<Self, HttpError> {
        let url = |path: &str| {
            let url = Url::parse(&format!("{}{path}", base.trim_end_matches('/'))).ok();
            let url = url.filter(|url| url.has_host() && matches!(url.scheme(), "http" | "https"));
            url.ok_or_else(|| HttpError::Url(base.to_owned()))
        };
        Ok(Self {
            client,
            route: Route::Chat,
            url: url(Route::Chat.path())?,
            receipts: url("/v1/receipts/")?,
            headers: HeaderMap::new(),
        })
    }

    /// A route wherever it is, with its gateway's receipts below `receipts`, which ends with a slash;
    /// `headers` go along with every call.
    pub fn at(
        client: Client,
        (route, url): (Route, Url),
        receipts: Url,
        headers: HeaderMap,
    ) -> Self {
        Self {
            client,
            route,
            url,
            receipts,
            headers,
        }
    }

    /// What a receipt calls the hash of this request.
    pub(super) fn request_hash(&self, body: &[u8]) -> Hash {
        Hash(B256::from(request_sha256(self.route, body)))
    }

    /// Scheme, host and port.
    pub fn origin(&self) -> String {
        self.url.origin().ascii_serialization()
    }

    /// Asks without a payment: for a call when there is a body, else only for the offers.
    pub async fn ask(
        &self,
        body: Option<&Bytes>,
        rail: Option<&str>,
    ) -> Result<Response, HttpError> {
        let rail = rail.map(|rail| (RAIL, rail));
        self.send(body, rail).await
    }

    /// Sends a payment; while its settlement is pending, or where the connection broke, sends the same
    /// one again and never another. `waiting` is told how many seconds that takes.
    pub async fn pay(
        &self,
        body: Option<&Bytes>,
        payment: (&str, &str),
        waiting: impl Fn(u64),
    ) -> Result<Response, HttpError> {
        let mut broken = 0;
        for _ in 0..PENDING_TRIES {
            let answer = match self.send(body, Some(payment)).await {
                Err(_) if broken < BROKEN_TRIES => {
                    broken += 1;
                    tokio::time::sleep(BROKEN_PAUSE).await;
                    continue;
                }
                answer => answer?,
            };
            match (answer.status(), pause(&answer)) {
                (StatusCode::SERVICE_UNAVAILABLE, Some(pause)) => {
                    waiting(pause.as_secs());
                    tokio::time::sleep(pause).await;
                }
                _ => return Ok(answer),
            }
        }
        Err(HttpError::Pending)
    }

    /// What became of a call.
    pub async fn receipt(&self, call: &str) -> Result<Stored, HttpError> {
        // Whatever a gateway calls a call, it stays one segment of this path.
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if call.is_empty() || !call.chars().all(plain) {
            return Ok(Stored::Unknown);
        }
        let url = self.receipts.join(call);
        let url = url.map_err(|_| HttpError::Url(self.receipts.to_string()))?;
        let answer = self.client.get(url).send().await;
        let answer = answer.map_err(|error| self.unreachable(&error))?;
        let status = answer.status();
        let text = text(answer)
            .await
            .map_err(|error| self.unreachable(&error))?;
        if status.is_success() {
            return Ok(Stored::Receipt(text));
        }
        let body: Value = serde_json::from_str(&text).unwrap_or_default();
        match (status, body.pointer("/error/code").and_then(Value::as_str)) {
            (_, Some("call_voided")) => Ok(Stored::Voided),
            (_, Some("receipt_pending")) => Ok(Stored::Pending),
            (StatusCode::NOT_FOUND, _) => Ok(Stored::Unknown),
            _ => Ok(Stored::Pending),
        }
    }

    async fn send(
        &self,
        body: Option<&Bytes>,
        header: Option<(&str, &str)>,
    ) -> Result<Response, HttpError> {
        let method = body.map_or(Method::GET, |_| Method::POST);
        let mut request = self.client.request(method, self.url.clone());
        request = request.headers(self.headers.clone());
        if let Some(body) = body {
            request = request
                .header("content-type", "application/json")
                .body(body.clone());
        }
        if let Some((name, value)) = header {
            request = request.header(name, value);
        }
        let answer = request.send().await;
        answer.map_err(|error| self.unreachable(&error))
    }

    fn unreachable(&self, error: &reqwest::Error) -> HttpError {
        HttpError::Unreachable(self.url.to_string(), error.to_string())
    }
}

/// The offers of a 402.
pub(super) fn challenge(answer: &Response) -> Result<PaymentRequired, HttpError> {
    let header = header(answer, PAYMENT_REQUIRED);
    let header = header.ok_or_else(|| HttpError::Challenge("carries no offers".to_owned()))?;
    PaymentRequired::from_header(header)
        .map_err(|error| HttpError::Challenge(format!("cannot be read: {error}")))
}

/// The challenges of a 402, of MPP.
pub(super) fn challenges(answer: &Response) -> Result<Vec<Challenge>, HttpError> {
    let lines = answer.headers().get_all(WWW_AUTHENTICATE).iter();
    let found = Challenge::read_all(lines.filter_map(|line| line.to_str().ok()));
    found.map_err(|error| HttpError::Challenge(format!("has no challenge of MPP: {error}")))
}

/// What an answer says of the payment, if it does.
pub(super) fn settled(answer: &Response) -> Option<SettleResponse> {
    SettleResponse::from_header(header(answer, PAYMENT_RESPONSE)?).ok()
}

/// The call's id, if the answer tells one.
pub fn call_id(answer: &Response) -> Option<String> {
    header(answer, CALL_ID).map(str::to_owned)
}

/// What an answer that is no success says, in a sentence.
pub async fn complaint(answer: Response) -> String {
    let status = answer.status();
    let text = text(answer).await.unwrap_or_default();
    let body: Value = serde_json::from_str(&text).unwrap_or_default();
    let said = body
        .pointer("/error/message")
        .or_else(|| body.get("detail"))
        .and_then(Value::as_str);
    format!("{status}: {}", said.unwrap_or(&text))
}

/// An answer's text, as far as it is not beyond all bounds.
pub(super) async fn text(mut answer: Response) -> Result<String, reqwest::Error> {
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > TEXT_BYTES_MAX {
            bytes.truncate(TEXT_BYTES_MAX);
            break;
        }
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn header<'a>(answer: &'a Response, name: &str) -> Option<&'a str> {
    answer.headers().get(name)?.to_str().ok()
}

fn pause(answer: &Response) -> Option<Duration> {
    let seconds = header(answer, "retry-after")?.parse().ok()?;
    Some(Duration::from_secs(seconds).min(PAUSE_MAX))
}
