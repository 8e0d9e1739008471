//! The lane's task: rounds of look, find, watch, tell, send, repair.

use super::job::{LaneEvent, LaneEventKind, Outbox, Outcome};
use super::policy::{Health, LanePolicy, Unhealthy};
use super::work::{Stage, Work};
use crate::chain::{ChainError, Rpc};
use alloy::primitives::{Address, B256, U256};
use alloy::signers::local::PrivateKeySigner;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep};

/// First pause between two looks; it doubles up to the policy's.
const POLL_FIRST: Duration = Duration::from_millis(5);

/// Most jobs watched for reorgs; beyond, new ones wait. A chain that makes blocks never gets there.
const WATCHED_MAX: usize = 20_000;

/// A job and who wants to know of it.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) work: Box<Work>,
    pub(super) waiter: oneshot::Sender<Outcome>,
}

pub(super) struct Lane {
    pub(super) rpc: Rpc,
    pub(super) key: PrivateKeySigner,
    pub(super) relayer: Address,
    pub(super) policy: LanePolicy,
    pub(super) outbox: Arc<dyn Outbox>,
    commands: mpsc::Receiver<Command>,
    events: mpsc::Sender<LaneEvent>,
    health: watch::Sender<Health>,
    /// By order of arrival: who came first is sent first.
    pub(super) works: BTreeMap<u64, Work>,
    ids: HashMap<String, u64>,
    arrivals: u64,
    /// Nonces below are used or spoken for; what the chain's count and our flights say comes on top.
    pub(super) nonce_floor: Option<u64>,
    /// The newest block for which all watched blocks were found in place.
    pub(super) watched_head: Option<B256>,
    /// The key's native coin, in wei, at the last look.
    pub(super) balance: U256,
    /// Since when the lowest unmined nonce, or the gap there, is the same.
    pub(super) stuck: Option<(u64, Instant)>,
    pub(super) gap: Option<(u64, Instant)>,
    /// Why jobs wait, found in this round.
    pub(super) caution: Option<Unhealthy>,
    /// Something was sent or found in this round, so the next follows at once.
    pub(super) moved: bool,
}

impl Lane {
    pub(super) fn new(
        rpc: Rpc,
        key: PrivateKeySigner,
        policy: LanePolicy,
        outbox: Arc<dyn Outbox>,
        commands: mpsc::Receiver<Command>,
        events: mpsc::Sender<LaneEvent>,
        health: watch::Sender<Health>,
    ) -> Self {
        Self {
            relayer: key.address(),
            rpc,
            key,
            policy,
            outbox,
            commands,
            events,
            health,
            works: BTreeMap::new(),
            ids: HashMap::new(),
            arrivals: 0,
            nonce_floor: None,
            watched_head: None,
            balance: U256::ZERO,
            stuck: None,
            gap: None,
            caution: None,
            moved: false,
        }
    }

    /// Runs until the last [`super::Relayer`] is dropped.
    pub(super) async fn run(mut self) {
        let mut pause = POLL_FIRST;
        loop {
            self.caution = None;
            self.moved = false;
            if let Err(error) = self.round().await {
                tracing::warn!(relayer = %self.relayer, %error, "the lane's round was cut short");
                self.caution = Some(Unhealthy::Node(error));
            }
            self.tell_health();
            if self.moved {
                pause = POLL_FIRST;
            }
            let wait = self.pause_within(pause);
            tokio::select! {
                command = self.commands.recv(), if self.has_room() => {
                    let Some(command) = command else { return };
                    self.accept(command).await;
                    while self.has_room() {
                        let Ok(command) = self.commands.try_recv() else { break };
                        self.accept(command).await;
                    }
                    pause = POLL_FIRST;
                }
                () = sleep(wait) => pause = pause.saturating_mul(2).min(self.policy.poll_max),
            }
        }
    }

    /// One look at the chain, and what follows from it; an error leaves the rest to the next round.
    async fn round(&mut self) -> Result<(), ChainError> {
        let sky = self.look().await?;
        self.find_mined(&sky).await?;
        self.watch(&sky).await?;
        self.tell_outcomes(&sky).await;
        self.launch(&sky).await?;
        self.repair(&sky).await
    }

    async fn accept(&mut self, command: Command) {
        let Command { work, waiter } = command;
        let known = work.job().and_then(|job| self.ids.get(&job.id)).copied();
        if let Some(work) = known.and_then(|seq| self.works.get_mut(&seq)) {
            match work.mined().filter(|_| work.told) {
                // The receiver may be gone; the job is not its.
                Some(mined) => drop(waiter.send(mined.outcome.clone())),
                None => work.waiters.push(waiter),
            }
            return;
        }
        let mut work = *work;
        if work.mined().is_some() {
            // Its block was not among those found in place.
            self.watched_head = None;
        }
        work.waiters.push(waiter);
        self.insert(work);
    }

    pub(super) fn insert(&mut self, work: Work) -> u64 {
        let seq = self.arrivals;
        self.arrivals += 1;
        if let Some(job) = work.job() {
            self.ids.insert(job.id.clone(), seq);
        }
        self.works.insert(seq, work);
        seq
    }

    pub(super) fn remove(&mut self, seq: u64) -> Option<Work> {
        let work = self.works.remove(&seq)?;
        if let Some(job) = work.job() {
            self.ids.remove(&job.id);
        }
        Some(work)
    }

    /// Tells an outcome to the listener of events and to everyone who waits for this job.
    pub(super) async fn tell(&mut self, seq: u64, outcome: Outcome) {
        let Some(work) = self.works.get_mut(&seq) else {
            return;
        };
        work.told = true;
        let waiters = std::mem::take(&mut work.waiters);
        let kind = match &outcome {
            Outcome::Settled(settled) => LaneEventKind::Confirmed(*settled),
            Outcome::Failed(reason) => LaneEventKind::Failed(reason.clone()),
        };
        self.emit(seq, kind).await;
        for waiter in waiters {
            // Who waited may be gone; the event stands.
            let _ = waiter.send(outcome.clone());
        }
    }

    pub(super) async fn emit(&self, seq: u64, kind: LaneEventKind) {
        let Some(job) = self.works.get(&seq).and_then(Work::job) else {
            return;
        };
        let event = LaneEvent {
            job_id: job.id.clone(),
            kind,
        };
        // Without a listener nobody wants to know.
        let _ = self.events.send(event).await;
    }

    pub(super) fn flying(&self) -> impl Iterator<Item = (u64, &Work, u64)> {
        self.works
            .iter()
            .filter_map(|(seq, work)| Some((*seq, work, work.flight()?.nonce)))
    }

    fn tell_health(&self) {
        let health = self.caution.clone().map_or(Ok(()), Err);
        self.health.send_if_modified(|now| {
            let changed = *now != health;
            if changed {
                if let Err(reason) = &health {
                    tracing::warn!(relayer = %self.relayer, %reason, "the relayer is unhealthy");
                }
                *now = health;
            }
            changed
        });
    }

    fn has_room(&self) -> bool {
        let waits = |w: &&Work| w.is_fresh() && w.doubted_since.is_none();
        let waiting = self.works.values().filter(waits).count();
        waiting < self.policy.in_flight_max && self.works.len() < WATCHED_MAX
    }

    /// The next look comes soon while something is open, and rarely when all is only watched.
    fn pause_within(&self, pause: Duration) -> Duration {
        let open = |work: &Work| !matches!(work.stage, Stage::Mined(_)) || !work.told;
        if self.works.values().any(open) {
            pause
        } else if self.works.is_empty() && self.caution.is_none() {
            self.policy.poll_idle
        } else {
            pause.max(self.policy.poll_max)
        }
    }
}
