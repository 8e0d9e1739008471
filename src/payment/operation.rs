//! Operations: transactions that are no single call's own. Wanted in the ledger first, then brought
//! about by the lane, also after a restart.

use super::settlement::{Settlement, Settlements};
use crate::chain::{Handed, Job};
use crate::ledger::{
    EntityId, Ledger, LedgerError, Operation, OperationId, OperationState, TransitionError,
};
use crate::stats::Metrics;
use alloy::primitives::Address;
use std::sync::Arc;

/// The operations of one gateway; clones are the same.
#[derive(Debug, Clone)]
pub struct Operations {
    ledger: Ledger,
    settlements: Settlements,
    metrics: Arc<Metrics>,
}

impl Operations {
    /// Operations that go by the settlements' lane.
    pub fn new(ledger: &Ledger, settlements: &Settlements, metrics: &Arc<Metrics>) -> Self {
        Self {
            ledger: ledger.clone(),
            settlements: settlements.clone(),
            metrics: Arc::clone(metrics),
        }
    }

    /// The account that sends them.
    pub(super) fn sender(&self) -> Address {
        self.settlements.relayer()
    }

    /// What is counted.
    pub(super) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Wants an operation, which is durable before anything is sent, and waits for what becomes of
    /// it, however long the chain takes. One that is wanted already is waited for.
    pub(super) async fn run(
        &self,
        operation: Operation,
        job: Job,
    ) -> Result<OperationState, LedgerError> {
        let (id, kind) = (operation.id, operation.kind);
        let state = match self.ledger.request_operation(operation).await {
            Ok(state) => {
                self.metrics.channels().operation(kind.name(), "wanted");
                state
            }
            Err(LedgerError::Refused(TransitionError::AlreadyExists)) => self.known(&id).await?,
            Err(error) => return Err(error),
        };
        self.finish(state, job).await
    }

    /// Waits for what becomes of an operation, after a restart too.
    pub(super) async fn finish(
        &self,
        state: OperationState,
        job: Job,
    ) -> Result<OperationState, LedgerError> {
        let (id, kind) = (state.operation.id, state.operation.kind.name());
        if !state.open() {
            return Ok(state);
        }
        match self.settlements.bring_about(job, &state.settlement).await {
            Settlement::Confirmed { transaction } => {
                tracing::info!(%id, kind, transaction, "an operation is on chain");
                self.metrics.channels().operation(kind, "confirmed");
            }
            Settlement::Failed { reason } => {
                tracing::warn!(%id, kind, reason, "an operation failed");
                self.metrics.channels().operation(kind, "failed");
            }
        }
        self.known(&id).await
    }

    /// Wants an operation that a payer's own transaction carries out, and waits for what becomes of it.
    /// What it brought about is `taken` into the books before it counts as done: nobody need come back.
    pub(super) async fn run_handed(
        &self,
        operation: Operation,
        handed: &Handed,
        taken: impl Future<Output = ()>,
    ) -> Result<OperationState, LedgerError> {
        let id = operation.id;
        let state = match self.ledger.request_operation(operation).await {
            Ok(state) => state,
            Err(LedgerError::Refused(TransitionError::AlreadyExists)) => self.known(&id).await?,
            Err(error) => return Err(error),
        };
        self.finish_handed(state, handed, taken).await
    }

    /// Waits for what becomes of such an operation, after a restart too.
    pub(super) async fn finish_handed(
        &self,
        state: OperationState,
        handed: &Handed,
        taken: impl Future<Output = ()>,
    ) -> Result<OperationState, LedgerError> {
        let id = state.operation.id;
        if state.open() {
            let decided = self.settlements.decided(handed).await;
            if decided.is_ok() {
                taken.await;
            }
            let entity = EntityId::Operation(id);
            self.settlements.conclude_handed(&entity, decided).await;
        }
        self.known(&id).await
    }

    /// Goes on watching an operation that an earlier life of the process saw confirmed.
    pub(super) async fn watch(&self, state: &OperationState, job: Job) {
        self.settlements.watch_job(job, &state.settlement).await;
    }

    /// Whether it is wanted, or was.
    pub(super) async fn is_wanted(&self, id: &OperationId) -> Result<bool, LedgerError> {
        Ok(self.ledger.operation(id).await?.is_some())
    }

    async fn known(&self, id: &OperationId) -> Result<OperationState, LedgerError> {
        let state = self.ledger.operation(id).await?;
        state.ok_or(LedgerError::Unavailable)
    }
}
