//! Who else brought a job about, or made it impossible.

use super::job::{FailReason, Job, Outcome};
use super::lane::Lane;
use super::look::place;
use super::permit::{is_withdrawn, spent_by};
use super::proof::{Authorization, Verdict, is_spent, judge, spent_query};
use crate::chain::bindings::{IEip3009Token, IPermit2};
use crate::chain::{ChainError, Receipt, Rpc};
use alloy::eips::BlockNumberOrTag;
use alloy::primitives::{Address, B256, Bytes, U256};
use alloy::rpc::types::Log;
use alloy::sol_types::SolEvent;
use serde::Deserialize;
use std::collections::BTreeSet;

/// Blocks of logs asked for at once.
const SEARCH_SPAN: u64 = 2_000;

/// Most transactions looked into by one search, the newest first.
const CANDIDATES_MAX: usize = 500;

/// What is known of a job beside our own transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trace {
    /// Nobody did it, and nothing keeps us from it.
    None,
    /// It is decided.
    Found,
    /// Something happened that was not found, or not yet: unknown is not failed.
    Hidden,
}

impl Lane {
    /// Looks whether a job was decided by a transaction that is not ours, and decides it then.
    pub(super) async fn trace(&mut self, seq: u64, job: &Job) -> Result<Trace, ChainError> {
        let Some(authorization) = job.authorization else {
            return Ok(Trace::None);
        };
        if !self
            .may_be_used(authorization, BlockNumberOrTag::Latest)
            .await?
        {
            return Ok(Trace::None);
        }
        if !self.works.get(&seq).is_some_and(|w| w.search.is_due()) {
            return Ok(Trace::Hidden);
        }
        let found = match authorization {
            Authorization::Eip3009 { asset, from, nonce } => {
                self.executed_eip3009(job, asset, from, nonce).await?
            }
            Authorization::Permit2 { .. } => self.executed_permit2(job, authorization).await?,
            Authorization::Repeatable { after_block } => self.repeated(job, after_block).await?,
        };
        // One of ours may have been mined since its receipt was asked for: then that decides.
        let fails = matches!(found, Found::Never(_) | Found::In(Outcome::Failed(_), _));
        if fails {
            let own = self.receipts_of(&[seq]).await?;
            let done = |receipt: &Receipt| judge(receipt, &job.expect) == Verdict::Done;
            if own.values().any(done) {
                return Ok(Trace::Hidden);
            }
        }
        match found {
            Found::In(outcome, receipt) => {
                self.mine(seq, outcome, &receipt);
                return Ok(Trace::Found);
            }
            Found::Never(reason) => {
                self.tell(seq, Outcome::Failed(reason)).await;
                self.remove(seq);
                self.moved = true;
                return Ok(Trace::Found);
            }
            Found::No => {}
        }
        if let Some(work) = self.works.get_mut(&seq) {
            work.search.push_back();
        }
        if let Authorization::Repeatable { .. } = authorization {
            return Ok(Trace::None);
        }
        tracing::warn!(job = %job.id, "the execution of a used authorization is not found");
        Ok(Trace::Hidden)
    }

    /// Whether the authorization is spent at a block; one that has no state of its own may always be.
    async fn may_be_used(
        &self,
        authorization: Authorization,
        block: BlockNumberOrTag,
    ) -> Result<bool, ChainError> {
        let Some((to, data)) = spent_query(authorization) else {
            return Ok(true);
        };
        let call = serde_json::json!({ "to": to, "data": data });
        let answer: Bytes = self.rpc.request("eth_call", (call, block)).await?;
        is_spent(authorization, &answer)
    }

    /// Whether it was spent at an earlier block; none from a node that keeps no state of that.
    async fn was_spent(
        &self,
        authorization: Authorization,
        block: u64,
    ) -> Result<Option<bool>, ChainError> {
        match self.may_be_used(authorization, block.into()).await {
            Ok(spent) => Ok(Some(spent)),
            Err(ChainError::Refused { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The token names the authorization in its logs, executed or called off.
    async fn executed_eip3009(
        &self,
        job: &Job,
        asset: Address,
        from: Address,
        nonce: B256,
    ) -> Result<Found, ChainError> {
        let canceled = IEip3009Token::AuthorizationCanceled::SIGNATURE_HASH;
        let topics = [
            vec![IEip3009Token::AuthorizationUsed::SIGNATURE_HASH, canceled],
            vec![from.into_word()],
            vec![nonce],
        ];
        let head = self.rpc.latest_block().await?.number();
        let range = (head.saturating_sub(self.policy.search_blocks_max), head);
        let logs = search_back(&self.rpc, asset, &topics, range, 1, |_| true).await?;
        let Some(log) = logs.first() else {
            return Ok(Found::No);
        };
        let Some(transaction) = log.transaction_hash else {
            return Ok(Found::No);
        };
        let Some(receipt) = self.rpc.receipt(transaction).await? else {
            return Ok(Found::No);
        };
        let outcome = match judge(&receipt, &job.expect) {
            Verdict::Done => Outcome::Settled(place(&receipt)),
            _ if log.topic0() == Some(&canceled) => {
                Outcome::Failed(FailReason::AuthorizationCanceled)
            }
            _ => Outcome::Failed(job.expect.missing()),
        };
        Ok(Found::In(outcome, receipt))
    }

    /// Permit2 logs nothing, so a direct call with this nonce is looked for among the transactions
    /// that emitted what is expected. A log alone would not do: payers sign equal payments.
    async fn executed_permit2(
        &self,
        job: &Job,
        authorization: Authorization,
    ) -> Result<Found, ChainError> {
        let Authorization::Permit2 {
            permit2,
            owner,
            nonce,
            after_block,
        } = authorization
        else {
            return Ok(Found::No);
        };
        let head = self.rpc.latest_block().await?.number();
        let first = after_block.max(head.saturating_sub(self.policy.search_blocks_max));
        let range = (first, head);
        let candidates = self.candidates(job, range).await?;
        let inputs = self.inputs(&candidates).await?;
        for (transaction, call) in candidates.into_iter().zip(inputs) {
            let call = call?;
            let same_permit = call.is_some_and(|call| call.does(job));
            if same_permit && let Some(receipt) = self.done_in(job, transaction).await? {
                return Ok(Found::In(Outcome::Settled(place(&receipt)), receipt));
            }
        }
        // A nonce can be withdrawn after it was spent, which changes nothing.
        if let Some(receipt) = self.withdrawn(permit2, owner, nonce, range).await?
            && self
                .was_spent(authorization, receipt.block().saturating_sub(1))
                .await?
                == Some(false)
        {
            let outcome = Outcome::Failed(FailReason::AuthorizationCanceled);
            return Ok(Found::In(outcome, receipt));
        }
        // Every block since it was unspent was searched, and no reorg will make it unspent again.
        let deep = head.saturating_sub(self.policy.final_depth);
        let searched = first == after_block && deep >= after_block;
        if searched && self.was_spent(authorization, deep).await? == Some(true) {
            return Ok(Found::Never(FailReason::AuthorizationSpent));
        }
        Ok(Found::No)
    }

    async fn repeated(&self, job: &Job, after_block: u64) -> Result<Found, ChainError> {
        let head = self.rpc.latest_block().await?.number();
        let first = after_block
            .saturating_add(1)
            .max(head.saturating_sub(self.policy.search_blocks_max));
        for transaction in self.candidates(job, (first, head)).await? {
            if let Some(receipt) = self.done_in(job, transaction).await? {
                return Ok(Found::In(Outcome::Settled(place(&receipt)), receipt));
            }
        }
        Ok(Found::No)
    }

    /// Transactions that emitted (the first of) what is expected, the newest first.
    async fn candidates(&self, job: &Job, range: (u64, u64)) -> Result<Vec<B256>, ChainError> {
        let Some((emitter, topics)) = job.expect.trail() else {
            return Ok(Vec::new());
        };
        let meets = |log: &Log| job.expect.is_met_by(log);
        let logs = search_back(&self.rpc, emitter, &topics, range, CANDIDATES_MAX, meets).await?;
        let mut seen = BTreeSet::new();
        let transactions = logs.iter().filter_map(|log| log.transaction_hash);
        Ok(transactions.filter(|hash| seen.insert(*hash)).collect())
    }

    async fn inputs(
        &self,
        transactions: &[B256],
    ) -> Result<Vec<Result<Option<Call>, ChainError>>, ChainError> {
        let params: Vec<_> = transactions.iter().map(|hash| (*hash,)).collect();
        self.rpc.many("eth_getTransactionByHash", &params).await
    }

    async fn done_in(&self, job: &Job, transaction: B256) -> Result<Option<Receipt>, ChainError> {
        let receipt = self.rpc.receipt(transaction).await?;
        Ok(receipt.filter(|receipt| judge(receipt, &job.expect) == Verdict::Done))
    }

    /// The transaction in which the owner withdrew the nonce.
    async fn withdrawn(
        &self,
        permit2: Address,
        owner: Address,
        nonce: U256,
        range: (u64, u64),
    ) -> Result<Option<Receipt>, ChainError> {
        let topics = [
            vec![IPermit2::UnorderedNonceInvalidation::SIGNATURE_HASH],
            vec![owner.into_word()],
        ];
        let withdraws = |log: &Log| is_withdrawn(log, nonce);
        let logs = search_back(&self.rpc, permit2, &topics, range, 1, withdraws).await?;
        match logs.first().and_then(|log| log.transaction_hash) {
            Some(transaction) => self.rpc.receipt(transaction).await,
            None => Ok(None),
        }
    }
}

/// What a search found.
#[derive(Debug)]
enum Found {
    /// The transaction that decided the job, and how.
    In(Outcome, Receipt),
    /// That no transaction will ever do it, in no reorg either.
    Never(FailReason),
    /// Nothing.
    No,
}

/// A mined transaction, as far as it is needed.
#[derive(Debug, Deserialize)]
struct Call {
    to: Option<Address>,
    input: Bytes,
}

impl Call {
    /// Whether it spends, by the same contract, the very permit that the job spends.
    fn does(&self, job: &Job) -> bool {
        let permit = spent_by(&job.calldata);
        self.to == Some(job.to) && permit.is_some() && spent_by(&self.input) == permit
    }
}

/// Logs of a closed block range that are wanted, the newest pages first, until there are enough.
async fn search_back(
    rpc: &Rpc,
    address: Address,
    topics: &[Vec<B256>],
    (first, last): (u64, u64),
    enough: usize,
    wanted: impl Fn(&Log) -> bool,
) -> Result<Vec<Log>, ChainError> {
    let (mut end, mut span, mut found) = (last, SEARCH_SPAN, Vec::new());
    while end >= first {
        let start = end.saturating_sub(span - 1).max(first);
        let logs = match rpc.logs(address, topics, start, end).await {
            Ok(logs) => logs,
            Err(ChainError::Refused { .. }) if span > 1 => {
                span /= 2;
                continue;
            }
            Err(error) => return Err(error),
        };
        let page = logs.into_iter().rev();
        found.extend(page.filter(|log| !log.removed && wanted(log)));
        if found.len() >= enough || start == 0 {
            break;
        }
        end = start - 1;
    }
    Ok(found)
}
