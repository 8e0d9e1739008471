//! A call begins: it goes on as soon as nothing can refuse it any more, while its hold is on the way to
//! the disk.

use super::batch::Batch;
use super::error::{HoldRefused, LedgerError};
use super::handle::Ledger;
use super::machine::{CallState, Event, Hold};
use super::writer::{Haste, Reply};
use tokio::sync::oneshot;

/// A hold that was taken and may not be on the disk yet.
#[derive(Debug)]
#[must_use = "nothing of an answer may leave before the hold is durable"]
pub struct OnItsWay(oneshot::Receiver<bool>);

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
        self.writer.stage(Box::new(job), haste).await?;
        let state = answered.await.map_err(|_| LedgerError::Unavailable)??;
        Ok((state, OnItsWay(durable)))
    }
}
