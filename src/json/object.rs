use super::scan::{self, Member};
use super::{JsonError, Limits};
use serde::de::{DeserializeOwned, IgnoredAny};
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Range;

/// An index of a JSON object's top-level members: their names and where their bytes lie.
#[derive(Debug, Clone)]
pub struct Object<'a> {
    text: &'a str,
    keys: Vec<Cow<'a, str>>,
    members: Vec<Member>,
}

impl<'a> Object<'a> {
    /// Indexes `bytes`, which must be exactly one JSON object with no top-level key twice.
    ///
    /// Deep input is refused before anything recursive could see it.
    pub fn parse(bytes: &'a [u8], limits: &Limits) -> Result<Self, JsonError> {
        if bytes.len() > limits.bytes_max {
            return Err(JsonError::TooLarge);
        }
        let text = std::str::from_utf8(bytes).map_err(|e| JsonError::Syntax {
            offset: e.valid_up_to(),
            reason: "not UTF-8".to_owned(),
        })?;
        let members = scan::members(bytes, limits.depth_max)?;
        serde_json::from_str::<IgnoredAny>(text).map_err(|e| syntax(text, &e))?;
        if !text.trim_start().starts_with('{') {
            return Err(JsonError::NotAnObject);
        }
        let mut seen = BTreeSet::new();
        let mut keys = Vec::with_capacity(members.len());
        for member in &members {
            let key = key(text, member)?;
            if !seen.insert(key.clone()) {
                return Err(JsonError::DuplicateKey(key.into_owned()));
            }
            keys.push(key);
        }
        Ok(Self {
            text,
            keys,
            members,
        })
    }

    /// The value's text exactly as it stands in the input.
    pub fn raw(&self, key: &str) -> Option<&'a str> {
        self.text.get(self.span(key)?)
    }

    /// Where the value lies, in bytes.
    pub fn span(&self, key: &str) -> Option<Range<usize>> {
        self.member(key).map(|m| m.value.clone())
    }

    /// The value as a `T`; an absent member and `null` both give `None`.
    pub fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, JsonError> {
        self.raw(key)
            .map_or(Ok(None), serde_json::from_str)
            .map_err(|_| JsonError::WrongType {
                key: key.to_owned(),
            })
    }

    /// The names of the members, in the order they stand.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(AsRef::as_ref)
    }

    /// The text that was indexed.
    pub fn text(&self) -> &'a str {
        self.text
    }

    pub(super) fn members(&self) -> impl Iterator<Item = (&str, &Member)> {
        self.keys().zip(&self.members)
    }

    fn member(&self, key: &str) -> Option<&Member> {
        self.members().find_map(|(k, m)| (k == key).then_some(m))
    }
}

/// A member's name; only a name with escapes is copied.
fn key<'a>(text: &'a str, member: &Member) -> Result<Cow<'a, str>, JsonError> {
    let literal = text.get(member.key.clone()).unwrap_or_default();
    if !literal.contains('\\') {
        return Ok(Cow::Borrowed(literal.trim_matches('"')));
    }
    serde_json::from_str(literal)
        .map(Cow::Owned)
        .map_err(|_| JsonError::Syntax {
            offset: member.key.start,
            reason: "the key is not Unicode text".to_owned(),
        })
}

/// Turns serde_json's line and column (in bytes) into an offset.
fn syntax(text: &str, error: &serde_json::Error) -> JsonError {
    let line_start = text
        .split_inclusive('\n')
        .take(error.line().saturating_sub(1))
        .fold(0usize, |sum, line| sum.saturating_add(line.len()));
    JsonError::Syntax {
        offset: line_start.saturating_add(error.column().saturating_sub(1)),
        reason: "unexpected text".to_owned(),
    }
}
