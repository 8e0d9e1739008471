//! A call's record: the numbers of its log entries, which say all that happened to it. To write its
//! state besides would say the same twice.

use super::batch::{Batch, decode, encode};
use super::error::LedgerError;
use super::keys;
use super::log::LogEntry;
use super::machine::{CallId, CallState, EntityId};

/// What is stored of a call beside the log.
#[derive(Debug, PartialEq)]
pub(super) enum CallRecord {
    /// The numbers of its log entries, in their order.
    Steps(Vec<u64>),
    /// Its state, as versions before wrote it; such a call is kept that way.
    State(Box<CallState>),
}

impl CallRecord {
    /// Reads a record: an array of numbers, or the object that a state is.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, LedgerError> {
        match bytes.first() {
            Some(b'[') => decode(bytes).map(Self::Steps),
            _ => decode(bytes).map(Self::State),
        }
    }

    /// The record's text once the entries with these numbers have left the call in `state`.
    pub(super) fn after(
        before: Option<Self>,
        numbers: impl Iterator<Item = u64>,
        state: &CallState,
    ) -> Result<Vec<u8>, LedgerError> {
        let mut steps = match before {
            Some(Self::State(_)) => return encode(state),
            Some(Self::Steps(steps)) => steps,
            None => Vec::new(),
        };
        steps.extend(numbers);
        encode(&steps)
    }
}

impl Batch<'_> {
    /// A call's record.
    pub(super) fn call_record(&self, id: &CallId) -> Result<Option<CallRecord>, LedgerError> {
        let stored = self.bytes_of(&keys::state(&EntityId::Call(*id)))?;
        stored.map(|bytes| CallRecord::decode(&bytes)).transpose()
    }

    /// A call's state, as its record tells it.
    pub(super) fn recorded_call(&self, id: &CallId) -> Result<Option<CallState>, LedgerError> {
        let steps = match self.call_record(id)? {
            Some(CallRecord::Steps(steps)) => steps,
            Some(CallRecord::State(state)) => return Ok(Some(*state)),
            None => return Ok(None),
        };
        let corrupt = |what: &str| LedgerError::Corrupt(format!("{id}: {what}"));
        let mut state = None;
        for seq in steps {
            let entry: Option<LogEntry> = self.read(&keys::log(seq))?;
            let entry = entry.filter(|entry| entry.id == EntityId::Call(*id));
            let entry = entry.ok_or_else(|| corrupt("its record names no entry of its own"))?;
            for event in entry.events().map_err(|e| corrupt(&e.to_string()))? {
                state = Some(CallState::apply(state.as_ref(), &event)?);
            }
        }
        state
            .map(Some)
            .ok_or_else(|| corrupt("its record is empty"))
    }
}
