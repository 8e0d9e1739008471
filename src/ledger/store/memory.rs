use super::{Head, Pair, Reader, Store, StoreError, Write};
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a coming commit of a [`MemoryStore`] shall suffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemoryFault {
    /// The disk refuses the write (full, read-only): nothing is written, the process lives on.
    Refuse,
    /// The power goes before the sync: the writes were seen by nobody and are gone.
    CrashBeforeSync,
    /// The power goes after the sync: the writes stand, but nobody was told.
    CrashAfterSync,
}

/// A pretended disk that outlives the stores opened on it, as a real one outlives a process.
#[derive(Debug, Clone, Default)]
pub struct MemoryDisk(Arc<Mutex<Platter>>);

#[derive(Debug, Default)]
struct Platter {
    durable: BTreeMap<Vec<u8>, Vec<u8>>,
    faults: BTreeMap<u64, MemoryFault>,
    commits: u64,
    generation: u64,
}

impl MemoryDisk {
    /// An empty disk.
    pub fn new() -> Self {
        Self::default()
    }

    /// Opens the disk; every store opened on it before is dead from now on.
    pub fn open(&self) -> MemoryStore {
        let mut platter = self.lock();
        platter.generation = platter.generation.wrapping_add(1);
        MemoryStore {
            disk: self.clone(),
            generation: platter.generation,
            crashed: Arc::default(),
        }
    }

    /// Lets the commit after `commits` more of them suffer `fault`.
    pub fn fault_after(&self, commits: u64, fault: MemoryFault) {
        let mut platter = self.lock();
        let at = platter.commits.wrapping_add(commits);
        platter.faults.insert(at, fault);
    }

    /// Changes a stored value behind the ledger's back, as failing hardware would.
    pub fn tamper(&self, key: &[u8], change: impl FnOnce(&mut Vec<u8>)) -> bool {
        self.lock().durable.get_mut(key).map(change).is_some()
    }

    /// How many commits were tried.
    pub fn commits(&self) -> u64 {
        self.lock().commits
    }

    fn lock(&self) -> MutexGuard<'_, Platter> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A store on a [`MemoryDisk`]: for tests, simulations and trying the proxy without a disk.
#[derive(Debug, Clone)]
pub struct MemoryStore {
    disk: MemoryDisk,
    generation: u64,
    crashed: Arc<AtomicBool>,
}

impl MemoryStore {
    fn platter(&self) -> Result<MutexGuard<'_, Platter>, StoreError> {
        let platter = self.disk.lock();
        if self.crashed.load(Ordering::Acquire) || platter.generation != self.generation {
            return Err(StoreError::Failed("the process is dead".to_owned()));
        }
        Ok(platter)
    }
}

impl Store for MemoryStore {
    fn commit(&mut self, expected: Head, writes: Vec<Write>) -> Result<(), StoreError> {
        let mut platter = self.platter()?;
        if Head::decode(platter.durable.get(Head::KEY).map(Vec::as_slice))? != expected {
            return Err(StoreError::Conflict);
        }
        let now = platter.commits;
        platter.commits = now.wrapping_add(1);
        let fault = platter.faults.remove(&now);
        if matches!(fault, None | Some(MemoryFault::CrashAfterSync)) {
            for write in writes {
                match write {
                    Write::Put { key, value } => platter.durable.insert(key, value),
                    Write::Delete { key } => platter.durable.remove(&key),
                };
            }
        }
        drop(platter);
        match fault {
            None => Ok(()),
            Some(MemoryFault::Refuse) => Err(StoreError::Failed("no space left".to_owned())),
            Some(MemoryFault::CrashBeforeSync | MemoryFault::CrashAfterSync) => {
                self.crashed.store(true, Ordering::Release);
                Err(StoreError::Failed("power cut".to_owned()))
            }
        }
    }

    fn reader(&self) -> Arc<dyn Reader + Send + Sync> {
        Arc::new(self.clone())
    }
}

impl Reader for MemoryStore {
    fn read(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.platter()?.durable.get(key).cloned())
    }

    fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Pair>, StoreError> {
        let from = after.map_or(Bound::Included(prefix), Bound::Excluded);
        Ok(self
            .platter()?
            .durable
            .range::<[u8], _>((from, Bound::Unbounded))
            .take_while(|(key, _)| key.starts_with(prefix))
            .take(limit)
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect())
    }
}
