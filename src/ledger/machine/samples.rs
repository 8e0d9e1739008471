//! Holds, captures and ids for tests, made from small numbers.
use super::{
    CallId, Capture, ChannelId, ChannelOnChain, ChannelOpening, ChannelUse, Digest32, Event, Hold,
    Operation, OperationId, OperationKind, ReplayKey, RequestHash, SettleWhen, Takes, Withdrawal,
    WithdrawalId,
};
use crate::metering::Route;
use crate::money::{AssetDecimals, Pusd, Units};
use crate::protocol::channel::Rule;

pub(crate) const NETWORK: &str = "eip155:84532";
pub(crate) const ASSET: &str = "0x036cbd53842c5426634e7929541ec2318f3dcf7e";

pub(crate) fn call_id(n: u64) -> CallId {
    CallId::from_bytes(u128::from(n).to_be_bytes())
}

pub(crate) fn withdrawal_id(n: u64) -> WithdrawalId {
    WithdrawalId::from_bytes(u128::from(n).to_be_bytes())
}

pub(crate) fn key(n: u64) -> ReplayKey {
    let mut bytes = [0; 32];
    bytes[24..].copy_from_slice(&n.to_be_bytes());
    ReplayKey::from_bytes(bytes)
}

pub(crate) fn payer(n: u64) -> String {
    format!("0x{n:040x}")
}

/// A hold of `held` units by payer 1 under replay key `n`.
pub(crate) fn hold(n: u64, held: u128, settle_when: SettleWhen) -> Hold {
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
        route: Route::Chat,
        app: None,
        price_row: r#"{"input":"280000"}"#.to_owned(),
        price_row_sha256: Digest32::from_bytes([9; 32]),
        alternatives: Vec::new(),
        markup_bps: 0,
        quote_prompt_max: 1_000,
        quote_output_max: 500,
        settle_when,
        takes: match settle_when {
            SettleWhen::After if held.is_multiple_of(2) => Takes::Charged,
            _ => Takes::Held,
        },
        remembered: !held.is_multiple_of(3),
        authorization: serde_json::json!({"signature": "0x00"}),
        channel: None,
        stream: true,
        at_ms: n,
    }
}

/// A capture of `charged` out of what `hold` holds.
pub(crate) fn capture(hold: &Hold, charged: u128) -> Event {
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
        answered_by: None,
        upstream_receipt: None,
        reported_cost: None,
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

pub(crate) fn sent(lane_nonce: u64, transaction: &str) -> Event {
    Event::SettlementSent {
        relayer: payer(99),
        lane_nonce,
        transaction: transaction.to_owned(),
        raw_transaction: "0x02".to_owned(),
        at_ms: 6,
    }
}

pub(crate) fn confirmed() -> Event {
    Event::SettlementConfirmed {
        transaction: "0xaa".to_owned(),
        block: 12,
        block_hash: "0xbb".to_owned(),
        at_ms: 7,
    }
}

pub(crate) fn failed() -> Event {
    Event::SettlementFailed {
        reason: "reverted".to_owned(),
        at_ms: 7,
    }
}

pub(crate) fn receipt() -> Event {
    Event::Receipted {
        receipt: "{}".to_owned(),
        at_ms: 8,
    }
}

pub(crate) fn withdrawal(n: u64, payer_n: u64, amount: u128) -> Withdrawal {
    Withdrawal {
        id: withdrawal_id(n),
        payer: payer(payer_n),
        network: NETWORK.to_owned(),
        asset: ASSET.to_owned(),
        amount: Units::from_atomic(amount),
        at_ms: 9,
    }
}

pub(crate) fn channel_id(n: u8) -> ChannelId {
    ChannelId::from_bytes([n; 32])
}

/// Channel `n`, which payer `payer_n` filled.
pub(crate) fn opening(n: u8, payer_n: u64) -> ChannelOpening {
    ChannelOpening {
        channel: channel_id(n),
        payer: payer(payer_n),
        network: NETWORK.to_owned(),
        contract: payer(77),
        asset: ASSET.to_owned(),
        asset_decimals: AssetDecimals::USDC,
        receiver: payer(78),
        config: serde_json::json!({"salt": format!("0x{n:064x}"), "withdrawDelay": 900}),
        at_ms: 1,
    }
}

pub(crate) fn on_chain(balance: u128, total_claimed: u128) -> ChannelOnChain {
    ChannelOnChain {
        balance: Units::from_atomic(balance),
        total_claimed: Units::from_atomic(total_claimed),
        refund_nonce: 0,
        withdrawal: None,
        block: 10,
        at_ms: 1,
    }
}

/// A hold of `held` units on channel `channel` of payer 1, by a voucher that goes from `base` to `max`.
pub(crate) fn channel_hold(n: u64, channel: u8, held: u128, (base, max): (u128, u128)) -> Hold {
    Hold {
        rail: "x402-batch-settlement".to_owned(),
        takes: Takes::Charged,
        channel: Some(ChannelUse {
            channel: channel_id(channel),
            rule: Rule::Late,
            base: Units::from_atomic(base),
            max_claimable: Units::from_atomic(max),
            signature: format!("0x51{max:04x}"),
        }),
        ..hold(n, held, SettleWhen::ByClaim)
    }
}

pub(crate) fn operation_id(n: u64) -> OperationId {
    OperationId::from_bytes(u128::from(n).to_be_bytes())
}

pub(crate) fn operation(n: u64, kind: OperationKind) -> Operation {
    Operation {
        id: operation_id(n),
        kind,
        channels: Vec::new(),
        calls: Vec::new(),
        job: serde_json::json!({"signature": "0x5ec4e7"}),
        at_ms: 9,
    }
}
