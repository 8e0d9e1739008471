use crate::money::Rate;
use crate::pricing::litellm::rate;
use crate::pricing::{CacheReadPrice, PriceRow, PriceTier, lint};
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// The most that is believed of a token or a call: 10,000 US dollars per million.
const RATE_MAX: Rate = Rate::from_pico(10_000_000_000);

/// Members by their names, each as its text.
pub(super) type Pricing = BTreeMap<String, Box<RawValue>>;

/// What is wrong with a member of a pricing.
pub(super) struct Wrong {
    pub(super) field: &'static str,
    pub(super) why: String,
}

/// What a pricing says of text; what stands as nothing is absent, but for prompt and completion.
#[derive(Debug, Clone, Copy, Default)]
struct Prices {
    prompt: Option<Rate>,
    completion: Option<Rate>,
    cache_read: Option<Rate>,
    cache_write_5m: Option<Rate>,
    cache_write_1h: Option<Rate>,
    reasoning: Option<Rate>,
    request: Option<Rate>,
}

/// The row of one endpoint.
pub(super) fn row(pricing: &Pricing) -> Result<PriceRow, Wrong> {
    let mut base = Prices::read(pricing)?;
    let mut tiers: BTreeMap<u64, Prices> = BTreeMap::new();
    let mut by_the_hour = false;
    for over in overrides(pricing)? {
        let prices = Prices::read(&over)?;
        by_the_hour |= over.contains_key("utc_start") || over.contains_key("utc_end");
        match over.get("min_prompt_tokens").map(|raw| raw.get()) {
            None | Some("null" | "0") => base = base.dearer(prices),
            Some(text) => {
                let above = text
                    .parse()
                    .map_err(|_| wrong("overrides", format!("begin at {text}")))?;
                let tier = tiers.entry(above).or_default();
                *tier = tier.dearer(prices);
            }
        }
    }
    if by_the_hour {
        // What holds at some hours only counts at its dearest at all of them.
        for tier in tiers.values_mut() {
            *tier = tier.dearer(base);
        }
    }
    let stated = |rate: Option<Rate>, field| {
        rate.ok_or_else(|| wrong(field, "is missing: it is unpriced, not free".to_owned()))
    };
    let (prompt, completion) = (
        stated(base.prompt, "prompt")?,
        stated(base.completion, "completion")?,
    );
    if prompt == Rate::FREE {
        let why =
            "is nothing; what is to be given away needs a price of its own in the configuration";
        return Err(wrong("prompt", why.to_owned()));
    }
    let row = PriceRow {
        cache_read: read_price(base.cache_read).unwrap_or(CacheReadPrice::Unknown),
        cache_write_1h: base.cache_write_1h,
        cache_write_5m: base.cache_write_5m,
        completion,
        prompt,
        reasoning: base.reasoning,
        request: base.request,
        tiers: tiers
            .into_iter()
            .map(|(above_prompt_tokens, tier)| PriceTier {
                above_prompt_tokens,
                cache_read: read_price(tier.cache_read),
                cache_write_1h: tier.cache_write_1h,
                cache_write_5m: tier.cache_write_5m,
                completion: tier.completion,
                prompt: tier.prompt,
                reasoning: tier.reasoning,
            })
            .collect(),
    };
    match lint(&row).iter().find(|remark| remark.refuses()) {
        Some(refused) => Err(wrong("input_cache_read", format!("cannot be: {refused}"))),
        None => Ok(row),
    }
}

fn read_price(rate: Option<Rate>) -> Option<CacheReadPrice> {
    rate.map(CacheReadPrice::Known)
}

fn overrides(pricing: &Pricing) -> Result<Vec<Pricing>, Wrong> {
    match pricing.get("overrides").map(|raw| raw.get()) {
        None | Some("null") => Ok(Vec::new()),
        Some(text) => serde_json::from_str(text)
            .map_err(|error| wrong("overrides", format!("cannot be read: {error}"))),
    }
}

impl Prices {
    fn read(pricing: &Pricing) -> Result<Self, Wrong> {
        let stated = |field| price(pricing, field);
        // Nothing stands for what is not sold apart, or is not known.
        let sold = |field| Ok(stated(field)?.filter(|rate| *rate != Rate::FREE));
        Ok(Self {
            prompt: stated("prompt")?,
            completion: stated("completion")?,
            cache_read: sold("input_cache_read")?,
            cache_write_5m: sold("input_cache_write")?,
            cache_write_1h: sold("input_cache_write_1h")?,
            reasoning: sold("internal_reasoning")?,
            request: sold("request")?,
        })
    }

    /// The dearer price of each.
    fn dearer(self, other: Self) -> Self {
        // An absent price is below every other.
        Self {
            prompt: self.prompt.max(other.prompt),
            completion: self.completion.max(other.completion),
            cache_read: self.cache_read.max(other.cache_read),
            cache_write_5m: self.cache_write_5m.max(other.cache_write_5m),
            cache_write_1h: self.cache_write_1h.max(other.cache_write_1h),
            reasoning: self.reasoning.max(other.reasoning),
            request: self.request.max(other.request),
        }
    }
}

/// US dollars per token or call, as text or as a number.
fn price(pricing: &Pricing, field: &'static str) -> Result<Option<Rate>, Wrong> {
    let text = match pricing.get(field).map(|raw| raw.get()) {
        None | Some("null") => return Ok(None),
        Some(text) => text.trim_matches('"'),
    };
    match rate(text) {
        Ok(rate) if rate <= RATE_MAX => Ok(Some(rate)),
        Ok(_) => Err(wrong(field, format!("is {text}: more than anybody asks"))),
        Err(error) => Err(wrong(field, format!("is no price: {error}"))),
    }
}

const fn wrong(field: &'static str, why: String) -> Wrong {
    Wrong { field, why }
}
