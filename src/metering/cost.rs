use super::UsageFlag;
use super::spec::Cost;
use super::tree::Tree;
use crate::money::{DecimalError, Pusd};
use std::collections::BTreeSet;

/// 10⁻¹² USD in one xAI tick (10⁻¹⁰ USD).
const PUSD_PER_TICK: u128 = 100;

/// Decimal places of a dollar that [`Pusd`] holds.
const PLACES: usize = 12;

/// What the provider says the call cost, read from the number's text.
pub(super) fn cost(kind: Cost, tree: &Tree, flags: &mut BTreeSet<UsageFlag>) -> Option<Pusd> {
    let found = match kind {
        Cost::None => return None,
        Cost::XaiTicks => ticks(tree.leaf("cost_in_usd_ticks")?),
        Cost::OpenRouterUsd => openrouter(tree.leaf("cost")?, tree, flags),
    };
    if found.is_none() {
        flags.insert(UsageFlag::CostUnreadable);
    }
    found
}

fn ticks(text: &str) -> Option<Pusd> {
    let ticks: u64 = text.parse().ok()?;
    u128::from(ticks)
        .checked_mul(PUSD_PER_TICK)
        .map(Pusd::from_pico)
}

/// With the account's own provider key `cost` is OpenRouter's fee only; the call's cost is that
/// plus what the provider charged, and without the latter it is not known.
fn openrouter(text: &str, tree: &Tree, flags: &mut BTreeSet<UsageFlag>) -> Option<Pusd> {
    let fee = usd(text, flags)?;
    let upstream = tree.leaf("cost_details.upstream_inference_cost");
    match tree.leaf("is_byok") {
        Some("true") => fee.plus(usd(upstream?, flags)?).ok(),
        _ => Some(fee),
    }
}

/// Decimal USD exactly; text finer than 10⁻¹² (a float's printed tail) is rounded up.
fn usd(text: &str, flags: &mut BTreeSet<UsageFlag>) -> Option<Pusd> {
    match Pusd::from_usd_text(text) {
        Err(DecimalError::TooFine(..)) => {
            flags.insert(UsageFlag::CostRounded);
            rounded_up(text)
        }
        other => other.ok(),
    }
}

fn rounded_up(text: &str) -> Option<Pusd> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let places = i64::try_from(PLACES).ok()?;
    let keep = i64::try_from(whole.len())
        .ok()?
        .checked_add(exponent)?
        .checked_add(places)?;
    let kept = digits.get(..usize::try_from(keep).unwrap_or(0))?;
    let floor: u128 = if kept.is_empty() {
        0
    } else {
        kept.parse().ok()?
    };
    floor.checked_add(1).map(Pusd::from_pico)
}
