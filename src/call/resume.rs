//! What a start does with the calls and payouts that the last stop left open.

use super::desk::{Desk, Shared};
use crate::clock::now_ms;
use crate::ledger::{CallId, CallState, Event, OpenItems, Settlement, VoidReason, Work};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// How often answers past their time are forgotten.
const PURGE_EVERY: Duration = Duration::from_secs(30);

/// How often what was learned is written down: a crash forgets no more than this.
const WRITE_EVERY: Duration = Duration::from_millis(500);

impl Desk {
    /// Finishes what was open: a call without its bill is voided (the interruption was ours), a bill
    /// without its receipt gets it, whatever may be on chain is found out and settled, and what was
    /// settled lately is watched for a reorganisation as before.
    pub async fn resume(&self, open: OpenItems) {
        let shared = self.shared();
        if !open.calls.is_empty() || !open.withdrawals.is_empty() {
            tracing::info!(
                calls = open.calls.len(),
                withdrawals = open.withdrawals.len(),
                "taking up what the last stop left open"
            );
        }
        for state in open.calls {
            if let Some(state) = shared.finished(state).await {
                shared.settle_later(state);
            }
        }
        for state in open.withdrawals {
            let id = state.withdrawal.id;
            shared.settlements.pay_out(&id, &state).await;
        }
        for state in open.settled_calls {
            shared.watch_settled(&state.hold.call).await;
        }
        for state in open.settled_withdrawals {
            shared.settlements.watch_payout(&state).await;
        }
    }

    /// Follows the settlements' news and the clock, until the desk is closed and all news is read.
    pub fn keep_books(&self, mut settled: mpsc::Receiver<CallId>) {
        let shared = Arc::clone(self.shared());
        tokio::spawn(async move {
            let mut purge = tokio::time::interval(PURGE_EVERY);
            let mut learned = tokio::time::interval(WRITE_EVERY);
            loop {
                tokio::select! {
                    news = settled.recv() => match news {
                        Some(id) => shared.receipt_anew(&id).await,
                        None => return,
                    },
                    _ = learned.tick() => shared.write_what_was_learned().await,
                    _ = purge.tick() => {
                        if let Err(error) = shared.ledger.purge_expired(now_ms()).await {
                            tracing::warn!(%error, "old answers could not be forgotten");
                        }
                    }
                }
            }
        });
    }
}

impl Shared {
    /// Brings an open call's work to its end; `None` when the ledger does not take it.
    async fn finished(self: &Arc<Self>, state: CallState) -> Option<CallState> {
        let id = state.hold.call;
        let event = match state.work {
            Work::Held | Work::Forwarded | Work::Answered => Event::Voided {
                reason: VoidReason::Restart,
                at_ms: now_ms(),
            },
            Work::Captured(_) if state.receipt.is_none() => {
                self.receipts.issue(&id, &state).await;
                return Some(state);
            }
            Work::Captured(_) | Work::Voided { .. } => return Some(state),
        };
        let recorded = self.ledger.record(id, event).await;
        recorded
            .map_err(
                |error| tracing::error!(call = %id, %error, "an open call could not be closed"),
            )
            .ok()
    }

    /// Settles what is due, or finds out what was sent, in a task of its own.
    fn settle_later(self: &Arc<Self>, state: CallState) {
        let sent = matches!(state.settlement, Settlement::Sent { .. });
        if sent || state.settlement_due() {
            let shared = Arc::clone(self);
            let owed = self.rails.owed_again(&state);
            tokio::spawn(async move {
                shared.settlements.settle_call(&state).await;
                drop(owed);
            });
        }
    }

    /// Goes on with a call that is settled: the last stop may have come before the receipt that says
    /// so, and a reorganisation may still come.
    async fn watch_settled(&self, id: &CallId) {
        self.receipt_anew(id).await;
        match self.ledger.call(id).await {
            Ok(Some(state)) => self.settlements.watch_call(&state).await,
            _ => tracing::error!(call = %id, "a settled call cannot be read"),
        }
    }

    /// A receipt says how its settlement stands, so it is signed again when that changes.
    async fn receipt_anew(&self, id: &CallId) {
        let Ok(Some(state)) = self.ledger.call(id).await else {
            return;
        };
        let over = match state.work {
            Work::Captured(_) => state.receipt.is_some(),
            Work::Voided { .. } => state.settlement.is_confirmed(),
            _ => false,
        };
        if over && !self.receipts.is_current(&state) {
            self.receipts.issue(id, &state).await;
        }
    }
}
