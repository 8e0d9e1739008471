//! The relayer: pays the gas that brings what was signed on chain, over one nonce lane per key.
//!
//! A lane is one task that owns its key's nonces. alloy's nonce managers fail in two ways that a
//! settler cannot accept: the simple one gives two concurrent transactions the same nonce, and the
//! cached one advances before broadcast and never resynchronizes after a failed submit or a reorg.
//! The lane takes numbers from neither: each round it derives the next nonce from the chain's count
//! and its own unfinished transactions, and repairs whatever differs. How it fails, and what follows:
//!
//! - *The node does not answer, or nonsense:* nothing is concluded; jobs wait, [`Relayer::healthy`]
//!   says so, and the round is tried again.
//! - *A broadcast's answer is lost:* the same bytes are sent again until a receipt is found.
//! - *The node forgot a transaction:* its pending count shows it; the same bytes are sent again.
//! - *A transaction is stuck:* it is signed again with the same nonce and higher fees, up to a cap.
//! - *A nonce is missing below ours* (a send that never got out): a later job that has an
//!   [`Authorization`] is moved down to it, which is safe because that keeps it once; else a zero-value
//!   transfer to ourselves fills it.
//! - *Someone else used our key's nonce:* a job with an authorization is sent anew once it is seen
//!   unused. One without (a plain token transfer) is sent anew only when the foreign use is
//!   [`LanePolicy::final_depth`] blocks deep: nothing but the nonce keeps it from paying twice.
//! - *Someone else did the job,* and it counts: a token's logs name who executed an EIP-3009
//!   authorization; a permit of Permit2's is found by the call that spends it, among the transactions
//!   that emitted what the job expects; what is repeatable is found by its logs alone. So what reverts
//!   or does nothing because it was done before ends as settled.
//! - *The payer spent the authorization on something else:* the job fails by the payer's own
//!   cancellation, in its place in the chain. Permit2 knows a spending that leaves no log: that fails
//!   the job when it is as deep as a reorg goes, and all blocks since it was unspent were searched.
//!   Until then, and where the search cannot reach back so far, the job stays open.
//! - *Many jobs fail at once* (a payer drains the wallet): they wait behind those nothing is said
//!   against, and none is failed before the no has stood for [`LanePolicy::doubt`].
//! - *A reorg:* what was mined is watched until [`LanePolicy::final_depth`]; what vanished is worked
//!   on again. That holds for failures too: a failed transaction may succeed in another chain.
//! - *The key runs out of gas, or fees exceed the cap:* jobs wait; [`Relayer::healthy`] says why.
//! - *The process stops* at any await: the [`Outbox`] knows every transaction that may be out, and
//!   [`Relayer::resume`] takes them up again; [`Relayer::watch`] goes on looking for reorgs.
//! - *The node lies about nonces:* too low costs useless sends ("nonce too low") until the true one is
//!   found; too high makes a gap that is healed when the truth is told. Neither pays twice.

mod broadcast;
mod fees;
mod job;
mod lane;
mod look;
mod permit;
mod policy;
mod proof;
mod reorg;
mod repair;
mod search;
mod send;
mod work;

pub use job::{
    FailReason, Job, LaneClosed, LaneEvent, LaneEventKind, Outbox, OutboxRefusal, Outcome,
    ResumeRefusal, Sent, Settled, Ticket,
};
pub use policy::{Health, LanePolicy, Unhealthy};
pub use proof::{Authorization, Expect, ExpectedLog};

pub(super) use broadcast::{Broadcast, broadcast};
pub(super) use proof::{is_spent, spent_query};

use super::Rpc;
use alloy::primitives::Address;
use alloy::signers::local::PrivateKeySigner;
use lane::{Command, Lane};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::AbortHandle;
use work::Work;

/// Events kept for a slow listener before the lane waits for it.
const EVENTS_MAX: usize = 1024;

/// One key's nonce lane; clones speak to the same lane, and the last one dropped stops it.
#[derive(Debug, Clone)]
pub struct Relayer {
    address: Address,
    bump_after: Duration,
    commands: mpsc::Sender<Command>,
    health: watch::Receiver<Health>,
    task: Arc<LaneTask>,
}

impl Relayer {
    /// Starts the lane of `key`. There must be one lane per key, in the whole world.
    ///
    /// The events must be read: the lane waits when 1024 are unread. Their reader must not itself
    /// wait for [`Relayer::submit`], or both stand still. A dropped reader is no problem.
    pub fn spawn(
        rpc: Rpc,
        key: PrivateKeySigner,
        policy: LanePolicy,
        outbox: Arc<dyn Outbox>,
    ) -> (Self, mpsc::Receiver<LaneEvent>) {
        let address = key.address();
        let bump_after = policy.bump_after;
        let (commands, command_queue) = mpsc::channel(policy.queue_max.max(1));
        let (event_sender, events) = mpsc::channel(EVENTS_MAX);
        let (health_sender, health) = watch::channel(Ok(()));
        let lane = Lane::new(
            rpc,
            key,
            policy,
            outbox,
            command_queue,
            event_sender,
            health_sender,
        );
        let task = tokio::spawn(lane.run());
        let relayer = Self {
            address,
            bump_after,
            commands,
            health,
            task: Arc::new(LaneTask(task.abort_handle())),
        };
        (relayer, events)
    }

    /// The key's address, which pays the gas.
    pub fn address(&self) -> Address {
        self.address
    }

    /// Takes a job that was never sent; waits while the queue is full.
    ///
    /// An id the lane already has joins that job: the same settlement is never made twice.
    pub async fn submit(&self, job: Job) -> Result<Ticket, LaneClosed> {
        self.take(Work::fresh(job)).await
    }

    /// Takes a job up again after a restart, with everything the [`Outbox`] recorded for it.
    ///
    /// Their receipts, and what others did, are looked up first. Refused for a job without
    /// an authorization that was sent by another key: only that key's nonce keeps it paid once.
    pub async fn resume(&self, job: Job, previous: Vec<Sent>) -> Result<Ticket, ResumeRefusal> {
        let work = Work::resumed(job, previous, self.address, self.bump_after)?;
        Ok(self.take(work).await?)
    }

    /// Watches a job that an earlier life of the process saw settled: a reorg may still undo it, and
    /// then it is worked on again. Refused as [`Relayer::resume`] is.
    pub async fn watch(
        &self,
        job: Job,
        previous: Vec<Sent>,
        settled: Settled,
    ) -> Result<(), ResumeRefusal> {
        let work = Work::resumed(job, previous, self.address, self.bump_after)?;
        self.take(work.settled(settled)).await?;
        Ok(())
    }

    /// Whether new jobs would be worked on now, or why they would wait.
    pub fn healthy(&self) -> Result<(), Unhealthy> {
        self.health.borrow().clone()
    }

    /// Follows [`Relayer::healthy`].
    pub fn health(&self) -> watch::Receiver<Health> {
        self.health.clone()
    }

    /// Stops the lane at once, for all clones; unfinished jobs stay open in the outbox.
    pub fn stop(&self) {
        self.task.0.abort();
    }

    async fn take(&self, work: Work) -> Result<Ticket, LaneClosed> {
        let (sender, receiver) = oneshot::channel();
        let command = Command {
            work: Box::new(work),
            waiter: sender,
        };
        self.commands.send(command).await.map_err(|_| LaneClosed)?;
        Ok(Ticket(receiver))
    }
}

#[derive(Debug)]
struct LaneTask(AbortHandle);

impl Drop for LaneTask {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests;
