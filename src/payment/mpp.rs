//! What MPP asks for: by `evm/charge` the transfer that `exact` takes by EIP-3009, in other words, and by
//! `tempo/charge` one on Tempo.
//!
//! A credential of the `Payment` scheme is read into the form of every other one, the offer it accepted
//! included, so that there is one way to judge, hold and settle it, and one key it is spent under.

use super::exact::ExactRail;
use super::tempo::{ChargeRail, SessionRail};
use crate::config::{Config, GatewayConfig};
use crate::ledger::CallId;
use crate::money::Units;
use crate::protocol::mpp::{
    self, Challenge, Issuer, Keys, Opened, Receipt, Refused, evm, session, tempo,
};
use crate::protocol::payment_identifier::PaymentId;
use crate::protocol::x402::{self, Extensions, Payload, Requirements, Version};
use crate::protocol::{Network, Refusal};
use alloy::primitives::Address;
use hmac::{Hmac, KeyInit, Mac};
use http::Uri;
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use sha2::Sha256;

/// What the default secret is derived for.
const LABEL: &str = "groat/mpp/challenges";

/// How payments are asked for by MPP.
#[derive(Debug)]
pub(super) struct Mpp {
    issuer: Issuer,
    expires_seconds: u64,
    /// The same of `tempo/charge`.
    tempo_seconds: u64,
}

/// A method that is taken, as discovery documents name it.
#[derive(Debug, Clone, Copy)]
pub struct Method {
    /// Who settles.
    pub method: &'static str,
    /// How.
    pub intent: &'static str,
    /// The token.
    pub currency: Address,
}

/// The rails that can be paid by MPP.
pub(super) struct Takes<'a> {
    pub(super) exact: &'a ExactRail,
    pub(super) tempo: Option<&'a ChargeRail>,
    pub(super) session: Option<&'a SessionRail>,
}

/// A payment that came by MPP: read, and sealed here, but perhaps for another request.
#[derive(Debug, Clone)]
pub struct MppPayment {
    /// The payment in the form of every other.
    pub credential: x402::Credential,
    /// What its challenge was made for.
    pub opened: Opened,
}

/// What was paid for a call, as far as it is known when the answer begins.
#[derive(Debug, Clone)]
pub struct MppPaid {
    /// Who settled.
    pub method: String,
    /// The challenge that was paid.
    pub challenge: String,
    /// The call.
    pub call: CallId,
    /// The chain.
    pub network: Network,
    /// The settling transaction, if that is mined.
    pub transaction: Option<String>,
    /// What was signed.
    pub paid: Units,
    /// What the call cost, if that is known.
    pub charged: Option<Units>,
    /// When, in Unix seconds.
    pub at_s: u64,
}

impl Mpp {
    /// `None` where the operator does not want it.
    pub(super) fn of(config: &Config) -> Option<Self> {
        let mpp = &config.mpp;
        if !mpp.enabled {
            return None;
        }
        let previous = mpp.secret_previous.as_ref();
        let previous = previous.map(|secret| secret.reveal().as_bytes());
        let keys = match &mpp.secret {
            Some(secret) => Keys::new(secret.reveal().as_bytes(), previous),
            None => Keys::new(&derived(config.payment.receipt_key.reveal())?, previous),
        };
        let keys = keys.ok()?;
        let realm = mpp.realm.clone().unwrap_or_else(|| host(&config.gateway));
        Some(Self {
            issuer: Issuer::new(realm, keys),
            expires_seconds: mpp.expires.as_secs(),
            tempo_seconds: config.tempo.charge_expires.as_secs(),
        })
    }

    /// The challenge to pay what a request asks for, by the method and the intent of these names.
    pub(super) fn challenge(
        &self,
        names: (&str, &str),
        request: String,
        price_row: &str,
        bound: &mpp::Bound<'_>,
        now_s: u64,
    ) -> Challenge {
        let lives = match names {
            (tempo::METHOD, tempo::CHARGE) => self.tempo_seconds,
            _ => self.expires_seconds,
        };
        let expires = now_s.saturating_add(lives);
        let salted = (price_row, rand::random());
        self.issuer
            .challenge(names, request, bound, salted, expires)
    }

    /// Reads a credential whose challenge was made here.
    pub(super) fn read(
        &self,
        credential: &mpp::Credential,
        takes: &Takes<'_>,
        idempotency_key: Option<&str>,
    ) -> Result<MppPayment, Refusal> {
        let challenge = &credential.challenge;
        let opened = self.issuer.open(challenge)?;
        let price_row = opened.price_row.as_str();
        let (accepted, payload) = match (challenge.method.as_str(), challenge.intent.as_str()) {
            (evm::METHOD, evm::CHARGE) => by_evm(credential, takes.exact, price_row)?,
            (tempo::METHOD, tempo::CHARGE) => {
                let rail = takes.tempo.ok_or(Refused::NotTaken)?;
                by_tempo(credential, rail, price_row)?
            }
            (tempo::METHOD, session::SESSION) => {
                let rail = takes.session.ok_or(Refused::NotTaken)?;
                by_session(credential, rail, price_row)?
            }
            _ => return Err(Refused::NotTaken.into()),
        };
        let credential = x402::Credential {
            version: Version::V2,
            scheme: accepted.scheme.clone(),
            network: accepted.network,
            accepted: Some(json!(accepted)),
            payload,
            payment_id: idempotency_key.map(PaymentId::of_any),
            extensions: Extensions::new(),
            challenge: Some(Box::new(challenge.clone())),
        };
        Ok(MppPayment { credential, opened })
    }
}

fn by_evm(
    credential: &mpp::Credential,
    exact: &ExactRail,
    price_row: &str,
) -> Result<(Requirements, Payload), Refused> {
    let charge = evm::Charge::from_request(&credential.challenge.request);
    let charge = charge.ok_or(Refused::NotTaken)?;
    let signed = evm::signed(credential, &charge)?;
    let accepted = Requirements {
        network: charge.network,
        asset: charge.currency,
        pay_to: charge.recipient,
        ..exact.offer(charge.amount, price_row)
    };
    Ok((accepted, Payload::Eip3009(signed)))
}

fn by_tempo(
    credential: &mpp::Credential,
    rail: &ChargeRail,
    price_row: &str,
) -> Result<(Requirements, Payload), Refused> {
    let charge = tempo::Charge::from_request(&credential.challenge.request);
    let charge = charge.ok_or(Refused::NotTaken)?;
    let signed = rail.read(credential, charge.network)?;
    let accepted = rail.offer_of(&charge, price_row);
    Ok((accepted, Payload::Tempo(Box::new(signed))))
}

fn by_session(
    credential: &mpp::Credential,
    rail: &SessionRail,
    price_row: &str,
) -> Result<(Requirements, Payload), Refused> {
    let session = session::Session::from_request(&credential.challenge.request);
    let session = session.ok_or(Refused::NotTaken)?;
    let signed = rail.read(credential, session.network)?;
    let accepted = rail.offer_of(&session, price_row);
    Ok((accepted, Payload::Session(Box::new(signed))))
}

impl MppPaid {
    /// The header of the answer. What is not known yet, the receipt of the call will say.
    pub fn receipt(&self) -> Receipt {
        let seconds = i64::try_from(self.at_s).unwrap_or(i64::MAX);
        let call = self.call.to_string();
        let mut more = Map::new();
        let mut say = |key: &str, value: Value| more.insert(key.to_owned(), value);
        say("challengeId", self.challenge.as_str().into());
        say("chainId", self.network.chain_id().into());
        say("paid", json!(self.paid));
        if let Some(charged) = self.charged {
            say("charged", json!(charged));
            if let Ok(credit) = self.paid.minus(charged) {
                say("credit", json!(credit));
            }
        }
        say("receipt", format!("/v1/receipts/{call}").into());
        let at = Timestamp::from_second(seconds).unwrap_or_default();
        Receipt {
            status: "success".to_owned(),
            method: self.method.clone(),
            timestamp: at.to_string(),
            reference: self.transaction.clone().unwrap_or_else(|| call.clone()),
            external_id: Some(call),
            more,
        }
    }
}

/// The host that callers know this gateway by.
fn host(gateway: &GatewayConfig) -> String {
    let public: Option<Uri> = gateway
        .public_url
        .as_deref()
        .and_then(|url| url.parse().ok());
    let host = public.as_ref().and_then(Uri::host);
    host.map_or_else(|| gateway.listen.ip().to_string(), str::to_owned)
}

/// A secret of its own out of the receipt key, the same after every restart: who cannot sign receipts
/// cannot seal challenges, and neither secret tells the other.
fn derived(receipt_key: &str) -> Option<[u8; 32]> {
    let mac = Hmac::<Sha256>::new_from_slice(receipt_key.trim().as_bytes()).ok()?;
    Some(mac.chain_update(LABEL).finalize().into_bytes().into())
}
