use crate::money::Rate;
use crate::pricing::{CacheReadPrice, PriceRow};
use serde_json::{Map, Value};

/// A row's prices by OpenRouter's names, in US dollars a token as decimal text. Its overrides apply above
/// so many prompt tokens, as a row's tiers do.
pub(super) fn pricing(row: &PriceRow) -> Value {
    let mut base = Prices::default();
    base.set("prompt", Some(row.prompt));
    base.set("completion", Some(row.completion));
    base.cache_read(Some(row.cache_read), row.prompt);
    base.set("input_cache_write", row.cache_write_5m);
    base.set("input_cache_write_1h", row.cache_write_1h);
    base.set("internal_reasoning", row.reasoning);
    base.set("request", row.request);
    let overrides = row.tiers.iter().map(|tier| {
        let mut prices = Prices::default();
        let above = Value::from(tier.above_prompt_tokens);
        prices.0.insert("min_prompt_tokens".to_owned(), above);
        prices.set("prompt", tier.prompt);
        prices.set("completion", tier.completion);
        prices.cache_read(tier.cache_read, tier.prompt.unwrap_or(row.prompt));
        prices.set("input_cache_write", tier.cache_write_5m);
        prices.set("input_cache_write_1h", tier.cache_write_1h);
        prices.set("internal_reasoning", tier.reasoning);
        Value::Object(prices.0)
    });
    let overrides: Vec<Value> = overrides.collect();
    if !overrides.is_empty() {
        base.0.insert("overrides".to_owned(), overrides.into());
    }
    Value::Object(base.0)
}

#[derive(Default)]
struct Prices(Map<String, Value>);

impl Prices {
    fn set(&mut self, name: &str, rate: Option<Rate>) {
        if let Some(rate) = rate {
            let usd = rate.times(1).unwrap_or_default().usd_text();
            self.0.insert(name.to_owned(), usd.into());
        }
    }

    /// What is not known is not told.
    fn cache_read(&mut self, price: Option<CacheReadPrice>, prompt: Rate) {
        let rate = price.and_then(|price| match price {
            CacheReadPrice::Known(rate) => Some(rate),
            CacheReadPrice::SameAsPrompt => Some(prompt),
            CacheReadPrice::Unknown => None,
        });
        self.set("input_cache_read", rate);
    }
}
