//! What payers owe before it is settled (design rule 13): a wallet's balance pays for no more calls
//! at once than it covers, and what is captured only afterwards stays within the operator's limits.

use crate::config::ExposureConfig;
use crate::money::Units;
use alloy::primitives::{Address, U256};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Payers whose good record is kept in memory; beyond that all begin anew.
const RECORDS_MAX: usize = 65_536;

/// The unsettled sums, by payer; clones share them.
#[derive(Debug, Clone)]
pub(super) struct Exposure {
    limits: ExposureConfig,
    books: Arc<Mutex<Books>>,
}

#[derive(Debug, Default)]
struct Books {
    payers: HashMap<Address, Owed>,
    /// What all payers owe that is captured afterwards.
    afterwards: Afterwards,
    /// What payers have settled afterwards in this process's life: how far they are trusted.
    settled: HashMap<Address, Units>,
}

#[derive(Debug, Default)]
struct Owed {
    unsettled: U256,
    afterwards: Afterwards,
    permits: u64,
}

#[derive(Debug, Default, Clone, Copy)]
struct Afterwards {
    amount: Units,
    calls: u64,
}

/// How a payment is settled, as far as what may be owed depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Settles {
    /// Before its answer leaves: nothing is lost when it fails.
    First,
    /// After its answer left: a payer who empties the wallet meanwhile costs the operator the call.
    Afterwards,
    /// The same, and by an allowance that only one payment at a time can set (EIP-2612).
    AfterwardsByPermit,
}

/// Why nothing more may be owed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Full {
    /// The balance does not cover it beside what is unsettled.
    Balance,
    /// The operator's limit for this payer, or for all, is reached.
    Limit,
    /// Another payment by permit of the same payer is not settled yet.
    Permit,
}

/// A payment's share of its payer's unsettled sum, given back when this is dropped.
#[derive(Debug)]
pub struct Reservation {
    exposure: Exposure,
    payer: Address,
    amount: Units,
    settles: Settles,
}

impl Exposure {
    pub(super) fn new(limits: ExposureConfig) -> Self {
        Self {
            limits,
            books: Arc::default(),
        }
    }

    /// Counts a payment, if the payer's balance covers it beside all that is unsettled, and the
    /// limits leave room for it.
    pub(super) fn reserve(
        &self,
        payer: Address,
        amount: Units,
        balance: U256,
        settles: Settles,
    ) -> Result<Reservation, Full> {
        let books = self.books();
        let owed = books.payers.get(&payer);
        let unsettled = owed.map_or(U256::ZERO, |owed| owed.unsettled);
        let sum = unsettled.checked_add(U256::from(amount.atomic()));
        if sum.is_none_or(|sum| sum > balance) {
            return Err(Full::Balance);
        }
        if settles != Settles::First {
            let trusted = books.settled.get(&payer).copied().unwrap_or_default();
            let payer_max = self.limits.payer_first.plus(trusted).unwrap_or(trusted);
            let payer_max = payer_max.min(self.limits.payer_max);
            let own = owed.map(|owed| owed.afterwards).unwrap_or_default();
            let room = own.leaves(amount, payer_max, self.limits.payer_calls)
                && books
                    .afterwards
                    .leaves(amount, self.limits.total_max, self.limits.total_calls);
            if !room {
                return Err(Full::Limit);
            }
        }
        let permits = owed.map_or(0, |owed| owed.permits);
        if settles == Settles::AfterwardsByPermit && permits > 0 {
            return Err(Full::Permit);
        }
        drop(books);
        Ok(self.count(payer, amount, settles))
    }

    /// Counts a payment that was taken before, whatever the limits say now.
    pub(super) fn count(&self, payer: Address, amount: Units, settles: Settles) -> Reservation {
        let mut books = self.books();
        let owed = books.payers.entry(payer).or_default();
        owed.unsettled = owed.unsettled.saturating_add(U256::from(amount.atomic()));
        if settles != Settles::First {
            owed.afterwards.add(amount);
            books.afterwards.add(amount);
        }
        if settles == Settles::AfterwardsByPermit
            && let Some(owed) = books.payers.get_mut(&payer)
        {
            owed.permits = owed.permits.saturating_add(1);
        }
        drop(books);
        Reservation {
            exposure: self.clone(),
            payer,
            amount,
            settles,
        }
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reservation {
    /// The payment was settled, of `charged`: its payer may owe that much more from now on.
    pub fn settled(self, charged: Units) {
        if self.settles == Settles::First {
            return;
        }
        let mut books = self.exposure.books();
        if books.settled.len() >= RECORDS_MAX && !books.settled.contains_key(&self.payer) {
            books.settled.clear();
        }
        let record = books.settled.entry(self.payer).or_default();
        *record = record.plus(charged).unwrap_or(*record);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut books = self.exposure.books();
        if self.settles != Settles::First {
            books.afterwards.subtract(self.amount);
        }
        let Some(owed) = books.payers.get_mut(&self.payer) else {
            return;
        };
        owed.unsettled = owed
            .unsettled
            .saturating_sub(U256::from(self.amount.atomic()));
        if self.settles != Settles::First {
            owed.afterwards.subtract(self.amount);
        }
        if self.settles == Settles::AfterwardsByPermit {
            owed.permits = owed.permits.saturating_sub(1);
        }
        if owed.unsettled.is_zero() && owed.afterwards.calls == 0 {
            books.payers.remove(&self.payer);
        }
    }
}

impl Afterwards {
    fn leaves(self, amount: Units, amount_max: Units, calls_max: u64) -> bool {
        self.calls < calls_max && self.amount.plus(amount).is_ok_and(|sum| sum <= amount_max)
    }

    fn add(&mut self, amount: Units) {
        self.amount = self.amount.plus(amount).unwrap_or(self.amount);
        self.calls = self.calls.saturating_add(1);
    }

    fn subtract(&mut self, amount: Units) {
        self.amount = self.amount.minus(amount).unwrap_or_default();
        self.calls = self.calls.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exposure() -> Exposure {
        let units = Units::from_atomic;
        Exposure::new(ExposureConfig {
            payer_first: units(10),
            payer_max: units(30),
            payer_calls: 3,
            total_max: units(35),
            total_calls: 5,
        })
    }

    fn five() -> Units {
        Units::from_atomic(5)
    }

    const PAYER: Address = Address::repeat_byte(1);
    const OTHER: Address = Address::repeat_byte(2);

    #[test]
    fn rule_13_a_balance_covers_only_so_many_payments_at_once() {
        let exposure = exposure();
        let reserve = |who| exposure.reserve(who, five(), U256::from(10), Settles::First);
        let first = reserve(PAYER);
        let second = reserve(PAYER);
        assert!(first.is_ok() && second.is_ok());
        assert_eq!(reserve(PAYER).err(), Some(Full::Balance));
        assert!(reserve(OTHER).is_ok());
        drop(first);
        let again = reserve(PAYER);
        assert!(again.is_ok());
        drop((second, again));
        assert!(exposure.books().payers.is_empty());
    }

    #[test]
    fn rule_13_what_is_owed_afterwards_grows_with_what_was_settled_up_to_the_limits() {
        let exposure = exposure();
        let reserve = |who| exposure.reserve(who, five(), U256::MAX, Settles::Afterwards);
        let held = [reserve(PAYER), reserve(PAYER)];
        assert_eq!(reserve(PAYER).err(), Some(Full::Limit), "ten at first");
        for reservation in held.into_iter().flatten() {
            reservation.settled(five());
        }
        let held = [reserve(PAYER), reserve(PAYER), reserve(PAYER)];
        assert!(held.iter().all(Result::is_ok), "twenty after ten settled");
        assert_eq!(reserve(PAYER).err(), Some(Full::Limit), "three calls");
        let others = [reserve(OTHER), reserve(OTHER)];
        assert!(others.iter().all(Result::is_ok));
        let third = Address::repeat_byte(3);
        assert_eq!(reserve(third).err(), Some(Full::Limit), "five calls in all");
        drop(others);
        assert!(reserve(third).is_ok());
    }

    #[test]
    fn rule_13_one_permit_at_a_time() {
        let exposure = exposure();
        let by_permit = || exposure.reserve(PAYER, five(), U256::MAX, Settles::AfterwardsByPermit);
        let first = by_permit();
        assert_eq!(by_permit().err(), Some(Full::Permit));
        drop(first);
        assert!(by_permit().is_ok());
    }
}
