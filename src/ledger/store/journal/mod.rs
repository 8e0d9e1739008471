//! The journal in front of a slower store: two files of fixed size, written in turn, in which a
//! commit is durable after one write and one sync.
//!
//! A sync is cheap only where it has nothing to sync but the bytes themselves, so the files have
//! their length and their blocks before the first commit, and are overwritten from then on.

mod disk;
mod record;

pub(super) use disk::DiskFile;
pub(in crate::ledger) use record::{Life, Record};

use super::{Head, StoreError, Write};
use record::BLOCK;
use serde::{Deserialize, Serialize};

/// A file that a journal writes to.
pub(in crate::ledger) trait JournalFile:
    std::fmt::Debug + Send + 'static
{
    /// All that is in it; nothing when it is new.
    fn content(&self) -> std::io::Result<Vec<u8>>;

    /// Gives it this length, all of it written and synced once, and its name too; leaves one that
    /// has this length as it is.
    fn allocate(&mut self, length: usize) -> std::io::Result<()>;

    /// Overwrites a part of it.
    fn write(&mut self, bytes: &[u8], at: usize) -> std::io::Result<()>;

    /// Returns once all that was written is on the disk.
    fn sync(&mut self) -> std::io::Result<()>;
}

/// What the store behind the journal says of it, under a key of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::ledger) struct Mark {
    /// The opening that the records must be of.
    pub(in crate::ledger) life: Life,
    /// The first record that is not in the store yet.
    pub(in crate::ledger) next: u64,
    /// False once the store was closed with everything in it, or never had a journal: then the
    /// files say nothing.
    pub(in crate::ledger) open: bool,
}

/// Where the record that was prepared last can go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    /// Into the file at hand.
    Here,
    /// Into the other file only, once that is free.
    Other,
    /// Into no file.
    Nowhere,
}

/// The two files, and the record in hand.
pub(super) struct Journal<F> {
    file: F,
    other: F,
    capacity: usize,
    /// Where the next record goes.
    end: usize,
    life: Life,
    next: u64,
    record: Vec<u8>,
}

impl<F: JournalFile> Journal<F> {
    /// Makes two files ready for a new life; whatever they held is gone.
    pub(super) fn begin(files: [F; 2], life: Life, capacity: usize) -> Result<Self, StoreError> {
        let [mut file, mut other] = files;
        for (which, file) in [(0, &mut file), (1, &mut other)] {
            file.allocate(capacity).map_err(failed)?;
            let header = record::encode_header(life, which);
            file.write(&header, 0).map_err(failed)?;
            file.sync().map_err(failed)?;
        }
        Ok(Self {
            file,
            other,
            capacity,
            end: BLOCK,
            life,
            next: 0,
            record: Vec::new(),
        })
    }

    /// What the store must say while these files count, when everything written so far is in it.
    pub(super) const fn mark(&self) -> Mark {
        Mark {
            life: self.life,
            next: self.next,
            open: true,
        }
    }

    /// Prepares the next record and says where it can go.
    pub(super) fn prepare(&mut self, expected: Head, writes: &[Write]) -> Room {
        if !record::encode(&mut self.record, self.life, self.next, expected, writes) {
            return Room::Nowhere;
        }
        let fits = |from: usize| from.saturating_add(self.record.len()) <= self.capacity;
        match (fits(self.end), fits(BLOCK)) {
            (true, _) => Room::Here,
            (false, true) => Room::Other,
            (false, false) => Room::Nowhere,
        }
    }

    /// Whether half of the file at hand is written.
    pub(super) const fn half_full(&self) -> bool {
        self.end > self.capacity / 2
    }

    /// Goes on in the other file, of which no record may be needed any more.
    pub(super) fn turn(&mut self) {
        std::mem::swap(&mut self.file, &mut self.other);
        self.end = BLOCK;
    }

    /// Makes the prepared record durable; after a failure nothing may be written any more.
    pub(super) fn write(&mut self) -> Result<(), StoreError> {
        let full = || StoreError::Failed("the journal is full".to_owned());
        let end = self.end.checked_add(self.record.len());
        let end = end.filter(|end| *end <= self.capacity).ok_or_else(full)?;
        let next = self.next.checked_add(1).ok_or_else(full)?;
        self.file.write(&self.record, self.end).map_err(failed)?;
        self.file.sync().map_err(failed)?;
        (self.end, self.next) = (end, next);
        Ok(())
    }
}

impl<F> std::fmt::Debug for Journal<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Journal")
            .field("next", &self.next)
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}

/// The records that the store behind does not have yet, in order, out of what the two files hold.
/// A last record that is torn was acknowledged to nobody and is left out; anything else that is
/// not as it was written is refused.
pub(super) fn replay(contents: [&[u8]; 2], mark: &Mark) -> Result<Vec<Record>, StoreError> {
    for (which, content) in (0u64..).zip(contents) {
        if !record::has_header(content, mark.life, which) {
            return Err(StoreError::Failed(format!(
                "the ledger was not closed, and journal-{which} is missing or not this ledger's: events that were \
                 acknowledged are in it"
            )));
        }
    }
    let mut records = Vec::new();
    let mut next = mark.next;
    loop {
        let before = next;
        for content in contents {
            next = follow(content, mark.life, next, &mut records);
        }
        if next == before {
            break;
        }
    }
    // Each record was durable before the one after it was begun.
    if let Some(later) = contents.iter().find_map(|c| beyond(c, mark.life, next)) {
        return Err(StoreError::Failed(format!(
            "record {next} of the journal cannot be read, but record {later} was written after it"
        )));
    }
    Ok(records)
}

/// Reads the records from the beginning of a file if they go on from `next`; returns what is next then.
fn follow(content: &[u8], life: Life, mut next: u64, records: &mut Vec<Record>) -> u64 {
    let mut at = BLOCK;
    while let Some((record, length)) = content.get(at..).and_then(|c| record::decode(c, life)) {
        if record.number != next {
            break;
        }
        records.push(record);
        at = at.saturating_add(length);
        next = next.saturating_add(1);
    }
    next
}

/// The number of any record in a file that is `next` or later.
fn beyond(content: &[u8], life: Life, next: u64) -> Option<u64> {
    (BLOCK..content.len()).step_by(BLOCK).find_map(|at| {
        let (record, _) = record::decode(content.get(at..)?, life)?;
        (record.number >= next).then_some(record.number)
    })
}

#[expect(clippy::needless_pass_by_value, reason = "the shape map_err wants")]
fn failed(error: std::io::Error) -> StoreError {
    StoreError::Failed(format!("journal: {error}"))
}
