use crate::json::{Limits, Object};
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// A usage object's limits: real ones nest 3 deep and take under 2 KiB.
const USAGE_LIMITS: Limits = Limits {
    depth_max: 16,
    bytes_max: 64 << 10,
};

/// A usage object with every leaf kept as its exact JSON text, so that no number passes a float.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Tree {
    /// An object's members; `null` members are left out.
    Object(BTreeMap<String, Tree>),
    /// The text of anything else.
    Leaf(String),
}

impl Tree {
    /// Reads an object; `None` when it is unreadable.
    pub(super) fn read(raw: &str) -> Option<Self> {
        let object = Object::parse(raw.as_bytes(), &USAGE_LIMITS).ok()?;
        let mut members = BTreeMap::new();
        for key in object.keys() {
            let value = object.raw(key)?;
            let child = match value {
                "null" => continue,
                _ if value.starts_with('{') => Self::read(value)?,
                _ => Self::Leaf(value.to_owned()),
            };
            members.insert(key.to_owned(), child);
        }
        Some(Self::Object(members))
    }

    /// The text of the leaf at a dotted path.
    pub(super) fn leaf(&self, path: &str) -> Option<&str> {
        let mut node = self;
        for step in path.split('.') {
            match node {
                Self::Object(members) => node = members.get(step)?,
                Self::Leaf(_) => return None,
            }
        }
        match node {
            Self::Leaf(text) => Some(text),
            Self::Object(_) => None,
        }
    }

    /// Takes in a later report: the larger of two counts, else the later value. Says whether a
    /// count went down.
    pub(super) fn merge(&mut self, later: Self) -> bool {
        match (self, later) {
            (Self::Object(old), Self::Object(new)) => {
                let mut decreased = false;
                for (key, value) in new {
                    match old.get_mut(&key) {
                        Some(present) => decreased |= present.merge(value),
                        None => {
                            old.insert(key, value);
                        }
                    }
                }
                decreased
            }
            (Self::Leaf(old), Self::Leaf(new)) => {
                let counts = old.parse::<u64>().ok().zip(new.parse::<u64>().ok());
                let decreased = counts.is_some_and(|(old, new)| new < old);
                if !decreased {
                    *old = new;
                }
                decreased
            }
            (place, new) => {
                *place = new;
                false
            }
        }
    }

    /// Compact JSON with sorted keys.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Leaf(text) => text.clone(),
            Self::Object(members) => {
                let members: Vec<String> = members
                    .iter()
                    .map(|(k, v)| format!("{}:{}", serde_json::Value::from(k.as_str()), v.text()))
                    .collect();
                format!("{{{}}}", members.join(","))
            }
        }
    }
}

/// The raw value at a dotted path below `object`, unless it is absent or `null`.
pub(super) fn locate<'a>(object: &Object<'a>, path: &str) -> Option<&'a str> {
    let mut steps = path.split('.');
    let mut raw = object.raw(steps.next()?)?;
    for step in steps {
        raw = if step == "0" {
            let items: Vec<&RawValue> = serde_json::from_str(raw).ok()?;
            items.first()?.get()
        } else {
            Object::parse(raw.as_bytes(), &Limits::default())
                .ok()?
                .raw(step)?
        };
    }
    (raw != "null").then_some(raw)
}
