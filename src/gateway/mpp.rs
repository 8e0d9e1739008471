//! MPP at the gateway: its challenges in a 402, its credentials in a request.

use super::App;
use super::paid::Asked;
use crate::call::{Quoted, Refusal};
use crate::clock::now_ms;
use crate::payment::Wish;
use crate::protocol::mpp::{
    ACCEPT_PAYMENT, Bound, Credential, PAYMENT_AUTHORIZATION, PAYMENT_RECEIPT, Preferences,
    Refused, WWW_AUTHENTICATE, find, session,
};
use crate::protocol::{Refusal as PaymentRefusal, x402};
use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use serde_json::json;
use sha2::{Digest, Sha256};

/// The header by which a caller names a payment of its own, so that a retry pays no second time.
const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// What a caller says that it can pay by.
pub(super) fn preferences(headers: &HeaderMap) -> Option<Preferences> {
    let lines = headers.get_all(ACCEPT_PAYMENT).iter();
    let lines: Vec<&str> = lines.map(|v| v.to_str().ok()).collect::<Option<_>>()?;
    Preferences::read(&lines.join(","))
}

/// Whether a request carries a credential of MPP, however wrong.
pub(super) fn carries_credential(headers: &HeaderMap) -> bool {
    !matches!(credential(headers), Ok(None))
}

/// The credential in a request's headers; any other `Authorization` is nobody's concern.
fn credential(headers: &HeaderMap) -> Result<Option<&str>, Refused> {
    let names = [header::AUTHORIZATION.as_str(), PAYMENT_AUTHORIZATION];
    let values = names.iter().flat_map(|name| headers.get_all(*name));
    find(values.filter_map(|value| value.to_str().ok()))
}

/// What a session's credential does that buys nothing: it ends a channel, adds to it, or comes without a
/// request, for one that is being answered.
pub(super) fn manages<'c>(
    credential: &'c x402::Credential,
    asked: &Asked,
) -> Option<&'c session::Signed> {
    let x402::Payload::Session(signed) = &credential.payload else {
        return None;
    };
    let buys = signed.action.pays().is_some() && !asked.body.is_empty();
    (!buys).then_some(&**signed)
}

impl App {
    /// Does what such a credential asks for; it goes on when that takes too long to wait for.
    pub(super) async fn manage(&self, signed: &session::Signed, asked: &Asked) -> Response {
        let done = self.inner.desk.manage(signed);
        let done = tokio::time::timeout(self.inner.patience, done).await;
        let done = match done.unwrap_or(Err(Refusal::SettlementPending)) {
            Ok(done) => done,
            Err(refusal) => return self.not_managed(&refusal, asked),
        };
        let challenge = &signed.credential.challenge.id;
        let transaction = done.transaction.as_deref();
        let receipt = done
            .account
            .receipt(challenge, now_ms() / 1000, transaction);
        let mut response = Json(json!({ "status": "ok" })).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CACHE_CONTROL,
            HeaderValue::from_static("private, no-store"),
        );
        let receipt = receipt.to_header();
        if let Some(value) = receipt.and_then(|value| HeaderValue::try_from(value).ok()) {
            headers.insert(PAYMENT_RECEIPT, value);
        }
        response
    }

    /// Adds to a 402 for what buys nothing a challenge that it can be sent anew for.
    pub(super) fn challenge_session(&self, response: &mut Response, asked: &Asked) {
        let rails = self.inner.desk.rails();
        let challenge = rails.session_challenge(&route_of(asked), now_ms() / 1000);
        let line = challenge.and_then(|challenge| challenge.to_header().ok());
        if let Some(value) = line.and_then(|line| HeaderValue::try_from(line).ok()) {
            let name = HeaderName::from_static(WWW_AUTHENTICATE);
            response.headers_mut().append(name, value);
        }
    }

    /// The payment in a request's headers, whichever protocol it speaks.
    pub(super) async fn payment(
        &self,
        headers: &HeaderMap,
        asked: &Asked,
    ) -> Result<Option<x402::Credential>, Refusal> {
        let other = self.credential(headers)?;
        let found = credential(headers).map_err(PaymentRefusal::from)?;
        let found = match (other, found) {
            (Some(_), Some(_)) => {
                let twice = "payments of two protocols came with one request".to_owned();
                return Err(PaymentRefusal::Malformed(twice).into());
            }
            (other, None) => return Ok(other),
            (None, Some(found)) => Credential::read(found).map_err(PaymentRefusal::from)?,
        };
        let key = headers.get(IDEMPOTENCY_KEY);
        let key = key.and_then(|value| value.to_str().ok());
        let paid = self.inner.desk.rails().read_mpp(&found, key)?;
        let (route, body) = bound(asked);
        // What buys nothing is for no body: it comes with none.
        let wrong = match manages(&paid.credential, asked) {
            Some(_) => paid.opened.check_route(&route),
            None => paid.opened.check(&Bound {
                route: &route,
                body: &body,
            }),
        };
        match wrong {
            Ok(()) => Ok(Some(paid.credential)),
            // What was spent already is answered by no fresh challenge, whatever is wrong with it.
            Err(refused) => Err(match self.inner.desk.bought(&paid.credential).await? {
                Some(call) => Refusal::Conflict(call),
                None => told(&paid.credential, refused.into()).into(),
            }),
        }
    }

    /// Adds the challenges for this very request to a 402, those its caller can pay first and alone.
    pub(super) fn challenge_by_mpp(
        &self,
        response: &mut Response,
        call: &Quoted,
        asked: &Asked,
        wish: Wish,
    ) {
        let (route, body) = bound(asked);
        let bound = Bound {
            route: &route,
            body: &body,
        };
        let rails = self.inner.desk.rails();
        let now_s = now_ms() / 1000;
        let mut all = rails.challenges(call.ceiling, call.price_rows(), wish, &bound, now_s);
        // Only a stream can ask for vouchers as it goes.
        all.retain(|challenge| call.stream || challenge.intent != session::SESSION);
        let chosen = match &asked.preferences {
            Some(preferences) => preferences.choose(&all, |offer| (&offer.method, &offer.intent)),
            None => all,
        };
        let lines = chosen.iter().filter_map(|challenge| {
            let line = challenge.to_header().ok()?;
            HeaderValue::try_from(line).ok()
        });
        let name = HeaderName::from_static(WWW_AUTHENTICATE);
        for line in lines {
            response.headers_mut().append(name.clone(), line);
        }
    }
}

/// Why a credential is not taken: what its payer has sent already is not asked for again.
fn told(credential: &x402::Credential, why: PaymentRefusal) -> PaymentRefusal {
    match &credential.payload {
        x402::Payload::Tempo(signed) => signed.refused(why),
        _ => why,
    }
}

/// What the challenges for a request are bound to: its route, and the hash of its body.
fn bound(asked: &Asked) -> (String, [u8; 32]) {
    (route_of(asked), Sha256::digest(&asked.body).into())
}

fn route_of(asked: &Asked) -> String {
    let route = format!("POST {}", asked.route.path());
    // Whatever its length, it takes this much of a header.
    let query = asked.query.as_deref().filter(|query| !query.is_empty());
    match query.map(Sha256::digest) {
        Some(hash) => format!("{route}?{}", hex::encode(hash)),
        None => route,
    }
}
