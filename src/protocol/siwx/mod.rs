//! Signing in with a wallet: the x402 extension `sign-in-with-x` (CAIP-122), for plain accounts
//! on EVM chains. The signed text is the one of EIP-4361, letter for letter.

mod challenge;
mod message;

pub use challenge::SiwxChallenge;
pub use message::SignIn;

use super::header::{self, HEADER_LIMITS};
use super::{HeaderError, Network};
use crate::json::Object;
use alloy::primitives::{Address, eip191_hash_message};
use jiff::{SignedDuration, Timestamp};

/// The extension's key in `extensions`.
pub const KEY: &str = "sign-in-with-x";

/// The request header that carries the signed message.
pub const HEADER: &str = "sign-in-with-x";

/// How long after `issuedAt` a message is accepted.
pub const AGE_MAX: SignedDuration = SignedDuration::from_mins(5);

/// How far ahead of ours a client's clock may run.
pub const CLOCK_LEEWAY: SignedDuration = SignedDuration::from_secs(30);

/// What a sign-in is held against.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// This service's origin, without a trailing slash: `https://groat.example`.
    pub origin: &'a str,
    /// The chains whose accounts may sign in.
    pub networks: &'a [Network],
    /// The time.
    pub now: Timestamp,
}

/// Who signed in. The nonce is yet to be burnt by the caller: the signature alone can be replayed
/// until it is too old.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedIn {
    /// The account.
    pub address: Address,
    /// The chain it signed in for.
    pub network: Network,
    /// The message's nonce.
    pub nonce: String,
    /// From when on the message is too old, so that its nonce may be forgotten.
    pub stale_after: Timestamp,
}

/// Why a sign-in was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SiwxError {
    /// The header is not base64 of the JSON message.
    #[error("the sign-in could not be read: {0}")]
    Malformed(String),
    /// The message is for another host than this one.
    #[error("the sign-in's domain is not this host; sign the challenge of this service")]
    Domain,
    /// The message's URI is not on this origin.
    #[error("the sign-in's uri is not on this origin; sign the challenge of this service")]
    Uri,
    /// The chain or the kind of signature is not one that is offered.
    #[error("the sign-in's chain or signature type is not supported; use an EVM account (eip191)")]
    Chain,
    /// A timestamp is not RFC 3339.
    #[error("the sign-in's {0} is not a timestamp like 2026-01-31T12:00:00Z")]
    Timestamp(&'static str),
    /// The message was issued too long ago.
    #[error("the sign-in is older than five minutes; take a fresh challenge")]
    TooOld,
    /// The message was issued in the future.
    #[error("the sign-in was issued in the future; check the clock")]
    InFuture,
    /// The message has expired.
    #[error("the sign-in has expired; take a fresh challenge")]
    Expired,
    /// The message is not valid yet.
    #[error("the sign-in is not valid yet")]
    NotYetValid,
    /// The signature is not the address's.
    #[error("the signature is not the address's; sign the EIP-4361 text by personal_sign")]
    Signature,
    /// The nonce was used before; told by whoever keeps them.
    #[error("the sign-in was used before; take a fresh challenge")]
    NonceUsed,
}

impl SiwxError {
    /// The reason string of the TypeScript SDK.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "invalid_siwx_header",
            Self::Domain => "invalid_siwx_domain_mismatch",
            Self::Uri => "invalid_siwx_uri_mismatch",
            Self::Chain => "invalid_siwx_unsupported_chain",
            Self::Timestamp(_) => "invalid_siwx_issued_at",
            Self::TooOld => "invalid_siwx_issued_at_too_old",
            Self::InFuture => "invalid_siwx_issued_at_in_future",
            Self::Expired => "invalid_siwx_expired",
            Self::NotYetValid => "invalid_siwx_not_yet_valid",
            Self::Signature => "invalid_siwx_signature",
            Self::NonceUsed => "invalid_siwx_nonce",
        }
    }
}

impl From<HeaderError> for SiwxError {
    fn from(error: HeaderError) -> Self {
        Self::Malformed(error.to_string())
    }
}

/// Reads the header `SIGN-IN-WITH-X`.
pub fn parse(header_value: &str) -> Result<SignIn, SiwxError> {
    let bytes = header::decode(header_value)?;
    let malformed = |e: String| SiwxError::Malformed(e);
    Object::parse(&bytes, &HEADER_LIMITS).map_err(|e| malformed(e.to_string()))?;
    let message: SignIn = serde_json::from_slice(&bytes).map_err(|e| malformed(e.to_string()))?;
    if message.has_control_characters() {
        return Err(malformed("a member holds a control character".to_owned()));
    }
    Ok(message)
}

/// Holds a sign-in against what is expected, the signature last.
pub fn verify(message: &SignIn, expected: &Expected<'_>) -> Result<SignedIn, SiwxError> {
    let host = expected.origin.split_once("://").map(|(_, host)| host);
    if host != Some(message.domain.as_str()) {
        return Err(SiwxError::Domain);
    }
    let path = message.uri.strip_prefix(expected.origin);
    if !path.is_some_and(|p| p.is_empty() || p.starts_with(['/', '?', '#'])) {
        return Err(SiwxError::Uri);
    }
    let network: Network = message.chain_id.parse().map_err(|_| SiwxError::Chain)?;
    let eip191 = message.r#type == "eip191"
        && matches!(message.signature_scheme.as_deref(), None | Some("eip191"));
    if !expected.networks.contains(&network) || !eip191 || message.version != "1" {
        return Err(SiwxError::Chain);
    }
    let stale_after = check_times(message, expected.now)?;
    let address: Address = message.address.parse().map_err(|_| SiwxError::Signature)?;
    let text = message.text(network, address);
    let signature = message
        .signature
        .strip_prefix("0x")
        .and_then(|digits| hex::decode(digits).ok())
        .ok_or(SiwxError::Signature)?;
    let signer = super::signature::recover(eip191_hash_message(text), &signature);
    if signer != Ok(address) {
        return Err(SiwxError::Signature);
    }
    Ok(SignedIn {
        address,
        network,
        nonce: message.nonce.clone(),
        stale_after,
    })
}

/// Checks the time members and gives the time when the message is too old.
fn check_times(message: &SignIn, now: Timestamp) -> Result<Timestamp, SiwxError> {
    let read = |text: &str, name| text.parse().map_err(|_| SiwxError::Timestamp(name));
    let issued_at: Timestamp = read(&message.issued_at, "issuedAt")?;
    let age = now.duration_since(issued_at);
    if age > AGE_MAX {
        return Err(SiwxError::TooOld);
    }
    if age < SignedDuration::ZERO.saturating_sub(CLOCK_LEEWAY) {
        return Err(SiwxError::InFuture);
    }
    if let Some(text) = message.expiration_time.as_deref().filter(|t| !t.is_empty())
        && read(text, "expirationTime")? < now
    {
        return Err(SiwxError::Expired);
    }
    if let Some(text) = message.not_before.as_deref().filter(|t| !t.is_empty())
        && read(text, "notBefore")?.duration_since(now) > CLOCK_LEEWAY
    {
        return Err(SiwxError::NotYetValid);
    }
    issued_at
        .checked_add(AGE_MAX)
        .map_err(|_| SiwxError::Timestamp("issuedAt"))
}

#[cfg(test)]
mod tests;
