//! The fields of one row of the map.

use super::{ImportError, bad_number, number};
use crate::money::Rate;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// A row's fields by name, each still the text it is in the file.
pub(super) struct Fields<'a>(BTreeMap<String, &'a RawValue>);

impl<'a> Fields<'a> {
    pub(super) fn parse(raw: &'a RawValue) -> Result<Self, ImportError> {
        serde_json::from_str(raw.get())
            .map(Self)
            .map_err(|e| ImportError::NotAMap(e.to_string()))
    }

    /// The field's value, unless it is absent or `null`.
    pub(super) fn raw(&self, name: &str) -> Option<&'a RawValue> {
        self.0.get(name).copied().filter(|raw| raw.get() != "null")
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    pub(super) fn text(&self, name: &str) -> Option<String> {
        serde_json::from_str(self.raw(name)?.get()).ok()
    }

    pub(super) fn rate(&self, name: &str) -> Result<Option<Rate>, ImportError> {
        let rate = self.raw(name).map(|raw| number::rate(raw.get()));
        rate.transpose().map_err(|e| bad_number(name, &e))
    }

    pub(super) fn tokens(&self, name: &str) -> Result<Option<u64>, ImportError> {
        let Some(raw) = self.raw(name) else {
            return Ok(None);
        };
        match whole(raw.get()) {
            Some(n) if n > 0 => Ok(Some(n)),
            _ => Err(ImportError::BadNumber {
                field: name.to_owned(),
                reason: format!("{:?} is not a count of tokens", raw.get()),
            }),
        }
    }
}

/// Reads `32000` and `32000.0`.
pub(super) fn whole(text: &str) -> Option<u64> {
    text.strip_suffix(".0").unwrap_or(text).parse().ok()
}

/// The prices that a row, a tier or a window states.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Stated {
    pub(super) prompt: Option<Rate>,
    pub(super) completion: Option<Rate>,
    pub(super) cache_read: Option<Rate>,
    pub(super) cache_write_5m: Option<Rate>,
    pub(super) cache_write_1h: Option<Rate>,
    pub(super) reasoning: Option<Rate>,
}

const WRITE: &str = "cache_creation_input_token_cost";

impl Stated {
    /// Reads the six prices whose names end in `suffix` (such as `_above_200k_tokens`).
    pub(super) fn read(
        fields: &Fields<'_>,
        suffix: &str,
        notes: &mut Vec<String>,
    ) -> Result<Self, ImportError> {
        let rate = |name: &str| fields.rate(&format!("{name}{suffix}"));
        let mut write = |name: &str| -> Result<Option<Rate>, ImportError> {
            let stated = rate(name)?;
            if stated == Some(Rate::FREE) {
                notes.push(format!(
                    "{name}{suffix} is 0: there is no surcharge, so writes are billed as the prompt"
                ));
            }
            Ok(stated.filter(|rate| *rate != Rate::FREE))
        };
        let cache_write_5m = write(WRITE)?;
        let one_hour = write(&format!("{WRITE}_above_1hr"))?;
        // A row has two lifetimes: a provider's longer one is the second, whatever its length.
        let twelve_hours = write(&format!("{WRITE}_above_12hr"))?;
        Ok(Self {
            prompt: rate("input_cost_per_token")?,
            completion: rate("output_cost_per_token")?,
            cache_read: rate("cache_read_input_token_cost")?,
            cache_write_5m,
            cache_write_1h: one_hour.max(twelve_hours),
            reasoning: rate("output_cost_per_reasoning_token")?,
        })
    }
}
