//! What answers say about a channel, in the types clients read: amounts as text, and
//! `withdrawRequestedAt` as a number (x402 scheme_batch_settlement_evm, `channelState`).

use super::accept::ReportedCharge;
use super::config::ChannelConfig;
use super::payload::hexadecimal;
use crate::money::Units;
use alloy::primitives::{B256, U256};
use serde_json::{Map, Value, json};

/// A channel as the chain has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChannelState {
    /// The channel.
    pub channel_id: B256,
    /// All deposits less refunds and withdrawals; claims do not lower it.
    pub balance: Units,
    /// All claims.
    pub total_claimed: Units,
    /// When a withdrawal was announced, in Unix seconds; 0 when none was.
    pub withdraw_requested_at: u64,
    /// How many refunds there were.
    pub refund_nonce: U256,
}

/// Adds to the `extra` of the offer in a 402 what a client needs to sign anew: the true charge,
/// and its own best voucher as proof that it signed for that much.
///
/// Clients look at the first `batch-settlement` offer of the 402 and no other. They rebase on the
/// chain's `totalClaimed` when there is no voucher; that is also what a channel without payer
/// authorizer gets, since they cannot check a contract's signature.
pub fn correct(
    extra: &mut Map<String, Value>,
    config: &ChannelConfig,
    state: &ChannelState,
    charged: Units,
    best: Option<(Units, &[u8])>,
) {
    extra.insert("channelState".to_owned(), channel_state(state, charged));
    if let Some((max_claimable, signature)) = best
        && !config.payer_authorizer.is_zero()
    {
        extra.insert(
            "voucherState".to_owned(),
            json!({
                "signedMaxClaimable": max_claimable,
                "signature": hexadecimal(signature),
            }),
        );
    }
}

/// The `extra` of `PAYMENT-RESPONSE` on an answer that was paid for.
pub fn paid_extra(state: &ChannelState, report: ReportedCharge) -> Map<String, Value> {
    let mut extra = refund_extra(state, report.cumulative);
    extra.insert("chargedAmount".to_owned(), json!(report.charged_amount));
    extra
}

/// The `extra` of `PAYMENT-RESPONSE` on a refund: the channel after it, and no charge.
pub fn refund_extra(state: &ChannelState, charged: Units) -> Map<String, Value> {
    Map::from_iter([("channelState".to_owned(), channel_state(state, charged))])
}

/// The body of a refund's answer, as the SDKs' servers write it.
pub fn refund_body(channel_id: B256) -> Value {
    json!({ "message": "Refund acknowledged", "channelId": channel_id })
}

fn channel_state(state: &ChannelState, charged: Units) -> Value {
    json!({
        "channelId": state.channel_id,
        "balance": state.balance,
        "totalClaimed": state.total_claimed,
        "withdrawRequestedAt": state.withdraw_requested_at,
        "refundNonce": state.refund_nonce.to_string(),
        "chargedCumulativeAmount": charged,
    })
}
