//! Calls that are settled together: collected, asked for in the ledger as one operation (design
//! rule 5), sent as one transaction of the settler's, and each told its own outcome.
//!
//! While a batch is undecided, none of its calls is sent by itself. What the batch did is written
//! down call by call and the operation's own outcome last: a stop in between leaves the operation
//! open, and the next start reads the receipt again.

mod forming;
mod task;
mod verdict;

use super::lifetime::Lifetime;
use super::outcomes::Outcomes;
use super::settlement::Targets;
use super::stored::{batch_item, batch_of};
use crate::chain::bindings::ISettler;
use crate::chain::{Job, LaneEventKind, Relayer, Rpc, settler};
use crate::clock::now_ms;
use crate::ledger::{
    CallId, CallState, OpenItems, Operation, OperationId, OperationKind, OperationState, Settlement,
};
use alloy::primitives::Address;
use forming::Forming;
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use task::Task;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

/// Calls and news that may wait for the task.
const MESSAGES_MAX: usize = 1024;

/// Gas that the settler keeps for each item beside its limit (`ITEM_GAS` of `Settler.sol`).
const KEPT_PER_ITEM: u64 = 10_000;

/// The batches of one gateway; clones are the same.
#[derive(Debug, Clone)]
pub(super) struct Batches {
    settler: Option<Address>,
    lifetime: Lifetime,
    members: Members,
    messages: mpsc::Sender<Message>,
    task: Arc<AbortHandle>,
}

/// Who is in a batch.
type Members = Arc<Mutex<Membership>>;

#[derive(Debug, Default)]
struct Membership {
    operations: HashSet<OperationId>,
    /// Calls that wait for a batch, or are in one that is undecided.
    undecided: HashSet<CallId>,
    /// Calls of batches that an earlier life of the process saw confirmed, and the transaction.
    before: HashMap<CallId, String>,
}

/// What the task is told.
#[derive(Debug)]
enum Message {
    /// A call is due: what its item reserves, and when it must be sent at the latest.
    Due(CallId, u64, Option<Instant>),
    /// A batch has news from its lane.
    News(OperationId, LaneEventKind),
    /// An earlier life of the process left a batch open.
    Open(Box<OperationState>),
    /// An earlier life of the process saw a batch confirmed.
    Confirmed(Box<OperationState>),
    /// Nothing more is worth waiting for.
    Hurry,
}

/// What a batch's operation keeps beside its calls, from which its transaction is built again.
#[derive(Debug, Serialize, Deserialize)]
struct StoredBatch {
    settler: Address,
}

impl Batches {
    /// Starts their task; without a settler it only finishes what was begun with one.
    pub(super) fn start(targets: &Targets, rpc: &Rpc, lane: &Relayer, outcomes: &Outcomes) -> Self {
        let (sender, messages) = mpsc::channel(MESSAGES_MAX);
        let members = Members::default();
        let config = targets.settler;
        let calls_max = usize::try_from(config.batch_max).unwrap_or(1);
        let task = Task {
            settler: config.address,
            settlers: targets.settlers.clone(),
            rpc: rpc.clone(),
            lane: lane.clone(),
            outcomes: outcomes.clone(),
            members: Arc::clone(&members),
            forming: Forming::new(calls_max, config.batch_wait),
            unread: HashMap::new(),
        };
        let task = tokio::spawn(task.run(messages));
        Self {
            settler: config.address,
            lifetime: Lifetime::new(targets.settle_margin),
            members,
            messages: sender,
            task: Arc::new(task.abort_handle()),
        }
    }

    /// Takes a call into a batch; `false` when it is to be settled by itself.
    pub(super) async fn take(&self, state: &CallState) -> bool {
        let call = state.hold.call;
        let gas = {
            let mut members = members(&self.members);
            if members.undecided.contains(&call) {
                return true;
            }
            let item = self
                .settler
                .filter(|_| state.settlement_due())
                .and_then(|settler| batch_item(state, settler));
            let Some(item) = item else { return false };
            members.undecided.insert(call);
            reserved(&item)
        };
        // A task that is gone settles nothing more: the next start finds the call.
        let hold = &state.hold;
        let left = self
            .lifetime
            .left(hold.settle_when, &hold.authorization, now_ms());
        let by = left.and_then(|left| Instant::now().checked_add(left));
        let _ = self.messages.send(Message::Due(call, gas, by)).await;
        true
    }

    /// Whether a confirmed call is watched by its batch.
    pub(super) fn watches(&self, state: &CallState) -> bool {
        let members = members(&self.members);
        let Settlement::Confirmed {
            broadcast: None,
            transaction,
            ..
        } = &state.settlement
        else {
            return false;
        };
        let call = &state.hold.call;
        members.undecided.contains(call) || members.before.get(call) == Some(transaction)
    }

    /// Whether an operation is a batch.
    pub(super) fn owns(&self, id: &OperationId) -> bool {
        members(&self.members).operations.contains(id)
    }

    /// Passes on what a lane says of a batch.
    pub(super) async fn news(&self, id: OperationId, news: LaneEventKind) {
        let _ = self.messages.send(Message::News(id, news)).await;
    }

    /// Takes up the batches that the last stop left; before any call is.
    pub(super) async fn resume(&self, open: &OpenItems) {
        let batches = |states: &[OperationState]| -> Vec<OperationState> {
            let batch = |state: &&OperationState| state.operation.kind == OperationKind::Batch;
            states.iter().filter(batch).cloned().collect()
        };
        let (open, confirmed) = (batches(&open.operations), batches(&open.settled_operations));
        {
            let mut members = members(&self.members);
            for state in &open {
                members.operations.insert(state.operation.id);
                members.undecided.extend(&state.operation.calls);
            }
            for state in &confirmed {
                members.operations.insert(state.operation.id);
                if let Settlement::Confirmed { transaction, .. } = &state.settlement {
                    let calls = state.operation.calls.iter();
                    members
                        .before
                        .extend(calls.map(|call| (*call, transaction.clone())));
                }
            }
        }
        for state in open {
            let _ = self.messages.send(Message::Open(Box::new(state))).await;
        }
        for state in confirmed {
            let message = Message::Confirmed(Box::new(state));
            let _ = self.messages.send(message).await;
        }
    }

    /// From now on no call waits for others.
    pub(super) async fn hurry(&self) {
        let _ = self.messages.send(Message::Hurry).await;
    }

    /// Stops; what is unfinished is taken up at the next start.
    pub(super) fn stop(&self) {
        self.task.abort();
    }
}

fn members(members: &Members) -> MutexGuard<'_, Membership> {
    members.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the settler wants to have left for an item (`_gasOf` of `Settler.sol`).
fn reserved(item: &ISettler::Item) -> u64 {
    let limit = u64::try_from(item.gasLimit).unwrap_or(u64::MAX);
    let copied = u64::try_from(item.data.len()).unwrap_or(u64::MAX);
    limit.saturating_add(KEPT_PER_ITEM).saturating_add(copied)
}

/// The settler that a batch was asked of.
fn settler_of(operation: &Operation) -> Option<Address> {
    let stored: StoredBatch = serde_json::from_value(operation.job.clone()).ok()?;
    Some(stored.settler)
}

/// The transaction of a batch.
fn batch_job(id: &OperationId, settler: Address, items: Vec<ISettler::Item>) -> Job {
    let id = id.to_string();
    let batch = batch_of(&id);
    let reserved = items.iter().map(reserved).fold(0, u64::saturating_add);
    let calldata = settler::calldata(batch, items);
    let words = u64::try_from(calldata.len()).unwrap_or(u64::MAX);
    // EIP-150 keeps a 64th back, and a byte of call data costs at most 16 gas, or 40 by EIP-7623.
    let needed = reserved
        .saturating_add(reserved.div_ceil(63))
        .saturating_add(words.saturating_mul(16))
        .saturating_add(100_000);
    Job {
        id,
        to: settler,
        calldata,
        expect: settler::expect(settler, batch),
        authorization: None,
        // As much above it as the lane puts above an estimate.
        gas_limit_max: Some(needed.saturating_add(needed.saturating_mul(3).div_ceil(10))),
    }
}
