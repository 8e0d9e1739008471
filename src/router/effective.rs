//! What a call will really cost at an endpoint: its prompt read from the cache as far as that is warm
//! there, and the calls that probably follow. Whole numbers throughout; shares are in thousandths. Pure.

use crate::pricing::PriceRow;

/// A whole, in thousandths.
pub const WHOLE: u64 = 1000;

/// What is expected of a conversation from its next call on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outlook {
    /// Tokens of the next prompt.
    pub prompt: u64,
    /// How much of it was in the conversation's last prompt, in tokens.
    pub seen: u64,
    /// Tokens of the answer.
    pub output: u64,
    /// What share of a prompt stands in the prompt after it.
    pub repeat: u64,
    /// How many calls will probably follow.
    pub following: u64,
}

/// What is known of an endpoint's cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Warmth {
    /// Whether it has the conversation's last prompt.
    pub warm: bool,
    /// What share of the tokens that it could have cached it did read from its cache.
    pub quality: u64,
}

/// What is expected of the next call alone, in 10⁻¹² USD: its cost, and the tokens read from a cache.
pub fn next_call(row: &PriceRow, outlook: &Outlook, warmth: Warmth) -> (u128, u64) {
    let seen = if warmth.warm { outlook.seen } else { 0 };
    let read = share(seen.min(outlook.prompt), warmth.quality);
    (cost(row, outlook, read), read)
}

/// What the conversation will probably cost from its next call on: the same prompt again and again, the
/// first time as warm as it is now, later as warm as the endpoint keeps it.
pub fn conversation(row: &PriceRow, outlook: &Outlook, warmth: Warmth) -> u128 {
    let (first, _) = next_call(row, outlook, warmth);
    let read = share(share(outlook.prompt, outlook.repeat), warmth.quality);
    let later = cost(row, outlook, read);
    first.saturating_add(later.saturating_mul(u128::from(outlook.following)))
}

/// What a call costs by the list, without any cache.
pub fn list(row: &PriceRow, outlook: &Outlook) -> u128 {
    let rates = row.rates_at(outlook.prompt);
    sum(&[
        (rates.uncached.pico(), outlook.prompt),
        (rates.output.pico(), outlook.output),
        (rates.request.pico(), 1),
    ])
}

/// The cost of a call of which so many prompt tokens are read; the others are written where writing has
/// a price.
fn cost(row: &PriceRow, outlook: &Outlook, read: u64) -> u128 {
    let rates = row.rates_at(outlook.prompt);
    let missed = if rates.cache_write_5m_priced {
        rates.cache_write_5m
    } else {
        rates.uncached
    };
    sum(&[
        (missed.pico(), outlook.prompt.saturating_sub(read)),
        (rates.cache_read.pico(), read),
        (rates.output.pico(), outlook.output),
        (rates.request.pico(), 1),
    ])
}

fn sum(parts: &[(u64, u64)]) -> u128 {
    parts.iter().fold(0, |sum: u128, (rate, tokens)| {
        sum.saturating_add(u128::from(*rate).saturating_mul(u128::from(*tokens)))
    })
}

fn share(of: u64, thousandths: u64) -> u64 {
    of.saturating_mul(thousandths.min(WHOLE)) / WHOLE
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::money::Rate;
    use crate::pricing::CacheReadPrice;
    use proptest::prelude::*;

    fn row(prompt: &str, output: &str, read: Option<&str>) -> PriceRow {
        let rate = |text| Rate::from_usd_per_million_text(text).expect("a rate");
        let mut row = PriceRow::new(rate(prompt), rate(output));
        if let Some(read) = read {
            row.cache_read = CacheReadPrice::Known(rate(read));
        }
        row
    }

    const AGENT: Outlook = Outlook {
        prompt: 10_000,
        seen: 9_000,
        output: 200,
        repeat: 900,
        following: 10,
    };
    const WARM: Warmth = Warmth {
        warm: true,
        quality: WHOLE,
    };
    const COLD: Warmth = Warmth {
        warm: false,
        quality: WHOLE,
    };

    #[test]
    fn the_cheapest_list_price_is_not_the_cheapest_conversation() {
        // glm-5.1 without a cache price, and with one: the cross-over is at a tenth.
        let cheap = row("0.975", "4.30", None);
        let cached = row("1.05", "3.50", Some("0.205"));
        assert!(list(&cheap, &AGENT) < list(&cached, &AGENT));
        let cost = |row: &PriceRow| conversation(row, &AGENT, COLD);
        assert!(cost(&cheap) > 2 * cost(&cached));
        let once = Outlook {
            following: 0,
            output: 0,
            ..AGENT
        };
        assert!(conversation(&cheap, &once, COLD) < conversation(&cached, &once, COLD));
    }

    #[test]
    fn leaving_a_warm_endpoint_costs_its_warmth() {
        let here = row("1", "1", Some("0.1"));
        let there = row("0.9", "1", Some("0.1"));
        let last = Outlook {
            following: 1,
            ..AGENT
        };
        assert!(conversation(&here, &last, WARM) < conversation(&there, &last, COLD));
        let much_cheaper = row("0.1", "0.1", Some("0.01"));
        assert!(conversation(&here, &AGENT, WARM) > conversation(&much_cheaper, &AGENT, COLD));
        assert_eq!(next_call(&here, &AGENT, WARM).1, 9_000);
        assert_eq!(next_call(&here, &AGENT, COLD).1, 0);
    }

    #[test]
    fn writes_that_have_a_price_are_counted() {
        let mut row = row("1", "1", Some("0.1"));
        let before = conversation(&row, &AGENT, COLD);
        row.cache_write_5m = Some(Rate::from_pico(1_250_000));
        assert!(conversation(&row, &AGENT, COLD) > before);
    }

    proptest! {
        #[test]
        fn more_warmth_never_costs_more(
            prompt in 0u64..1_000_000, seen in 0u64..1_000_000, repeat in 0u64..=1000,
            following in 0u64..100, low in 0u64..=1000, high in 0u64..=1000,
        ) {
            let outlook = Outlook { prompt, seen, output: 1, repeat, following };
            let row = row("1", "2", Some("0.3"));
            let at = |warm, quality| conversation(&row, &outlook, Warmth { warm, quality });
            let (low, high) = (low.min(high), low.max(high));
            prop_assert!(at(true, high) <= at(true, low));
            prop_assert!(at(true, high) <= at(false, high));
            let first = next_call(&row, &outlook, Warmth { warm: false, quality: high }).0;
            prop_assert!(first == list(&row, &outlook), "cold is the list price");
        }
    }
}
