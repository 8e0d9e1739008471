//! What a hold keeps of a payment on Tempo, and for how long it may be waited for.

use crate::chain::{Expect, Handed};
use crate::clock::now_ms;
use crate::ledger::{CallState, Work};
use crate::protocol::mpp::Refused;
use alloy::primitives::{Address, B256, Bytes, U256};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// How far ahead a transaction may expire, in seconds: until then it is tried and waited for.
const VALID_SECONDS_MAX: u64 = 300;

/// Judges when a transaction expires, in Unix seconds, that nothing was done with yet.
pub(super) fn in_time(valid_before_s: u64) -> Result<(), Refused> {
    let now = now_ms() / 1000;
    match valid_before_s {
        end if end <= now => Err(ill_timed("it has expired")),
        end if end > now.saturating_add(VALID_SECONDS_MAX) => Err(ill_timed("it expires too late")),
        _ => Ok(()),
    }
}

/// Refuses a transaction for when it expires.
pub(super) fn ill_timed(what: &str) -> Refused {
    Refused::Transaction(format!(
        "{what}; sign with an expiring nonce and validBefore"
    ))
}

/// The transaction that pays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::payment) struct Stored {
    transaction: B256,
    to: Address,
    /// Complete and signed by all who must; none where the payer sent it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    raw: Option<Bytes>,
    /// In Unix seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    valid_before: Option<U256>,
}

impl Stored {
    pub(super) const fn pushed(transaction: B256, to: Address) -> Self {
        Self {
            transaction,
            to,
            raw: None,
            valid_before: None,
        }
    }

    /// One that is ours to send, until then.
    #[cfg(feature = "tempo")]
    pub(super) fn pulled(raw: Bytes, valid_before_s: u64, to: Address) -> Self {
        Self {
            transaction: alloy::primitives::keccak256(&raw),
            to,
            raw: Some(raw),
            valid_before: Some(U256::from(valid_before_s)),
        }
    }

    pub(super) const fn transaction(&self) -> B256 {
        self.transaction
    }

    /// The record of a hold, with what tells a copy of the credential.
    pub(super) fn to_json(&self, came: &[u8]) -> Value {
        let mut record = json!(self);
        if let Some(record) = record.as_object_mut() {
            let came = Bytes::copy_from_slice(came);
            record.insert("signature".to_owned(), json!(came));
        }
        record
    }
}

/// The transaction that pays for a call; `None` for a record that cannot be read. For a call that is void
/// nothing is sent, and only found out what was.
pub(in crate::payment) fn handed(state: &CallState) -> Option<Handed> {
    let hold = &state.hold;
    let stored: Stored = serde_json::from_value(hold.authorization.clone()).ok()?;
    let voided = matches!(state.work, Work::Voided { .. });
    Some(Handed {
        transaction: stored.transaction,
        raw: stored.raw.filter(|_| !voided),
        valid_before: stored.valid_before.and_then(|s| u64::try_from(s).ok()),
        expect: Expect::Transfer {
            asset: hold.asset.parse().ok()?,
            from: hold.payer.parse().ok()?,
            to: stored.to,
            value: U256::from(hold.held.atomic()),
        },
    })
}
