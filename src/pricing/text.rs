use super::{CacheReadPrice, PriceRow, PriceTier};
use crate::money::{DecimalError, Pusd, Rate};
use serde::de::{Deserializer, Visitor};
use serde::{Deserialize, Serialize};
use std::fmt;

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

/// A value where decimal text belongs; other scalars are kept so that all mistakes are told at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum DecimalText {
    /// Text, still to be read as a decimal number.
    Text(String),
    /// A bare number or truth value: a mistake, because a float has already lost digits.
    Unquoted(String),
}

/// One thing wrong with a [`PriceText`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct PriceMistake {
    /// Where, such as `prompt` or `tier[0].cache_read`.
    pub field: String,
    /// What is wrong there, on one line.
    pub message: String,
}

impl PriceText {
    /// Reads the row; fails with every mistake at once.
    pub fn parse(&self) -> Result<PriceRow, Vec<PriceMistake>> {
        let mut reader = Reader { mistakes: Vec::new(), prefix: String::new() };
        let prompt = reader.required("prompt", self.prompt.as_ref());
        let completion = reader.required("completion", self.completion.as_ref());
        let mut row = PriceRow::new(prompt, completion);
        row.cache_read = reader
            .cache_read(self.cache_read.as_ref())
            .unwrap_or(CacheReadPrice::Unknown);
        row.cache_write_5m = reader.rate("cache_write_5m", self.cache_write_5m.as_ref());
        row.cache_write_1h = reader.rate("cache_write_1h", self.cache_write_1h.as_ref());
        row.reasoning = reader.rate("reasoning", self.reasoning.as_ref());
        row.request = reader.read("request", self.request.as_ref(), Rate::from_usd_per_token_text);
        for (i, tier) in self.tier.iter().enumerate() {
            reader.prefix = format!("tier[{i}].");
            row.tiers.push(reader.tier(tier));
        }
        if reader.mistakes.is_empty() {
            Ok(row)
        } else {
            Err(reader.mistakes)
        }
    }

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

const SAME: &str = "same";

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

struct Reader {
    mistakes: Vec<PriceMistake>,
    prefix: String,
}

impl Reader {
    fn wrong(&mut self, field: &str, message: String) {
        let field = format!("{}{field}", self.prefix);
        self.mistakes.push(PriceMistake { field, message });
    }

    fn required(&mut self, field: &str, value: Option<&DecimalText>) -> Rate {
        if value.is_none() {
            self.wrong(field, "is required: a missing price is unpriced, never zero".to_owned());
        }
        self.rate(field, value).unwrap_or(Rate::FREE)
    }

    fn rate(&mut self, field: &str, value: Option<&DecimalText>) -> Option<Rate> {
        self.read(field, value, Rate::from_usd_per_million_text)
    }

    fn read(
        &mut self,
        field: &str,
        value: Option<&DecimalText>,
        parse: fn(&str) -> Result<Rate, DecimalError>,
    ) -> Option<Rate> {
        match value? {
            DecimalText::Text(text) => match parse(text) {
                Ok(rate) => return Some(rate),
                Err(error) => self.wrong(field, error.to_string()),
            },
            DecimalText::Unquoted(text) => {
                let message = format!("write it as text, \"{text}\": an unquoted number loses digits");
                self.wrong(field, message);
            }
        }
        None
    }

    fn cache_read(&mut self, value: Option<&DecimalText>) -> Option<CacheReadPrice> {
        if value == Some(&DecimalText::Text(SAME.to_owned())) {
            return Some(CacheReadPrice::SameAsPrompt);
        }
        self.rate("cache_read", value).map(CacheReadPrice::Known)
    }

    fn tier(&mut self, tier: &TierText) -> PriceTier {
        let above = tier.above_prompt_tokens.and_then(|n| u64::try_from(n).ok());
        if above.is_none_or(|n| n == 0) {
            let message = "is required: a whole number of tokens, at least 1".to_owned();
            self.wrong("above_prompt_tokens", message);
        }
        PriceTier {
            above_prompt_tokens: above.unwrap_or(u64::MAX),
            prompt: self.rate("prompt", tier.prompt.as_ref()),
            completion: self.rate("completion", tier.completion.as_ref()),
            cache_read: self.cache_read(tier.cache_read.as_ref()),
            cache_write_5m: self.rate("cache_write_5m", tier.cache_write_5m.as_ref()),
            cache_write_1h: self.rate("cache_write_1h", tier.cache_write_1h.as_ref()),
            reasoning: self.rate("reasoning", tier.reasoning.as_ref()),
        }
    }
}

impl<'de> Deserialize<'de> for DecimalText {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Scalar;

        impl Visitor<'_> for Scalar {
            type Value = DecimalText;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a decimal number written as text, such as \"0.28\"")
            }

            fn visit_str<E>(self, text: &str) -> Result<DecimalText, E> {
                Ok(DecimalText::Text(text.to_owned()))
            }

            fn visit_i64<E>(self, n: i64) -> Result<DecimalText, E> {
                Ok(DecimalText::Unquoted(n.to_string()))
            }

            fn visit_u64<E>(self, n: u64) -> Result<DecimalText, E> {
                Ok(DecimalText::Unquoted(n.to_string()))
            }

            fn visit_f64<E>(self, n: f64) -> Result<DecimalText, E> {
                Ok(DecimalText::Unquoted(n.to_string()))
            }

            fn visit_bool<E>(self, b: bool) -> Result<DecimalText, E> {
                Ok(DecimalText::Unquoted(b.to_string()))
            }
        }

        d.deserialize_any(Scalar)
    }
}
