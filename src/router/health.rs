//! Who is left alone for a while: one breaker for each endpoint and account, and one for each account of
//! an upstream. Time comes in as an argument.

use super::{Account, Endpoint, Fault, UpstreamFailure};
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Failures in a row that open a breaker.
const FAILURES_MAX: u32 = 3;

/// How long a breaker is open at first, by fault.
const AFTER_FAILURES: Duration = Duration::from_secs(1);
const AFTER_BUSY: Duration = Duration::from_secs(1);
const AFTER_ACCOUNT: Duration = Duration::from_secs(30);

/// After an answer that broke off: its caller was let down, and no other endpoint could step in.
const AFTER_CUT: Duration = Duration::from_secs(15);

/// The longest that one is open, whatever the upstream asks for.
const OPEN_MAX: Duration = Duration::from_secs(600);

/// How long others wait for what one call finds out about a breaker that was open.
const PROBE: Duration = Duration::from_secs(5);

/// Whether one endpoint on one account can be expected to answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Breaker {
    failures: u32,
    /// How often it opened since it last worked.
    trips: u32,
    open_until: Option<Instant>,
}

impl Breaker {
    /// Whether calls may be made.
    fn is_closed(&self, now: Instant) -> bool {
        self.open_until.is_none_or(|until| until <= now)
    }

    /// Takes note of a call about to be made: of a breaker that was open, it alone finds out.
    fn tried(&mut self, now: Instant) {
        if self.trips > 0 && self.is_closed(now) {
            self.open_until = now.checked_add(PROBE);
        }
    }

    /// Takes note of a failure.
    fn failed(&mut self, fault: Fault, retry_after: Option<Duration>, now: Instant) {
        let first = match fault {
            Fault::Request | Fault::Time => return,
            Fault::Account => AFTER_ACCOUNT,
            Fault::Busy => AFTER_BUSY,
            Fault::Upstream | Fault::Endpoint => {
                self.failures = self.failures.saturating_add(1);
                if self.failures < FAILURES_MAX && retry_after.is_none() {
                    return;
                }
                AFTER_FAILURES
            }
        };
        self.open(first, retry_after, now);
    }

    /// Takes note of an answer that broke off.
    fn cut(&mut self, now: Instant) {
        self.open(AFTER_CUT, None, now);
    }

    /// Twice as long each time.
    fn open(&mut self, first: Duration, asked: Option<Duration>, now: Instant) {
        let doubled = first.saturating_mul(1 << self.trips.min(10));
        let open = asked.unwrap_or(doubled).min(OPEN_MAX);
        self.trips = self.trips.saturating_add(1);
        self.open_until = now.checked_add(open);
    }
}

/// All breakers; those that were never opened are not kept.
#[derive(Debug, Default)]
pub struct Health {
    troubled: Mutex<HashMap<(u64, u64), Breaker>>,
    count: AtomicUsize,
}

impl Health {
    /// Whether an endpoint can be expected to answer on an account.
    pub fn is_good(&self, endpoint: &Endpoint, account: &Account, now: Instant) -> bool {
        if self.count.load(Ordering::Relaxed) == 0 {
            return true;
        }
        let troubled = self.lock();
        let closed = |key| {
            troubled
                .get(&key)
                .is_none_or(|breaker: &Breaker| breaker.is_closed(now))
        };
        scopes(endpoint, account).into_iter().all(closed)
    }

    /// Takes note of a call about to be made.
    pub fn tried(&self, endpoint: &Endpoint, account: &Account, now: Instant) {
        if self.count.load(Ordering::Relaxed) == 0 {
            return;
        }
        let mut troubled = self.lock();
        for key in scopes(endpoint, account) {
            if let Some(breaker) = troubled.get_mut(&key) {
                breaker.tried(now);
            }
        }
    }

    /// Takes note of a call that was answered.
    pub fn worked(&self, endpoint: &Endpoint, account: &Account) {
        if self.count.load(Ordering::Relaxed) == 0 {
            return;
        }
        let mut troubled = self.lock();
        for key in scopes(endpoint, account) {
            troubled.remove(&key);
        }
        self.count.store(troubled.len(), Ordering::Relaxed);
    }

    /// Takes note of a call that was not answered.
    pub fn failed(
        &self,
        endpoint: &Endpoint,
        account: &Account,
        failure: &UpstreamFailure,
        now: Instant,
    ) {
        let fault = failure.fault();
        let [own, whole] = scopes(endpoint, account);
        let key = match fault {
            Fault::Request | Fault::Time => return,
            Fault::Account => whole,
            Fault::Busy | Fault::Upstream | Fault::Endpoint => own,
        };
        let mut troubled = self.lock();
        let breaker = troubled.entry(key).or_default();
        breaker.failed(fault, failure.retry_after(), now);
        self.count.store(troubled.len(), Ordering::Relaxed);
    }

    /// Takes note of an answer that broke off.
    pub fn cut(&self, endpoint: &Endpoint, account: &Account, now: Instant) {
        let [own, _] = scopes(endpoint, account);
        let mut troubled = self.lock();
        troubled.entry(own).or_default().cut(now);
        self.count.store(troubled.len(), Ordering::Relaxed);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<(u64, u64), Breaker>> {
        self.troubled.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a call depends on: the endpoint on this account, and the account at the upstream.
fn scopes(endpoint: &Endpoint, account: &Account) -> [(u64, u64); 2] {
    [
        (endpoint.id, account.id),
        (endpoint.upstream.id, account.id),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_breaker_opens_by_fault_and_closes_when_its_time_is_over() {
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let mut breaker = Breaker::default();
        for fault in [
            Fault::Request,
            Fault::Time,
            Fault::Upstream,
            Fault::Upstream,
        ] {
            breaker.failed(fault, None, start);
            assert!(breaker.is_closed(start), "{fault:?}");
        }
        breaker.failed(Fault::Upstream, None, start);
        assert!(!breaker.is_closed(start), "the third in a row");
        assert!(breaker.is_closed(at(1)));

        breaker.tried(at(1));
        assert!(!breaker.is_closed(at(1)), "others wait for the probe");
        breaker.failed(Fault::Upstream, None, at(2));
        assert!(!breaker.is_closed(at(3)), "one failure opens it for longer");
        assert!(breaker.is_closed(at(4)));
    }

    #[test]
    fn an_upstream_is_left_alone_for_as_long_as_it_asks_but_not_for_ever() {
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let mut busy = Breaker::default();
        busy.failed(Fault::Busy, Some(Duration::from_secs(7)), start);
        assert!(!busy.is_closed(at(6)));
        assert!(busy.is_closed(at(7)));
        let mut greedy = Breaker::default();
        greedy.failed(Fault::Upstream, Some(Duration::from_secs(1 << 40)), start);
        assert!(!greedy.is_closed(at(599)));
        assert!(greedy.is_closed(at(600)));
        let mut cutting = Breaker::default();
        cutting.cut(start);
        assert!(!cutting.is_closed(at(14)), "the first time already");
        cutting.cut(at(15));
        assert!(!cutting.is_closed(at(44)) && cutting.is_closed(at(45)));
        let mut unpaid = Breaker::default();
        unpaid.failed(Fault::Account, None, start);
        assert!(!unpaid.is_closed(at(29)));
    }
}
