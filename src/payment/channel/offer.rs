//! What offers, corrective 402s and paid answers say of channels.

use super::{ChannelRail, Inner, config_of};
use crate::ledger;
use crate::money::Units;
use crate::payment::authorized::PaidByChannel;
use crate::protocol::channel::{self, ChannelState, Payload, Rule};
use crate::protocol::x402::{BATCH_SETTLEMENT, Requirements};
use alloy::primitives::U256;
use serde_json::{Map, Value};

/// How many calls of the ceiling an offer's amount has room for: two that run side by side, and two
/// that ended before and that the client has not heard of.
const HEADROOM: u128 = 4;

/// What the header of an answer says that was paid out of a channel.
#[derive(Debug, Clone, PartialEq)]
pub struct Paid {
    /// The deposit that came with the call: its transaction (0x hexadecimal), and how much.
    pub deposit: Option<(String, Units)>,
    /// The charge that is reported, and the channel's state.
    pub extra: Map<String, Value>,
}

impl ChannelRail {
    /// What an offer says a call of this ceiling may raise a voucher by: some calls more than this one,
    /// so that a client that calls side by side, or has not heard of its last charges, is still taken;
    /// but not above what clients' own limits let them pay at once (1 USD) unless the call alone is.
    pub(in crate::payment) fn offer_amount(&self, ceiling: Units) -> Units {
        if self.inner.rule == Rule::Strict {
            return ceiling;
        }
        let dollar = Units::from_asset_text("1", self.decimals()).unwrap_or_default();
        let room = ceiling.atomic().saturating_mul(HEADROOM);
        Units::from_atomic(room).min(dollar.max(ceiling))
    }

    /// The offer of one ceiling at one price row (x402 scheme_batch_settlement_evm): the same for the
    /// same two, always.
    pub(in crate::payment) fn offer(&self, ceiling: Units, price_row: &str) -> Requirements {
        let Inner { payee, extra, .. } = &*self.inner;
        let mut extra = extra.clone();
        if !price_row.is_empty() {
            extra.insert("priceRow".to_owned(), Value::from(price_row));
        }
        Requirements {
            scheme: BATCH_SETTLEMENT.to_owned(),
            network: payee.network,
            amount: self.offer_amount(ceiling),
            asset: payee.asset.address,
            pay_to: payee.pay_to,
            max_timeout_seconds: payee.max_timeout_seconds,
            extra: Some(extra),
        }
    }

    /// Puts into the offer of a 402 what a client needs that has lost count: what its channel was
    /// charged, and its own best voucher as proof.
    pub fn corrective(&self, offer: &mut Requirements, state: &ledger::ChannelState) {
        let Some(config) = config_of(&state.opening) else {
            return tracing::error!(channel = %state.opening.channel, "a stored channel cannot be read");
        };
        let signature = |voucher: &ledger::KeptVoucher| {
            let digits = voucher.signature.strip_prefix("0x")?;
            let bytes = hex::decode(digits).ok()?;
            Some((voucher.max_claimable, bytes))
        };
        // A voucher below the charge proves nothing to a client: it goes by the chain then.
        let best = state.voucher.as_ref().and_then(signature);
        let best = best.filter(|(max_claimable, _)| *max_claimable >= state.charged);
        let best = best.as_ref().map(|(max, bytes)| (*max, bytes.as_slice()));
        let extra = offer.extra.get_or_insert_default();
        let told = told(state, config.withdraw_delay);
        channel::correct(extra, &config, &told, state.charged, best);
    }

    /// The account of the channel that a payment is from, if it has one here.
    pub async fn known(&self, payload: &Payload) -> Option<ledger::ChannelState> {
        let id = super::ledger_id(payload.voucher().channel_id);
        self.inner.ledger.channel(&id).await.ok().flatten()
    }

    /// What the header of a paid answer says, by the channel's account when it leaves.
    pub fn paid(&self, paid: &PaidByChannel, state: &ledger::ChannelState) -> Paid {
        let used = &paid.used;
        let amount = used.max_claimable.minus(used.base).unwrap_or_default();
        let report = channel::report(used.base, amount, state.charged);
        Paid {
            deposit: paid.deposit.clone(),
            extra: channel::paid_extra(&told(state, self.inner.withdraw_delay_seconds), report),
        }
    }
}

/// A channel's state in the words of the wire.
pub(super) fn told(state: &ledger::ChannelState, withdraw_delay_seconds: u64) -> ChannelState {
    let on_chain = &state.on_chain;
    let requested = |pending: ledger::PendingWithdrawal| {
        pending
            .finalize_after_s
            .saturating_sub(withdraw_delay_seconds)
    };
    ChannelState {
        channel_id: super::chain_id(&state.opening.channel),
        balance: on_chain.balance,
        total_claimed: on_chain.total_claimed,
        withdraw_requested_at: on_chain.withdrawal.map_or(0, requested),
        refund_nonce: U256::from(on_chain.refund_nonce),
    }
}
