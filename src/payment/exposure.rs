//! What payers owe before it is settled (design rule 13): a wallet's balance pays for no more calls
//! at once than it covers, and what is captured only afterwards stays within the operator's limits.
//!
//! All of it is in memory, and a restart can only make the limits tighter. What is captured and not
//! settled yet is counted again from the ledger, before a call is taken ([`Exposure::count`]). Who left
//! a call unpaid is in the ledger too. Trust that was earned is forgotten: each payer begins at
//! `payer_first` again. What a restart voids owes nothing, and what is settled first delivers nothing
//! until it is settled, so a balance that covers too little then costs no answer.

use crate::config::ExposureConfig;
use crate::ledger::SettleWhen;
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

#[derive(Debug, Default, Clone, Copy)]
struct Owed {
    unsettled: U256,
    afterwards: Afterwards,
    /// What is to be drawn from the allowance of Permit2.
    drawn: U256,
    /// How many of these payments set that allowance themselves.
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
}

/// What a payment needs beside the balance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Draws {
    /// Nothing: its signature moves the money.
    BalanceAlone,
    /// So much allowance of Permit2 as stands, in atomic units.
    Allowance(U256),
    /// An allowance that it sets itself, to what it needs and whatever stood before (EIP-2612): no
    /// other payment can count on the allowance beside it.
    OwnPermit,
}

/// Why nothing more may be owed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Full {
    /// The balance does not cover it beside what is unsettled.
    Balance,
    /// The operator's limit for this payer, or for all, is reached.
    Limit,
    /// The allowance does not cover it beside what is unsettled.
    Allowance,
}

/// A payment's share of its payer's unsettled sum, given back when this is dropped.
#[derive(Debug)]
pub struct Reservation {
    exposure: Exposure,
    payer: Address,
    amount: Units,
    settles: Settles,
    draws: Draws,
}

impl Exposure {
    pub(super) fn new(limits: ExposureConfig) -> Self {
        Self {
            limits,
            books: Arc::default(),
        }
    }

    /// Counts a payment, if the payer's balance and allowance cover it beside all that is unsettled,
    /// and the limits leave room for it; the look and the count are one step.
    pub(super) fn reserve(
        &self,
        payer: Address,
        amount: Units,
        balance: U256,
        settles: Settles,
        draws: Draws,
    ) -> Result<Reservation, Full> {
        let mut books = self.books();
        let owed = books.payers.get(&payer).copied().unwrap_or_default();
        let value = U256::from(amount.atomic());
        let sum = owed.unsettled.checked_add(value);
        if sum.is_none_or(|sum| sum > balance) {
            return Err(Full::Balance);
        }
        if settles == Settles::Afterwards {
            let trusted = books.settled.get(&payer).copied().unwrap_or_default();
            let payer_max = self.limits.payer_first.plus(trusted).unwrap_or(trusted);
            let payer_max = payer_max.min(self.limits.payer_max);
            let all = books.afterwards;
            let room = owed
                .afterwards
                .leaves(amount, payer_max, self.limits.payer_calls)
                && all.leaves(amount, self.limits.total_max, self.limits.total_calls);
            if !room {
                return Err(Full::Limit);
            }
        }
        let allowed = match draws {
            Draws::BalanceAlone => true,
            Draws::Allowance(allowance) => {
                let drawn = owed.drawn.checked_add(value);
                owed.permits == 0 && drawn.is_some_and(|drawn| drawn <= allowance)
            }
            Draws::OwnPermit => owed.permits == 0 && owed.drawn.is_zero(),
        };
        if !allowed {
            return Err(Full::Allowance);
        }
        books.add(payer, amount, settles, draws);
        drop(books);
        Ok(self.reservation(payer, amount, settles, draws))
    }

    /// Counts a payment by `exact`, which is settled as the operator wants it; or beforehand, where it
    /// would be settled afterwards and its payer owes too much for that.
    pub(super) fn reserve_exact(
        &self,
        payer: Address,
        amount: Units,
        balance: U256,
        wanted: SettleWhen,
        draws: Draws,
    ) -> Result<(SettleWhen, Reservation), Full> {
        let reserve = |settles| self.reserve(payer, amount, balance, settles, draws);
        if wanted != SettleWhen::After {
            return Ok((wanted, reserve(Settles::First)?));
        }
        match reserve(Settles::Afterwards) {
            Ok(reservation) => Ok((SettleWhen::After, reservation)),
            Err(Full::Limit) => Ok((SettleWhen::Before, reserve(Settles::First)?)),
            Err(full) => Err(full),
        }
    }

    /// Counts a payment that was taken before, whatever the limits say now.
    pub(super) fn count(
        &self,
        payer: Address,
        amount: Units,
        settles: Settles,
        draws: Draws,
    ) -> Reservation {
        self.books().add(payer, amount, settles, draws);
        self.reservation(payer, amount, settles, draws)
    }

    fn reservation(
        &self,
        payer: Address,
        amount: Units,
        settles: Settles,
        draws: Draws,
    ) -> Reservation {
        Reservation {
            exposure: self.clone(),
            payer,
            amount,
            settles,
            draws,
        }
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Books {
    fn add(&mut self, payer: Address, amount: Units, settles: Settles, draws: Draws) {
        let value = U256::from(amount.atomic());
        let owed = self.payers.entry(payer).or_default();
        owed.unsettled = owed.unsettled.saturating_add(value);
        if draws != Draws::BalanceAlone {
            owed.drawn = owed.drawn.saturating_add(value);
        }
        if draws == Draws::OwnPermit {
            owed.permits = owed.permits.saturating_add(1);
        }
        if settles == Settles::Afterwards {
            owed.afterwards.add(amount);
            self.afterwards.add(amount);
        }
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
        if self.settles == Settles::Afterwards {
            books.afterwards.subtract(self.amount);
        }
        let Some(owed) = books.payers.get_mut(&self.payer) else {
            return;
        };
        let value = U256::from(self.amount.atomic());
        owed.unsettled = owed.unsettled.saturating_sub(value);
        if self.settles == Settles::Afterwards {
            owed.afterwards.subtract(self.amount);
        }
        if self.draws != Draws::BalanceAlone {
            owed.drawn = owed.drawn.saturating_sub(value);
        }
        if self.draws == Draws::OwnPermit {
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
        let reserve = |who| {
            let balance = U256::from(10);
            exposure.reserve(who, five(), balance, Settles::First, Draws::BalanceAlone)
        };
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
        let reserve = |who| afterwards(&exposure, who, Draws::BalanceAlone);
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
    fn rule_13_many_at_once_find_no_more_room_than_one_after_another() {
        let exposure = exposure();
        let together = std::sync::Barrier::new(16);
        let served = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..16)
                .map(|_| {
                    scope.spawn(|| {
                        together.wait();
                        afterwards(&exposure, PAYER, Draws::BalanceAlone).ok()
                    })
                })
                .collect();
            let reserved: Vec<_> = threads.into_iter().map(|one| one.join()).collect();
            reserved.iter().flatten().flatten().count()
        });
        assert_eq!(served, 2, "ten units at first");
    }

    #[test]
    fn rule_13_an_allowance_covers_only_so_many_payments_at_once() {
        let exposure = exposure();
        let of_nine = Draws::Allowance(U256::from(9));
        let first = afterwards(&exposure, PAYER, of_nine);
        assert!(first.is_ok());
        let second = afterwards(&exposure, PAYER, of_nine);
        assert_eq!(second.err(), Some(Full::Allowance));
        let other_means = afterwards(&exposure, PAYER, Draws::BalanceAlone);
        assert!(other_means.is_ok());
        drop(first);
        assert!(afterwards(&exposure, PAYER, of_nine).is_ok());
    }

    #[test]
    fn rule_13_a_permit_is_the_only_draw_on_the_allowance_that_it_sets() {
        let exposure = exposure();
        let standing = Draws::Allowance(U256::MAX);
        for (taken, beside) in [
            (Draws::OwnPermit, Draws::OwnPermit),
            (Draws::OwnPermit, standing),
            (standing, Draws::OwnPermit),
        ] {
            let first = afterwards(&exposure, PAYER, taken);
            assert!(first.is_ok());
            let second = afterwards(&exposure, PAYER, beside);
            assert_eq!(second.err(), Some(Full::Allowance));
            drop(first);
            assert!(afterwards(&exposure, PAYER, beside).is_ok());
        }
        assert!(exposure.books().payers.is_empty());
    }

    fn afterwards(exposure: &Exposure, who: Address, draws: Draws) -> Result<Reservation, Full> {
        exposure.reserve(who, five(), U256::MAX, Settles::Afterwards, draws)
    }
}
