use super::text::SAME;
use super::{CacheReadPrice, DecimalText, PriceRow, PriceText, PriceTier, TierText};
use crate::money::{DecimalError, Rate};
use serde_json::Value;

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
        let mut reader = Reader {
            mistakes: Vec::new(),
            prefix: String::new(),
        };
        let prompt = reader.required("prompt", self.prompt.as_ref());
        let completion = reader.required("completion", self.completion.as_ref());
        let mut row = PriceRow::new(prompt, completion);
        row.cache_read = reader
            .cache_read(self.cache_read.as_ref())
            .unwrap_or(CacheReadPrice::Unknown);
        row.cache_write_5m = reader.rate("cache_write_5m", self.cache_write_5m.as_ref());
        row.cache_write_1h = reader.rate("cache_write_1h", self.cache_write_1h.as_ref());
        row.reasoning = reader.rate("reasoning", self.reasoning.as_ref());
        row.request = reader.read(
            "request",
            self.request.as_ref(),
            Rate::from_usd_per_token_text,
        );
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
            self.wrong(
                field,
                "is required: a missing price is unpriced, never zero".to_owned(),
            );
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
            DecimalText::Unquoted(value) => {
                let message = match value {
                    Value::Number(_) => {
                        format!("write it as text, \"{value}\": an unquoted number loses digits")
                    }
                    _ => format!("write a decimal number as text, such as \"0.28\", not {value}"),
                };
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
