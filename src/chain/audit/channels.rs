//! What moved in and out of channels: the other side of the books of `batch-settlement`.

use crate::chain::bindings::IBatchSettlement;
use crate::chain::logs::{Place, paged};
use crate::chain::{ChainError, ChannelEvent, ChannelEventKind, Rpc};
use alloy::primitives::{Address, B256, U256};
use alloy::rpc::types::Log;
use alloy::sol_types::SolEvent;
use std::collections::BTreeMap;

/// Sums of one channel's events, in atomic units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flow {
    /// What was filled in.
    pub deposited: U256,
    /// What was claimed for the receiver, paid out or not.
    pub claimed: U256,
    /// What the receiver's side gave back.
    pub refunded: U256,
    /// What the payer's side took back.
    pub withdrawn: U256,
}

/// One payment of claimed tokens to their receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Payout {
    /// Where it is in the chain.
    pub place: Place,
    /// The amount in atomic units.
    pub amount: u128,
}

/// One event of a channel, and its sums before and after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Where it is in the chain.
    pub place: Place,
    /// What happened.
    pub kind: ChannelEventKind,
    /// The sums before.
    pub before: Flow,
    /// The sums after.
    pub after: Flow,
}

/// All that happened to some channels of one receiver and token in a range of blocks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ChannelFlows {
    /// Each channel's events, in chain order; channels without an event are left out.
    pub lives: BTreeMap<B256, Vec<Step>>,
    /// What the contract paid the receiver, in chain order: for these channels and any others of its.
    pub payouts: Vec<Payout>,
}

impl Flow {
    /// What the contract still holds for the channel, claimed or not: nothing below zero exists.
    pub fn held(&self) -> Option<U256> {
        self.deposited
            .checked_sub(self.refunded)?
            .checked_sub(self.withdrawn)
    }

    /// What of that was not claimed: what can still go either way.
    pub fn unclaimed(&self) -> Option<U256> {
        self.held()?.checked_sub(self.claimed)
    }

    fn take(&mut self, kind: ChannelEventKind) {
        let (sum, amount) = match kind {
            ChannelEventKind::Deposited { amount, .. } => (&mut self.deposited, amount),
            ChannelEventKind::Claimed { amount, .. } => (&mut self.claimed, amount),
            ChannelEventKind::Refunded { amount } => (&mut self.refunded, amount),
            ChannelEventKind::WithdrawFinalized { amount } => (&mut self.withdrawn, amount),
            // It moves nothing yet.
            ChannelEventKind::WithdrawInitiated { .. } => return,
        };
        // Events hold 128 bits, so no chain has enough of them to reach the end of 256.
        *sum = sum.saturating_add(U256::from(amount));
    }
}

impl ChannelFlows {
    /// Sums events up, which must be in chain order.
    pub fn of(events: &[ChannelEvent], payouts: Vec<Payout>) -> Self {
        let mut lives: BTreeMap<B256, Vec<Step>> = BTreeMap::new();
        for event in events {
            let life = lives.entry(event.channel).or_default();
            let before = life.last().map(|step| step.after).unwrap_or_default();
            let mut after = before;
            after.take(event.kind);
            life.push(Step {
                place: event.place,
                kind: event.kind,
                before,
                after,
            });
        }
        Self { lives, payouts }
    }

    /// A channel's events, in chain order.
    pub fn life(&self, channel: &B256) -> &[Step] {
        self.lives.get(channel).map_or(&[], Vec::as_slice)
    }

    /// A channel's sums once a block is over.
    pub fn at(&self, channel: &B256, block: u64) -> Flow {
        let until = |step: &&Step| step.place.block <= block;
        let last = self.life(channel).iter().take_while(until).last();
        last.map(|step| step.after).unwrap_or_default()
    }

    /// A channel's sums after all of its events.
    pub fn now(&self, channel: &B256) -> Flow {
        self.at(channel, u64::MAX)
    }

    /// What was claimed from all these channels.
    pub fn claimed(&self) -> U256 {
        self.lives
            .keys()
            .map(|channel| self.now(channel).claimed)
            .sum()
    }

    /// What was paid to the receiver.
    pub fn paid_out(&self) -> U256 {
        self.payouts.iter().map(|p| U256::from(p.amount)).sum()
    }
}

/// Reads what happened to these channels (to all of the contract's when none are named), and what it
/// paid `receiver` in `token`, in a closed block range; read from the contract's first block, the sums
/// are those of the channels' whole lives.
pub async fn channel_flows(
    rpc: &Rpc,
    contract: Address,
    channels: &[B256],
    (receiver, token): (Address, Address),
    (from_block, to_block): (u64, u64),
) -> Result<ChannelFlows, ChainError> {
    let events = rpc
        .channel_events(contract, channels, from_block, to_block)
        .await?;
    let query = vec![
        vec![IBatchSettlement::Settled::SIGNATURE_HASH],
        vec![receiver.into_word()],
        vec![token.into_word()],
    ];
    let payouts = paged(rpc, contract, &[query], from_block, to_block).await?;
    let payouts: Result<Vec<Payout>, ChainError> = payouts
        .iter()
        .map(|(place, log)| payout(*place, log))
        .collect();
    Ok(ChannelFlows::of(&events, payouts?))
}

fn payout(place: Place, log: &Log) -> Result<Payout, ChainError> {
    let event = IBatchSettlement::Settled::decode_log(&log.inner).map_err(ChainError::malformed)?;
    Ok(Payout {
        place,
        amount: event.amount,
    })
}

#[cfg(test)]
mod tests;
