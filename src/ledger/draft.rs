//! What a batch has staged, free of the store it is made over: it can be laid aside, taken up again, and
//! committed.

use super::recent::Recent;
use super::store::{Head, Write};
use std::cell::Cell;
use std::collections::BTreeMap;

/// Staged writes, and what they make of the log's head and of the writer's memory.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) newer: Recent,
    pub(super) head: Head,
    committed: Head,
    staged: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    bytes: usize,
    store_failed: Cell<bool>,
}

impl Draft {
    /// An empty one after `head`.
    pub(super) fn after(head: Head) -> Self {
        Self {
            newer: Recent::default(),
            head,
            committed: head,
            staged: BTreeMap::new(),
            bytes: 0,
            store_failed: Cell::new(false),
        }
    }

    /// The log's head that is committed.
    pub(super) const fn committed(&self) -> Head {
        self.committed
    }

    /// How many bytes are staged.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// What is staged under a key, none where it is deleted; nothing where nothing is.
    pub(super) fn get(&self, key: &[u8]) -> Option<&Option<Vec<u8>>> {
        self.staged.get(key)
    }

    /// Everything staged under a prefix that is not deleted.
    pub(super) fn present(&self, prefix: &[u8]) -> BTreeMap<Vec<u8>, Vec<u8>> {
        self.staged
            .range(prefix.to_vec()..)
            .take_while(|(key, _)| key.starts_with(prefix))
            .filter_map(|(key, value)| Some((key.clone(), value.clone()?)))
            .collect()
    }

    /// Stages a value, or a deletion.
    pub(super) fn put(&mut self, key: Vec<u8>, value: Option<Vec<u8>>) {
        let length = value.as_ref().map_or(0, Vec::len);
        self.bytes = self.bytes.saturating_add(key.len()).saturating_add(length);
        self.staged.insert(key, value);
    }

    /// Takes the store as failed: nothing more is written.
    pub(super) fn fail(&self) {
        self.store_failed.set(true);
    }

    /// Whether the store has failed meanwhile.
    pub(super) fn store_failed(&self) -> bool {
        self.store_failed.get()
    }

    /// What goes to the store, the head last; and what the writer remembers then.
    pub(super) fn into_writes(self) -> (Vec<Write>, Recent) {
        let staged = self.staged.into_iter();
        let mut writes: Vec<Write> = staged
            .map(|(key, value)| match value {
                Some(value) => Write::Put { key, value },
                None => Write::Delete { key },
            })
            .collect();
        if self.head != self.committed {
            // Two hashes and a number: this cannot fail to become JSON.
            let value = serde_json::to_vec(&self.head).unwrap_or_default();
            let key = Head::KEY.to_vec();
            writes.push(Write::Put { key, value });
        }
        (writes, self.newer)
    }
}
