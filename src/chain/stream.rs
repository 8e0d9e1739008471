//! Channels of MPP's sessions, as their contract has them.

use super::bindings::IStreamChannel;
use super::logs::paged;
use super::preflight::decode;
use super::rpc::call_params;
use super::{ChainError, Head, Rpc};
use alloy::primitives::{Address, B256, Bytes};
use alloy::sol_types::{SolCall, SolEvent};

/// A channel, in atomic units. Of one that has ended the contract forgets everything else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamChannel {
    /// Whether it has ended.
    pub finalized: bool,
    /// When its payer asked for its money back, in seconds since 1970; zero when nobody did.
    pub close_requested_at_s: u64,
    /// All that was put in.
    pub deposit: u128,
    /// All that was paid out of it.
    pub settled: u128,
}

impl Rpc {
    /// Reads any number of channels, each as it is at this block or later.
    pub async fn stream_channels(
        &self,
        escrow: Address,
        channels: &[B256],
    ) -> Result<(Head, Vec<StreamChannel>), ChainError> {
        let head = self.latest_block().await?;
        let params: Vec<_> = channels
            .iter()
            .map(|channel| {
                let call = IStreamChannel::getChannelCall {
                    channelId: *channel,
                };
                call_params(None, escrow, &call.abi_encode().into())
            })
            .collect();
        let answers = self.many::<_, Bytes>("eth_call", &params).await?;
        let read = answers.into_iter().map(|answer| {
            let read = decode::<IStreamChannel::getChannelCall>(&answer?)?;
            Ok(StreamChannel {
                finalized: read.finalized,
                close_requested_at_s: read.closeRequestedAt,
                deposit: read.deposit,
                settled: read.settled,
            })
        });
        let channels: Result<Vec<_>, ChainError> = read.collect();
        Ok((head, channels?))
    }

    /// What was paid out of a channel in all, of one that has ended since a block; `None` when no such end
    /// is found.
    pub async fn stream_ended(
        &self,
        escrow: Address,
        channel: B256,
        since_block: u64,
    ) -> Result<Option<u128>, ChainError> {
        let topics = vec![
            vec![IStreamChannel::ChannelClosed::SIGNATURE_HASH],
            vec![channel],
        ];
        let logs = paged(self, escrow, &[topics], since_block, u64::MAX).await?;
        let Some((_, log)) = logs.last() else {
            return Ok(None);
        };
        let closed = IStreamChannel::ChannelClosed::decode_log(&log.inner);
        let closed = closed.map_err(ChainError::malformed)?;
        u128::try_from(closed.settledToPayee)
            .map(Some)
            .map_err(ChainError::malformed)
    }
}
