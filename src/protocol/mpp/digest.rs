use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};

const PREFIX: &str = "sha-256=";

/// A body's SHA-256 as the parameter `digest` has it: what the kits write.
pub fn body_digest(sha256: &[u8; 32]) -> String {
    format!("{PREFIX}{}", STANDARD.encode(sha256))
}

/// Whether a digest is this: the kits' form, or that of RFC 9530 with colons around it.
pub fn is_digest_of(digest: &str, sha256: &[u8; 32]) -> bool {
    let value = digest.strip_prefix(PREFIX).map(|value| {
        let inner = value.strip_prefix(':').and_then(|v| v.strip_suffix(':'));
        inner.unwrap_or(value).trim_end_matches('=')
    });
    let bytes = value.and_then(|value| STANDARD_NO_PAD.decode(value).ok());
    bytes.is_some_and(|bytes| bytes == sha256)
}
