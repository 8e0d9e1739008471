//! What a rail says of a payment: it is good, with all that its call needs to know, or why not.

use super::channel::Lease;
use super::exposure::Reservation;
use crate::config::RailKind;
use crate::ledger::{ChannelState, ChannelUse, Event, SettleWhen, Takes};
use crate::money::Units;
use crate::protocol::Refusal;
use alloy::primitives::Address;
use serde_json::Value;
use std::sync::Arc;

/// A payment that is good: it may be held.
#[derive(Debug)]
pub struct Authorized {
    /// The rail it came by.
    pub rail: RailKind,
    /// Who pays.
    pub payer: Address,
    /// When the payer's money moves.
    pub settle_when: SettleWhen,
    /// How much of it moves.
    pub takes: Takes,
    /// What settles it, also after a restart.
    pub stored: Value,
    /// Its share of what the payer owes unsettled; to be dropped once the settlement is known.
    pub reservation: Option<Reservation>,
    /// The voucher it is paid by, out of a channel.
    pub channel: Option<PaidByChannel>,
    /// Whether the answer's end should wait for the settlement: the payer's next payment will be
    /// signed by what the chain says then.
    pub end_waits: bool,
    /// The transaction that is sent for it from its hold on, or was sent before.
    pub sent: Option<Event>,
}

/// How a channel pays for a call.
#[derive(Debug, Clone)]
pub struct PaidByChannel {
    /// The voucher.
    pub used: ChannelUse,
    /// The deposit that came with it: its transaction (`0x…`), and how much.
    pub deposit: Option<(String, Units)>,
    /// Its call's place on the channel until the call is held: no refund begins meanwhile.
    pub lease: Option<Arc<Lease>>,
}

impl PaidByChannel {
    /// The same, once its call is held: from then on the ledger knows that it runs.
    pub fn held(self) -> Self {
        Self {
            lease: None,
            ..self
        }
    }
}

/// Why a payment is not taken.
#[derive(Debug, Clone)]
pub enum AuthorizeFailure {
    /// It is not good, for this reason.
    Refused(Refusal),
    /// Its channel does not pay for the call as its voucher says.
    Channel {
        /// Why.
        reason: Refusal,
        /// The books that refused.
        state: Box<ChannelState>,
    },
    /// The chain, or the ledger, did not say; it may be good.
    Unknown,
}

impl From<Refusal> for AuthorizeFailure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// The rail's name in holds and receipts.
pub const fn ledger_name(rail: RailKind) -> &'static str {
    match rail {
        RailKind::Exact => "x402-exact",
        RailKind::ExactPermit2 => "x402-exact-permit2",
        RailKind::Upto => "x402-upto",
        RailKind::Channel => "x402-batch-settlement",
        RailKind::TempoCharge => "mpp-tempo-charge",
        RailKind::TempoSession => "mpp-tempo-session",
    }
}
