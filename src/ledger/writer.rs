//! The one thread that writes. Commands that arrive while a commit is under way share the next.

use super::batch::Batch;
use super::book::Book;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::{mpsc, oneshot};

/// The most commands in one commit.
const BATCH_JOBS_MAX: usize = 512;
/// A batch with more bytes than this takes no further command; with the longest event or operation on
/// top of that it still fits into one of the journal's files.
const BATCH_BYTES_MAX: usize = 4 << 20;
/// How many commands may wait; a sender beyond that waits for room.
pub(super) const QUEUE_JOBS_MAX: usize = 4096;

/// A command: looks at the batch, stages its writes, and leaves what to say once that is durable.
pub(super) type Job = Box<dyn FnOnce(&mut Batch<'_>) -> Reply + Send>;
/// Answers the command's sender; told whether the commit succeeded.
pub(super) type Reply = Box<dyn FnOnce(bool) + Send>;

/// What the writer is sent.
pub(super) enum Message {
    /// A command.
    Job(Job),
    /// Commit what is in hand, close the store, say so, end.
    Stop(oneshot::Sender<()>),
}

/// Runs until stopped, or until every sender is gone.
pub(super) fn run(mut book: Book, mut messages: mpsc::Receiver<Message>, healthy: Arc<AtomicBool>) {
    let health = Health(healthy);
    while let Some(first) = messages.blocking_recv() {
        let mut batch = book.begin();
        let mut replies = Vec::new();
        let mut stopped = None;
        let mut next = Some(first);
        while let Some(message) = next {
            match message {
                Message::Job(job) => replies.push(job(&mut batch)),
                Message::Stop(done) => {
                    stopped = Some(done);
                    break;
                }
            }
            let full = replies.len() >= BATCH_JOBS_MAX || batch.bytes() >= BATCH_BYTES_MAX;
            next = if full { None } else { messages.try_recv().ok() };
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

/// However the thread ends, a panic included, the ledger is not healthy afterwards.
struct Health(Arc<AtomicBool>);

impl Drop for Health {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}
