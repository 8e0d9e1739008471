use super::v1::{BodyV1, PaymentRequiredV1};
use crate::json::Object;
use crate::money::Units;
use crate::protocol::header::{self, HEADER_LIMITS};
use crate::protocol::{HeaderError, Network, Refusal};
use alloy::primitives::Address;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Extensions by key, each `{info, schema}` (x402 v2 §5.1.2, `extensions`).
pub type Extensions = BTreeMap<String, Value>;

/// What is paid for (x402 v2 §5.1.2, `ResourceInfo`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourceInfo {
    /// The absolute URL.
    pub url: String,
    /// What it is, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The media type of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mime_type: Option<String>,
    /// The service's name: at most 32 printable ASCII characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_name: Option<String>,
}

/// One offer (x402 v2 §5.1.2, `PaymentRequirements`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Requirements {
    /// How to pay, such as `exact`.
    pub scheme: String,
    /// The chain.
    pub network: Network,
    /// The amount in the asset's atomic units.
    pub amount: Units,
    /// The token contract.
    #[serde(serialize_with = "checksummed")]
    pub asset: Address,
    /// Who is paid.
    #[serde(serialize_with = "checksummed")]
    pub pay_to: Address,
    /// How many seconds a payment stays valid.
    pub max_timeout_seconds: u64,
    /// What the scheme needs besides: for `exact` the token's EIP-712 `name` and `version`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extra: Option<Map<String, Value>>,
}

impl Requirements {
    /// The text member `key` of `extra`.
    pub fn extra_text(&self, key: &str) -> Option<&str> {
        self.extra.as_ref()?.get(key)?.as_str()
    }
}

/// The content of the 402 header (x402 v2 §5.1, `PaymentRequired`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PaymentRequired {
    /// Always 2.
    pub x402_version: u8,
    /// Why payment is asked for (again).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What is paid for.
    pub resource: ResourceInfo,
    /// The offers, the server's favourite first; never empty.
    pub accepts: Vec<Requirements>,
    /// Advertised extensions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extensions: Option<Extensions>,
}

impl PaymentRequired {
    /// The value of the header `PAYMENT-REQUIRED`; fails when it would be too long.
    pub fn to_header(&self) -> Result<String, HeaderError> {
        header::encode(self)
    }

    /// Reads the header `PAYMENT-REQUIRED`, as a client does.
    pub fn from_header(value: &str) -> Result<Self, Refusal> {
        read_json(value)
    }

    /// The version 1 body with those offers that every version 1 client can read, if any.
    pub fn to_v1(&self) -> Option<PaymentRequiredV1> {
        PaymentRequiredV1::of(self)
    }

    /// The 402's body, with what else is said in it.
    pub fn to_body(&self, more: Map<String, Value>) -> BodyV1 {
        BodyV1 {
            required: self.to_v1(),
            more,
        }
    }
}

/// The content of the header `PAYMENT-SIGNATURE` as our own client writes it (x402 v2 §5.2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PaymentPayload {
    /// Always 2.
    pub x402_version: u8,
    /// What is paid for, echoed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<ResourceInfo>,
    /// The chosen offer, echoed.
    pub accepted: Value,
    /// The scheme's own object.
    pub payload: Value,
    /// The advertised extensions, echoed and added to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extensions: Option<Extensions>,
}

impl PaymentPayload {
    /// The value of the header `PAYMENT-SIGNATURE`; fails when it would be too long.
    pub fn to_header(&self) -> Result<String, HeaderError> {
        header::encode(self)
    }
}

/// The content of the header on a paid answer (x402 v2 §5.3, `SettlementResponse`).
///
/// A failed settlement is a 402 with this and without `PAYMENT-REQUIRED`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SettleResponse {
    /// Whether the payment was taken.
    pub success: bool,
    /// Why not: [`Refusal::reason`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_reason: Option<String>,
    /// Why not, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_message: Option<String>,
    /// Who paid.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        serialize_with = "checksummed_opt"
    )]
    pub payer: Option<Address>,
    /// The transaction hash, or `""`.
    pub transaction: String,
    /// The chain: CAIP-2 text in version 2, a name in version 1.
    pub network: String,
    /// The amount settled, in atomic units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<Units>,
    /// Extensions' answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extensions: Option<Extensions>,
    /// The scheme's own answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extra: Option<Map<String, Value>>,
}

impl SettleResponse {
    /// The value of the header `PAYMENT-RESPONSE` or `X-PAYMENT-RESPONSE`; fails when too long.
    pub fn to_header(&self) -> Result<String, HeaderError> {
        header::encode(self)
    }

    /// Reads either header, as a client does.
    pub fn from_header(value: &str) -> Result<Self, Refusal> {
        read_json(value)
    }
}

fn read_json<T: serde::de::DeserializeOwned>(value: &str) -> Result<T, Refusal> {
    let bytes = header::decode(value)?;
    let malformed = |e: String| Refusal::Malformed(e);
    Object::parse(&bytes, &HEADER_LIMITS).map_err(|e| malformed(e.to_string()))?;
    serde_json::from_slice(&bytes).map_err(|e| malformed(e.to_string()))
}

/// Writes an address with its EIP-55 checksum, which some clients insist on.
pub(super) fn checksummed<S: serde::Serializer>(
    address: &Address,
    s: S,
) -> Result<S::Ok, S::Error> {
    s.collect_str(address)
}

#[expect(clippy::ref_option, reason = "serde passes the field by reference")]
fn checksummed_opt<S: serde::Serializer>(
    address: &Option<Address>,
    s: S,
) -> Result<S::Ok, S::Error> {
    match address {
        Some(address) => checksummed(address, s),
        None => s.serialize_none(),
    }
}
