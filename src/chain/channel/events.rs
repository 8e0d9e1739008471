//! What happened to channels, as the contract logs it.

use crate::chain::bindings::IBatchSettlement as Contract;
use crate::chain::logs::{Place, Topics, paged};
use crate::chain::{ChainError, Rpc};
use alloy::primitives::{Address, B256};
use alloy::rpc::types::Log;
use alloy::sol_types::SolEvent;

/// Channels named in one query; nodes bound the alternatives of a topic.
const CHANNELS_PER_QUERY: usize = 500;

/// One event of one channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChannelEvent {
    /// Where it is in the chain; a reorg may move it, or take it back.
    pub place: Place,
    /// The channel.
    pub channel: B256,
    /// What happened.
    pub kind: ChannelEventKind,
}

/// What can happen to a channel; amounts are atomic units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChannelEventKind {
    /// It was filled.
    Deposited {
        /// By how much.
        amount: u128,
        /// Its balance after.
        new_balance: u128,
    },
    /// Its claimed total rose.
    Claimed {
        /// By how much.
        amount: u128,
        /// The total after.
        new_total: u128,
    },
    /// The receiver's side gave something back.
    Refunded {
        /// How much.
        amount: u128,
    },
    /// The payer's side began to withdraw: vouchers must be claimed before it may end.
    WithdrawInitiated {
        /// How much.
        amount: u128,
        /// From when on it may be finalised, in seconds since 1970.
        finalize_after: u64,
    },
    /// The payer's side took it.
    WithdrawFinalized {
        /// How much.
        amount: u128,
    },
}

/// Reads the events of these channels, or of all when none are named, in chain order.
pub(in crate::chain) async fn read(
    rpc: &Rpc,
    contract: Address,
    channels: &[B256],
    from_block: u64,
    to_block: u64,
) -> Result<Vec<ChannelEvent>, ChainError> {
    let logs = paged(rpc, contract, &queries(channels), from_block, to_block).await?;
    logs.iter().map(|(place, log)| event(*place, log)).collect()
}

fn queries(channels: &[B256]) -> Vec<Topics> {
    let kinds = vec![
        Contract::Deposited::SIGNATURE_HASH,
        Contract::Claimed::SIGNATURE_HASH,
        Contract::Refunded::SIGNATURE_HASH,
        Contract::WithdrawInitiated::SIGNATURE_HASH,
        Contract::WithdrawFinalized::SIGNATURE_HASH,
    ];
    if channels.is_empty() {
        return vec![vec![kinds]];
    }
    channels
        .chunks(CHANNELS_PER_QUERY)
        .map(|chunk| vec![kinds.clone(), chunk.to_vec()])
        .collect()
}

fn event(place: Place, log: &Log) -> Result<ChannelEvent, ChainError> {
    let topic = log.topic0().copied().unwrap_or_default();
    let (channel, kind) = match topic {
        Contract::Deposited::SIGNATURE_HASH => {
            let event = decoded::<Contract::Deposited>(log)?;
            let kind = ChannelEventKind::Deposited {
                amount: event.amount,
                new_balance: event.newBalance,
            };
            (event.channelId, kind)
        }
        Contract::Claimed::SIGNATURE_HASH => {
            let event = decoded::<Contract::Claimed>(log)?;
            let kind = ChannelEventKind::Claimed {
                amount: event.claimAmount,
                new_total: event.newTotalClaimed,
            };
            (event.channelId, kind)
        }
        Contract::Refunded::SIGNATURE_HASH => {
            let event = decoded::<Contract::Refunded>(log)?;
            let amount = event.amount;
            (event.channelId, ChannelEventKind::Refunded { amount })
        }
        Contract::WithdrawInitiated::SIGNATURE_HASH => {
            let event = decoded::<Contract::WithdrawInitiated>(log)?;
            let kind = ChannelEventKind::WithdrawInitiated {
                amount: event.amount,
                finalize_after: event.finalizeAfter.to(),
            };
            (event.channelId, kind)
        }
        Contract::WithdrawFinalized::SIGNATURE_HASH => {
            let event = decoded::<Contract::WithdrawFinalized>(log)?;
            let amount = event.amount;
            (
                event.channelId,
                ChannelEventKind::WithdrawFinalized { amount },
            )
        }
        _ => return Err(ChainError::malformed("a log that was not asked for")),
    };
    Ok(ChannelEvent {
        place,
        channel,
        kind,
    })
}

fn decoded<E: SolEvent>(log: &Log) -> Result<E, ChainError> {
    let event = E::decode_log(&log.inner).map_err(ChainError::malformed)?;
    Ok(event.data)
}
