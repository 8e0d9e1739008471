//! What is staged where it is asked for, and committed by the one thread.

use super::*;
use crate::ledger::batch::Batch;
use crate::ledger::writer::{Job, Reply, Writer};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use tokio::sync::oneshot;

fn writer() -> Writer {
    let book = Book::open(Box::new(MemoryDisk::new().open())).expect("opens");
    Writer::start(book).expect("a thread")
}

/// A command that writes nothing, and tells whether it was committed.
fn told() -> (Job, oneshot::Receiver<bool>) {
    let (tell, told) = oneshot::channel();
    let job = |_: &mut Batch<'_>| -> Reply {
        Box::new(|committed| tell.send(committed).expect("it waits"))
    };
    (Box::new(job), told)
}

/// Stages such a command in want of company.
async fn patient(writer: &Writer) -> oneshot::Receiver<bool> {
    let (job, told) = told();
    let staged = writer.stage(job, Haste::InCompany).await;
    staged.expect("taken");
    told
}

#[tokio::test]
async fn a_command_that_panics_ends_the_ledger_and_leaves_nobody_waiting() {
    let writer = writer();
    let waiting = patient(&writer).await;
    let panics = {
        let writer = writer.clone();
        tokio::spawn(async move {
            writer
                .stage(Box::new(|_| panic!("as told")), Haste::Now)
                .await
        })
    };
    assert!(panics.await.is_err(), "it panicked where it was staged");
    let (next, answer) = told();
    // Taken or not, it will not be committed.
    let _ = writer.stage(next, Haste::Now).await;
    assert!(answer.await.is_err(), "the thread has ended");
    assert!(waiting.await.is_err(), "and what was staged with it");
    assert!(!writer.healthy());
}

#[tokio::test]
async fn what_is_staged_when_the_last_handle_goes_is_committed() {
    let writer = writer();
    let waiting = patient(&writer).await;
    drop(writer);
    assert_eq!(waiting.await, Ok(true));
}

#[tokio::test]
async fn what_comes_during_a_commit_is_staged_behind_it() {
    let writer = writer();
    let (reached, order) = (Arc::new(Barrier::new(2)), Arc::new(AtomicUsize::new(0)));
    let slow: Job = {
        let (reached, order) = (Arc::clone(&reached), Arc::clone(&order));
        Box::new(move |_| {
            reached.wait();
            reached.wait();
            order.store(1, Ordering::SeqCst);
            Box::new(|_| ())
        })
    };
    writer.queue(slow).await.expect("queued");
    reached.wait();
    let (tell, told) = oneshot::channel();
    let second: Job = {
        let order = Arc::clone(&order);
        Box::new(move |_| {
            let seen = order.load(Ordering::SeqCst);
            Box::new(move |_| tell.send(seen).expect("it waits"))
        })
    };
    writer.stage(second, Haste::Now).await.expect("queued");
    reached.wait();
    assert_eq!(told.await, Ok(1), "not before, and not beside it");
}
