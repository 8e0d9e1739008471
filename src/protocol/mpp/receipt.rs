use super::request;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What the header `Payment-Receipt` of a paid answer says (draft-ietf-httpauth-payment §5.3).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Receipt {
    /// Always `success`: there are no receipts of failures.
    pub status: String,
    /// The method that was paid by.
    pub method: String,
    /// When (RFC 3339).
    pub timestamp: String,
    /// The method's own name for the payment: a transaction's hash, where there is one.
    pub reference: String,
    /// The server's own name for what was bought.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// Whatever else there is to say; every kit keeps it.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

impl Receipt {
    /// The header's value.
    pub fn to_header(&self) -> Option<String> {
        let text = serde_json::to_string(self).ok()?;
        Some(request::encode_bytes(text))
    }

    /// Reads the header, as a client does; `None` for what is no receipt of a success.
    pub fn from_header(value: &str) -> Option<Self> {
        let text = request::decode(value)?;
        let receipt: Self = serde_json::from_str(&text).ok()?;
        (receipt.status == "success").then_some(receipt)
    }
}
