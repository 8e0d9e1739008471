//! Calls: a credential is taken once, and every event moves whatever the call has a share in.

use super::batch::{Batch, Change, encode};
use super::error::{HoldRefused, LedgerError};
use super::keys;
use super::machine::{
    CallId, CallState, ChannelState, Credit, CreditKey, EntityId, Event, Hold, ReplayKey, Standing,
    TransitionError,
};
use super::store::Pair;
use serde::{Deserialize, Serialize};

/// A payer's standing, under whom it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StandingEntry {
    #[serde(flatten)]
    pub(super) key: CreditKey,
    #[serde(flatten)]
    pub(super) standing: Standing,
}

impl Batch<'_> {
    /// Takes a credential: claims its replay key and payment identifier and starts the call. Returns
    /// the channel that pays for it, if one does, as it is then.
    pub(super) fn hold(&mut self, hold: Hold) -> Result<Option<ChannelState>, HoldRefused> {
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
        let channel = match self.append_call(call, None, &state, &event) {
            Err(LedgerError::Refused(TransitionError::Channel(unfit))) => {
                let state = Box::new(self.channel_of(&state.hold)?);
                return Err(HoldRefused::Channel { unfit, state });
            }
            appended => appended?,
        };
        let id = call.to_string().into_bytes();
        self.put(keys::replay(&replay_key), id.clone());
        if let Some(key) = payment_id {
            self.put(keys::payment_id(&key), id);
        }
        Ok(channel)
    }

    /// Records what happened to a call that is already held.
    pub(super) fn record(&mut self, id: CallId, event: &Event) -> Result<CallState, LedgerError> {
        self.record_all(id, std::slice::from_ref(event))
    }

    /// Takes a credential and records what happens to its call right away.
    pub(super) fn begin(&mut self, hold: Hold, then: &[Event]) -> Result<CallState, HoldRefused> {
        let id = hold.call;
        self.hold(hold)?;
        Ok(self.record_all(id, then)?)
    }

    /// Records events of a call that is already held, in their order; one that is refused is refused
    /// with all after it, and those before it stand.
    pub(super) fn record_all(
        &mut self,
        id: CallId,
        events: &[Event],
    ) -> Result<CallState, LedgerError> {
        self.writable()?;
        let unknown = LedgerError::Unknown(EntityId::Call(id));
        let mut state = self.call(&id)?.ok_or(unknown)?;
        for event in events {
            let after = CallState::apply(Some(&state), event)?;
            self.append_call(id, Some(&state), &after, event)?;
            state = after;
        }
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

    /// All calls with something left to do, in the order of their ids.
    pub(super) fn open_calls(&self) -> Result<Vec<CallState>, LedgerError> {
        self.open_states(keys::OPEN_CALLS)
    }

    /// How a payer has paid after the fact.
    pub(super) fn standing(&self, key: &CreditKey) -> Result<Standing, LedgerError> {
        let entry: Option<StandingEntry> = self.read(&keys::standing(key))?;
        Ok(entry.map_or_else(Standing::default, |entry| entry.standing))
    }

    /// Returns the call's channel as the event leaves it.
    fn append_call(
        &mut self,
        id: CallId,
        before: Option<&CallState>,
        state: &CallState,
        event: &Event,
    ) -> Result<Option<ChannelState>, LedgerError> {
        let mut beside: Vec<Pair> = Vec::new();
        let old = before.map_or(Ok(Credit::default()), CallState::credit)?;
        beside.extend(self.moved_credit(state.credit_key()?, &old, &state.credit()?)?);
        beside.extend(self.moved_standing(before, state, event)?);
        let channel = match &state.hold.channel {
            None => None,
            Some(used) => {
                let before = self.channel_of(&state.hold)?;
                let after = before.after_call(&state.hold, event)?;
                if before != after {
                    let key = keys::state(&EntityId::Channel(used.channel));
                    beside.push((key, encode(&after)?));
                }
                Some(after)
            }
        };
        let change = Change {
            id: EntityId::Call(id),
            state: encode(state)?,
            open: state.open(),
            beside,
        };
        self.append(event, change)?;
        Ok(channel)
    }

    /// The channel that a hold names, which must be known.
    fn channel_of(&self, hold: &Hold) -> Result<ChannelState, LedgerError> {
        let used = hold.channel.as_ref();
        let used = used.ok_or(TransitionError::Malformed { field: "channel" })?;
        self.channel(&used.channel)?
            .ok_or(LedgerError::Unknown(EntityId::Channel(used.channel)))
    }

    fn moved_standing(
        &self,
        before: Option<&CallState>,
        state: &CallState,
        event: &Event,
    ) -> Result<Option<Pair>, LedgerError> {
        let (old, new) = (before.and_then(CallState::unpaid), state.unpaid());
        if old == new {
            return Ok(None);
        }
        let key = state.credit_key()?;
        let standing = self.standing(&key)?.moved(old, new, event.at_ms())?;
        let entry = encode(&StandingEntry {
            key: key.clone(),
            standing,
        })?;
        Ok(Some((keys::standing(&key), entry)))
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
}
