use crate::json::Limits;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

/// The longest header value read or written, in bytes; more is cut off by common intermediaries.
pub const HEADER_BYTES_MAX: usize = 8 << 10;

/// The bounds on JSON carried in a header.
pub(super) const HEADER_LIMITS: Limits = Limits {
    depth_max: 24,
    bytes_max: HEADER_BYTES_MAX,
};

/// Why a header value was not read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// The value is longer than [`HEADER_BYTES_MAX`].
    #[error("the header is longer than {HEADER_BYTES_MAX} bytes")]
    TooLarge,
    /// The value is not base64 of the standard alphabet with padding (base64url is not accepted).
    #[error("the header is not standard base64 with padding")]
    NotBase64,
    /// The content could not be written as JSON.
    #[error("the header's content is not JSON")]
    NotJson,
}

/// Decodes a header value: base64 of the standard alphabet, padded (x402 v2 transport, HTTP).
pub(super) fn decode(value: &str) -> Result<Vec<u8>, HeaderError> {
    if value.len() > HEADER_BYTES_MAX {
        return Err(HeaderError::TooLarge);
    }
    STANDARD
        .decode(value.trim_ascii())
        .map_err(|_| HeaderError::NotBase64)
}

/// Encodes `content` as a header value; fails when it would be longer than [`HEADER_BYTES_MAX`].
pub(super) fn encode(content: &impl Serialize) -> Result<String, HeaderError> {
    encode_json(&json(content)?)
}

/// The same of content that was printed before.
pub(super) fn encode_json(json: &str) -> Result<String, HeaderError> {
    let value = STANDARD.encode(json);
    if value.len() > HEADER_BYTES_MAX {
        return Err(HeaderError::TooLarge);
    }
    Ok(value)
}

/// Prints `content`.
pub(super) fn json(content: &impl Serialize) -> Result<String, HeaderError> {
    serde_json::to_string(content).map_err(|_| HeaderError::NotJson)
}
