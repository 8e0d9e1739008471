//! What a hold keeps of its payment, and the transactions that settle it, also after a restart.

use super::authorized::ledger_name;
use super::exposure::Draws;
use crate::chain::bindings::IEip3009Token;
use crate::chain::bindings::{Eip2612Permit, ISettler};
use crate::chain::{Authorization, Expect, Job, PermitTransfer, Transfer, settler};
use crate::config::RailKind;
use crate::ledger::{CallState, Hold, SettleWhen, WithdrawalId, WithdrawalState};
use alloy::primitives::{Address, B256, Bytes, U256};
use alloy::sol_types::SolCall;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeSet;

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

    fn transfer(self, asset: Address, from: Address) -> Transfer {
        Transfer {
            asset,
            from,
            to: self.to,
            value: self.value,
            valid_after: self.valid_after,
            valid_before: self.valid_before,
            nonce: self.nonce,
            signature: self.signature,
            digest: self.digest,
        }
    }

    fn job(self, hold: &Hold) -> Option<Job> {
        let asset: Address = hold.asset.parse().ok()?;
        let from: Address = hold.payer.parse().ok()?;
        let payer_has_code = self.payer_has_code;
        let transfer = self.transfer(asset, from);
        Some(Job {
            id: hold.call.to_string(),
            to: asset,
            calldata: transfer.calldata(payer_has_code),
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

/// A permit of Permit2's and its signature, as the proxy takes it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct StoredPermit {
    permit2: Address,
    proxy: Address,
    to: Address,
    amount: U256,
    nonce: U256,
    deadline: U256,
    valid_after: U256,
    facilitator: Option<Address>,
    settling_signature: Bytes,
    digest: B256,
    permit2612: Option<StoredPermit2612>,
    /// A block at which the nonce was unspent.
    after_block: u64,
}

/// An EIP-2612 permit that sets Permit2's allowance first.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct StoredPermit2612 {
    value: U256,
    deadline: U256,
    r: B256,
    s: B256,
    v: u8,
}

impl StoredPermit {
    pub(super) fn of(transfer: &PermitTransfer, after_block: u64) -> Self {
        Self {
            permit2: transfer.permit2,
            proxy: transfer.proxy,
            to: transfer.to,
            amount: transfer.amount,
            nonce: transfer.nonce,
            deadline: transfer.deadline,
            valid_after: transfer.valid_after,
            facilitator: transfer.facilitator,
            settling_signature: transfer.signature.clone(),
            digest: transfer.digest,
            permit2612: transfer.permit2612.as_ref().map(|permit| StoredPermit2612 {
                value: permit.value,
                deadline: permit.deadline,
                r: permit.r,
                s: permit.s,
                v: permit.v,
            }),
            after_block,
        }
    }

    /// The record of a hold, with the signature as it came: a copy of the credential is known by it.
    pub(super) fn to_json(&self, signature: &[u8]) -> Value {
        let mut record = serde_json::json!(self);
        if let Some(record) = record.as_object_mut() {
            let signature = Bytes::copy_from_slice(signature);
            record.insert("signature".to_owned(), serde_json::json!(signature));
        }
        record
    }

    fn transfer(self, asset: Address, owner: Address) -> PermitTransfer {
        PermitTransfer {
            permit2: self.permit2,
            proxy: self.proxy,
            asset,
            owner,
            to: self.to,
            amount: self.amount,
            nonce: self.nonce,
            deadline: self.deadline,
            valid_after: self.valid_after,
            facilitator: self.facilitator,
            signature: self.settling_signature,
            digest: self.digest,
            permit2612: self.permit2612.map(|permit| Eip2612Permit {
                value: permit.value,
                deadline: permit.deadline,
                r: permit.r,
                s: permit.s,
                v: permit.v,
            }),
        }
    }

    /// The transaction that moves `value`: by the relayer itself, or by the settler that was quoted.
    fn job(self, hold: &Hold, value: U256, settlers: &BTreeSet<Address>) -> Option<Job> {
        let asset: Address = hold.asset.parse().ok()?;
        let from: Address = hold.payer.parse().ok()?;
        let after_block = self.after_block;
        let transfer = self.transfer(asset, from);
        let call = transfer.calldata(value);
        let expect = Expect::Transfer {
            asset,
            from,
            to: transfer.to,
            value,
        };
        let id = hold.call.to_string();
        let quoted = transfer.facilitator;
        if let Some(settler) = quoted.filter(|quoted| settlers.contains(quoted)) {
            let batch = batch_of(&id);
            let item = item(asset, call);
            return Some(Job {
                id,
                to: settler,
                calldata: settler::calldata(batch, vec![item]),
                expect,
                // The search for a payment does not look into the settler's calls.
                authorization: None,
                gas_limit_max: None,
            });
        }
        Some(Job {
            id,
            to: transfer.proxy,
            calldata: call,
            expect,
            authorization: Some(Authorization::Permit2 {
                permit2: transfer.permit2,
                owner: from,
                nonce: transfer.nonce,
                after_block,
            }),
            gas_limit_max: None,
        })
    }
}

/// The most gas that one payment through the settler may use; the dearest, with a permit of the
/// token's first, takes 127,000.
const ITEM_GAS: u64 = 220_000;

fn item(token: Address, data: Bytes) -> ISettler::Item {
    ISettler::Item {
        token,
        gasLimit: U256::from(ITEM_GAS),
        data,
    }
}

/// What settles a call among others; `None` where the call's answer waits for its settlement, or the
/// settler cannot settle it.
pub(super) fn batch_item(state: &CallState, settler: Address) -> Option<ISettler::Item> {
    let hold = &state.hold;
    if hold.settle_when != SettleWhen::After {
        return None;
    }
    let asset: Address = hold.asset.parse().ok()?;
    let from: Address = hold.payer.parse().ok()?;
    let record = hold.authorization.clone();
    if hold.rail == ledger_name(RailKind::Exact) {
        let stored: StoredTransfer = serde_json::from_value(record).ok()?;
        let payer_has_code = stored.payer_has_code;
        let call = stored.transfer(asset, from).calldata(payer_has_code);
        return Some(item(asset, call));
    }
    let value = U256::from(state.settlement_amount()?.atomic());
    let stored: StoredPermit = serde_json::from_value(record).ok()?;
    if stored.facilitator.is_some_and(|quoted| quoted != settler) {
        return None;
    }
    Some(item(asset, stored.transfer(asset, from).calldata(value)))
}

/// Whether others than the settler can settle a call.
pub(super) fn anyone_settles(state: &CallState) -> bool {
    let facilitator = state.hold.authorization.get("facilitator");
    facilitator.is_none_or(Value::is_null)
}

/// The settler's word for a batch.
pub(super) fn batch_of(id: &str) -> B256 {
    alloy::primitives::keccak256(id)
}

/// What a hold's payment needs beside the balance: what stood then was enough.
pub(super) fn draws(hold: &Hold) -> Draws {
    match serde_json::from_value::<StoredPermit>(hold.authorization.clone()) {
        Ok(stored) if stored.permit2612.is_some() => Draws::OwnPermit,
        Ok(_) => Draws::Allowance(U256::MAX),
        Err(_) => Draws::BalanceAlone,
    }
}

/// The signature a hold was made with.
pub(super) fn signature(hold: &Hold) -> Option<Bytes> {
    if let Some(used) = &hold.channel {
        return used.signature.parse().ok();
    }
    let signature = hold.authorization.get("signature")?;
    serde_json::from_value(signature.clone()).ok()
}

/// The transaction that settles a call by itself, given the settlers that take the relayer's calls;
/// `None` for a stored payment that cannot be read.
pub(super) fn call_job(state: &CallState, settlers: &BTreeSet<Address>) -> Option<Job> {
    let hold = &state.hold;
    let record = hold.authorization.clone();
    if hold.rail == ledger_name(RailKind::Exact) {
        let stored: StoredTransfer = serde_json::from_value(record).ok()?;
        return stored.job(hold);
    }
    let value = U256::from(state.settlement_amount()?.atomic());
    let stored: StoredPermit = serde_json::from_value(record).ok()?;
    stored.job(hold, value, settlers)
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
