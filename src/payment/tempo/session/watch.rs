//! Looks after channels: what earlier lives of the process began is finished, and who asks the contract
//! for its money back is met within the time that the contract gives.

use super::close::{StoredClose, has_ended};
use super::open::StoredDeposit;
use super::{SessionRail, Unread, on_chain};
use crate::clock::now_ms;
use crate::ledger::{ChannelId, ChannelOnChain, ChannelState, OperationKind, OperationState};
use std::sync::PoisonError;
use std::time::Duration;
use tokio_util::task::AbortOnDropHandle;

/// How long before a payer can take its money no call is waited for any more.
const HURRY_SECONDS: u64 = 300;

impl SessionRail {
    /// Takes up what the last stop left open, and looks at all channels every so often until the handle
    /// is dropped.
    pub fn look_after(&self, open: Vec<OperationState>, every: Duration) -> AbortOnDropHandle<()> {
        let rail = self.clone();
        AbortOnDropHandle::new(tokio::spawn(async move {
            for state in open {
                rail.resume(state);
            }
            let mut begun = false;
            let mut ticks = tokio::time::interval(every);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                begun = begun || rail.begin().await;
                if let Err(error) = rail.round().await {
                    tracing::warn!(%error, "sessions could not be looked after; trying again");
                }
            }
        }))
    }

    fn resume(&self, state: OperationState) {
        let rail = self.clone();
        let operation = &state.operation;
        match operation.kind {
            OperationKind::SessionDeposit => {
                let stored: Option<StoredDeposit> =
                    serde_json::from_value(operation.job.clone()).ok();
                let Some(stored) = stored else {
                    return tracing::error!(id = %operation.id, "a stored deposit cannot be read");
                };
                tokio::spawn(async move { rail.finish_filling(state, &stored).await });
            }
            OperationKind::SessionClose => {
                let Some(job) = StoredClose::job_of(operation) else {
                    return tracing::error!(id = %operation.id, "a stored close cannot be read");
                };
                let gate = &self.inner.gate;
                let doors: Vec<_> = operation
                    .channels
                    .iter()
                    .map(|channel| gate.close(*channel))
                    .collect();
                tokio::spawn(async move {
                    let operations = &rail.inner.operations;
                    let channels = state.operation.channels.clone();
                    if let Err(error) = operations.finish(state, job).await {
                        tracing::error!(%error, "a close's outcome is not known");
                    }
                    for channel in channels {
                        if let Err(error) = rail.observe(channel).await {
                            tracing::warn!(%error, "a channel that was closed cannot be read");
                        }
                    }
                    drop(doors);
                });
            }
            _ => {}
        }
    }

    /// Takes up the channels of earlier lives of the process; false when they cannot be read yet.
    async fn begin(&self) -> bool {
        match self.inner.ledger.channels().await {
            Ok(states) => {
                let own = states.iter().filter(|state| self.keeps(state));
                own.for_each(|state| self.look_for(state));
                true
            }
            Err(_) => false,
        }
    }

    /// Has a channel looked at while it holds anything.
    pub(super) fn look_for(&self, state: &ChannelState) {
        let channel = state.opening.channel;
        let mut live = self
            .inner
            .live
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        match has_ended(state) {
            true => live.remove(&channel),
            false => live.insert(channel),
        };
    }

    /// Reads all channels that hold money, writes down what is new of them, and closes those whose payers
    /// ask for it.
    async fn round(&self) -> Result<(), Unread> {
        let ids: Vec<ChannelId> = {
            let live = self
                .inner
                .live
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            live.iter().copied().collect()
        };
        if ids.is_empty() {
            return Ok(());
        }
        let mut states = Vec::with_capacity(ids.len());
        for id in &ids {
            let state = self.inner.ledger.channel(id).await?;
            states.push(state.ok_or(Unread::Record)?);
        }
        let (head, read) = self.read_channels(&ids).await?;
        for (state, read) in states.iter().zip(&read) {
            let seen = on_chain(read, state.on_chain.total_claimed, &head);
            let same = ChannelOnChain {
                block: state.on_chain.block,
                at_ms: state.on_chain.at_ms,
                ..seen
            } == state.on_chain;
            let state = match same {
                true => state.clone(),
                false => self.observe(state.opening.channel).await?,
            };
            if state.on_chain.withdrawal.is_some()
                && let Err(error) = self.meet(&state).await
            {
                // The others' payers are met all the same.
                tracing::warn!(%error, channel = %state.opening.channel, "a channel could not be closed; trying again");
            }
        }
        Ok(())
    }

    /// Takes what was signed before the payer takes all: once the calls that run there have ended and are
    /// signed for, as long as there is time for that. No other begins meanwhile.
    async fn meet(&self, state: &ChannelState) -> Result<(), Unread> {
        let channel = state.opening.channel;
        let Some(voucher) = &state.voucher else {
            return Ok(());
        };
        if voucher.max_claimable <= state.on_chain.total_claimed || state.charged.is_zero() {
            return Ok(());
        }
        let leaving = state.on_chain.withdrawal.as_ref();
        let until_s = leaving.map_or(0, |leaving| leaving.finalize_after_s);
        let soon_s = (now_ms() / 1000).saturating_add(HURRY_SECONDS);
        if state.running > 0 && soon_s < until_s {
            return Ok(());
        }
        let Some(_closed) = self.inner.gate.close(channel) else {
            return Ok(());
        };
        tracing::info!(%channel, "a payer asks for what its channel holds; what was signed is taken first");
        self.pay_out(state, voucher).await.map(drop)
    }
}
