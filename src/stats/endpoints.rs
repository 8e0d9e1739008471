//! What calls taught of each endpoint: how fast it is, and what its cache is worth. Times come in as
//! arguments.

use super::{Decayed, Hearsay};
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// After how long a call counts half.
const HALF_LIFE_MS: u64 = 5 * 60_000;

/// What is believed of a cache before any call: so many of so many tokens were read.
const READ_AT_FIRST: u64 = 9_000;
const READABLE_AT_FIRST: u64 = 10_000;

/// Tokens beyond which earlier ones count half.
const READABLE_MAX: u64 = 1_000_000;

/// What one call showed.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Observation {
    /// Seconds to the first token.
    pub first_token: f64,
    /// Seconds to the last.
    pub whole: f64,
    /// Tokens of the answer.
    pub output: u64,
    /// Prompt tokens that the endpoint had seen in the conversation's last call.
    pub readable: u64,
    /// Prompt tokens that it read from its cache.
    pub read: u64,
}

impl Observation {
    /// Tokens a second, the time to the first one included; `None` of no tokens.
    pub(super) fn speed(&self) -> Option<f64> {
        (self.output > 0 && self.whole > 0.0).then(|| self.output as f64 / self.whole)
    }
}

/// What is known of an endpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// Seconds to the first token.
    pub first_token: Decayed,
    /// Tokens a second, the time to the first token included.
    pub speed: Decayed,
    readable: u64,
    read: u64,
}

impl Default for Measured {
    fn default() -> Self {
        Self {
            first_token: Decayed::new(HALF_LIFE_MS),
            speed: Decayed::new(HALF_LIFE_MS),
            readable: READABLE_AT_FIRST,
            read: READ_AT_FIRST,
        }
    }
}

impl Measured {
    /// Takes note of a call.
    pub fn observe(&mut self, call: &Observation, now_ms: u64) {
        self.first_token.observe(call.first_token, now_ms);
        if let Some(speed) = call.speed() {
            self.speed.observe(speed, now_ms);
        }
        self.readable = self.readable.saturating_add(call.readable);
        self.read = self.read.saturating_add(call.read.min(call.readable));
        if self.readable > READABLE_MAX {
            self.readable /= 2;
            self.read /= 2;
        }
    }

    /// What share of the tokens that it could have read from its cache it did, in thousandths.
    pub fn cache_quality(&self) -> u64 {
        let whole = self.read.saturating_mul(1000);
        whole.checked_div(self.readable).unwrap_or(0)
    }
}

/// All endpoints, by their ids.
#[derive(Debug, Default)]
pub struct Endpoints(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    measured: HashMap<u64, Measured>,
    heard: HashMap<u64, Hearsay>,
    /// What is not written yet.
    changed: HashSet<u64>,
}

impl Endpoints {
    /// Those that were written before.
    pub fn of(written: impl IntoIterator<Item = (u64, Measured)>) -> Self {
        let table = Table {
            measured: written.into_iter().collect(),
            heard: HashMap::new(),
            changed: HashSet::new(),
        };
        Self(Mutex::new(table))
    }

    /// Takes note of a call.
    pub fn observe(&self, endpoint: u64, call: &Observation, now_ms: u64) {
        let mut table = self.lock();
        let measured = table.measured.entry(endpoint).or_default();
        measured.observe(call, now_ms);
        table.changed.insert(endpoint);
    }

    /// Takes note of what others say, in place of all that they said before.
    pub fn hear(&self, all: impl IntoIterator<Item = (u64, Hearsay)>) {
        self.lock().heard = all.into_iter().collect();
    }

    /// How long an endpoint takes to its first token, in seconds, and how many tokens it gives a second, each
    /// half of the time: by its own calls, or else by hearsay.
    pub fn medians(&self, endpoint: u64) -> (Option<f64>, Option<f64>) {
        let table = self.lock();
        let heard = table.heard.get(&endpoint).copied().unwrap_or_default();
        let own = table.measured.get(&endpoint);
        let median = |of: fn(&Measured) -> &Decayed| own.and_then(|own| of(own).quantile(0.5));
        (
            median(|own| &own.first_token).or(heard.first_token),
            median(|own| &own.speed).or(heard.speed),
        )
    }

    /// Reads what is known of an endpoint.
    pub fn look<T>(&self, endpoint: u64, read: impl FnOnce(&Measured) -> T) -> T {
        match self.lock().measured.get(&endpoint) {
            Some(measured) => read(measured),
            None => read(&Measured::default()),
        }
    }

    /// What changed since this was last asked.
    pub fn changes(&self) -> Vec<(u64, Measured)> {
        let mut table = self.lock();
        let changed = std::mem::take(&mut table.changed);
        let known = |id: u64| Some((id, table.measured.get(&id)?.clone()));
        changed.into_iter().filter_map(known).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cache_is_believed_until_it_shows_what_it_is_worth() {
        let endpoints = Endpoints::default();
        let quality = || endpoints.look(7, Measured::cache_quality);
        assert_eq!(quality(), 900);
        let miss = Observation {
            readable: 10_000,
            ..Observation::default()
        };
        endpoints.observe(7, &miss, 1);
        assert_eq!(quality(), 450);
        for _ in 0..500 {
            endpoints.observe(7, &miss, 1);
        }
        assert!(quality() < 20);
        let hit = Observation {
            read: 99_999,
            ..miss
        };
        for _ in 0..300 {
            endpoints.observe(7, &hit, 1);
        }
        assert!(quality() > 900, "what was long ago counts little");
    }

    #[test]
    fn hearsay_stands_until_an_endpoint_shows_itself_and_no_longer_than_it_is_said() {
        let endpoints = Endpoints::default();
        let heard = Hearsay {
            first_token: Some(2.0),
            speed: Some(90.0),
        };
        endpoints.hear([(7, heard)]);
        assert_eq!(endpoints.medians(7), (Some(2.0), Some(90.0)));
        assert_eq!(endpoints.medians(8), (None, None));
        // An answer in one piece shows no first token.
        let call = Observation {
            whole: 2.0,
            output: 100,
            ..Observation::default()
        };
        endpoints.observe(7, &call, 1);
        let (first_token, speed) = endpoints.medians(7);
        assert_eq!(first_token, Some(2.0));
        assert!(speed.is_some_and(|speed| (45.0..55.0).contains(&speed)));
        endpoints.hear([(8, heard)]);
        assert_eq!(endpoints.medians(7).0, None);
    }

    #[test]
    fn what_changed_is_told_once_and_read_again() {
        let endpoints = Endpoints::default();
        let call = Observation {
            first_token: 0.5,
            whole: 2.0,
            output: 100,
            ..Observation::default()
        };
        endpoints.observe(7, &call, 1);
        let changed = endpoints.changes();
        assert_eq!(endpoints.changes(), []);
        let again = Endpoints::of(changed);
        let speed = again.look(7, |measured| measured.speed.quantile(0.5));
        assert!((45.0..55.0).contains(&speed.expect("a speed")), "{speed:?}");
    }
}
