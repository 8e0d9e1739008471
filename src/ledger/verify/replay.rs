//! The log from nothing: every entry in its place and a legal step of its entity.

use super::super::keys;
use super::super::log::LogEntry;
use super::super::machine::{
    CallId, CallState, ChannelId, ChannelState, CreditKey, EntityId, Event, OperationId,
    OperationState, Standing, TransitionError, WithdrawalId, WithdrawalState,
};
use super::super::store::{Head, Pair};
use super::Fault;
use std::collections::BTreeMap;

/// Everything that the log leads to.
#[derive(Debug)]
pub(super) struct Walk {
    pub(super) last: Head,
    pub(super) calls: BTreeMap<CallId, CallState>,
    /// The numbers of each call's entries.
    pub(super) steps: BTreeMap<CallId, Vec<u64>>,
    pub(super) withdrawals: BTreeMap<WithdrawalId, WithdrawalState>,
    pub(super) channels: BTreeMap<ChannelId, ChannelState>,
    pub(super) operations: BTreeMap<OperationId, OperationState>,
    pub(super) standings: BTreeMap<CreditKey, Standing>,
    pub(super) faults: Vec<Fault>,
}

impl Default for Walk {
    fn default() -> Self {
        Self {
            last: Head::EMPTY,
            calls: BTreeMap::new(),
            steps: BTreeMap::new(),
            withdrawals: BTreeMap::new(),
            channels: BTreeMap::new(),
            operations: BTreeMap::new(),
            standings: BTreeMap::new(),
            faults: Vec::new(),
        }
    }
}

impl Walk {
    /// One log entry: in its place, bound to the one before, and a legal step of its entity.
    pub(super) fn entry(&mut self, (key, value): &Pair) {
        let expected = self.last.seq.saturating_add(1);
        let Some(seq) = keys::log_seq(key) else {
            return self.broken(expected, "a key that is no entry's number follows");
        };
        if seq != expected {
            self.broken(expected, "the entry is missing");
        }
        let entry: LogEntry = match serde_json::from_slice(value) {
            Ok(entry) => entry,
            Err(error) => {
                self.broken(seq, &format!("the entry cannot be read: {error}"));
                self.last.seq = seq;
                return;
            }
        };
        if entry.seq != seq {
            self.broken(seq, "the entry carries another number");
        }
        if entry.prev != self.last.hash {
            self.broken(seq, "the entry does not follow the one before");
        }
        if entry.computed_hash() != entry.hash {
            self.broken(seq, "the content does not match the hash");
        }
        self.last = Head {
            seq,
            hash: entry.hash,
        };
        if let EntityId::Call(id) = entry.id {
            self.steps.entry(id).or_default().push(seq);
        }
        match entry.events() {
            Ok(events) => {
                for event in events {
                    if let Err(error) = self.replay(entry.id, &event) {
                        self.broken(seq, &format!("the event cannot have happened: {error}"));
                    }
                }
            }
            Err(error) => self.broken(seq, &format!("the event cannot be read: {error}")),
        }
    }

    pub(super) fn end(&mut self, recorded: Option<Head>) {
        if recorded != Some(self.last) {
            self.broken(self.last.seq, "the recorded end is not the log's end");
        }
    }

    pub(super) fn replay(&mut self, id: EntityId, event: &Event) -> Result<(), TransitionError> {
        let own = match (id, event) {
            (EntityId::Call(id), Event::Held(hold)) => hold.call == id,
            (EntityId::Withdrawal(id), Event::WithdrawalRequested(w)) => w.id == id,
            (EntityId::Channel(id), Event::ChannelOpened { opening, .. }) => opening.channel == id,
            (EntityId::Operation(id), Event::OperationRequested(o)) => o.id == id,
            _ => true,
        };
        if !own {
            return Err(TransitionError::OtherId);
        }
        match id {
            EntityId::Call(id) => self.replay_call(id, event)?,
            EntityId::Withdrawal(id) => {
                let state = WithdrawalState::apply(self.withdrawals.get(&id), event)?;
                self.withdrawals.insert(id, state);
            }
            EntityId::Channel(id) => {
                let state = ChannelState::apply(self.channels.get(&id), event)?;
                self.channels.insert(id, state);
            }
            EntityId::Operation(id) => {
                let state = OperationState::apply(self.operations.get(&id), event)?;
                let named = &state.operation;
                let known = named.channels.iter().all(|c| self.channels.contains_key(c))
                    && named.calls.iter().all(|c| self.calls.contains_key(c));
                if !known {
                    return Err(TransitionError::Malformed { field: "operation" });
                }
                self.operations.insert(id, state);
            }
        }
        Ok(())
    }

    /// A call's event moves its channel and its payer's standing too.
    fn replay_call(&mut self, id: CallId, event: &Event) -> Result<(), TransitionError> {
        let before = self.calls.get(&id);
        let state = CallState::apply(before, event)?;
        let (old, new) = (before.and_then(CallState::unpaid), state.unpaid());
        if let Some(used) = &state.hold.channel {
            let channel = self.channels.get_mut(&used.channel);
            let channel = channel.ok_or(TransitionError::Malformed { field: "channel" })?;
            *channel = channel.after_call(&state.hold, event)?;
        }
        if old != new {
            let standing = self.standings.entry(state.credit_key()?).or_default();
            *standing = standing.moved(old, new, event.at_ms())?;
        }
        self.calls.insert(id, state);
        Ok(())
    }

    pub(super) fn broken(&mut self, seq: u64, what: &str) {
        self.faults.push(Fault {
            seq: Some(seq),
            subject: None,
            what: what.to_owned(),
        });
    }
}
