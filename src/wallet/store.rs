//! The wallet's file: read whole, written whole, by one process at a time.

use super::state::State;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It cannot be read, written or locked.
    #[error("the wallet's file {0} cannot be used: {1}")]
    Io(PathBuf, io::Error),
    /// What stands in it was not written by this program.
    #[error("the wallet's file {0} cannot be read: {1}; it is left as it is")]
    Form(PathBuf, String),
}

/// Where the file is.
#[derive(Debug, Clone)]
pub struct Store {
    path: PathBuf,
}

/// The file while no other process changes it.
#[derive(Debug)]
pub struct Locked {
    /// What stands in it, or will at the next [`Locked::save`].
    pub state: State,
    path: PathBuf,
    _lock: File,
}

impl Store {
    /// The file at `path`, which need not be there yet.
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// What stands in it now; nothing when it is not there.
    pub fn read(&self) -> Result<State, StoreError> {
        read(&self.path)
    }

    /// Keeps other processes from it until the result is dropped; `waiting` is called when one has
    /// to be waited for. The lock is a file beside it, since the file itself is replaced.
    pub fn lock(&self, waiting: impl FnOnce()) -> Result<Locked, StoreError> {
        let fault = |error| StoreError::Io(self.path.clone(), error);
        if let Some(folder) = self.path.parent().filter(|f| !f.as_os_str().is_empty()) {
            let mut folders = std::fs::DirBuilder::new();
            folders.recursive(true).mode(0o700);
            folders.create(folder).map_err(fault)?;
        }
        let mut options = OpenOptions::new();
        options.create(true).write(true).truncate(false).mode(0o600);
        let lock = options.open(beside(&self.path, "lock")).map_err(fault)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                waiting();
                lock.lock().map_err(fault)?;
            }
            Err(TryLockError::Error(error)) => return Err(fault(error)),
        }
        Ok(Locked {
            state: read(&self.path)?,
            path: self.path.clone(),
            _lock: lock,
        })
    }
}

impl Locked {
    /// Writes the file anew and waits until it is on the disk: after a crash the old one stands
    /// there, or this one.
    pub fn save(&self) -> Result<(), StoreError> {
        self.write()
            .map_err(|error| StoreError::Io(self.path.clone(), error))
    }

    fn write(&self) -> io::Result<()> {
        let text = serde_json::to_string_pretty(&self.state)?;
        let new = beside(&self.path, "new");
        let mut options = OpenOptions::new();
        options.create(true).write(true).truncate(true).mode(0o600);
        let mut file = options.open(&new)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&new, &self.path)?;
        let folder = self.path.parent().filter(|f| !f.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    }
}

fn read(path: &Path) -> Result<State, StoreError> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(State::default()),
        Err(error) => return Err(StoreError::Io(path.to_owned(), error)),
    };
    let form = |why: String| StoreError::Form(path.to_owned(), why);
    let state: State = serde_json::from_str(&text).map_err(|error| form(error.to_string()))?;
    if state.is_current() {
        Ok(state)
    } else {
        Err(form("it is of another version".to_owned()))
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests;
