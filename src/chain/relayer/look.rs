//! What the chain says of the lane's key and of its transactions.

use super::job::{FailReason, Outcome, Settled};
use super::lane::Lane;
use super::policy::Unhealthy;
use super::proof::{Authorization, Verdict, judge};
use super::search::Trace;
use super::work::{Mined, Stage, Work};
use crate::chain::rpc::Answer;
use crate::chain::{ChainError, Head, Receipt};
use alloy::primitives::{U64, U128, U256};
use std::collections::BTreeMap;
use tokio::time::Instant;

/// Works whose receipts are asked at once: nonces are mined in order, so the first tell whether the
/// next need asking.
const WINDOW: usize = 32;

/// One look at the chain.
#[derive(Debug)]
pub(super) struct Sky {
    pub(super) head: Head,
    /// The key's next nonce by mined transactions.
    pub(super) mined: u64,
    /// The same, counting those the node holds unmined.
    pub(super) pending: u64,
    pub(super) balance: U256,
    pub(super) tip: u128,
}

impl Lane {
    pub(super) async fn look(&mut self) -> Result<Sky, ChainError> {
        let mut batch = self.rpc.batch();
        let head: Answer<Head> = batch.ask("eth_getBlockByNumber", &("latest", false))?;
        let mined: Answer<U64> = batch.ask("eth_getTransactionCount", &(self.relayer, "latest"))?;
        let pending: Answer<U64> =
            batch.ask("eth_getTransactionCount", &(self.relayer, "pending"))?;
        let balance: Answer<U256> = batch.ask("eth_getBalance", &(self.relayer, "latest"))?;
        let tip: Answer<U128> = batch.ask("eth_maxPriorityFeePerGas", &())?;
        batch.send().await?;
        let sky = Sky {
            head: head.get().await?,
            mined: mined.get().await?.to(),
            pending: pending.get().await?.to(),
            balance: balance.get().await?,
            // Not every node suggests a tip; the policy's least is good enough then.
            tip: tip
                .get()
                .await
                .map_or(0, |tip| tip.to::<u128>())
                .max(self.policy.tip_per_gas_min),
        };
        self.balance = sky.balance;
        self.nonce_floor.get_or_insert(sky.pending);
        if sky.balance < self.policy.balance_min {
            self.caution = Some(Unhealthy::OutOfGas {
                relayer: self.relayer,
                balance: sky.balance,
                needed: self.policy.balance_min,
            });
        }
        Ok(sky)
    }

    /// Looks for the receipts of everything sent, and for nonces that others used.
    pub(super) async fn find_mined(&mut self, sky: &Sky) -> Result<(), ChainError> {
        let mut open: Vec<(bool, u64, u64)> = self
            .works
            .iter()
            .filter(|(_, work)| work.mined().is_none() && !work.tries.is_empty())
            .map(|(seq, work)| match work.flight() {
                Some(flight) => (!flight.unchecked, flight.nonce, *seq),
                None => (true, 0, *seq),
            })
            .collect();
        open.sort_unstable();
        for window in open.chunks(WINDOW) {
            let checked = window.iter().all(|(checked, ..)| *checked);
            let seqs: Vec<u64> = window.iter().map(|(.., seq)| *seq).collect();
            let mut found = self.receipts_of(&seqs).await?;
            let mut open_still = false;
            for seq in seqs {
                match found.remove(&seq) {
                    Some(receipt) => self.settle_by(seq, &receipt).await?,
                    None => open_still |= !self.settle_without_receipt(seq, sky).await?,
                }
            }
            if open_still && checked {
                break;
            }
        }
        Ok(())
    }

    /// The best receipt of each job's tries: of several mined ones, that which did it.
    pub(super) async fn receipts_of(
        &self,
        seqs: &[u64],
    ) -> Result<BTreeMap<u64, Receipt>, ChainError> {
        let mut asked = Vec::new();
        for seq in seqs {
            if let Some(work) = self.works.get(seq) {
                asked.extend(work.tries.iter().map(|t| (*seq, (t.sent.transaction,))));
            }
        }
        let params: Vec<_> = asked.iter().map(|(_, params)| *params).collect();
        let answers = self
            .rpc
            .many::<_, Option<Receipt>>("eth_getTransactionReceipt", &params)
            .await?;
        let mut found: BTreeMap<u64, (Verdict, Receipt)> = BTreeMap::new();
        for ((seq, _), answer) in asked.into_iter().zip(answers) {
            let Some(receipt) = answer? else { continue };
            let verdict = self
                .works
                .get(&seq)
                .and_then(Work::job)
                .map_or(Verdict::Quiet, |job| judge(&receipt, &job.expect));
            if found.get(&seq).is_none_or(|(best, _)| *best < verdict) {
                found.insert(seq, (verdict, receipt));
            }
        }
        Ok(found
            .into_iter()
            .map(|(seq, (_, receipt))| (seq, receipt))
            .collect())
    }

    /// Decides by the receipt of an own transaction.
    async fn settle_by(&mut self, seq: u64, receipt: &Receipt) -> Result<(), ChainError> {
        let Some(work) = self.works.get(&seq) else {
            return Ok(());
        };
        let Some(job) = work.job().cloned() else {
            self.remove(seq);
            self.moved = true;
            return Ok(());
        };
        let reason = match judge(receipt, &job.expect) {
            Verdict::Done => {
                self.mine(seq, Outcome::Settled(place(receipt)), receipt);
                return Ok(());
            }
            Verdict::Quiet => job.expect.missing(),
            Verdict::Reverted => FailReason::Reverted,
        };
        // Most often someone was faster with the same authorization, and it counts. What may be
        // repeated does nothing when it was done before, without a revert.
        let repeatable = matches!(job.authorization, Some(Authorization::Repeatable { .. }));
        if (repeatable || reason == FailReason::Reverted)
            && self.trace(seq, &job).await? != Trace::None
        {
            return Ok(());
        }
        if repeatable && !self.is_doubted_long(seq) {
            return Ok(());
        }
        let outcome = Outcome::Failed(reason);
        self.mine(seq, outcome, receipt);
        Ok(())
    }

    /// Decides without a receipt where that can be done; answers whether the job is decided.
    async fn settle_without_receipt(&mut self, seq: u64, sky: &Sky) -> Result<bool, ChainError> {
        let Some(work) = self.works.get_mut(&seq) else {
            return Ok(true);
        };
        let Some(flight) = work.flight_mut() else {
            return Ok(true);
        };
        let nonce = flight.nonce;
        let consumed = sky.mined > nonce || flight.too_low;
        flight.strikes = if consumed { flight.strikes + 1 } else { 0 };
        // Twice, because the count and the receipt may come from nodes a block apart.
        let consumed = flight.strikes >= 2;
        if !consumed && !flight.unchecked {
            return Ok(false);
        }
        let Some(job) = work.job().cloned() else {
            self.remove(seq);
            return Ok(true);
        };
        match self.trace(seq, &job).await? {
            Trace::None => {}
            Trace::Found => return Ok(true),
            Trace::Hidden => return Ok(false),
        }
        if let Some(flight) = self.works.get_mut(&seq).and_then(Work::flight_mut) {
            flight.unchecked = false;
        }
        if !consumed {
            return Ok(false);
        }
        // An authorization is executed once whatever we send; a plain transfer only by its nonce.
        let resendable = job.authorization.is_some() || self.is_consumed_deep(nonce, sky).await?;
        if resendable {
            self.refresh(seq);
        }
        Ok(resendable)
    }

    /// Whether a job has looked as if it could not be done for as long as nodes may be apart.
    pub(super) fn is_doubted_long(&mut self, seq: u64) -> bool {
        let doubt = self.policy.doubt;
        self.works.get_mut(&seq).is_some_and(|work| {
            let since = work.doubted_since.get_or_insert_with(Instant::now);
            since.elapsed() >= doubt
        })
    }

    fn refresh(&mut self, seq: u64) {
        if let Some(work) = self.works.get_mut(&seq) {
            tracing::warn!(relayer = %self.relayer, "a nonce of the lane was used by someone else");
            work.stage = Stage::Fresh;
            work.doubted_since = None;
            self.moved = true;
        }
    }

    /// Whether the nonce was already used in a block that no reorg will take back.
    async fn is_consumed_deep(&self, nonce: u64, sky: &Sky) -> Result<bool, ChainError> {
        let depth = sky.head.number().saturating_sub(self.policy.final_depth);
        let count: U64 = self
            .rpc
            .request("eth_getTransactionCount", (self.relayer, U64::from(depth)))
            .await?;
        Ok(count.to::<u64>() > nonce)
    }

    pub(super) fn mine(&mut self, seq: u64, outcome: Outcome, receipt: &Receipt) {
        let Some(work) = self.works.get_mut(&seq) else {
            return;
        };
        let own = work
            .tries
            .iter()
            .find(|t| t.sent.transaction == receipt.transaction())
            .filter(|t| t.sent.relayer == self.relayer);
        if let Some(own) = own {
            let used = own.sent.lane_nonce.saturating_add(1);
            self.nonce_floor = Some(self.nonce_floor.map_or(used, |floor| floor.max(used)));
        }
        work.stage = Stage::Mined(Mined {
            outcome,
            transaction: receipt.transaction(),
            block: receipt.block(),
            block_hash: receipt.block_hash(),
            missing_since: None,
        });
        // The block may be older than the newest one, for which all was found in place.
        self.watched_head = None;
        self.moved = true;
    }
}

pub(super) fn place(receipt: &Receipt) -> Settled {
    Settled {
        transaction: receipt.transaction(),
        block: receipt.block(),
        block_hash: receipt.block_hash(),
    }
}
