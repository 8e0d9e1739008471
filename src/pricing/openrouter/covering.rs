use crate::money::Rate;
use crate::pricing::{CacheReadPrice, PriceRow, PriceTier, Rates};
use std::collections::BTreeSet;

/// A row that is nowhere below any of these: whatever a call uses, none of them makes it dearer. `None` of
/// none.
pub(super) fn covering(rows: &[PriceRow]) -> Option<PriceRow> {
    let base = Level::over(rows, 0)?;
    let tiers = rows.iter().flat_map(|row| &row.tiers);
    let thresholds: BTreeSet<u64> = tiers.map(|tier| tier.above_prompt_tokens).collect();
    let tier = |above_prompt_tokens: u64| {
        let level = Level::over(rows, above_prompt_tokens.saturating_add(1))?;
        Some(PriceTier {
            above_prompt_tokens,
            cache_read: Some(level.cache_read),
            cache_write_1h: level.cache_write_1h,
            cache_write_5m: level.cache_write_5m,
            completion: Some(level.output),
            prompt: Some(level.prompt),
            // Below it reasoning may have a price of its own.
            reasoning: Some(level.reasoning),
        })
    };
    Some(PriceRow {
        cache_read: base.cache_read,
        cache_write_1h: base.cache_write_1h,
        cache_write_5m: base.cache_write_5m,
        completion: base.output,
        prompt: base.prompt,
        reasoning: Some(base.reasoning).filter(|rate| *rate != base.output),
        request: Some(base.request).filter(|rate| *rate > Rate::FREE),
        tiers: thresholds.into_iter().filter_map(tier).collect(),
    })
}

/// The dearest of each class at one length of prompt.
struct Level {
    prompt: Rate,
    cache_read: CacheReadPrice,
    cache_write_5m: Option<Rate>,
    cache_write_1h: Option<Rate>,
    output: Rate,
    reasoning: Rate,
    request: Rate,
}

impl Level {
    fn over(rows: &[PriceRow], prompt_tokens: u64) -> Option<Self> {
        let rates: Vec<Rates> = rows.iter().map(|row| row.rates_at(prompt_tokens)).collect();
        let dearest = |of: fn(&Rates) -> Rate| rates.iter().map(of).max();
        let any = |of: fn(&Rates) -> bool| rates.iter().any(of);
        let reads = dearest(|rates| rates.cache_read)?;
        Some(Self {
            prompt: dearest(|rates| rates.uncached)?,
            // One of them may bill what it reads as prompt.
            cache_read: match any(|rates| !rates.cache_read_priced) {
                true => CacheReadPrice::Unknown,
                false => CacheReadPrice::Known(reads),
            },
            cache_write_5m: dearest(|rates| rates.cache_write_5m)
                .filter(|_| any(|rates| rates.cache_write_5m_priced)),
            cache_write_1h: dearest(|rates| rates.cache_write_1h)
                .filter(|_| any(|rates| rates.cache_write_1h_priced)),
            output: dearest(|rates| rates.output)?,
            reasoning: dearest(|rates| rates.reasoning)?,
            request: dearest(|rates| rates.request)?,
        })
    }
}
