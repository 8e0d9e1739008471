use super::*;
use crate::metering::Usage;
use crate::money::Pusd;

#[test]
fn a_bill_is_its_lines_and_a_markup_rounded_up() {
    let usage = Usage {
        uncached: 100,
        cache_read: 800,
        cache_write_5m: 50,
        output: 20,
        reasoning: 3,
        ..Usage::default()
    };
    let bill = bill(&row(), &usage, 1).unwrap();
    let json = serde_json::to_value(&bill.lines).unwrap();
    let line = |class: &str, tokens: u64, rate: &str, amount: &str| serde_json::json!({"class": class, "tokens": tokens, "rate_pusd": rate, "amount_pusd": amount});
    let expected = serde_json::json!([
        line("uncached", 100, "280000", "28000000"),
        line("cache_read", 800, "28000", "22400000"),
        line("cache_write_5m", 50, "350000", "17500000"),
        line("output", 20, "400000", "8000000"),
        line("reasoning", 3, "500000", "1500000"),
        line("request", 1, "1000000000", "1000000000"),
    ]);
    assert_eq!(json, expected);
    assert_eq!(bill.subtotal, Pusd::from_pico(1_077_400_000));
    assert_eq!(bill.cache_saving, Pusd::from_pico(800 * (280_000 - 28_000)));
    assert_eq!(bill.list, Pusd::from_pico(1_077_400_000 + 201_600_000));
    assert_eq!(bill.markup, Pusd::from_pico(107_740));
    assert_eq!(bill.total, Pusd::from_pico(1_077_507_740));
    assert_eq!(bill.flags, []);
}

#[test]
fn the_markup_is_the_only_rounding_and_goes_up() {
    let one = Usage {
        uncached: 1,
        ..Usage::default()
    };
    let bill = bill(&PriceRow::new(rate(3), rate(3)), &one, 1).unwrap();
    assert_eq!(
        (bill.subtotal, bill.markup),
        (Pusd::from_pico(3), Pusd::from_pico(1))
    );
}

#[test]
fn the_whole_call_is_billed_at_its_tier() {
    let usage = Usage {
        uncached: 1,
        cache_read: 1000,
        ..Usage::default()
    };
    let bill = bill(&row(), &usage, 0).unwrap();
    assert_eq!(bill.lines[0].rate_pusd, rate(560_000));
    assert_eq!(bill.lines[1].rate_pusd, rate(56_000));
}

#[test]
fn a_fully_cached_prompt_still_shows_the_prompt_rate() {
    let usage = Usage {
        cache_read: 10,
        ..Usage::default()
    };
    let mut free_call = row();
    free_call.request = None;
    let bill = bill(&free_call, &usage, 0).unwrap();
    assert_eq!(bill.lines.len(), 2);
    assert_eq!(bill.lines[0].class, TokenClass::Uncached);
    assert_eq!(
        (bill.lines[0].tokens, bill.lines[0].rate_pusd),
        (0, rate(280_000))
    );
}

#[test]
fn rule_11_a_missing_price_is_the_prompt_rate_and_flagged_never_zero() {
    let row = PriceRow::new(rate(5), rate(7));
    let usage = Usage {
        cache_read: 10,
        cache_write_1h: 2,
        ..Usage::default()
    };
    let bill = bill(&row, &usage, 0).unwrap();
    assert_eq!(bill.total, Pusd::from_pico(60));
    assert_eq!(bill.cache_saving, Pusd::ZERO);
    assert_eq!(
        bill.flags,
        [BillFlag::CacheReadUnpriced, BillFlag::CacheWriteUnpriced]
    );
    let flags = serde_json::to_string(&bill.flags).unwrap();
    assert_eq!(flags, r#"["cache_read_unpriced","cache_write_unpriced"]"#);
}

#[test]
fn a_bill_that_does_not_fit_is_an_error() {
    let row = PriceRow::new(rate(u64::MAX), rate(u64::MAX));
    let usage = Usage {
        uncached: u64::MAX,
        output: u64::MAX,
        ..Usage::default()
    };
    assert!(bill(&row, &usage, 0).is_err());
    let uncountable = Usage {
        uncached: u64::MAX,
        cache_read: 1,
        ..Usage::default()
    };
    assert!(bill(&row, &uncountable, 0).is_err());
}
