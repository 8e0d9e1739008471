//! What choosing an endpoint goes by, over all calls: who is in trouble, who is fast, and where
//! conversations are warm; and what can be seen of the endpoints from outside. All but the first is written
//! down beside the ledger's books now and then.

use crate::clock::now_ms;
use crate::ledger::{Ledger, LedgerError, Note};
use crate::payment::Settlement;
use crate::router::{Conversation, Endpoint, Health, Namer, Pin, Pins, UpstreamFailure};
use crate::stats::{Endpoints, Measured, Outcome, SlotName, Windows};
use serde::de::DeserializeOwned;

/// The kinds of notes.
const PINS: &str = "pin";
const ENDPOINTS: &str = "endpoint";
const WINDOWS: &str = "window";

/// The most notes in one write.
const NOTES_MAX: usize = 500;

/// What choosing goes by.
#[derive(Debug)]
pub(super) struct Routing {
    pub(super) health: Health,
    pub(super) measured: Endpoints,
    pub(super) windows: Windows,
    pub(super) pins: Pins,
    pub(super) namer: Namer,
}

impl Routing {
    /// As it was written down; what cannot be read is learned anew.
    pub(super) fn remembered(ledger: &Ledger, secret: &str, now_ms: u64) -> Self {
        let pins = read::<Pin>(ledger, PINS).into_iter();
        let pins = pins.filter_map(|(name, pin)| {
            let name: [u8; 16] = name.try_into().ok()?;
            Some((Conversation::from_bytes(name), pin))
        });
        let endpoints = read::<Measured>(ledger, ENDPOINTS).into_iter();
        let endpoints = endpoints.filter_map(|(name, measured)| {
            let id: [u8; 8] = name.try_into().ok()?;
            Some((u64::from_be_bytes(id), measured))
        });
        let slots = read(ledger, WINDOWS).into_iter();
        let slots = slots.filter_map(|(name, slot)| {
            let name: SlotName = name.try_into().ok()?;
            Some((name, slot))
        });
        Self {
            health: Health::default(),
            measured: Endpoints::of(endpoints),
            windows: Windows::of(slots, now_ms),
            pins: Pins::of(pins),
            namer: Namer::new(secret),
        }
    }

    /// Counts what became of a try.
    pub(super) fn tried(&self, endpoint: &Endpoint, outcome: Outcome) {
        self.windows.attempt(endpoint.id, outcome, now_ms());
    }

    /// Counts what became of the settlement of a call that an endpoint answered, if there was one.
    pub(super) fn settled(&self, endpoint: &Endpoint, settlement: Option<&Settlement>) {
        if let Some(settlement) = settlement {
            let made = matches!(settlement, Settlement::Confirmed { .. });
            self.windows.settled(endpoint.id, made, now_ms());
        }
    }

    /// Writes down what changed.
    pub(super) async fn write(&self, ledger: &Ledger, now_ms: u64) -> Result<(), LedgerError> {
        let pins = self.pins.changes(now_ms).into_iter();
        let pins = pins.map(|(conversation, pin)| note(conversation.bytes(), pin.as_ref()));
        let endpoints = self.measured.changes().into_iter();
        let endpoints = endpoints.map(|(id, known)| note(&id.to_be_bytes(), Some(&known)));
        let slots = self.windows.changes().into_iter();
        let slots = slots.map(|(name, slot)| note(&name, slot.as_ref()));
        for (kind, notes) in [
            (PINS, pins.collect::<Vec<_>>()),
            (ENDPOINTS, endpoints.collect()),
            (WINDOWS, slots.collect()),
        ] {
            for page in notes.chunks(NOTES_MAX) {
                ledger.take_notes(kind, page.to_vec()).await?;
            }
        }
        Ok(())
    }
}

/// What a failure says of the endpoint.
pub(super) fn outcome(failure: &UpstreamFailure) -> Outcome {
    match failure.is_outage() {
        true => Outcome::Failed,
        false => Outcome::LeftOut,
    }
}

fn note(name: &[u8], value: Option<&impl serde::Serialize>) -> Note {
    let text = value.and_then(|value| serde_json::to_vec(value).ok());
    (name.to_vec(), text)
}

fn read<T: DeserializeOwned>(ledger: &Ledger, kind: &str) -> Vec<(Vec<u8>, T)> {
    let notes = ledger.notes(kind).unwrap_or_else(|error| {
        tracing::warn!(%error, kind, "what was learned earlier cannot be read");
        Vec::new()
    });
    let read = |(name, note): (Vec<u8>, Vec<u8>)| Some((name, serde_json::from_slice(&note).ok()?));
    notes.into_iter().filter_map(read).collect()
}
