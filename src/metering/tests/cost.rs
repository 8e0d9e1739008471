use super::*;
use crate::money::Pusd;
use proptest::prelude::*;

/// What OpenRouter's usage with these members says that the call cost.
fn told(members: &str) -> (Option<Pusd>, Vec<UsageFlag>) {
    let body = format!("{{\"usage\":{{\"prompt_tokens\":5,\"completion_tokens\":5,{members}}}}}");
    let reading = meter_whole(Dialect::OpenRouter, body.as_bytes());
    (reading.upstream_cost, reading.flags)
}

proptest! {
    /// The same amount in every form that a JSON number may have is read as the same amount.
    #[test]
    fn a_cost_is_read_exactly_however_it_is_written(
        pico in prop_oneof![0u128..1_000, 0u128..1_000_000_000, 0u128..1 << 70],
        zeros in 0usize..6,
        shift in 0i64..12,
    ) {
        let digits = pico.to_string();
        let whole = pico / 1_000_000_000_000;
        let plain = format!("{whole}.{:012}{}", pico % 1_000_000_000_000, "0".repeat(zeros));
        let (first, rest) = digits.split_at(1);
        let scientific = format!("{first}.{rest}0e{}", digits.len() as i64 - 13);
        // No number begins with two zeros in JSON.
        let shift = if pico == 0 { 0 } else { shift };
        let moved = format!("{digits}{}E{}", "0".repeat(shift as usize), -12 - shift);
        for text in [plain, scientific, moved, format!("{digits}e-12")] {
            let cost = told(&format!("\"cost\":{text}"));
            prop_assert_eq!(cost, (Some(Pusd::from_pico(pico)), vec![]), "{}", text);
        }
    }

    /// Digits beyond 10⁻¹² USD are rounded up, and said to be.
    #[test]
    fn what_is_finer_than_the_unit_is_rounded_up(pico in 0u128..1 << 60, tail in 1u64..1_000_000) {
        let text = format!("{pico}.{tail:06}e-12");
        let expected = (Some(Pusd::from_pico(pico + 1)), vec![UsageFlag::CostRounded]);
        prop_assert_eq!(told(&format!("\"cost\":{text}")), expected);
    }
}

#[test]
fn what_is_no_amount_is_no_cost() {
    for cost in ["-1", "-4.2e-05", "\"0.1\"", "true", "[1]", "1e400", "NaN"] {
        let (cost_read, flags) = told(&format!("\"cost\":{cost}"));
        assert_eq!(cost_read, None, "{cost}");
        let malformed = flags == [UsageFlag::Malformed];
        assert!(
            malformed || flags == [UsageFlag::CostUnreadable],
            "{cost}: {flags:?}"
        );
    }
    assert_eq!(told("\"cost\":null"), (None, vec![]));
    assert_eq!(told("\"x\":1"), (None, vec![]));
}

#[test]
fn of_an_own_key_the_fee_and_the_providers_price_are_the_cost() {
    let byok = |upstream: &str| {
        let details = format!("\"cost_details\":{{\"upstream_inference_cost\":{upstream}}}");
        told(&format!("\"cost\":2.1e-05,\"is_byok\":true,{details}"))
    };
    assert_eq!(
        byok("0.00042"),
        (Some(Pusd::from_pico(441_000_000)), vec![])
    );
    let unknown = (None, vec![UsageFlag::CostUnreadable]);
    assert_eq!(byok("null"), unknown);
    assert_eq!(byok("-1"), unknown);
}
