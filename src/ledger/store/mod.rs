//! The narrow door to a disk: append writes if the expected head still stands, read by key, scan.

pub(super) mod journal;
pub(super) mod journaled;
mod memory;
mod sled;
pub(super) mod table;

pub use self::sled::SledStore;
pub use memory::{MemoryDisk, MemoryFault, MemoryStore};

use crate::ledger::machine::Digest32;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The longest value a ledger writes.
pub(super) const RECORD_BYTES_MAX: usize = 64 << 10;

/// The end of the event log: the newest entry's number and hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The newest entry's number; 0 when there is none.
    pub seq: u64,
    /// The newest entry's hash; all zeros when there is none.
    pub hash: Digest32,
}

impl Head {
    /// The head of an empty log.
    pub const EMPTY: Self = Self {
        seq: 0,
        hash: Digest32::from_bytes([0; 32]),
    };

    /// The key a store keeps the head's JSON under; every commit that appends writes it.
    pub const KEY: &'static [u8] = b"h";

    /// Reads a stored head; nothing stored is the empty head.
    pub fn decode(stored: Option<&[u8]>) -> Result<Self, StoreError> {
        stored.map_or(Ok(Self::EMPTY), |bytes| {
            serde_json::from_slice(bytes).map_err(|e| StoreError::Failed(format!("head: {e}")))
        })
    }
}

/// One change of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// The key gets this value.
    Put {
        /// The key.
        key: Vec<u8>,
        /// Its new value.
        value: Vec<u8>,
    },
    /// The key goes.
    Delete {
        /// The key.
        key: Vec<u8>,
    },
}

/// A key and its value.
pub type Pair = (Vec<u8>, Vec<u8>);

/// Why a store did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Another writer has appended since; nothing was written.
    #[error("the log's head has moved: another process writes to this ledger")]
    Conflict,
    /// The disk failed; whether the writes will be found after a restart is unknown.
    #[error("the store failed: {0}")]
    Failed(String),
}

/// Where a ledger lives. One writer owns it; what it returned is what a crash leaves behind.
pub trait Store: Reader + Send {
    /// Makes all writes durable before returning, or none of them visible after a restart. Fails
    /// with [`StoreError::Conflict`] when the stored head is not `expected`; any other failure
    /// leaves the outcome unknown until the store is opened again.
    fn commit(&mut self, expected: Head, writes: Vec<Write>) -> Result<(), StoreError>;

    /// The same store for those who only read, beside its writer; it is open until both are gone.
    fn reader(&self) -> Arc<dyn Reader + Send + Sync>;
}

/// What can be read of a store: nothing that a crash could still undo.
pub trait Reader: std::fmt::Debug + 'static {
    /// The value of a key.
    fn read(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// Up to `limit` pairs whose keys begin with `prefix`, in key order, after the key `after`.
    fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Pair>, StoreError>;
}
