use crate::money::{DecimalError, Rate};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};
use std::fmt::{self, Write};

/// What one model's tokens cost at one endpoint; its canonical JSON is what receipts hash.
///
/// There is no default row: a row that nobody priced would be a free one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriceRow {
    /// A prompt token read from the provider's cache.
    pub cache_read: CacheReadPrice,
    /// A prompt token written to the longer-lived cache (Anthropic: one hour).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write_1h: Option<Rate>,
    /// A prompt token written to the short-lived cache (Anthropic: five minutes).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write_5m: Option<Rate>,
    /// A token of visible output.
    pub completion: Rate,
    /// A prompt token that no cache had a part in.
    pub prompt: Rate,
    /// A token of hidden reasoning; absent: as `completion`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<Rate>,
    /// A fee for each call, in pUSD.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<Rate>,
    /// Long-context prices, in ascending order of their thresholds.
    #[serde(default)]
    pub tiers: Vec<PriceTier>,
}

/// Rates that replace the row's for a whole call whose prompt is longer than a threshold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriceTier {
    /// The tier applies when all prompt tokens together are strictly more than this.
    pub above_prompt_tokens: u64,
    /// Replaces the row's `cache_read`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_read: Option<CacheReadPrice>,
    /// Replaces the row's `cache_write_1h`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write_1h: Option<Rate>,
    /// Replaces the row's `cache_write_5m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write_5m: Option<Rate>,
    /// Replaces the row's `completion`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion: Option<Rate>,
    /// Replaces the row's `prompt`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<Rate>,
    /// Replaces the row's `reasoning`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<Rate>,
}

/// What a cached prompt token costs. On the wire: a rate, `"same_as_prompt"` or `"unknown"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheReadPrice {
    /// The provider states this price.
    Known(Rate),
    /// The provider gives no discount, and says so.
    SameAsPrompt,
    /// No price is stated: billed as the prompt and flagged on the bill.
    Unknown,
}

impl PriceRow {
    /// A row of the two prices that every row must have, with nothing known of caching.
    pub const fn new(prompt: Rate, completion: Rate) -> Self {
        Self {
            cache_read: CacheReadPrice::Unknown,
            cache_write_1h: None,
            cache_write_5m: None,
            completion,
            prompt,
            reasoning: None,
            request: None,
            tiers: Vec::new(),
        }
    }

    /// The row as compact JSON with sorted members: the text that [`Self::sha256`] is taken of.
    pub fn canonical_json(&self) -> String {
        let mut tiers = String::new();
        for tier in &self.tiers {
            let mut members = format!("{{\"above_prompt_tokens\":{}", tier.above_prompt_tokens);
            write_member(&mut members, "cache_read", tier.cache_read.as_ref());
            write_member(&mut members, "cache_write_1h", tier.cache_write_1h.as_ref());
            write_member(&mut members, "cache_write_5m", tier.cache_write_5m.as_ref());
            write_member(&mut members, "completion", tier.completion.as_ref());
            write_member(&mut members, "prompt", tier.prompt.as_ref());
            write_member(&mut members, "reasoning", tier.reasoning.as_ref());
            let comma = if tiers.is_empty() { "" } else { "," };
            tiers.push_str(&format!("{comma}{members}}}"));
        }
        let mut members = format!("{{\"cache_read\":\"{}\"", self.cache_read);
        write_member(&mut members, "cache_write_1h", self.cache_write_1h.as_ref());
        write_member(&mut members, "cache_write_5m", self.cache_write_5m.as_ref());
        write_member(&mut members, "completion", Some(&self.completion));
        write_member(&mut members, "prompt", Some(&self.prompt));
        write_member(&mut members, "reasoning", self.reasoning.as_ref());
        write_member(&mut members, "request", self.request.as_ref());
        format!("{members},\"tiers\":[{tiers}]}}")
    }

    /// Whether every price is stated, or follows from a stated one, as nothing.
    pub fn is_free(&self) -> bool {
        let free = |rate: Option<Rate>| rate.is_none_or(|rate| rate == Rate::FREE);
        let free_read = |price: CacheReadPrice| match price {
            CacheReadPrice::Known(rate) => rate == Rate::FREE,
            CacheReadPrice::SameAsPrompt | CacheReadPrice::Unknown => true,
        };
        let tier = |tier: &PriceTier| {
            let rates = [tier.prompt, tier.completion, tier.reasoning];
            let writes = [tier.cache_write_5m, tier.cache_write_1h];
            rates.into_iter().chain(writes).all(free) && tier.cache_read.is_none_or(free_read)
        };
        let rates = [Some(self.prompt), Some(self.completion), self.reasoning];
        let others = [self.cache_write_5m, self.cache_write_1h, self.request];
        rates.into_iter().chain(others).all(free)
            && free_read(self.cache_read)
            && self.tiers.iter().all(tier)
    }

    /// The row's id: the SHA-256 of its canonical JSON.
    pub fn sha256(&self) -> [u8; 32] {
        Sha256::digest(self.canonical_json().as_bytes()).into()
    }
}

/// Appends `,"name":"value"`; the values are digits or fixed words, so none needs escaping.
fn write_member(json: &mut String, name: &str, value: Option<&impl fmt::Display>) {
    if let Some(value) = value {
        // Writing to a String cannot fail.
        let _ = write!(json, ",\"{name}\":\"{value}\"");
    }
}

const SAME_AS_PROMPT: &str = "same_as_prompt";
const UNKNOWN: &str = "unknown";

impl fmt::Display for CacheReadPrice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(rate) => rate.fmt(f),
            Self::SameAsPrompt => f.write_str(SAME_AS_PROMPT),
            Self::Unknown => f.write_str(UNKNOWN),
        }
    }
}

impl Serialize for CacheReadPrice {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for CacheReadPrice {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        match std::borrow::Cow::<'de, str>::deserialize(d)?.as_ref() {
            SAME_AS_PROMPT => Ok(Self::SameAsPrompt),
            UNKNOWN => Ok(Self::Unknown),
            rate => rate
                .parse()
                .map(Self::Known)
                .map_err(|e: DecimalError| serde::de::Error::custom(e)),
        }
    }
}
