//! How much is measured.

use super::session::Times;
use super::settled::Settling;
use std::time::Duration;

/// How much is measured.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) name: &'static str,
    /// Calls at a fixed rate: how long, and how many a second.
    pub(crate) latency: (Times, f64),
    /// As many calls as can be answered, by connections.
    pub(crate) saturation: (Times, Vec<usize>),
    /// The same of longer bodies, by their bytes.
    pub(crate) bodies: (Times, Vec<usize>),
    /// Streams of events at a distance.
    pub(crate) gaps: Times,
    pub(crate) settled: Vec<Settling>,
    /// Streams that are open at once.
    pub(crate) streams: usize,
    /// Calls one after another, and how long at most.
    pub(crate) soak: (u64, Duration),
    /// Questions to the real model.
    pub(crate) questions: usize,
    /// Turns of fifty signatures.
    pub(crate) signatures: usize,
}

impl Plan {
    /// All of it: about 40 minutes.
    pub(crate) fn full() -> Self {
        let settling = |connections| Settling {
            rounds: 2,
            seconds: 3.0,
            calls: 1500,
            connections,
        };
        Self {
            name: "full",
            latency: (times(5, 6.0), 500.0),
            saturation: (times(3, 3.0), vec![1, 16, 64, 256]),
            bodies: (times(2, 3.0), vec![100 << 10, 400 << 10]),
            gaps: times(3, 4.0),
            settled: [16, 64].map(settling).to_vec(),
            streams: 5000,
            soak: (1_000_000, Duration::from_secs(480)),
            questions: 60,
            signatures: 60,
        }
    }

    /// The same, shorter: about four minutes.
    pub(crate) fn quick() -> Self {
        Self {
            name: "quick",
            latency: (times(2, 2.5), 500.0),
            saturation: (times(1, 1.5), vec![1, 16, 64, 256]),
            bodies: (times(1, 1.2), vec![100 << 10, 400 << 10]),
            gaps: times(1, 3.0),
            settled: vec![Settling {
                rounds: 1,
                seconds: 1.5,
                calls: 500,
                connections: 32,
            }],
            streams: 1000,
            soak: (100_000, Duration::from_secs(15)),
            questions: 12,
            signatures: 10,
        }
    }
}

fn times(rounds: usize, seconds: f64) -> Times {
    Times {
        rounds,
        seconds,
        warm_up: 0.3,
    }
}
