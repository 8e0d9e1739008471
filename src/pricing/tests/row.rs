use super::*;

#[test]
fn a_row_is_read_exactly() {
    let row = row();
    assert_eq!((row.prompt, row.completion), (rate(280_000), rate(400_000)));
    assert_eq!(row.cache_read, CacheReadPrice::Known(rate(28_000)));
    assert_eq!(row.cache_write_5m, Some(rate(350_000)));
    assert_eq!(row.cache_write_1h, None);
    assert_eq!(row.request, Some(rate(1_000_000_000)));
    assert_eq!(row.tiers.len(), 1);
    assert_eq!(row.tiers[0].prompt, Some(rate(560_000)));
}

#[test]
fn every_mistake_is_told_at_once_and_by_name() {
    let wrong = r#"
        completion = 0.40
        cache_read = "free"
        request = 1
        [[tier]]
        prompt = "0.0000001"
        [[tier]]
        above_prompt_tokens = -5
        cache_read = true
    "#;
    let mistakes = text(wrong).parse().unwrap_err();
    let fields: Vec<&str> = mistakes.iter().map(|m| m.field.as_str()).collect();
    let expected = [
        "prompt",
        "completion",
        "cache_read",
        "request",
        "tier[0].above_prompt_tokens",
        "tier[0].prompt",
        "tier[1].above_prompt_tokens",
        "tier[1].cache_read",
    ];
    assert_eq!(fields, expected);
    assert!(
        mistakes[0].message.contains("unpriced, never zero"),
        "{}",
        mistakes[0]
    );
    assert!(mistakes[1].message.contains("\"0.4\""), "{}", mistakes[1]);
    assert!(mistakes[5].message.contains("finer"), "{}", mistakes[5]);
    assert!(mistakes[7].message.contains("not true"), "{}", mistakes[7]);
}

#[test]
fn a_misspelt_price_is_refused() {
    let misspelt = "prompt = \"1\"\ncompletion = \"1\"\ncached_read = \"1\"";
    assert!(toml::from_str::<PriceText>(misspelt).is_err());
}

#[test]
fn same_and_absent_cache_prices_are_two_things() {
    let read = |line: &str| {
        let toml = format!("prompt = \"1\"\ncompletion = \"1\"\n{line}");
        text(&toml).parse().unwrap().cache_read
    };
    assert_eq!(read("cache_read = \"same\""), CacheReadPrice::SameAsPrompt);
    assert_eq!(read(""), CacheReadPrice::Unknown);
}

#[test]
fn the_canonical_json_is_fixed() {
    let json = row().canonical_json();
    let expected = concat!(
        r#"{"cache_read":"28000","cache_write_5m":"350000","completion":"400000","#,
        r#""prompt":"280000","reasoning":"500000","request":"1000000000","#,
        r#""tiers":[{"above_prompt_tokens":1000,"cache_read":"56000","prompt":"560000"}]}"#
    );
    assert_eq!(json, expected);
    assert_eq!(
        hex::encode(PriceRow::new(rate(1), rate(2)).sha256()),
        "6d59173f1e8e59aa128421240cfa7efbe1b588efe17ad4007fee005f809473ba",
        "the id of a row must not change between versions"
    );
}

#[test]
fn tiers_apply_strictly_above_and_the_later_one_wins() {
    let mut row = row();
    row.tiers.push(PriceTier {
        above_prompt_tokens: 2000,
        prompt: Some(rate(9)),
        completion: Some(rate(7)),
        ..PriceTier::default()
    });
    assert_eq!(row.rates_at(1000).uncached, rate(280_000));
    assert_eq!(row.rates_at(1001).uncached, rate(560_000));
    assert_eq!(row.rates_at(1001).output, rate(400_000));
    assert_eq!(row.rates_at(2001).uncached, rate(9));
    assert_eq!(row.rates_at(2001).output, rate(7));
    // A hit never costs more than a miss, even where a row says so.
    assert_eq!(row.rates_at(2001).cache_read, rate(9));
    assert_eq!(row.rates_up_to(1000).count(), 1);
    assert_eq!(row.rates_up_to(1001).count(), 2);
}

#[test]
fn reasoning_and_write_prices_fall_back_to_what_they_are_part_of() {
    let rates = PriceRow::new(rate(5), rate(8)).rates_at(10);
    assert_eq!(rates.reasoning, rate(8));
    assert_eq!(
        (rates.cache_write_5m, rates.cache_write_1h),
        (rate(5), rate(5))
    );
    assert!(!rates.cache_read_priced && !rates.cache_write_5m_priced);
}

#[test]
fn lint_names_what_is_wrong() {
    let found = |row: &PriceRow| -> Vec<(String, LintKind)> {
        lint(row).into_iter().map(|l| (l.field, l.kind)).collect()
    };
    assert_eq!(
        found(&row()),
        [(
            "tier[0].cache_write_5m".to_owned(),
            LintKind::CacheWriteBelowPrompt
        )]
    );
    let mut bad = PriceRow::new(rate(5), rate(0));
    bad.cache_read = CacheReadPrice::Known(rate(6));
    bad.cache_write_1h = Some(rate(4));
    bad.tiers = vec![
        PriceTier {
            above_prompt_tokens: 7,
            ..PriceTier::default()
        };
        2
    ];
    let found = found(&bad);
    for expected in [
        ("cache_read", LintKind::CacheReadAbovePrompt),
        ("cache_write_1h", LintKind::CacheWriteBelowPrompt),
        ("completion", LintKind::ZeroPrice),
        ("tier[0]", LintKind::EmptyTier),
        ("tier[1].above_prompt_tokens", LintKind::TierOrder),
    ] {
        assert!(
            found.iter().any(|(f, k)| (f.as_str(), *k) == expected),
            "{expected:?} is missing"
        );
    }
    assert!(lint(&bad).iter().any(Lint::refuses));
    assert!(
        !lint(&PriceRow::new(rate(1), rate(1)))
            .iter()
            .any(Lint::refuses)
    );
}

#[test]
fn rule_11_a_row_is_free_only_where_every_price_that_is_stated_is_nothing() {
    let is_free = |lines: &str| {
        let toml = format!("prompt = \"0\"\ncompletion = \"0\"\n{lines}");
        text(&toml).parse().unwrap().is_free()
    };
    for free in [
        "",
        "cache_read = \"0\"",
        "cache_read = \"same\"",
        "reasoning = \"0\"\nrequest = \"0\"\ncache_write_5m = \"0\"",
        "[[tier]]\nabove_prompt_tokens = 5\nprompt = \"0\"",
    ] {
        assert!(is_free(free), "{free}");
    }
    for paid in [
        "reasoning = \"1\"",
        "request = \"0.1\"",
        "cache_write_5m = \"1\"",
        "cache_write_1h = \"1\"",
        "[[tier]]\nabove_prompt_tokens = 5\nprompt = \"1\"",
        "[[tier]]\nabove_prompt_tokens = 5\ncompletion = \"1\"",
    ] {
        assert!(!is_free(paid), "{paid}");
    }
    assert!(!row().is_free());
}
