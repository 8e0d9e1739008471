//! The method `evm` with the intent `charge`: one transfer of a token by EIP-3009, signed for one
//! challenge (draft-evm-charge, credential type `authorization`).

use super::request::{self, LIMITS};
use super::{Challenge, Credential, Refused};
use crate::json::Object;
use crate::money::Units;
use crate::protocol::eip3009::{Authorization, Signed};
use crate::protocol::{Network, Refusal, fields};
use alloy::primitives::{Address, B256, U256, keccak256};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The method's name.
pub const METHOD: &str = "evm";
/// The intent's name.
pub const CHARGE: &str = "charge";

/// What a charge asks for. The kits take exactly these members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charge {
    /// The amount in the token's atomic units.
    pub amount: Units,
    /// The token contract.
    pub currency: Address,
    /// Who is paid.
    pub recipient: Address,
    /// The chain.
    pub network: Network,
    /// The token's decimal places.
    pub decimals: u8,
}

/// The request's JSON.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    amount: Units,
    currency: Address,
    recipient: Address,
    method_details: WireDetails,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireDetails {
    chain_id: u64,
    #[serde(default)]
    credential_types: Vec<String>,
    decimals: u8,
}

impl Charge {
    /// The parameter `request`.
    pub fn to_request(&self) -> String {
        request::encode(&json!({
            "amount": self.amount,
            "currency": self.currency.to_string(),
            "recipient": self.recipient.to_string(),
            "methodDetails": {
                "chainId": self.network.chain_id(),
                "credentialTypes": ["authorization"],
                "decimals": self.decimals,
            },
        }))
    }

    /// Reads the parameter `request`, as a client does; `None` for what cannot be paid by EIP-3009.
    pub fn from_request(text: &str) -> Option<Self> {
        let wire: Wire = serde_json::from_str(&request::decode(text)?).ok()?;
        let details = wire.method_details;
        let by_authorization = details
            .credential_types
            .iter()
            .any(|t| t == "authorization");
        by_authorization.then_some(Self {
            amount: wire.amount,
            currency: wire.currency,
            recipient: wire.recipient,
            network: Network::from_chain_id(details.chain_id),
            decimals: details.decimals,
        })
    }
}

/// The nonces that stand for a challenge: that of the specification, and that of the kits which hash an
/// array's JSON so that no identifier and realm can run into each other.
pub fn nonces(challenge: &Challenge) -> [B256; 2] {
    let Challenge { id, realm, .. } = challenge;
    [
        keccak256(format!("{id}{realm}")),
        keccak256(json!([id, realm]).to_string()),
    ]
}

/// Reads what was signed, and holds it against the challenge that is echoed: its nonce, its end and its
/// source. Terms and signature are judged where every payment by EIP-3009 is.
pub fn signed(credential: &Credential, charge: &Charge) -> Result<Signed, Refused> {
    let payload = payload(credential).map_err(Refused::of_payload)?;
    let authorization = &payload.authorization;
    let challenge = &credential.challenge;
    if !nonces(challenge).contains(&authorization.nonce) {
        return Err(Refused::Nonce);
    }
    let expires = challenge.expires.as_deref().and_then(unix_seconds);
    if expires.is_none_or(|expires| authorization.valid_before > U256::from(expires)) {
        return Err(Refused::Nonce);
    }
    let named = credential.source.as_deref();
    if named.is_some_and(|named| !is_source(named, charge.network, authorization.from)) {
        return Err(Refused::Source);
    }
    Ok(payload)
}

fn payload(credential: &Credential) -> Result<Signed, Refusal> {
    let object = Object::of(&credential.payload, &LIMITS).map_err(fields::malformed)?;
    if fields::text(&object, "type")? != "authorization" {
        return Err(fields::wrong("type"));
    }
    let nonce = fields::text(&object, "nonce")?;
    let authorization = Authorization {
        from: fields::address(&object, "from")?,
        to: fields::address(&object, "to")?,
        value: fields::integer(&object, "value")?,
        valid_after: fields::integer(&object, "validAfter")?,
        valid_before: fields::integer(&object, "validBefore")?,
        nonce: fields::fixed(&nonce, 66).ok_or_else(|| fields::wrong("nonce"))?,
    };
    let signature = fields::signature(&object)?;
    Ok(Signed {
        authorization,
        signature,
    })
}

/// The wire's `payload` of an authorization and its signature (client side).
pub fn payload_of(authorization: &Authorization, signature: &[u8]) -> Value {
    let mut payload = json!(authorization);
    if let Some(members) = payload.as_object_mut() {
        let signature = format!("0x{}", hex::encode(signature));
        members.insert("type".to_owned(), Value::from("authorization"));
        members.insert("signature".to_owned(), Value::from(signature));
    }
    payload
}

/// How a payer is named (did:pkh).
pub fn source(network: Network, payer: Address) -> String {
    format!("did:pkh:{network}:{payer}")
}

/// Whether a source names this payer.
pub(super) fn is_source(named: &str, network: Network, payer: Address) -> bool {
    named.eq_ignore_ascii_case(&source(network, payer))
}

/// The second that an RFC 3339 time falls in.
pub fn unix_seconds(text: &str) -> Option<u64> {
    let at: Timestamp = text.parse().ok()?;
    u64::try_from(at.as_second()).ok()
}
