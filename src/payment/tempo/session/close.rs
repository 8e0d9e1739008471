//! What a session does beside paying: vouchers that come by themselves, more money, the end.

use super::open::StoredDeposit;
use super::{SessionRail, Unread, hexadecimal};
use crate::chain::bindings::IStreamChannel;
use crate::chain::{Authorization, Expect, ExpectedLog, Job};
use crate::clock::now_ms;
use crate::ledger::{
    ChannelOpening, ChannelState, KeptVoucher, Operation, OperationId, OperationKind,
    OperationState, Settlement,
};
use crate::money::Units;
use crate::payment::authorized::AuthorizeFailure;
use crate::payment::channel::Effect;
use crate::protocol::Refusal;
use crate::protocol::mpp::Refused;
use crate::protocol::mpp::session::{Account, Action, Signed, Terms, Voucher};
use alloy::primitives::{Address, B256, Bytes};
use alloy::sol_types::{SolCall, SolEvent};
use serde::{Deserialize, Serialize};

/// What became of a credential that bought nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Managed {
    /// The channel's account after it.
    pub account: Account,
    /// The transaction, if one was sent (0x hexadecimal).
    pub transaction: Option<String>,
}

/// What an operation that closes a channel keeps.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct StoredClose {
    escrow: Address,
    channel: B256,
    cumulative: Units,
    signature: Bytes,
    /// A block at which the channel was open.
    after_block: u64,
}

impl StoredClose {
    fn job(&self, id: OperationId) -> Job {
        let call = IStreamChannel::closeCall {
            channelId: self.channel,
            cumulativeAmount: self.cumulative.atomic(),
            signature: self.signature.clone(),
        };
        Job {
            id: id.to_string(),
            to: self.escrow,
            calldata: call.abi_encode().into(),
            expect: Expect::Logs(vec![ExpectedLog {
                emitter: self.escrow,
                topics: vec![IStreamChannel::ChannelClosed::SIGNATURE_HASH, self.channel],
            }]),
            authorization: Some(Authorization::Repeatable {
                after_block: self.after_block,
            }),
            gas_limit_max: None,
        }
    }

    /// The job of an operation that an earlier life of the process wanted.
    pub(super) fn job_of(operation: &Operation) -> Option<Job> {
        let stored: Self = serde_json::from_value(operation.job.clone()).ok()?;
        Some(stored.job(operation.id))
    }
}

impl SessionRail {
    /// Does what a credential asks for that buys nothing. It goes on when the asker leaves.
    pub async fn manage(&self, signed: &Signed) -> Result<Managed, AuthorizeFailure> {
        self.check_terms(signed)?;
        let (rail, signed) = (self.clone(), signed.clone());
        let done = tokio::spawn(async move { rail.managed(&signed).await }).await;
        done.unwrap_or(Err(AuthorizeFailure::Unknown))
    }

    async fn managed(&self, signed: &Signed) -> Result<Managed, AuthorizeFailure> {
        let (state, transaction) = match &signed.action {
            Action::Open { .. } => return Err(Refusal::UnsupportedPayload.into()),
            Action::Voucher(voucher) => (self.keep(signed, voucher).await?, None),
            Action::TopUp {
                channel,
                transaction,
                additional,
            } => {
                let state = self.live(super::channel_id(*channel)).await?;
                let filled = self.top_up(&state, transaction, *additional).await?;
                (filled.0, Some(format!("{:#x}", filled.1)))
            }
            Action::Close(voucher) => {
                let closed = self.close(signed, voucher).await?;
                (closed.0, Some(closed.1))
            }
        };
        Ok(Managed {
            account: session_account(&state),
            transaction,
        })
    }

    /// Ends a channel at its payer's word: what was spent is paid, and the rest goes back.
    async fn close(
        &self,
        signed: &Signed,
        voucher: &Voucher,
    ) -> Result<(ChannelState, String), AuthorizeFailure> {
        let channel = super::channel_id(voucher.channel);
        let known = self.live(channel).await?;
        self.check_voucher(&known, voucher, signed.payer)?;
        // No call begins on it meanwhile, and none that runs goes unpaid.
        let door = self.inner.gate.close(channel);
        let _closed = door.ok_or(Refused::ChannelBusy).map_err(Refusal::from)?;
        let state = self.live(channel).await?;
        if state.running > 0 {
            return Err(Refusal::from(Refused::ChannelBusy).into());
        }
        let state = self.observe(channel).await?;
        if has_ended(&state) {
            return Err(Refusal::from(Refused::ChannelClosed).into());
        }
        let offered = KeptVoucher {
            max_claimable: voucher.cumulative,
            signature: hexadecimal(&voucher.signature),
        };
        let vouchers = [Some(&offered), state.voucher.as_ref()];
        // The smallest that covers what was spent.
        let covers = |kept: &&KeptVoucher| kept.max_claimable >= state.charged;
        let best = vouchers.into_iter().flatten().filter(covers);
        let best = best.min_by_key(|kept| kept.max_claimable);
        let best = best.ok_or_else(|| AuthorizeFailure::Channel {
            reason: Refused::Unsigned.into(),
            state: Box::new(state.clone()),
        })?;
        let done = self.pay_out(&state, best).await?;
        match done.settlement {
            Settlement::Confirmed { transaction, .. } => {
                Ok((self.known(channel).await?, transaction))
            }
            Settlement::Failed { reason, .. } => {
                Err(Refusal::from(Refused::Transaction(reason)).into())
            }
            Settlement::None | Settlement::Sent { .. } => Err(AuthorizeFailure::Unknown),
        }
    }

    /// Closes a channel with a voucher, and waits for it.
    pub(super) async fn pay_out(
        &self,
        state: &ChannelState,
        best: &KeptVoucher,
    ) -> Result<OperationState, Unread> {
        let channel = state.opening.channel;
        let stored = StoredClose {
            escrow: self.inner.escrow,
            channel: B256::from(*channel.as_bytes()),
            cumulative: best.max_claimable,
            signature: best.signature.parse().map_err(|_| Unread::Record)?,
            after_block: state.on_chain.block,
        };
        let operation = Operation {
            id: OperationId::from_bytes(rand::random()),
            kind: OperationKind::SessionClose,
            channels: vec![channel],
            calls: Vec::new(),
            job: serde_json::json!(stored),
            at_ms: now_ms(),
        };
        let job = stored.job(operation.id);
        let done = self.inner.operations.run(operation, job).await?;
        if done.settlement.is_confirmed() {
            self.observe(channel).await?;
        }
        Ok(done)
    }
}

/// Whether nothing is left in a channel: it was paid out, and gave back the rest.
pub(super) fn has_ended(state: &ChannelState) -> bool {
    state.on_chain.balance <= state.on_chain.total_claimed
}

/// A channel's account, as receipts tell it.
pub fn session_account(state: &ChannelState) -> Account {
    let accepted = state.voucher.as_ref().map(|voucher| voucher.max_claimable);
    Account {
        channel: B256::from(*state.opening.channel.as_bytes()),
        accepted: accepted.unwrap_or_default(),
        spent: state.charged,
        deposit: state.on_chain.balance,
    }
}

/// Whether a channel is a session's.
pub fn is_session(opening: &ChannelOpening) -> bool {
    serde_json::from_value::<Terms>(opening.config.clone()).is_ok()
}

/// What an operation about a session's channel has the chain do; `None` for any other.
pub(in crate::payment) fn effect(operation: &Operation) -> Option<Effect> {
    match operation.kind {
        OperationKind::SessionDeposit => StoredDeposit::effect_of(operation),
        OperationKind::SessionClose => {
            let stored: StoredClose = serde_json::from_value(operation.job.clone()).ok()?;
            // All that is left goes back.
            Some(Effect::Refund {
                channel: super::channel_id(stored.channel),
                amount: Units::from_atomic(u128::MAX),
                claimed: Some(stored.cumulative),
            })
        }
        _ => None,
    }
}
