//! Proof that the records agree: the log with itself, everything else with the log.

use super::batch::{CreditEntry, decode};
use super::keys;
use super::log::LogEntry;
use super::machine::{
    CallId, CallState, Credit, CreditKey, Digest32, EntityId, Event, ReplayKey, TransitionError,
    WithdrawalId, WithdrawalState, Work,
};
use super::store::{Head, Pair, Store, StoreError};
use crate::money::AmountError;
use serde::Serialize;
use std::collections::BTreeMap;

const PAGE: usize = 1000;

/// What a walk over everything found.
#[derive(Debug, Clone, Serialize)]
pub struct VerifyReport {
    /// The number of log entries.
    pub entries: u64,
    /// The hash of the newest entry.
    pub head: Digest32,
    /// The number of calls.
    pub calls: u64,
    /// How many of them have something left to do.
    pub calls_open: u64,
    /// The number of withdrawals.
    pub withdrawals: u64,
    /// The money, per chain and asset.
    pub totals: Vec<Totals>,
    /// Everything that does not agree; empty when the ledger is sound.
    pub faults: Vec<Fault>,
}

impl VerifyReport {
    /// Whether nothing disagrees.
    pub const fn is_sound(&self) -> bool {
        self.faults.is_empty()
    }
}

/// One thing that does not agree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// The log entry concerned.
    pub seq: Option<u64>,
    /// The call, withdrawal or key concerned.
    pub subject: Option<String>,
    /// What is wrong.
    pub what: String,
}

/// Where the money of one asset on one chain is, in atomic units.
/// settled = captured + in_flight + available + withdrawing + withdrawn.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Totals {
    /// The chain, as CAIP-2.
    pub network: String,
    /// The asset.
    pub asset: String,
    /// What confirmed settlements moved to us.
    pub settled: i128,
    /// What of it was charged.
    pub captured: i128,
    /// What of it belongs to calls that are still under way.
    pub in_flight: i128,
    /// What was charged and is not settled yet.
    pub receivable: i128,
    /// What was charged and will not be settled.
    pub uncollected: i128,
    /// Credit that can be withdrawn.
    pub available: i128,
    /// Credit that awaits a settlement.
    pub pending: i128,
    /// Credit on its way to payers.
    pub withdrawing: i128,
    /// Credit paid out.
    pub withdrawn: i128,
}

/// Walks the committed records of `store`; fails only when the store cannot be read.
pub(super) fn verify(store: &dyn Store) -> Result<VerifyReport, StoreError> {
    let mut walk = Walk::default();
    each(store, keys::LOG, |pair| walk.entry(pair))?;
    walk.end(Head::decode(store.read(Head::KEY)?.as_deref()).ok());
    walk.calls_agree(store)?;
    walk.withdrawals_agree(store)?;
    walk.indexes_agree(store)?;
    let totals = walk.money_agrees(store)?;
    Ok(VerifyReport {
        entries: walk.last.seq,
        head: walk.last.hash,
        calls: walk.calls.len() as u64,
        calls_open: walk.calls.values().filter(|call| call.open()).count() as u64,
        withdrawals: walk.withdrawals.len() as u64,
        totals,
        faults: walk.faults,
    })
}

#[derive(Debug)]
struct Walk {
    last: Head,
    calls: BTreeMap<CallId, CallState>,
    withdrawals: BTreeMap<WithdrawalId, WithdrawalState>,
    faults: Vec<Fault>,
}

impl Default for Walk {
    fn default() -> Self {
        Self {
            last: Head::EMPTY,
            calls: BTreeMap::new(),
            withdrawals: BTreeMap::new(),
            faults: Vec::new(),
        }
    }
}

impl Walk {
    /// One log entry: in its place, bound to the one before, and a legal step of its entity.
    fn entry(&mut self, (key, value): &Pair) {
        let expected = self.last.seq.saturating_add(1);
        let Some(seq) = keys::log_seq(key) else {
            return self.broken(expected, "a key that is no entry's number follows");
        };
        if seq != expected {
            self.broken(expected, "the entry is missing");
        }
        let entry: LogEntry = match serde_json::from_slice(value) {
            Ok(entry) => entry,
            Err(error) => {
                self.broken(seq, &format!("the entry cannot be read: {error}"));
                self.last.seq = seq;
                return;
            }
        };
        if entry.seq != seq {
            self.broken(seq, "the entry carries another number");
        }
        if entry.prev != self.last.hash {
            self.broken(seq, "the entry does not follow the one before");
        }
        if entry.computed_hash() != entry.hash {
            self.broken(seq, "the content does not match the hash");
        }
        self.last = Head {
            seq,
            hash: entry.hash,
        };
        match entry.parsed() {
            Ok(event) => {
                if let Err(error) = self.replay(entry.id, &event) {
                    self.broken(seq, &format!("the event cannot have happened: {error}"));
                }
            }
            Err(error) => self.broken(seq, &format!("the event cannot be read: {error}")),
        }
    }

    fn replay(&mut self, id: EntityId, event: &Event) -> Result<(), TransitionError> {
        match id {
            EntityId::Call(id) => {
                if matches!(event, Event::Held(hold) if hold.call != id) {
                    return Err(TransitionError::OtherId);
                }
                let state = CallState::apply(self.calls.get(&id), event)?;
                self.calls.insert(id, state);
            }
            EntityId::Withdrawal(id) => {
                if matches!(event, Event::WithdrawalRequested(w) if w.id != id) {
                    return Err(TransitionError::OtherId);
                }
                let state = WithdrawalState::apply(self.withdrawals.get(&id), event)?;
                self.withdrawals.insert(id, state);
            }
        }
        Ok(())
    }

    fn end(&mut self, recorded: Option<Head>) {
        if recorded != Some(self.last) {
            self.broken(self.last.seq, "the recorded end is not the log's end");
        }
    }

    /// Every call: the stored state is the replayed one, its keys lead to it, its sums hold.
    fn calls_agree(&mut self, store: &dyn Store) -> Result<(), StoreError> {
        let mut faults = Vec::new();
        for (id, state) in &self.calls {
            let mut fault = |what: &str| faults.push(about(id, what));
            let entity = EntityId::Call(*id);
            let stored = store.read(&keys::state(&entity))?;
            if stored
                .and_then(|bytes| decode::<CallState>(&bytes).ok())
                .as_ref()
                != Some(state)
            {
                fault("the stored state is not the replayed one");
            }
            let leads_here = |key: Vec<u8>| -> Result<bool, StoreError> {
                Ok(store.read(&key)?.as_deref() == Some(id.to_string().as_bytes()))
            };
            if !leads_here(keys::replay(&state.hold.replay_key))? {
                fault("its replay key does not lead to it");
            }
            if let Some(key) = &state.hold.payment_id
                && !leads_here(keys::payment_id(key))?
            {
                fault("its payment identifier does not lead to it");
            }
            if store.read(&keys::open(&entity))?.is_some() != state.open() {
                fault("the open index disagrees with its state");
            }
            if !conserved(state) {
                fault("held is not charged + credited + released");
            }
        }
        self.faults.extend(faults);
        Ok(())
    }

    fn withdrawals_agree(&mut self, store: &dyn Store) -> Result<(), StoreError> {
        let mut faults = Vec::new();
        for (id, state) in &self.withdrawals {
            let entity = EntityId::Withdrawal(*id);
            let stored = store.read(&keys::state(&entity))?;
            let stored = stored.and_then(|bytes| decode::<WithdrawalState>(&bytes).ok());
            if stored.as_ref() != Some(state) {
                faults.push(about(id, "the stored state is not the replayed one"));
            }
            if store.read(&keys::open(&entity))?.is_some() != state.open() {
                faults.push(about(id, "the open index disagrees with its state"));
            }
        }
        self.faults.extend(faults);
        Ok(())
    }

    /// The other way round: nothing is stored or indexed that the log does not know.
    fn indexes_agree(&mut self, store: &dyn Store) -> Result<(), StoreError> {
        let Self {
            calls,
            withdrawals,
            faults,
            ..
        } = self;
        let known = |id: &EntityId| match id {
            EntityId::Call(id) => calls.contains_key(id),
            EntityId::Withdrawal(id) => withdrawals.contains_key(id),
        };
        for prefix in [keys::CALLS, keys::WITHDRAWALS, keys::OPEN] {
            each(store, prefix, |(key, _)| {
                if !text_after::<EntityId>(key, prefix).is_some_and(|id| known(&id)) {
                    faults.push(about(&show(key), "the log does not know it"));
                }
            })?;
        }
        type KeyOf = fn(&CallState) -> Option<ReplayKey>;
        let of_replay: KeyOf = |call| Some(call.hold.replay_key);
        let of_payment: KeyOf = |call| call.hold.payment_id;
        for (prefix, key_of) in [(keys::REPLAYS, of_replay), (keys::PAYMENT_IDS, of_payment)] {
            each(store, prefix, |(key, value)| {
                let call = text_after::<CallId>(value, b"").and_then(|id| calls.get(&id));
                let named = text_after::<ReplayKey>(key, prefix);
                if named.is_none() || call.and_then(key_of) != named {
                    faults.push(about(&show(key), "it leads to no call that carries it"));
                }
            })?;
        }
        Ok(())
    }

    /// Credits are the sums over calls and withdrawals, and no money appears or disappears.
    fn money_agrees(&mut self, store: &dyn Store) -> Result<Vec<Totals>, StoreError> {
        let mut totals: BTreeMap<(String, String), Totals> = BTreeMap::new();
        let mut credits: BTreeMap<CreditKey, Credit> = BTreeMap::new();
        if let Err(error) = self.sum(&mut totals, &mut credits) {
            self.faults.push(about(&"totals", &error.to_string()));
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
            let signed = |units: crate::money::Units| {
                i128::try_from(units.atomic()).map_err(|_| AmountError::Overflow)
            };
            let charged = signed(call.charged())?;
            let worked = matches!(call.work, Work::Captured(_) | Work::Voided { .. });
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

    fn broken(&mut self, seq: u64, what: &str) {
        self.faults.push(Fault {
            seq: Some(seq),
            subject: None,
            what: what.to_owned(),
        });
    }
}

/// held = charged + credited + released, where only what the payer never sends is released.
fn conserved(state: &CallState) -> bool {
    let held = state.hold.held;
    match &state.work {
        Work::Captured(capture) => {
            let moved = state.moved_for(capture.charged);
            moved <= held && capture.charged.plus(capture.credited) == Ok(moved)
        }
        Work::Voided { .. } => state.charged().is_zero(),
        Work::Held | Work::Forwarded | Work::Answered => state.charged().is_zero(),
    }
}

fn add(total: &mut i128, n: i128) -> Result<(), AmountError> {
    *total = total.checked_add(n).ok_or(AmountError::Overflow)?;
    Ok(())
}

fn each(store: &dyn Store, prefix: &[u8], mut see: impl FnMut(&Pair)) -> Result<(), StoreError> {
    let mut after: Option<Vec<u8>> = None;
    loop {
        let page = store.scan(prefix, after.as_deref(), PAGE)?;
        let Some((last, _)) = page.last() else {
            return Ok(());
        };
        after = Some(last.clone());
        page.iter().for_each(&mut see);
    }
}

fn about(subject: &dyn std::fmt::Display, what: &str) -> Fault {
    Fault {
        seq: None,
        subject: Some(subject.to_string()),
        what: what.to_owned(),
    }
}

fn text_after<T: std::str::FromStr>(key: &[u8], prefix: &[u8]) -> Option<T> {
    std::str::from_utf8(key.strip_prefix(prefix)?)
        .ok()?
        .parse()
        .ok()
}

fn show(key: &[u8]) -> String {
    String::from_utf8_lossy(key).into_owned()
}
