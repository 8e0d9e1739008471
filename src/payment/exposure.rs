//! What payers owe before it is settled: a wallet's balance pays for no more calls at once than it
//! covers, however many it signs (design rule 13).

use crate::money::Units;
use alloy::primitives::{Address, U256};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The unsettled sums, by payer; clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct Exposure {
    unsettled: Arc<Mutex<HashMap<Address, U256>>>,
}

/// A payment's share of its payer's unsettled sum, given back when this is dropped.
#[derive(Debug)]
pub struct Reservation {
    exposure: Exposure,
    payer: Address,
    amount: U256,
}

impl Exposure {
    /// Counts a payment, if the payer's balance covers it beside all that is unsettled.
    pub(super) fn reserve(
        &self,
        payer: Address,
        amount: Units,
        balance: U256,
    ) -> Option<Reservation> {
        let amount = U256::from(amount.atomic());
        let mut unsettled = self.sums();
        let before = unsettled.get(&payer).copied().unwrap_or_default();
        let sum = before.checked_add(amount).filter(|sum| *sum <= balance)?;
        unsettled.insert(payer, sum);
        drop(unsettled);
        Some(Reservation {
            exposure: self.clone(),
            payer,
            amount,
        })
    }

    fn sums(&self) -> MutexGuard<'_, HashMap<Address, U256>> {
        self.unsettled
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut unsettled = self.exposure.sums();
        let left = unsettled
            .get(&self.payer)
            .map(|sum| sum.saturating_sub(self.amount));
        match left {
            Some(left) if !left.is_zero() => {
                unsettled.insert(self.payer, left);
            }
            _ => {
                unsettled.remove(&self.payer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rule_13_a_balance_covers_only_so_many_payments_at_once() {
        let exposure = Exposure::default();
        let (payer, other) = (Address::repeat_byte(1), Address::repeat_byte(2));
        let reserve = |who| exposure.reserve(who, Units::from_atomic(5), U256::from(10));
        let first = reserve(payer);
        let second = reserve(payer);
        assert!(first.is_some() && second.is_some());
        assert!(
            reserve(payer).is_none(),
            "a third payment out of two payments' balance"
        );
        assert!(reserve(other).is_some());
        drop(first);
        let again = reserve(payer);
        assert!(again.is_some());
        drop((second, again));
        assert!(exposure.sums().is_empty());
    }
}
