//! The members of a payment as the wire writes them: addresses and hashes as hexadecimal, integers
//! as decimal text, everything of a bounded length.

use super::Refusal;
use super::header::HEADER_LIMITS;
use crate::json::{JsonError, Object};
use alloy::primitives::{Address, U256};
use std::borrow::Cow;
use std::str::FromStr;

/// The longest signature read, in bytes; a smart wallet's may be long, but not without end.
const SIGNATURE_BYTES_MAX: usize = 2 << 10;

/// The member `key`, an object itself.
pub(super) fn object<'a>(parent: &Object<'a>, key: &str) -> Result<Object<'a>, Refusal> {
    let raw = parent.raw(key).ok_or_else(|| wrong(key))?;
    Object::of(raw, &HEADER_LIMITS).map_err(malformed)
}

/// The member `key`, a text.
pub(super) fn text<'a>(object: &Object<'a>, key: &str) -> Result<Cow<'a, str>, Refusal> {
    object
        .text_of(key)
        .map_err(malformed)?
        .ok_or_else(|| wrong(key))
}

/// The member `key`, an address in any case of letters.
pub(super) fn address(object: &Object<'_>, key: &str) -> Result<Address, Refusal> {
    fixed(&text(object, key)?, 42).ok_or_else(|| wrong(key))
}

/// The member `key`, an integer of 256 bits in decimal text.
pub(super) fn integer(object: &Object<'_>, key: &str) -> Result<U256, Refusal> {
    decimal(&text(object, key)?).ok_or_else(|| wrong(key))
}

/// The member `signature`, of any length up to a bound.
pub(super) fn signature(object: &Object<'_>) -> Result<Vec<u8>, Refusal> {
    let key = "signature";
    bytes(&text(object, key)?, SIGNATURE_BYTES_MAX).ok_or_else(|| wrong(key))
}

/// Reads `0x` and hexadecimal digits, `len` characters in all.
pub(super) fn fixed<T: FromStr>(text: &str, len: usize) -> Option<T> {
    let of_form = text.len() == len && text.starts_with("0x");
    of_form.then(|| text.parse().ok()).flatten()
}

/// Reads a decimal text of at most 78 digits that fits 256 bits.
pub(super) fn decimal(text: &str) -> Option<U256> {
    let digits = (1..=78).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    digits
        .then(|| U256::from_str_radix(text, 10).ok())
        .flatten()
}

/// Reads `0x` and the hexadecimal digits of at most `max` bytes.
pub(super) fn bytes(text: &str, max: usize) -> Option<Vec<u8>> {
    let digits = text.strip_prefix("0x")?;
    let within = digits.len().div_ceil(2) <= max;
    within.then(|| hex::decode(digits).ok()).flatten()
}

/// Whether the text is a version of an extension's schema: numbers with dots between them.
pub(super) fn is_version(text: &str) -> bool {
    let number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    text.len() <= 32 && text.split('.').all(number)
}

#[expect(clippy::needless_pass_by_value, reason = "it stands in map_err")]
pub(super) fn malformed(error: JsonError) -> Refusal {
    Refusal::Malformed(error.to_string())
}

/// The refusal of a member that is missing or not of its form.
pub(super) fn wrong(key: &str) -> Refusal {
    Refusal::Malformed(format!("{key:?} is missing or not of its form"))
}
