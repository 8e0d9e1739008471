use super::journal::{DiskFile, Life};
use super::journaled::{Aside, Base, Job, Journaled};
use super::table::{Found, begin};
use super::{Head, Pair, Reader, Store, StoreError, Write};
use std::fs::File;
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// sled writes up to about 17 neighbouring records as one item, and an item longer than a quarter of
/// this goes to a file of its own that sled never syncs. Records of [`super::RECORD_BYTES_MAX`] stay
/// well below that quarter.
const SEGMENT_BYTES: usize = 8 << 20;

/// So much of the store sled keeps in memory; its own default of 1 GiB is more than a small machine has.
const CACHE_BYTES: u64 = 64 << 20;

/// The length of each of the journal's two files.
const JOURNAL_BYTES: usize = 8 << 20;

/// How much longer than it works the thread that moves may rest, and for how long at most.
const RESTS: u32 = 3;
const REST_MAX: Duration = Duration::from_millis(50);

/// How often a store that is locked is tried again, and how long after.
const LOCK_TRIES: u32 = 40;
const LOCK_PAUSE: Duration = Duration::from_millis(25);

/// The embedded store: one sled tree behind a journal.
#[derive(Debug)]
pub struct SledStore(Journaled<Tree, DiskFile>);

impl SledStore {
    /// Opens or creates the store in the folder `path`; fails when another process holds it, or
    /// when a journal that was not emptied is missing or damaged.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let tree = Tree::open(path)?;
        let files = [
            DiskFile::open(path, "journal-0").map_err(failed)?,
            DiskFile::open(path, "journal-1").map_err(failed)?,
        ];
        let life = Life(rand::random());
        Journaled::open(tree, files, life, JOURNAL_BYTES).map(Self)
    }
}

impl Store for SledStore {
    fn commit(&mut self, expected: Head, writes: Vec<Write>) -> Result<(), StoreError> {
        self.0.commit(expected, writes)
    }

    fn reader(&self) -> Arc<dyn Reader + Send + Sync> {
        self.0.reader()
    }
}

impl Reader for SledStore {
    fn read(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.0.read(key)
    }

    fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Pair>, StoreError> {
        self.0.scan(prefix, after, limit)
    }
}

/// One sled tree, so that one list of writes is atomic.
#[derive(Clone)]
struct Tree {
    db: sled::Db,
    /// sled's own log file, opened a second time to sync it.
    log: Arc<File>,
}

impl Tree {
    fn open(path: &Path) -> Result<Self, StoreError> {
        let db = sled::Config::new()
            .path(path)
            // Its timer makes nothing durable that matters; whoever writes flushes too.
            .flush_every_ms(None)
            .mode(sled::Mode::HighThroughput)
            .cache_capacity(CACHE_BYTES)
            .segment_size(SEGMENT_BYTES);
        let db = patiently(|| db.open()).map_err(failed)?;
        let log = File::options()
            .read(true)
            .write(true)
            .open(path.join("db"))
            .map_err(failed)?;
        // The log file's own name must survive too.
        File::open(path)
            .and_then(|folder| folder.sync_all())
            .map_err(failed)?;
        Ok(Self {
            db,
            log: Arc::new(log),
        })
    }
}

/// Opens what another may hold for a moment still: sled's own threads let go of its lock a little after the
/// store that they worked for is closed.
#[expect(
    clippy::disallowed_methods,
    reason = "a store is opened once, before there are tasks that this could stop"
)]
fn patiently(open: impl Fn() -> sled::Result<sled::Db>) -> sled::Result<sled::Db> {
    for _ in 0..LOCK_TRIES {
        match open() {
            Err(error) if error.to_string().contains("could not acquire lock") => {
                std::thread::sleep(LOCK_PAUSE);
            }
            opened => return opened,
        }
    }
    open()
}

impl Base for Tree {
    fn read(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let value = self.db.get(key).map_err(failed)?;
        Ok(value.map(|value| value.to_vec()))
    }

    fn scan<'a>(
        &'a self,
        prefix: &'a [u8],
        after: Option<&'a [u8]>,
    ) -> impl Iterator<Item = Found> + 'a {
        self.db
            .range::<&[u8], _>((begin(prefix, after), Bound::Unbounded))
            .map(|pair| {
                let (key, value) = pair.map_err(failed)?;
                Ok((key.to_vec(), Some(value.to_vec())))
            })
            .take_while(move |pair| {
                pair.as_ref()
                    .map_or(true, |(key, _)| key.starts_with(prefix))
            })
    }

    fn put(&self, key: &[u8], value: Option<&[u8]>) -> Result<(), StoreError> {
        let before = match value {
            Some(value) => self.db.insert(key, value),
            None => self.db.remove(key),
        };
        before.map(drop).map_err(failed)
    }

    /// A batch is whole or not there; while it is applied, readers wait.
    fn write(&self, writes: Vec<Write>) -> Result<(), StoreError> {
        let mut batch = sled::Batch::default();
        for write in writes {
            match write {
                Write::Put { key, value } => batch.insert(key, value),
                Write::Delete { key } => batch.remove(key),
            }
        }
        self.db.apply_batch(batch).map_err(failed)
    }

    /// On Linux sled flushes with sync_file_range, which syncs neither the file's length nor the
    /// disk's cache: enough for a killed process, not for a power cut. fdatasync does both.
    fn sync(&self) -> Result<(), StoreError> {
        self.db.flush().map_err(failed)?;
        self.log.sync_data().map_err(failed)
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "it is the thread that moves, which no task runs on"
    )]
    fn rest(&self, worked: Duration) {
        std::thread::sleep(worked.saturating_mul(RESTS).min(REST_MAX));
    }

    fn aside(&self, job: Job) -> Result<Box<dyn Aside>, StoreError> {
        let thread = std::thread::Builder::new().name("ledger-move".to_owned());
        Ok(Box::new(thread.spawn(job).map_err(failed)?))
    }
}

impl Aside for JoinHandle<Result<(), StoreError>> {
    fn ended(&mut self) -> bool {
        self.is_finished()
    }

    fn wait(self: Box<Self>) -> Result<(), StoreError> {
        self.join()
            .unwrap_or_else(|_| Err(StoreError::Failed("sled panicked".to_owned())))
    }
}

impl std::fmt::Debug for Tree {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tree").finish_non_exhaustive()
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the shape map_err wants")]
fn failed<E: ToString>(error: E) -> StoreError {
    StoreError::Failed(error.to_string())
}
