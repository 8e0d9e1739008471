#![expect(
    clippy::arithmetic_side_effects,
    reason = "a test may overflow, and then it fails"
)]
use super::*;
use proptest::prelude::*;

#[test]
fn rates_are_read_from_text_exactly() {
    let per_million = |t| Rate::from_usd_per_million_text(t).map(Rate::pico);
    assert_eq!(per_million("0.28"), Ok(280_000));
    assert_eq!(per_million("0.000001"), Ok(1));
    assert!(matches!(
        per_million("0.0000001"),
        Err(DecimalError::TooFine(..))
    ));
    assert!(matches!(
        per_million("-1"),
        Err(DecimalError::NotDecimal(_))
    ));
    let per_token = |t| Rate::from_usd_per_token_text(t).map(Rate::pico);
    assert_eq!(per_token("2.8e-08"), Ok(28_000));
    assert_eq!(per_token("1E-6"), Ok(1_000_000));
    for bad in [
        "",
        ".",
        "e5",
        "1e",
        "0x1",
        " 1",
        "1_000",
        "+1",
        "NaN",
        "1e999999999999",
    ] {
        assert!(per_token(bad).is_err(), "{bad:?} was read as a rate");
    }
}

#[test]
fn usd_becomes_units_with_one_rounding_up() {
    let units = |pico, d| {
        let d = AssetDecimals::try_from(d).ok()?;
        Pusd::from_pico(pico)
            .to_units_ceil(d)
            .ok()
            .map(Units::atomic)
    };
    assert_eq!(units(0, 6), Some(0));
    assert_eq!(units(1, 6), Some(1));
    assert_eq!(units(1_000_000, 6), Some(1));
    assert_eq!(units(1_000_001, 6), Some(2));
    assert_eq!(units(7, 18), Some(7_000_000));
    assert_eq!(units(u128::MAX, 18), None);
}

#[test]
fn units_become_usd_rounded_down() {
    let pico = |units, d| {
        let d = AssetDecimals::try_from(d).ok()?;
        let usd = Pusd::from_units_floor(Units::from_atomic(units), d);
        usd.ok().map(Pusd::pico)
    };
    assert_eq!(pico(3, 6), Some(3_000_000));
    assert_eq!(pico(7, 12), Some(7));
    assert_eq!(pico(7_999_999, 18), Some(7));
    assert_eq!(pico(u128::MAX, 6), None);
}

#[test]
fn the_wire_form_is_a_canonical_decimal_string() {
    assert_eq!(
        serde_json::to_string(&Units::from_atomic(12))
            .ok()
            .as_deref(),
        Some("\"12\"")
    );
    for bad in ["\"01\"", "12", "\"-1\"", "\"\"", "\"1.0\"", "\"+1\""] {
        assert!(
            serde_json::from_str::<Units>(bad).is_err(),
            "{bad} was accepted"
        );
    }
}

#[test]
fn amounts_print_as_people_write_them() {
    assert_eq!(Pusd::from_pico(42_000_000).usd_text(), "0.000042");
    assert_eq!(
        Units::from_atomic(1_500_000).asset_text(AssetDecimals::USDC),
        "1.5"
    );
    assert_eq!(Units::ZERO.asset_text(AssetDecimals::USDC), "0");
}

proptest! {
    #[test]
    fn text_round_trips(n in any::<u64>()) {
        let text = Pusd::from_pico(n.into()).usd_text();
        prop_assert_eq!(Pusd::from_usd_text(&text), Ok(Pusd::from_pico(n.into())));
    }

    #[test]
    fn rounding_up_never_loses_and_adds_less_than_one_unit(n in 0u128..u128::MAX / 2) {
        let units = Pusd::from_pico(n).to_units_ceil(AssetDecimals::USDC).map(Units::atomic);
        let units = units.map_err(|e| TestCaseError::fail(e.to_string()))?;
        prop_assert!(units * 1_000_000 >= n && units * 1_000_000 - n < 1_000_000);
    }

    #[test]
    fn units_are_worth_at_least_what_they_came_from_in_any_decimals(n in any::<u64>(), places in 0u8..=18) {
        let decimals = AssetDecimals::try_from(places);
        let decimals = decimals.map_err(|e| TestCaseError::fail(e.to_string()))?;
        let units = Units::from_atomic(n.into());
        let back = units.to_pusd_ceil(decimals).and_then(|pusd| pusd.to_units_ceil(decimals));
        let back = back.map_err(|e| TestCaseError::fail(e.to_string()))?;
        let lost = 10u128.pow(u32::from(places.saturating_sub(12)));
        prop_assert!(back.atomic() >= u128::from(n) && back.atomic() - u128::from(n) < lost);
    }
}
