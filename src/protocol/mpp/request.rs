//! JSON as challenges carry it: canonical, in base64url without padding.

use crate::json::{Limits, Object, canonical};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

/// The bounds on the JSON of challenges, credentials and receipts.
pub(super) const LIMITS: Limits = Limits {
    depth_max: 24,
    bytes_max: super::credential::BYTES_MAX,
};

/// Prints JSON. Its canonical text is that of RFC 8785 for what challenges are made of: names within
/// Unicode's basic plane, text, and whole numbers.
pub(super) fn encode(value: &Value) -> String {
    encode_bytes(canonical(value))
}

pub(super) fn encode_bytes(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Reads JSON that is an object, in which no name appears twice; `None` for anything else.
pub(super) fn decode(text: &str) -> Option<String> {
    let bytes = decode_bytes(text)?;
    Object::parse(&bytes, &LIMITS).ok()?;
    String::from_utf8(bytes).ok()
}

pub(super) fn decode_bytes(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}
