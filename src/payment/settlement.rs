//! Settlements on their way: ledger entries become lane jobs, and what the lanes report becomes
//! ledger entries, durably and in that order.

use super::stored::{call_job, payout_job};
use crate::chain::{
    Job, LaneEvent, LaneEventKind, Outbox, OutboxRefusal, Relayer, Sent, Settled, Unhealthy,
};
use crate::clock::now_ms;
use crate::failpoint::{Failpoint, pass};
use crate::ledger::{
    self, Broadcast, CallId, CallState, EntityId, Event, Ledger, WithdrawalId, WithdrawalState,
    Work,
};
use crate::stats::Metrics;
use alloy::primitives::Address;
use futures::future::BoxFuture;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
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

/// All settlements and payouts of one gateway.
#[derive(Debug, Clone)]
pub struct Settlements {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    relayer: Relayer,
    payout: Option<Relayer>,
    asset: Address,
    settler: Option<Address>,
    waiting: Waiting,
    metrics: Arc<Metrics>,
}

type Waiting = Arc<Mutex<HashMap<String, Vec<oneshot::Sender<Settlement>>>>>;

impl Settlements {
    /// Binds lanes to a ledger. `settled` is told of every call whose settlement has news.
    pub fn new(
        ledger: &Ledger,
        (asset, settler): (Address, Option<Address>),
        (relayer, events): (Relayer, mpsc::Receiver<LaneEvent>),
        payout: Option<(Relayer, mpsc::Receiver<LaneEvent>)>,
        metrics: &Arc<Metrics>,
        settled: &mpsc::Sender<CallId>,
    ) -> Self {
        let waiting = Waiting::default();
        let (payout, payout_events) = payout.unzip();
        for events in [Some(events), payout_events].into_iter().flatten() {
            let listener = Listener {
                ledger: ledger.clone(),
                waiting: Arc::clone(&waiting),
                metrics: Arc::clone(metrics),
                settled: settled.clone(),
                sent_at: HashMap::new(),
            };
            tokio::spawn(listener.run(events));
        }
        Self {
            inner: Arc::new(Inner {
                relayer,
                payout,
                asset,
                settler,
                waiting,
                metrics: Arc::clone(metrics),
            }),
        }
    }

    /// Settles a held call and waits for the outcome, however long the chain takes.
    pub async fn settle_call(&self, state: &CallState) -> Settlement {
        let Some(job) = call_job(state, self.inner.settler) else {
            return Settlement::Failed {
                reason: "the stored authorization cannot be read".to_owned(),
            };
        };
        self.bring_about(job, &state.settlement).await
    }

    /// Has the lane do what the ledger has an entry for, which stands as it says, and waits for the
    /// outcome, however long the chain takes.
    pub(super) async fn bring_about(&self, job: Job, before: &ledger::Settlement) -> Settlement {
        let outcome = self.wait_for(&job.id);
        let lane = &self.inner.relayer;
        let previous = before.broadcast().map(sent_before).unwrap_or_default();
        let taken = if previous.is_empty() {
            lane.submit(job).await.is_ok()
        } else {
            lane.resume(job, previous).await.is_ok()
        };
        if !taken {
            return stopped().await;
        }
        match outcome.await {
            Ok(settlement) => settlement,
            Err(_) => stopped().await,
        }
    }

    /// Goes on watching a call's confirmed settlement after a restart: a reorganisation undoes it.
    pub async fn watch_call(&self, state: &CallState) {
        // A stranger's transfer for a call that owes nothing: if it vanished, nothing would be sent.
        let voided = matches!(state.work, Work::Voided { .. });
        if voided && state.settlement.broadcast().is_none() {
            return;
        }
        let Some((job, settled)) =
            call_job(state, self.inner.settler).zip(settled(&state.settlement))
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
        let job = payout_job(&id, state, self.inner.asset, lane.address());
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
        let Some(job) = payout_job(id, state, self.inner.asset, lane.address()) else {
            tracing::error!(%id, "a stored withdrawal cannot be read");
            return;
        };
        let previous = state
            .settlement
            .broadcast()
            .map(sent_before)
            .unwrap_or_default();
        let taken = if previous.is_empty() {
            lane.submit(job)
                .await
                .map(drop)
                .map_err(|error| error.to_string())
        } else {
            lane.resume(job, previous)
                .await
                .map(drop)
                .map_err(|error| error.to_string())
        };
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
        self.inner.relayer.stop();
        if let Some(payout) = &self.inner.payout {
            payout.stop();
        }
    }

    fn wait_for(&self, id: &str) -> oneshot::Receiver<Settlement> {
        let (sender, receiver) = oneshot::channel();
        let mut waiting = self
            .inner
            .waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        waiting.entry(id.to_owned()).or_default().push(sender);
        self.inner.metrics.settlement("submitted");
        receiver
    }
}

/// A lane that is gone has no outcome: the next start finds it out.
async fn stopped() -> Settlement {
    std::future::pending().await
}

async fn watch(lane: &Relayer, job: Job, settlement: &ledger::Settlement, settled: Settled) {
    let id = job.id.clone();
    let previous = settlement.broadcast().map(sent_before).unwrap_or_default();
    if let Err(error) = lane.watch(job, previous, settled).await {
        tracing::warn!(id, %error, "a settlement is not watched for a reorganisation");
    }
}

/// Where a confirmed settlement is in the chain.
fn settled(settlement: &ledger::Settlement) -> Option<Settled> {
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
    ledger: Ledger,
    waiting: Waiting,
    metrics: Arc<Metrics>,
    settled: mpsc::Sender<CallId>,
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
        let (entry, outcome) = match event.kind {
            LaneEventKind::Sent(_) => {
                self.sent_at.entry(id).or_insert_with(Instant::now);
                return self.metrics.settlement("sent");
            }
            LaneEventKind::Final => {
                self.sent_at.remove(&id);
                return;
            }
            LaneEventKind::Confirmed(settled) => {
                self.metrics.settlement("confirmed");
                if let Some(sent) = self.sent_at.remove(&id) {
                    self.metrics.settled_in(sent.elapsed());
                }
                let transaction = format!("{:#x}", settled.transaction);
                (
                    confirmed(&settled),
                    Some(Settlement::Confirmed { transaction }),
                )
            }
            LaneEventKind::Failed(reason) => {
                self.metrics.settlement("failed");
                let reason = reason.to_string();
                let entry = Event::SettlementFailed {
                    reason: reason.clone(),
                    at_ms: now_ms(),
                };
                (entry, Some(Settlement::Failed { reason }))
            }
            LaneEventKind::Reorged { transaction } => {
                tracing::warn!(job = id, %transaction, "a settlement was reorganised away; it is sent again");
                self.metrics.settlement("reorged");
                (Event::SettlementReorged { at_ms: now_ms() }, None)
            }
        };
        let Ok(entity) = id.parse::<EntityId>() else {
            return;
        };
        self.record(&entity, entry).await;
        if let (EntityId::Call(call), Some(Settlement::Failed { .. })) = (&entity, &outcome) {
            self.count_loss(call).await;
        }
        pass(Failpoint::SettleConfirmed);
        if let Some(outcome) = outcome {
            let waiters = {
                let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
                waiting.remove(&id).unwrap_or_default()
            };
            for waiter in waiters {
                // A waiter that left is no loss: the ledger has the outcome.
                let _ = waiter.send(outcome.clone());
            }
        }
        if let EntityId::Call(call) = entity {
            // The receiver only stops when the gateway does.
            let _ = self.settled.send(call).await;
        }
    }

    /// What was answered and charged, and will not be paid, is the operator's loss.
    async fn count_loss(&self, call: &CallId) {
        let Ok(Some(state)) = self.ledger.call(call).await else {
            return;
        };
        let charged = state.charged();
        if !charged.is_zero() {
            tracing::error!(%call, payer = state.hold.payer, %charged, "answered, but the settlement failed: this call is a loss");
            self.metrics.lost(&state.hold.rail, charged.atomic());
        }
    }

    /// The chain's word is not forgotten for a full disk: it is written as soon as that is possible.
    async fn record(&self, id: &EntityId, entry: Event) {
        let mut pause = Duration::from_millis(50);
        while let Err(error) = record(&self.ledger, id, entry.clone()).await {
            tracing::error!(%id, error, "a settlement's outcome could not be recorded");
            if !self.ledger.healthy() {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(10));
            } else {
                return;
            }
        }
    }
}

fn confirmed(settled: &Settled) -> Event {
    Event::SettlementConfirmed {
        transaction: format!("{:#x}", settled.transaction),
        block: settled.block,
        block_hash: format!("{:#x}", settled.block_hash),
        at_ms: now_ms(),
    }
}

async fn record(ledger: &Ledger, id: &EntityId, event: Event) -> Result<(), String> {
    let recorded = match id {
        EntityId::Call(id) => ledger.record(*id, event).await.map(drop),
        EntityId::Withdrawal(id) => ledger.record_withdrawal(*id, event).await.map(drop),
        EntityId::Operation(id) => ledger.record_operation(*id, event).await.map(drop),
        EntityId::Channel(id) => return Err(format!("{id} is not settled by itself")),
    };
    recorded.map_err(|error| error.to_string())
}
