//! The x402 extension `payment-identifier`: the client's own name for one payment, which makes a
//! retry after a lost answer safe.

use super::Refusal;
use super::x402::Extensions;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::fmt;
use std::str::FromStr;

/// The extension's key in `extensions`.
pub const KEY: &str = "payment-identifier";

/// An identifier of 16 to 128 characters out of `[A-Za-z0-9_-]`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PaymentId(String);

impl PaymentId {
    /// The identifier for a text of any form, such as the header `Idempotency-Key`.
    pub fn of_any(text: &str) -> Self {
        Self(hex::encode(Sha256::digest(text)))
    }

    /// The identifier's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PaymentId {
    type Err = Refusal;

    /// Fails with [`Refusal::PaymentIdInvalid`].
    fn from_str(text: &str) -> Result<Self, Refusal> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
        if (16..=128).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Refusal::PaymentIdInvalid)
        }
    }
}

impl TryFrom<String> for PaymentId {
    type Error = Refusal;

    fn try_from(text: String) -> Result<Self, Refusal> {
        text.parse()
    }
}

impl From<PaymentId> for String {
    fn from(id: PaymentId) -> Self {
        id.0
    }
}

impl fmt::Display for PaymentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a challenge advertises; clients echo all of it, so the schema is kept short.
pub fn advert(required: bool) -> Value {
    json!({
        "info": { "required": required },
        "schema": {
            "type": "object",
            "properties": {
                "required": { "type": "boolean" },
                "id": { "type": "string", "minLength": 16, "maxLength": 128, "pattern": "^[a-zA-Z0-9_-]+$" }
            },
            "required": ["required"]
        }
    })
}

/// The identifier in a payment's echoed extensions; fails when it is there but not of the form.
pub fn extract(extensions: &Extensions) -> Result<Option<PaymentId>, Refusal> {
    let id = extensions
        .get(KEY)
        .and_then(|extension| extension.get("info"))
        .and_then(|info| info.get("id"));
    match id {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => text.parse().map(Some),
        Some(_) => Err(Refusal::PaymentIdInvalid),
    }
}

/// Adds an identifier to an advertised extension, as a client does before it pays.
pub fn echo_with_id(advertised: &Value, id: &PaymentId) -> Value {
    let mut echoed = advertised.clone();
    if let Some(info) = echoed.get_mut("info").and_then(Value::as_object_mut) {
        info.insert("id".to_owned(), Value::from(id.as_str()));
    }
    echoed
}
