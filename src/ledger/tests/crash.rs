//! Ten thousand processes that die, each at its own moment, and what they leave behind.

use super::super::book::Book;
use super::walk::Model;
use super::*;
use std::collections::BTreeMap;

const SCENARIOS: u64 = 10_000;
const BATCHES: u64 = 8;

/// A small generator, so that a failing scenario is repeated from its number alone.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn bytes(&mut self) -> [u8; 4] {
        let [a, b, c, d, ..] = self.roll().to_le_bytes();
        [a, b, c, d]
    }
}

/// Acknowledged writes stand, unacknowledged ones stand as a whole or not at all, no credential
/// is held twice, and no money appears or disappears, whenever the power goes.
#[test]
fn ten_thousand_crashes_lose_nothing_acknowledged() {
    let mut crashes = 0;
    for seed in 0..SCENARIOS {
        let outcome = std::panic::catch_unwind(|| scenario(seed));
        crashes += outcome.unwrap_or_else(|_| panic!("scenario {seed} failed, see above"));
    }
    assert!(crashes >= SCENARIOS, "only {crashes} crashes");
}

fn scenario(seed: u64) -> u64 {
    let mut dice = Dice(seed);
    let disk = MemoryDisk::new();
    for _ in 0..=dice.roll() % 2 {
        let faults = [
            MemoryFault::Refuse,
            MemoryFault::CrashBeforeSync,
            MemoryFault::CrashAfterSync,
        ];
        let fault = faults[usize::try_from(dice.roll() % 3).expect("small")];
        disk.fault_after(dice.roll() % BATCHES, fault);
    }
    // The last commit always crashes, so that every scenario has at least one.
    disk.fault_after(BATCHES - 1, MemoryFault::CrashAfterSync);
    let mut book = Book::open(Box::new(disk.open())).expect("opens");
    let mut acknowledged = Model::default();
    let mut crashes = 0;
    while disk.commits() < BATCHES {
        let mut hoped = acknowledged.clone();
        let mut batch = book.begin();
        for _ in 0..=dice.roll() % 4 {
            hoped.step(&mut batch, dice.bytes());
        }
        let staged = batch.finish();
        if book.commit(staged).is_ok() {
            acknowledged = hoped;
            continue;
        }
        crashes += 1;
        let refused = book.begin().hold(hold(u64::MAX, 1, SettleWhen::After));
        assert_eq!(refused, Err(HoldRefused::Unavailable));
        assert!(!book.healthy());
        book = Book::open(Box::new(disk.open())).expect("opens after a crash");
        if stands(&book, &acknowledged) {
            // Ids of the lost batch are not used again, as random ids would not be.
            acknowledged.skip_to(&hoped);
        } else {
            assert!(stands(&book, &hoped), "part of a batch survived");
            acknowledged = hoped;
        }
        acknowledged.agree(&book);
    }
    crashes
}

/// Whether the book holds exactly the model's calls, payouts, channels and operations.
fn stands(book: &Book, model: &Model) -> bool {
    let batch = book.begin();
    let count = |prefix| batch.scan(prefix, usize::MAX).expect("reads").len();
    let counts = [
        (keys::CALLS, model.calls.len()),
        (keys::WITHDRAWALS, model.payouts.len()),
        (keys::CHANNELS, model.channels.len()),
        (keys::OPERATIONS, model.operations.len()),
    ];
    counts.into_iter().all(|(prefix, n)| count(prefix) == n)
        && all(&model.calls, |id| batch.call(id))
        && all(&model.payouts, |id| batch.withdrawal(id))
        && all(&model.channels, |id| batch.channel(id))
        && all(&model.operations, |id| batch.operation(id))
}

fn all<I, S: PartialEq>(
    states: &BTreeMap<I, S>,
    stored: impl Fn(&I) -> Result<Option<S>, LedgerError>,
) -> bool {
    let same = |(id, state): (&I, &S)| stored(id).expect("reads").as_ref() == Some(state);
    states.iter().all(same)
}
