//! A wallet proves itself by `sign-in-with-x`; each sign-in is good for one request.

use super::App;
use super::challenge::payment_required;
use crate::money::Units;
use crate::payment::Wish;
use crate::protocol::siwx::{self, Expected, SiwxChallenge, SiwxError};
use crate::protocol::x402::{PaymentRequired, ResourceInfo};
use crate::protocol::{Network, Refusal as PaymentRefusal};
use alloy::primitives::Address;
use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use serde_json::json;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Nonces remembered at once; more sign-ins than this in five minutes are refused.
const NONCES_MAX: usize = 100_000;

/// The nonces that were used, until their messages are too old anyway.
#[derive(Debug)]
pub(super) struct Nonces {
    used: Mutex<HashMap<String, Timestamp>>,
    /// A message issued before this process began is stale by then, and not taken: it may have been
    /// used before.
    fresh_after: Timestamp,
}

impl Default for Nonces {
    fn default() -> Self {
        let now = Timestamp::now();
        Self {
            used: Mutex::default(),
            fresh_after: now.checked_add(siwx::AGE_MAX).unwrap_or(now),
        }
    }
}

impl Nonces {
    fn burn(&self, nonce: &str, stale_after: Timestamp, now: Timestamp) -> Result<(), SiwxError> {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if used.len() >= NONCES_MAX {
            used.retain(|_, stale| *stale > now);
        }
        if used.len() >= NONCES_MAX || used.contains_key(nonce) {
            return Err(SiwxError::NonceUsed);
        }
        used.insert(nonce.to_owned(), stale_after);
        Ok(())
    }
}

impl App {
    /// Who signed this request for `path`; without a good sign-in, the answer that asks for one.
    pub(super) fn signed_in(
        &self,
        headers: &HeaderMap,
        path: &str,
    ) -> Result<Address, Box<Response>> {
        let Some(value) = headers.get(siwx::HEADER) else {
            return Err(Box::new(self.ask_to_sign_in(path)));
        };
        self.check(value.to_str().unwrap_or_default(), path)
            .map_err(|error| {
                let body = json!({"error": {
                    "message": error.to_string(),
                    "type": "authentication_error",
                    "param": siwx::HEADER,
                    "code": error.reason(),
                }});
                Box::new((StatusCode::UNAUTHORIZED, Json(body)).into_response())
            })
    }

    /// A sign-in is good for the route it names, once, and not across a restart, which forgets what
    /// was used before it.
    fn check(&self, header: &str, path: &str) -> Result<Address, SiwxError> {
        let now = Timestamp::now();
        let networks = [self.network()];
        let expected = Expected {
            origin: &self.inner.origin,
            networks: &networks,
            now,
        };
        let message = siwx::parse(header)?;
        if message.uri != format!("{}{path}", self.inner.origin) {
            return Err(SiwxError::Uri);
        }
        let signed = siwx::verify(&message, &expected)?;
        if signed.stale_after < self.inner.nonces.fresh_after {
            return Err(SiwxError::NonceUsed);
        }
        self.inner
            .nonces
            .burn(&signed.nonce, signed.stale_after, now)?;
        Ok(signed.address)
    }

    /// The published clients sign in on a 402 whose first offer is on their chain: this one costs nothing.
    fn ask_to_sign_in(&self, path: &str) -> Response {
        let origin = &self.inner.origin;
        let url = format!("{origin}{path}");
        let challenge = SiwxChallenge {
            domain: origin
                .split_once("://")
                .map_or(origin.as_str(), |(_, host)| host)
                .to_owned(),
            uri: url.clone(),
            version: "1".to_owned(),
            nonce: hex::encode(rand::random::<[u8; 16]>()),
            issued_at: Timestamp::now().to_string(),
            expiration_time: None,
            statement: Some("Sign in to see and withdraw your credit.".to_owned()),
            resources: None,
        };
        let extension = challenge.to_extension(&[self.network()]);
        let required = PaymentRequired {
            x402_version: 2,
            error: Some("sign_in_required".to_owned()),
            resource: ResourceInfo {
                url,
                description: Some("Your credit".to_owned()),
                mime_type: Some("application/json".to_owned()),
                service_name: Some("Groat".to_owned()),
            },
            accepts: self
                .inner
                .desk
                .rails()
                .offers(Units::ZERO, "", Wish::default()),
            extensions: Some([(siwx::KEY.to_owned(), extension)].into()),
        };
        payment_required(&required, &PaymentRefusal::PaymentRequired)
    }

    fn network(&self) -> Network {
        self.inner.desk.rails().network()
    }
}
