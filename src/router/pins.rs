//! Where conversations are warm. Time comes in as an argument; the clock is that of the day, since pins
//! outlive the process.

use super::Conversation;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The most conversations that are remembered; the first to expire are forgotten first.
const PINS_MAX: usize = 100_000;

/// Where a conversation is warm, and what its calls have taught.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// The endpoint's id.
    pub endpoint: u64,
    /// The account's id.
    pub account: u64,
    /// When its cache forgets the conversation at the latest, in milliseconds since the Unix epoch.
    pub expires_ms: u64,
    /// How many calls it had.
    pub turns: u64,
    /// Tokens of its last prompt.
    pub prompt: u64,
    /// Bytes of its last request.
    pub bytes: u64,
    /// Tokens of its answers, as they are lately.
    pub output: u64,
    /// What share of a prompt stood in the one after it lately, in thousandths.
    pub repeat: u64,
}

impl Pin {
    /// The pin after one more call.
    pub fn after(earlier: Option<Self>, call: Self) -> Self {
        let Some(earlier) = earlier else { return call };
        let lately = |before: u64, now: u64| before.saturating_mul(3).saturating_add(now) / 4;
        let repeated = earlier.prompt.saturating_mul(super::WHOLE);
        let repeated = repeated.checked_div(call.prompt).unwrap_or(0);
        Self {
            turns: earlier.turns.saturating_add(1),
            output: lately(earlier.output, call.output),
            repeat: lately(earlier.repeat, repeated.min(super::WHOLE)),
            ..call
        }
    }
}

/// All pins.
#[derive(Debug, Default)]
pub struct Pins(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    pins: HashMap<Conversation, Pin>,
    by_end: BTreeSet<(u64, Conversation)>,
    /// What is not written yet.
    changed: HashSet<Conversation>,
}

impl Pins {
    /// Those that were written before.
    pub fn of(written: impl IntoIterator<Item = (Conversation, Pin)>) -> Self {
        let pins = Self::default();
        let mut table = pins.lock();
        for (conversation, pin) in written {
            table.set(conversation, pin);
        }
        table.changed.clear();
        drop(table);
        pins
    }

    /// Where a conversation is warm.
    pub fn get(&self, conversation: &Conversation, now_ms: u64) -> Option<Pin> {
        let table = self.lock();
        let pin = table.pins.get(conversation).copied();
        pin.filter(|pin| pin.expires_ms > now_ms)
    }

    /// Takes note of a call.
    pub fn set(&self, conversation: Conversation, pin: Pin) {
        self.lock().set(conversation, pin);
    }

    /// What changed since this was last asked: pins to write, and `None` for those to forget. Those that
    /// have expired are forgotten now.
    pub fn changes(&self, now_ms: u64) -> Vec<(Conversation, Option<Pin>)> {
        let mut table = self.lock();
        while let Some((end, conversation)) = table.by_end.first().copied() {
            if end > now_ms {
                break;
            }
            table.forget(end, conversation);
        }
        let changed = std::mem::take(&mut table.changed);
        let now = changed.into_iter();
        now.map(|conversation| (conversation, table.pins.get(&conversation).copied()))
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn set(&mut self, conversation: Conversation, pin: Pin) {
        if let Some(earlier) = self.pins.insert(conversation, pin) {
            self.by_end.remove(&(earlier.expires_ms, conversation));
        }
        self.by_end.insert((pin.expires_ms, conversation));
        self.changed.insert(conversation);
        while self.pins.len() > PINS_MAX {
            let Some((end, first)) = self.by_end.first().copied() else {
                break;
            };
            self.forget(end, first);
        }
    }

    fn forget(&mut self, end: u64, conversation: Conversation) {
        self.by_end.remove(&(end, conversation));
        self.pins.remove(&conversation);
        self.changed.insert(conversation);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PIN: Pin = Pin {
        endpoint: 1,
        account: 2,
        expires_ms: 1000,
        turns: 1,
        prompt: 800,
        bytes: 3200,
        output: 40,
        repeat: 500,
    };

    fn conversation(n: u8) -> Conversation {
        Conversation::from_bytes([n; 16])
    }

    #[test]
    fn a_pin_lasts_until_its_cache_forgets_and_is_renewed_by_each_call() {
        let pins = Pins::default();
        pins.set(conversation(1), PIN);
        assert_eq!(pins.get(&conversation(1), 999), Some(PIN));
        assert_eq!(pins.get(&conversation(1), 1000), None);
        let later = Pin {
            expires_ms: 2000,
            ..PIN
        };
        pins.set(conversation(1), later);
        assert_eq!(pins.changes(1500), [(conversation(1), Some(later))]);
        assert_eq!(pins.changes(1500), []);
        assert_eq!(pins.changes(2000), [(conversation(1), None)]);
        let again = Pins::of([(conversation(2), PIN)]);
        assert_eq!(again.get(&conversation(2), 1), Some(PIN));
        assert_eq!(again.changes(1), []);
    }

    #[test]
    fn calls_teach_how_much_of_a_prompt_comes_again() {
        let call = Pin {
            prompt: 1000,
            output: 80,
            ..PIN
        };
        let pin = Pin::after(Some(PIN), call);
        assert_eq!((pin.turns, pin.output), (2, 50));
        assert_eq!(pin.repeat, (3 * 500 + 800) / 4);
        assert_eq!(Pin::after(None, call), call);
    }

    #[test]
    fn there_are_never_more_than_so_many() {
        let pins = Pins::default();
        for n in 0..u64::try_from(PINS_MAX).expect("a number") + 10 {
            let mut name = [0; 16];
            name[..8].copy_from_slice(&n.to_be_bytes());
            let pin = Pin {
                expires_ms: 1_000 + n,
                ..PIN
            };
            pins.set(Conversation::from_bytes(name), pin);
        }
        assert_eq!(pins.lock().pins.len(), PINS_MAX);
        assert_eq!(pins.lock().by_end.first().map(|first| first.0), Some(1010));
    }
}
