//! The channels of `batch-settlement` as the chain has them: states, events, and whether a deposit
//! would go through.

mod events;
mod preflight;

pub use events::{ChannelEvent, ChannelEventKind};
pub use preflight::{
    ChannelPreflight, ChannelQuestion, DepositCall, DepositPreflight, SignedDigest,
};

pub(super) use events::read as events;
pub(super) use preflight::run as preflight;

use super::bindings::IBatchSettlement;
use super::preflight::decode;
use super::rpc::{Answer, call_params};
use super::{ChainError, Head, Rpc};
use alloy::primitives::{Address, B256, Bytes, U256};
use alloy::sol_types::SolCall;

/// Channels read in one `eth_call`; nodes bound the gas of one.
const CHANNELS_PER_CALL: usize = 100;

/// Reads made for each channel.
const READS: usize = 3;

/// What the contract says of one channel; a channel nobody filled is all zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ChannelState {
    /// Deposits less refunds and withdrawals over the channel's life, in atomic units.
    pub balance: u128,
    /// What was claimed over its life, in atomic units.
    pub total_claimed: u128,
    /// The withdrawal under way.
    pub withdrawal: Option<Withdrawal>,
    /// How many refunds it has seen: the nonce of the next.
    pub refund_nonce: U256,
}

/// Unclaimed tokens that the payer's side asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Withdrawal {
    /// How much, in atomic units; it takes what is left of that unclaimed.
    pub amount: u128,
    /// When it began, in seconds since 1970; it ends the channel's delay later at the earliest.
    pub initiated_at: u64,
}

/// States of channels, and the newest block when they were read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelsRead {
    /// The newest block the node knew just before.
    pub head: Head,
    /// One state for each channel asked for, in that order.
    pub states: Vec<ChannelState>,
}

/// What a receiver has to get from the contract in one token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// What was claimed for it since the beginning, in atomic units.
    pub total_claimed: u128,
    /// What of that was paid to it, in atomic units.
    pub total_settled: u128,
}

/// Reads any number of channels, many in one call of the contract's `multicall`.
pub(super) async fn read(
    rpc: &Rpc,
    contract: Address,
    channels: &[B256],
) -> Result<ChannelsRead, ChainError> {
    let mut batch = rpc.batch();
    let head: Answer<Head> = batch.ask("eth_getBlockByNumber", &("latest", false))?;
    let mut asked = Vec::new();
    for chunk in channels.chunks(CHANNELS_PER_CALL) {
        let call = call_params(None, contract, &reads(chunk));
        asked.push((chunk.len(), batch.ask::<_, Bytes>("eth_call", &call)?));
    }
    batch.send().await?;
    let head = head.get().await?;
    let mut states = Vec::with_capacity(channels.len());
    for (count, answer) in asked {
        states.extend(states_in(&answer.get().await?, count)?);
    }
    Ok(ChannelsRead { head, states })
}

/// What was claimed for a receiver and what of it was paid.
pub(super) async fn due(
    rpc: &Rpc,
    contract: Address,
    receiver: Address,
    token: Address,
) -> Result<Due, ChainError> {
    let call = IBatchSettlement::receiversCall { receiver, token };
    let answer = rpc.call(contract, &call.abi_encode().into()).await?;
    let read = decode::<IBatchSettlement::receiversCall>(&answer)?;
    Ok(Due {
        total_claimed: read.totalClaimed,
        total_settled: read.totalSettled,
    })
}

/// The one call that reads these channels.
fn reads(channels: &[B256]) -> Bytes {
    let data = channels.iter().flat_map(|channel| {
        let channel_id = *channel;
        let calls: [Bytes; READS] = [
            IBatchSettlement::channelsCall {
                channelId: channel_id,
            }
            .abi_encode()
            .into(),
            IBatchSettlement::pendingWithdrawalsCall {
                channelId: channel_id,
            }
            .abi_encode()
            .into(),
            IBatchSettlement::refundNonceCall {
                channelId: channel_id,
            }
            .abi_encode()
            .into(),
        ];
        calls
    });
    let call = IBatchSettlement::multicallCall {
        data: data.collect(),
    };
    call.abi_encode().into()
}

fn states_in(answer: &Bytes, channels: usize) -> Result<Vec<ChannelState>, ChainError> {
    let results = decode::<IBatchSettlement::multicallCall>(answer)?;
    if results.len() != channels.saturating_mul(READS) {
        return Err(ChainError::malformed(
            "another number of answers than calls",
        ));
    }
    results
        .as_chunks::<READS>()
        .0
        .iter()
        .map(|[channel, withdrawal, refund_nonce]| {
            let channel = decode::<IBatchSettlement::channelsCall>(channel)?;
            let withdrawal = decode::<IBatchSettlement::pendingWithdrawalsCall>(withdrawal)?;
            let initiated_at = withdrawal.initiatedAt.to::<u64>();
            Ok(ChannelState {
                balance: channel.balance,
                total_claimed: channel.totalClaimed,
                withdrawal: (initiated_at != 0).then_some(Withdrawal {
                    amount: withdrawal.amount,
                    initiated_at,
                }),
                refund_nonce: decode::<IBatchSettlement::refundNonceCall>(refund_nonce)?,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests;
