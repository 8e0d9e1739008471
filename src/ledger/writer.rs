//! The way to the disk. Commands stage their writes one after another, each seeing those before it; one
//! thread commits. What comes while it does shares its next commit, and what nobody waits for yet waits
//! a moment for what somebody does.

use super::batch::Batch;
use super::book::Book;
use super::draft::Draft;
use super::error::LedgerError;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};

/// The most commands in one commit.
const BATCH_JOBS_MAX: usize = 512;
/// A batch with more bytes than this takes no further command; with the longest event or operation on
/// top of that it still fits into one of the journal's files.
const BATCH_BYTES_MAX: usize = 4 << 20;
/// How many commands may wait; a sender beyond that waits for room.
const QUEUE_JOBS_MAX: usize = 4096;
/// How long what nobody waits for is kept from the disk at most, if nothing else comes.
const PATIENCE: Duration = Duration::from_millis(2);

/// A command: looks at the batch, stages its writes, and leaves what to say once that is durable.
pub(super) type Job = Box<dyn FnOnce(&mut Batch<'_>) -> Reply + Send>;
/// Answers the command's sender; told whether the commit succeeded.
pub(super) type Reply = Box<dyn FnOnce(bool) + Send>;

/// When a command's writes go to the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Haste {
    /// Right away: somebody waits for that.
    Now,
    /// With the next thing that somebody waits for, such as the call's own bill, or a moment later by
    /// itself.
    InCompany,
}

/// What the thread is sent.
enum Message {
    /// Stage this, and commit it.
    Job(Job),
    /// Commit what is staged.
    Commit,
    /// Commit what is staged, close the store, say so, end.
    Stop(Option<oneshot::Sender<()>>),
}

/// The way to the writer's thread; clones lead to the same one, which runs until it is stopped, or until
/// all of them are gone.
#[derive(Debug, Clone)]
pub(super) struct Writer {
    slate: Arc<Mutex<Option<Slate>>>,
    messages: mpsc::Sender<Message>,
    healthy: Arc<AtomicBool>,
    thread: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl Writer {
    /// Starts the thread.
    pub(super) fn start(book: Book) -> std::io::Result<Self> {
        let slate = Arc::new(Mutex::new(Some(Slate::of(book))));
        let healthy = Arc::new(AtomicBool::new(true));
        let (messages, received) = mpsc::channel(QUEUE_JOBS_MAX);
        let end = End {
            slate: Arc::clone(&slate),
            healthy: Arc::clone(&healthy),
        };
        let thread = std::thread::Builder::new()
            .name("ledger".to_owned())
            .spawn(move || run(&end, received))?;
        Ok(Self {
            slate,
            messages,
            healthy,
            thread: Arc::new(Mutex::new(Some(thread))),
        })
    }

    /// Has a command staged by the writer's thread, behind those that wait for it; fails when that is gone.
    pub(super) async fn queue(&self, job: Job) -> Result<(), LedgerError> {
        self.send(Message::Job(job)).await
    }

    /// The same for a command that is quickly done: it is staged here and now unless a commit is under
    /// way, since to wake a thread for it takes longer than it does.
    pub(super) async fn stage(&self, job: Job, haste: Haste) -> Result<(), LedgerError> {
        match self.stage_here(job, haste) {
            // A thread with a full queue looks at the slate again anyway.
            Ok(Wake::Now) => match self.messages.try_send(Message::Commit) {
                Err(TrySendError::Closed(_)) => Err(LedgerError::Unavailable),
                Err(TrySendError::Full(_)) | Ok(()) => Ok(()),
            },
            Ok(Wake::Later { commits }) => {
                tokio::spawn(self.clone().alarm(commits));
                Ok(())
            }
            Ok(Wake::No) => Ok(()),
            // The commit after the one under way is as good as company.
            Err(job) => self.queue(job).await,
        }
    }

    /// Whether writes are taken; false for good once the store has failed or the writer has ended.
    pub(super) fn healthy(&self) -> bool {
        self.healthy.load(Ordering::Acquire)
    }

    /// Takes the store as failed.
    pub(super) fn fail(&self) {
        let failed: Job = Box::new(|batch| {
            batch.fail();
            Box::new(|_| ())
        });
        // A writer that is gone needs not be told.
        let _ = self.messages.try_send(Message::Job(failed));
    }

    /// Commits what was asked before, closes the store and ends the thread; later commands fail.
    pub(super) async fn stop(&self) {
        let (done, ended) = oneshot::channel();
        if self.send(Message::Stop(Some(done))).await.is_ok() {
            // An error means the writer is gone already, which is what was wanted.
            let _ = ended.await;
        }
        let thread = self.thread.lock();
        let thread = thread.unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // It said it was done, or it panicked and took itself down: nothing left to wait for.
            let _ = thread.join();
        }
    }

    fn stage_here(&self, job: Job, haste: Haste) -> Result<Wake, Job> {
        // Where a panic has spoilt it the thread finds that out, and ends.
        let Ok(mut slate) = self.slate.try_lock() else {
            return Err(job);
        };
        match slate.as_mut() {
            Some(slate) if !slate.full() => Ok(slate.stage(job, haste)),
            _ => Err(job),
        }
    }

    /// Has the thread commit, after a while, unless it has since it had done so many.
    async fn alarm(self, commits: u64) {
        tokio::time::sleep(PATIENCE).await;
        if self.still_staged(commits) {
            // A writer that is gone commits nothing more.
            let _ = self.send(Message::Commit).await;
        }
    }

    /// Whether there may have been no other commit; who has the slate may be only staging.
    fn still_staged(&self, commits: u64) -> bool {
        match self.slate.try_lock() {
            Ok(slate) => slate.as_ref().is_some_and(|slate| slate.commits == commits),
            Err(_) => true,
        }
    }

    async fn send(&self, message: Message) -> Result<(), LedgerError> {
        let sent = self.messages.send(message).await;
        sent.map_err(|_| LedgerError::Unavailable)
    }
}

fn run(end: &End, mut messages: mpsc::Receiver<Message>) {
    let mut stopped = None;
    while stopped.is_none() {
        // Where all senders are gone nobody is told that it stops.
        let first = messages.blocking_recv();
        let mut next = Some(first.unwrap_or(Message::Stop(None)));
        let Ok(mut slate) = end.slate.lock() else {
            return;
        };
        let Some(writing) = slate.as_mut() else {
            return;
        };
        while let Some(message) = next {
            match message {
                Message::Job(job) => drop(writing.stage(job, Haste::Now)),
                Message::Commit => writing.wanted = true,
                Message::Stop(done) => stopped = Some(done),
            }
            if stopped.is_some() || writing.full() {
                break;
            }
            next = messages.try_recv().ok();
        }
        if !writing.wanted && stopped.is_none() {
            continue;
        }
        let (committed, replies) = writing.commit();
        end.healthy.store(writing.book.healthy(), Ordering::Release);
        if stopped.is_some() {
            *slate = None;
        }
        drop(slate);
        for reply in replies {
            reply(committed);
        }
    }
    if let Some(Some(done)) = stopped {
        // Whoever asked may have stopped waiting.
        let _ = done.send(());
    }
}

/// When the thread must be told that there is something to commit.
#[derive(Debug)]
enum Wake {
    /// At once.
    Now,
    /// In a while, if it has still done so many commits then.
    Later { commits: u64 },
    /// It was told, or will be.
    No,
}

/// The book, and what is staged for its next commit.
struct Slate {
    book: Book,
    draft: Draft,
    replies: Vec<Reply>,
    /// Whether somebody waits for the commit.
    wanted: bool,
    /// How many commits there were.
    commits: u64,
}

impl Slate {
    fn of(book: Book) -> Self {
        Self {
            draft: book.draft(),
            book,
            replies: Vec::new(),
            wanted: false,
            commits: 0,
        }
    }

    fn full(&self) -> bool {
        self.replies.len() >= BATCH_JOBS_MAX || self.draft.bytes() >= BATCH_BYTES_MAX
    }

    fn stage(&mut self, job: Job, haste: Haste) -> Wake {
        let (first, before) = (self.replies.is_empty(), self.wanted);
        let draft = std::mem::replace(&mut self.draft, self.book.draft());
        let mut batch = self.book.resume(draft);
        self.replies.push(job(&mut batch));
        self.draft = batch.finish();
        self.wanted |= haste == Haste::Now || self.full();
        match (before, self.wanted) {
            (false, true) => Wake::Now,
            (false, false) if first => Wake::Later {
                commits: self.commits,
            },
            _ => Wake::No,
        }
    }

    /// Makes it durable; says whether that worked, to be told to those who wait for it.
    fn commit(&mut self) -> (bool, Vec<Reply>) {
        let draft = std::mem::replace(&mut self.draft, self.book.draft());
        let committed = self.book.commit(draft).is_ok();
        self.draft = self.book.draft();
        self.wanted = false;
        self.commits = self.commits.saturating_add(1);
        (committed, std::mem::take(&mut self.replies))
    }
}

impl std::fmt::Debug for Slate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Slate")
            .field("book", &self.book)
            .field("replies", &self.replies.len())
            .finish_non_exhaustive()
    }
}

/// However the thread ends, a panic included, the store is closed and the ledger is not healthy afterwards.
struct End {
    slate: Arc<Mutex<Option<Slate>>>,
    healthy: Arc<AtomicBool>,
}

impl Drop for End {
    fn drop(&mut self) {
        self.healthy.store(false, Ordering::Release);
        let slate = self.slate.lock();
        *slate.unwrap_or_else(PoisonError::into_inner) = None;
    }
}
