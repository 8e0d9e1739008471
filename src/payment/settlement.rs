//! Settlements on their way: ledger entries become lane jobs, and what the lanes report becomes
//! ledger entries, durably and in that order.

use super::authorized::ledger_name;
use super::batch::Batches;
use super::outcomes::{Outcomes, confirmed, failed, record, reorged};
use super::stored::{call_job, payout_job};
use super::tempo::handed;
use crate::chain::{
    FailReason, Handed, Job, LaneEvent, LaneEventKind, Outbox, OutboxRefusal, Relayer, Rpc, Sent,
    Settled, Unhealthy,
};
use crate::clock::now_ms;
use crate::config::{RailKind, SettlerConfig};
use crate::failpoint::{Failpoint, pass};
use crate::ledger::{
    self, Broadcast, CallId, CallState, EntityId, Event, Ledger, OpenItems, WithdrawalId,
    WithdrawalState, Work,
};
use crate::stats::Metrics;
use alloy::primitives::Address;
use futures::future::BoxFuture;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};

/// What became of a settlement.
#[derive(Debug, Clone)]
pub enum Settlement {
    /// The money moved, in this transaction.
    Confirmed {
        /// The transaction's hash, `0x…`.
        transaction: String,
    },
    /// It did not and will not.
    Failed {
        /// Why, as the lane says it.
        reason: String,
    },
}

/// What settlements are sent to.
#[derive(Debug, Clone)]
pub struct Targets {
    /// The token that is moved.
    pub asset: Address,
    /// The settler that many payments are settled with, if there is one.
    pub settler: SettlerConfig,
    /// All settlers that take calls from the relayer: by these too payers were quoted to be charged.
    pub settlers: BTreeSet<Address>,
    /// How long before a payment expires it is sent at the latest.
    pub settle_margin: Duration,
    /// How many blocks a settlement must be in the chain for, its own included.
    pub confirmations: u64,
}

/// All settlements and payouts of one gateway.
#[derive(Debug, Clone)]
pub struct Settlements {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    rpc: Rpc,
    relayer: Relayer,
    payout: Option<Relayer>,
    targets: Targets,
    outcomes: Outcomes,
    batches: Batches,
}

impl Settlements {
    /// Binds lanes to a ledger. `settled` is told of every call whose settlement has news.
    pub fn new(
        ledger: &Ledger,
        (rpc, targets): (&Rpc, Targets),
        (relayer, events): (Relayer, mpsc::Receiver<LaneEvent>),
        payout: Option<(Relayer, mpsc::Receiver<LaneEvent>)>,
        metrics: &Arc<Metrics>,
        settled: &mpsc::Sender<CallId>,
    ) -> Self {
        let outcomes = Outcomes::new(ledger, metrics, settled);
        let batches = Batches::start(&targets, rpc, &relayer, &outcomes);
        let (payout, payout_events) = payout.unzip();
        for events in [Some(events), payout_events].into_iter().flatten() {
            let listener = Listener {
                outcomes: outcomes.clone(),
                batches: batches.clone(),
                sent_at: HashMap::new(),
            };
            tokio::spawn(listener.run(events));
        }
        Self {
            inner: Arc::new(Inner {
                rpc: rpc.clone(),
                relayer,
                payout,
                targets,
                outcomes,
                batches,
            }),
        }
    }

    /// Takes up the batches that the last stop left open; before any of their calls is taken up.
    pub async fn resume_batches(&self, open: &OpenItems) {
        self.inner.batches.resume(open).await;
    }

    /// From now on no settlement waits for others to be settled with.
    pub async fn hurry(&self) {
        self.inner.batches.hurry().await;
    }

    /// Settles a held call and waits for the outcome, however long the chain takes.
    pub async fn settle_call(&self, state: &CallState) -> Settlement {
        if state.hold.rail == ledger_name(RailKind::TempoCharge) {
            return self.settle_handed(state).await;
        }
        let outcome = self.inner.outcomes.wait_for(&state.hold.call.to_string());
        if !self.inner.batches.take(state).await {
            let Some(job) = call_job(state, &self.inner.targets.settlers) else {
                return Settlement::Failed {
                    reason: "the stored authorization cannot be read".to_owned(),
                };
            };
            self.submit(job, &state.settlement).await;
        }
        told(outcome).await
    }

    /// Settles a call by a transaction that its payer signed whole.
    async fn settle_handed(&self, state: &CallState) -> Settlement {
        let Some(handed) = handed(state) else {
            return Settlement::Failed {
                reason: "the stored transaction cannot be read".to_owned(),
            };
        };
        let decided = self.decided(&handed).await;
        let id = EntityId::Call(state.hold.call);
        self.conclude_handed(&id, decided).await
    }

    /// Has such a transaction sent, which the ledger wants, and waits for what becomes of it, however long
    /// the chain takes.
    pub(super) async fn decided(&self, handed: &Handed) -> Result<Settled, FailReason> {
        self.inner.outcomes.metrics().settlement("submitted");
        pass(Failpoint::SettleSent);
        let confirmations = self.inner.targets.confirmations;
        self.inner.rpc.settle_handed(handed, confirmations).await
    }

    /// Writes down what became of such a transaction.
    pub(super) async fn conclude_handed(
        &self,
        id: &EntityId,
        decided: Result<Settled, FailReason>,
    ) -> Settlement {
        let (entry, outcome) = match decided {
            Ok(settled) => {
                let transaction = format!("{:#x}", settled.transaction);
                (confirmed(&settled), Settlement::Confirmed { transaction })
            }
            Err(reason) => {
                let reason = reason.to_string();
                (failed(reason.clone()), Settlement::Failed { reason })
            }
        };
        self.inner.outcomes.conclude(id, entry).await;
        outcome
    }

    /// Has the lane do what the ledger has an entry for, which stands as it says, and waits for the
    /// outcome, however long the chain takes.
    pub(super) async fn bring_about(&self, job: Job, before: &ledger::Settlement) -> Settlement {
        let outcome = self.inner.outcomes.wait_for(&job.id);
        self.submit(job, before).await;
        told(outcome).await
    }

    async fn submit(&self, job: Job, before: &ledger::Settlement) {
        let id = job.id.clone();
        let previous = before.broadcast().map(sent_before).unwrap_or_default();
        if let Err(error) = submit(&self.inner.relayer, job, previous).await {
            tracing::error!(id, error, "a settlement was not taken up");
        }
    }

    /// Goes on watching a call's confirmed settlement after a restart: a reorganisation undoes it.
    pub async fn watch_call(&self, state: &CallState) {
        // A block of Tempo's is final.
        if state.hold.rail == ledger_name(RailKind::TempoCharge) {
            return;
        }
        // A stranger's transfer for a call that owes nothing: if it vanished, nothing would be sent.
        let voided = matches!(state.work, Work::Voided { .. });
        if (voided && state.settlement.broadcast().is_none()) || self.inner.batches.watches(state) {
            return;
        }
        let Some((job, settled)) =
            call_job(state, &self.inner.targets.settlers).zip(settled(&state.settlement))
        else {
            return tracing::error!(call = %state.hold.call, "a stored settlement cannot be read");
        };
        watch(&self.inner.relayer, job, &state.settlement, settled).await;
    }

    /// The same for an operation's.
    pub(super) async fn watch_job(&self, job: Job, settlement: &ledger::Settlement) {
        match settled(settlement) {
            Some(settled) => watch(&self.inner.relayer, job, settlement, settled).await,
            None => tracing::error!(id = job.id, "a stored settlement cannot be read"),
        }
    }

    /// The same for a withdrawal that was paid.
    pub async fn watch_payout(&self, state: &WithdrawalState) {
        let id = state.withdrawal.id;
        let Some(lane) = &self.inner.payout else {
            return;
        };
        let job = payout_job(&id, state, self.inner.targets.asset, lane.address());
        let Some((job, settled)) = job.zip(settled(&state.settlement)) else {
            return tracing::error!(%id, "a stored withdrawal cannot be read");
        };
        watch(lane, job, &state.settlement, settled).await;
    }

    /// Pays out a withdrawal; the outcome is in the ledger when the chain has it.
    pub async fn pay_out(&self, id: &WithdrawalId, state: &WithdrawalState) {
        let Some(lane) = &self.inner.payout else {
            tracing::error!(%id, "a withdrawal is open, but there is no payout key any more");
            return;
        };
        let Some(job) = payout_job(id, state, self.inner.targets.asset, lane.address()) else {
            tracing::error!(%id, "a stored withdrawal cannot be read");
            return;
        };
        let previous = state.settlement.broadcast().map(sent_before);
        let taken = submit(lane, job, previous.unwrap_or_default()).await;
        if let Err(error) = taken {
            tracing::error!(%id, error, "a withdrawal was not taken up");
        }
    }

    /// The account that sends settlements.
    pub(super) fn relayer(&self) -> Address {
        self.inner.relayer.address()
    }

    /// Whether withdrawals can be paid.
    pub fn pays_out(&self) -> bool {
        self.inner.payout.is_some()
    }

    /// Whether new settlements would be sent now, or why they would wait.
    pub fn healthy(&self) -> Result<(), Unhealthy> {
        self.inner.relayer.healthy()
    }

    /// Stops all lanes; what is unfinished is taken up at the next start.
    pub fn stop(&self) {
        self.inner.batches.stop();
        self.inner.relayer.stop();
        if let Some(payout) = &self.inner.payout {
            payout.stop();
        }
    }
}

/// A lane that is gone, or refuses a job, has no outcome: the next start finds it out.
async fn told(outcome: oneshot::Receiver<Settlement>) -> Settlement {
    match outcome.await {
        Ok(settlement) => settlement,
        Err(_) => std::future::pending().await,
    }
}

/// Gives a job to a lane, with what was sent for it before.
pub(super) async fn submit(lane: &Relayer, job: Job, previous: Vec<Sent>) -> Result<(), String> {
    if previous.is_empty() {
        let taken = lane.submit(job).await;
        return taken.map(drop).map_err(|error| error.to_string());
    }
    let taken = lane.resume(job, previous).await;
    taken.map(drop).map_err(|error| error.to_string())
}

pub(super) async fn watch(
    lane: &Relayer,
    job: Job,
    settlement: &ledger::Settlement,
    settled: Settled,
) {
    let id = job.id.clone();
    let previous = settlement.broadcast().map(sent_before).unwrap_or_default();
    if let Err(error) = lane.watch(job, previous, settled).await {
        tracing::warn!(id, %error, "a settlement is not watched for a reorganisation");
    }
}

/// Where a confirmed settlement is in the chain.
pub(super) fn settled(settlement: &ledger::Settlement) -> Option<Settled> {
    let ledger::Settlement::Confirmed {
        transaction,
        block,
        block_hash,
        ..
    } = settlement
    else {
        return None;
    };
    Some(Settled {
        transaction: transaction.parse().ok()?,
        block: *block,
        block_hash: block_hash.parse().ok()?,
    })
}

pub(super) fn sent_before(broadcast: &Broadcast) -> Vec<Sent> {
    let sent = broadcast.attempts.iter().map(|attempt| {
        Some(Sent {
            relayer: attempt.relayer.parse().ok()?,
            lane_nonce: attempt.lane_nonce,
            transaction: attempt.transaction.parse().ok()?,
            raw_transaction: attempt.raw_transaction.parse().unwrap_or_default(),
        })
    });
    sent.flatten().collect()
}

/// The lanes' durability port: an intent is in the ledger before its transaction is out (rule 5).
#[derive(Debug, Clone)]
pub struct LedgerOutbox(pub Ledger);

impl Outbox for LedgerOutbox {
    fn sent<'a>(&'a self, job_id: &'a str, sent: Sent) -> BoxFuture<'a, Result<(), OutboxRefusal>> {
        Box::pin(async move {
            let id: EntityId = job_id
                .parse()
                .map_err(|_| OutboxRefusal("no such id".to_owned()))?;
            let event = Event::SettlementSent {
                relayer: format!("{:#x}", sent.relayer),
                lane_nonce: sent.lane_nonce,
                transaction: format!("{:#x}", sent.transaction),
                raw_transaction: sent.raw_transaction.to_string(),
                at_ms: now_ms(),
            };
            record(&self.0, &id, event).await.map_err(OutboxRefusal)?;
            pass(Failpoint::SettleSent);
            Ok(())
        })
    }
}

/// Reads one lane's events into the ledger.
struct Listener {
    outcomes: Outcomes,
    batches: Batches,
    sent_at: HashMap<String, Instant>,
}

impl Listener {
    async fn run(mut self, mut events: mpsc::Receiver<LaneEvent>) {
        while let Some(event) = events.recv().await {
            self.take(event).await;
        }
    }

    async fn take(&mut self, event: LaneEvent) {
        let id = event.job_id;
        let Ok(entity) = id.parse::<EntityId>() else {
            return;
        };
        if let EntityId::Operation(operation) = &entity
            && self.batches.owns(operation)
        {
            return self.batches.news(*operation, event.kind).await;
        }
        let metrics = self.outcomes.metrics();
        let entry = match event.kind {
            LaneEventKind::Sent(_) => {
                self.sent_at.entry(id).or_insert_with(Instant::now);
                return metrics.settlement("sent");
            }
            LaneEventKind::Final => {
                self.sent_at.remove(&id);
                return;
            }
            LaneEventKind::Confirmed(settled) => {
                if let Some(sent) = self.sent_at.remove(&id) {
                    metrics.settled_in(sent.elapsed());
                }
                confirmed(&settled)
            }
            LaneEventKind::Failed(reason) => failed(reason.to_string()),
            LaneEventKind::Reorged { transaction } => {
                tracing::warn!(job = id, %transaction, "a settlement was reorganised away; it is sent again");
                reorged()
            }
        };
        self.outcomes.conclude(&entity, entry).await;
    }
}
