//! The ledger without its thread: begin a batch, let commands stage their writes, commit it.

use super::batch::Batch;
use super::draft::Draft;
use super::error::{LedgerError, OpenError};
use super::keys;
use super::log::LogEntry;
use super::recent::Remembered;
use super::store::{Head, Reader, Store, StoreError};
use std::sync::{Arc, Weak};

/// How many of the newest log entries are checked at every start.
const TAIL_ENTRIES: u64 = 1024;

/// The store, the log's head, and whether the store can still be trusted with writes.
#[derive(Debug)]
pub(super) struct Book {
    store: Box<dyn Store>,
    reader: Arc<dyn Reader + Send + Sync>,
    head: Head,
    recent: Remembered,
    healthy: bool,
}

impl Book {
    /// Opens the ledger kept in `store`; fails when the end of its log does not hang together.
    pub(super) fn open(store: Box<dyn Store>) -> Result<Self, OpenError> {
        let head = Head::decode(store.read(Head::KEY)?.as_deref())?;
        check_tail(store.as_ref(), head)?;
        Ok(Self {
            reader: store.reader(),
            store,
            head,
            recent: Remembered::default(),
            healthy: true,
        })
    }

    /// A view that commands read from and stage writes into, each seeing those before it.
    pub(super) fn begin(&self) -> Batch<'_> {
        self.resume(self.draft())
    }

    /// What a batch begins with.
    pub(super) fn draft(&self) -> Draft {
        Draft::after(self.head)
    }

    /// The same, going on with what is staged.
    pub(super) fn resume(&self, draft: Draft) -> Batch<'_> {
        let store = self.store.as_ref();
        Batch::new(store, &self.recent, draft, self.healthy)
    }

    /// Makes everything staged durable at once. After a failure nothing is written any more: what
    /// is on disk is then unknown, and only opening the ledger again can tell.
    pub(super) fn commit(&mut self, draft: Draft) -> Result<(), LedgerError> {
        if draft.store_failed() {
            self.healthy = false;
        }
        let head = draft.head;
        let (writes, recent) = draft.into_writes();
        if writes.is_empty() {
            return Ok(());
        }
        if !self.healthy {
            return Err(LedgerError::Unavailable);
        }
        match self.store.commit(self.head, writes) {
            Ok(()) => {
                self.head = head;
                self.recent.take(recent);
                Ok(())
            }
            Err(error) => {
                tracing::error!(%error, "the ledger cannot write and takes no more calls");
                self.healthy = false;
                Err(LedgerError::Unavailable)
            }
        }
    }

    /// The store for those who only read, for as long as the book is open.
    pub(super) fn reader(&self) -> Weak<dyn Reader + Send + Sync> {
        Arc::downgrade(&self.reader)
    }

    /// What is known of the store without reading it.
    pub(super) fn remembered(&self) -> Remembered {
        self.recent.clone()
    }

    /// Whether holds are taken.
    pub(super) const fn healthy(&self) -> bool {
        self.healthy
    }
}

fn check_tail(store: &dyn Reader, head: Head) -> Result<(), OpenError> {
    let broken = |seq, what: &str| OpenError::Broken {
        seq,
        what: what.to_owned(),
    };
    let beyond = store.scan(keys::LOG, Some(&keys::log(head.seq)), 1)?;
    if !beyond.is_empty() {
        return Err(broken(head.seq, "entries follow the recorded end"));
    }
    let mut expected = head;
    for seq in (1..=head.seq).rev().take(TAIL_ENTRIES as usize) {
        let stored = store
            .read(&keys::log(seq))?
            .ok_or_else(|| broken(seq, "missing"))?;
        let entry: LogEntry =
            serde_json::from_slice(&stored).map_err(|e| broken(seq, &e.to_string()))?;
        if entry.head() != expected || entry.computed_hash() != entry.hash {
            return Err(broken(seq, "the hash does not match"));
        }
        expected = Head {
            seq: seq - 1,
            hash: entry.prev,
        };
    }
    if expected.seq == 0 && expected != Head::EMPTY {
        return Err(broken(1, "the first entry follows another"));
    }
    Ok(())
}

impl From<StoreError> for LedgerError {
    fn from(_: StoreError) -> Self {
        Self::Unavailable
    }
}
