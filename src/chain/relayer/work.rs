//! One job's way through a lane.

use super::fees::Fees;
use super::job::{Job, Outcome, ResumeRefusal, Sent, Settled};
use super::policy::LanePolicy;
use super::proof::Authorization;
use alloy::consensus::{Transaction, TxEnvelope};
use alloy::eips::eip2718::Decodable2718;
use alloy::primitives::{Address, B256, Bytes, U256};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// First pause before a transaction the node does not know is sent again; it doubles.
const RESEND_FIRST: Duration = Duration::from_millis(250);
/// First pause before an authorization's execution is searched again; it doubles.
const SEARCH_FIRST: Duration = Duration::from_millis(100);
/// Longest pause of either.
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// What a lane works on.
#[derive(Debug)]
pub(super) struct Work {
    /// What to settle; a work without a job fills a lost nonce with a transfer of nothing to ourselves.
    pub(super) job: Option<Job>,
    /// Everything that was ever signed for it: any of these may be mined one day.
    pub(super) tries: Vec<Try>,
    pub(super) stage: Stage,
    pub(super) waiters: Vec<oneshot::Sender<Outcome>>,
    /// The outcome that was told, until a reorg takes it back.
    pub(super) told: bool,
    /// When the execution by someone else is next searched.
    pub(super) search: Pause,
    /// Since when the chain says that it cannot be done: nodes behind one URL may be a block apart.
    pub(super) doubted_since: Option<Instant>,
}

/// One signed transaction.
#[derive(Debug, Clone)]
pub(super) struct Try {
    pub(super) sent: Sent,
    pub(super) fees: Fees,
    pub(super) gas: u64,
    /// The coin that goes along, in wei.
    pub(super) value: U256,
}

#[derive(Debug)]
pub(super) enum Stage {
    /// Has no live transaction; waits to be (re)sent.
    Fresh,
    /// Its last try holds its nonce, and is not known to be mined.
    Flying(Flight),
    /// Is in a block, and watched until it is final.
    Mined(Mined),
}

#[derive(Debug)]
pub(super) struct Flight {
    pub(super) nonce: u64,
    pub(super) resend: Pause,
    pub(super) bump_at: Instant,
    /// Rounds that saw the nonce used by no transaction of ours.
    pub(super) strikes: u32,
    /// The node said "nonce too low", whatever it says of the count.
    pub(super) too_low: bool,
    /// The authorization's state was not looked up since the lane took the job.
    pub(super) unchecked: bool,
}

#[derive(Debug)]
pub(super) struct Mined {
    pub(super) outcome: Outcome,
    pub(super) transaction: B256,
    pub(super) block: u64,
    pub(super) block_hash: B256,
    pub(super) missing_since: Option<Instant>,
}

impl Work {
    pub(super) fn fresh(job: Job) -> Self {
        Self::new(Some(job))
    }

    pub(super) fn filler() -> Self {
        Self::new(None)
    }

    /// A job with what an earlier life of the process recorded for it, `relayer` being this lane's.
    pub(super) fn resumed(
        job: Job,
        previous: Vec<Sent>,
        relayer: Address,
        bump_after: Duration,
    ) -> Result<Self, ResumeRefusal> {
        let other = previous.iter().find(|sent| sent.relayer != relayer);
        if let (None, Some(sent)) = (&job.authorization, other) {
            return Err(ResumeRefusal::OtherRelayer(sent.relayer));
        }
        let mut work = Self::fresh(job);
        work.tries = previous.into_iter().map(Try::recorded).collect();
        // Equal nonces are fee bumps of each other: the last recorded offers most. The sort is stable.
        work.tries.sort_by_key(|t| t.sent.lane_nonce);
        if let Some(last) = work.tries.iter().rfind(|t| t.sent.relayer == relayer) {
            let mut flight = Flight::new(last.sent.lane_nonce, bump_after);
            flight.resend = Pause::at_once(RESEND_FIRST);
            flight.unchecked = true;
            work.stage = Stage::Flying(flight);
        }
        Ok(work)
    }

    /// The same, told before as settled.
    pub(super) fn settled(mut self, settled: Settled) -> Self {
        self.stage = Stage::Mined(Mined {
            transaction: settled.transaction,
            block: settled.block,
            block_hash: settled.block_hash,
            outcome: Outcome::Settled(settled),
            missing_since: None,
        });
        self.told = true;
        self
    }

    fn new(job: Option<Job>) -> Self {
        Self {
            job,
            tries: Vec::new(),
            stage: Stage::Fresh,
            waiters: Vec::new(),
            told: false,
            search: Pause::at_once(SEARCH_FIRST),
            doubted_since: None,
        }
    }

    pub(super) fn job(&self) -> Option<&Job> {
        self.job.as_ref()
    }

    pub(super) fn authorization(&self) -> Option<Authorization> {
        self.job().and_then(|job| job.authorization)
    }

    pub(super) fn flight(&self) -> Option<&Flight> {
        match &self.stage {
            Stage::Flying(flight) => Some(flight),
            _ => None,
        }
    }

    pub(super) fn flight_mut(&mut self) -> Option<&mut Flight> {
        match &mut self.stage {
            Stage::Flying(flight) => Some(flight),
            _ => None,
        }
    }

    pub(super) fn mined(&self) -> Option<&Mined> {
        match &self.stage {
            Stage::Mined(mined) => Some(mined),
            _ => None,
        }
    }

    /// The most gas its transactions may have.
    pub(super) fn gas_limit_max(&self, policy: &LanePolicy) -> u64 {
        let own = self.job().and_then(|job| job.gas_limit_max);
        own.unwrap_or(policy.gas_limit_max)
    }

    pub(super) fn is_fresh(&self) -> bool {
        matches!(self.stage, Stage::Fresh)
    }

    /// The newest transaction at a nonce: what is sent again, and what a bump must outbid.
    pub(super) fn live(&self, relayer: Address) -> Option<&Try> {
        let nonce = self.flight()?.nonce;
        self.tries
            .iter()
            .rfind(|t| t.sent.lane_nonce == nonce && t.sent.relayer == relayer)
    }

    /// Back to work after its block vanished: what was sent may come back by itself, or is sent again.
    pub(super) fn unmine(&mut self, transaction: B256, relayer: Address, bump_after: Duration) {
        let own = |t: &&Try| t.sent.relayer == relayer;
        let live = self
            .tries
            .iter()
            .filter(own)
            .find(|t| t.sent.transaction == transaction)
            .or_else(|| self.tries.iter().rfind(own));
        self.stage = match live {
            Some(live) => {
                let mut flight = Flight::new(live.sent.lane_nonce, bump_after);
                flight.resend = Pause::at_once(RESEND_FIRST);
                Stage::Flying(flight)
            }
            None => Stage::Fresh,
        };
        self.told = false;
        self.doubted_since = None;
        self.search = Pause::at_once(SEARCH_FIRST);
    }
}

impl Try {
    /// Reads an outbox record; one that does not decode can still be sent again and looked up.
    fn recorded(sent: Sent) -> Self {
        let decoded = TxEnvelope::decode_2718(&mut sent.raw_transaction.as_ref()).ok();
        let unknown = (Fees { max_fee: 0, tip: 0 }, 0, U256::ZERO);
        let (fees, gas, value) = decoded.map_or(unknown, |transaction| {
            let fees = Fees {
                max_fee: transaction.max_fee_per_gas(),
                tip: transaction.max_priority_fee_per_gas().unwrap_or(0),
            };
            (fees, transaction.gas_limit(), transaction.value())
        });
        Self {
            sent,
            fees,
            gas,
            value,
        }
    }

    /// The most wei this transaction can cost.
    pub(super) fn cost_max(&self) -> U256 {
        let gas = U256::from(self.fees.max_fee).saturating_mul(U256::from(self.gas));
        gas.saturating_add(self.value)
    }

    pub(super) fn raw(&self) -> &Bytes {
        &self.sent.raw_transaction
    }
}

impl Flight {
    /// A transaction about to be broadcast for the first time.
    pub(super) fn new(nonce: u64, bump_after: Duration) -> Self {
        Self {
            nonce,
            resend: Pause::first(RESEND_FIRST),
            bump_at: Instant::now() + bump_after,
            strikes: 0,
            too_low: false,
            unchecked: false,
        }
    }
}

/// When something is tried again, ever more rarely.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pause {
    at: Instant,
    next: Duration,
}

impl Pause {
    fn first(wait: Duration) -> Self {
        Self {
            at: Instant::now() + wait,
            next: wait,
        }
    }

    fn at_once(wait: Duration) -> Self {
        Self {
            at: Instant::now(),
            next: wait,
        }
    }

    pub(super) fn is_due(&self) -> bool {
        Instant::now() >= self.at
    }

    /// Used up: due again after a longer wait.
    pub(super) fn push_back(&mut self) {
        self.at = Instant::now() + self.next;
        self.next = (self.next * 2).min(PAUSE_MAX);
    }

    /// Due as soon as possible.
    pub(super) fn hurry(&mut self) {
        self.at = Instant::now();
    }
}
