//! Which channels are watched, since when, and what a look at their events says. Pure but for a lock.

use crate::chain::{ChannelEvent, Place};
use crate::ledger::{ChannelId, ChannelState};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The channels that are watched, and how far.
#[derive(Debug, Default)]
pub(super) struct Watched {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    channels: BTreeSet<ChannelId>,
    /// Those that the last look saw.
    seen: BTreeSet<ChannelId>,
    /// The block from which on no event was missed.
    since_block: Option<u64>,
    /// When the last look began, in milliseconds since the Unix epoch.
    looked_ms: u64,
}

impl Watched {
    pub(super) fn add(&self, channel: ChannelId) {
        self.inner().channels.insert(channel);
    }

    pub(super) fn remove(&self, channel: &ChannelId) {
        let mut inner = self.inner();
        inner.channels.remove(channel);
        inner.seen.remove(channel);
    }

    /// The channels to look at.
    pub(super) fn channels(&self) -> BTreeSet<ChannelId> {
        self.inner().channels.clone()
    }

    /// Says that all events of these channels from `since_block` on were taken up to `looked_ms`.
    pub(super) fn looked(&self, channels: BTreeSet<ChannelId>, since_block: u64, looked_ms: u64) {
        let mut inner = self.inner();
        inner.seen = channels;
        inner.since_block = Some(since_block);
        inner.looked_ms = looked_ms;
    }

    /// Whether a channel is still as it was read: nothing happened to it until after `since_ms`.
    pub(super) fn vouches_for(&self, state: &ChannelState, since_ms: u64) -> bool {
        let inner = self.inner();
        let from_there = inner
            .since_block
            .is_some_and(|block| state.on_chain.block >= block);
        from_there && inner.looked_ms > since_ms && inner.seen.contains(&state.opening.channel)
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The newest blocks' events, which a reorganisation may still take back.
#[derive(Debug, Default)]
pub(super) struct Window {
    events: BTreeMap<Place, ChannelId>,
}

impl Window {
    /// Takes what was read of the blocks from `from_block` on, and says to which channels something
    /// happened, or did not happen after all, and in which block.
    pub(super) fn take(
        &mut self,
        from_block: u64,
        events: &[ChannelEvent],
    ) -> BTreeMap<ChannelId, u64> {
        let read: BTreeMap<Place, ChannelId> = events
            .iter()
            .map(|event| (event.place, super::ledger_id(event.channel)))
            .collect();
        let mut touched = BTreeMap::new();
        for (place, channel) in &read {
            if !self.events.contains_key(place) {
                let block = touched.entry(*channel).or_insert(place.block);
                *block = place.block.max(*block);
            }
        }
        for (place, channel) in &self.events {
            if place.block >= from_block && !read.contains_key(place) {
                touched.entry(*channel).or_insert(from_block);
            }
        }
        self.events = read;
        touched
    }

    /// Forgets that these channels' events were seen, because the channels could not be read: the next
    /// look finds them again.
    pub(super) fn forget(&mut self, channels: &BTreeSet<ChannelId>) {
        self.events.retain(|_, channel| !channels.contains(channel));
    }
}
