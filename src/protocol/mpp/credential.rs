use super::request::{self, LIMITS};
use super::syntax;
use super::{Challenge, Refused, SCHEME};
use crate::json::Object;
use serde::Serialize;
use serde_json::value::RawValue;

/// The longest header of the scheme that is read, in bytes.
pub(super) const BYTES_MAX: usize = 64 << 10;

/// A payment as it came in, decoded but not yet checked (draft-ietf-httpauth-payment §5.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// The challenge that it answers, echoed.
    pub challenge: Challenge,
    /// Who says to be paying, as a decentralised identifier.
    pub source: Option<String>,
    /// The method's own object, as JSON text.
    pub payload: String,
}

/// The credential in the values of `Authorization` and `Payment-Authorization`: what follows `Payment`
/// among the schemes there. Fails for more than one, because only one could be meant; the same one in
/// both headers is one.
pub fn find<'v>(values: impl IntoIterator<Item = &'v str>) -> Result<Option<&'v str>, Refused> {
    let mut found: Option<&str> = None;
    for value in values {
        for piece in syntax::pieces(value) {
            let credential = syntax::parameters_of(piece).trim();
            let credential = credential.trim_end_matches(',').trim_end();
            if found.is_some_and(|other| other != credential) {
                return Err(Refused::Twice);
            }
            found = Some(credential);
        }
    }
    Ok(found)
}

impl Credential {
    /// Reads what follows the scheme's name.
    pub fn read(text: &str) -> Result<Self, Refused> {
        let malformed = |what: &str| Refused::Malformed(what.to_owned());
        if text.len() > BYTES_MAX {
            return Err(malformed("it is too long"));
        }
        let bytes = request::decode_bytes(text)
            .ok_or_else(|| malformed("it is not base64url without padding"))?;
        let wrong = |error: crate::json::JsonError| Refused::Malformed(error.to_string());
        let top = Object::parse(&bytes, &LIMITS).map_err(wrong)?;
        let raw = |key| top.raw(key).ok_or_else(|| malformed(key));
        Object::of(raw("challenge")?, &LIMITS).map_err(wrong)?;
        let challenge: Challenge = top
            .get("challenge")
            .map_err(wrong)?
            .ok_or_else(|| malformed("challenge"))?;
        let formed = challenge.check_form();
        formed.map_err(|error| Refused::Malformed(error.to_string()))?;
        let payload = Object::of(raw("payload")?, &LIMITS).map_err(wrong)?;
        let source: Option<String> = top.get("source").map_err(wrong)?;
        Ok(Self {
            challenge,
            source,
            payload: payload.text().to_owned(),
        })
    }

    /// The value of the header `Authorization`, as a client writes it; `None` when the payload is no JSON.
    pub fn to_header(&self) -> Option<String> {
        let written = serde_json::to_string(&Wire {
            challenge: &self.challenge,
            source: self.source.as_deref(),
            payload: serde_json::from_str(&self.payload).ok()?,
        });
        let text = request::encode_bytes(written.ok()?);
        Some(format!("{SCHEME} {text}"))
    }
}

/// The credential's JSON.
#[derive(Serialize)]
struct Wire<'a> {
    challenge: &'a Challenge,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<&'a str>,
    payload: &'a RawValue,
}
