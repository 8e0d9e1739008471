//! No money appears or disappears: credits, totals and channels are sums over everything replayed.

use super::super::batch::decode;
use super::super::keys;
use super::super::machine::{
    CallState, ChannelId, Credit, CreditKey, SettleWhen, TransitionError, Work,
};
use super::super::payouts::CreditEntry;
use super::super::store::{Reader, StoreError};
use super::records::show;
use super::replay::Walk;
use super::{Totals, about, each};
use crate::money::{AmountError, Units};
use std::collections::BTreeMap;

/// What a channel's calls add up to.
#[derive(Debug, Default, PartialEq)]
struct Share {
    captured: Units,
    reserved: Units,
    running: u32,
}

impl Walk {
    /// Credits are the sums over calls and withdrawals, and no money appears or disappears.
    pub(super) fn money_agrees(&mut self, store: &dyn Reader) -> Result<Vec<Totals>, StoreError> {
        let mut totals: BTreeMap<(String, String), Totals> = BTreeMap::new();
        let mut credits: BTreeMap<CreditKey, Credit> = BTreeMap::new();
        if let Err(error) = self.sum(&mut totals, &mut credits) {
            self.faults.push(about(&"totals", &error.to_string()));
        }
        if let Err(error) = self.sum_channels(&mut totals) {
            self.faults.push(about(&"channels", &error.to_string()));
        }
        let mut stored: BTreeMap<CreditKey, Credit> = BTreeMap::new();
        let faults = &mut self.faults;
        each(store, keys::CREDITS, |(key, value)| {
            match decode::<CreditEntry>(value) {
                Ok(entry) if keys::credit(&entry.key) == *key => {
                    stored.insert(entry.key, entry.credit);
                }
                _ => faults.push(about(&show(key), "the credit record cannot be read")),
            }
        })?;
        let mut keys: Vec<&CreditKey> = credits.keys().chain(stored.keys()).collect();
        keys.sort();
        keys.dedup();
        for key in keys {
            let held = stored.get(key).copied().unwrap_or_default();
            if held != credits.get(key).copied().unwrap_or_default() {
                faults.push(about(&key.payer, "the credit is not the sum of its calls"));
            }
            let place = (key.network.clone(), key.asset.clone());
            let total = totals.entry(place).or_default();
            total.available = total.available.saturating_add(held.available);
            total.pending = total.pending.saturating_add(held.pending);
            total.withdrawing = total.withdrawing.saturating_add(held.withdrawing);
            total.withdrawn = total.withdrawn.saturating_add(held.withdrawn);
        }
        for ((network, asset), total) in &mut totals {
            (total.network, total.asset) = (network.clone(), asset.clone());
            let parts = [
                total.captured,
                total.in_flight,
                total.available,
                total.withdrawing,
                total.withdrawn,
            ];
            if parts.iter().try_fold(0i128, |sum, n| sum.checked_add(*n)) != Some(total.settled) {
                let what = "settled is not captured + in flight + credit + paid out";
                faults.push(about(&format!("{network} {asset}"), what));
            }
        }
        Ok(totals.into_values().collect())
    }

    fn sum(
        &self,
        totals: &mut BTreeMap<(String, String), Totals>,
        credits: &mut BTreeMap<CreditKey, Credit>,
    ) -> Result<(), TransitionError> {
        let none = Credit::default();
        for call in self.calls.values() {
            let key = call.credit_key()?;
            let total = totals
                .entry((key.network.clone(), key.asset.clone()))
                .or_default();
            let credit = credits.entry(key).or_default();
            *credit = credit.moved(&none, &call.credit()?)?;
            let charged = signed(call.charged())?;
            let worked = matches!(call.work, Work::Captured(_) | Work::Voided { .. });
            if call.hold.settle_when == SettleWhen::ByClaim {
                continue;
            }
            let place = if call.settlement.is_confirmed() {
                let moved = signed(call.settlement_amount().unwrap_or_default())?;
                add(&mut total.settled, moved)?;
                if !worked {
                    add(&mut total.in_flight, moved)?;
                }
                &mut total.captured
            } else if call.settlement.is_final() {
                &mut total.uncollected
            } else {
                &mut total.receivable
            };
            add(place, charged)?;
        }
        for withdrawal in self.withdrawals.values() {
            let credit = credits.entry(withdrawal.credit_key()?).or_default();
            *credit = credit.moved(&none, &withdrawal.credit()?)?;
        }
        Ok(())
    }

    /// Every channel: what it holds and what it was charged are the sums over its calls.
    fn sum_channels(
        &mut self,
        totals: &mut BTreeMap<(String, String), Totals>,
    ) -> Result<(), AmountError> {
        let mut shares: BTreeMap<ChannelId, Share> = BTreeMap::new();
        for call in self.calls.values() {
            if let Some(used) = &call.hold.channel {
                shares.entry(used.channel).or_default().add(call)?;
            }
        }
        for (id, state) in &self.channels {
            let share = shares.remove(id).unwrap_or_default();
            if state.charged != state.charged_elsewhere.plus(share.captured)? {
                let what = "charged is not what its calls were charged";
                self.faults.push(about(id, what));
            }
            if (state.reserved, state.running) != (share.reserved, share.running) {
                let what = "reserved is not what its running calls hold";
                self.faults.push(about(id, what));
            }
            let place = (state.opening.network.clone(), state.opening.asset.clone());
            let total = totals.entry(place).or_default();
            for (sum, units) in [
                (&mut total.channels_captured, share.captured),
                (
                    &mut total.channels_charged_elsewhere,
                    state.charged_elsewhere,
                ),
                (&mut total.channels_reserved, state.reserved),
                (&mut total.channels_claimed, state.on_chain.total_claimed),
            ] {
                add(sum, signed(units)?)?;
            }
        }
        Ok(())
    }
}

impl Share {
    fn add(&mut self, call: &CallState) -> Result<(), AmountError> {
        self.captured = self.captured.plus(call.charged())?;
        if !matches!(call.work, Work::Captured(_) | Work::Voided { .. }) {
            self.reserved = self.reserved.plus(call.hold.held)?;
            self.running = self.running.checked_add(1).ok_or(AmountError::Overflow)?;
        }
        Ok(())
    }
}

fn signed(units: Units) -> Result<i128, AmountError> {
    i128::try_from(units.atomic()).map_err(|_| AmountError::Overflow)
}

fn add(total: &mut i128, n: i128) -> Result<(), AmountError> {
    *total = total.checked_add(n).ok_or(AmountError::Overflow)?;
    Ok(())
}
