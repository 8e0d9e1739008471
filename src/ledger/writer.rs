//! The one thread that writes. Commands that arrive while a commit is under way share the next, and what
//! nobody waits for yet waits a moment for what somebody does.

use super::batch::Batch;
use super::book::Book;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

/// The most commands in one commit.
const BATCH_JOBS_MAX: usize = 512;
/// A batch with more bytes than this takes no further command; with the longest event or operation on
/// top of that it still fits into one of the journal's files.
const BATCH_BYTES_MAX: usize = 4 << 20;
/// How many commands may wait; a sender beyond that waits for room.
pub(super) const QUEUE_JOBS_MAX: usize = 4096;
/// How long commands that nobody waits for are kept from the disk at most, if no other comes.
const PATIENCE: Duration = Duration::from_millis(2);

/// A command: looks at the batch, stages its writes, and leaves what to say once that is durable.
pub(super) type Job = Box<dyn FnOnce(&mut Batch<'_>) -> Reply + Send>;
/// Answers the command's sender; told whether the commit succeeded.
pub(super) type Reply = Box<dyn FnOnce(bool) + Send>;

/// What the writer is sent.
pub(super) enum Message {
    /// A command whose commit somebody waits for.
    Job(Job),
    /// A command whose commit may be that of a later one.
    Patient(Job),
    /// Commit what is in hand, close the store, say so, end.
    Stop(oneshot::Sender<()>),
}

/// Starts the thread, which runs until it is stopped, or until every sender is gone.
pub(super) fn start(
    book: Book,
    messages: mpsc::Receiver<Message>,
    healthy: Arc<AtomicBool>,
) -> std::io::Result<JoinHandle<()>> {
    let clock = Builder::new_current_thread().enable_time().build()?;
    std::thread::Builder::new()
        .name("ledger".to_owned())
        .spawn(move || run(&clock, book, messages, Health(healthy)))
}

fn run(clock: &Runtime, mut book: Book, mut messages: mpsc::Receiver<Message>, health: Health) {
    while let Some(first) = messages.blocking_recv() {
        let mut batch = book.begin();
        let mut replies = Vec::new();
        let mut stopped = None;
        let mut awaited = false;
        let mut patience = None;
        let mut next = Some(first);
        while let Some(message) = next {
            match message {
                Message::Job(job) => {
                    awaited = true;
                    replies.push(job(&mut batch));
                }
                Message::Patient(job) => replies.push(job(&mut batch)),
                Message::Stop(done) => {
                    stopped = Some(done);
                    break;
                }
            }
            if replies.len() >= BATCH_JOBS_MAX || batch.bytes() >= BATCH_BYTES_MAX {
                break;
            }
            next = messages.try_recv().ok();
            if next.is_none() && !awaited {
                let until = *patience.get_or_insert_with(|| Instant::now() + PATIENCE);
                next = more(clock, &mut messages, until);
            }
        }
        let staged = batch.finish();
        let committed = book.commit(staged).is_ok();
        health.0.store(book.healthy(), Ordering::Release);
        for reply in replies {
            reply(committed);
        }
        if let Some(done) = stopped {
            drop(book);
            drop(health);
            // Whoever asked may have stopped waiting.
            let _ = done.send(());
            return;
        }
    }
}

/// What comes until then, if something does.
fn more(
    clock: &Runtime,
    messages: &mut mpsc::Receiver<Message>,
    until: Instant,
) -> Option<Message> {
    clock.block_on(async { timeout_at(until, messages.recv()).await.ok().flatten() })
}

/// However the thread ends, a panic included, the ledger is not healthy afterwards.
struct Health(Arc<AtomicBool>);

impl Drop for Health {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}
