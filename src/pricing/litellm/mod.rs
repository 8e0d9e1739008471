//! Price rows from LiteLLM's `model_prices_and_context_window.json` (a pinned copy and its licence
//! lie in `prices/`).
//!
//! Numbers are read from their text, `2.8e-08`, never through a float. A price that is absent stays
//! absent. A row that says something a [`PriceRow`] cannot say is refused by the
//! name of the field, never approximated.

mod fields;
mod number;
mod tiers;

use super::{CacheReadPrice, PriceRow};
use crate::money::{DecimalError, Rate};
use fields::{Fields, Stated};
pub(in crate::pricing) use number::rate;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// A row of the map, in our terms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportedRow {
    /// The prices.
    pub row: PriceRow,
    /// The longest prompt in tokens, when the map states one.
    pub context_tokens: Option<u64>,
    /// The longest output in tokens, when the map states one.
    pub max_output_tokens: Option<u64>,
    /// What a reader should know about how the row was read, a sentence each.
    pub notes: Vec<String>,
}

/// Why a row of the map was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// The file is not a JSON object of rows.
    #[error("not a LiteLLM price map: {0}")]
    NotAMap(String),
    /// The map has no such key.
    #[error("the price map has no row {0:?}")]
    NoSuchRow(String),
    /// The row is for something other than chat.
    #[error("the row's mode is {0:?}, not \"chat\"")]
    NotChat(String),
    /// A price that every row must have is missing: the model is unpriced, not free.
    #[error("{0} is missing: the model is unpriced")]
    Unpriced(&'static str),
    /// A number was not read.
    #[error("{field}: {reason}")]
    BadNumber {
        /// The field it stands in.
        field: String,
        /// Why its text is not a price or a count.
        reason: String,
    },
    /// The field prices something that a row cannot express.
    #[error("{field}: {reason}")]
    NotExpressible {
        /// The field.
        field: String,
        /// What about it.
        reason: &'static str,
    },
}

/// The map, indexed by key; rows are read one by one as they are asked for.
#[derive(Debug, Clone)]
pub struct PriceMap<'a>(BTreeMap<String, &'a RawValue>);

impl<'a> PriceMap<'a> {
    /// Indexes the file's text; fails when it is not a JSON object.
    pub fn parse(json: &'a str) -> Result<Self, ImportError> {
        serde_json::from_str(json)
            .map(Self)
            .map_err(|e| ImportError::NotAMap(e.to_string()))
    }

    /// The keys, sorted.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Reads the row of `key`.
    pub fn import(&self, key: &str) -> Result<ImportedRow, ImportError> {
        let no_row = || ImportError::NoSuchRow(key.to_owned());
        let fields = Fields::parse(self.0.get(key).ok_or_else(no_row)?)?;
        match fields.text("mode").as_deref() {
            Some("chat") => {}
            mode => return Err(ImportError::NotChat(mode.unwrap_or("none").to_owned())),
        }
        refuse_other_prices(key, &fields)?;
        let mut notes = Vec::new();
        let mut base = Stated::read(&fields, "", &mut notes)?;
        off_peak(&fields, &mut base, &mut notes)?;
        let mut tiers = tiers::by_suffix(&fields, &mut notes)?;
        if let Some(list) = fields.raw("tiered_pricing") {
            if !tiers.is_empty() {
                let reason = "stands beside prices by threshold, and which one wins is not said";
                return Err(not_expressible("tiered_pricing", reason));
            }
            tiers = tiers::by_range(list, &mut base, &mut notes)?;
        }
        if fields.names().any(|name| name.starts_with("regional_")) {
            notes.push("regional endpoints of this model cost more than this row".to_owned());
        }
        let prompt = base
            .prompt
            .ok_or(ImportError::Unpriced("input_cost_per_token"))?;
        let completion = base
            .completion
            .ok_or(ImportError::Unpriced("output_cost_per_token"))?;
        if completion == Rate::FREE && prompt != Rate::FREE {
            let reason = "free output beside a priced prompt: the row of an embedding, or of a \
                          router that bills another model on top";
            return Err(not_expressible("output_cost_per_token", reason));
        }
        Ok(ImportedRow {
            row: PriceRow {
                cache_read: base
                    .cache_read
                    .map_or(CacheReadPrice::Unknown, CacheReadPrice::Known),
                cache_write_1h: base.cache_write_1h,
                cache_write_5m: base.cache_write_5m,
                reasoning: base.reasoning,
                request: fields
                    .rate("input_cost_per_request")?
                    .filter(|r| *r != Rate::FREE),
                tiers,
                ..PriceRow::new(prompt, completion)
            },
            context_tokens: fields.tokens("max_input_tokens")?,
            max_output_tokens: fields.tokens("max_output_tokens")?,
            notes,
        })
    }
}

/// The pinned copy of the map that is built in; its notice lies beside it in `prices/`.
pub const PINNED: &str = include_str!("../../../prices/litellm.json");

/// Reads one row of the pinned copy, which is indexed when it is first asked for.
pub fn pinned(key: &str) -> Result<ImportedRow, ImportError> {
    static MAP: LazyLock<Result<PriceMap<'static>, ImportError>> =
        LazyLock::new(|| PriceMap::parse(PINNED));
    MAP.as_ref().map_err(Clone::clone)?.import(key)
}

/// Reads one row of the map; to read many, index it once with [`PriceMap::parse`].
pub fn import(json: &str, key: &str) -> Result<ImportedRow, ImportError> {
    PriceMap::parse(json)?.import(key)
}

/// Refuses rows whose ordinary calls cost more than tokens. (Prices of things a request has to ask
/// for, such as images, are left out: such requests are refused.)
fn refuse_other_prices(key: &str, fields: &Fields<'_>) -> Result<(), ImportError> {
    let always = [
        (
            "citation_cost_per_token",
            "citations are billed on top of tokens",
        ),
        ("cost_per_second", "time is billed instead of tokens"),
        ("input_cost_per_second", "time is billed instead of tokens"),
    ];
    for (field, reason) in always {
        if fields.raw(field).is_some() {
            return Err(not_expressible(field, reason));
        }
    }
    let searches = fields.text("litellm_provider").as_deref() == Some("perplexity")
        || key.contains("search-preview")
        || key.contains("search-api");
    let field = "search_context_cost_per_query";
    if searches && fields.raw(field).is_some() {
        return Err(not_expressible(
            field,
            "every call of this model searches, at a price of its own",
        ));
    }
    for (field, output) in [
        ("output_cost_per_image_token", "\"image\""),
        ("output_cost_per_video_token", "\"video\""),
    ] {
        let modalities = fields.raw("supported_output_modalities");
        if fields.raw(field).is_some() && modalities.is_some_and(|m| m.get().contains(output)) {
            return Err(not_expressible(
                field,
                "this model answers with more than text",
            ));
        }
    }
    Ok(())
}

/// Keeps the dearer of the peak and the off-peak price: a quote does not know when it is used.
fn off_peak(
    fields: &Fields<'_>,
    base: &mut Stated,
    notes: &mut Vec<String>,
) -> Result<(), ImportError> {
    let Some(raw) = fields.raw("off_peak_pricing") else {
        return Ok(());
    };
    let off_peak = Stated::read(&Fields::parse(raw)?, "", notes)?;
    for (field, other) in [
        (&mut base.prompt, off_peak.prompt),
        (&mut base.completion, off_peak.completion),
        (&mut base.cache_read, off_peak.cache_read),
        (&mut base.cache_write_5m, off_peak.cache_write_5m),
        (&mut base.cache_write_1h, off_peak.cache_write_1h),
        (&mut base.reasoning, off_peak.reasoning),
    ] {
        // Only a price that both state can be compared; one that the base lacks stays unknown.
        if let (Some(peak), Some(other)) = (field.as_mut(), other) {
            *peak = (*peak).max(other);
        }
    }
    notes.push("off-peak hours are cheaper: this row has the dearer price".to_owned());
    Ok(())
}

fn not_expressible(field: &str, reason: &'static str) -> ImportError {
    ImportError::NotExpressible {
        field: field.to_owned(),
        reason,
    }
}

fn bad_number(field: &str, error: &DecimalError) -> ImportError {
    ImportError::BadNumber {
        field: field.to_owned(),
        reason: error.to_string(),
    }
}
