//! What can be seen of each endpoint over the last five minutes, half hour and day. Each look adds up
//! slots of a minute or of half an hour; what is older is forgotten. Times come in as arguments.

use super::{Observation, Outcome, Tally};
use crate::money::Pusd;
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A span of time up to now. The slot that is under way counts beside the whole ones, so a window is up to
/// one slot longer than it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    /// Five minutes, in slots of one minute.
    FiveMinutes,
    /// Thirty minutes, in slots of one minute.
    HalfHour,
    /// A day, in slots of half an hour.
    Day,
}

impl Window {
    /// All of them, the shortest first.
    pub const ALL: [Self; 3] = [Self::FiveMinutes, Self::HalfHour, Self::Day];

    /// Its name where it is told.
    pub const fn name(self) -> &'static str {
        match self {
            Self::FiveMinutes => "5m",
            Self::HalfHour => "30m",
            Self::Day => "1d",
        }
    }

    const fn scale(self) -> Scale {
        match self {
            Self::FiveMinutes | Self::HalfHour => MINUTES,
            Self::Day => HALF_HOURS,
        }
    }

    /// How many slots before the one under way it has.
    const fn slots(self) -> u64 {
        match self {
            Self::FiveMinutes => 5,
            Self::HalfHour => 30,
            Self::Day => 48,
        }
    }
}

/// Slots of one length, and how many of them are kept.
#[derive(Debug, Clone, Copy)]
struct Scale {
    /// Names it in notes.
    name: u8,
    slot_ms: u64,
    kept: u64,
}

const MINUTES: Scale = Scale {
    name: b'm',
    slot_ms: 60_000,
    kept: 31,
};
const HALF_HOURS: Scale = Scale {
    name: b'h',
    slot_ms: 1_800_000,
    kept: 49,
};
const SCALES: [Scale; 2] = [MINUTES, HALF_HOURS];

impl Scale {
    /// The slot of a moment, counted from the epoch.
    const fn at(self, ms: u64) -> u64 {
        ms / self.slot_ms
    }
}

/// One slot: which, and what was seen in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot {
    at: u64,
    #[serde(flatten)]
    tally: Tally,
}

/// What a slot's note is called: the endpoint, the slot's length, and its place among those that are kept,
/// so that a later slot is written over it.
pub type SlotName = [u8; 10];

fn name(endpoint: u64, scale: Scale, at: u64) -> SlotName {
    let [a, b, c, d, e, f, g, h] = endpoint.to_be_bytes();
    let place = u8::try_from(at % scale.kept).unwrap_or(u8::MAX);
    [a, b, c, d, e, f, g, h, scale.name, place]
}

/// The slots of one length, the latest last; only those in which something was seen.
#[derive(Debug, Default)]
struct Ring {
    slots: VecDeque<Slot>,
    /// The first slot that is not written yet.
    unwritten: Option<u64>,
}

impl Ring {
    /// The slot that is under way.
    fn now(&mut self, scale: Scale, ms: u64) -> Option<&mut Tally> {
        let at = scale.at(ms);
        // A clock that was set back makes what is ahead worthless; two threads may still disagree on a slot.
        while self.last().is_some_and(|last| last > at.saturating_add(1)) {
            self.slots.pop_back();
        }
        if self.last().is_none_or(|last| last < at) {
            let tally = Tally::default();
            self.slots.push_back(Slot { at, tally });
        }
        while self
            .slots
            .front()
            .is_some_and(|slot| is_old(scale, slot.at, at))
        {
            self.slots.pop_front();
        }
        let slot = self.slots.back_mut()?;
        self.unwritten = Some(self.unwritten.map_or(slot.at, |first| first.min(slot.at)));
        Some(&mut slot.tally)
    }

    fn last(&self) -> Option<u64> {
        self.slots.back().map(|slot| slot.at)
    }
}

fn is_old(scale: Scale, slot: u64, now: u64) -> bool {
    slot.saturating_add(scale.kept) <= now
}

/// What a bill and the price list have to do with each other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Priced {
    /// What the payer was charged.
    pub charged: Pusd,
    /// What the endpoint's price row makes of the tokens that were used, its cache's discount included.
    pub listed: Pusd,
}

/// All endpoints' windows, by the endpoints' ids.
#[derive(Debug, Default)]
pub struct Windows(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    rings: HashMap<u64, [Ring; SCALES.len()]>,
    /// The endpoints of which something is not written yet.
    changed: HashSet<u64>,
    /// Notes of what is too old.
    forgotten: Vec<SlotName>,
}

impl Windows {
    /// Those that were written before; notes of what is too old by now are forgotten at the next write.
    pub fn of(written: impl IntoIterator<Item = (SlotName, Slot)>, now_ms: u64) -> Self {
        let mut table = Table::default();
        for (named, slot) in written {
            let [id @ .., scale, _] = named;
            let endpoint = u64::from_be_bytes(id);
            let scales = SCALES.iter().enumerate();
            let scale = scales.clone().find(|(_, known)| known.name == scale);
            match scale {
                Some((place, scale)) if !is_old(*scale, slot.at, scale.at(now_ms)) => {
                    let rings = table.rings.entry(endpoint).or_default();
                    if let Some(ring) = rings.get_mut(place) {
                        ring.slots.push_back(slot);
                    }
                }
                _ => table.forgotten.push(named),
            }
        }
        for ring in table.rings.values_mut().flatten() {
            ring.slots.make_contiguous().sort_by_key(|slot| slot.at);
        }
        Self(Mutex::new(table))
    }

    /// Counts a try.
    pub fn attempt(&self, endpoint: u64, outcome: Outcome, now_ms: u64) {
        self.note(endpoint, now_ms, |tally| tally.attempt(outcome));
    }

    /// Takes note of an answer that was billed, and of how it went if it was complete.
    pub fn answer(
        &self,
        endpoint: u64,
        complete: Option<&Observation>,
        priced: Priced,
        now_ms: u64,
    ) {
        self.note(endpoint, now_ms, |tally| {
            tally.price(priced);
            if let Some(call) = complete {
                tally.observe(call);
            }
        });
    }

    /// Takes note of a settlement of a call that the endpoint answered: whether it was made.
    pub fn settled(&self, endpoint: u64, made: bool, now_ms: u64) {
        self.note(endpoint, now_ms, |tally| tally.settle(made));
    }

    /// What was seen of an endpoint in a window.
    pub fn seen(&self, endpoint: u64, window: Window, now_ms: u64) -> Tally {
        let mut whole = Tally::default();
        let scale = window.scale();
        let now = scale.at(now_ms);
        let first = now.saturating_sub(window.slots());
        let table = self.lock();
        let rings = table.rings.get(&endpoint).into_iter();
        let rings = rings.flat_map(|rings| SCALES.iter().zip(rings));
        let rings = rings.filter(|(of, _)| of.name == scale.name);
        let slots = rings.flat_map(|(_, ring)| &ring.slots);
        // Two threads may disagree on the slot under way.
        let within = first..=now.saturating_add(1);
        for slot in slots.filter(|slot| within.contains(&slot.at)) {
            whole.add(&slot.tally);
        }
        whole
    }

    /// What changed since this was last asked; `None` for what is to be forgotten.
    pub fn changes(&self) -> Vec<(SlotName, Option<Slot>)> {
        let mut table = self.lock();
        let forgotten = std::mem::take(&mut table.forgotten);
        let mut changes: Vec<_> = forgotten.into_iter().map(|name| (name, None)).collect();
        for endpoint in std::mem::take(&mut table.changed) {
            let rings = table.rings.get_mut(&endpoint).into_iter().flatten();
            for (ring, scale) in rings.zip(SCALES) {
                let first = ring.unwritten.take().unwrap_or(u64::MAX);
                let slots = ring.slots.iter().filter(|slot| slot.at >= first);
                changes.extend(slots.map(|slot| {
                    let name = name(endpoint, scale, slot.at);
                    (name, Some(slot.clone()))
                }));
            }
        }
        changes
    }

    fn note(&self, endpoint: u64, now_ms: u64, mut take: impl FnMut(&mut Tally)) {
        let mut table = self.lock();
        let rings = table.rings.entry(endpoint).or_default();
        for (ring, scale) in rings.iter_mut().zip(SCALES) {
            if let Some(tally) = ring.now(scale, now_ms) {
                take(tally);
            }
        }
        table.changed.insert(endpoint);
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
