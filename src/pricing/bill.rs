use super::{PriceRow, Rates};
use crate::metering::Usage;
use crate::money::{AmountError, Pusd, Rate};
use serde::{Deserialize, Serialize};

/// What is priced on its own line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenClass {
    /// Prompt tokens that no cache had a part in.
    Uncached,
    /// Prompt tokens read from the provider's cache.
    CacheRead,
    /// Prompt tokens written to the short-lived cache.
    #[serde(rename = "cache_write_5m")]
    CacheWrite5m,
    /// Prompt tokens written to the longer-lived cache.
    #[serde(rename = "cache_write_1h")]
    CacheWrite1h,
    /// Visible output tokens.
    Output,
    /// Reasoning tokens.
    Reasoning,
    /// The call itself: one "token" at the request fee.
    Request,
}

impl TokenClass {
    /// The class's name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Uncached => "uncached",
            Self::CacheRead => "cache_read",
            Self::CacheWrite5m => "cache_write_5m",
            Self::CacheWrite1h => "cache_write_1h",
            Self::Output => "output",
            Self::Reasoning => "reasoning",
            Self::Request => "request",
        }
    }
}

/// One line of a bill: `amount_pusd = tokens × rate_pusd`, exactly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// What is priced.
    pub class: TokenClass,
    /// How many of it.
    pub tokens: u64,
    /// The price of one, in pUSD.
    pub rate_pusd: Rate,
    /// The line's amount, in pUSD.
    pub amount_pusd: Pusd,
}

/// A price the row does not state, so that another one stood in for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BillFlag {
    /// Cached tokens were billed at the prompt rate: no cache read price is known.
    CacheReadUnpriced,
    /// Cache writes were billed at the prompt rate: no write price is known.
    CacheWriteUnpriced,
    /// The provider's own cost, which was billed, is more than the tokens cost by the row.
    CostAboveRow,
}

/// What one call costs. All amounts are in pUSD.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bill {
    /// The priced lines, in the order of [`TokenClass`]; the uncached line is always there.
    pub lines: Vec<Line>,
    /// What the lines would add up to had nothing been read from the cache.
    pub list: Pusd,
    /// `list` less the lines: what the cache saved the payer, before markup.
    pub cache_saving: Pusd,
    /// The sum of the lines, or what the provider says that they cost.
    pub subtotal: Pusd,
    /// The markup on `subtotal`, rounded up to one pUSD.
    pub markup: Pusd,
    /// `subtotal` + `markup`: what the payer owes.
    pub total: Pusd,
    /// Prices that had to be stood in for.
    pub flags: Vec<BillFlag>,
}

/// Prices what a call used; fails only when an amount does not fit.
pub fn bill(row: &PriceRow, usage: &Usage, markup_bps: u32) -> Result<Bill, AmountError> {
    let prompt_tokens = usage.prompt_total().ok_or(AmountError::Overflow)?;
    let rates = row.rates_at(prompt_tokens);
    let mut lines = Vec::new();
    let mut subtotal = Pusd::ZERO;
    for (class, tokens) in counts(usage, &rates) {
        if tokens == 0 && class != TokenClass::Uncached {
            continue;
        }
        let rate_pusd = rates.of(class);
        let amount_pusd = rate_pusd.times(tokens)?;
        subtotal = subtotal.plus(amount_pusd)?;
        lines.push(Line {
            class,
            tokens,
            rate_pusd,
            amount_pusd,
        });
    }
    let read = rates.cache_read.times(usage.cache_read)?;
    let missed = rates.uncached.times(usage.cache_read)?;
    // A read never costs more than a miss (see `Rates`), so this cannot become negative.
    let cache_saving = missed.minus(read)?;
    let markup = subtotal.bps_ceil(markup_bps)?;
    Ok(Bill {
        lines,
        list: subtotal.plus(cache_saving)?,
        cache_saving,
        subtotal,
        markup,
        total: subtotal.plus(markup)?,
        flags: flags(usage, &rates),
    })
}

fn counts(usage: &Usage, rates: &Rates) -> [(TokenClass, u64); 7] {
    [
        (TokenClass::Uncached, usage.uncached),
        (TokenClass::CacheRead, usage.cache_read),
        (TokenClass::CacheWrite5m, usage.cache_write_5m),
        (TokenClass::CacheWrite1h, usage.cache_write_1h),
        (TokenClass::Output, usage.output),
        (TokenClass::Reasoning, usage.reasoning),
        (TokenClass::Request, u64::from(rates.request != Rate::FREE)),
    ]
}

fn flags(usage: &Usage, rates: &Rates) -> Vec<BillFlag> {
    let mut flags = Vec::new();
    if usage.cache_read > 0 && !rates.cache_read_priced {
        flags.push(BillFlag::CacheReadUnpriced);
    }
    let unpriced_5m = usage.cache_write_5m > 0 && !rates.cache_write_5m_priced;
    let unpriced_1h = usage.cache_write_1h > 0 && !rates.cache_write_1h_priced;
    if unpriced_5m || unpriced_1h {
        flags.push(BillFlag::CacheWriteUnpriced);
    }
    flags
}
