//! A disk that loses power, refuses, or loses its process at any step one likes: two files that may
//! keep any sectors of what was not synced, and a slow store that may keep any of its writes.

use super::super::store::journal::{JournalFile, Life};
use super::super::store::journaled::{Aside, Base, Job, Journaled};
use super::super::store::table::{Found, Table};
use super::crash::Dice;
use super::*;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

const SECTOR: usize = 512;

/// What a step shall suffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The disk refuses; the process lives on.
    Refuse,
    /// The process is killed: what it wrote stays, synced or not.
    Kill,
    /// The power goes: of what was not synced, anything may be left.
    PowerCut,
}

/// A disk that outlives the processes that use it.
#[derive(Clone)]
pub(super) struct Disk(Arc<Mutex<Platter>>);

struct Platter {
    files: [Image; 2],
    base: Kept,
    dice: Dice,
    steps: u64,
    fault: Option<(u64, Fault)>,
    generation: u64,
}

/// A file: what is on the disk, what readers see, and what a sync would write.
#[derive(Default, Clone)]
struct Image {
    durable: Vec<u8>,
    seen: Vec<u8>,
    unsynced: Vec<(usize, Vec<u8>)>,
}

/// The slow store: the same, by whole lists of writes.
#[derive(Default)]
struct Kept {
    durable: Table,
    seen: Table,
    unsynced: Vec<Vec<Write>>,
}

impl Disk {
    pub(super) fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(Platter {
            files: Default::default(),
            base: Kept::default(),
            dice: Dice(seed),
            steps: 0,
            fault: None,
            generation: 0,
        })))
    }

    /// A copy of what a disk holds, synced or not, as a killed process leaves it.
    pub(super) fn of(other: &Self) -> Self {
        let other = other.lock();
        let copy = Self::new(other.steps);
        let mut platter = copy.lock();
        platter.files = other.files.clone();
        platter.base.durable = copied(&other.base.durable);
        platter.base.seen = copied(&other.base.seen);
        platter.base.unsynced = other.base.unsynced.clone();
        drop(platter);
        copy
    }

    /// Opens the disk with files of `capacity` bytes; every store opened on it before is dead.
    pub(super) fn open(&self, capacity: usize) -> Result<PretendedStore, StoreError> {
        let mut platter = self.lock();
        platter.generation += 1;
        let life = Life(u128::from(platter.dice.roll()));
        let part = Part {
            disk: self.clone(),
            generation: platter.generation,
        };
        drop(platter);
        let files = [0, 1].map(|which| PretendedFile {
            part: part.clone(),
            which,
        });
        Journaled::open(part, files, life, capacity)
    }

    /// Lets the step after `steps` more of them suffer `fault`, and no other.
    pub(super) fn fault_after(&self, steps: u64, fault: Fault) {
        let mut platter = self.lock();
        platter.fault = Some((platter.steps + steps, fault));
    }

    /// Nothing shall suffer any fault; says whether one is still to come.
    pub(super) fn no_fault(&self) -> bool {
        self.lock().fault.take().is_some()
    }

    /// The power goes now.
    pub(super) fn cut(&self) {
        let mut platter = self.lock();
        platter.cut();
        platter.generation += 1;
    }

    /// The process is killed now.
    pub(super) fn kill(&self) {
        self.lock().generation += 1;
    }

    /// Changes a file behind the store's back.
    pub(super) fn tamper(&self, which: usize, change: impl FnOnce(&mut Vec<u8>)) {
        let image = &mut self.lock().files[which];
        change(&mut image.seen);
        *image = Image::new(image.seen.clone());
    }

    pub(super) fn file(&self, which: usize) -> Vec<u8> {
        self.lock().files[which].seen.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Platter> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Disk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Disk").finish_non_exhaustive()
    }
}

pub(super) type PretendedStore = Journaled<Part, PretendedFile>;

/// How a step goes.
enum Step {
    Done,
    Failed,
    Cut,
}

impl Platter {
    fn step(&mut self, generation: u64) -> io::Result<Step> {
        if generation != self.generation {
            return Err(io::Error::other("the process is dead"));
        }
        let now = self.steps;
        self.steps += 1;
        let fault = self.fault.take_if(|(at, _)| *at <= now);
        Ok(match fault {
            None => Step::Done,
            Some((_, Fault::Refuse)) => Step::Failed,
            Some((_, Fault::Kill)) => {
                self.generation += 1;
                Step::Failed
            }
            Some((_, Fault::PowerCut)) => {
                self.generation += 1;
                Step::Cut
            }
        })
    }

    fn coin(&mut self) -> bool {
        self.dice.roll().is_multiple_of(2)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.dice.roll() % (bound as u64 + 1)).expect("small")
    }

    fn cut(&mut self) {
        // Nothing, half or nearly all of it is left.
        let odds = [0, 4, 8, 15, 16][self.below(4)];
        for which in 0..2 {
            for (at, bytes) in std::mem::take(&mut self.files[which].unsynced) {
                for (number, sector) in bytes.chunks(SECTOR).enumerate() {
                    if self.dice.roll() % 16 < odds {
                        overwrite(&mut self.files[which].durable, at + number * SECTOR, sector);
                    }
                }
            }
            self.files[which].seen = self.files[which].durable.clone();
        }
        for writes in std::mem::take(&mut self.base.unsynced) {
            if self.dice.roll() % 16 < odds {
                self.base.durable.apply(writes);
            }
        }
        self.base.seen = copied(&self.base.durable);
    }
}

fn copied(table: &Table) -> Table {
    let mut copy = Table::default();
    for (key, value) in table.iter() {
        copy.apply(vec![write(key.clone(), value.clone())]);
    }
    copy
}

fn write(key: Vec<u8>, value: Option<Vec<u8>>) -> Write {
    match value {
        Some(value) => Write::Put { key, value },
        None => Write::Delete { key },
    }
}

fn overwrite(file: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    let end = at + bytes.len();
    file.resize(file.len().max(end), 0);
    file[at..end].copy_from_slice(bytes);
}

impl Image {
    fn new(content: Vec<u8>) -> Self {
        Self {
            durable: content.clone(),
            seen: content,
            unsynced: Vec::new(),
        }
    }

    fn write(&mut self, at: usize, bytes: &[u8]) {
        overwrite(&mut self.seen, at, bytes);
        self.unsynced.push((at, bytes.to_vec()));
    }

    /// As Linux has it: readers go on seeing what could not be written, and no later sync writes it.
    fn fail_to_sync(&mut self) {
        self.unsynced.clear();
    }

    fn sync(&mut self) {
        for (at, bytes) in std::mem::take(&mut self.unsynced) {
            overwrite(&mut self.durable, at, &bytes);
        }
    }
}

/// A process's hold on the disk.
#[derive(Debug, Clone)]
pub(super) struct Part {
    disk: Disk,
    generation: u64,
}

impl Part {
    /// Does a step; of one that suffers a fault, nothing, something or all is done.
    fn step(
        &self,
        some: impl FnOnce(&mut Platter),
        all: impl FnOnce(&mut Platter),
    ) -> io::Result<()> {
        let mut platter = self.disk.lock();
        let step = platter.step(self.generation)?;
        if matches!(step, Step::Done) {
            all(&mut platter);
            return Ok(());
        }
        match platter.below(2) {
            0 => {}
            1 => some(&mut platter),
            _ => all(&mut platter),
        }
        if matches!(step, Step::Cut) {
            platter.cut();
        }
        Err(io::Error::other("refused, killed or without power"))
    }
}

#[derive(Debug)]
pub(super) struct PretendedFile {
    part: Part,
    which: usize,
}

impl JournalFile for PretendedFile {
    fn content(&self) -> io::Result<Vec<u8>> {
        Ok(self.part.disk.file(self.which))
    }

    fn allocate(&mut self, length: usize) -> io::Result<()> {
        if self.content()?.len() == length {
            return Ok(());
        }
        let which = self.which;
        self.part.step(
            |platter| {
                let part = platter.below(length);
                platter.files[which] = Image::new(vec![0; part]);
            },
            |platter| platter.files[which] = Image::new(vec![0; length]),
        )
    }

    fn write(&mut self, bytes: &[u8], at: usize) -> io::Result<()> {
        let (which, whole) = (self.which, bytes.len());
        let length = self.part.disk.lock().files[which].seen.len();
        assert!(at + whole <= length, "a journal's file never grows");
        self.part.step(
            |platter| {
                let part = platter.below(whole);
                platter.files[which].write(at, &bytes[..part]);
            },
            |platter| platter.files[which].write(at, bytes),
        )
    }

    fn sync(&mut self) -> io::Result<()> {
        let which = self.which;
        self.part.step(
            |platter| platter.files[which].fail_to_sync(),
            |platter| platter.files[which].sync(),
        )
    }
}

impl Base for Part {
    fn read(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.disk.lock().base.seen.get(key).cloned().flatten())
    }

    fn scan<'a>(
        &'a self,
        prefix: &'a [u8],
        after: Option<&'a [u8]>,
    ) -> impl Iterator<Item = Found> + 'a {
        let platter = self.disk.lock();
        let found: Vec<Found> = platter.base.seen.scan(prefix, after).collect();
        found
            .into_iter()
            .filter(|found| !matches!(found, Ok((_, None))))
    }

    fn put(&self, key: &[u8], value: Option<&[u8]>) -> Result<(), StoreError> {
        self.write(vec![write(key.to_vec(), value.map(<[u8]>::to_vec))])
    }

    fn write(&self, writes: Vec<Write>) -> Result<(), StoreError> {
        let write = |platter: &mut Platter| {
            platter.base.seen.apply(writes.clone());
            platter.base.unsynced.push(writes.clone());
        };
        self.step(|_| (), write).map_err(failed)
    }

    fn sync(&self) -> Result<(), StoreError> {
        let sync = |platter: &mut Platter| {
            for writes in std::mem::take(&mut platter.base.unsynced) {
                platter.base.durable.apply(writes);
            }
        };
        self.step(|_| (), sync).map_err(failed)
    }

    fn rest(&self, _: std::time::Duration) {}

    /// Done at once, while others go on, or not before somebody waits for it.
    fn aside(&self, job: Job) -> Result<Box<dyn Aside>, StoreError> {
        let mut later = Later {
            disk: self.disk.clone(),
            job: Some(job),
            result: Ok(()),
        };
        later.ended();
        Ok(Box::new(later))
    }
}

struct Later {
    disk: Disk,
    job: Option<Job>,
    result: Result<(), StoreError>,
}

impl Later {
    fn run(&mut self) {
        if let Some(job) = self.job.take() {
            self.result = job();
        }
    }
}

impl Aside for Later {
    fn ended(&mut self) -> bool {
        let now = self.disk.lock().coin();
        if now {
            self.run();
        }
        self.job.is_none()
    }

    fn wait(mut self: Box<Self>) -> Result<(), StoreError> {
        self.run();
        self.result.clone()
    }
}

impl std::fmt::Debug for Later {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Later").finish_non_exhaustive()
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the shape map_err wants")]
fn failed(error: io::Error) -> StoreError {
    StoreError::Failed(error.to_string())
}
