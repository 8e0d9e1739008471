//! What is computed from what was measured. Pure.

use crate::yard::histogram::Durations;
use crate::yard::process::Used;
use crate::yard::session::Line;

/// What an arm adds to another one, in microseconds: the difference of their quantiles.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Added {
    pub(crate) p50: f64,
    pub(crate) p90: f64,
    pub(crate) p99: f64,
}

/// What `arm` adds to `base`; `None` when either counted nothing.
pub(crate) fn added(arm: &Durations, base: &Durations) -> Option<Added> {
    let at = |share| Some(arm.at(share)? - base.at(share)?);
    Some(Added {
        p50: at(0.5)?,
        p90: at(0.9)?,
        p99: at(0.99)?,
    })
}

/// The lines of a measure, by arm.
pub(crate) fn of<'a>(
    lines: &'a [Line],
    measure: &'a str,
    arm: &'a str,
) -> impl Iterator<Item = &'a Line> {
    lines
        .iter()
        .filter(move |line| line.measure == measure && line.arm == arm)
}

/// The line of an arm that made most calls a second, whatever the number of connections.
pub(crate) fn best<'a>(lines: &'a [Line], measure: &'a str, arm: &'a str) -> Option<&'a Line> {
    let rate = |line: &&Line| line.tally.rate();
    of(lines, measure, arm).max_by(|a, b| rate(a).total_cmp(&rate(b)))
}

/// Calls a second of the best line.
pub(crate) fn best_rate(lines: &[Line], measure: &str, arm: &str) -> Option<f64> {
    best(lines, measure, arm).map(|line| line.tally.rate())
}

/// The best rate among arms, and whose it is.
pub(crate) fn best_of<'a>(
    lines: &[Line],
    measure: &str,
    arms: impl IntoIterator<Item = &'a str>,
) -> Option<(&'a str, f64)> {
    let rates = arms
        .into_iter()
        .filter_map(|arm| Some((arm, best_rate(lines, measure, arm)?)));
    rates.max_by(|a, b| a.1.total_cmp(&b.1))
}

/// Calls a second of a proxy that does what nginx does and recovers one signature a call, on so many cores.
pub(crate) fn limit(nginx_rate: f64, recovery_us: f64, cores: usize) -> f64 {
    1.0 / (1.0 / nginx_rate + recovery_us / 1e6 / cores as f64)
}

/// Microseconds of a core that a call takes of the measured process.
pub(crate) fn cpu_us(line: &Line, process: &str) -> Option<f64> {
    per_call(line, process, |used| used.cpu_us)
}

/// Bytes that a call sends to the disk.
pub(crate) fn written(line: &Line, process: &str) -> Option<f64> {
    per_call(line, process, |used| used.written)
}

fn per_call(line: &Line, process: &str, what: impl Fn(&Used) -> u64) -> Option<f64> {
    let calls = line.tally.in_time;
    let used = line.tally.used.get(process)?;
    (calls > 0).then(|| what(used) as f64 / calls as f64)
}
