//! A call begins: it goes on as soon as nothing can refuse it any more, while its hold is on the way to
//! the disk.

use super::batch::Batch;
use super::error::{HoldRefused, LedgerError};
use super::handle::Ledger;
use super::machine::{CallState, Event, Hold};
use super::writer::{Haste, Reply, Writer};
use std::time::Duration;
use tokio::sync::oneshot::error::RecvError;
use tokio::sync::oneshot::{self, Receiver};
use tokio::time::timeout;

/// How long what is in want of company is kept from the disk at most, once somebody waits for it.
const PATIENCE: Duration = Duration::from_millis(2);

/// A hold that was taken and may not be on the disk yet.
#[derive(Debug)]
#[must_use = "nothing of an answer may leave before the hold is durable"]
pub struct OnItsWay {
    written: Receiver<bool>,
    /// Who is to be asked to write it, if nothing else comes that is to be written.
    patient: Option<Writer>,
}

impl OnItsWay {
    /// Returns once the hold is durable; fails when it never will be. To be asked until it has said so,
    /// and no more.
    pub async fn durable(&mut self) -> Result<(), LedgerError> {
        let written = match &self.patient {
            Some(writer) => patiently(writer, &mut self.written).await?,
            None => (&mut self.written).await.map_err(gone)?,
        };
        match written {
            true => Ok(()),
            false => Err(LedgerError::Unavailable),
        }
    }
}

/// What is told when it is committed, if not before; asks for the commit where nothing else brings one soon.
async fn patiently<T>(writer: &Writer, told: &mut Receiver<T>) -> Result<T, LedgerError> {
    match timeout(PATIENCE, &mut *told).await {
        Ok(told) => told.map_err(gone),
        Err(_) => {
            writer.hurry().await?;
            told.await.map_err(gone)
        }
    }
}

fn gone(_: RecvError) -> LedgerError {
    LedgerError::Unavailable
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
        let (answer, mut answered) = oneshot::channel();
        let (durable, written) = oneshot::channel();
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
                let _ = durable.send(committed);
                if let Some((answer, refused)) = refused {
                    let _ = answer.send(Err(match committed {
                        true => refused,
                        false => LedgerError::Unavailable.into(),
                    }));
                }
            })
        };
        self.writer.stage(Box::new(job), haste).await?;
        // A refusal is told when it is durable, and may be in want of company too.
        let state = match haste {
            Haste::Now => answered.await.map_err(gone)??,
            Haste::InCompany => patiently(&self.writer, &mut answered).await??,
        };
        let patient = (haste == Haste::InCompany).then(|| self.writer.clone());
        Ok((state, OnItsWay { written, patient }))
    }
}
