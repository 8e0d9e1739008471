//! The map's two ways to price long prompts: a threshold in the field's name, and a list of ranges.

use super::fields::{Fields, Stated, whole};
use super::{ImportError, not_expressible};
use crate::pricing::{CacheReadPrice, PriceTier};
use serde_json::value::RawValue;
use std::collections::BTreeSet;

/// Tiers from names such as `input_cost_per_token_above_200k_tokens`, in ascending order.
///
/// The map's own reader applies them to the whole request when its prompt is strictly longer.
pub(super) fn by_suffix(
    fields: &Fields<'_>,
    notes: &mut Vec<String>,
) -> Result<Vec<PriceTier>, ImportError> {
    let thousands: BTreeSet<u64> = fields.names().filter_map(threshold).collect();
    let mut tiers = Vec::new();
    for k in thousands {
        let stated = Stated::read(fields, &format!("_above_{k}k_tokens"), notes)?;
        // Some thresholds are only those of images or sound, which have no price here.
        if stated != Stated::default() {
            let above = k
                .checked_mul(1000)
                .ok_or_else(|| not_expressible("above_tokens", "the threshold is out of range"))?;
            tiers.push(tier(above, stated));
        }
    }
    Ok(tiers)
}

/// Tiers from `tiered_pricing`: contiguous ranges `(from, to]` of prompt tokens, each pricing the
/// whole request. The first range gives the row's own prices.
pub(super) fn by_range(
    list: &RawValue,
    base: &mut Stated,
    notes: &mut Vec<String>,
) -> Result<Vec<PriceTier>, ImportError> {
    let refuse = |reason| not_expressible("tiered_pricing", reason);
    let ranges: Vec<&RawValue> =
        serde_json::from_str(list.get()).map_err(|_| refuse("is not a list"))?;
    let mut tiers = Vec::new();
    let mut reached = 0;
    let mut first_names: Option<Vec<String>> = None;
    for raw in ranges {
        let fields = Fields::parse(raw)?;
        let bounds = fields.raw("range").map_or("[]", RawValue::get);
        let bounds: Vec<&RawValue> = serde_json::from_str(bounds).unwrap_or_default();
        let bounds: Vec<Option<u64>> = bounds.iter().map(|b| whole(b.get())).collect();
        let [Some(from), Some(to)] = bounds.as_slice() else {
            return Err(refuse("a range is not two whole numbers of tokens"));
        };
        if *from != reached || to <= from {
            return Err(refuse("the ranges do not follow each other from 0"));
        }
        reached = *to;
        let names: Vec<String> = fields.names().map(str::to_owned).collect();
        let stated = Stated::read(&fields, "", notes)?;
        match &first_names {
            None => {
                *base = over(*base, stated);
                first_names = Some(names);
            }
            Some(first) if *first != names => {
                return Err(refuse("the ranges do not price the same things"));
            }
            Some(_) => tiers.push(tier(*from, stated)),
        }
    }
    if first_names.is_none() {
        return Err(refuse("is empty"));
    }
    Ok(tiers)
}

fn threshold(name: &str) -> Option<u64> {
    let (_, k) = name.strip_suffix("k_tokens")?.rsplit_once("_above_")?;
    k.parse().ok()
}

fn over(base: Stated, stated: Stated) -> Stated {
    Stated {
        prompt: stated.prompt.or(base.prompt),
        completion: stated.completion.or(base.completion),
        cache_read: stated.cache_read.or(base.cache_read),
        cache_write_5m: stated.cache_write_5m.or(base.cache_write_5m),
        cache_write_1h: stated.cache_write_1h.or(base.cache_write_1h),
        reasoning: stated.reasoning.or(base.reasoning),
    }
}

fn tier(above_prompt_tokens: u64, stated: Stated) -> PriceTier {
    PriceTier {
        above_prompt_tokens,
        cache_read: stated.cache_read.map(CacheReadPrice::Known),
        cache_write_1h: stated.cache_write_1h,
        cache_write_5m: stated.cache_write_5m,
        completion: stated.completion,
        prompt: stated.prompt,
        reasoning: stated.reasoning,
    }
}
