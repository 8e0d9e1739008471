//! Gives back what a channel holds beyond all charges, and claims the charges with the same
//! transaction. No call is on the channel meanwhile.

use super::authorize::Paying;
use super::claims::row;
use super::gate::{Closed, Working};
use super::job::{Row, StoredJob};
use super::offer::told;
use super::{ChannelRail, chain_id, config_of};
use crate::ledger::{ChannelId, ChannelState, OperationKind, Settlement};
use crate::money::Units;
use crate::payment::authorized::AuthorizeFailure;
use crate::protocol::channel::{
    Account, Payload, Refused, Voucher, accept_refund, refund_body, refund_extra, refundable,
};
use crate::protocol::eip3009::Proof;
use alloy::primitives::{Address, Bytes};
use serde_json::{Map, Value};

/// A refund that is on chain, and what its answer says.
#[derive(Debug, Clone, PartialEq)]
pub struct Refunded {
    /// Who got it.
    pub payer: Address,
    /// The transaction (0x hexadecimal).
    pub transaction: String,
    /// How much.
    pub amount: Units,
    /// The header's `extra`: the channel after it.
    pub extra: Map<String, Value>,
    /// The answer's body.
    pub body: Value,
}

impl ChannelRail {
    /// Refunds a channel as its payer asks, with a voucher that passed `check_signer`, and
    /// waits for it. It goes on when the asker leaves.
    pub async fn refund(
        &self,
        payload: &Payload,
        proof: &Proof,
    ) -> Result<Refunded, AuthorizeFailure> {
        let Payload::Refund {
            config,
            voucher,
            amount,
        } = payload.clone()
        else {
            return Err(Refused::RefundPayload.into());
        };
        let (rail, proof) = (self.clone(), *proof);
        let asked = async move {
            let used = rail.used(&voucher, Units::ZERO)?;
            let paying = Paying {
                config: &config,
                voucher: &voucher,
                used: &used,
                ceiling: Units::ZERO,
                proof: &proof,
            };
            let _closed = rail.inner.gate.close(used.channel).ok_or(Refused::Busy)?;
            let _working = rail.inner.gate.work_next(used.channel).await;
            let preflight = rail.look(&paying, None).await?;
            let state = rail.adopted(&paying, &preflight).await?;
            let state = state.ok_or(Refused::ChannelNotFound)?;
            let asked = accept_refund(&whole(&state), voucher.max_claimable, used.rule);
            asked.map_err(|unfit| AuthorizeFailure::Channel {
                reason: Refused::from(unfit).into(),
                state: Box::new(state.clone()),
            })?;
            rail.give_back(&state, Some(&voucher), amount).await
        };
        tokio::spawn(asked)
            .await
            .unwrap_or(Err(AuthorizeFailure::Unknown))
    }

    /// Refunds all that is left in a channel, at the operator's word, and waits for it. It goes on when
    /// the asker leaves.
    pub async fn refund_all(&self, channel: ChannelId) -> Result<Refunded, AuthorizeFailure> {
        let rail = self.clone();
        let done = tokio::spawn(async move { rail.refund_rest(channel).await }).await;
        done.unwrap_or(Err(AuthorizeFailure::Unknown))
    }

    /// The same, within a task of the gateway's own.
    pub(super) async fn refund_rest(
        &self,
        channel: ChannelId,
    ) -> Result<Refunded, AuthorizeFailure> {
        let _closed = self.inner.gate.close(channel).ok_or(Refused::Busy)?;
        let _working = self.inner.gate.work_next(channel).await;
        let state = match self.inner.ledger.channel(&channel).await? {
            Some(_) => self.refresh(&[channel]).await?.into_iter().next(),
            None => None,
        };
        let state = state.ok_or(Refused::MissingChannel)?;
        if state.running > 0 {
            return Err(Refused::Busy.into());
        }
        self.give_back(&state, None, None).await
    }

    /// The doors of a channel whose refund an earlier life of the process began.
    pub(super) fn doors(&self, channel: ChannelId) -> (Option<Closed>, Option<Working>) {
        let gate = &self.inner.gate;
        (gate.close(channel), gate.work(channel))
    }

    async fn give_back(
        &self,
        state: &ChannelState,
        voucher: Option<&Voucher>,
        requested: Option<Units>,
    ) -> Result<Refunded, AuthorizeFailure> {
        let channel = state.opening.channel;
        let amount = refundable(&whole(state), requested)?;
        let job = StoredJob::Refund {
            row: best_row(state, voucher),
            amount,
            nonce: state.on_chain.refund_nonce,
            after_block: state.on_chain.block,
        };
        let done = self
            .operate(OperationKind::Refund, vec![channel], &job)
            .await?;
        let (transaction, block) = match done.settlement {
            Settlement::Confirmed {
                transaction, block, ..
            } => (transaction, block),
            Settlement::Failed { reason, .. } => {
                return Err(match reason.split(':').next() {
                    Some("simulation_reverted") => Refused::RefundSimulation.into(),
                    _ => Refused::RefundTransaction.into(),
                });
            }
            Settlement::None | Settlement::Sent { .. } => return Err(AuthorizeFailure::Unknown),
        };
        let after = self.refresh_from(channel, block).await?;
        let config = config_of(&after.opening).ok_or(AuthorizeFailure::Unknown)?;
        let told = told(&after, config.withdraw_delay);
        Ok(Refunded {
            payer: config.payer,
            transaction,
            amount,
            extra: refund_extra(&told, after.charged),
            body: refund_body(chain_id(&channel)),
        })
    }
}

/// The channel's figures with all that is in it, a withdrawal under way or not: a refund is as good.
fn whole(state: &ChannelState) -> Account {
    Account {
        balance: state.on_chain.balance,
        ..state.account()
    }
}

/// The row that claims all that was charged, by our best voucher or by the one that asks for the
/// refund: of a channel that we lost the books of, that may be the only one.
pub(super) fn best_row(state: &ChannelState, voucher: Option<&Voucher>) -> Option<Row> {
    let ours = row(state);
    let on_chain = &state.on_chain;
    let theirs = voucher.and_then(|voucher| {
        let total = state.charged.min(voucher.max_claimable);
        let total = total.min(on_chain.balance);
        let signature = Bytes::copy_from_slice(&voucher.signature);
        (total > on_chain.total_claimed).then_some(Row(voucher.max_claimable, total, signature))
    });
    match (ours, theirs) {
        (Some(ours), Some(theirs)) if theirs.1 > ours.1 => Some(theirs),
        (ours, theirs) => ours.or(theirs),
    }
}
