use super::*;
use crate::metering::Usage;
use crate::money::Pusd;
use proptest::prelude::*;

/// 1,000 prompt tokens and 100 of output at the prices of [`ROW`], without its tier: 1.32 mUSD.
const USAGE: Usage = Usage {
    uncached: 1000,
    cache_read: 0,
    cache_write_5m: 0,
    cache_write_1h: 0,
    output: 100,
    reasoning: 0,
};

fn by_row() -> Bill {
    bill(&row(), &USAGE, 100).unwrap()
}

#[test]
fn a_cost_goes_before_the_row_and_carries_the_markup() {
    let by_row = by_row();
    assert_eq!(by_row.subtotal.pico(), 1_320_000_000);
    let cost = Pusd::from_pico(1_000_000_001);
    let bill = by_row.clone().at_cost(cost, 100).unwrap();
    assert_eq!(bill.subtotal, cost);
    assert_eq!(bill.markup.pico(), 10_000_001, "rounded up");
    assert_eq!(bill.total.pico(), 1_010_000_002);
    assert_eq!(bill.flags, []);
    let unchanged = |bill: &Bill| (bill.lines.clone(), bill.list, bill.cache_saving);
    assert_eq!(unchanged(&bill), unchanged(&by_row));
    let dearer = Pusd::from_pico(1_320_000_001);
    let dearer = by_row.at_cost(dearer, 100).unwrap();
    assert_eq!(dearer.flags, [BillFlag::CostAboveRow]);
}

#[test]
fn what_was_billed_at_another_rate_is_no_remark_on_a_cost() {
    let unpriced = PriceRow::new(rate(1_000), rate(1_000));
    let usage = Usage {
        cache_read: 10,
        ..USAGE
    };
    let by_row = bill(&unpriced, &usage, 0).unwrap();
    assert_eq!(by_row.flags, [BillFlag::CacheReadUnpriced]);
    let bill = by_row.at_cost(Pusd::from_pico(5), 0).unwrap();
    assert_eq!(bill.flags, []);
}

#[test]
fn nothing_and_far_too_much_are_not_believed() {
    let bill = by_row();
    let believes = |pico: u128, output: u64| bill.believes(Pusd::from_pico(pico), output);
    assert!(believes(1, 100));
    assert!(believes(13_200_000_000, 100));
    assert!(!believes(13_200_000_001, 100));
    assert!(!believes(0, 100), "there was output to be paid for");
    assert!(believes(0, 0));
    let free: PriceRow = text("prompt = \"0\"\ncompletion = \"0\"").parse().unwrap();
    let free = super::super::bill(&free, &USAGE, 100).unwrap();
    assert!(free.believes(Pusd::ZERO, 100));
    assert!(
        !free.believes(Pusd::from_pico(1), 100),
        "what is priced at nothing stays free"
    );
}

proptest! {
    #[test]
    fn a_cost_is_billed_to_the_last_pico_and_never_less_than_it_is(
        cost in 0u128..1 << 80,
        markup in 0u32..20_000,
        decimals in 0u8..=18,
    ) {
        let cost = Pusd::from_pico(cost);
        let by_row = bill(&row(), &USAGE, markup).unwrap();
        let at_cost = by_row.clone().at_cost(cost, markup).unwrap();
        prop_assert_eq!(at_cost.total, cost.plus(at_cost.markup).unwrap());
        prop_assert_eq!(at_cost.markup, cost.bps_ceil(markup).unwrap());
        prop_assert_eq!(cost <= by_row.subtotal, at_cost.total <= by_row.total && at_cost.flags.is_empty());
        let units = at_cost.total.to_units_ceil(crate::money::AssetDecimals::try_from(decimals).unwrap());
        if let Ok(units) = units {
            let one = 10u128.pow(12u32.saturating_sub(decimals.into()));
            let fine = 10u128.pow(u32::from(decimals).saturating_sub(12));
            let back = units.atomic() / fine * one;
            prop_assert!(back >= at_cost.total.pico() && back - at_cost.total.pico() < one);
        }
    }
}
