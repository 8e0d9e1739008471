//! A journal's file on a real disk.

use super::JournalFile;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// How many zeros are written at a time.
const ZEROS: usize = 1 << 20;

/// A file in the ledger's folder.
#[derive(Debug)]
pub(in crate::ledger) struct DiskFile {
    file: File,
    folder: PathBuf,
}

impl DiskFile {
    /// Opens the file of this name in `folder`; one that is not there is begun, empty.
    pub(in crate::ledger) fn open(folder: &Path, name: &str) -> io::Result<Self> {
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false);
        Ok(Self {
            file: options.open(folder.join(name))?,
            folder: folder.to_owned(),
        })
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }
}

impl JournalFile for DiskFile {
    fn content(&self) -> io::Result<Vec<u8>> {
        let mut content = vec![0; usize::try_from(self.length()?).map_err(io::Error::other)?];
        self.file.read_exact_at(&mut content, 0)?;
        Ok(content)
    }

    /// Zeros are written, not only reserved: a sync after the first write into reserved blocks has
    /// to write the file system's own books too.
    fn allocate(&mut self, length: usize) -> io::Result<()> {
        if self.length()? == length as u64 {
            return Ok(());
        }
        self.file.set_len(0)?;
        let zeros = vec![0; ZEROS.min(length)];
        for at in (0..length).step_by(ZEROS) {
            let left = length.saturating_sub(at).min(ZEROS);
            let part = zeros.get(..left).unwrap_or_default();
            self.file.write_all_at(part, at as u64)?;
        }
        self.file.sync_all()?;
        File::open(&self.folder)?.sync_all()
    }

    fn write(&mut self, bytes: &[u8], at: usize) -> io::Result<()> {
        self.file.write_all_at(bytes, at as u64)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }
}
