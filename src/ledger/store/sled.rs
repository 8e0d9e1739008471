use super::{Head, Pair, Store, StoreError, Write};
use std::fs::File;
use std::ops::Bound;
use std::path::Path;

/// sled writes up to about 17 neighbouring records as one item, and an item longer than a quarter of
/// this goes to a file of its own that sled never syncs. Records of [`super::RECORD_BYTES_MAX`] stay
/// well below that quarter.
const SEGMENT_BYTES: usize = 8 << 20;

/// The embedded store: one sled tree, so that one batch of writes is atomic.
pub struct SledStore {
    db: sled::Db,
    /// sled's own log file, opened a second time to sync it (see [`SledStore::commit`]).
    log: File,
}

impl SledStore {
    /// Opens or creates the store in the folder `path`; fails when another process holds it.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let db = sled::Config::new()
            .path(path)
            // Its timer makes nothing durable that a commit has not; every commit flushes itself.
            .flush_every_ms(None)
            .mode(sled::Mode::HighThroughput)
            .segment_size(SEGMENT_BYTES)
            .open()
            .map_err(failed)?;
        let log = File::options()
            .read(true)
            .write(true)
            .open(path.join("db"))
            .map_err(failed)?;
        let mut store = Self { db, log };
        store.sync()?;
        // The log file's own name must survive too.
        File::open(path)
            .and_then(|folder| folder.sync_all())
            .map_err(failed)?;
        Ok(store)
    }

    /// On Linux sled flushes with sync_file_range, which syncs neither the file's length nor the
    /// disk's cache: enough for a killed process, not for a power cut. fdatasync does both.
    fn sync(&mut self) -> Result<(), StoreError> {
        self.db.flush().map_err(failed)?;
        self.log.sync_data().map_err(failed)
    }
}

impl Store for SledStore {
    fn commit(&mut self, expected: Head, writes: Vec<Write>) -> Result<(), StoreError> {
        if Head::decode(self.read(Head::KEY)?.as_deref())? != expected {
            return Err(StoreError::Conflict);
        }
        let mut batch = sled::Batch::default();
        for write in writes {
            match write {
                Write::Put { key, value } => batch.insert(key, value),
                Write::Delete { key } => batch.remove(key),
            }
        }
        self.db.apply_batch(batch).map_err(failed)?;
        self.sync()
    }

    fn read(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self
            .db
            .get(key)
            .map_err(failed)?
            .map(|value| value.to_vec()))
    }

    fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Pair>, StoreError> {
        let from = after.map_or(Bound::Included(prefix), Bound::Excluded);
        self.db
            .range::<&[u8], _>((from, Bound::Unbounded))
            .take_while(|pair| {
                pair.as_ref()
                    .map_or(true, |(key, _)| key.starts_with(prefix))
            })
            .take(limit)
            .map(|pair| {
                let (key, value) = pair.map_err(failed)?;
                Ok((key.to_vec(), value.to_vec()))
            })
            .collect()
    }
}

impl std::fmt::Debug for SledStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SledStore").finish_non_exhaustive()
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the shape map_err wants")]
fn failed<E: ToString>(error: E) -> StoreError {
    StoreError::Failed(error.to_string())
}
