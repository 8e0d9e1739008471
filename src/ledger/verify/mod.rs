//! Proof that the records agree: the log with itself, everything else with the log.

mod money;
mod records;
mod replay;
mod report;

pub use report::{Fault, Totals, VerifyReport};

use super::keys;
use super::log::LogEntry;
use super::machine::{
    CallId, CallState, ChannelId, ChannelState, OperationId, OperationState, TransitionError,
    WithdrawalId, WithdrawalState,
};
use super::store::{Head, Pair, Reader, StoreError};
use replay::Walk;
use std::collections::BTreeMap;

const PAGE: usize = 1000;

/// Walks the committed records of `store`; fails only when the store cannot be read.
pub(super) fn verify(store: &dyn Reader) -> Result<VerifyReport, StoreError> {
    let mut walk = Walk::default();
    each(store, keys::LOG, |pair| walk.entry(pair))?;
    walk.end(Head::decode(store.read(Head::KEY)?.as_deref()).ok());
    walk.records_agree(store)?;
    walk.indexes_agree(store)?;
    let totals = walk.money_agrees(store)?;
    Ok(VerifyReport {
        entries: walk.last.seq,
        head: walk.last.hash,
        calls: walk.calls.len() as u64,
        calls_open: walk.calls.values().filter(|call| call.open()).count() as u64,
        withdrawals: walk.withdrawals.len() as u64,
        channels: walk.channels.len() as u64,
        operations: walk.operations.len() as u64,
        totals,
        faults: walk.faults,
    })
}

/// What a log's events have made of everything.
#[derive(Debug, Clone, PartialEq)]
pub struct Replayed {
    /// The calls.
    pub calls: BTreeMap<CallId, CallState>,
    /// The withdrawals.
    pub withdrawals: BTreeMap<WithdrawalId, WithdrawalState>,
    /// The channels.
    pub channels: BTreeMap<ChannelId, ChannelState>,
    /// The operations.
    pub operations: BTreeMap<OperationId, OperationState>,
}

/// Why a log cannot be replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// No version of this program wrote it.
    #[error("entry {seq} cannot be read: {error}")]
    Unreadable {
        /// The entry.
        seq: u64,
        /// Why.
        error: serde_json::Error,
    },
    /// It does not follow from the entries before it.
    #[error("entry {seq} cannot have happened: {error}")]
    Impossible {
        /// The entry.
        seq: u64,
        /// Why.
        error: TransitionError,
    },
}

/// Replays a log's entries from the first one on; their hashes are for [`VerifyReport`] to check.
pub fn replay(entries: &[LogEntry]) -> Result<Replayed, ReplayError> {
    let mut walk = Walk::default();
    for entry in entries {
        let seq = entry.seq;
        let events = entry.events();
        for event in events.map_err(|error| ReplayError::Unreadable { seq, error })? {
            let legal = walk.replay(entry.id, &event);
            legal.map_err(|error| ReplayError::Impossible { seq, error })?;
        }
    }
    Ok(Replayed {
        calls: walk.calls,
        withdrawals: walk.withdrawals,
        channels: walk.channels,
        operations: walk.operations,
    })
}

fn each(store: &dyn Reader, prefix: &[u8], mut see: impl FnMut(&Pair)) -> Result<(), StoreError> {
    let mut after: Option<Vec<u8>> = None;
    loop {
        let page = store.scan(prefix, after.as_deref(), PAGE)?;
        let Some((last, _)) = page.last() else {
            return Ok(());
        };
        after = Some(last.clone());
        page.iter().for_each(&mut see);
    }
}

fn about(subject: &dyn std::fmt::Display, what: &str) -> Fault {
    Fault {
        seq: None,
        subject: Some(subject.to_string()),
        what: what.to_owned(),
    }
}
