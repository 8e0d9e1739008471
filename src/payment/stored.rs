//! What a hold keeps of its payment, and the transactions that settle it, also after a restart.

use super::authorized::ledger_name;
use crate::chain::bindings::IEip3009Token;
use crate::chain::{Authorization, Expect, Job, Transfer};
use crate::config::RailKind;
use crate::ledger::{CallState, Hold, WithdrawalId, WithdrawalState};
use alloy::primitives::{Address, B256, Bytes, U256};
use alloy::sol_types::SolCall;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// An EIP-3009 authorization and its signature.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct StoredTransfer {
    to: Address,
    value: U256,
    valid_after: U256,
    valid_before: U256,
    nonce: B256,
    signature: Bytes,
    digest: B256,
    payer_has_code: bool,
}

impl StoredTransfer {
    pub(super) fn of(transfer: &Transfer, payer_has_code: bool) -> Self {
        Self {
            to: transfer.to,
            value: transfer.value,
            valid_after: transfer.valid_after,
            valid_before: transfer.valid_before,
            nonce: transfer.nonce,
            signature: transfer.signature.clone(),
            digest: transfer.digest,
            payer_has_code,
        }
    }

    pub(super) fn to_json(&self) -> Value {
        serde_json::json!(self)
    }

    fn job(self, hold: &Hold) -> Option<Job> {
        let asset: Address = hold.asset.parse().ok()?;
        let from: Address = hold.payer.parse().ok()?;
        let transfer = Transfer {
            asset,
            from,
            to: self.to,
            value: self.value,
            valid_after: self.valid_after,
            valid_before: self.valid_before,
            nonce: self.nonce,
            signature: self.signature,
            digest: self.digest,
        };
        Some(Job {
            id: hold.call.to_string(),
            to: asset,
            calldata: transfer.calldata(self.payer_has_code),
            expect: Expect::Transfer {
                asset,
                from,
                to: transfer.to,
                value: transfer.value,
            },
            authorization: Some(Authorization::Eip3009 {
                asset,
                from,
                nonce: transfer.nonce,
            }),
            gas_limit_max: None,
        })
    }
}

/// The signature a hold was made with.
pub(super) fn signature(hold: &Hold) -> Option<Bytes> {
    let signature = hold.authorization.get("signature")?;
    serde_json::from_value(signature.clone()).ok()
}

/// The transaction that settles a call by itself; `None` for a stored payment that cannot be read.
pub(super) fn call_job(state: &CallState) -> Option<Job> {
    let hold = &state.hold;
    if hold.rail != ledger_name(RailKind::Exact) {
        return None;
    }
    let stored: StoredTransfer = serde_json::from_value(hold.authorization.clone()).ok()?;
    stored.job(hold)
}

/// The transaction that pays out a withdrawal.
pub(super) fn payout_job(
    id: &WithdrawalId,
    state: &WithdrawalState,
    asset: Address,
    from: Address,
) -> Option<Job> {
    let to: Address = state.withdrawal.payer.parse().ok()?;
    let value = U256::from(state.withdrawal.amount.atomic());
    let call = IEip3009Token::transferCall { to, value };
    Some(Job {
        id: id.to_string(),
        to: asset,
        calldata: call.abi_encode().into(),
        expect: Expect::Transfer {
            asset,
            from,
            to,
            value,
        },
        authorization: None,
        gas_limit_max: None,
    })
}
