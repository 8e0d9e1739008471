//! What is to be reached, what was measured, and whether it was reached. Pure.

use super::Results;
use super::figures::{added, best, best_of, best_rate, limit, of, written};
use crate::yard::arm::{DIRECT, EXACT_ARMS, NGINX, NGINX_STATIC, UNPAID, VOUCHER};
use crate::yard::run::{LATENCY, SATURATION};
use crate::yard::settled::MEASURE as SETTLED;

/// One goal.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Goal {
    pub(crate) what: &'static str,
    pub(crate) goal: String,
    pub(crate) measured: String,
    /// `None` when it was not measured, or not far enough to judge.
    pub(crate) reached: Option<bool>,
}

/// How many streams are to be open at once, and what each may take.
const STREAMS: u64 = 5000;
const STREAM_BYTES: f64 = 32.0 * 1024.0;

/// Peers, by how their names begin, and how many times as many voucher-paid calls there are to be.
const TIMES_PEERS: [(&str, &str, f64); 3] = [
    (
        "voucher-paid throughput over @x402/express",
        "x402-express",
        50.0,
    ),
    ("voucher-paid throughput over x402-axum", "x402-axum", 10.0),
    ("voucher-paid throughput over mppx's proxy", "mppx", 50.0),
];

/// All goals, in the order of their importance.
pub(crate) fn goals(results: &Results) -> Vec<Goal> {
    let mut goals = latency(results);
    goals.push(physical(results));
    goals.extend(TIMES_PEERS.map(|peer| over_peer(results, peer)));
    goals.push(exact(results));
    goals.extend(challenge(results));
    goals.extend(tokens(results));
    goals.push(streams(results));
    goals.push(verify(results));
    goals.push(ledger(results));
    goals
}

fn latency(results: &Results) -> Vec<Goal> {
    let first = |arm| {
        of(&results.lines, LATENCY, arm)
            .next()
            .map(|line| &line.tally.first)
    };
    let added = first(VOUCHER)
        .zip(first(DIRECT))
        .and_then(|(arm, base)| added(arm, base));
    let limits = [
        (
            "added time to first byte, voucher-paid, 500 calls/s, p50",
            300.0,
            added.map(|a| a.p50),
        ),
        (
            "added time to first byte, voucher-paid, 500 calls/s, p99",
            2000.0,
            added.map(|a| a.p99),
        ),
    ];
    let limits = limits.into_iter();
    limits
        .map(|(what, limit, found)| Goal {
            what,
            goal: format!("≤ {} ms", limit / 1000.0),
            measured: said(found.map(|us| format!("{:.2} ms", us / 1000.0))),
            reached: found.map(|us| us <= limit),
        })
        .collect()
}

fn physical(results: &Results) -> Goal {
    let voucher = best_rate(&results.lines, SATURATION, VOUCHER);
    let nginx = best_rate(&results.lines, SATURATION, NGINX);
    let limit = nginx
        .zip(results.bare)
        .map(|(nginx, bare)| limit(nginx, bare.recovery_us(), results.machine.cores));
    at_least(
        "voucher-paid throughput over the physical limit",
        0.5,
        ratio(voucher, limit),
    )
}

fn over_peer(results: &Results, (what, peer, times): (&'static str, &str, f64)) -> Goal {
    let voucher = best_rate(&results.lines, SATURATION, VOUCHER);
    let peers = results.peers.iter().map(|peer| peer.name.as_str());
    let named = peers.filter(|name| name.starts_with(peer));
    let peer = best_of(&results.lines, SETTLED, named);
    at_least(what, times, ratio(voucher, peer.map(|peer| peer.1)))
}

fn exact(results: &Results) -> Goal {
    let groat = best_of(&results.lines, SETTLED, EXACT_ARMS);
    let peers = results.peers.iter().map(|peer| peer.name.as_str());
    let peer = best_of(&results.lines, SETTLED, peers);
    at_least(
        "exact-paid throughput, settlements included, over the best peer",
        5.0,
        ratio(groat.map(|arm| arm.1), peer.map(|peer| peer.1)),
    )
}

fn challenge(results: &Results) -> Vec<Goal> {
    let rate = |arm| best_rate(&results.lines, SATURATION, arm);
    let written = best(&results.lines, SATURATION, UNPAID).and_then(|line| written(line, "server"));
    vec![
        at_least(
            "the 402 over nginx's static answer of its size",
            0.4,
            ratio(rate(UNPAID), rate(NGINX_STATIC)),
        ),
        Goal {
            what: "disk writes of a 402",
            goal: "none".to_owned(),
            measured: said(written.map(|bytes| format!("{bytes:.1} bytes"))),
            // The process is alive beside it and may write now and then; a write a call is thousands.
            reached: written.map(|bytes| bytes < 1.0),
        },
    ]
}

fn tokens(results: &Results) -> [Goal; 2] {
    let tokens = results.tokens.as_ref();
    let ways = [
        (
            "time to first token with llama.cpp over direct, prompt cached",
            tokens.map(|tokens| &tokens.cached),
        ),
        (
            "time to first token with llama.cpp over direct, prompt read anew",
            tokens.map(|tokens| &tokens.afresh),
        ),
    ];
    ways.map(|(what, ways)| at_most(what, 1.01, ways.and_then(|ways| ways.over_direct(VOUCHER))))
}

fn streams(results: &Results) -> Goal {
    let streams = results.streams;
    let enough = streams.filter(|streams| streams.wanted as u64 >= STREAMS);
    Goal {
        what: "open streams",
        goal: "5,000 at once, ≤ 32 KiB each".to_owned(),
        measured: said(streams.map(|streams| {
            format!(
                "{} at once, {:.1} KiB each",
                streams.open,
                streams.each() / 1024.0
            )
        })),
        reached: enough.map(|streams| streams.open >= STREAMS && streams.each() <= STREAM_BYTES),
    }
}

fn verify(results: &Results) -> Goal {
    let ratio = results
        .bare
        .map(|bare| bare.voucher_us / bare.recovery_us());
    at_most(
        "verify of one voucher over the fastest bare recovery",
        1.15,
        ratio,
    )
}

fn ledger(results: &Results) -> Goal {
    let events = results.ledger_events;
    Goal {
        what: "durable ledger events a second, 64 writers",
        goal: "≥ 10,000".to_owned(),
        measured: said(events.map(|events| format!("{events:.0}"))),
        reached: events.map(|events| events >= 10_000.0),
    }
}

fn at_least(what: &'static str, limit: f64, ratio: Option<f64>) -> Goal {
    Goal {
        what,
        goal: format!("≥ {limit} ×"),
        measured: said(ratio.map(times)),
        reached: ratio.map(|ratio| ratio >= limit),
    }
}

fn at_most(what: &'static str, limit: f64, ratio: Option<f64>) -> Goal {
    Goal {
        what,
        goal: format!("≤ {limit} ×"),
        measured: said(ratio.map(|ratio| format!("{ratio:.3} ×"))),
        reached: ratio.map(|ratio| ratio <= limit),
    }
}

/// A ratio in as many digits as are worth reading.
pub(crate) fn times(ratio: f64) -> String {
    match ratio {
        r if r >= 100.0 => format!("{r:.0} ×"),
        r if r >= 10.0 => format!("{r:.1} ×"),
        r => format!("{r:.2} ×"),
    }
}

fn ratio(of: Option<f64>, to: Option<f64>) -> Option<f64> {
    let (of, to) = of.zip(to)?;
    (to > 0.0).then_some(of / to)
}

fn said(measured: Option<String>) -> String {
    measured.unwrap_or_else(|| "not measured".to_owned())
}
