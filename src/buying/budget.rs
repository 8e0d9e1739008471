//! How much may still be paid to one upstream. What is signed for is on the disk as paid before it is
//! signed, so a crash can only make the budget smaller.

use crate::ledger::{Ledger, LedgerError};
use crate::money::Pusd;
use crate::stats::{Metrics, Spending};
use serde::{Deserialize, Serialize};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The kind of its note.
const NOTES: &str = "bought";

/// What was paid to one upstream, over all starts.
#[derive(Debug)]
pub(super) struct Account {
    upstream: String,
    ledger: Ledger,
    metrics: Arc<Metrics>,
    book: Mutex<Book>,
    /// The version of the book that is on the disk.
    written: tokio::sync::Mutex<u64>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Book {
    sums: Sums,
    /// The budget at the last call, for the metrics.
    budget: Pusd,
    version: u64,
}

/// What is remembered.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sums {
    /// What was signed for, less what is known not to move.
    paid: Pusd,
    /// What receipts that hold say was charged.
    charged: Pusd,
}

/// An amount that counts as paid from now on.
#[derive(Debug)]
pub(super) struct Reserved(Pusd);

/// Why an amount is not to be signed for.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotReserved {
    /// The budget is spent.
    #[error("the budget is spent")]
    Spent,
    /// The ledger cannot remember it.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl Reserved {
    /// How much.
    pub(super) const fn amount(&self) -> Pusd {
        self.0
    }
}

impl Account {
    /// As it was remembered. A note that cannot be read is a fault: the budget is not begun anew.
    pub(super) fn open(
        upstream: &str,
        budget: Pusd,
        ledger: &Ledger,
        metrics: &Arc<Metrics>,
    ) -> Result<Self, LedgerError> {
        let notes = ledger.notes(NOTES)?;
        let note = notes
            .iter()
            .find(|(name, _)| name.as_slice() == upstream.as_bytes());
        let sums = match note {
            None => Sums::default(),
            Some((_, text)) => serde_json::from_slice(text).map_err(|error| {
                LedgerError::Corrupt(format!("what {upstream} was paid: {error}"))
            })?,
        };
        let account = Self {
            upstream: upstream.to_owned(),
            ledger: ledger.clone(),
            metrics: Arc::clone(metrics),
            book: Mutex::new(Book {
                sums,
                budget,
                version: 0,
            }),
            written: tokio::sync::Mutex::default(),
        };
        account.tell(&account.book());
        Ok(account)
    }

    /// Counts an amount as paid, if the budget allows it; durable when this returns.
    pub(super) async fn reserve(
        &self,
        amount: Pusd,
        budget: Pusd,
    ) -> Result<Reserved, NotReserved> {
        self.change(|book| {
            book.budget = budget;
            let paid = book.sums.paid.plus(amount).ok();
            book.sums.paid = paid
                .filter(|paid| *paid <= budget)
                .ok_or(NotReserved::Spent)?;
            Ok::<(), NotReserved>(())
        })?;
        let reserved = Reserved(amount);
        if let Err(error) = self.durable().await {
            self.release(reserved);
            return Err(error.into());
        }
        Ok(reserved)
    }

    /// Takes back what was not signed for after all.
    pub(super) fn release(&self, reserved: Reserved) {
        self.paid(reserved, Pusd::ZERO, Pusd::ZERO);
    }

    /// Takes note of what a receipt says of an amount: how much of it moves, and what was charged. A crash
    /// forgets it until the next call, and then counts the whole amount.
    pub(super) fn paid(&self, Reserved(amount): Reserved, moved: Pusd, charged: Pusd) {
        let unmoved = amount.minus(moved).unwrap_or(Pusd::ZERO);
        let changed = self.change(|book| {
            let sums = &mut book.sums;
            sums.paid = sums.paid.minus(unmoved).unwrap_or(Pusd::ZERO);
            sums.charged = sums.charged.plus(charged)?;
            Ok::<(), crate::money::AmountError>(())
        });
        if let Err(error) = changed {
            tracing::error!(upstream = self.upstream, %error, "the sum of charges is too large");
        }
    }

    /// Waits until what is counted now is on the disk; calls that come together share one write.
    pub(super) async fn durable(&self) -> Result<(), LedgerError> {
        let wanted = self.book().version;
        let mut written = self.written.lock().await;
        if *written >= wanted {
            return Ok(());
        }
        let book = *self.book();
        let note = serde_json::to_vec(&book.sums).ok();
        let name = self.upstream.as_bytes().to_vec();
        self.ledger.take_notes(NOTES, vec![(name, note)]).await?;
        *written = book.version;
        Ok(())
    }

    fn change<E>(&self, change: impl FnOnce(&mut Book) -> Result<(), E>) -> Result<(), E> {
        let mut book = self.book();
        change(&mut book)?;
        book.version = book.version.saturating_add(1);
        self.tell(&book);
        Ok(())
    }

    fn tell(&self, book: &Book) {
        let Sums { paid, charged } = book.sums;
        let left = book.budget.minus(paid).unwrap_or(Pusd::ZERO);
        let spending = Spending {
            paid,
            charged,
            left,
        };
        self.metrics.bought().spending(&self.upstream, spending);
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
