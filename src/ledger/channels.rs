//! Channels' accounts: their own events; what their calls do to them is written with the calls.

use super::batch::{Batch, Change, decode, encode};
use super::error::LedgerError;
use super::keys;
use super::machine::{
    ChannelId, ChannelOnChain, ChannelOpening, ChannelState, EntityId, Event, KeptVoucher,
    TransitionError,
};
use super::store::Pair;
use crate::money::Units;
use std::sync::Arc;

impl Batch<'_> {
    /// Takes a channel into the books, of which `charged_before` was charged already, by its payer's
    /// word; one that is there is only seen again.
    pub(super) fn open_channel(
        &mut self,
        opening: ChannelOpening,
        on_chain: ChannelOnChain,
        charged_before: Units,
    ) -> Result<ChannelState, LedgerError> {
        self.writable()?;
        let id = opening.channel;
        if let Some(known) = self.channel(&id)? {
            if !known.opening.same_terms(&opening) {
                return Err(TransitionError::AlreadyExists.into());
            }
            return self.observe_channel(id, on_chain);
        }
        let index = keys::payer_channel(&opening.payer, &id);
        let event = Event::ChannelOpened {
            opening: Arc::new(opening),
            on_chain,
            charged_before,
        };
        let state = ChannelState::apply(None, &event)?;
        self.append_channel(id, &state, &event, vec![(index, Vec::new())])?;
        Ok(state)
    }

    /// Records what a channel's contract says of it now.
    pub(super) fn observe_channel(
        &mut self,
        id: ChannelId,
        on_chain: ChannelOnChain,
    ) -> Result<ChannelState, LedgerError> {
        self.writable()?;
        let unknown = LedgerError::Unknown(EntityId::Channel(id));
        let before = self.channel(&id)?.ok_or(unknown)?;
        let event = Event::ChannelObserved(on_chain);
        let state = ChannelState::apply(Some(&before), &event)?;
        self.append_channel(id, &state, &event, Vec::new())?;
        Ok(state)
    }

    /// Keeps a voucher that came without a call.
    pub(super) fn sign_channel(
        &mut self,
        id: ChannelId,
        voucher: KeptVoucher,
        at_ms: u64,
    ) -> Result<ChannelState, LedgerError> {
        self.writable()?;
        let unknown = LedgerError::Unknown(EntityId::Channel(id));
        let before = self.channel(&id)?.ok_or(unknown)?;
        let event = Event::ChannelSigned { voucher, at_ms };
        let state = ChannelState::apply(Some(&before), &event)?;
        // A copy says nothing new.
        if state != before {
            self.append_channel(id, &state, &event, Vec::new())?;
        }
        Ok(state)
    }

    /// All channels, in the order of their ids.
    pub(super) fn channels(&self) -> Result<Vec<ChannelState>, LedgerError> {
        let pairs = self.scan(keys::CHANNELS, usize::MAX)?;
        pairs.iter().map(|(_, value)| decode(value)).collect()
    }

    /// All channels of a payer, in the order of their ids.
    pub(super) fn channels_of(&self, payer: &str) -> Result<Vec<ChannelState>, LedgerError> {
        let prefix = keys::channels_of(payer);
        let mut channels = Vec::new();
        for (key, _) in self.scan(&prefix, usize::MAX)? {
            let id = std::str::from_utf8(key.get(prefix.len()..).unwrap_or_default());
            let id = id.ok().and_then(|id| id.parse::<ChannelId>().ok());
            let state = match id {
                Some(id) => self.channel(&id)?,
                None => None,
            };
            channels.push(state.ok_or_else(|| {
                LedgerError::Corrupt("a payer's index names no channel".to_owned())
            })?);
        }
        Ok(channels)
    }

    fn append_channel(
        &mut self,
        id: ChannelId,
        state: &ChannelState,
        event: &Event,
        beside: Vec<Pair>,
    ) -> Result<(), LedgerError> {
        let change = Change {
            id: EntityId::Channel(id),
            state: encode(state)?,
            open: false,
            beside,
        };
        self.append_event(event, change)
    }
}
