use super::{CacheReadPrice, PriceRow, PriceTier};
use crate::money::{Pusd, Rate};
use serde::{Deserialize, Serialize};

/// A price row as people write it in TOML: decimal text in US dollars per million tokens.
///
/// ```toml
/// [price]
/// prompt = "0.28"
/// completion = "0.40"
/// cache_read = "0.028"        # or "same": the provider gives no discount
/// cache_write_5m = "0.35"
/// request = "0.001"           # US dollars per call
/// [[price.tier]]
/// above_prompt_tokens = 272000
/// prompt = "0.56"
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PriceText {
    /// Prompt tokens; required.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt: Option<DecimalText>,
    /// Output tokens; required.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completion: Option<DecimalText>,
    /// Prompt tokens read from the cache, or `same`; absent: unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_read: Option<DecimalText>,
    /// Prompt tokens written to the short-lived cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_write_5m: Option<DecimalText>,
    /// Prompt tokens written to the longer-lived cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_write_1h: Option<DecimalText>,
    /// Reasoning tokens; absent: as `completion`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<DecimalText>,
    /// US dollars per call (not per million).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<DecimalText>,
    /// Long-context prices, in ascending order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tier: Vec<TierText>,
}

/// One long-context tier of a [`PriceText`]; absent prices stay as they are below it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TierText {
    /// The tier applies to calls with strictly more prompt tokens than this; required.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub above_prompt_tokens: Option<i64>,
    /// See [`PriceText::prompt`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt: Option<DecimalText>,
    /// See [`PriceText::completion`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completion: Option<DecimalText>,
    /// See [`PriceText::cache_read`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_read: Option<DecimalText>,
    /// See [`PriceText::cache_write_5m`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_write_5m: Option<DecimalText>,
    /// See [`PriceText::cache_write_1h`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_write_1h: Option<DecimalText>,
    /// See [`PriceText::reasoning`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<DecimalText>,
}

/// A value where decimal text belongs; anything else is let through so that all mistakes are told at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum DecimalText {
    /// Text, still to be read as a decimal number.
    Text(String),
    /// A bare number or whatever else: a mistake, kept to be named, because a float has already lost digits.
    Unquoted(serde_json::Value),
}

impl PriceText {
    /// The text form of a row, which reads back as the same row.
    pub fn of(row: &PriceRow) -> Self {
        Self {
            prompt: Some(per_million(row.prompt)),
            completion: Some(per_million(row.completion)),
            cache_read: cache_read_text(row.cache_read),
            cache_write_5m: row.cache_write_5m.map(per_million),
            cache_write_1h: row.cache_write_1h.map(per_million),
            reasoning: row.reasoning.map(per_million),
            request: row
                .request
                .map(|r| DecimalText::Text(Pusd::from_pico(r.pico().into()).usd_text())),
            tier: row.tiers.iter().map(TierText::of).collect(),
        }
    }
}

impl TierText {
    fn of(tier: &PriceTier) -> Self {
        Self {
            above_prompt_tokens: i64::try_from(tier.above_prompt_tokens).ok(),
            prompt: tier.prompt.map(per_million),
            completion: tier.completion.map(per_million),
            cache_read: tier.cache_read.and_then(cache_read_text),
            cache_write_5m: tier.cache_write_5m.map(per_million),
            cache_write_1h: tier.cache_write_1h.map(per_million),
            reasoning: tier.reasoning.map(per_million),
        }
    }
}

/// What `cache_read` says when the provider gives no discount.
pub(super) const SAME: &str = "same";

fn cache_read_text(price: CacheReadPrice) -> Option<DecimalText> {
    match price {
        CacheReadPrice::Known(rate) => Some(per_million(rate)),
        CacheReadPrice::SameAsPrompt => Some(DecimalText::Text(SAME.to_owned())),
        CacheReadPrice::Unknown => None,
    }
}

fn per_million(rate: Rate) -> DecimalText {
    // A u64 times 10⁶ always fits a u128.
    let pico = u128::from(rate.pico()).saturating_mul(1_000_000);
    DecimalText::Text(Pusd::from_pico(pico).usd_text())
}
