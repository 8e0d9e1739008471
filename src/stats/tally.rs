use super::spread::{SAMPLES_MIN, Spread};
use super::{Observation, Priced};
use crate::money::Pusd;
use serde::{Deserialize, Serialize};

/// What became of one try at an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It answered, to the end.
    Answered,
    /// It did not, and that was its own doing or our account's there.
    Failed,
    /// It did not, which says nothing of it: the request's fault, a limit that was reached, or ours.
    LeftOut,
}

/// What calls showed of one endpoint in some time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tally {
    /// Tries that were answered to the end.
    pub answered: u64,
    /// Tries that failed by the endpoint's doing.
    pub failed: u64,
    /// Tries that failed and are not held against it.
    pub left_out: u64,
    /// Seconds to the first token, of streams.
    pub first_token: Spread,
    /// Tokens of an answer a second, the time to the first token included.
    pub speed: Spread,
    /// Calls of conversations that it had answered before.
    pub followed: u64,
    /// Their prompt tokens that it had seen in the call before.
    readable: u64,
    /// Those of them that it read from its cache.
    read: u64,
    /// Calls that cost something.
    pub billed: u64,
    /// What payers were charged for them.
    charged: Pusd,
    /// What its price row makes of the tokens they used.
    listed: Pusd,
    /// Settlements of its calls that were made.
    pub settled: u64,
    /// Those that failed.
    pub unsettled: u64,
}

impl Tally {
    /// Counts a try.
    pub(super) fn attempt(&mut self, outcome: Outcome) {
        let count = match outcome {
            Outcome::Answered => &mut self.answered,
            Outcome::Failed => &mut self.failed,
            Outcome::LeftOut => &mut self.left_out,
        };
        *count = count.saturating_add(1);
    }

    /// Takes note of how a complete answer went.
    pub(super) fn observe(&mut self, call: &Observation) {
        self.first_token.observe(call.first_token);
        if let Some(speed) = call.speed() {
            self.speed.observe(speed);
        }
        if call.readable > 0 {
            self.followed = self.followed.saturating_add(1);
            self.readable = self.readable.saturating_add(call.readable);
            self.read = self.read.saturating_add(call.read.min(call.readable));
        }
    }

    /// Takes note of a bill.
    pub(super) fn price(&mut self, priced: Priced) {
        if priced.listed != Pusd::ZERO {
            self.billed = self.billed.saturating_add(1);
            self.charged = sum(self.charged, priced.charged);
            self.listed = sum(self.listed, priced.listed);
        }
    }

    /// Takes note of what became of a settlement.
    pub(super) fn settle(&mut self, made: bool) {
        let count = match made {
            true => &mut self.settled,
            false => &mut self.unsettled,
        };
        *count = count.saturating_add(1);
    }

    /// Takes over what another one saw.
    pub(super) fn add(&mut self, other: &Self) {
        for (own, others) in [
            (&mut self.answered, other.answered),
            (&mut self.failed, other.failed),
            (&mut self.left_out, other.left_out),
            (&mut self.followed, other.followed),
            (&mut self.readable, other.readable),
            (&mut self.read, other.read),
            (&mut self.billed, other.billed),
            (&mut self.settled, other.settled),
            (&mut self.unsettled, other.unsettled),
        ] {
            *own = own.saturating_add(others);
        }
        self.first_token.add(&other.first_token);
        self.speed.add(&other.speed);
        self.charged = sum(self.charged, other.charged);
        self.listed = sum(self.listed, other.listed);
    }

    /// Of the tries that say something of it, the share that was answered, in ten-thousandths.
    pub fn uptime(&self) -> Option<u64> {
        let all = self.answered.saturating_add(self.failed);
        share(self.answered.into(), all.into(), all)
    }

    /// Of the prompt tokens that it had seen in a conversation's call before, the share that it read from
    /// its cache, in ten-thousandths.
    pub fn cache_honesty(&self) -> Option<u64> {
        share(self.read.into(), self.readable.into(), self.followed)
    }

    /// What payers were charged, by what the price row makes of the same tokens, in ten-thousandths.
    pub fn price_honesty(&self) -> Option<u64> {
        share(self.charged.pico(), self.listed.pico(), self.billed)
    }

    /// The share of settlements that failed, in ten-thousandths.
    pub fn settle_failures(&self) -> Option<u64> {
        let all = self.settled.saturating_add(self.unsettled);
        share(self.unsettled.into(), all.into(), all)
    }
}

/// A share in ten-thousandths, rounded to the nearest; `None` of fewer than [`SAMPLES_MIN`] samples.
fn share(part: u128, whole: u128, samples: u64) -> Option<u64> {
    if samples < SAMPLES_MIN {
        return None;
    }
    let rounded = part.saturating_mul(10_000).saturating_add(whole / 2);
    u64::try_from(rounded.checked_div(whole)?).ok()
}

fn sum(a: Pusd, b: Pusd) -> Pusd {
    a.plus(b).unwrap_or(a)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ten(of: impl Fn(&mut Tally, u64)) -> Tally {
        let mut tally = Tally::default();
        for n in 0..SAMPLES_MIN {
            of(&mut tally, n);
        }
        tally
    }

    #[test]
    fn what_says_nothing_of_an_endpoint_is_left_out_of_its_uptime() {
        let tally = ten(|tally, n| {
            tally.attempt(Outcome::LeftOut);
            tally.attempt(match n {
                0..3 => Outcome::Failed,
                _ => Outcome::Answered,
            });
        });
        assert_eq!(tally.uptime(), Some(7_000));
        assert_eq!(
            ten(|tally, _| tally.attempt(Outcome::LeftOut)).uptime(),
            None
        );
    }

    #[test]
    fn a_cache_is_held_to_what_it_saw_before() {
        let call = |readable, read| Observation {
            readable,
            read,
            ..Observation::default()
        };
        // What was never seen, and what is read beyond that, says nothing.
        let tally = ten(|tally, _| {
            tally.observe(&call(0, 500));
            tally.observe(&call(1_000, 3_000));
            tally.observe(&call(3_000, 0));
        });
        assert_eq!(tally.cache_honesty(), Some(2_500));
        assert_eq!(tally.followed, 20);
        assert_eq!(
            ten(|tally, _| tally.observe(&call(0, 9))).cache_honesty(),
            None
        );
    }

    #[test]
    fn prices_and_settlements_are_shares_of_what_there_was() {
        let tally = ten(|tally, n| {
            tally.price(Priced {
                charged: Pusd::from_pico(1_050_000),
                listed: Pusd::from_pico(1_000_000),
            });
            tally.price(Priced::default());
            tally.settle(n > 0);
        });
        assert_eq!(tally.price_honesty(), Some(10_500));
        assert_eq!(tally.billed, 10, "what costs nothing has no share");
        assert_eq!(tally.settle_failures(), Some(1_000));
        assert_eq!(Tally::default().settle_failures(), None);
    }

    #[test]
    fn sums_are_those_of_their_parts() {
        let part = ten(|tally, n| {
            tally.attempt(Outcome::Answered);
            tally.observe(&Observation {
                first_token: 0.5,
                whole: 2.0,
                output: 10 * (n + 1),
                readable: 100,
                read: 50,
            });
            tally.settle(true);
        });
        let mut whole = part.clone();
        whole.add(&part);
        assert_eq!((whole.answered, whole.settled), (20, 20));
        assert_eq!(whole.first_token.samples(), 20);
        assert_eq!(whole.cache_honesty(), part.cache_honesty());
    }
}
