//! A call begins: it goes on as soon as nothing can refuse it any more, while its hold is on the way to
//! the disk.

use super::batch::Batch;
use super::error::{HoldRefused, LedgerError};
use super::handle::Ledger;
use super::machine::{CallState, Event, Hold};
use super::writer::{Message, Reply};
use tokio::sync::oneshot;

/// A hold that was taken and may not be on the disk yet.
#[derive(Debug)]
#[must_use = "nothing of an answer may leave before the hold is durable"]
pub struct OnItsWay(oneshot::Receiver<bool>);

/// When a hold goes to the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Haste {
    /// Right away: somebody waits for that.
    Now,
    /// With the next thing that somebody waits for, such as the call's own bill, or a moment later by
    /// itself.
    InCompany,
}

impl OnItsWay {
    /// Returns once the hold is durable; fails when it never will be. To be asked until it has said so,
    /// and no more.
    pub async fn durable(&mut self) -> Result<(), LedgerError> {
        match (&mut self.0).await {
            Ok(true) => Ok(()),
            Ok(false) | Err(_) => Err(LedgerError::Unavailable),
        }
    }
}

impl Ledger {
    /// Takes a credential for a call, once, and records what happens to that call right away, or does
    /// nothing. Returns the call's state when the writer has taken it, which is before it is durable; a
    /// refusal is durable.
    pub async fn begin(
        &self,
        hold: Hold,
        then: Vec<Event>,
        haste: Haste,
    ) -> Result<(CallState, OnItsWay), HoldRefused> {
        let (answer, answered) = oneshot::channel();
        let (written, durable) = oneshot::channel();
        let job = move |batch: &mut Batch<'_>| -> Reply {
            let refused = match batch.begin(hold, then) {
                Ok(begun) => {
                    // The asker may have gone; the call stands all the same.
                    let _ = answer.send(Ok(begun.call));
                    None
                }
                Err(refused) => Some((answer, refused)),
            };
            Box::new(move |committed| {
                let _ = written.send(committed);
                if let Some((answer, refused)) = refused {
                    let _ = answer.send(Err(match committed {
                        true => refused,
                        false => LedgerError::Unavailable.into(),
                    }));
                }
            })
        };
        let closed = || HoldRefused::from(LedgerError::Unavailable);
        let message = match haste {
            Haste::Now => Message::Job(Box::new(job)),
            Haste::InCompany => Message::Patient(Box::new(job)),
        };
        self.send(message).await.map_err(|_| closed())?;
        let state = answered.await.map_err(|_| closed())??;
        Ok((state, OnItsWay(durable)))
    }
}
