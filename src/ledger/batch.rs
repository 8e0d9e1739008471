//! What commands do to the ledger, staged in memory until one commit makes all of it durable.

use super::error::{HoldRefused, LedgerError};
use super::keys;
use super::log::LogEntry;
use super::machine::{
    CallId, CallState, Credit, CreditKey, EntityId, Event, Hold, ReplayKey, Withdrawal,
    WithdrawalId, WithdrawalState,
};
use super::store::{Head, Pair, RECORD_BYTES_MAX, Store, StoreError, Write};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

/// How many pairs are asked of the store at a time.
const PAGE: usize = 1000;

/// A payer's credit in one asset on one chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreditEntry {
    /// Whose, where, in what.
    #[serde(flatten)]
    pub key: CreditKey,
    /// How much.
    #[serde(flatten)]
    pub credit: Credit,
}

/// Staged writes over a store. A command stages nothing until nothing can fail any more, so a
/// refused command leaves no trace in the batch it shares with others.
#[derive(Debug)]
pub(super) struct Batch<'a> {
    store: &'a dyn Store,
    staged: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    committed: Head,
    head: Head,
    bytes: usize,
    writable: bool,
    store_failed: Cell<bool>,
}

/// A finished batch, free of the store it was made over.
#[derive(Debug)]
pub(super) struct Staged {
    pub(super) writes: Vec<Write>,
    pub(super) head: Head,
    pub(super) store_failed: bool,
}

impl<'a> Batch<'a> {
    /// An empty batch after `head`.
    pub(super) fn new(store: &'a dyn Store, head: Head, writable: bool) -> Self {
        Self {
            store,
            staged: BTreeMap::new(),
            committed: head,
            head,
            bytes: 0,
            writable,
            store_failed: Cell::new(false),
        }
    }

    /// Takes a credential: claims its replay key and payment identifier and starts the call.
    pub(super) fn hold(&mut self, hold: Hold) -> Result<(), HoldRefused> {
        self.writable()?;
        if let Some(state) = self.by_replay_key(&hold.replay_key)? {
            return Err(HoldRefused::Taken {
                call: state.hold.call,
                request: state.hold.request,
                summary: state.summary(),
            });
        }
        if let Some(key) = &hold.payment_id
            && let Some(state) = self.by_payment_id(key)?
        {
            return Err(HoldRefused::PaymentIdTaken {
                call: state.hold.call,
                request: state.hold.request,
                summary: state.summary(),
            });
        }
        let (call, replay_key, payment_id) = (hold.call, hold.replay_key, hold.payment_id);
        let before = self.call(&call)?;
        let event = Event::Held(Box::new(hold));
        let state = CallState::apply(before.as_ref(), &event)?;
        self.append_call(call, None, &state, &event)?;
        let id = call.to_string().into_bytes();
        self.put(keys::replay(&replay_key), id.clone());
        if let Some(key) = payment_id {
            self.put(keys::payment_id(&key), id);
        }
        Ok(())
    }

    /// Records what happened to a call that is already held.
    pub(super) fn record(&mut self, id: CallId, event: &Event) -> Result<CallState, LedgerError> {
        self.writable()?;
        let before = self
            .call(&id)?
            .ok_or(LedgerError::Unknown(EntityId::Call(id)))?;
        let state = CallState::apply(Some(&before), event)?;
        self.append_call(id, Some(&before), &state, event)?;
        Ok(state)
    }

    /// Takes credit for a payout; refused when there is not enough.
    pub(super) fn request_withdrawal(
        &mut self,
        withdrawal: Withdrawal,
    ) -> Result<WithdrawalState, LedgerError> {
        self.writable()?;
        let id = withdrawal.id;
        let before = self.withdrawal(&id)?;
        let event = Event::WithdrawalRequested(withdrawal);
        let state = WithdrawalState::apply(before.as_ref(), &event)?;
        let available = self.credit(&state.credit_key()?)?.spendable();
        if state.withdrawal.amount > available {
            return Err(LedgerError::InsufficientCredit { available });
        }
        self.append_withdrawal(id, None, &state, &event)?;
        Ok(state)
    }

    /// Records what happened to a payout.
    pub(super) fn record_withdrawal(
        &mut self,
        id: WithdrawalId,
        event: &Event,
    ) -> Result<WithdrawalState, LedgerError> {
        self.writable()?;
        let unknown = LedgerError::Unknown(EntityId::Withdrawal(id));
        let before = self.withdrawal(&id)?.ok_or(unknown)?;
        let state = WithdrawalState::apply(Some(&before), event)?;
        self.append_withdrawal(id, Some(&before), &state, event)?;
        Ok(state)
    }

    /// A call's state.
    pub(super) fn call(&self, id: &CallId) -> Result<Option<CallState>, LedgerError> {
        self.read(&keys::state(&EntityId::Call(*id)))
    }

    /// The call a credential bought.
    pub(super) fn by_replay_key(&self, key: &ReplayKey) -> Result<Option<CallState>, LedgerError> {
        self.indexed(&keys::replay(key))
    }

    /// The call a payment identifier was used for.
    pub(super) fn by_payment_id(&self, key: &ReplayKey) -> Result<Option<CallState>, LedgerError> {
        self.indexed(&keys::payment_id(key))
    }

    /// A withdrawal's state.
    pub(super) fn withdrawal(
        &self,
        id: &WithdrawalId,
    ) -> Result<Option<WithdrawalState>, LedgerError> {
        self.read(&keys::state(&EntityId::Withdrawal(*id)))
    }

    /// All calls with something left to do, in the order of their ids.
    pub(super) fn open_calls(&self) -> Result<Vec<CallState>, LedgerError> {
        self.open_states(keys::OPEN_CALLS)
    }

    /// All withdrawals with something left to do, in the order of their ids.
    pub(super) fn open_withdrawals(&self) -> Result<Vec<WithdrawalState>, LedgerError> {
        self.open_states(keys::OPEN_WITHDRAWALS)
    }

    /// Everything that one of the newest `entries` log entries says was confirmed on chain.
    pub(super) fn confirmed_lately(&self, entries: u64) -> Result<BTreeSet<EntityId>, LedgerError> {
        let mut confirmed = BTreeSet::new();
        let mut after = self.committed.seq.saturating_sub(entries);
        loop {
            let page = self.entries(after, PAGE)?;
            if page.is_empty() {
                return Ok(confirmed);
            }
            for (_, text) in page {
                let entry: LogEntry = decode(&text)?;
                let event = entry
                    .parsed()
                    .map_err(|e| LedgerError::Corrupt(e.to_string()))?;
                if matches!(event, Event::SettlementConfirmed { .. }) {
                    confirmed.insert(entry.id);
                }
                after = entry.seq;
            }
        }
    }

    /// All credits of a payer.
    pub(super) fn credits(&self, payer: &str) -> Result<Vec<CreditEntry>, LedgerError> {
        let pairs = self.scan(&keys::credits_of(payer), usize::MAX)?;
        pairs.iter().map(|(_, value)| decode(value)).collect()
    }

    /// Up to `limit` committed log entries after number `after`, as their stored JSON texts.
    pub(super) fn entries(&self, after: u64, limit: usize) -> Result<Vec<Pair>, LedgerError> {
        let from = keys::log(after);
        self.noted(self.store.scan(keys::LOG, Some(&from), limit))
    }

    /// Ends the batch.
    pub(super) fn finish(self) -> Staged {
        let mut writes: Vec<Write> = self
            .staged
            .into_iter()
            .map(|(key, value)| match value {
                Some(value) => Write::Put { key, value },
                None => Write::Delete { key },
            })
            .collect();
        if self.head != self.committed {
            // Two hashes and a number: this cannot fail to become JSON.
            let value = serde_json::to_vec(&self.head).unwrap_or_default();
            let key = Head::KEY.to_vec();
            writes.push(Write::Put { key, value });
        }
        Staged {
            writes,
            head: self.head,
            store_failed: self.store_failed.get(),
        }
    }

    /// How many bytes are staged.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// The store below, for walks over everything that is committed.
    pub(super) const fn committed_store(&self) -> &'a dyn Store {
        self.store
    }

    /// Fails once the store has failed.
    pub(super) fn writable(&self) -> Result<(), LedgerError> {
        if self.writable && !self.store_failed.get() {
            Ok(())
        } else {
            Err(LedgerError::Unavailable)
        }
    }

    /// Reads a JSON record, staged or stored.
    pub(super) fn read<T: DeserializeOwned>(&self, key: &[u8]) -> Result<Option<T>, LedgerError> {
        self.bytes_of(key)?.map(|bytes| decode(&bytes)).transpose()
    }

    /// Reads a value, staged or stored.
    pub(super) fn bytes_of(&self, key: &[u8]) -> Result<Option<Vec<u8>>, LedgerError> {
        match self.staged.get(key) {
            Some(staged) => Ok(staged.clone()),
            None => self.noted(self.store.read(key)),
        }
    }

    /// Up to `limit` pairs under `prefix` in key order, as if the batch were committed.
    pub(super) fn scan(&self, prefix: &[u8], limit: usize) -> Result<Vec<Pair>, LedgerError> {
        let mut found: BTreeMap<Vec<u8>, Vec<u8>> = self
            .staged
            .range(prefix.to_vec()..)
            .take_while(|(key, _)| key.starts_with(prefix))
            .filter_map(|(key, value)| Some((key.clone(), value.clone()?)))
            .collect();
        let mut after: Option<Vec<u8>> = None;
        let mut stored = 0;
        while stored < limit {
            let page = self.noted(self.store.scan(prefix, after.as_deref(), PAGE))?;
            let Some((last, _)) = page.last() else { break };
            after = Some(last.clone());
            for (key, value) in page {
                if !self.staged.contains_key(&key) {
                    stored += 1;
                    found.insert(key, value);
                }
            }
        }
        Ok(found.into_iter().take(limit).collect())
    }

    /// Stages a value; only after everything that can fail.
    pub(super) fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.bytes = self
            .bytes
            .saturating_add(key.len())
            .saturating_add(value.len());
        self.staged.insert(key, Some(value));
    }

    /// Stages a deletion; only after everything that can fail.
    pub(super) fn delete(&mut self, key: Vec<u8>) {
        self.staged.insert(key, None);
    }

    fn append_call(
        &mut self,
        id: CallId,
        before: Option<&CallState>,
        state: &CallState,
        event: &Event,
    ) -> Result<(), LedgerError> {
        let old = before.map_or(Ok(Credit::default()), CallState::credit)?;
        let step = (state.credit_key()?, old, state.credit()?);
        self.append(
            EntityId::Call(id),
            event,
            encode(state)?,
            state.open(),
            &step,
        )
    }

    fn append_withdrawal(
        &mut self,
        id: WithdrawalId,
        before: Option<&WithdrawalState>,
        state: &WithdrawalState,
        event: &Event,
    ) -> Result<(), LedgerError> {
        let old = before.map_or(Ok(Credit::default()), WithdrawalState::credit)?;
        let step = (state.credit_key()?, old, state.credit()?);
        self.append(
            EntityId::Withdrawal(id),
            event,
            encode(state)?,
            state.open(),
            &step,
        )
    }

    /// One event: its log entry, the state it leads to, the open index and the payer's credit.
    fn append(
        &mut self,
        id: EntityId,
        event: &Event,
        state: Vec<u8>,
        open: bool,
        (key, old, new): &(CreditKey, Credit, Credit),
    ) -> Result<(), LedgerError> {
        let credit = if old == new {
            None
        } else {
            let key = key.clone();
            let credit = self.credit(&key)?.moved(old, new)?;
            Some((keys::credit(&key), encode(&CreditEntry { key, credit })?))
        };
        let entry = LogEntry::after(self.head, id, event)
            .ok_or_else(|| LedgerError::Corrupt("the event has no JSON form".to_owned()))?;
        let text = encode(&entry)?;
        if text.len() > RECORD_BYTES_MAX || state.len() > RECORD_BYTES_MAX {
            return Err(LedgerError::TooLarge);
        }
        self.head = entry.head();
        self.put(keys::log(entry.seq), text);
        self.put(keys::state(&id), state);
        if open {
            self.put(keys::open(&id), Vec::new());
        } else {
            self.delete(keys::open(&id));
        }
        if let Some((key, value)) = credit {
            self.put(key, value);
        }
        Ok(())
    }

    fn credit(&self, key: &CreditKey) -> Result<Credit, LedgerError> {
        let entry: Option<CreditEntry> = self.read(&keys::credit(key))?;
        Ok(entry.map_or_else(Credit::default, |entry| entry.credit))
    }

    fn indexed(&self, key: &[u8]) -> Result<Option<CallState>, LedgerError> {
        let Some(id) = self.bytes_of(key)? else {
            return Ok(None);
        };
        let id = std::str::from_utf8(&id)
            .ok()
            .and_then(|id| id.parse::<CallId>().ok());
        let id = id.ok_or_else(|| LedgerError::Corrupt("an index names no call".to_owned()))?;
        match self.call(&id)? {
            Some(state) => Ok(Some(state)),
            None => Err(LedgerError::Corrupt(format!("{id} is indexed but missing"))),
        }
    }

    fn open_states<T: DeserializeOwned>(&self, prefix: &[u8]) -> Result<Vec<T>, LedgerError> {
        let mut states = Vec::new();
        for (key, _) in self.scan(prefix, usize::MAX)? {
            let id = std::str::from_utf8(key.get(keys::OPEN.len()..).unwrap_or_default());
            let id = id.ok().and_then(|id| id.parse::<EntityId>().ok());
            let state = match id {
                Some(id) => self.read(&keys::state(&id))?,
                None => None,
            };
            states.push(
                state.ok_or_else(|| {
                    LedgerError::Corrupt("the open index names nothing".to_owned())
                })?,
            );
        }
        Ok(states)
    }

    fn noted<T>(&self, result: Result<T, StoreError>) -> Result<T, LedgerError> {
        result.map_err(|error| {
            tracing::error!(%error, "the ledger cannot read and takes no more calls");
            self.store_failed.set(true);
            LedgerError::Unavailable
        })
    }
}

pub(super) fn encode<T: Serialize>(record: &T) -> Result<Vec<u8>, LedgerError> {
    serde_json::to_vec(record).map_err(|e| LedgerError::Corrupt(e.to_string()))
}

pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, LedgerError> {
    serde_json::from_slice(bytes).map_err(|e| LedgerError::Corrupt(e.to_string()))
}
