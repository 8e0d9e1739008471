//! What is known of channels on chain, and whether that is new enough to serve calls by.

use super::{ChannelRail, chain_id, config_of, millis};
use crate::chain::{self, ChainError, Head};
use crate::clock::now_ms;
use crate::ledger::{
    ChannelId, ChannelOnChain, ChannelOpening, ChannelState, LedgerError, PendingWithdrawal,
};
use crate::money::Units;
use crate::protocol::channel::{Account, ChannelConfig};
use std::time::Duration;

/// How often a node that is behind is asked again, and how long after.
const READS: u32 = 20;
const PAUSE: Duration = Duration::from_millis(100);

/// Why a channel's state is not known: the chain or the ledger did not say.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unread {
    #[error(transparent)]
    Chain(#[from] ChainError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error("the node is behind block {0}")]
    Behind(u64),
    #[error("a stored record cannot be read")]
    Record,
}

/// How long a look at a channel is believed: a third of what a withdrawal waits, within 30 s and
/// 5 min, as the SDKs' servers have it.
pub(super) fn fresh_for(withdraw_delay_seconds: u64) -> Duration {
    Duration::from_secs((withdraw_delay_seconds / 3).clamp(30, 300))
}

impl ChannelRail {
    /// Whether a channel's state was read, or its events were watched, a short time ago.
    pub(super) fn is_fresh(&self, state: &ChannelState) -> bool {
        let fresh = millis(fresh_for(self.inner.withdraw_delay_seconds));
        let since = now_ms().saturating_sub(fresh);
        state.on_chain.at_ms > since || self.inner.watched.vouches_for(state, since)
    }

    /// The channels of this rail's contract: others keep theirs in the same ledger.
    pub(super) async fn own_channels(&self) -> Result<Vec<ChannelState>, LedgerError> {
        let mut states = self.inner.ledger.channels().await?;
        let contract = format!("{:#x}", self.contract());
        states.retain(|state| state.opening.contract == contract);
        Ok(states)
    }

    /// Reads channels, which the ledger knows, in one request, and writes down what is new.
    pub(super) async fn refresh(
        &self,
        channels: &[ChannelId],
    ) -> Result<Vec<ChannelState>, Unread> {
        let ids: Vec<_> = channels.iter().map(chain_id).collect();
        let read = self.inner.rpc.channels(self.contract(), &ids).await?;
        let mut states = Vec::with_capacity(channels.len());
        for (channel, state) in channels.iter().zip(&read.states) {
            states.extend(self.observe(*channel, state, read.head).await?);
        }
        Ok(states)
    }

    /// Reads one channel as it is at a block, or later.
    pub(super) async fn refresh_from(
        &self,
        channel: ChannelId,
        block: u64,
    ) -> Result<ChannelState, Unread> {
        for _ in 0..READS {
            let states = self.refresh(&[channel]).await?;
            match states.into_iter().next() {
                Some(state) if state.on_chain.block >= block => return Ok(state),
                _ => tokio::time::sleep(PAUSE).await,
            }
        }
        Err(Unread::Behind(block))
    }

    /// Writes down what the chain says of a channel, unless a later block is known already; `None` for
    /// a channel that the ledger does not have.
    pub(super) async fn observe(
        &self,
        channel: ChannelId,
        state: &chain::ChannelState,
        head: Head,
    ) -> Result<Option<ChannelState>, LedgerError> {
        let ledger = &self.inner.ledger;
        let _one_at_a_time = self.inner.observing.lock().await;
        let Some(known) = ledger.channel(&channel).await? else {
            return Ok(None);
        };
        if head.number() < known.on_chain.block {
            return Ok(Some(known));
        }
        let delay = config_of(&known.opening).map_or(0, |config| config.withdraw_delay);
        let seen = on_chain(state, delay, head);
        let observed = ledger.observe_channel(channel, seen).await?;
        self.look_after(&observed);
        if known.on_chain.withdrawal.is_none() && observed.on_chain.withdrawal.is_some() {
            tracing::info!(%channel, "a payer withdraws from its channel; what was charged is claimed now");
            self.inner.operations.metrics().channels().withdrawal();
        }
        if known.uncovered() < observed.uncovered() {
            let lost = observed.uncovered();
            tracing::error!(%channel, %lost, "a payer took out what was charged and not claimed: that is a loss");
        }
        Ok(Some(observed))
    }

    /// Takes a channel that the chain has into the books; `base` is what its payer was charged, by the
    /// payer's own word.
    pub(super) async fn open(
        &self,
        config: &ChannelConfig,
        state: &chain::ChannelState,
        head: Head,
        base: Units,
    ) -> Result<ChannelState, LedgerError> {
        let payee = &self.inner.payee;
        let terms = self.terms(Units::ZERO);
        let opening = ChannelOpening {
            channel: super::ledger_id(config.id(terms.domain())),
            payer: format!("{:#x}", config.payer),
            network: payee.network.to_string(),
            contract: format!("{:#x}", self.contract()),
            asset: format!("{:#x}", config.token),
            asset_decimals: self.decimals(),
            receiver: format!("{:#x}", config.receiver),
            config: serde_json::json!(config),
            at_ms: now_ms(),
        };
        let seen = on_chain(state, config.withdraw_delay, head);
        let adopted = Account::adopted(seen.balance, seen.total_claimed, base);
        let ledger = &self.inner.ledger;
        let opened = ledger.open_channel(opening, seen, adopted.charged).await?;
        self.look_after(&opened);
        Ok(opened)
    }

    /// Has the events of a channel watched while anything can be taken out of it.
    pub(super) fn look_after(&self, state: &ChannelState) {
        let channel = state.opening.channel;
        if state.on_chain.balance > state.on_chain.total_claimed {
            self.inner.watched.add(channel);
        } else {
            self.inner.watched.remove(&channel);
        }
    }
}

/// The chain's word in the ledger's form.
pub(super) fn on_chain(
    state: &chain::ChannelState,
    withdraw_delay_seconds: u64,
    head: Head,
) -> ChannelOnChain {
    let pending = |withdrawal: chain::Withdrawal| PendingWithdrawal {
        amount: Units::from_atomic(withdrawal.amount),
        finalize_after_s: withdrawal
            .initiated_at
            .saturating_add(withdraw_delay_seconds),
    };
    ChannelOnChain {
        balance: Units::from_atomic(state.balance),
        total_claimed: Units::from_atomic(state.total_claimed),
        refund_nonce: state.refund_nonce.saturating_to(),
        withdrawal: state.withdrawal.map(pending),
        block: head.number(),
        at_ms: now_ms(),
    }
}
