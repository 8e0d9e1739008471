//! The log of all events, each entry bound to the one before it by its hash.

use super::machine::{Digest32, EntityId, Event};
use super::store::Head;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

/// One event as stored and exported: `hash` = SHA-256(prev ‖ seq as 8 bytes big-endian ‖ id ‖ event
/// text), where the texts are exactly the bytes of this record.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogEntry {
    /// The entry's number; the first is 1.
    pub seq: u64,
    /// The hash of the entry before it; zeros for the first.
    pub prev: Digest32,
    /// The call or withdrawal the event happened to.
    pub id: EntityId,
    /// The event's JSON text.
    pub event: Box<RawValue>,
    /// The entry's hash.
    pub hash: Digest32,
}

impl LogEntry {
    /// The entry that appends `event` after `head`; fails only at the end of all numbers.
    pub(super) fn after(head: Head, id: EntityId, event: &Event) -> Option<Self> {
        let event = serde_json::value::to_raw_value(event).ok()?;
        let seq = head.seq.checked_add(1)?;
        Some(Self {
            seq,
            prev: head.hash,
            id,
            hash: hash(&head.hash, seq, &id, event.get()),
            event,
        })
    }

    /// The head once this entry is the newest.
    pub const fn head(&self) -> Head {
        Head {
            seq: self.seq,
            hash: self.hash,
        }
    }

    /// The hash this entry should have, computed from its content.
    pub fn computed_hash(&self) -> Digest32 {
        hash(&self.prev, self.seq, &self.id, self.event.get())
    }

    /// The event, read from its text; fails on text no version of this program wrote.
    pub fn parsed(&self) -> Result<Event, serde_json::Error> {
        serde_json::from_str(self.event.get())
    }
}

fn hash(prev: &Digest32, seq: u64, id: &EntityId, event: &str) -> Digest32 {
    let mut sha = Sha256::new();
    sha.update(prev.as_bytes());
    sha.update(seq.to_be_bytes());
    sha.update(id.to_string().as_bytes());
    sha.update(event.as_bytes());
    Digest32::from_bytes(sha.finalize().into())
}
