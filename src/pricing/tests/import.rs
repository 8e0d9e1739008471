use super::super::litellm::{ImportError, ImportedRow, PriceMap, import};
use super::*;
use std::fs;

fn vendored() -> String {
    fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/prices/litellm.json")).unwrap()
}

/// Prompt, completion, cache read, 5-minute write, 1-hour write, in pUSD; 0 stands for absent.
fn prices(row: &PriceRow) -> [u64; 5] {
    let pico = |rate: Option<Rate>| rate.map_or(0, Rate::pico);
    let read = match row.cache_read {
        CacheReadPrice::Known(rate) => Some(rate),
        _ => None,
    };
    [
        row.prompt.pico(),
        row.completion.pico(),
        pico(read),
        pico(row.cache_write_5m),
        pico(row.cache_write_1h),
    ]
}

#[test]
fn known_rows_are_what_their_providers_publish() {
    let json = vendored();
    let map = PriceMap::parse(&json).unwrap();
    for (key, expected, context) in [
        (
            "deepseek/deepseek-v3.2",
            [280_000, 400_000, 28_000, 0, 0],
            163_840,
        ),
        (
            "deepseek/deepseek-v4-flash",
            [300_000, 1_200_000, 6_000, 0, 0],
            1_000_000,
        ),
        (
            "claude-sonnet-4-6",
            [3_000_000, 15_000_000, 300_000, 3_750_000, 6_000_000],
            1_000_000,
        ),
        ("gpt-4o-mini", [150_000, 600_000, 75_000, 0, 0], 128_000),
        (
            "gpt-5.6",
            [4_000_000, 20_000_000, 400_000, 5_000_000, 10_000_000],
            922_000,
        ),
        (
            "moonshot/kimi-k3",
            [3_000_000, 15_000_000, 300_000, 3_000_000, 6_000_000],
            1_048_576,
        ),
        (
            "gemini/gemini-3.1-pro-preview",
            [2_000_000, 12_000_000, 200_000, 0, 0],
            1_048_576,
        ),
        (
            "dashscope/qwen3-max",
            [1_200_000, 6_000_000, 0, 0, 0],
            258_048,
        ),
        (
            "groq/openai/gpt-oss-120b",
            [150_000, 600_000, 75_000, 0, 0],
            131_072,
        ),
    ] {
        let imported = map.import(key).unwrap();
        assert_eq!(prices(&imported.row), expected, "{key}");
        assert_eq!(imported.context_tokens, Some(context), "{key}");
        assert!(!lint(&imported.row).iter().any(Lint::refuses), "{key}");
    }
}

#[test]
fn both_ways_to_price_long_prompts_become_tiers() {
    let json = vendored();
    let map = PriceMap::parse(&json).unwrap();
    let gpt = map.import("gpt-5.6").unwrap().row;
    let long = gpt.rates_at(272_001);
    assert_eq!(gpt.rates_at(272_000).uncached, rate(4_000_000));
    assert_eq!(
        (long.uncached, long.output),
        (rate(8_000_000), rate(30_000_000))
    );
    assert_eq!(
        (long.cache_write_5m, long.cache_write_1h),
        (rate(10_000_000), rate(20_000_000))
    );
    let qwen = map.import("dashscope/qwen3-max").unwrap().row;
    let at = |tokens| {
        (
            qwen.rates_at(tokens).uncached.pico(),
            qwen.rates_at(tokens).output.pico(),
        )
    };
    assert_eq!(at(32_000), (1_200_000, 6_000_000));
    assert_eq!(at(32_001), (2_400_000, 12_000_000));
    assert_eq!(at(128_001), (3_000_000, 15_000_000));
    assert_eq!(at(900_000), (3_000_000, 15_000_000));
}

#[test]
fn every_row_of_the_map_is_taken_or_refused_by_name() {
    let json = vendored();
    let map = PriceMap::parse(&json).unwrap();
    let (mut taken, mut refused) = (0, Vec::new());
    for key in map.keys() {
        match map.import(key) {
            Ok(imported) => {
                taken += 1;
                let text = PriceText::of(&imported.row);
                assert_eq!(
                    text.parse().as_ref(),
                    Ok(&imported.row),
                    "{key} changes when written as text"
                );
            }
            Err(ImportError::NotChat(_)) => {}
            Err(error) => refused.push(format!("{key}: {error}")),
        }
    }
    assert!(
        taken > 3_000,
        "only {taken} rows were taken; refused:\n{}",
        refused.join("\n")
    );
    assert!(
        refused.len() < 200,
        "{} rows were refused:\n{}",
        refused.len(),
        refused.join("\n")
    );
}

fn one(row: &str) -> Result<ImportedRow, ImportError> {
    import(&format!(r#"{{"k":{{"mode":"chat",{row}}}}}"#), "k")
}

#[test]
fn a_missing_price_is_unpriced_and_a_stated_zero_is_zero() {
    let missing = one(r#""input_cost_per_token":1e-6,"output_cost_per_token":null"#);
    assert_eq!(missing, Err(ImportError::Unpriced("output_cost_per_token")));
    let router = one(r#""input_cost_per_token":1e-6,"output_cost_per_token":0.0"#);
    assert!(
        matches!(router, Err(ImportError::NotExpressible { field, .. }) if field == "output_cost_per_token")
    );
    let free = one(r#""input_cost_per_token":0,"output_cost_per_token":0.0"#).unwrap();
    assert_eq!(
        lint(&free.row)
            .iter()
            .filter(|l| l.kind == LintKind::ZeroPrice)
            .count(),
        2
    );
    assert_eq!(free.row.cache_read, CacheReadPrice::Unknown);
}

#[test]
fn only_the_noise_of_a_float_is_dropped() {
    let prompt = |number: &str| {
        let row = format!(r#""input_cost_per_token":{number},"output_cost_per_token":1e-6"#);
        one(&row).map(|i| i.row.prompt.pico())
    };
    assert_eq!(prompt("2.0000000000000002e-07"), Ok(200_000));
    assert_eq!(prompt("9.499999999999999e-07"), Ok(950_000));
    assert_eq!(prompt("0.00000020000000000000002"), Ok(200_000));
    for wrong in [
        "1.41953125e-07",
        "2.857142857142857e-07",
        "-1e-6",
        "\"1e-6\"",
        "1e99",
        "true",
    ] {
        let error = prompt(wrong).unwrap_err();
        assert!(
            matches!(&error, ImportError::BadNumber { field, .. } if field == "input_cost_per_token"),
            "{wrong}: {error}"
        );
    }
}

#[test]
fn what_a_row_cannot_say_is_refused_by_field() {
    let refused = |fields: &str| match one(&format!(
        r#""input_cost_per_token":1e-6,"output_cost_per_token":1e-6,{fields}"#
    )) {
        Err(ImportError::NotExpressible { field, .. }) => field,
        other => panic!("{fields}: {other:?}"),
    };
    assert_eq!(
        refused(r#""citation_cost_per_token":1e-6"#),
        "citation_cost_per_token"
    );
    assert_eq!(
        refused(r#""input_cost_per_second":1"#),
        "input_cost_per_second"
    );
    assert_eq!(
        refused(r#""litellm_provider":"perplexity","search_context_cost_per_query":{}"#),
        "search_context_cost_per_query"
    );
    let tier = |from: u64, to: u64, more: &str| {
        format!(r#"{{"range":[{from},{to}],"input_cost_per_token":1e-6{more}}}"#)
    };
    for tiers in [
        String::new(),
        tier(5, 10, ""),
        format!("{},{}", tier(0, 10, ""), tier(11, 20, "")),
        format!(
            "{},{}",
            tier(0, 10, ""),
            tier(10, 20, r#","output_cost_per_token":2e-6"#)
        ),
        r#"{"range":[0,"x"]}"#.to_owned(),
        "{}".to_owned(),
    ] {
        assert_eq!(
            refused(&format!(r#""tiered_pricing":[{tiers}]"#)),
            "tiered_pricing",
            "{tiers}"
        );
    }
}

#[test]
fn the_dearer_of_peak_and_off_peak_is_kept_and_noted() {
    let imported = one(
        r#""input_cost_per_token":1e-6,"output_cost_per_token":3e-6,"cache_creation_input_token_cost":0,
        "off_peak_pricing":{"input_cost_per_token":2e-6,"output_cost_per_token":1e-6,"windows":[]}"#,
    )
    .unwrap();
    assert_eq!(prices(&imported.row), [2_000_000, 3_000_000, 0, 0, 0]);
    assert!(imported.notes.iter().any(|n| n.contains("off-peak")));
    assert!(imported.notes.iter().any(|n| n.contains("no surcharge")));
}

#[test]
fn a_key_or_file_that_is_not_there_is_told() {
    assert_eq!(
        import("{}", "x"),
        Err(ImportError::NoSuchRow("x".to_owned()))
    );
    assert!(matches!(import("[]", "x"), Err(ImportError::NotAMap(_))));
    let image = import(r#"{"x":{"mode":"image_generation"}}"#, "x");
    assert_eq!(
        image,
        Err(ImportError::NotChat("image_generation".to_owned()))
    );
}
