//! What a load process is asked to do, and what it answers.

use super::histogram::Durations;
use super::process::Used;
use alloy::primitives::B256;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

/// In a body, the place of the connection's own number: with it no two connections send the same.
pub(crate) const OWN_NUMBER: &str = "########";

/// One stretch of load on one server.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Job {
    /// The server.
    pub(crate) address: SocketAddr,
    /// The path that is posted to.
    pub(crate) path: String,
    /// The body of each request.
    pub(crate) body: String,
    /// The status that is a good answer.
    pub(crate) expect: u16,
    /// Connections, each with one call at a time.
    pub(crate) connections: usize,
    /// Threads that the connections are spread over.
    pub(crate) threads: usize,
    /// How calls follow each other.
    pub(crate) pace: Pace,
    /// Seconds at the beginning that are not measured.
    pub(crate) warm_up: f64,
    /// What each call is paid with.
    pub(crate) payment: Payment,
    /// Other headers of each call.
    pub(crate) headers: Vec<(String, String)>,
    /// Processes to look at, by name.
    pub(crate) watched: Vec<(String, u32)>,
}

/// How calls follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) enum Pace {
    /// Each connection calls again as soon as it is answered.
    Closed {
        /// For how long, or until all payments are spent.
        seconds: f64,
        /// At most so many calls.
        calls: usize,
    },
    /// Calls are due at a fixed rate, whatever became of those before: a call that waits for a free
    /// connection has begun when it was due.
    Open {
        /// For how long.
        seconds: f64,
        /// Calls a second.
        rate: f64,
    },
    /// Each connection makes one call, all at the same time.
    Once,
}

impl Pace {
    /// The most calls that can be made.
    pub(crate) fn calls_max(self, connections: usize) -> usize {
        match self {
            Self::Closed { calls, .. } => calls,
            Self::Open { seconds, rate } => (seconds * rate).ceil() as usize,
            Self::Once => connections,
        }
    }
}

/// What each call is paid with.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Payment {
    /// Nothing.
    None,
    /// An authorization of its own, by `exact` or `upto` as the offer says.
    Authorization {
        /// Private keys, in hexadecimal, that sign in turn.
        keys: Vec<String>,
        /// The challenge and its chosen offer, as they came.
        challenge: Value,
        offer: Value,
    },
    /// The next voucher of the connection's channel.
    Voucher {
        /// The private key of all channels, in hexadecimal.
        key: String,
        challenge: Value,
        offer: Value,
        /// What each call is charged.
        cost: u128,
        channels: Vec<Channel>,
        /// How many connections share a channel.
        side_by_side: usize,
    },
    /// The answer to a challenge of MPP's for each call.
    Charge {
        /// Private keys, in hexadecimal, that sign in turn.
        keys: Vec<String>,
        /// An offer of `exact` for the same call: it names the token.
        offer: Value,
        /// The challenges of each connection, as header values.
        challenges: Vec<Vec<String>>,
    },
    /// Headers that somebody else signed: a file of JSON objects, one a line.
    Headers(PathBuf),
}

/// A channel, as a payer has to know it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Channel {
    /// What tells it apart from the wallet's others.
    pub(crate) salt: B256,
    /// What it was charged so far.
    pub(crate) charged: u128,
}

/// What came of a job.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Tally {
    /// Calls that were sent.
    pub(crate) sent: u64,
    /// Calls that were answered as expected.
    pub(crate) answered: u64,
    /// Of those, the ones that began and ended in the time that is measured.
    pub(crate) in_time: u64,
    /// What went wrong, and how often.
    pub(crate) failed: BTreeMap<String, u64>,
    /// Seconds that were measured.
    pub(crate) seconds: f64,
    /// When it was over, in milliseconds since the Unix epoch.
    pub(crate) ended_ms: u64,
    /// Seconds that signing took before the clock started.
    pub(crate) signing_seconds: f64,
    /// From the call to the first byte of the answer's body.
    pub(crate) first: Durations,
    /// From the call to the first token of its text.
    pub(crate) token: Durations,
    /// From the call to the last byte.
    pub(crate) last: Durations,
    /// Between the events of a stream.
    pub(crate) gaps: Durations,
    /// The most streams that were open at the same time.
    pub(crate) open: u64,
    /// What each watched process used in the time that is measured.
    pub(crate) used: BTreeMap<String, Used>,
    /// The same of memory at the beginning.
    pub(crate) rss_before: BTreeMap<String, u64>,
}

impl Tally {
    /// Adds what came of another stretch of the same kind.
    pub(crate) fn add(&mut self, other: &Self) {
        self.sent += other.sent;
        self.answered += other.answered;
        self.in_time += other.in_time;
        self.seconds += other.seconds;
        self.signing_seconds += other.signing_seconds;
        self.ended_ms = self.ended_ms.max(other.ended_ms);
        self.open = self.open.max(other.open);
        for (what, count) in &other.failed {
            *self.failed.entry(what.clone()).or_default() += count;
        }
        self.first.add(&other.first);
        self.token.add(&other.token);
        self.last.add(&other.last);
        self.gaps.add(&other.gaps);
        for (name, used) in &other.used {
            let sum = self.used.entry(name.clone()).or_default();
            *sum = Used {
                cpu_us: sum.cpu_us + used.cpu_us,
                rss: sum.rss.max(used.rss),
                written: sum.written + used.written,
            };
        }
        for (name, rss) in &other.rss_before {
            self.rss_before.entry(name.clone()).or_insert(*rss);
        }
    }

    /// Calls a second.
    pub(crate) fn rate(&self) -> f64 {
        if self.seconds > 0.0 {
            self.in_time as f64 / self.seconds
        } else {
            0.0
        }
    }

    /// What went wrong, as one line; `None` when every call that was sent was answered.
    pub(crate) fn complaint(&self) -> Option<String> {
        let lost = self.sent.saturating_sub(self.answered);
        if lost == 0 && self.failed.is_empty() {
            return None;
        }
        let reasons: Vec<String> = self
            .failed
            .iter()
            .map(|(what, count)| format!("{count} × {what}"))
            .collect();
        Some(format!(
            "{lost} of {} calls were not answered: {}",
            self.sent,
            reasons.join(", ")
        ))
    }
}
