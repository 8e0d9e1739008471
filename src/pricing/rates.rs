use super::{CacheReadPrice, PriceRow, PriceTier, TokenClass};
use crate::money::Rate;

/// The rate of every token class for one call, after its tier has been applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rates {
    /// The rate of prompt tokens without cache.
    pub uncached: Rate,
    /// The rate of cached prompt tokens: never above `uncached`, so a hit cannot cost the payer.
    pub cache_read: Rate,
    /// The rate of short-lived cache writes.
    pub cache_write_5m: Rate,
    /// The rate of longer-lived cache writes.
    pub cache_write_1h: Rate,
    /// The rate of visible output.
    pub output: Rate,
    /// The rate of reasoning.
    pub reasoning: Rate,
    /// The fee of the call.
    pub request: Rate,
    /// Whether the row states the cache read price.
    pub cache_read_priced: bool,
    /// Whether the row states the short-lived write price.
    pub cache_write_5m_priced: bool,
    /// Whether the row states the longer-lived write price.
    pub cache_write_1h_priced: bool,
}

impl PriceRow {
    /// The rates of a call whose prompt tokens, cached or not, add up to `prompt_tokens`.
    pub fn rates_at(&self, prompt_tokens: u64) -> Rates {
        let reached = |t: &&PriceTier| prompt_tokens > t.above_prompt_tokens;
        let tiers = || self.tiers.iter().rev().filter(reached);
        let prompt = tiers().find_map(|t| t.prompt).unwrap_or(self.prompt);
        let output = tiers()
            .find_map(|t| t.completion)
            .unwrap_or(self.completion);
        let cache_read = tiers()
            .find_map(|t| t.cache_read)
            .unwrap_or(self.cache_read);
        let write_5m = tiers()
            .find_map(|t| t.cache_write_5m)
            .or(self.cache_write_5m);
        let write_1h = tiers()
            .find_map(|t| t.cache_write_1h)
            .or(self.cache_write_1h);
        let reasoning = tiers().find_map(|t| t.reasoning).or(self.reasoning);
        Rates {
            uncached: prompt,
            cache_read: match cache_read {
                CacheReadPrice::Known(rate) => rate.min(prompt),
                CacheReadPrice::SameAsPrompt | CacheReadPrice::Unknown => prompt,
            },
            cache_write_5m: write_5m.unwrap_or(prompt),
            cache_write_1h: write_1h.unwrap_or(prompt),
            output,
            reasoning: reasoning.unwrap_or(output),
            request: self.request.unwrap_or(Rate::FREE),
            cache_read_priced: cache_read != CacheReadPrice::Unknown,
            cache_write_5m_priced: write_5m.is_some(),
            cache_write_1h_priced: write_1h.is_some(),
        }
    }

    /// Every set of rates that a prompt of at most `prompt_tokens_max` tokens can meet.
    pub fn rates_up_to(&self, prompt_tokens_max: u64) -> impl Iterator<Item = Rates> {
        let thresholds = self.tiers.iter().map(|t| t.above_prompt_tokens);
        let reachable = thresholds.filter(move |above| *above < prompt_tokens_max);
        // The rates change only just above a threshold, so one look there sees every set.
        std::iter::once(0)
            .chain(reachable.map(|above| above.saturating_add(1)))
            .map(|prompt_tokens| self.rates_at(prompt_tokens))
    }
}

impl Rates {
    /// The rate of one token of `class`.
    pub const fn of(&self, class: TokenClass) -> Rate {
        match class {
            TokenClass::Uncached => self.uncached,
            TokenClass::CacheRead => self.cache_read,
            TokenClass::CacheWrite5m => self.cache_write_5m,
            TokenClass::CacheWrite1h => self.cache_write_1h,
            TokenClass::Output => self.output,
            TokenClass::Reasoning => self.reasoning,
            TokenClass::Request => self.request,
        }
    }

    /// The most that a prompt token of any class costs; a read never costs more than a miss.
    pub fn dearest_prompt(&self) -> Rate {
        self.uncached
            .max(self.cache_write_5m)
            .max(self.cache_write_1h)
    }

    /// The most that an output token of any class costs.
    pub fn dearest_output(&self) -> Rate {
        self.output.max(self.reasoning)
    }
}
