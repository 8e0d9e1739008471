//! Ten thousand processes that die, each at its own moment, and what they leave behind.

use super::super::book::Book;
use super::pretended::{Disk, Fault};
use super::walk::Model;
use super::*;
use std::collections::BTreeMap;

const SCENARIOS: u64 = 10_000;
const BATCHES: u64 = 8;

/// A small generator, so that a failing scenario is repeated from its number alone.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn roll(&mut self) -> u64 {
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
    ten_thousand(scenario);
}

/// The same with the journal's files and the store behind it on a disk that refuses, loses its
/// process or its power in the middle of any write, sync, start, move or end.
#[test]
fn ten_thousand_crashes_of_the_journal_lose_nothing_acknowledged() {
    ten_thousand(journal_scenario);
}

fn ten_thousand(scenario: fn(u64) -> u64) {
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
        takes_nothing_more(&book);
        book = Book::open(Box::new(disk.open())).expect("opens after a crash");
        acknowledged = survived(&book, acknowledged, hoped);
    }
    crashes
}

fn journal_scenario(seed: u64) -> u64 {
    let mut dice = Dice(seed);
    let disk = Disk::new(dice.roll());
    // Two to nine blocks for records of one to four: files fill up, and some records fit in none.
    let capacity = 4096 * usize::try_from(3 + dice.roll() % 8).expect("small");
    let mut acknowledged = Model::default();
    let mut hoped = acknowledged.clone();
    let (mut commits, mut crashes) = (0, 0);
    while commits < BATCHES {
        let fault = [Fault::Refuse, Fault::Kill, Fault::PowerCut, Fault::PowerCut];
        let fault = fault[usize::try_from(dice.roll() % 4).expect("small")];
        // A start after a crash has up to a hundred steps, a quiet commit has two.
        let steps = [12, 48, 192][usize::try_from(dice.roll() % 3).expect("small")];
        disk.fault_after(dice.roll() % steps, fault);
        let store = match disk.open(capacity) {
            Ok(store) => store,
            Err(error) => {
                assert!(!disk.no_fault(), "refused without a fault: {error}");
                crashes += 1;
                continue;
            }
        };
        let mut book = Book::open(Box::new(store)).expect("opens after a crash");
        acknowledged = survived(&book, acknowledged, hoped.clone());
        while commits < BATCHES {
            commits += 1;
            hoped = acknowledged.clone();
            let mut batch = book.begin();
            for _ in 0..=dice.roll() % 4 {
                hoped.step(&mut batch, dice.bytes());
            }
            let staged = batch.finish();
            if book.commit(staged).is_err() {
                takes_nothing_more(&book);
                break;
            }
            acknowledged = hoped.clone();
        }
        crashes += 1;
        match dice.roll() % 3 {
            0 => disk.cut(),
            1 => disk.kill(),
            // Closed, if it did not fail; and that may be cut short too.
            _ => {}
        }
    }
    disk.no_fault();
    let store = disk.open(capacity).expect("opens in the end");
    let book = Book::open(Box::new(store)).expect("is sound in the end");
    survived(&book, acknowledged, hoped);
    crashes
}

fn takes_nothing_more(book: &Book) {
    let refused = book.begin().hold(hold(u64::MAX, 1, SettleWhen::After));
    assert_eq!(refused, Err(HoldRefused::Unavailable));
    assert!(!book.healthy());
}

/// What a crash left: all that was acknowledged, and of what was only hoped for all or nothing.
fn survived(book: &Book, mut acknowledged: Model, hoped: Model) -> Model {
    if stands(book, &acknowledged) {
        // Ids of the lost batch are not used again, as random ids would not be.
        acknowledged.skip_to(&hoped);
    } else {
        assert!(stands(book, &hoped), "part of a batch survived");
        acknowledged = hoped;
    }
    acknowledged.agree(book);
    acknowledged
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
