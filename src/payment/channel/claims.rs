//! Claims: which channels, when, and how many in one transaction.

use super::job::{Row, StoredJob};
use super::mirror::Unread;
use super::{ChannelRail, config_of, gate::Working};
use crate::clock::now_ms;
use crate::ledger::{
    ChannelId, ChannelState, Operation, OperationId, OperationKind, OperationState, Settlement,
};
use crate::money::Units;
use crate::payment::authorized::AuthorizeFailure;
use alloy::primitives::Bytes;
use std::collections::BTreeSet;

/// Rows in one claim at most: a block has room for many times that.
const ROWS_MAX: usize = 80;

/// The most that an operation's channels and rows may take in its record, in bytes.
const RECORD_BYTES_MAX: usize = 28 << 10;

/// What a row takes beside its signature, with its channel's id.
const ROW_BYTES: usize = 180;

/// When charges are claimed.
#[derive(Debug, Clone, Copy)]
pub(super) struct ClaimPolicy {
    /// When the oldest is this old.
    pub(super) after_ms: u64,
    /// When a channel has this much.
    pub(super) above: Units,
}

/// The channels to claim on now. When there is reason for any, those go along that are half as far: in
/// a transaction that is made anyway they cost half.
pub(super) fn choose(states: &[ChannelState], policy: ClaimPolicy, now_ms: u64) -> Vec<ChannelId> {
    let half = ClaimPolicy {
        after_ms: policy.after_ms / 2,
        above: Units::from_atomic(policy.above.atomic() / 2),
    };
    let due = |policy| move |state: &&ChannelState| is_due(state, policy, now_ms);
    if !states.iter().any(|state| is_due(state, policy, now_ms)) {
        return Vec::new();
    }
    let chosen = states.iter().filter(due(half));
    chosen.map(|state| state.opening.channel).collect()
}

/// Whether there is reason to claim on a channel now.
pub(super) fn is_due(state: &ChannelState, policy: ClaimPolicy, now_ms: u64) -> bool {
    let unclaimed = state.unclaimed();
    let old = state
        .unclaimed_since_ms
        .is_some_and(|since| now_ms >= since.saturating_add(policy.after_ms));
    let much = !policy.above.is_zero() && unclaimed >= policy.above;
    !unclaimed.is_zero() && (old || much || state.on_chain.withdrawal.is_some())
}

/// The row that claims all that can be claimed on a channel; `None` when that is nothing.
pub(super) fn row(state: &ChannelState) -> Option<Row> {
    let voucher = state.voucher.as_ref()?;
    let signature: Bytes = voucher.signature.parse().ok()?;
    let total = state.claimable_total();
    (total > state.on_chain.total_claimed).then(|| Row(voucher.max_claimable, total, signature))
}

/// Cuts rows into claims that the ledger can keep.
pub(super) fn batches<T>(rows: Vec<(T, Row)>) -> Vec<Vec<(T, Row)>> {
    let mut batches = Vec::new();
    let (mut batch, mut bytes) = (Vec::new(), 0_usize);
    for (channel, row) in rows {
        let size = row.2.len().saturating_mul(2).saturating_add(ROW_BYTES);
        let full = bytes.saturating_add(size) > RECORD_BYTES_MAX || batch.len() >= ROWS_MAX;
        if full && !batch.is_empty() {
            batches.push(std::mem::take(&mut batch));
            bytes = 0;
        }
        bytes = bytes.saturating_add(size);
        batch.push((channel, row));
    }
    if !batch.is_empty() {
        batches.push(batch);
    }
    batches
}

/// What became of claims.
#[derive(Debug, Default)]
pub(super) struct Claimed {
    /// The operations that are on chain, and that failed.
    pub(super) operations: Vec<OperationState>,
    /// Channels that could not be claimed on alone.
    pub(super) failed: Vec<ChannelId>,
}

impl ChannelRail {
    /// Claims all that can be claimed, at the operator's word, and waits for it. It goes on when the
    /// asker leaves.
    pub async fn claim_all(&self) -> Result<Vec<OperationState>, AuthorizeFailure> {
        let rail = self.clone();
        let claiming = async move {
            let states = rail.own_channels().await?;
            let chargeable = states.iter().filter(|state| row(state).is_some());
            let ids: Vec<ChannelId> = chargeable.map(|state| state.opening.channel).collect();
            Ok(rail.claim(&ids).await?.operations)
        };
        let done = tokio::spawn(claiming).await;
        done.unwrap_or(Err(AuthorizeFailure::Unknown))
    }

    /// Has the receiver paid what was claimed for it, at the operator's word; `None` when that is
    /// nothing. It goes on when the asker leaves.
    pub async fn settle_all(&self) -> Result<Option<OperationState>, AuthorizeFailure> {
        let rail = self.clone();
        let done = tokio::spawn(async move { rail.settle().await }).await;
        Ok(done.map_err(|_| AuthorizeFailure::Unknown)??)
    }

    /// Claims all that can be claimed on these channels, but for those that have a transaction under
    /// way. A claim that fails is cut in two, so that one bad voucher costs the others nothing.
    pub(super) async fn claim(&self, channels: &[ChannelId]) -> Result<Claimed, Unread> {
        let mut claimed = Claimed::default();
        let work = |channel: &ChannelId| Some((*channel, self.inner.gate.work(*channel)?));
        let mut waiting: Vec<Vec<(ChannelId, Working)>> =
            vec![channels.iter().filter_map(work).collect()];
        while let Some(mut group) = waiting.pop() {
            let ids: Vec<ChannelId> = group.iter().map(|(channel, _)| *channel).collect();
            if ids.is_empty() {
                continue;
            }
            // What was claimed meanwhile, by whomever, makes no row.
            let states = self.refresh(&ids).await?;
            let ours = |state: &&ChannelState| {
                let config = config_of(&state.opening);
                let authorizer = self.inner.authorizer.address();
                config.is_some_and(|config| config.receiver_authorizer == authorizer)
            };
            let rows = states.iter().filter(ours);
            let rows = rows.filter_map(|state| Some((state.opening.channel, row(state)?)));
            let after_block = states.first().map_or(0, |state| state.on_chain.block);
            let mut batches = batches(rows.collect::<Vec<_>>()).into_iter();
            let Some(batch) = batches.next() else {
                continue;
            };
            let rest: Vec<ChannelId> = batches.flatten().map(|(channel, _)| channel).collect();
            let later = take(&mut group, &rest);
            let now: Vec<ChannelId> = batch.iter().map(|(channel, _)| *channel).collect();
            let mut group = take(&mut group, &now);
            waiting.push(later);
            let state = self.claim_batch(batch, after_block).await?;
            let failed = matches!(state.settlement, Settlement::Failed { .. });
            claimed.operations.push(state);
            if failed && group.len() > 1 {
                let half = group.split_off(group.len() / 2);
                waiting.extend([group, half]);
            } else if failed {
                claimed.failed.extend(now);
            } else if let Err(error) = self.refresh(&now).await {
                tracing::warn!(%error, "channels that were claimed on cannot be read");
            }
        }
        Ok(claimed)
    }

    async fn claim_batch(
        &self,
        batch: Vec<(ChannelId, Row)>,
        after_block: u64,
    ) -> Result<OperationState, Unread> {
        let (channels, rows) = batch.into_iter().unzip();
        let job = StoredJob::Claim { rows, after_block };
        self.operate(OperationKind::Claim, channels, &job).await
    }

    /// Pays the receiver what was claimed for it and is not paid yet; `None` when that is nothing.
    pub(super) async fn settle(&self) -> Result<Option<OperationState>, Unread> {
        let _one_at_a_time = self.inner.settling.lock().await;
        let payee = &self.inner.payee;
        let (receiver, token) = (payee.pay_to, payee.asset.address);
        let rpc = &self.inner.rpc;
        let after_block = rpc.latest_block().await?.number();
        let due = rpc.due(self.contract(), receiver, token).await?;
        if due.total_claimed <= due.total_settled {
            return Ok(None);
        }
        let job = StoredJob::Settle {
            receiver,
            token,
            after_block,
        };
        let state = self
            .operate(OperationKind::Settle, Vec::new(), &job)
            .await?;
        Ok(Some(state))
    }

    /// Wants a new operation and waits for what becomes of it.
    pub(super) async fn operate(
        &self,
        kind: OperationKind,
        channels: Vec<ChannelId>,
        job: &StoredJob,
    ) -> Result<OperationState, Unread> {
        let operation = Operation {
            id: OperationId::from_bytes(rand::random()),
            kind,
            channels,
            calls: Vec::new(),
            job: serde_json::json!(job),
            at_ms: now_ms(),
        };
        let job = self.job(&operation).await.ok_or(Unread::Record)?;
        Ok(self.inner.operations.run(operation, job).await?)
    }
}

/// Takes these channels out of a group.
fn take(
    group: &mut Vec<(ChannelId, Working)>,
    channels: &[ChannelId],
) -> Vec<(ChannelId, Working)> {
    let channels: BTreeSet<&ChannelId> = channels.iter().collect();
    group
        .extract_if(.., |(channel, _)| channels.contains(channel))
        .collect()
}
