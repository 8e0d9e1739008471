use super::v2::{PaymentRequired, Requirements, checksummed};
use super::{EXACT, ResourceInfo};
use crate::money::Units;
use crate::protocol::header;
use crate::protocol::{HeaderError, Network};
use alloy::primitives::Address;
use serde::Serialize;
use serde_json::{Map, Value, json};

/// The JSON body of a 402 for version 1 clients (x402 v1 §5.1).
///
/// Their parser is strict and all or nothing: one entry it does not know spoils the whole list,
/// and a `null` where a member may be absent does too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PaymentRequiredV1 {
    /// Always 1.
    pub x402_version: u8,
    /// Why payment is asked for (again).
    pub error: String,
    /// The offers that every version 1 client can read; never empty.
    pub accepts: Vec<RequirementsV1>,
}

/// The body of a 402: what version 1 clients read, with what is said to everybody else, which they skip.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BodyV1 {
    /// The offers, if version 1 clients can read any.
    #[serde(flatten)]
    pub required: Option<PaymentRequiredV1>,
    /// The rest.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// One offer in version 1 (x402 v1 §5.1.2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RequirementsV1 {
    /// Always `exact`.
    pub scheme: String,
    /// The chain's version 1 name.
    pub network: String,
    /// The amount in the asset's atomic units.
    pub max_amount_required: Units,
    /// The absolute URL of what is paid for.
    pub resource: String,
    /// What it is, for people.
    pub description: String,
    /// The media type of the answer.
    pub mime_type: String,
    /// Who is paid.
    #[serde(serialize_with = "checksummed")]
    pub pay_to: Address,
    /// How many seconds a payment stays valid.
    pub max_timeout_seconds: u64,
    /// The token contract.
    #[serde(serialize_with = "checksummed")]
    pub asset: Address,
    /// The token's EIP-712 `name` and `version`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extra: Option<Map<String, Value>>,
}

impl PaymentRequiredV1 {
    /// The `exact` EIP-3009 offers on chains the legacy clients know, or `None` without any.
    pub(super) fn of(required: &PaymentRequired) -> Option<Self> {
        let accepts: Vec<_> = required
            .accepts
            .iter()
            .filter_map(|offer| RequirementsV1::of(offer, &required.resource))
            .collect();
        (!accepts.is_empty()).then(|| Self {
            x402_version: 1,
            error: required
                .error
                .clone()
                .unwrap_or_else(|| "Payment required".to_owned()),
            accepts,
        })
    }
}

impl RequirementsV1 {
    fn of(offer: &Requirements, resource: &ResourceInfo) -> Option<Self> {
        let by_eip3009 = matches!(
            offer.extra_text("assetTransferMethod"),
            None | Some("eip3009")
        );
        let listed = offer.scheme == EXACT
            && by_eip3009
            && offer.network.is_known_to_legacy_clients()
            && resource.url.contains("://");
        listed.then(|| Self {
            scheme: offer.scheme.clone(),
            network: offer.network.v1_name().unwrap_or_default().to_owned(),
            max_amount_required: offer.amount,
            resource: resource.url.clone(),
            description: resource.description.clone().unwrap_or_default(),
            mime_type: resource
                .mime_type
                .clone()
                .unwrap_or_else(|| "application/json".to_owned()),
            pay_to: offer.pay_to,
            max_timeout_seconds: offer.max_timeout_seconds,
            asset: offer.asset,
            extra: offer.extra.clone(),
        })
    }
}

/// The value of the header `X-PAYMENT` for an `exact` payload; `None` when the chain has no
/// version 1 name.
pub fn payment_header_v1(network: Network, payload: &Value) -> Option<Result<String, HeaderError>> {
    let network = network.v1_name()?;
    Some(header::encode(&json!({
        "x402Version": 1, "scheme": EXACT, "network": network, "payload": payload,
    })))
}
