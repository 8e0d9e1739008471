//! What the chain did with settlements: into the ledger first, then to those who wait for it.

use super::lifetime::is_expired;
use super::settlement::Settlement;
use crate::chain::Settled;
use crate::clock::now_ms;
use crate::failpoint::{Failpoint, pass};
use crate::ledger::{CallId, EntityId, Event, Ledger, OURS, SettleWhen};
use crate::stats::Metrics;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// The books of settlements and their waiters; clones share them.
#[derive(Debug, Clone)]
pub(super) struct Outcomes {
    ledger: Ledger,
    waiting: Arc<Mutex<HashMap<String, Vec<oneshot::Sender<Settlement>>>>>,
    metrics: Arc<Metrics>,
    settled: mpsc::Sender<CallId>,
}

impl Outcomes {
    /// `settled` is told of every call whose settlement has news.
    pub(super) fn new(
        ledger: &Ledger,
        metrics: &Arc<Metrics>,
        settled: &mpsc::Sender<CallId>,
    ) -> Self {
        Self {
            ledger: ledger.clone(),
            waiting: Arc::default(),
            metrics: Arc::clone(metrics),
            settled: settled.clone(),
        }
    }

    pub(super) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    pub(super) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// A promise of what becomes of something that is about to be settled.
    pub(super) fn wait_for(&self, id: &str) -> oneshot::Receiver<Settlement> {
        let (sender, receiver) = oneshot::channel();
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.entry(id.to_owned()).or_default().push(sender);
        self.metrics.settlement("submitted");
        receiver
    }

    /// Writes a settlement's event down, counts what it costs, and wakes who waits for an outcome.
    pub(super) async fn conclude(&self, id: &EntityId, entry: Event) {
        let entry = match (id, entry) {
            (EntityId::Call(call), Event::SettlementFailed { reason, at_ms }) => {
                let reason = self.with_fault(call, reason, at_ms).await;
                Event::SettlementFailed { reason, at_ms }
            }
            (_, entry) => entry,
        };
        let outcome = match &entry {
            Event::SettlementConfirmed { transaction, .. } => Some(Settlement::Confirmed {
                transaction: transaction.clone(),
            }),
            Event::SettlementFailed { reason, .. } => Some(Settlement::Failed {
                reason: reason.clone(),
            }),
            _ => None,
        };
        let counted = match &entry {
            Event::SettlementConfirmed { .. } => "confirmed",
            Event::SettlementFailed { .. } => "failed",
            _ => "reorged",
        };
        if !matches!(id, EntityId::Operation(_)) {
            self.metrics.settlement(counted);
        }
        self.record(id, entry).await;
        if let (EntityId::Call(call), Some(Settlement::Failed { .. })) = (id, &outcome) {
            self.count_loss(call).await;
        }
        pass(Failpoint::SettleConfirmed);
        if let Some(outcome) = outcome {
            let waiters = {
                let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
                waiting.remove(&id.to_string()).unwrap_or_default()
            };
            for waiter in waiters {
                // A waiter that left is no loss: the ledger has the outcome.
                let _ = waiter.send(outcome.clone());
            }
        }
        if let EntityId::Call(call) = id {
            // The receiver only stops when the gateway does.
            let _ = self.settled.send(*call).await;
        }
    }

    /// Why a settlement failed that was to follow the answer, and whose fault that is. It is ours when it
    /// was tried after the payment had expired, since calls end before that, or from an account that was
    /// not quoted.
    async fn with_fault(&self, call: &CallId, reason: String, at_ms: u64) -> String {
        let hold = match self.ledger.call(call).await {
            Ok(Some(state)) if state.hold.settle_when == SettleWhen::After => state.hold,
            _ => return reason,
        };
        let late = is_expired(&hold.authorization, at_ms);
        match late || reason.contains("UnauthorizedFacilitator") {
            true => format!("{OURS}{reason}"),
            false => reason,
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

/// That it is in a block.
pub(super) fn confirmed(settled: &Settled) -> Event {
    Event::SettlementConfirmed {
        transaction: format!("{:#x}", settled.transaction),
        block: settled.block,
        block_hash: format!("{:#x}", settled.block_hash),
        at_ms: now_ms(),
    }
}

/// That the block is gone.
pub(super) fn reorged() -> Event {
    Event::SettlementReorged { at_ms: now_ms() }
}

/// That it did not and will not happen.
pub(super) fn failed(reason: String) -> Event {
    Event::SettlementFailed {
        reason,
        at_ms: now_ms(),
    }
}

/// Writes a settlement's event to whatever it is of.
pub(super) async fn record(ledger: &Ledger, id: &EntityId, event: Event) -> Result<(), String> {
    let recorded = match id {
        EntityId::Call(id) => ledger.record(*id, event).await.map(drop),
        EntityId::Withdrawal(id) => ledger.record_withdrawal(*id, event).await.map(drop),
        EntityId::Operation(id) => ledger.record_operation(*id, event).await.map(drop),
        EntityId::Channel(_) => return Err("a channel is not settled by itself".to_owned()),
    };
    recorded.map_err(|error| error.to_string())
}
