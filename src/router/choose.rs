//! In which order endpoints are tried: pure functions of what is known of them. Chance comes in as an
//! argument: `draw` gives a number below its own, which is never zero.

use super::{Bounds, Sort, Wanted};
use std::cmp::Ordering;

/// One call in so many asks an endpoint that is not known to be the fastest, to learn how it does.
const EXPLORE_EVERY: u64 = 20;

/// Endpoints that are within this share of the fastest are as fast.
const ALIKE: f64 = 0.25;

/// What is known of an endpoint that may answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Choice {
    /// The place of its model among those that were asked for.
    pub rank: usize,
    /// Its place in the caller's own order.
    pub place: Option<usize>,
    /// Whether it can be expected to answer.
    pub good: bool,
    /// Whether it misses what the caller prefers.
    pub misses: bool,
    /// What the conversation will probably cost there.
    pub expected: u128,
    /// What this call costs by the list.
    pub list: u128,
    /// Seconds to the first token, half of the time.
    pub latency: Option<f64>,
    /// Tokens a second, half of the time.
    pub throughput: Option<f64>,
    /// Calls under way there.
    pub busy: usize,
}

/// The order to try endpoints in: those that can be expected to answer before the others, then as the
/// caller wants it. Of those that come first alike, two are drawn, and the less busy one is asked. Without
/// fallbacks only the first choice is left, or what the caller's own order names.
pub fn ranked(choices: &[Choice], wanted: &Wanted, draw: impl FnMut(u64) -> u64) -> Vec<usize> {
    let mut order: Vec<(usize, &Choice)> = choices.iter().enumerate().collect();
    order.sort_by(|(_, a), (_, b)| group(a, b, wanted).then_with(|| by_sort(a, b, wanted.sort)));
    let lead = leading(&order, wanted, draw);
    if let Some(first) = order.get_mut(..=lead) {
        first.rotate_right(1);
    }
    if wanted.no_fallbacks && wanted.order.is_empty() {
        order.truncate(1);
    }
    order.into_iter().map(|(at, _)| at).collect()
}

/// What comes before any price and any speed.
fn group(a: &Choice, b: &Choice, wanted: &Wanted) -> Ordering {
    let rank = |choice: &Choice| if wanted.across_models { 0 } else { choice.rank };
    let place = |choice: &Choice| choice.place.unwrap_or(usize::MAX);
    b.good
        .cmp(&a.good)
        .then(rank(a).cmp(&rank(b)))
        .then(place(a).cmp(&place(b)))
        .then(a.misses.cmp(&b.misses))
}

fn by_sort(a: &Choice, b: &Choice, sort: Option<Sort>) -> Ordering {
    let cheaper = a.expected.cmp(&b.expected);
    match sort {
        None => cheaper,
        Some(Sort::Price) => a.list.cmp(&b.list).then(cheaper),
        Some(Sort::Latency) => faster(a.latency, b.latency, 1.0).then(cheaper),
        Some(Sort::Throughput) => faster(a.throughput, b.throughput, -1.0).then(cheaper),
    }
}

/// What is not known comes last.
fn faster(a: Option<f64>, b: Option<f64>, sign: f64) -> Ordering {
    match (a, b) {
        (Some(a), Some(b)) => (sign * a).total_cmp(&(sign * b)),
        (a, b) => b.is_some().cmp(&a.is_some()),
    }
}

/// Which of an order is asked first.
fn leading(order: &[(usize, &Choice)], wanted: &Wanted, mut draw: impl FnMut(u64) -> u64) -> usize {
    let Some((_, first)) = order.first() else {
        return 0;
    };
    let peer = |choice: &Choice| group(first, choice, wanted) == Ordering::Equal;
    let peers = order.iter().take_while(|(_, choice)| peer(choice)).count();
    let mut drawn = |below: usize| {
        let below = u64::try_from(below.max(1)).unwrap_or(u64::MAX);
        usize::try_from(draw(below)).unwrap_or(0)
    };
    let by_speed = matches!(wanted.sort, Some(Sort::Latency | Sort::Throughput));
    if by_speed && peers > 1 && drawn(index(EXPLORE_EVERY)) == 0 {
        return drawn(peers);
    }
    let alike = order.iter().take(peers);
    let alike = alike.take_while(|(_, choice)| is_alike(first, choice, wanted.sort));
    let alike = alike.count();
    if alike < 2 {
        return 0;
    }
    let (one, other) = (drawn(alike), drawn(alike));
    let busy = |at: usize| order.get(at).map_or(0, |(_, choice)| choice.busy);
    if busy(other) < busy(one) { other } else { one }
}

fn is_alike(first: &Choice, other: &Choice, sort: Option<Sort>) -> bool {
    let near = |a: Option<f64>, b: Option<f64>| match (a, b) {
        (Some(a), Some(b)) => (a - b).abs() <= ALIKE * a.abs().max(b.abs()),
        (a, b) => a == b,
    };
    match sort {
        None => first.expected == other.expected,
        Some(Sort::Price) => (first.list, first.expected) == (other.list, other.expected),
        Some(Sort::Latency) => near(first.latency, other.latency),
        Some(Sort::Throughput) => near(first.throughput, other.throughput),
    }
}

/// Whether a percentile that is known is beyond the caller's bound.
pub fn misses(
    wanted: &Wanted,
    latency: impl Fn(f64) -> Option<f64>,
    throughput: impl Fn(f64) -> Option<f64>,
) -> bool {
    let each = |bounds: &Bounds| {
        [
            (0.5, bounds.p50),
            (0.75, bounds.p75),
            (0.9, bounds.p90),
            (0.99, bounds.p99),
        ]
    };
    let slow = each(&wanted.max_latency).into_iter().any(|(q, bound)| {
        let known = bound.zip(latency(q));
        known.is_some_and(|(bound, seconds)| seconds > bound)
    });
    // Of speeds the low end is the bad one: nine calls in ten are faster than the tenth percentile.
    let slack = each(&wanted.min_throughput).into_iter().any(|(q, bound)| {
        let known = bound.zip(throughput(1.0 - q));
        known.is_some_and(|(bound, tokens)| tokens < bound)
    });
    slow || slack
}

/// The order to try accounts in, drawn by weight; those that can be expected to work come first.
pub fn drawn(accounts: &[(u64, bool)], mut draw: impl FnMut(u64) -> u64) -> Vec<usize> {
    let mut left: Vec<usize> = (0..accounts.len()).collect();
    let known = |at: usize| accounts.get(at).copied().unwrap_or_default();
    let mut order = Vec::with_capacity(left.len());
    while !left.is_empty() {
        let any_good = left.iter().any(|at| known(*at).1);
        let weight = |at: usize| match known(at) {
            (weight, good) if good || !any_good => weight.max(1),
            _ => 0,
        };
        let total = left
            .iter()
            .fold(0u64, |sum, at| sum.saturating_add(weight(*at)));
        let mut drawn = draw(total.max(1));
        let chosen = left
            .iter()
            .position(|at| match drawn.checked_sub(weight(*at)) {
                Some(rest) => {
                    drawn = rest;
                    false
                }
                None => true,
            });
        order.push(left.remove(chosen.unwrap_or(0)));
    }
    order
}

fn index(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
