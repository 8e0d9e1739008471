//! Calls: a credential is taken once, and every event moves whatever the call has a share in.

use super::batch::{Batch, Change, encode};
use super::error::{HoldRefused, LedgerError};
use super::keys;
use super::machine::{
    CallId, CallState, ChannelState, Credit, CreditKey, EntityId, Event, Hold, ReplayKey, Standing,
    TransitionError,
};
use super::steps::CallRecord;
use super::store::Pair;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A payer's standing, under whom it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StandingEntry {
    #[serde(flatten)]
    pub(super) key: CreditKey,
    #[serde(flatten)]
    pub(super) standing: Standing,
}

/// What events of a call left behind.
#[derive(Debug, PartialEq)]
pub(super) struct Changed {
    pub(super) call: CallState,
    /// The channel that pays for it, if one does.
    pub(super) channel: Option<ChannelState>,
}

/// The channel of a call on its way through several events.
#[derive(Default)]
struct Moving {
    after: Option<ChannelState>,
    moved: bool,
}

impl Batch<'_> {
    /// Takes a credential: claims its replay key and payment identifier and starts the call. Returns
    /// the channel that pays for it, if one does, as it is then.
    pub(super) fn hold(&mut self, hold: Hold) -> Result<Option<ChannelState>, HoldRefused> {
        self.begin(hold, Vec::new()).map(|changed| changed.channel)
    }

    /// The same, with what happens to the call right away: all of it, or nothing.
    pub(super) fn begin(&mut self, hold: Hold, then: Vec<Event>) -> Result<Changed, HoldRefused> {
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
        let hold = Arc::new(hold);
        let mut events = vec![Event::Held(Arc::clone(&hold))];
        events.extend(then);
        let changed = match self.append_call(call, before, &events) {
            Err(LedgerError::Refused(TransitionError::Channel(unfit))) => {
                let state = Box::new(self.channel_of(&hold)?);
                return Err(HoldRefused::Channel { unfit, state });
            }
            appended => appended?,
        };
        let id = call.to_string().into_bytes();
        self.put(keys::replay(&replay_key), id.clone());
        if let Some(key) = payment_id {
            self.put(keys::payment_id(&key), id);
        }
        Ok(changed)
    }

    /// Records what happened to a call that is already held.
    pub(super) fn record(&mut self, id: CallId, event: &Event) -> Result<CallState, LedgerError> {
        self.record_all(id, std::slice::from_ref(event))
            .map(|changed| changed.call)
    }

    /// Records events of a call that is already held, in their order; one that is refused is refused
    /// with all after it, and those before it stand.
    pub(super) fn record_all(
        &mut self,
        id: CallId,
        events: &[Event],
    ) -> Result<Changed, LedgerError> {
        self.writable()?;
        let unknown = LedgerError::Unknown(EntityId::Call(id));
        let before = self.call(&id)?.ok_or(unknown)?;
        match self.append_call(id, Some(before), events) {
            Err(error) if events.len() > 1 && !matches!(error, LedgerError::Unavailable) => {
                for event in events {
                    self.record(id, event)?;
                }
                Err(error)
            }
            appended => appended,
        }
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
        self.open_states(keys::OPEN_CALLS, |id| match id {
            EntityId::Call(id) => self.recorded_call(id),
            _ => Ok(None),
        })
    }

    /// How a payer has paid after the fact.
    pub(super) fn standing(&self, key: &CreditKey) -> Result<Standing, LedgerError> {
        let entry: Option<StandingEntry> = self.read(&keys::standing(key))?;
        Ok(entry.map_or_else(Standing::default, |entry| entry.standing))
    }

    /// Stages events of one call, in their order, and all that they move; or nothing. The records are
    /// written as the last event leaves them.
    fn append_call(
        &mut self,
        id: CallId,
        before: Option<CallState>,
        events: &[Event],
    ) -> Result<Changed, LedgerError> {
        let old_credit = before
            .as_ref()
            .map_or(Ok(Credit::default()), CallState::credit)?;
        let record = match before {
            Some(_) => self.call_record(&id)?,
            None => None,
        };
        let mut state = before;
        let mut standing = None;
        let mut channel = Moving::default();
        for event in events {
            let next = CallState::apply(state.as_ref(), event)?;
            let (old, new) = (state.as_ref().and_then(CallState::unpaid), next.unpaid());
            if old != new {
                let known = match standing {
                    Some(known) => known,
                    None => self.standing(&next.credit_key()?)?,
                };
                standing = Some(known.moved(old, new, event.at_ms())?);
            }
            if next.hold.channel.is_some() {
                let known = match channel.after.take() {
                    Some(known) => known,
                    None => self.channel_of(&next.hold)?,
                };
                let after = known.after_call(&next.hold, event)?;
                channel.moved |= after != known;
                channel.after = Some(after);
            }
            state = Some(next);
        }
        let unknown = LedgerError::Unknown(EntityId::Call(id));
        let call = state.ok_or(unknown)?;
        if events.is_empty() {
            return Ok(Changed {
                channel: None,
                call,
            });
        }
        let mut beside: Vec<Pair> = Vec::new();
        beside.extend(self.moved_credit(call.credit_key()?, &old_credit, &call.credit()?)?);
        if let Some(standing) = standing {
            let key = call.credit_key()?;
            let at = keys::standing(&key);
            beside.push((at, encode(&StandingEntry { key, standing })?));
        }
        let moved = channel.after.as_ref().filter(|_| channel.moved);
        if let Some(after) = moved {
            let key = keys::state(&EntityId::Channel(after.opening.channel));
            beside.push((key, encode(after)?));
        }
        let logged = self.logged(EntityId::Call(id), events)?;
        let change = Change {
            id: EntityId::Call(id),
            state: CallRecord::after(record, logged.numbers(), &call)?,
            open: call.open(),
            beside,
        };
        self.append(logged, change)?;
        self.draft.newer.keep_call(&call);
        if let Some(after) = moved {
            self.draft.newer.keep_channel(after.clone());
        }
        Ok(Changed {
            channel: channel.after,
            call,
        })
    }

    /// The channel that a hold names, which must be known.
    fn channel_of(&self, hold: &Hold) -> Result<ChannelState, LedgerError> {
        let used = hold.channel.as_ref();
        let used = used.ok_or(TransitionError::Malformed { field: "channel" })?;
        self.channel(&used.channel)?
            .ok_or(LedgerError::Unknown(EntityId::Channel(used.channel)))
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
