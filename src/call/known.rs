//! A call as its task knows it. What need not be durable by itself waits here, and goes into the ledger
//! in the same commit as the next thing that must be.

use crate::ledger::{Answer, CallState, ChannelState, Event, Ledger, LedgerError, TransitionError};

/// A call's state with all that was noted, and what of that the ledger does not have yet.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) state: CallState,
    unwritten: Vec<Event>,
}

impl Known {
    /// What the ledger says.
    pub(super) fn new(state: CallState) -> Self {
        Self {
            state,
            unwritten: Vec::new(),
        }
    }

    /// Takes an event that the next commit will write; fails when it cannot happen now.
    pub(super) fn note(&mut self, event: Event) -> Result<(), TransitionError> {
        self.state = CallState::apply(Some(&self.state), &event)?;
        self.unwritten.push(event);
        Ok(())
    }

    /// Writes what was noted, and this; durable when this returns.
    pub(super) async fn record(
        &mut self,
        ledger: &Ledger,
        event: Event,
    ) -> Result<(), LedgerError> {
        self.unwritten.push(event);
        self.write(ledger).await
    }

    /// Writes what was noted and takes the ledger's state, which others may have moved on; durable when
    /// this returns.
    pub(super) async fn write(&mut self, ledger: &Ledger) -> Result<(), LedgerError> {
        let events = std::mem::take(&mut self.unwritten);
        self.state = ledger.record_all(self.state.hold.call, events).await?;
        Ok(())
    }

    /// The same, and keeps the answer that `answer` makes of the paying channel's books, which are
    /// returned.
    pub(super) async fn write_with_answer<A>(
        &mut self,
        ledger: &Ledger,
        answer: Option<A>,
    ) -> Result<Option<ChannelState>, LedgerError>
    where
        A: FnOnce(Option<&ChannelState>) -> (Answer, u64) + Send + 'static,
    {
        let events = std::mem::take(&mut self.unwritten);
        let id = self.state.hold.call;
        let (state, books) = ledger.record_with_answer(id, events, answer).await?;
        self.state = state;
        Ok(books)
    }
}
