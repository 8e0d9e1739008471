//! The signed bill of a call, made from the ledger's state of it and from nothing else.

use crate::clock::now_ms;
use crate::ledger::{self, CallId, CallState, Event, Ledger, Work};
use crate::metering::{Route, Usage};
use crate::money::{Pusd, Units};
use crate::protocol::Network;
use crate::protocol::receipt::{
    AnsweredBy, Hash, Receipt, ReceiptBody, Settlement, SettlementStatus, UsageSource,
    readable_numbers,
};
use crate::protocol::signature::Key;
use alloy::primitives::{Address, B256};

/// The longest receipt that is recorded, in bytes: a call's state has room for it beside the rest.
const RECEIPT_BYTES_MAX: usize = 32 << 10;

/// Issues receipts.
#[derive(Debug, Clone)]
pub struct Receipts {
    key: Key,
    ledger: Ledger,
}

impl Receipts {
    /// Issues receipts signed by `key` into `ledger`.
    pub fn new(key: Key, ledger: Ledger) -> Self {
        Self { key, ledger }
    }

    /// The address that signs.
    pub fn signer(&self) -> Address {
        self.key.address()
    }

    /// Whether a call's newest receipt says how its settlement stands now.
    pub fn is_current(&self, state: &CallState) -> bool {
        let receipt = state
            .receipt
            .as_deref()
            .and_then(|text| serde_json::from_str::<Receipt>(text).ok());
        receipt.is_some_and(|receipt| receipt.body.settlement == settlement(state))
    }

    /// Signs a call's receipt as things stand and makes it durable; without one it stays open, which
    /// the next start makes good.
    pub async fn issue(&self, id: &CallId, state: &CallState) -> Option<CallState> {
        let event = self.sign(state, now_ms())?;
        let recorded = self.ledger.record(*id, event).await;
        recorded
            .map_err(|error| tracing::error!(call = %id, %error, "a receipt could not be recorded"))
            .ok()
    }

    /// Signs a call's receipt as things stand; `None` when there is none to be made.
    pub fn sign(&self, state: &CallState, at_ms: u64) -> Option<Event> {
        let call = state.hold.call;
        let Some(body) = body(state, at_ms) else {
            tracing::error!(%call, "a receipt could not be made from the ledger's state");
            return None;
        };
        let receipt = serde_json::to_string(&body.sign(&self.key)).ok()?;
        if receipt.len() > RECEIPT_BYTES_MAX {
            tracing::error!(%call, bytes = receipt.len(), "a receipt is too long to be recorded");
            return None;
        }
        Some(Event::Receipted { receipt, at_ms })
    }
}

/// What a call's receipt says: `None` for a call that moved no money, or whose record is unreadable.
fn body(state: &CallState, at_ms: u64) -> Option<ReceiptBody> {
    let hold = &state.hold;
    let network: Network = hold.network.parse().ok()?;
    let capture = match &state.work {
        Work::Captured(capture) => Some(capture),
        Work::Voided { .. } if state.settlement.is_confirmed() => None,
        _ => return None,
    };
    let usage = match capture {
        Some(capture) => serde_json::from_value(capture.usage.clone()).ok()?,
        None => Usage::default(),
    };
    let usage_source = match capture.map(|capture| capture.usage_source.as_str()) {
        Some("reported") => UsageSource::Reported,
        Some(_) => UsageSource::Estimated,
        None => UsageSource::None,
    };
    let (endpoint, price_row) = state.answering();
    let answered = capture.and_then(|capture| capture.answered_model.clone());
    let flags = match capture {
        Some(capture) => capture.flags.clone(),
        None => vec!["voided".to_owned()],
    };
    ReceiptBody {
        call: hold.call.to_string(),
        payer: hold.payer.parse().ok()?,
        rail: hold.rail.clone(),
        network,
        chain_id: network.chain_id(),
        asset: hold.asset.parse().ok()?,
        asset_decimals: hold.asset_decimals,
        request_sha256: Hash(B256::from(*hold.request.as_bytes())),
        model: hold.model.clone(),
        route: (hold.route != Route::Chat).then_some(hold.route),
        answered_by: AnsweredBy {
            model: answered.unwrap_or_else(|| hold.model.clone()),
            endpoint: endpoint.to_owned(),
        },
        price_row: serde_json::from_str(price_row).ok()?,
        price_row_sha256: Hash::default(),
        usage,
        usage_source,
        raw_usage: capture.and_then(|capture| readable_numbers(capture.raw_usage.as_deref()?)),
        upstream_receipt: match capture.and_then(|capture| capture.upstream_receipt.as_deref()) {
            Some(text) => Some(serde_json::from_str(text).ok()?),
            None => None,
        },
        reported_cost_pusd: capture.and_then(|capture| capture.reported_cost),
        lines: Vec::new(),
        markup_bps: hold.markup_bps,
        list_pusd: Pusd::ZERO,
        cache_saving_pusd: Pusd::ZERO,
        total_pusd: Pusd::ZERO,
        ceiling: hold.ceiling,
        held: hold.held,
        charged: Units::ZERO,
        credited: Units::ZERO,
        settlement: settlement(state),
        flags,
        issued_at: timestamp(at_ms),
    }
    .computed()
    .ok()
}

fn settlement(state: &CallState) -> Settlement {
    match &state.settlement {
        ledger::Settlement::Confirmed {
            transaction, block, ..
        } => Settlement {
            status: SettlementStatus::Settled,
            transaction: transaction.parse().ok(),
            block: Some(*block),
        },
        ledger::Settlement::Failed { .. } => Settlement {
            status: SettlementStatus::Failed,
            ..Settlement::NONE
        },
        ledger::Settlement::Sent { broadcast } => Settlement {
            status: SettlementStatus::Pending,
            transaction: broadcast
                .attempts
                .last()
                .and_then(|attempt| attempt.transaction.parse().ok()),
            block: None,
        },
        ledger::Settlement::None if state.settlement_due() => Settlement {
            status: SettlementStatus::Pending,
            ..Settlement::NONE
        },
        ledger::Settlement::None => Settlement::NONE,
    }
}

fn timestamp(at_ms: u64) -> String {
    let ms = i64::try_from(at_ms).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(ms)
        .unwrap_or_default()
        .to_string()
}
