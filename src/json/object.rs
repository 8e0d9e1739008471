use super::scan::{Outline, Part, outline};
use super::{JsonError, Limits};
use serde::de::DeserializeOwned;
use std::borrow::Cow;
use std::ops::Range;

/// An index of a JSON object's top-level members: their names and where their bytes lie.
#[derive(Debug, Clone)]
pub struct Object<'a> {
    text: &'a str,
    members: Vec<Member<'a>>,
}

/// One member: its name, and where it lies in bytes.
#[derive(Debug, Clone)]
pub(super) struct Member<'a> {
    pub(super) name: Cow<'a, str>,
    /// The name's string literal, with its quotes.
    pub(super) key: Range<usize>,
    /// The value, without surrounding white space.
    pub(super) value: Range<usize>,
}

/// Where the top-level members of a text lie, kept without the text.
#[derive(Debug, Clone, Default)]
pub struct Index(Vec<Member<'static>>);

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
        Self::of(text, limits)
    }

    /// As [`Self::parse`], of a text.
    pub fn of(text: &'a str, limits: &Limits) -> Result<Self, JsonError> {
        if text.len() > limits.bytes_max {
            return Err(JsonError::TooLarge);
        }
        let Outline::Object(parts) = outline(text.as_bytes(), limits.depth_max)? else {
            return Err(JsonError::NotAnObject);
        };
        let members: Result<Vec<_>, _> = parts.into_iter().map(|part| member(text, part)).collect();
        let members = members?;
        match repeated(&members) {
            Some(name) => Err(JsonError::DuplicateKey(name.to_owned())),
            None => Ok(Self { text, members }),
        }
    }

    /// As it was indexed before; `text` must be that same text.
    pub fn again(text: &'a str, index: &'a Index) -> Self {
        let members = index.0.iter().map(|member| Member {
            name: Cow::Borrowed(member.name.as_ref()),
            key: member.key.clone(),
            value: member.value.clone(),
        });
        Self {
            text,
            members: members.collect(),
        }
    }

    /// The index, to be kept without the text.
    pub fn index(&self) -> Index {
        let members = self.members.iter().map(|member| Member {
            name: Cow::Owned(member.name.as_ref().to_owned()),
            key: member.key.clone(),
            value: member.value.clone(),
        });
        Index(members.collect())
    }

    /// The value's text exactly as it stands in the input.
    pub fn raw(&self, key: &str) -> Option<&'a str> {
        self.text.get(self.span(key)?)
    }

    /// Where the value lies, in bytes.
    pub fn span(&self, key: &str) -> Option<Range<usize>> {
        let member = self.members.iter().find(|member| member.name == key)?;
        Some(member.value.clone())
    }

    /// The value as a `T`; an absent member and `null` both give `None`.
    pub fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, JsonError> {
        self.raw(key)
            .map_or(Ok(None), serde_json::from_str)
            .map_err(|_| wrong_type(key))
    }

    /// The value as a text; an absent member and `null` both give `None`. Only a text with escapes is
    /// copied.
    pub fn text_of(&self, key: &str) -> Result<Option<Cow<'a, str>>, JsonError> {
        match self.raw(key) {
            None | Some("null") => Ok(None),
            Some(literal) => unquoted(literal).map(Some).ok_or_else(|| wrong_type(key)),
        }
    }

    /// The names of the members, in the order they stand.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.members.iter().map(|member| member.name.as_ref())
    }

    /// The text that was indexed.
    pub fn text(&self) -> &'a str {
        self.text
    }

    pub(super) fn members(&self) -> impl Iterator<Item = &Member<'a>> {
        self.members.iter()
    }
}

/// The texts of an array's items, in the order they stand.
pub fn items<'a>(text: &'a str, limits: &Limits) -> Result<Vec<&'a str>, JsonError> {
    if text.len() > limits.bytes_max {
        return Err(JsonError::TooLarge);
    }
    let Outline::Array(parts) = outline(text.as_bytes(), limits.depth_max)? else {
        return Err(JsonError::NotAnArray);
    };
    let items = parts.into_iter().filter_map(|part| text.get(part.value));
    Ok(items.collect())
}

fn member(text: &str, part: Part) -> Result<Member<'_>, JsonError> {
    let literal = text.get(part.key.clone()).unwrap_or_default();
    let name = unquoted(literal).ok_or_else(|| JsonError::Syntax {
        offset: part.key.start,
        reason: "the key is not Unicode text".to_owned(),
    })?;
    Ok(Member {
        name,
        key: part.key,
        value: part.value,
    })
}

/// The text that a JSON string literal stands for; `None` for anything else, a lone surrogate among
/// it. Only a text with escapes is copied.
pub fn unquoted(literal: &str) -> Option<Cow<'_, str>> {
    if memchr::memchr(b'\\', literal.as_bytes()).is_none() {
        let inner = literal.strip_prefix('"')?.strip_suffix('"')?;
        return Some(Cow::Borrowed(inner));
    }
    serde_json::from_str(literal).map(Cow::Owned).ok()
}

/// A name that two members have.
fn repeated<'m>(members: &'m [Member<'_>]) -> Option<&'m str> {
    let mut names: Vec<&str> = members.iter().map(|member| member.name.as_ref()).collect();
    names.sort_unstable();
    names.windows(2).find_map(|pair| match pair {
        [a, b] if a == b => Some(*a),
        _ => None,
    })
}

fn wrong_type(key: &str) -> JsonError {
    JsonError::WrongType {
        key: key.to_owned(),
    }
}
