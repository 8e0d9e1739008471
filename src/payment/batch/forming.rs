//! Which calls go into the next batch, and when it is closed.

use crate::ledger::CallId;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The most gas that the items of one batch reserve. With what a batch needs beside them, and the
/// lane's margin, a transaction stays below 2²⁴ gas, the most that EIP-7825 allows.
const BATCH_GAS_MAX: u64 = 11_800_000;

/// Calls that wait to be settled together, oldest first.
#[derive(Debug)]
pub(super) struct Forming {
    calls_max: usize,
    wait: Duration,
    waiting: VecDeque<Due>,
}

#[derive(Debug, Clone, Copy)]
struct Due {
    call: CallId,
    /// What its item reserves.
    gas: u64,
    since: Instant,
    /// When it must be sent at the latest, for its payment to be good still.
    by: Option<Instant>,
}

impl Forming {
    pub(super) fn new(calls_max: usize, wait: Duration) -> Self {
        Self {
            calls_max: calls_max.max(1),
            wait,
            waiting: VecDeque::new(),
        }
    }

    pub(super) fn add(&mut self, call: CallId, gas: u64, by: Option<Instant>, now: Instant) {
        self.waiting.push_back(Due {
            call,
            gas,
            since: now,
            by,
        });
    }

    /// From now on nothing waits for others.
    pub(super) fn hurry(&mut self) {
        self.wait = Duration::ZERO;
    }

    /// The next batch, if it is full or a call has waited long enough.
    pub(super) fn take(&mut self, now: Instant) -> Option<Vec<CallId>> {
        let fitting = self.fitting();
        let full = fitting == self.calls_max || fitting < self.waiting.len();
        let waited = self.due_at().is_some_and(|due| due <= now);
        if !full && !waited {
            return None;
        }
        Some(self.waiting.drain(..fitting).map(|due| due.call).collect())
    }

    /// When the first call has waited long enough.
    pub(super) fn due_at(&self) -> Option<Instant> {
        let due = |due: &Due| {
            let waited = due.since.checked_add(self.wait).unwrap_or(due.since);
            due.by.map_or(waited, |by| by.min(waited))
        };
        self.waiting.iter().map(due).min()
    }

    /// How many of the oldest fit into one transaction; one always does.
    fn fitting(&self) -> usize {
        let mut gas: u64 = 0;
        let fits = |due: &&Due| {
            gas = gas.saturating_add(due.gas);
            gas <= BATCH_GAS_MAX
        };
        let fitting = self
            .waiting
            .iter()
            .take(self.calls_max)
            .take_while(fits)
            .count();
        fitting.max(1).min(self.waiting.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WAIT: Duration = Duration::from_secs(1);

    fn call(n: usize) -> CallId {
        CallId::from_bytes((n as u128).to_be_bytes())
    }

    #[test]
    fn a_batch_is_closed_when_it_is_full_or_its_oldest_call_has_waited() {
        let start = Instant::now();
        let mut forming = Forming::new(2, WAIT);
        assert_eq!((forming.take(start), forming.due_at()), (None, None));
        forming.add(call(1), 1, None, start);
        assert_eq!(forming.take(start), None);
        assert_eq!(forming.due_at(), Some(start + WAIT));
        assert_eq!(forming.take(start + WAIT), Some(vec![call(1)]));
        for n in 2..5 {
            forming.add(call(n), 1, None, start);
        }
        assert_eq!(forming.take(start), Some(vec![call(2), call(3)]));
        assert_eq!(forming.take(start), None);
        forming.hurry();
        assert_eq!(forming.take(start), Some(vec![call(4)]));
        assert_eq!(forming.take(start + WAIT), None);
    }

    #[test]
    fn a_call_waits_no_longer_than_its_payment_lives() {
        let start = Instant::now();
        let mut forming = Forming::new(10, WAIT);
        forming.add(call(1), 1, None, start);
        forming.add(call(2), 1, Some(start + WAIT / 2), start);
        forming.add(call(3), 1, Some(start + WAIT * 2), start);
        assert_eq!(forming.due_at(), Some(start + WAIT / 2));
        assert_eq!(forming.take(start + WAIT / 4), None);
        let all = vec![call(1), call(2), call(3)];
        assert_eq!(forming.take(start + WAIT / 2), Some(all));
        forming.add(call(4), 1, Some(start), start + WAIT);
        assert_eq!(forming.take(start + WAIT), Some(vec![call(4)]), "late");
    }

    proptest! {
        #[test]
        fn every_call_is_in_one_batch_in_order_and_no_batch_is_too_large(
            gas in prop::collection::vec(1..BATCH_GAS_MAX * 2, 0..300),
            calls_max in 1_usize..100,
        ) {
            let start = Instant::now();
            let mut forming = Forming::new(calls_max, WAIT);
            let mut batches = Vec::new();
            for (n, gas) in gas.iter().enumerate() {
                forming.add(call(n), *gas, None, start);
                batches.extend(forming.take(start));
            }
            while let Some(batch) = forming.take(start + WAIT) {
                batches.push(batch);
            }
            let mut n = 0;
            for batch in batches {
                prop_assert!(!batch.is_empty() && batch.len() <= calls_max);
                let reserved: u64 = gas.iter().skip(n).take(batch.len()).sum();
                prop_assert!(batch.len() == 1 || reserved <= BATCH_GAS_MAX);
                for id in batch {
                    prop_assert_eq!(id, call(n));
                    n += 1;
                }
            }
            prop_assert_eq!(n, gas.len());
        }
    }
}
