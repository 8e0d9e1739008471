use super::{BATCH_SETTLEMENT, EXACT, Extensions};
use crate::json::{JsonError, Object};
use crate::protocol::eip3009::{self, Authorization};
use crate::protocol::header::{self, HEADER_LIMITS};
use crate::protocol::payment_identifier::{self, PaymentId};
use crate::protocol::{Network, Refusal, channel, permit2};
use alloy::primitives::{Address, B256, U256};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::str::FromStr;

/// The longest signature read, in bytes; a smart wallet's may be long, but not without end.
const SIGNATURE_BYTES_MAX: usize = 2 << 10;

/// The version of x402 that a payment speaks; its header decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Version {
    /// `X-PAYMENT`.
    V1,
    /// `PAYMENT-SIGNATURE`.
    V2,
}

impl Version {
    /// The wire's `x402Version`.
    pub const fn number(self) -> u64 {
        match self {
            Self::V1 => 1,
            Self::V2 => 2,
        }
    }
}

/// A payment as it came in, decoded but not yet checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// Which header it came in.
    pub version: Version,
    /// The scheme.
    pub scheme: String,
    /// The chain.
    pub network: Network,
    /// The offer as the client echoed it; version 1 has none.
    pub accepted: Option<Value>,
    /// What was signed, by the scheme and its transfer method.
    pub payload: Payload,
    /// The client's name for this payment.
    pub payment_id: Option<PaymentId>,
    /// The extensions as the client echoed them.
    pub extensions: Extensions,
}

/// What a payment signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// `exact` by EIP-3009, in both versions.
    Eip3009(eip3009::Signed),
    /// `exact` by Permit2, and `upto`; version 2 only.
    Permit2(Box<permit2::Signed>),
    /// `batch-settlement`: a deposit, a voucher, or the wish for a refund; version 2 only.
    Channel(Box<channel::Payload>),
}

/// Reads the payment header of `version`: strict base64, bounded JSON, no key twice.
pub fn decode_payment(version: Version, header_value: &str) -> Result<Credential, Refusal> {
    let bytes = header::decode(header_value)?;
    let top = object(&bytes)?;
    if top.get::<u64>("x402Version").map_err(malformed)? != Some(version.number()) {
        return Err(Refusal::Version);
    }
    let accepted: Option<Value> = match version {
        Version::V1 => None,
        Version::V2 => {
            object(require(&top, "accepted")?.as_bytes())?;
            top.get("accepted").map_err(malformed)?
        }
    };
    let (scheme, network) = match &accepted {
        None => (text(&top, "scheme")?, text(&top, "network")?),
        Some(accepted) => (member(accepted, "scheme")?, member(accepted, "network")?),
    };
    let network = match version {
        Version::V1 => Network::from_v1_name(&network),
        Version::V2 => network.parse().ok(),
    }
    .ok_or(Refusal::Network)?;
    let payload = object(require(&top, "payload")?.as_bytes())?;
    let payload = match (scheme.as_str(), version) {
        (EXACT, _) if payload.raw("permit2Authorization").is_none() => {
            Payload::Eip3009(exact_payload(&payload)?)
        }
        (EXACT | permit2::UPTO, Version::V2) => {
            Payload::Permit2(Box::new(permit2::parse_payload(&payload)?))
        }
        (BATCH_SETTLEMENT, Version::V2) => {
            Payload::Channel(Box::new(channel::parse_payload(&payload)?))
        }
        (EXACT, Version::V1) => return Err(Refusal::UnsupportedPayload),
        _ => {
            return Err(Refusal::UnsupportedScheme(
                scheme.chars().take(64).collect(),
            ));
        }
    };
    let extensions: Extensions = top
        .get("extensions")
        .map_err(malformed)?
        .unwrap_or_default();
    let payment_id = payment_identifier::extract(&extensions)?;
    Ok(Credential {
        version,
        scheme,
        network,
        accepted,
        payload,
        payment_id,
        extensions,
    })
}

/// Reads the `payload` of `exact` by EIP-3009 (x402 scheme_exact_evm, both versions).
fn exact_payload(payload: &Object<'_>) -> Result<eip3009::Signed, Refusal> {
    let Some(raw) = payload.raw("authorization").filter(|raw| *raw != "null") else {
        return Err(Refusal::UnsupportedPayload);
    };
    let authorization = object(raw.as_bytes())?;
    let address = |key| text(&authorization, key).and_then(|t| fixed::<Address>(key, &t, 42));
    let integer = |key| text(&authorization, key).and_then(|t| decimal(key, &t));
    let nonce = text(&authorization, "nonce")?;
    let authorization = Authorization {
        from: address("from")?,
        to: address("to")?,
        value: integer("value")?,
        valid_after: integer("validAfter")?,
        valid_before: integer("validBefore")?,
        nonce: fixed::<B256>("nonce", &nonce, 66)?,
    };
    let signature = text(payload, "signature")?;
    let signature = signature
        .strip_prefix("0x")
        .and_then(|digits| hex::decode(digits).ok())
        .filter(|bytes| bytes.len() <= SIGNATURE_BYTES_MAX)
        .ok_or_else(|| wrong("signature"))?;
    Ok(eip3009::Signed {
        authorization,
        signature,
    })
}

fn object(bytes: &[u8]) -> Result<Object<'_>, Refusal> {
    Object::parse(bytes, &HEADER_LIMITS).map_err(malformed)
}

fn require<'a>(object: &Object<'a>, key: &str) -> Result<&'a str, Refusal> {
    object.raw(key).ok_or_else(|| wrong(key))
}

fn text(object: &Object<'_>, key: &str) -> Result<String, Refusal> {
    object
        .get(key)
        .map_err(malformed)?
        .ok_or_else(|| wrong(key))
}

fn member(value: &Value, key: &str) -> Result<String, Refusal> {
    let text = value.get(key).and_then(Value::as_str);
    text.map(str::to_owned).ok_or_else(|| wrong(key))
}

/// Reads `0x` and hexadecimal digits, `len` characters in all.
fn fixed<T: FromStr>(key: &str, text: &str, len: usize) -> Result<T, Refusal> {
    if text.len() != len || !text.starts_with("0x") {
        return Err(wrong(key));
    }
    text.parse().map_err(|_| wrong(key))
}

/// Reads a decimal string of at most 78 digits that fits 256 bits.
fn decimal(key: &str, text: &str) -> Result<U256, Refusal> {
    let digits = (1..=78).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    if !digits {
        return Err(wrong(key));
    }
    U256::from_str_radix(text, 10).map_err(|_| wrong(key))
}

#[expect(clippy::needless_pass_by_value, reason = "it stands in map_err")]
fn malformed(error: JsonError) -> Refusal {
    Refusal::Malformed(error.to_string())
}

fn wrong(key: &str) -> Refusal {
    Refusal::Malformed(format!("{key:?} is missing or not of its form"))
}
