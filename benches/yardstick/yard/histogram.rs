//! Durations, counted so that many runs can be added up: to three digits, up to a minute.

use hdrhistogram::Histogram;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::time::Duration;

/// The longest duration that is told apart from longer ones.
const LONGEST: Duration = Duration::from_secs(60);

/// Digits that are kept of each duration.
const DIGITS: u8 = 3;

/// How long things took.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Durations(Histogram<u64>);

impl Default for Durations {
    fn default() -> Self {
        let longest = nanoseconds(LONGEST);
        Self(Histogram::new_with_max(longest, DIGITS).expect("bounds that are in order"))
    }
}

impl Durations {
    /// Counts one; longer than a minute is a minute.
    pub(crate) fn record(&mut self, took: Duration) {
        self.0.saturating_record(nanoseconds(took));
    }

    /// Adds what another has counted.
    pub(crate) fn add(&mut self, other: &Self) {
        self.0.add(&other.0).expect("the same bounds");
    }

    /// How many were counted.
    pub(crate) fn count(&self) -> u64 {
        self.0.len()
    }

    /// The duration that this share (0 to 1) of all did not exceed, in microseconds; `None` of nothing.
    pub(crate) fn at(&self, share: f64) -> Option<f64> {
        let found = self.0.value_at_quantile(share);
        (self.count() > 0).then_some(found as f64 / 1000.0)
    }
}

/// As pairs of a duration in nanoseconds and how often it was counted.
impl Serialize for Durations {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let counted = self.0.iter_recorded();
        s.collect_seq(counted.map(|step| (step.value_iterated_to(), step.count_at_value())))
    }
}

impl<'de> Deserialize<'de> for Durations {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let mut durations = Self::default();
        for (value, count) in Vec::<(u64, u64)>::deserialize(d)? {
            durations.0.saturating_record_n(value, count);
        }
        Ok(durations)
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
