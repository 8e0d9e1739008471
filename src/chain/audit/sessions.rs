//! What moved in and out of the channels of MPP's sessions, in the words of every other channel: what is
//! claimed there is paid at once.

use super::channels::{ChannelFlows, Payout};
use crate::chain::bindings::IStreamChannel as Contract;
use crate::chain::logs::{Place, paged};
use crate::chain::{ChainError, ChannelEvent, ChannelEventKind, Rpc};
use alloy::primitives::{Address, B256, U256};
use alloy::rpc::types::Log;
use alloy::sol_types::SolEvent;
use std::collections::{BTreeMap, BTreeSet};

/// Reads what happened to these channels of an escrow in a closed block range; read from the contract's
/// first block, the sums are those of the channels' whole lives.
pub async fn session_flows(
    rpc: &Rpc,
    escrow: Address,
    channels: &[B256],
    (from_block, to_block): (u64, u64),
) -> Result<ChannelFlows, ChainError> {
    let kinds = vec![
        Contract::ChannelOpened::SIGNATURE_HASH,
        Contract::TopUp::SIGNATURE_HASH,
        Contract::Settled::SIGNATURE_HASH,
        Contract::ChannelExpired::SIGNATURE_HASH,
        Contract::ChannelClosed::SIGNATURE_HASH,
    ];
    let queries = vec![vec![kinds, channels.to_vec()]];
    let logs = paged(rpc, escrow, &queries, from_block, to_block).await?;
    let mut read = Reading::default();
    for (place, log) in &logs {
        read.take(*place, log)?;
    }
    Ok(ChannelFlows::of(&read.events, read.payouts))
}

#[derive(Default)]
struct Reading {
    events: Vec<ChannelEvent>,
    payouts: Vec<Payout>,
    claimed: BTreeMap<B256, u128>,
    /// Channels that their payers end, by transaction.
    expired: BTreeSet<(B256, B256)>,
}

impl Reading {
    fn take(&mut self, place: Place, log: &Log) -> Result<(), ChainError> {
        let channel = log.topics().get(1).copied().unwrap_or_default();
        let mut event = |kind| {
            self.events.push(ChannelEvent {
                place,
                channel,
                kind,
            });
        };
        match log.topic0().copied().unwrap_or_default() {
            Contract::ChannelOpened::SIGNATURE_HASH => {
                let opened = decoded::<Contract::ChannelOpened>(log)?;
                let amount = narrow(opened.deposit)?;
                event(ChannelEventKind::Deposited {
                    amount,
                    new_balance: amount,
                });
            }
            Contract::TopUp::SIGNATURE_HASH => {
                let added = decoded::<Contract::TopUp>(log)?;
                event(ChannelEventKind::Deposited {
                    amount: narrow(added.additionalDeposit)?,
                    new_balance: narrow(added.newDeposit)?,
                });
            }
            Contract::Settled::SIGNATURE_HASH => {
                let settled = decoded::<Contract::Settled>(log)?;
                self.paid(place, channel, narrow(settled.newSettled)?);
            }
            Contract::ChannelExpired::SIGNATURE_HASH => {
                self.expired.insert((place.transaction, channel));
            }
            Contract::ChannelClosed::SIGNATURE_HASH => {
                let closed = decoded::<Contract::ChannelClosed>(log)?;
                self.paid(place, channel, narrow(closed.settledToPayee)?);
                let amount = narrow(closed.refundedToPayer)?;
                let kind = match self.expired.contains(&(place.transaction, channel)) {
                    true => ChannelEventKind::WithdrawFinalized { amount },
                    false => ChannelEventKind::Refunded { amount },
                };
                self.events.push(ChannelEvent {
                    place,
                    channel,
                    kind,
                });
            }
            _ => {}
        }
        Ok(())
    }

    fn paid(&mut self, place: Place, channel: B256, new_total: u128) {
        let before = self.claimed.insert(channel, new_total).unwrap_or_default();
        let amount = new_total.saturating_sub(before);
        if amount > 0 {
            self.payouts.push(Payout { place, amount });
            let kind = ChannelEventKind::Claimed { amount, new_total };
            self.events.push(ChannelEvent {
                place,
                channel,
                kind,
            });
        }
    }
}

fn decoded<E: SolEvent>(log: &Log) -> Result<E, ChainError> {
    let event = E::decode_log(&log.inner).map_err(ChainError::malformed)?;
    Ok(event.data)
}

fn narrow(value: U256) -> Result<u128, ChainError> {
    u128::try_from(value).map_err(ChainError::malformed)
}
