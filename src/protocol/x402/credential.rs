use super::{BATCH_SETTLEMENT, EXACT, Extensions};
use crate::json::Object;
use crate::protocol::eip3009::{self, Authorization};
use crate::protocol::fields::{self, malformed, text, wrong};
use crate::protocol::header::{self, HEADER_LIMITS};
use crate::protocol::payment_identifier::{self, PaymentId};
use crate::protocol::{Network, Refusal, channel, mpp, permit2};
use serde::{Deserialize, Serialize};
use serde_json::Value;

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
    /// The challenge that was paid, when it came by MPP, which asks for the same transfer in other words.
    pub challenge: Option<Box<mpp::Challenge>>,
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
    /// A transfer on Tempo, which only MPP asks for.
    Tempo(Box<mpp::tempo::Signed>),
    /// A channel on Tempo, which only MPP asks for.
    Session(Box<mpp::session::Signed>),
}

/// Reads the payment header of `version`: strict base64, bounded JSON, no key twice.
pub fn decode_payment(version: Version, header_value: &str) -> Result<Credential, Refusal> {
    let bytes = header::decode(header_value)?;
    let top = Object::parse(&bytes, &HEADER_LIMITS).map_err(malformed)?;
    if top.get::<u64>("x402Version").map_err(malformed)? != Some(version.number()) {
        return Err(Refusal::Version);
    }
    let accepted: Option<Value> = match version {
        Version::V1 => None,
        Version::V2 => {
            fields::object(&top, "accepted")?;
            top.get("accepted").map_err(malformed)?
        }
    };
    let (scheme, network) = match &accepted {
        None => (
            text(&top, "scheme")?.into_owned(),
            text(&top, "network")?.into_owned(),
        ),
        Some(accepted) => (member(accepted, "scheme")?, member(accepted, "network")?),
    };
    let network = match version {
        Version::V1 => Network::from_v1_name(&network),
        Version::V2 => network.parse().ok(),
    }
    .ok_or(Refusal::Network)?;
    let payload = fields::object(&top, "payload")?;
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
        challenge: None,
    })
}

/// Reads the `payload` of `exact` by EIP-3009 (x402 scheme_exact_evm, both versions).
fn exact_payload(payload: &Object<'_>) -> Result<eip3009::Signed, Refusal> {
    if payload.raw("authorization").is_none_or(|raw| raw == "null") {
        return Err(Refusal::UnsupportedPayload);
    }
    let authorization = fields::object(payload, "authorization")?;
    let nonce = text(&authorization, "nonce")?;
    let authorization = Authorization {
        from: fields::address(&authorization, "from")?,
        to: fields::address(&authorization, "to")?,
        value: fields::integer(&authorization, "value")?,
        valid_after: fields::integer(&authorization, "validAfter")?,
        valid_before: fields::integer(&authorization, "validBefore")?,
        nonce: fields::fixed(&nonce, 66).ok_or_else(|| wrong("nonce"))?,
    };
    Ok(eip3009::Signed {
        authorization,
        signature: fields::signature(payload)?,
    })
}

fn member(value: &Value, key: &str) -> Result<String, Refusal> {
    let text = value.get(key).and_then(Value::as_str);
    text.map(str::to_owned).ok_or_else(|| wrong(key))
}
