//! The table of a run, ratios first. Pure.

use super::Results;
use super::figures::{added, best_of, best_rate, cpu_us, of};
use super::goals::{goals, times};
use crate::yard::arm::{DIRECT, NGINX};
use crate::yard::run::{BODIES, GAPS, LATENCY, SATURATION};
use crate::yard::session::Line;
use crate::yard::settled::MEASURE as SETTLED;
use std::fmt::Write as _;

/// As Markdown.
pub(crate) fn table(results: &Results) -> String {
    let sections = [
        machine(results),
        reached(results),
        throughput(results),
        latency(
            results,
            LATENCY,
            "Added to direct, at a fixed rate of 500 calls a second",
        ),
        latency(
            results,
            BODIES,
            "Added to direct by longer bodies, 16 connections",
        ),
        gaps(results),
        tokens(results),
        settled(results),
        memory(results),
        missed(results),
    ];
    let sections = sections.iter().filter(|section| !section.is_empty());
    sections
        .map(|section| format!("{}\n", section.trim_end()))
        .collect::<Vec<_>>()
        .join("\n")
}

fn machine(results: &Results) -> String {
    let m = &results.machine;
    let commit: String = m.commit.chars().take(12).collect();
    let changed = if m.commit.ends_with("changes") {
        " and changes"
    } else {
        ""
    };
    format!(
        "One {} run: {} cores of {}, Linux {}, {} under the ledgers, {}, {}, commit {commit}{changed}; load {} at its start. \
         Everything, the load itself included, ran on these cores. All figures: [latest.json](latest.json).\n",
        results.plan, m.cores, m.cpu, m.kernel, m.disk, m.rustc, m.nginx, m.load_average
    )
}

fn reached(results: &Results) -> String {
    let mut rows = String::from("| to reach | goal | measured | reached |\n|---|---|---|---|\n");
    for goal in goals(results) {
        let reached = match goal.reached {
            Some(true) => "yes",
            Some(false) => "**no**",
            None => "–",
        };
        let _ = writeln!(
            rows,
            "| {} | {} | {} | {reached} |",
            goal.what, goal.goal, goal.measured
        );
    }
    rows
}

/// The arms of a measure, in the order in which they were first measured.
fn arms<'a>(results: &'a Results, measure: &str) -> Vec<&'a str> {
    let mut arms: Vec<&str> = Vec::new();
    for line in results.lines.iter().filter(|line| line.measure == measure) {
        if !arms.contains(&line.arm.as_str()) {
            arms.push(&line.arm);
        }
    }
    arms
}

fn throughput(results: &Results) -> String {
    let lines = &results.lines;
    let arms = arms(results, SATURATION);
    let Some(nginx) = best_rate(lines, SATURATION, NGINX) else {
        return String::new();
    };
    let mut connections: Vec<usize> = lines
        .iter()
        .filter(|line| line.measure == SATURATION)
        .map(|line| line.connections)
        .collect();
    connections.sort_unstable();
    connections.dedup();
    let mut rows = String::from("### Calls a second, by connections\n\n| | of nginx proxying |");
    for connections in &connections {
        let _ = write!(rows, " {connections} |");
    }
    rows.push_str(" µs of a core a call |\n|---|---|");
    rows.push_str(&"---|".repeat(connections.len() + 1));
    rows.push('\n');
    for arm in arms {
        let best = best_rate(lines, SATURATION, arm).unwrap_or_default();
        let _ = write!(rows, "| {arm} | {} |", times(best / nginx));
        for connections in &connections {
            let at = of(lines, SATURATION, arm).find(|line| line.connections == *connections);
            let _ = write!(rows, " {} |", count(at.map(|line| line.tally.rate())));
        }
        let busy = of(lines, SATURATION, arm).max_by_key(|line| line.connections);
        let cpu = busy.and_then(|line| cpu_us(line, "server"));
        let _ = writeln!(rows, " {} |", count(cpu));
    }
    rows.push_str("\n![throughput](throughput.svg)\n![first byte, p50](first-byte-p50.svg)\n![first byte, p99](first-byte-p99.svg)\n");
    rows
}

fn latency(results: &Results, measure: &str, title: &str) -> String {
    let lines: Vec<&Line> = results
        .lines
        .iter()
        .filter(|line| line.measure == measure)
        .collect();
    if lines.is_empty() {
        return String::new();
    }
    let mut rows = format!(
        "### {title}, ms\n\n| | body | first byte p50 | p90 | p99 | last byte p50 | p90 | p99 |\n\
         |---|---|---|---|---|---|---|---|\n"
    );
    for line in lines.iter().filter(|line| line.arm != DIRECT) {
        let same = |base: &&&Line| base.arm == DIRECT && base.body == line.body;
        let Some(base) = lines.iter().find(same) else {
            continue;
        };
        let first = added(&line.tally.first, &base.tally.first);
        let last = added(&line.tally.last, &base.tally.last);
        if let Some((first, last)) = first.zip(last) {
            let ms = |us: f64| format!("{:.2}", us / 1000.0);
            let _ = writeln!(
                rows,
                "| {} | {} KiB | {} | {} | {} | {} | {} | {} |",
                line.arm,
                line.body.bytes >> 10,
                ms(first.p50),
                ms(first.p90),
                ms(first.p99),
                ms(last.p50),
                ms(last.p90),
                ms(last.p99)
            );
        }
    }
    rows
}

fn gaps(results: &Results) -> String {
    let lines: Vec<&Line> = results
        .lines
        .iter()
        .filter(|line| line.measure == GAPS)
        .collect();
    let Some(base) = lines.iter().find(|line| line.arm == DIRECT) else {
        return String::new();
    };
    let mut rows = String::from(
        "### Added to the gap between a stream's events, 16 streams, an event every 5 ms, µs\n\n\
         | | p50 | p90 | p99 | first event p50 |\n|---|---|---|---|---|\n",
    );
    for line in lines.iter().filter(|line| line.arm != DIRECT) {
        let gap = added(&line.tally.gaps, &base.tally.gaps);
        let first = added(&line.tally.first, &base.tally.first);
        if let Some((gap, first)) = gap.zip(first) {
            let _ = writeln!(
                rows,
                "| {} | {:.0} | {:.0} | {:.0} | {:.0} |",
                line.arm, gap.p50, gap.p90, gap.p99, first.p50
            );
        }
    }
    rows
}

fn tokens(results: &Results) -> String {
    let Some(tokens) = &results.tokens else {
        return String::new();
    };
    let mut rows = String::from(
        "### Time to the first token of llama.cpp\n\n\
         | | prompt cached, p50, ms | of direct | prompt read anew, p50, ms | of direct |\n\
         |---|---|---|---|---|\n",
    );
    let milliseconds =
        |us: Option<f64>| us.map_or_else(|| "–".to_owned(), |us| format!("{:.2}", us / 1000.0));
    let of_direct =
        |ratio: Option<f64>| ratio.map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.3} ×"));
    for (arm, _) in &tokens.cached.0 {
        let [cached, afresh] = [&tokens.cached, &tokens.afresh];
        let _ = writeln!(
            rows,
            "| {arm} | {} | {} | {} | {} |",
            milliseconds(cached.median(arm)),
            of_direct(cached.over_direct(arm)),
            milliseconds(afresh.median(arm)),
            of_direct(afresh.over_direct(arm)),
        );
    }
    rows
}

fn settled(results: &Results) -> String {
    let lines = &results.lines;
    let arms = arms(results, SETTLED);
    if arms.is_empty() {
        return String::new();
    }
    let peers = results.peers.iter().map(|peer| peer.name.as_str());
    let best_peer = best_of(lines, SETTLED, peers);
    let mut rows = String::from(
        "### Calls settled on the chain, one by one or together\n\n\
         | | of the best peer | settled calls a second | at a time | first byte p50, ms | transactions a thousand calls | gas a call |\n\
         |---|---|---|---|---|---|---|\n",
    );
    for arm in arms {
        for line in of(lines, SETTLED, arm) {
            let rate = line.tally.rate();
            let calls = line.tally.answered.max(1) as f64;
            let first = line.tally.first.at(0.5).map(|us| us / 1000.0);
            let of_peer = best_peer.map(|peer| times(rate / peer.1));
            let _ = writeln!(
                rows,
                "| {arm} | {} | {} | {} | {} | {:.0} | {:.0} |",
                of_peer.unwrap_or_else(|| "–".to_owned()),
                count(Some(rate)),
                line.connections,
                first.map_or_else(|| "–".to_owned(), |ms| format!("{ms:.1}")),
                line.mined.transactions as f64 * 1000.0 / calls,
                line.mined.gas as f64 / calls,
            );
        }
    }
    rows
}

fn memory(results: &Results) -> String {
    let mut rows =
        String::from("### Memory, disk, and what is left to claim\n\n| | |\n|---|---|\n");
    let empty = rows.len();
    let mib = |bytes: u64| format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20));
    if let Some(streams) = results.streams {
        let _ = writeln!(rows, "| at rest | {} |", mib(streams.rss_at_rest));
        let _ = writeln!(
            rows,
            "| each of {} open streams | {:.1} KiB |",
            streams.open,
            streams.each() / 1024.0
        );
    }
    if let Some(last) = results.soak.as_ref().and_then(|soak| soak.steps.last()) {
        let (calls, rss, disk) = *last;
        let _ = writeln!(rows, "| after {calls} calls | {} |", mib(rss));
        let _ = writeln!(
            rows,
            "| on disk, a call | {:.1} KiB |",
            disk as f64 / calls.max(1) as f64 / 1024.0
        );
    }
    if let Some(books) = results.books {
        let calls = books.calls.max(1) as f64;
        let entries = books.entries as f64 / calls;
        let _ = writeln!(
            rows,
            "| ledger entries, a voucher-paid call | {entries:.2} |"
        );
        let _ = writeln!(
            rows,
            "| claiming {} of them from {} channels, transactions a thousand calls | {:.2} |",
            books.calls,
            books.channels,
            books.claimed.transactions as f64 * 1000.0 / calls
        );
        let gas = books.claimed.gas as f64 / calls;
        let _ = writeln!(rows, "| gas of that, a call | {gas:.0} |");
    }
    if rows.len() == empty {
        String::new()
    } else {
        rows
    }
}

fn missed(results: &Results) -> String {
    if results.not_run.is_empty() {
        return String::new();
    }
    let mut rows = String::from("### Not run\n\n");
    for missed in &results.not_run {
        let why: String = missed.why.chars().take(300).collect();
        let _ = writeln!(rows, "- {}: {}", missed.what, why.replace(['\n', '|'], " "));
    }
    rows
}

/// A figure with a separator at each thousand.
fn count(figure: Option<f64>) -> String {
    let Some(figure) = figure else {
        return "–".to_owned();
    };
    if figure < 100.0 {
        return format!("{figure:.1}");
    }
    let digits = format!("{figure:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
