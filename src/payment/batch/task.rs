//! The task that forms batches, has them sent, and tells each call what became of it.

use super::forming::Forming;
use super::verdict::{judge, undone};
use super::{Members, Message, StoredBatch, batch_job, members, settler_of};
use crate::chain::settler::BatchResult;
use crate::chain::{Job, LaneEventKind, Relayer, Rpc, Sent, Settled};
use crate::clock::now_ms;
use crate::failpoint::{Failpoint, pass};
use crate::ledger::{
    CallId, CallState, EntityId, LedgerError, Operation, OperationId, OperationKind, OperationState,
};
use crate::payment::outcomes::{Outcomes, confirmed, failed, reorged};
use crate::payment::settlement::{sent_before, settled, submit, watch};
use crate::payment::stored::{anyone_settles, batch_item, batch_of, call_job};
use alloy::primitives::Address;
use futures::future::join_all;
use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// How long after a receipt could not be read it is asked for again.
const READ_AGAIN: Duration = Duration::from_millis(500);

pub(super) struct Task {
    /// The settler of new batches.
    pub(super) settler: Option<Address>,
    /// Those that single calls may have been quoted.
    pub(super) settlers: BTreeSet<Address>,
    pub(super) rpc: Rpc,
    pub(super) lane: Relayer,
    pub(super) outcomes: Outcomes,
    pub(super) members: Members,
    pub(super) forming: Forming,
    /// Batches in a block whose receipts are to be read, and from when.
    pub(super) unread: HashMap<OperationId, (Settled, Instant)>,
}

impl Task {
    pub(super) async fn run(mut self, mut messages: mpsc::Receiver<Message>) {
        loop {
            let reads = self.unread.values().map(|(_, at)| *at);
            let wake = reads.chain(self.forming.due_at()).min();
            let woken = async {
                match wake {
                    Some(at) => tokio::time::sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                message = messages.recv() => match message {
                    Some(message) => self.take(message).await,
                    None => return,
                },
                () = woken => {}
            }
            while let Some(calls) = self.forming.take(Instant::now()) {
                self.send(calls).await;
            }
            self.read_receipts().await;
        }
    }

    async fn take(&mut self, message: Message) {
        match message {
            Message::Due(call, gas, by) => self.forming.add(call, gas, by, Instant::now()),
            Message::Hurry => self.forming.hurry(),
            Message::Open(state) => {
                let sent = state.settlement.broadcast().map(sent_before);
                if let Some(job) = self.job(&state.operation).await {
                    self.submit(job, sent.unwrap_or_default());
                }
            }
            Message::Confirmed(state) => {
                let job = self.job(&state.operation).await;
                if let Some((job, settled)) = job.zip(settled(&state.settlement)) {
                    watch(&self.lane, job, &state.settlement, settled).await;
                }
            }
            Message::News(id, news) => match news {
                LaneEventKind::Sent(_) | LaneEventKind::Final => {}
                LaneEventKind::Confirmed(settled) => {
                    self.unread.insert(id, (settled, Instant::now()));
                }
                LaneEventKind::Failed(reason) => self.failed(id, reason.to_string()).await,
                LaneEventKind::Reorged { transaction } => {
                    self.undo(id, &format!("{transaction:#x}")).await;
                }
            },
        }
    }

    /// Asks for a batch of these calls, durably, and has it sent.
    async fn send(&self, calls: Vec<CallId>) {
        let Some(settler) = self.settler else {
            return;
        };
        let mut states = Vec::new();
        for call in calls {
            match self.call(&call).await {
                Some(state) if state.settlement_due() => states.push(state),
                _ => drop(members(&self.members).undecided.remove(&call)),
            }
        }
        let items: Option<Vec<_>> = states.iter().map(|s| batch_item(s, settler)).collect();
        let Some(items) = items.filter(|items| items.len() > 1) else {
            return self.settle_alone(&states);
        };
        let operation = Operation {
            id: OperationId::from_bytes(rand::random()),
            kind: OperationKind::Batch,
            channels: Vec::new(),
            calls: states.iter().map(|state| state.hold.call).collect(),
            job: serde_json::json!(StoredBatch { settler }),
            at_ms: now_ms(),
        };
        let id = operation.id;
        let wanted = self.outcomes.ledger().request_operation(operation).await;
        match wanted {
            Ok(_) => {}
            Err(LedgerError::Unavailable) => {
                // Nothing can be settled then; the next start takes the calls up.
                return tracing::error!("a batch could not be recorded, so it is not sent");
            }
            Err(error) => {
                tracing::error!(%error, "a batch was refused: its calls are settled one by one");
                return self.settle_alone(&states);
            }
        }
        pass(Failpoint::Batch);
        members(&self.members).operations.insert(id);
        tracing::info!(%id, calls = states.len(), "a batch is sent");
        self.submit(batch_job(&id, settler, items), Vec::new());
    }

    /// Reads the receipts of mined batches. A block that vanished meanwhile has none: then the lane
    /// says so.
    async fn read_receipts(&mut self) {
        let now = Instant::now();
        let due: Vec<(OperationId, Settled)> = self
            .unread
            .iter()
            .filter(|(_, (_, at))| *at <= now)
            .map(|(id, (settled, _))| (*id, *settled))
            .collect();
        for (id, settled) in due {
            let receipt = match self.rpc.receipt(settled.transaction).await {
                Ok(receipt) => receipt.filter(|found| found.block_hash() == settled.block_hash),
                Err(error) => {
                    tracing::warn!(%id, %error, "a batch's receipt cannot be read yet");
                    None
                }
            };
            let Some(state) = self.operation(&id).await else {
                self.unread.remove(&id);
                continue;
            };
            let batch = batch_of(&id.to_string());
            let result = receipt
                .zip(settler_of(&state.operation))
                .and_then(|(receipt, settler)| BatchResult::read(&receipt, settler, batch));
            match result {
                Some(result) => {
                    self.unread.remove(&id);
                    self.tell(&state, &result, &settled).await;
                }
                None => {
                    let again = now.checked_add(READ_AGAIN).unwrap_or(now);
                    self.unread.insert(id, (settled, again));
                }
            }
        }
    }

    /// Writes down what a batch did, its calls first.
    async fn tell(&self, state: &OperationState, result: &BatchResult, batch: &Settled) {
        let id = state.operation.id;
        let calls = state.operation.calls.iter().enumerate();
        let told = calls.map(|(index, call)| async move {
            let state = self.call(call).await?;
            let item = if result.is_done(index) {
                Ok(())
            } else {
                let reason = result.failed.get(&index).map(|reason| reason.message());
                Err(format!("item_reverted: {}", reason.unwrap_or("not tried")))
            };
            let verdict = judge(&state.settlement, item, batch, anyone_settles(&state));
            for entry in verdict.entries {
                self.outcomes.conclude(&EntityId::Call(*call), entry).await;
            }
            verdict.alone.then_some(state)
        });
        let alone: Vec<CallState> = join_all(told).await.into_iter().flatten().collect();
        let operation = EntityId::Operation(id);
        self.outcomes.conclude(&operation, confirmed(batch)).await;
        tracing::info!(%id, transaction = %batch.transaction, items = result.items, failed = result.failed.len(), "a batch is on chain");
        self.release(&state.operation);
        self.settle_alone(&alone);
    }

    /// A batch that cannot be carried out as a whole says nothing about its calls.
    async fn failed(&mut self, id: OperationId, reason: String) {
        self.unread.remove(&id);
        tracing::error!(%id, reason, "a batch failed as a whole: its calls are settled one by one");
        let operation = EntityId::Operation(id);
        self.outcomes.conclude(&operation, failed(reason)).await;
        let Some(state) = self.operation(&id).await else {
            return;
        };
        let states = join_all(state.operation.calls.iter().map(|call| self.call(call))).await;
        let due = |state: &CallState| state.settlement_due();
        let states: Vec<CallState> = states.into_iter().flatten().filter(due).collect();
        self.release(&state.operation);
        self.settle_alone(&states);
    }

    /// A batch's block is gone: what its calls have by it is open again, until its next block says.
    async fn undo(&mut self, id: OperationId, transaction: &str) {
        self.unread.remove(&id);
        tracing::warn!(%id, transaction, "a batch was reorganised away; it is sent again");
        let operation = EntityId::Operation(id);
        self.outcomes.conclude(&operation, reorged()).await;
        let Some(state) = self.operation(&id).await else {
            return;
        };
        members(&self.members)
            .undecided
            .extend(&state.operation.calls);
        for call in &state.operation.calls {
            let settlement = self.call(call).await.map(|state| state.settlement);
            if let Some(entry) = settlement.and_then(|before| undone(&before, transaction)) {
                self.outcomes.conclude(&EntityId::Call(*call), entry).await;
            }
        }
    }

    /// The job of a batch that was asked for before.
    async fn job(&self, operation: &Operation) -> Option<Job> {
        let job = async {
            let settler = settler_of(operation)?;
            let mut items = Vec::new();
            for call in &operation.calls {
                items.push(batch_item(&self.call(call).await?, settler)?);
            }
            Some(batch_job(&operation.id, settler, items))
        };
        let job = job.await;
        if job.is_none() {
            tracing::error!(id = %operation.id, "a stored batch cannot be read; its calls stay open");
        }
        job
    }

    /// Settles calls by a transaction each.
    fn settle_alone(&self, states: &[CallState]) {
        for state in states {
            members(&self.members).undecided.remove(&state.hold.call);
            match call_job(state, &self.settlers) {
                Some(job) => {
                    let sent = state.settlement.broadcast().map(sent_before);
                    self.submit(job, sent.unwrap_or_default());
                }
                None => tracing::error!(call = %state.hold.call, "a stored payment cannot be read"),
            }
        }
    }

    /// Gives a job to the lane without waiting: the lane may be waiting for this task to read.
    fn submit(&self, job: Job, previous: Vec<Sent>) {
        let lane = self.lane.clone();
        tokio::spawn(async move {
            let id = job.id.clone();
            let taken = submit(&lane, job, previous).await;
            if let Err(error) = taken {
                tracing::error!(id, error, "a settlement was not taken up");
            }
        });
    }

    fn release(&self, operation: &Operation) {
        let mut members = members(&self.members);
        for call in &operation.calls {
            members.undecided.remove(call);
        }
    }

    async fn call(&self, id: &CallId) -> Option<CallState> {
        let found = self.outcomes.ledger().call(id).await;
        found
            .inspect_err(|error| tracing::error!(call = %id, %error, "a call cannot be read"))
            .ok()?
    }

    async fn operation(&self, id: &OperationId) -> Option<OperationState> {
        let found = self.outcomes.ledger().operation(id).await;
        found
            .inspect_err(|error| tracing::error!(%id, %error, "an operation cannot be read"))
            .ok()?
    }
}
