//! What an operation about channels has the chain do, as its record in the ledger says.

use super::job::StoredJob;
use crate::chain::bindings::IBatchSettlement;
use crate::ledger::{ChannelId, Operation};
use crate::money::Units;
use crate::payment::tempo;
use alloy::primitives::Address;
use alloy::sol_types::SolCall;

/// What is on chain once an operation is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// A channel is filled.
    Deposit {
        /// The channel.
        channel: ChannelId,
        /// By how much.
        amount: Units,
    },
    /// On each of these channels, so much is claimed in all.
    Claims(Vec<(ChannelId, Units)>),
    /// A receiver is paid what was claimed for it by then.
    Payout {
        /// The receiver.
        receiver: Address,
        /// The token.
        token: Address,
    },
    /// A channel gives back.
    Refund {
        /// The channel.
        channel: ChannelId,
        /// How much, as far as the channel has it.
        amount: Units,
        /// What is claimed of it in all before that.
        claimed: Option<Units>,
    },
}

impl Effect {
    /// The effect of an operation about channels; `None` when it is not one, or cannot be read.
    pub fn of(operation: &Operation) -> Option<Self> {
        if let Some(effect) = tempo::effect(operation) {
            return Some(effect);
        }
        let stored: StoredJob = serde_json::from_value(operation.job.clone()).ok()?;
        let channels = &operation.channels;
        Some(match stored {
            StoredJob::Deposit { calldata, .. } => {
                let call = IBatchSettlement::depositCall::abi_decode(&calldata).ok()?;
                Self::Deposit {
                    channel: *channels.first()?,
                    amount: Units::from_atomic(call.amount),
                }
            }
            StoredJob::Claim { rows, .. } => {
                let totals = rows.iter().map(|row| row.1);
                let each = channels.iter().copied().zip(totals);
                Self::Claims(each.collect())
            }
            StoredJob::Settle {
                receiver, token, ..
            } => Self::Payout { receiver, token },
            StoredJob::Refund { row, amount, .. } => Self::Refund {
                channel: *channels.first()?,
                amount,
                claimed: row.map(|row| row.1),
            },
        })
    }
}
