use super::*;
use crate::metering::{Route, Usage};
use crate::money::{AmountError, Pusd};
use proptest::option::of;
use proptest::prelude::*;

fn rates() -> impl Strategy<Value = Rate> {
    prop_oneof![0..=100u64, 0..=100_000_000u64, Just(u64::MAX >> 20)].prop_map(Rate::from_pico)
}

fn cache_reads() -> impl Strategy<Value = CacheReadPrice> {
    prop_oneof![
        rates().prop_map(CacheReadPrice::Known),
        Just(CacheReadPrice::SameAsPrompt),
        Just(CacheReadPrice::Unknown),
    ]
}

prop_compose! {
    fn tiers()(
        above_prompt_tokens in prop_oneof![0..300u64, 0..400_000u64],
        (prompt, completion, reasoning) in (of(rates()), of(rates()), of(rates())),
        (cache_read, cache_write_5m, cache_write_1h) in (of(cache_reads()), of(rates()), of(rates())),
    ) -> PriceTier {
        PriceTier { above_prompt_tokens, cache_read, cache_write_1h, cache_write_5m, completion, prompt, reasoning }
    }
}

prop_compose! {
    /// Any row at all, also one that lint would refuse.
    fn rows()(
        (prompt, completion, cache_read) in (rates(), rates(), cache_reads()),
        (cache_write_5m, cache_write_1h, reasoning, request) in (of(rates()), of(rates()), of(rates()), of(rates())),
        tiers in prop::collection::vec(tiers(), 0..4),
    ) -> PriceRow {
        PriceRow { cache_read, cache_write_1h, cache_write_5m, completion, prompt, reasoning, request, tiers }
    }
}

prop_compose! {
    fn usages()(n in prop::array::uniform6(prop_oneof![Just(0u64), 0..500u64, 0..2_000_000u64])) -> Usage {
        Usage { uncached: n[0], cache_read: n[1], cache_write_5m: n[2], cache_write_1h: n[3], output: n[4], reasoning: n[5] }
    }
}

prop_compose! {
    fn requests()(
        bytes in prop_oneof![0..500u64, 0..4_000_000u64],
        (messages, tools, choices) in (0..50u64, 0..10u64, 1..=CHOICES_MAX),
        max_tokens in of(1..50_000u64),
    ) -> RequestShape {
        let mut shape = RequestShape::default();
        (shape.bytes, shape.messages, shape.tools) = (bytes, messages, tools);
        (shape.choices, shape.max_tokens) = (choices, max_tokens);
        shape
    }
}

prop_compose! {
    fn terms()(
        markup_bps in 0..20_000u32,
        output_cap in 1..10_000u64,
        context_tokens in of(1..500_000u64),
        max_output_tokens in of(50_000..100_000u64),
    ) -> QuoteTerms {
        QuoteTerms { markup_bps, output_cap, context_tokens, max_output_tokens, tokenizer: Tokenizer::Bytes }
    }
}

/// Cuts `total` into parts at the given thousandths; what is left over is the last part.
fn cut<const N: usize>(total: u64, thousandths: [u64; N]) -> [u64; N] {
    let mut left = total;
    thousandths.map(|t| {
        let part = (u128::from(left) * u128::from(t) / 1000)
            .try_into()
            .unwrap();
        left -= part;
        part
    })
}

fn amount(result: Result<Bill, AmountError>) -> Result<Bill, TestCaseError> {
    result.map_err(|e| TestCaseError::fail(e.to_string()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn rule_3_no_usage_within_the_quote_costs_more_than_its_ceiling(
        row in rows(),
        request in requests(),
        terms in terms(),
        prompt_share in prop::array::uniform4(0..=1000u64),
        output_share in prop::array::uniform2(0..=1000u64),
    ) {
        let quote = quote(&row, &request, &terms).map_err(|e| TestCaseError::fail(e.to_string()))?;
        let prompt = cut(quote.prompt_tokens_max, prompt_share);
        let output = cut(quote.output_tokens_max, output_share);
        let usage = Usage {
            uncached: prompt[0],
            cache_read: prompt[1],
            cache_write_5m: prompt[2],
            cache_write_1h: prompt[3],
            output: output[0],
            reasoning: output[1],
        };
        let total = amount(bill(&row, &usage, terms.markup_bps))?.total;
        prop_assert!(total <= quote.ceiling, "{total} > {}", quote.ceiling);
    }

    #[test]
    fn the_cache_discount_is_passed_on_to_the_last_unit(row in rows(), usage in usages(), share in 0..=1000u64) {
        let [cached] = cut(usage.uncached, [share]);
        let warm = Usage { uncached: usage.uncached - cached, cache_read: usage.cache_read + cached, ..usage };
        let cold_bill = amount(bill(&row, &usage, 0))?;
        let warm_bill = amount(bill(&row, &warm, 0))?;
        let rates = row.rates_at(usage.prompt_total().unwrap());
        let discount = rates.uncached.pico() - rates.cache_read.pico();
        let saved = Pusd::from_pico(u128::from(discount) * u128::from(cached));
        prop_assert_eq!(Ok(warm_bill.total), cold_bill.total.minus(saved));
        prop_assert_eq!(warm_bill.list, cold_bill.list);
    }

    #[test]
    fn more_cache_hits_never_raise_the_bill(row in rows(), usage in usages(), share in 0..=1000u64, bps in 0..20_000u32) {
        let [cached] = cut(usage.uncached, [share]);
        let warm = Usage { uncached: usage.uncached - cached, cache_read: usage.cache_read + cached, ..usage };
        prop_assert!(amount(bill(&row, &warm, bps))?.total <= amount(bill(&row, &usage, bps))?.total);
    }

    #[test]
    fn rule_4_a_bill_is_the_sum_of_its_lines_and_says_so_twice(row in rows(), usage in usages(), bps in 0..20_000u32) {
        let once = amount(bill(&row, &usage, bps))?;
        let lines: u128 = once.lines.iter().map(|l| l.amount_pusd.pico()).sum();
        let recomputed: u128 = once.lines.iter().map(|l| u128::from(l.rate_pusd.pico()) * u128::from(l.tokens)).sum();
        prop_assert_eq!((lines, recomputed), (once.subtotal.pico(), once.subtotal.pico()));
        prop_assert_eq!(once.list.pico(), lines + once.cache_saving.pico());
        prop_assert_eq!(once.markup.pico(), (lines * u128::from(bps)).div_ceil(10_000));
        prop_assert_eq!(once.total.pico(), lines + once.markup.pico());
        let tokens: u64 = once.lines.iter().filter(|l| l.class != TokenClass::Request).map(|l| l.tokens).sum();
        prop_assert_eq!(tokens, usage.prompt_total().unwrap() + usage.output + usage.reasoning);
        prop_assert_eq!(&amount(bill(&row, &usage, bps))?, &once);
        let json = serde_json::to_string(&once).unwrap();
        prop_assert_eq!(serde_json::from_str::<Bill>(&json).unwrap(), once);
    }

    #[test]
    fn a_row_reads_back_from_its_json_and_its_text(row in rows()) {
        let json = row.canonical_json();
        prop_assert_eq!(&serde_json::to_string(&row).unwrap(), &json);
        prop_assert_eq!(&crate::json::canonical(&serde_json::to_value(&row).unwrap()), &json);
        prop_assert_eq!(&serde_json::from_str::<PriceRow>(&json).unwrap(), &row);
        // In text, a tier starts above at least one token and cannot take a known price away.
        let mut plain = row;
        for tier in &mut plain.tiers {
            tier.above_prompt_tokens += 1;
            tier.cache_read = tier.cache_read.filter(|c| *c != CacheReadPrice::Unknown);
        }
        let toml = toml::to_string(&PriceText::of(&plain)).unwrap();
        prop_assert_eq!(text(&toml).parse(), Ok(plain));
    }

    #[test]
    fn arbitrary_members_never_panic(value in "[-0-9a-z\"\\[\\]{}:,. ]{0,24}") {
        for key in ["messages", "tools", "max_tokens", "n", "modalities", "stream_options", "plugins"] {
            let body = format!(r#"{{"model":"m","{key}":{value}}}"#);
            if let Ok(body) = crate::json::Object::parse(body.as_bytes(), &crate::json::Limits::default()) {
                let _ = RequestShape::read(Route::Chat, &body);
            }
        }
    }
}
