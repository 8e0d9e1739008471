use super::spec::{Path, Shape};
use super::tree::Tree;
use super::{Usage, UsageFault, UsageFlag};
use std::collections::BTreeSet;

/// The largest count that is believed, in tokens.
const COUNT_MAX: u64 = 1_000_000_000;

type Flags = BTreeSet<UsageFlag>;

/// Brings a usage object of the first matching style into the normal form.
pub(super) fn normal(
    shapes: &[Shape],
    tree: &Tree,
    flags: &mut Flags,
) -> Result<Usage, UsageFault> {
    let matching = |s: &&Shape| s.marks.iter().any(|mark| tree.leaf(mark).is_some());
    let shape = shapes
        .iter()
        .find(matching)
        .or(shapes.last())
        .ok_or(UsageFault::Missing)?;
    let prompt = prompt(shape, tree, flags)?;
    let (output, reasoning) = output(shape, tree, prompt.reported, flags)?;
    let usage = Usage {
        output,
        reasoning,
        ..prompt.usage
    };
    if usage == Usage::default() {
        return Err(UsageFault::AllZero);
    }
    Ok(usage)
}

struct Prompt {
    /// The prompt classes.
    usage: Usage,
    /// What the total counts as prompt.
    reported: u64,
}

fn prompt(shape: &Shape, tree: &Tree, flags: &mut Flags) -> Result<Prompt, UsageFault> {
    let cached = largest(tree, shape.cache_read, flags)?;
    let missed = largest(tree, shape.cache_miss, flags)?;
    let extra = largest(tree, shape.prompt_extra, flags)?.unwrap_or(0);
    let reported = largest(tree, shape.prompt, flags)?;
    let split = missed.map(|m| m.saturating_add(cached.unwrap_or(0)));
    let prompt = reported.or(split).ok_or(UsageFault::Missing)?;
    if split.is_some_and(|split| split != prompt) {
        return Err(UsageFault::Contradictory);
    }
    let (cache_write_5m, cache_write_1h) = writes(shape, tree, flags)?;
    let written = cache_write_5m.saturating_add(cache_write_1h);
    let mut cache_read = cached.unwrap_or(0);
    let mut uncached = prompt;
    if shape.prompt_inclusive {
        let room = prompt
            .checked_sub(written)
            .ok_or(UsageFault::Contradictory)?;
        if cache_read > room {
            if !shape.clamp_cached {
                return Err(UsageFault::Contradictory);
            }
            flags.insert(UsageFlag::CachedExceedsPrompt);
            cache_read = room;
        }
        uncached = room.saturating_sub(cache_read);
    }
    Ok(Prompt {
        usage: Usage {
            uncached: uncached.saturating_add(extra),
            cache_read,
            cache_write_5m,
            cache_write_1h,
            ..Usage::default()
        },
        reported: prompt.saturating_add(extra),
    })
}

/// The cache writes by TTL; what no TTL is known of goes to the short class, the cheaper one.
fn writes(shape: &Shape, tree: &Tree, flags: &mut Flags) -> Result<(u64, u64), UsageFault> {
    let short = largest(tree, shape.write_5m, flags)?.unwrap_or(0);
    let long = largest(tree, shape.write_1h, flags)?.unwrap_or(0);
    let split = short.saturating_add(long);
    let total = largest(tree, shape.write_total, flags)?.unwrap_or(split);
    let unknown = total.checked_sub(split).ok_or(UsageFault::Contradictory)?;
    if unknown > 0 && !shape.one_ttl {
        flags.insert(UsageFlag::CacheWriteTtlUnknown);
    }
    Ok((short.saturating_add(unknown), long))
}

/// The visible output and the reasoning.
fn output(
    shape: &Shape,
    tree: &Tree,
    prompt: u64,
    flags: &mut Flags,
) -> Result<(u64, u64), UsageFault> {
    let reasoning = largest(tree, shape.reasoning, flags)?.unwrap_or(0);
    let total = total(shape, tree, flags);
    let completion = match largest(tree, shape.completion, flags)? {
        Some(count) => count,
        None => {
            let outside = if shape.reasoning_inside { 0 } else { reasoning };
            let rest = total
                .ok_or(UsageFault::Missing)?
                .checked_sub(prompt)
                .and_then(|rest| rest.checked_sub(outside))
                .ok_or(UsageFault::Contradictory)?;
            flags.insert(UsageFlag::CompletionFromTotal);
            rest
        }
    };
    let without = prompt.saturating_add(completion);
    let with = without.saturating_add(reasoning);
    let inside = match total {
        _ if reasoning == 0 => shape.reasoning_inside,
        Some(t) if t == with => false,
        Some(t) if t == without && reasoning <= completion => true,
        _ => shape.reasoning_inside,
    };
    if inside != shape.reasoning_inside {
        flags.insert(UsageFlag::ReasoningPlacedByTotal);
    }
    let hidden = hidden(shape, total, if inside { without } else { with }, flags);
    if !inside {
        return Ok((completion, reasoning.saturating_add(hidden)));
    }
    if reasoning > completion {
        flags.insert(UsageFlag::ReasoningExceedsCompletion);
    }
    let reasoning = reasoning.min(completion);
    let visible = completion.saturating_sub(reasoning);
    Ok((visible, reasoning.saturating_add(hidden)))
}

/// Output tokens that only the total shows.
fn hidden(shape: &Shape, total: Option<u64>, expected: u64, flags: &mut Flags) -> u64 {
    match total {
        Some(total) if shape.hidden_output && total > expected => {
            flags.insert(UsageFlag::ReasoningFromTotal);
            total.saturating_sub(expected)
        }
        Some(total) if total != expected => {
            flags.insert(UsageFlag::TotalMismatch);
            0
        }
        _ => 0,
    }
}

/// The total only checks the other counts, so a broken one is a flag and no fault.
fn total(shape: &Shape, tree: &Tree, flags: &mut Flags) -> Option<u64> {
    largest(tree, shape.total, flags).unwrap_or_else(|_| {
        flags.insert(UsageFlag::TotalMismatch);
        None
    })
}

/// The count under any of its spellings.
fn largest(tree: &Tree, paths: &[Path], flags: &mut Flags) -> Result<Option<u64>, UsageFault> {
    let mut found = None;
    for path in paths {
        let Some(text) = tree.leaf(path) else {
            continue;
        };
        let count = count(text)?;
        if found.is_some_and(|other| other != count) {
            flags.insert(UsageFlag::SpellingsDisagree);
        }
        found = found.max(Some(count));
    }
    Ok(found)
}

fn count(text: &str) -> Result<u64, UsageFault> {
    if !text.bytes().all(|b| b.is_ascii_digit()) {
        let negative = text.starts_with('-');
        return Err(if negative {
            UsageFault::Negative
        } else {
            UsageFault::NotInteger
        });
    }
    match text.parse::<u64>() {
        Ok(count) if count <= COUNT_MAX => Ok(count),
        _ => Err(UsageFault::Absurd),
    }
}
