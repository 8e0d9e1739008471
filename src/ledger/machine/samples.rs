//! Holds, captures and ids for tests, made from small numbers.
use super::{
    CallId, Capture, Digest32, Event, Hold, ReplayKey, RequestHash, SettleWhen, Takes, Withdrawal,
    WithdrawalId,
};
use crate::money::{AssetDecimals, Pusd, Units};

pub(in crate::ledger) const NETWORK: &str = "eip155:84532";
pub(in crate::ledger) const ASSET: &str = "0x036cbd53842c5426634e7929541ec2318f3dcf7e";

pub(in crate::ledger) fn call_id(n: u64) -> CallId {
    CallId::from_bytes(u128::from(n).to_be_bytes())
}

pub(in crate::ledger) fn withdrawal_id(n: u64) -> WithdrawalId {
    WithdrawalId::from_bytes(u128::from(n).to_be_bytes())
}

pub(in crate::ledger) fn key(n: u64) -> ReplayKey {
    let mut bytes = [0; 32];
    bytes[24..].copy_from_slice(&n.to_be_bytes());
    ReplayKey::from_bytes(bytes)
}

pub(in crate::ledger) fn payer(n: u64) -> String {
    format!("0x{n:040x}")
}

/// A hold of `held` units by payer 1 under replay key `n`.
pub(in crate::ledger) fn hold(n: u64, held: u128, settle_when: SettleWhen) -> Hold {
    Hold {
        call: call_id(n),
        rail: "x402-exact".to_owned(),
        replay_key: key(n),
        payment_id: None,
        payer: payer(1),
        network: NETWORK.to_owned(),
        asset: ASSET.to_owned(),
        asset_decimals: AssetDecimals::USDC,
        ceiling: Units::from_atomic(held),
        held: Units::from_atomic(held),
        request: RequestHash::from_bytes([7; 32]),
        model: "deepseek-chat".to_owned(),
        endpoint: "/v1/chat/completions".to_owned(),
        price_row: r#"{"input":"280000"}"#.to_owned(),
        price_row_sha256: Digest32::from_bytes([9; 32]),
        markup_bps: 0,
        quote_prompt_max: 1_000,
        quote_output_max: 500,
        settle_when,
        takes: match settle_when {
            SettleWhen::After if held.is_multiple_of(2) => Takes::Charged,
            _ => Takes::Held,
        },
        authorization: serde_json::json!({"signature": "0x00"}),
        channel: None,
        stream: true,
        at_ms: n,
    }
}

/// A capture of `charged` out of what `hold` holds.
pub(in crate::ledger) fn capture(hold: &Hold, charged: u128) -> Event {
    let change = match hold.takes {
        Takes::Charged => 0,
        Takes::Held if hold.settle_when == SettleWhen::After && charged == 0 => 0,
        Takes::Held => hold.held.atomic().saturating_sub(charged),
    };
    Event::Captured(Box::new(Capture {
        usage: serde_json::json!({"output": 10}),
        usage_source: "reported".to_owned(),
        raw_usage: Some(r#"{"completion_tokens":10}"#.to_owned()),
        answered_model: Some("deepseek-chat".to_owned()),
        lines: Vec::new(),
        list: Pusd::ZERO,
        saving: Pusd::ZERO,
        total: Pusd::from_pico(charged.saturating_mul(1_000_000)),
        charged: Units::from_atomic(charged),
        credited: Units::from_atomic(change),
        flags: Vec::new(),
        at_ms: 5,
    }))
}

pub(in crate::ledger) fn sent(lane_nonce: u64, transaction: &str) -> Event {
    Event::SettlementSent {
        relayer: payer(99),
        lane_nonce,
        transaction: transaction.to_owned(),
        raw_transaction: "0x02".to_owned(),
        at_ms: 6,
    }
}

pub(in crate::ledger) fn confirmed() -> Event {
    Event::SettlementConfirmed {
        transaction: "0xaa".to_owned(),
        block: 12,
        block_hash: "0xbb".to_owned(),
        at_ms: 7,
    }
}

pub(in crate::ledger) fn failed() -> Event {
    Event::SettlementFailed {
        reason: "reverted".to_owned(),
        at_ms: 7,
    }
}

pub(in crate::ledger) fn receipt() -> Event {
    Event::Receipted {
        receipt: "{}".to_owned(),
        at_ms: 8,
    }
}

pub(in crate::ledger) fn withdrawal(n: u64, payer_n: u64, amount: u128) -> Withdrawal {
    Withdrawal {
        id: withdrawal_id(n),
        payer: payer(payer_n),
        network: NETWORK.to_owned(),
        asset: ASSET.to_owned(),
        amount: Units::from_atomic(amount),
        at_ms: 9,
    }
}
