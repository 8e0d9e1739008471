//! Many payments in one transaction of Groat's own settler, and what became of each.
//!
//! A batch is kept to once by the nonce of the key that sends it, and by nothing else: a second one
//! would fail every item that the first carried out, and pay credits twice. So its job has no
//! authorization.

use super::bindings::ISettler;
use super::{Expect, ExpectedLog, Receipt, RevertReason};
use alloy::primitives::{Address, B256, Bytes, U256};
use alloy::rpc::types::Log;
use alloy::sol_types::{SolCall, SolEvent};
use std::collections::BTreeMap;

/// What a mined batch did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchResult {
    /// How many items were tried.
    pub items: usize,
    /// Those that were not carried out, by their place from 0, and why; all others were.
    pub failed: BTreeMap<usize, RevertReason>,
}

impl BatchResult {
    /// Reads a batch's own events out of its receipt; `None` when the settler did not end it, or says
    /// other numbers than its events.
    pub fn read(receipt: &Receipt, settler: Address, batch: B256) -> Option<Self> {
        if !receipt.is_success() {
            return None;
        }
        let own = |log: &&Log| {
            log.address() == settler && log.topics().get(1).is_some_and(|topic| *topic == batch)
        };
        let mut failed = BTreeMap::new();
        let mut ended = None;
        for log in receipt.logs().iter().filter(own) {
            if let Ok(event) = ISettler::Failed::decode_log(&log.inner) {
                let index = usize::try_from(event.index).ok()?;
                let reason = RevertReason::new("the item failed", event.reason.clone());
                failed.insert(index, reason);
            } else if let Ok(event) = ISettler::Settled::decode_log(&log.inner) {
                ended = Some((event.items, event.failed));
            }
        }
        let (items, count) = ended?;
        let items = usize::try_from(items).ok()?;
        let sound = U256::from(failed.len()) == count && failed.keys().all(|at| *at < items);
        sound.then_some(Self { items, failed })
    }

    /// Whether the item at this place was carried out.
    pub fn is_done(&self, index: usize) -> bool {
        index < self.items && !self.failed.contains_key(&index)
    }
}

/// The settler's call of a batch.
pub fn calldata(batch: B256, items: Vec<ISettler::Item>) -> Bytes {
    ISettler::settleCall { batch, items }.abi_encode().into()
}

/// That the settler worked a batch through; what became of its items the receipt says.
pub fn expect(settler: Address, batch: B256) -> Expect {
    let ended = ExpectedLog::of::<ISettler::Settled>(settler, [batch]);
    Expect::Logs(vec![ended])
}

#[cfg(test)]
mod tests;
