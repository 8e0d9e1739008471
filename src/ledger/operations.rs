//! Transactions that are no single call's own: asked for, sent, and found on chain like the others.

use super::batch::{Batch, Change, encode};
use super::error::LedgerError;
use super::keys;
use super::machine::{
    EntityId, Event, OPERATION_RAW_BYTES_MAX, Operation, OperationId, OperationState,
};

/// A longer request leaves no room for its transactions in a record of 64 KiB.
const OPERATION_BYTES_MAX: usize = 32 << 10;

impl Batch<'_> {
    /// Wants a transaction; everything it names must be known.
    pub(super) fn request_operation(
        &mut self,
        operation: Operation,
    ) -> Result<OperationState, LedgerError> {
        self.writable()?;
        let id = operation.id;
        if encode(&operation)?.len() > OPERATION_BYTES_MAX {
            return Err(LedgerError::TooLarge);
        }
        let channels = operation.channels.iter().map(|id| EntityId::Channel(*id));
        let calls = operation.calls.iter().map(|id| EntityId::Call(*id));
        for named in channels.chain(calls) {
            if self.bytes_of(&keys::state(&named))?.is_none() {
                return Err(LedgerError::Unknown(named));
            }
        }
        let before = self.operation(&id)?;
        let event = Event::OperationRequested(Box::new(operation));
        let state = OperationState::apply(before.as_ref(), &event)?;
        self.append_operation(id, &state, &event)?;
        Ok(state)
    }

    /// Records what happened to an operation. A signed transaction that is too long to keep is left
    /// out: the operation can be built again from its job, and sent again without harm.
    pub(super) fn record_operation(
        &mut self,
        id: OperationId,
        mut event: Event,
    ) -> Result<OperationState, LedgerError> {
        self.writable()?;
        let unknown = LedgerError::Unknown(EntityId::Operation(id));
        let before = self.operation(&id)?.ok_or(unknown)?;
        if let Event::SettlementSent {
            raw_transaction, ..
        } = &mut event
            && raw_transaction.len() > OPERATION_RAW_BYTES_MAX
        {
            raw_transaction.clear();
        }
        let state = OperationState::apply(Some(&before), &event)?;
        self.append_operation(id, &state, &event)?;
        Ok(state)
    }

    /// An operation's state.
    pub(super) fn operation(
        &self,
        id: &OperationId,
    ) -> Result<Option<OperationState>, LedgerError> {
        self.read(&keys::state(&EntityId::Operation(*id)))
    }

    /// All operations with something left to do, in the order of their ids.
    pub(super) fn open_operations(&self) -> Result<Vec<OperationState>, LedgerError> {
        self.open_states(keys::OPEN_OPERATIONS, |id| self.read(&keys::state(id)))
    }

    fn append_operation(
        &mut self,
        id: OperationId,
        state: &OperationState,
        event: &Event,
    ) -> Result<(), LedgerError> {
        let change = Change {
            id: EntityId::Operation(id),
            state: encode(state)?,
            open: state.open(),
            beside: Vec::new(),
        };
        self.append_event(event, change)
    }
}
