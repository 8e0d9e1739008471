//! What commands do to the ledger, staged in memory until one commit makes all of it durable.

use super::draft::Draft;
use super::error::LedgerError;
use super::keys;
use super::log::LogEntry;
use super::machine::{CallId, CallState, ChannelId, ChannelState, EntityId, Event};
use super::recent::Remembered;
use super::store::{Head, Pair, RECORD_BYTES_MAX, Reader, StoreError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeSet;

/// How many pairs are asked of the store at a time.
const PAGE: usize = 1000;

/// Staged writes over a store. A command stages nothing until nothing can fail any more, so a
/// refused command leaves no trace in the batch it shares with others.
#[derive(Debug)]
pub(super) struct Batch<'a> {
    store: &'a dyn Reader,
    /// What is known without reading.
    recent: &'a Remembered,
    writable: bool,
    pub(super) draft: Draft,
}

/// Log entries to be staged.
#[derive(Debug)]
pub(super) struct Entries {
    head: Head,
    entries: Vec<Pair>,
}

impl Entries {
    /// Their numbers, in order.
    pub(super) fn numbers(&self) -> impl Iterator<Item = u64> {
        let first = self.head.seq.saturating_sub(self.entries.len() as u64);
        (first..self.head.seq).map(|before| before.saturating_add(1))
    }
}

/// What events change: the record of what they happened to, and those beside it.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) id: EntityId,
    pub(super) state: Vec<u8>,
    pub(super) open: bool,
    pub(super) beside: Vec<Pair>,
}

impl<'a> Batch<'a> {
    /// A batch that goes on with `draft`.
    pub(super) const fn new(
        store: &'a dyn Reader,
        recent: &'a Remembered,
        draft: Draft,
        writable: bool,
    ) -> Self {
        Self {
            store,
            recent,
            writable,
            draft,
        }
    }

    /// Everything that one of the newest `entries` log entries says was confirmed on chain.
    pub(super) fn confirmed_lately(&self, entries: u64) -> Result<BTreeSet<EntityId>, LedgerError> {
        let mut confirmed = BTreeSet::new();
        let mut after = self.draft.committed().seq.saturating_sub(entries);
        loop {
            let page = self.entries(after, PAGE)?;
            if page.is_empty() {
                return Ok(confirmed);
            }
            for (_, text) in page {
                let entry: LogEntry = decode(&text)?;
                let events = entry
                    .events()
                    .map_err(|e| LedgerError::Corrupt(e.to_string()))?;
                let is_confirmed = |event| matches!(event, &Event::SettlementConfirmed { .. });
                if events.iter().any(is_confirmed) {
                    confirmed.insert(entry.id);
                }
                after = entry.seq;
            }
        }
    }

    /// Up to `limit` committed log entries after number `after`, as their stored JSON texts.
    pub(super) fn entries(&self, after: u64, limit: usize) -> Result<Vec<Pair>, LedgerError> {
        let from = keys::log(after);
        self.noted(self.store.scan(keys::LOG, Some(&from), limit))
    }

    /// What is staged, to be committed or taken up again.
    pub(super) fn finish(self) -> Draft {
        self.draft
    }

    /// The store below, for walks over everything that is committed.
    pub(super) const fn committed_store(&self) -> &'a dyn Reader {
        self.store
    }

    /// Fails once the store has failed.
    pub(super) fn writable(&self) -> Result<(), LedgerError> {
        if self.writable && !self.draft.store_failed() {
            Ok(())
        } else {
            Err(LedgerError::Unavailable)
        }
    }

    /// A call's state.
    pub(super) fn call(&self, id: &CallId) -> Result<Option<CallState>, LedgerError> {
        let newer = self.draft.newer.call(id);
        match newer.map_or_else(|| self.recent.call(id), Clone::clone) {
            Some(state) => Ok(Some(state)),
            None => self.recorded_call(id),
        }
    }

    /// A channel's account.
    pub(super) fn channel(&self, id: &ChannelId) -> Result<Option<ChannelState>, LedgerError> {
        let newer = self.draft.newer.channel(id);
        match newer.map_or_else(|| self.recent.channel(id), Clone::clone) {
            Some(state) => Ok(Some(state)),
            None => self.read(&keys::state(&EntityId::Channel(*id))),
        }
    }

    /// Reads a JSON record, staged or stored.
    pub(super) fn read<T: DeserializeOwned>(&self, key: &[u8]) -> Result<Option<T>, LedgerError> {
        self.bytes_of(key)?.map(|bytes| decode(&bytes)).transpose()
    }

    /// Reads a value, staged or stored.
    pub(super) fn bytes_of(&self, key: &[u8]) -> Result<Option<Vec<u8>>, LedgerError> {
        match self.draft.get(key) {
            Some(staged) => Ok(staged.clone()),
            None => self.noted(self.store.read(key)),
        }
    }

    /// Up to `limit` pairs under `prefix` in key order, as if the batch were committed.
    pub(super) fn scan(&self, prefix: &[u8], limit: usize) -> Result<Vec<Pair>, LedgerError> {
        let mut found = self.draft.present(prefix);
        let mut after: Option<Vec<u8>> = None;
        let mut stored = 0;
        while stored < limit {
            let page = self.noted(self.store.scan(prefix, after.as_deref(), PAGE))?;
            let Some((last, _)) = page.last() else { break };
            after = Some(last.clone());
            for (key, value) in page {
                if self.draft.get(&key).is_none() {
                    stored += 1;
                    found.insert(key, value);
                }
            }
        }
        Ok(found.into_iter().take(limit).collect())
    }

    /// Stages a value; only after everything that can fail.
    pub(super) fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.draft.put(key, Some(value));
    }

    /// Stages a deletion; only after everything that can fail.
    pub(super) fn delete(&mut self, key: Vec<u8>) {
        self.draft.put(key, None);
    }

    /// The log entries that tell of these events: one of them all, or one of each if that would be too long.
    pub(super) fn logged(&self, id: EntityId, events: &[Event]) -> Result<Entries, LedgerError> {
        let together = self.logged_by(id, events, events.len())?;
        let long = |(_, entry): &Pair| entry.len() > RECORD_BYTES_MAX;
        match events.len() > 1 && together.entries.iter().any(long) {
            true => self.logged_by(id, events, 1),
            false => Ok(together),
        }
    }

    /// The same, with so many events in each.
    fn logged_by(
        &self,
        id: EntityId,
        events: &[Event],
        each: usize,
    ) -> Result<Entries, LedgerError> {
        let mut head = self.draft.head;
        let mut entries = Vec::new();
        for events in events.chunks(each.max(1)) {
            let entry = LogEntry::after(head, id, events)
                .ok_or_else(|| LedgerError::Corrupt("the event has no JSON form".to_owned()))?;
            head = entry.head();
            entries.push((keys::log(entry.seq), encode(&entry)?));
        }
        Ok(Entries { head, entries })
    }

    /// Stages an event and everything that it changes, or nothing.
    pub(super) fn append_event(
        &mut self,
        event: &Event,
        change: Change,
    ) -> Result<(), LedgerError> {
        let logged = self.logged(change.id, std::slice::from_ref(event))?;
        self.append(logged, change)
    }

    /// Stages log entries and everything that they change, or nothing.
    pub(super) fn append(&mut self, logged: Entries, change: Change) -> Result<(), LedgerError> {
        let Entries { head, entries } = logged;
        let Change {
            id,
            state,
            open,
            beside,
        } = change;
        let long = |record: &Vec<u8>| record.len() > RECORD_BYTES_MAX;
        let mut records = entries.iter().chain(&beside).map(|(_, value)| value);
        if long(&state) || records.any(long) {
            return Err(LedgerError::TooLarge);
        }
        self.draft.head = head;
        self.draft.newer.let_go(&id);
        self.put(keys::state(&id), state);
        if open {
            self.put(keys::open(&id), Vec::new());
        } else {
            self.delete(keys::open(&id));
        }
        for (key, value) in entries.into_iter().chain(beside) {
            self.put(key, value);
        }
        Ok(())
    }

    /// Everything whose entry in the open index begins with `prefix`, in id order, by what reads one.
    pub(super) fn open_states<T>(
        &self,
        prefix: &[u8],
        read: impl Fn(&EntityId) -> Result<Option<T>, LedgerError>,
    ) -> Result<Vec<T>, LedgerError> {
        let nothing = || LedgerError::Corrupt("the open index names nothing".to_owned());
        let pairs = self.scan(prefix, usize::MAX)?;
        let states = pairs.iter().map(|(key, _)| {
            let id = std::str::from_utf8(key.get(keys::OPEN.len()..).unwrap_or_default());
            let id = id.ok().and_then(|id| id.parse::<EntityId>().ok());
            read(&id.ok_or_else(nothing)?)?.ok_or_else(nothing)
        });
        states.collect()
    }

    /// Takes the store as failed: nothing more is written.
    pub(super) fn fail(&self) {
        self.draft.fail();
    }

    fn noted<T>(&self, result: Result<T, StoreError>) -> Result<T, LedgerError> {
        result.map_err(|error| {
            tracing::error!(%error, "the ledger cannot read and takes no more calls");
            self.fail();
            LedgerError::Unavailable
        })
    }
}

pub(super) fn encode<T: Serialize>(record: &T) -> Result<Vec<u8>, LedgerError> {
    serde_json::to_vec(record).map_err(|e| LedgerError::Corrupt(e.to_string()))
}

pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, LedgerError> {
    serde_json::from_slice(bytes).map_err(|e| LedgerError::Corrupt(e.to_string()))
}
