//! The states that will be asked for next, kept in memory: to read one back from its record would cost
//! more than all else that an event costs.

use super::machine::{CallId, CallState, ChannelId, ChannelState, EntityId};
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

/// How many channels are kept; beyond that all are let go and read back when they are used.
const CHANNELS_MAX: usize = 16 << 10;

/// What is durable of them, for the writer and for those who read beside it; clones are the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Remembered(Arc<RwLock<Recent>>);

impl Remembered {
    /// A call's state, if it is kept here.
    pub(super) fn call(&self, id: &CallId) -> Option<CallState> {
        self.read().call(id)?.clone()
    }

    /// A channel's account, if it is kept here.
    pub(super) fn channel(&self, id: &ChannelId) -> Option<ChannelState> {
        self.read().channel(id)?.clone()
    }

    /// Takes over what a batch that is durable now has left.
    pub(super) fn take(&self, newer: Recent) {
        let mut recent = self.0.write().unwrap_or_else(PoisonError::into_inner);
        recent.take(newer);
    }

    fn read(&self) -> RwLockReadGuard<'_, Recent> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Open calls and used channels as their newest events left them. `None` says to read the record.
#[derive(Debug, Default)]
pub(super) struct Recent {
    calls: HashMap<CallId, Option<CallState>>,
    channels: HashMap<ChannelId, Option<ChannelState>>,
}

impl Recent {
    /// What is known of a call here, if anything is.
    pub(super) fn call(&self, id: &CallId) -> Option<&Option<CallState>> {
        self.calls.get(id)
    }

    /// What is known of a channel here, if anything is.
    pub(super) fn channel(&self, id: &ChannelId) -> Option<&Option<ChannelState>> {
        self.channels.get(id)
    }

    /// Keeps a call as long as something is left to do for it.
    pub(super) fn keep_call(&mut self, state: &CallState) {
        let kept = state.open().then(|| state.clone());
        self.calls.insert(state.hold.call, kept);
    }

    /// Keeps a channel.
    pub(super) fn keep_channel(&mut self, state: ChannelState) {
        self.channels.insert(state.opening.channel, Some(state));
    }

    /// Lets go of what was changed in its record alone.
    pub(super) fn let_go(&mut self, id: &EntityId) {
        match id {
            EntityId::Call(id) => drop(self.calls.insert(*id, None)),
            EntityId::Channel(id) => drop(self.channels.insert(*id, None)),
            EntityId::Withdrawal(_) | EntityId::Operation(_) => {}
        }
    }

    fn take(&mut self, newer: Self) {
        for (id, state) in newer.calls {
            match state {
                Some(state) => self.calls.insert(id, Some(state)),
                None => self.calls.remove(&id),
            };
        }
        for (id, state) in newer.channels {
            match state {
                Some(state) => self.channels.insert(id, Some(state)),
                None => self.channels.remove(&id),
            };
        }
        if self.channels.len() > CHANNELS_MAX {
            self.channels.clear();
        }
    }
}
