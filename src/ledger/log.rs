//! The log of all events, each entry bound to the one before it by its hash.

use super::machine::{Digest32, EntityId, Event};
use super::store::Head;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use sha2::{Digest, Sha256};

/// What was recorded of one thing at once, as stored and exported: `hash` = SHA-256(prev ‖ seq as 8 bytes
/// big-endian ‖ id ‖ event text), where the texts are exactly the bytes of this record.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogEntry {
    /// The entry's number; the first is 1.
    pub seq: u64,
    /// The hash of the entry before it; zeros for the first.
    pub prev: Digest32,
    /// What it happened to.
    pub id: EntityId,
    /// The event's JSON text, or an array of them where several happened, in their order.
    pub event: Box<RawValue>,
    /// The entry's hash.
    pub hash: Digest32,
}

impl LogEntry {
    /// The entry that appends `events` after `head`; fails only at the end of all numbers.
    pub(super) fn after(head: Head, id: EntityId, events: &[Event]) -> Option<Self> {
        let event = match events {
            [event] => to_raw_value(event),
            several => to_raw_value(several),
        };
        let event = event.ok()?;
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

    /// The events, read from their text; fails on text no version of this program wrote.
    pub fn events(&self) -> Result<Vec<Event>, serde_json::Error> {
        let text = self.event.get();
        match text.starts_with('[') {
            true => serde_json::from_str(text),
            false => serde_json::from_str(text).map(|event| vec![event]),
        }
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
