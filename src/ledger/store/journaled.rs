//! A store that takes its time, made durable at once by a journal in front of it.
//!
//! A commit is written to the journal, synced, and kept in a table in memory. When a file of the
//! journal is full, the next commits go to the other one, and the table moves into the store behind
//! while they do; then the full file may be overwritten. So reads look at the new table, the moving
//! one and the store, and a start puts the journal's records into the store before anything else.

use super::journal::{Journal, JournalFile, Life, Mark, Room, replay};
use super::table::{Found, Table, over, present};
use super::{Head, Pair, Reader, Store, StoreError, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

/// The key that the store behind keeps the journal's [`Mark`] under.
const MARK: &[u8] = b"j";

/// So much goes into the store behind between two syncs of it, at leisure and in a hurry. sled overwrites a
/// freed segment once two more are full, and must have synced by then what was moved out of it: see ADR 1.
/// The journal's own syncs wait behind these, so they are kept short.
const LEISURELY_BYTES: usize = 64 << 10;
const HURRIED_BYTES: usize = 256 << 10;

/// The store behind a journal. Clones are one store.
pub(in crate::ledger) trait Base:
    std::fmt::Debug + Clone + Send + Sync + 'static
{
    /// The value of a key.
    fn read(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// The pairs whose keys begin with `prefix`, in key order, after the key `after`.
    fn scan<'a>(
        &'a self,
        prefix: &'a [u8],
        after: Option<&'a [u8]>,
    ) -> impl Iterator<Item = Found> + 'a;

    /// Makes one value visible, or none; readers go on meanwhile.
    fn put(&self, key: &[u8], value: Option<&[u8]>) -> Result<(), StoreError>;

    /// Makes the writes visible: all of them, or after a crash maybe none.
    fn write(&self, writes: Vec<Write>) -> Result<(), StoreError>;

    /// Returns once everything written is on the disk.
    fn sync(&self) -> Result<(), StoreError>;

    /// Leaves disk and processors to others for a while, after so much work.
    fn rest(&self, worked: Duration);

    /// Starts something that takes its time.
    fn aside(&self, job: Job) -> Result<Box<dyn Aside>, StoreError>;
}

/// Something that takes its time.
pub(in crate::ledger) type Job = Box<dyn FnOnce() -> Result<(), StoreError> + Send>;

/// Such a thing under way.
pub(in crate::ledger) trait Aside: std::fmt::Debug + Send {
    /// Whether it has ended.
    fn ended(&mut self) -> bool;

    /// Waits for its end.
    fn wait(self: Box<Self>) -> Result<(), StoreError>;
}

/// A [`Base`] behind a [`Journal`].
#[derive(Debug)]
pub(in crate::ledger) struct Journaled<B: Base, F: JournalFile> {
    seen: Seen<B>,
    journal: Journal<F>,
    head: Head,
    moving: Option<Box<dyn Aside>>,
    /// Set while what moves is waited for.
    hurry: Arc<AtomicBool>,
    failed: Option<StoreError>,
}

/// What is read of it, by its writer and by others beside it. Clones see the same.
#[derive(Debug, Clone)]
struct Seen<B> {
    base: B,
    newer: Arc<RwLock<Newer>>,
}

/// What is durable in the journal, and not in the store behind yet.
#[derive(Debug, Default)]
struct Newer {
    table: Table,
    /// An older table, on its way there.
    moving: Option<Arc<Table>>,
}

impl<B: Base, F: JournalFile> Journaled<B, F> {
    /// Takes up what is in the files, if the store was not closed, and begins a new life in them.
    pub(in crate::ledger) fn open(
        base: B,
        mut files: [F; 2],
        life: Life,
        capacity: usize,
    ) -> Result<Self, StoreError> {
        // What the store says now it must say after a power cut too, before a file is written over.
        base.sync()?;
        let mut head = Head::decode(base.read(Head::KEY)?.as_deref())?;
        if let Some(mark) = mark_of(&base)?.filter(|mark| mark.open) {
            let [first, second] = &mut files;
            let (first, second) = (firm(first)?, firm(second)?);
            let records = replay([&first, &second], &mark)?;
            let mut table = Table::default();
            for record in records {
                if record.expected != head {
                    return Err(StoreError::Failed(
                        "the journal does not go on from where the store ends".to_owned(),
                    ));
                }
                head = head_after(&record.writes)?.unwrap_or(head);
                table.apply(record.writes);
            }
            move_into(
                &base,
                &table,
                Mark {
                    open: false,
                    ..mark
                },
                &AtomicBool::new(true),
            )?;
        }
        let journal = Journal::begin(files, life, capacity)?;
        write_mark(&base, Vec::new(), journal.mark())?;
        let newer = Arc::default();
        Ok(Self {
            seen: Seen { base, newer },
            journal,
            head,
            moving: None,
            hurry: Arc::default(),
            failed: None,
        })
    }

    fn write(&mut self, expected: Head, writes: Vec<Write>) -> Result<(), StoreError> {
        if self.moving.as_mut().is_some_and(|aside| aside.ended()) {
            self.moved()?;
        }
        if self.moving.is_some() && self.journal.half_full() {
            self.hurry.store(true, Ordering::Relaxed);
        }
        let head = head_after(&writes)?.unwrap_or(self.head);
        match self.journal.prepare(expected, &writes) {
            Room::Here => {}
            Room::Other => self.turn()?,
            Room::Nowhere => {
                self.turn()?;
                self.moved()?;
                // Nobody reads what is not on the disk yet.
                let _unread = self.seen.newer_mut();
                self.seen.base.write(writes)?;
                self.seen.base.sync()?;
                self.head = head;
                return Ok(());
            }
        }
        self.journal.write()?;
        self.seen.newer_mut().table.apply(writes);
        self.head = head;
        Ok(())
    }

    /// Lets the table move, and goes on in the other file.
    fn turn(&mut self) -> Result<(), StoreError> {
        self.moved()?;
        let moving = {
            let mut newer = self.seen.newer_mut();
            let table = Arc::new(std::mem::take(&mut newer.table));
            newer.moving = Some(Arc::clone(&table));
            table
        };
        let (base, mark) = (self.seen.base.clone(), self.journal.mark());
        self.hurry.store(false, Ordering::Relaxed);
        let hurry = Arc::clone(&self.hurry);
        let job = Box::new(move || move_into(&base, &moving, mark, &hurry));
        self.moving = Some(self.seen.base.aside(job)?);
        self.journal.turn();
        Ok(())
    }

    /// Waits until nothing moves.
    fn moved(&mut self) -> Result<(), StoreError> {
        if let Some(aside) = self.moving.take() {
            self.hurry.store(true, Ordering::Relaxed);
            aside.wait()?;
            self.seen.newer_mut().moving = None;
        }
        Ok(())
    }

    fn close(&mut self) -> Result<(), StoreError> {
        self.moved()?;
        if self.failed.is_some() {
            return Ok(());
        }
        let mark = Mark {
            open: false,
            ..self.journal.mark()
        };
        let hurry = AtomicBool::new(true);
        move_into(&self.seen.base, &self.seen.newer().table, mark, &hurry)
    }
}

impl<B: Base, F: JournalFile> Store for Journaled<B, F> {
    fn commit(&mut self, expected: Head, writes: Vec<Write>) -> Result<(), StoreError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        if expected != self.head {
            return Err(StoreError::Conflict);
        }
        let result = self.write(expected, writes);
        self.failed = result.clone().err();
        result
    }

    fn reader(&self) -> Arc<dyn Reader + Send + Sync> {
        Arc::new(self.seen.clone())
    }
}

impl<B: Base, F: JournalFile> Reader for Journaled<B, F> {
    fn read(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.seen.read(key)
    }

    fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Pair>, StoreError> {
        self.seen.scan(prefix, after, limit)
    }
}

impl<B> Seen<B> {
    fn newer(&self) -> RwLockReadGuard<'_, Newer> {
        self.newer.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn newer_mut(&self) -> RwLockWriteGuard<'_, Newer> {
        self.newer.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<B: Base> Reader for Seen<B> {
    /// What is in neither table is in the store behind already, and stays there: so that may take its
    /// time without holding up the writer.
    fn read(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let known = {
            let newer = self.newer();
            let mut tables = std::iter::once(&newer.table).chain(newer.moving.as_deref());
            tables.find_map(|table| table.get(key)).cloned()
        };
        known.map_or_else(|| self.base.read(key), Ok)
    }

    fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Pair>, StoreError> {
        let newer = self.newer();
        let moving = newer.moving.iter();
        let moving = moving.flat_map(|table| table.scan(prefix, after));
        let found = over(moving, self.base.scan(prefix, after));
        let found = over(newer.table.scan(prefix, after), found);
        present(found).take(limit).collect()
    }
}

/// The files count until the store is closed, so a store that is only dropped is closed too.
impl<B: Base, F: JournalFile> Drop for Journaled<B, F> {
    fn drop(&mut self) {
        if let Err(error) = self.close() {
            tracing::error!(%error, "the ledger's journal is taken up at the next start");
        }
    }
}

/// Puts a table into the store, and then says that it is there. Until that is said the whole table
/// is put in again after a crash, so it does not matter which part of it was found there. Unless it is
/// told to hurry it rests between its syncs, so that commits meanwhile hardly notice.
fn move_into<B: Base>(
    base: &B,
    table: &Table,
    mark: Mark,
    hurry: &AtomicBool,
) -> Result<(), StoreError> {
    // The head says how far the records have come, so it goes with the mark, which says it too.
    let head = table.get(Head::KEY).cloned().flatten();
    let head = head.map(|value| Write::Put {
        key: Head::KEY.to_vec(),
        value,
    });
    let mut bytes: usize = 0;
    let mut since = Instant::now();
    for (key, value) in table.iter().filter(|(key, _)| *key != Head::KEY) {
        let value = value.as_deref();
        base.put(key, value)?;
        let value = value.map_or(0, <[u8]>::len);
        bytes = bytes.saturating_add(key.len()).saturating_add(value);
        let hurried = hurry.load(Ordering::Relaxed);
        let enough = match hurried {
            true => HURRIED_BYTES,
            false => LEISURELY_BYTES,
        };
        if !hurried {
            // A thread that only computes keeps its processor for milliseconds, whoever else wants it.
            std::thread::yield_now();
        }
        if bytes >= enough {
            base.sync()?;
            bytes = 0;
            if !hurried {
                base.rest(since.elapsed());
            }
            since = Instant::now();
        }
    }
    if bytes > 0 {
        base.sync()?;
    }
    write_mark(base, head.into_iter().collect(), mark)
}

fn write_mark<B: Base>(base: &B, mut writes: Vec<Write>, mark: Mark) -> Result<(), StoreError> {
    writes.push(Write::Put {
        key: MARK.to_vec(),
        value: serde_json::to_vec(&mark).map_err(unreadable)?,
    });
    base.write(writes)?;
    base.sync()
}

fn mark_of<B: Base>(base: &B) -> Result<Option<Mark>, StoreError> {
    let mark = base.read(MARK)?;
    mark.map(|mark| serde_json::from_slice(&mark).map_err(unreadable))
        .transpose()
}

fn head_after(writes: &[Write]) -> Result<Option<Head>, StoreError> {
    let head = writes.iter().rev().find_map(|write| match write {
        Write::Put { key, value } if key == Head::KEY => Some(value),
        _ => None,
    });
    head.map(|head| Head::decode(Some(head))).transpose()
}

/// What a file holds, made sure of: what is read may never have come to the disk if the process that
/// wrote it was killed or its sync failed, and a file that is only synced again may not come there.
fn firm<F: JournalFile>(file: &mut F) -> Result<Vec<u8>, StoreError> {
    let content = file.content();
    let written = content.and_then(|content| {
        file.write(&content, 0)?;
        file.sync()?;
        Ok(content)
    });
    written.map_err(|error| StoreError::Failed(format!("journal: {error}")))
}

#[expect(clippy::needless_pass_by_value, reason = "the shape map_err wants")]
fn unreadable(error: serde_json::Error) -> StoreError {
    StoreError::Failed(format!("the journal's mark: {error}"))
}
