//! What is stored beside the log: every record and index entry, in both directions.

use super::super::batch::decode;
use super::super::calls::StandingEntry;
use super::super::keys;
use super::super::machine::{
    CallId, CallState, ChannelId, ChannelState, CreditKey, EntityId, ReplayKey, Standing, Work,
};
use super::super::steps::CallRecord;
use super::super::store::{Reader, StoreError};
use super::replay::Walk;
use super::{about, each};
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;

impl Walk {
    /// Every entity: the stored state is the replayed one, its keys lead to it, its sums hold.
    pub(super) fn records_agree(&mut self, store: &dyn Reader) -> Result<(), StoreError> {
        let mut faults = Vec::new();
        for (id, state) in &self.calls {
            let mut fault = |what: &str| faults.push(about(id, what));
            let entity = EntityId::Call(*id);
            let stored = store.read(&keys::state(&entity))?;
            let told = match stored.and_then(|bytes| CallRecord::decode(&bytes).ok()) {
                Some(CallRecord::Steps(steps)) => self.steps.get(id) == Some(&steps),
                Some(CallRecord::State(stored)) => *stored == *state,
                None => false,
            };
            if !told {
                fault("its record does not tell what the log does");
            }
            indexed_as(store, entity, state.open(), &mut fault)?;
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
            if !conserved(state) {
                fault("held is not charged + credited + released");
            }
        }
        for (id, state) in &self.withdrawals {
            let mut fault = |what: &str| faults.push(about(id, what));
            let entity = EntityId::Withdrawal(*id);
            stored_as(store, entity, state, state.open(), &mut fault)?;
        }
        for (id, state) in &self.operations {
            let mut fault = |what: &str| faults.push(about(id, what));
            stored_as(
                store,
                EntityId::Operation(*id),
                state,
                state.open(),
                &mut fault,
            )?;
        }
        for (id, state) in &self.channels {
            let mut fault = |what: &str| faults.push(about(id, what));
            stored_as(store, EntityId::Channel(*id), state, false, &mut fault)?;
            let index = keys::payer_channel(&state.opening.payer, id);
            if store.read(&index)?.is_none() {
                fault("its payer's index does not lead to it");
            }
        }
        self.faults.extend(faults);
        self.standings_agree(store)
    }

    fn standings_agree(&mut self, store: &dyn Reader) -> Result<(), StoreError> {
        let Self {
            standings, faults, ..
        } = self;
        let mut stored: BTreeMap<CreditKey, Standing> = BTreeMap::new();
        each(store, keys::STANDINGS, |(key, value)| {
            match decode::<StandingEntry>(value) {
                Ok(entry) if keys::standing(&entry.key) == *key => {
                    stored.insert(entry.key, entry.standing);
                }
                _ => faults.push(about(&show(key), "the standing cannot be read")),
            }
        })?;
        if stored != *standings {
            let odd = |key: &&CreditKey| stored.get(*key) != standings.get(*key);
            let what = "the standing is not what its payer's calls make it";
            let keys = stored.keys().chain(standings.keys()).filter(odd);
            faults.extend(keys.map(|key| about(&key.payer, what)));
        }
        Ok(())
    }

    /// The other way round: nothing is stored or indexed that the log does not know.
    pub(super) fn indexes_agree(&mut self, store: &dyn Reader) -> Result<(), StoreError> {
        let Self {
            calls,
            withdrawals,
            channels,
            operations,
            faults,
            ..
        } = self;
        let known = |id: &EntityId| match id {
            EntityId::Call(id) => calls.contains_key(id),
            EntityId::Withdrawal(id) => withdrawals.contains_key(id),
            EntityId::Channel(id) => channels.contains_key(id),
            EntityId::Operation(id) => operations.contains_key(id),
        };
        for prefix in [
            keys::CALLS,
            keys::WITHDRAWALS,
            keys::CHANNELS,
            keys::OPERATIONS,
            keys::OPEN,
        ] {
            each(store, prefix, |(key, _)| {
                if !text_after::<EntityId>(key, prefix).is_some_and(|id| known(&id)) {
                    faults.push(about(&show(key), "the log does not know it"));
                }
            })?;
        }
        each(store, keys::PAYER_CHANNELS, |(key, _)| {
            let named = key.rsplit(|byte| *byte == b'/').next();
            let id = named.and_then(|id| text_after::<ChannelId>(id, b""));
            let channel = id.and_then(|id| channels.get(&id));
            let right = |c: &&ChannelState| {
                keys::payer_channel(&c.opening.payer, &c.opening.channel) == *key
            };
            if channel.filter(right).is_none() {
                faults.push(about(&show(key), "it leads to no channel of this payer"));
            }
        })?;
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
}

fn stored_as<T: DeserializeOwned + PartialEq>(
    store: &dyn Reader,
    id: EntityId,
    replayed: &T,
    open: bool,
    fault: &mut impl FnMut(&str),
) -> Result<(), StoreError> {
    let stored = store.read(&keys::state(&id))?;
    let stored = stored.and_then(|bytes| decode::<T>(&bytes).ok());
    if stored.as_ref() != Some(replayed) {
        fault("the stored state is not the replayed one");
    }
    indexed_as(store, id, open, fault)
}

fn indexed_as(
    store: &dyn Reader,
    id: EntityId,
    open: bool,
    fault: &mut impl FnMut(&str),
) -> Result<(), StoreError> {
    if store.read(&keys::open(&id))?.is_some() != open {
        fault("the open index disagrees with its state");
    }
    Ok(())
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

fn text_after<T: std::str::FromStr>(key: &[u8], prefix: &[u8]) -> Option<T> {
    std::str::from_utf8(key.strip_prefix(prefix)?)
        .ok()?
        .parse()
        .ok()
}

pub(super) fn show(key: &[u8]) -> String {
    String::from_utf8_lossy(key).into_owned()
}
