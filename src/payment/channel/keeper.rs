//! The task that looks after channels: it watches for withdrawals, claims what was charged in time,
//! has it paid out, and refunds channels that nobody uses.

use super::claims::{ClaimPolicy, choose, is_due};
use super::mirror::Unread;
use super::watch::Window;
use super::{ChannelRail, chain_id, millis};
use crate::clock::now_ms;
use crate::config::Config;
use crate::ledger::{ChannelId, ChannelState, OperationKind, OperationState};
use crate::stats::ChannelFigures;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::AbortHandle;

/// More blocks than this are not searched for events: the channels are read anew instead.
const CATCH_UP_BLOCKS_MAX: u64 = 5_000;

/// The longest pause between two walks over all channels.
const WALK_EVERY_MAX: Duration = Duration::from_secs(30);

/// How long a channel waits after a claim on it alone failed.
const RETRY_AFTER: Duration = Duration::from_secs(60);

/// A running keeper; it stops when this is dropped. What it has under way is in the ledger.
#[derive(Debug)]
pub struct Keeper {
    task: AbortHandle,
}

impl Keeper {
    /// Takes up the operations that the last stop left open, goes on watching those that were confirmed
    /// lately, and starts to look after the rail's channels. Before calls are taken: a refund under way
    /// keeps them out.
    pub async fn spawn(
        rail: &ChannelRail,
        config: &Config,
        open: Vec<OperationState>,
        confirmed: Vec<OperationState>,
    ) -> Self {
        for state in open {
            rail.resume(state).await;
        }
        for state in confirmed {
            rail.watch_again(&state).await;
        }
        let work = Work::new(rail.clone(), config);
        let task = tokio::spawn(work.run()).abort_handle();
        Self { task }
    }

    /// Stops it.
    pub fn stop(&self) {
        self.task.abort();
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.stop();
    }
}

impl ChannelRail {
    /// Takes up an operation of an earlier life of the process, in a task of its own.
    async fn resume(&self, state: OperationState) {
        let operation = &state.operation;
        if is_others(operation.kind) {
            return;
        }
        let Some(job) = self.job(operation).await else {
            return tracing::error!(id = %operation.id, "a stored operation cannot be read");
        };
        let (channels, kind) = (operation.channels.clone(), operation.kind);
        let closing = |channel: &ChannelId| match kind {
            OperationKind::Refund => Some(self.doors(*channel)),
            OperationKind::Claim => Some((None, self.inner.gate.work(*channel))),
            _ => None,
        };
        let doors: Vec<_> = channels.iter().filter_map(closing).collect();
        let rail = self.clone();
        tokio::spawn(async move {
            if let Err(error) = rail.inner.operations.finish(state, job).await {
                tracing::error!(%error, "an operation's outcome is not known");
            }
            if let Err(error) = rail.refresh(&channels).await {
                tracing::warn!(%error, "the channels of an operation cannot be read");
            }
            drop(doors);
        });
    }

    async fn watch_again(&self, state: &OperationState) {
        if is_others(state.operation.kind) {
            return;
        }
        match self.job(&state.operation).await {
            Some(job) => self.inner.operations.watch(state, job).await,
            None => {
                tracing::error!(id = %state.operation.id, "a stored operation cannot be read");
            }
        }
    }
}

/// Whether an operation of this kind has nothing to do with channels.
fn is_others(kind: OperationKind) -> bool {
    matches!(
        kind,
        OperationKind::Batch
            | OperationKind::Funding
            | OperationKind::SessionDeposit
            | OperationKind::SessionClose
    )
}

/// What the keeper keeps between its rounds.
struct Work {
    rail: ChannelRail,
    every: Duration,
    walk_every: Duration,
    final_depth: u64,
    policy: ClaimPolicy,
    refund_idle_ms: u64,
    /// Whether the channels of earlier lives of the process are looked after.
    begun: bool,
    /// All that was claimed when the channels were walked last, in atomic units.
    claimed: Option<u128>,
    /// The newest block whose events were read, with all before it.
    read_to: Option<u64>,
    since_block: u64,
    window: Window,
    walked_ms: u64,
    /// Channels that their payers are withdrawing from.
    leaving: BTreeSet<ChannelId>,
    /// Whether there may be something to pay out.
    owed: Arc<AtomicBool>,
    /// Channels not to be claimed on before then.
    later: Arc<Mutex<BTreeMap<ChannelId, u64>>>,
}

impl Work {
    fn new(rail: ChannelRail, config: &Config) -> Self {
        let channels = &config.channels;
        Self {
            rail,
            every: channels.watch_every,
            walk_every: WALK_EVERY_MAX.min(channels.claim_after / 4),
            final_depth: config.chain.final_depth,
            policy: ClaimPolicy {
                after_ms: millis(channels.claim_after),
                above: channels.claim_above,
            },
            refund_idle_ms: millis(channels.refund_idle_after),
            begun: false,
            claimed: None,
            read_to: None,
            since_block: 0,
            window: Window::default(),
            walked_ms: 0,
            leaving: BTreeSet::new(),
            owed: Arc::default(),
            later: Arc::default(),
        }
    }

    async fn run(mut self) {
        let mut ticks = tokio::time::interval(self.every);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if let Err(error) = self.round().await {
                tracing::warn!(%error, "channels could not be looked after; trying again");
            }
        }
    }

    async fn round(&mut self) -> Result<(), Unread> {
        self.look().await?;
        self.hurry().await?;
        if now_ms().saturating_sub(self.walked_ms) >= millis(self.walk_every) {
            self.walk().await?;
        }
        self.pay_out();
        Ok(())
    }

    /// Reads what happened to channels since the last look, and those channels anew. Without a channel
    /// that anything can be taken out of, nobody is asked.
    async fn look(&mut self) -> Result<(), Unread> {
        if !self.begun {
            self.begin().await?;
        }
        let channels = self.rail.inner.watched.channels();
        if channels.is_empty() {
            self.read_to = None;
            return Ok(());
        }
        let began_ms = now_ms();
        let head = self.rail.inner.rpc.latest_block().await?.number();
        let missed = self.read_to.map(|read_to| head.saturating_sub(read_to));
        if missed.is_none_or(|blocks| blocks > CATCH_UP_BLOCKS_MAX) {
            let all: Vec<ChannelId> = channels.iter().copied().collect();
            self.read(&all).await?;
            self.since_block = head;
            self.read_to = Some(head);
        }
        let from = self.read_to.unwrap_or(head).min(head);
        let from = from.saturating_sub(self.final_depth);
        let ids: Vec<_> = channels.iter().map(chain_id).collect();
        let (rpc, contract) = (&self.rail.inner.rpc, self.rail.contract());
        let events = rpc.channel_events(contract, &ids, from, head).await?;
        let touched = self.window.take(from, &events);
        if let Err(error) = self.read_changed(&touched).await {
            self.window.forget(&touched.into_keys().collect());
            return Err(error);
        }
        self.read_to = Some(head);
        let watched = &self.rail.inner.watched;
        watched.looked(channels, self.since_block, began_ms);
        Ok(())
    }

    /// Takes up the channels of earlier lives of the process.
    async fn begin(&mut self) -> Result<(), Unread> {
        let states = self.rail.own_channels().await?;
        states.iter().for_each(|state| self.rail.look_after(state));
        self.owed.store(!states.is_empty(), Ordering::Release);
        self.begun = true;
        Ok(())
    }

    /// Reads the channels that something happened to, each in the block where it did or later.
    async fn read_changed(&mut self, touched: &BTreeMap<ChannelId, u64>) -> Result<(), Unread> {
        if touched.is_empty() {
            return Ok(());
        }
        let changed: Vec<ChannelId> = touched.keys().copied().collect();
        let newest = touched.values().copied().max().unwrap_or_default();
        let read_at = self.read(&changed).await?;
        match read_at {
            Some(block) if block < newest => Err(Unread::Behind(newest)),
            _ => Ok(()),
        }
    }

    /// Reads channels, and says as of which block.
    async fn read(&mut self, channels: &[ChannelId]) -> Result<Option<u64>, Unread> {
        let states = self.rail.refresh(channels).await?;
        for state in &states {
            let channel = state.opening.channel;
            if state.on_chain.withdrawal.is_some() {
                self.leaving.insert(channel);
            } else {
                self.leaving.remove(&channel);
            }
        }
        Ok(states.iter().map(|state| state.on_chain.block).min())
    }

    /// Claims at once on channels that are being withdrawn from, again and again while calls end there.
    async fn hurry(&mut self) -> Result<(), Unread> {
        let mut due = Vec::new();
        for channel in &self.leaving {
            let state = self.rail.inner.ledger.channel(channel).await?;
            let unclaimed = state.is_some_and(|state| is_due(&state, self.policy, now_ms()));
            due.extend(unclaimed.then_some(*channel));
        }
        self.claim(due);
        Ok(())
    }

    /// Walks over all channels: claims, refunds what is idle, and counts.
    async fn walk(&mut self) -> Result<(), Unread> {
        let states = self.rail.own_channels().await?;
        self.count(&states);
        // A refund claims too, and so may anybody: what was claimed is to be paid out.
        let claimed = states.iter().fold(0_u128, |sum, state| {
            sum.saturating_add(state.on_chain.total_claimed.atomic())
        });
        if claimed > 0 && self.claimed.replace(claimed) != Some(claimed) {
            self.owed.store(true, Ordering::Release);
        }
        self.claim(choose(&states, self.policy, now_ms()));
        let idle = |state: &&ChannelState| is_idle(state, self.refund_idle_ms, now_ms());
        for state in states.iter().filter(idle) {
            self.refund(state.opening.channel);
        }
        self.walked_ms = now_ms();
        Ok(())
    }

    fn count(&self, states: &[ChannelState]) {
        let sum = |figure: fn(&ChannelState) -> u128| {
            let figures = states.iter().map(figure);
            figures.fold(0_u128, u128::saturating_add)
        };
        let open = states
            .iter()
            .filter(|state| state.on_chain.balance > state.on_chain.total_claimed);
        let metrics = self.rail.inner.operations.metrics().channels();
        metrics.set(ChannelFigures {
            open: open.count(),
            unclaimed: sum(|state| state.unclaimed().atomic()),
            claimed: sum(|state| state.on_chain.total_claimed.atomic()),
            uncovered: sum(|state| state.uncovered().atomic()),
        });
    }

    /// Claims in a task of its own, so that a slow transaction hides no withdrawal.
    fn claim(&self, mut channels: Vec<ChannelId>) {
        {
            let mut later = self.later.lock().unwrap_or_else(PoisonError::into_inner);
            later.retain(|_, until| *until > now_ms());
            channels.retain(|channel| !later.contains_key(channel));
        }
        if channels.is_empty() {
            return;
        }
        let (rail, owed, later) = (
            self.rail.clone(),
            Arc::clone(&self.owed),
            Arc::clone(&self.later),
        );
        tokio::spawn(async move {
            let claimed = match rail.claim(&channels).await {
                Ok(claimed) => claimed,
                Err(error) => return tracing::warn!(%error, "a claim could not be made"),
            };
            owed.store(true, Ordering::Release);
            let until = now_ms().saturating_add(millis(RETRY_AFTER));
            let mut later = later.lock().unwrap_or_else(PoisonError::into_inner);
            for channel in claimed.failed {
                tracing::error!(%channel, "what a channel was charged could not be claimed");
                later.insert(channel, until);
            }
        });
    }

    fn refund(&self, channel: ChannelId) {
        let rail = self.rail.clone();
        tokio::spawn(async move {
            if let Err(error) = rail.refund_rest(channel).await {
                tracing::warn!(%channel, ?error, "an idle channel could not be refunded");
            }
        });
    }

    /// Has the receiver paid what was claimed for it.
    fn pay_out(&self) {
        if !self.owed.swap(false, Ordering::AcqRel) {
            return;
        }
        let (rail, owed) = (self.rail.clone(), Arc::clone(&self.owed));
        tokio::spawn(async move {
            if let Err(error) = rail.settle().await {
                tracing::warn!(%error, "what was claimed could not be paid out yet");
                owed.store(true, Ordering::Release);
            }
        });
    }
}

/// Whether a channel has been without calls for so long that its rest goes back; zero is never.
pub(super) fn is_idle(state: &ChannelState, idle_ms: u64, now_ms: u64) -> bool {
    let on_chain = &state.on_chain;
    idle_ms > 0
        && state.running == 0
        && on_chain.balance > state.charged
        && now_ms.saturating_sub(state.last_used_ms) >= idle_ms
}
