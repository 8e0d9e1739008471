//! What is worth remembering and is no book: no log entry is made of it, and losing it costs no money.

use super::batch::Batch;
use super::error::LedgerError;
use super::keys;
use super::store::{Pair, RECORD_BYTES_MAX};

/// A note's name below its kind, and what it says; `None` forgets it.
pub type Note = (Vec<u8>, Option<Vec<u8>>);

impl Batch<'_> {
    /// Stages notes of one kind.
    pub(super) fn take_notes(&mut self, kind: &str, notes: Vec<Note>) -> Result<(), LedgerError> {
        self.writable()?;
        let long = |(_, note): &Note| note.as_ref().is_some_and(|n| n.len() > RECORD_BYTES_MAX);
        if notes.iter().any(long) {
            return Err(LedgerError::TooLarge);
        }
        for (name, note) in notes {
            let key = keys::note(kind, &name);
            match note {
                Some(note) => self.put(key, note),
                None => self.delete(key),
            }
        }
        Ok(())
    }

    /// All notes of one kind, by their names.
    pub(super) fn notes(&self, kind: &str) -> Result<Vec<Pair>, LedgerError> {
        let prefix = keys::note(kind, &[]);
        let found = self.scan(&prefix, usize::MAX)?.into_iter();
        let named = found.map(|(key, note)| {
            let name = key.get(prefix.len()..).unwrap_or_default().to_vec();
            (name, note)
        });
        Ok(named.collect())
    }
}
