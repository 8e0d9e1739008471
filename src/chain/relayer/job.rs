//! What a lane is asked to bring about, what comes of it, and the port that makes its intents durable.

use super::proof::{Authorization, Expect};
use crate::chain::RevertReason;
use alloy::primitives::{Address, B256, Bytes};
use futures::future::BoxFuture;
use std::fmt;
use tokio::sync::oneshot;

/// One contract call to bring into the chain exactly once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// The caller's name for it; the lane never works on one id twice at a time.
    pub id: String,
    /// The contract to call.
    pub to: Address,
    /// The call.
    pub calldata: Bytes,
    /// What proves success.
    pub expect: Expect,
    /// What keeps it once; `None` for a transfer of the relayer's own tokens, whose nonce must.
    pub authorization: Option<Authorization>,
    /// The most gas it may take; `None` is what the policy says for one payment.
    pub gas_limit_max: Option<u64>,
}

/// How a job ended, as far as the chain is settled by now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// What was expected happened.
    Settled(Settled),
    /// It did not happen, and nothing of ours that could make it is pending.
    ///
    /// A signed authorization stays usable by anyone who saw it until it expires: keep the failure
    /// in the books that [`crate::chain::audit`] checks.
    Failed(FailReason),
}

/// Where it happened; the sender may be someone else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settled {
    /// The transaction.
    pub transaction: B256,
    /// The number of its block.
    pub block: u64,
    /// The hash of its block.
    pub block_hash: B256,
}

/// Why it did not happen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FailReason {
    /// The transaction succeeded without the expected `Transfer` event.
    #[error("transfer_event_mismatch")]
    TransferEventMismatch,
    /// The transaction succeeded without the expected logs, and nobody else's has them.
    #[error("expected_event_missing")]
    EventMissing,
    /// The transaction was mined and reverted, and the authorization is unused.
    #[error("transaction_reverted")]
    Reverted,
    /// The call reverts when simulated, so it was not sent.
    #[error("simulation_reverted: {0}")]
    Simulation(RevertReason),
    /// The signer called the authorization off.
    #[error("authorization_canceled")]
    AuthorizationCanceled,
    /// The signer spent the authorization's nonce on something else.
    #[error("authorization_spent_elsewhere")]
    AuthorizationSpent,
    /// The call needs more gas than the policy allows, so it was not sent.
    #[error("gas_above_cap")]
    GasAboveCap,
    /// The payer's own transaction was in no block when its time was over.
    #[error("transaction_expired")]
    Expired,
}

/// A transaction that may be in the world from now on.
#[derive(Clone, PartialEq, Eq)]
pub struct Sent {
    /// The key's address.
    pub relayer: Address,
    /// The key's nonce that the transaction uses.
    pub lane_nonce: u64,
    /// The transaction's hash.
    pub transaction: B256,
    /// The signed transaction (EIP-2718), to send again after a crash.
    pub raw_transaction: Bytes,
}

impl fmt::Debug for Sent {
    /// Leaves the raw bytes out: they hold the payer's signature.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sent")
            .field("relayer", &self.relayer)
            .field("lane_nonce", &self.lane_nonce)
            .field("transaction", &self.transaction)
            .finish_non_exhaustive()
    }
}

/// The durability port of a lane, implemented over the ledger.
pub trait Outbox: Send + Sync + 'static {
    /// Records that `sent` is about to be broadcast for the job; resolves once that is durable.
    ///
    /// The lane broadcasts only after `Ok` (design rule 5). After `Err` it does not, and asks again
    /// later with another transaction. All records of a job go into [`super::Relayer::resume`].
    fn sent<'a>(&'a self, job_id: &'a str, sent: Sent) -> BoxFuture<'a, Result<(), OutboxRefusal>>;
}

/// The intent to send could not be made durable, so nothing was sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the outbox refused: {0}")]
pub struct OutboxRefusal(pub String);

/// What happened to a job, in order; one job's events may repeat after a [`LaneEventKind::Reorged`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneEvent {
    /// The job's id.
    pub job_id: String,
    /// What happened.
    pub kind: LaneEventKind,
}

/// The kinds of [`LaneEvent`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LaneEventKind {
    /// A transaction is durable in the outbox and goes out now; again for each fee bump.
    Sent(Sent),
    /// What was expected happened, and has the wanted confirmations.
    Confirmed(Settled),
    /// It did not happen.
    Failed(FailReason),
    /// What was confirmed, or failed, is no longer in the chain; the job is worked on again.
    Reorged {
        /// The transaction that vanished.
        transaction: B256,
    },
    /// The last `Confirmed` or `Failed` is as deep as the policy wants it: no further event follows.
    Final,
}

/// A promise of a job's first outcome.
#[derive(Debug)]
pub struct Ticket(pub(super) oneshot::Receiver<Outcome>);

impl Ticket {
    /// Waits until the chain has answered, however long that takes.
    ///
    /// A stopped lane is not an outcome: the job is open in the outbox.
    pub async fn outcome(self) -> Result<Outcome, LaneClosed> {
        self.0.await.map_err(|_| LaneClosed)
    }
}

/// The lane was stopped; what it had not finished is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the relayer's lane is stopped")]
pub struct LaneClosed;

/// Why a job cannot be taken up again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ResumeRefusal {
    /// The lane was stopped.
    #[error(transparent)]
    Closed(#[from] LaneClosed),
    /// A job that only its lane nonce keeps from paying twice was sent by another key.
    #[error("the job was sent by the relayer {0}, and must be finished by it")]
    OtherRelayer(Address),
}
