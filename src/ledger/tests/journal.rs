//! The journal in front of a slow store: what it takes up, what it refuses, and what it hides.

use super::pretended::{Disk, Fault, PretendedStore};
use super::*;
use crate::ledger::store::Reader;
use proptest::prelude::*;
use std::collections::BTreeMap;

const BLOCK: usize = 4096;
/// A header and six small records.
const CAPACITY: usize = 7 * BLOCK;

fn key_of(n: u64) -> Vec<u8> {
    format!("c/{n:03}").into_bytes()
}

fn put(n: u64, value: &str) -> Write {
    Write::Put {
        key: key_of(n),
        value: value.as_bytes().to_vec(),
    }
}

fn head(seq: u64) -> Head {
    Head {
        seq,
        hash: Digest32::from_bytes([seq.to_le_bytes()[0]; 32]),
    }
}

/// Commits one write as log entry `seq`.
fn commit(store: &mut PretendedStore, seq: u64, write: Write) -> Result<(), StoreError> {
    let before = if seq == 1 { Head::EMPTY } else { head(seq - 1) };
    let value = serde_json::to_vec(&head(seq)).expect("json");
    let key = Head::KEY.to_vec();
    store.commit(before, vec![write, Write::Put { key, value }])
}

/// A disk on which `commits` entries were written, each under its own key, and its process killed.
fn killed_after(commits: u64) -> Disk {
    killed(Disk::new(1), commits)
}

fn killed(disk: Disk, commits: u64) -> Disk {
    let mut store = disk.open(CAPACITY).expect("opens");
    for seq in 1..=commits {
        commit(&mut store, seq, put(seq, "value")).expect("committed");
    }
    disk.kill();
    disk
}

fn keys_of(store: &PretendedStore) -> usize {
    store.scan(b"c/", None, usize::MAX).expect("reads").len()
}

fn refused(disk: &Disk) -> String {
    let error = disk.open(CAPACITY).err();
    error.expect("is refused").to_string()
}

#[test]
fn a_torn_last_record_was_promised_to_nobody() {
    for torn in 0..BLOCK / 512 {
        let disk = killed_after(4);
        disk.tamper(0, |file| file[4 * BLOCK + torn * 512..][..512].fill(0xaa));
        let store = disk.open(CAPACITY).expect("opens");
        // Its content is short: behind the first sector there is nothing to tear.
        assert_eq!(keys_of(&store), if torn == 0 { 3 } else { 4 });
    }
}

#[test]
fn a_damaged_record_that_others_follow_is_refused() {
    for (record, byte) in [(0, 0), (0, 60), (1, 9), (2, 40)] {
        let disk = killed_after(4);
        disk.tamper(0, |file| file[(1 + record) * BLOCK + byte] ^= 1);
        let error = refused(&disk);
        assert!(
            error.contains(&format!("record {record} of the journal")),
            "{error}"
        );
        // The whole thing again: a refusal changes nothing.
        assert_eq!(refused(&disk), error);
        disk.tamper(0, |file| file[(1 + record) * BLOCK + byte] ^= 1);
        assert_eq!(keys_of(&disk.open(CAPACITY).expect("mended")), 4);
    }
}

#[test]
fn a_journal_that_is_missing_or_anothers_is_refused_until_the_ledger_is_closed() {
    let other = killed(Disk::new(2), 4);
    for replaced in [Vec::new(), vec![0; CAPACITY], other.file(0)] {
        for which in [0, 1] {
            let disk = killed_after(4);
            let own = disk.file(which);
            disk.tamper(which, |file| *file = replaced.clone());
            assert!(refused(&disk).contains(&format!("journal-{which} is missing")));
            disk.tamper(which, |file| *file = own);
            drop(disk.open(CAPACITY).expect("opens"));
            // It was closed: everything is in the store behind.
            disk.tamper(which, |file| *file = replaced.clone());
            assert_eq!(keys_of(&disk.open(CAPACITY).expect("opens")), 4);
        }
    }
    let disk = killed_after(4);
    let (first, second) = (disk.file(0), disk.file(1));
    disk.tamper(0, |file| *file = second);
    disk.tamper(1, |file| *file = first);
    assert!(refused(&disk).contains("journal-0 is missing"));
}

#[test]
fn records_of_an_earlier_opening_are_not_taken_up_again() {
    let disk = killed_after(5);
    let mut store = disk.open(CAPACITY).expect("opens");
    commit(&mut store, 6, Write::Delete { key: key_of(3) }).expect("committed");
    disk.kill();
    // The first block is the new opening's, those behind it still hold whole records of the old one.
    let store = disk.open(CAPACITY).expect("opens");
    assert_eq!(store.read(&key_of(3)), Ok(None));
    assert_eq!(keys_of(&store), 4);
}

#[test]
fn files_take_turns_and_old_rounds_are_not_taken_up_again() {
    let disk = Disk::new(3);
    let mut store = disk.open(CAPACITY).expect("opens");
    for seq in 1..=40 {
        // The same keys over and over, so that an old record would show.
        commit(&mut store, seq, put(seq % 5, &seq.to_string())).expect("committed");
        let mut copy = Disk::of(&disk);
        for _ in 0..2 {
            copy.kill();
            let found = copy.open(CAPACITY).expect("opens");
            assert_eq!(keys_of(&found) as u64, seq.min(5));
            let newest = found.read(&key_of(seq % 5)).expect("reads");
            assert_eq!(newest, Some(seq.to_string().into_bytes()));
            copy = Disk::of(&copy);
        }
    }
}

#[test]
fn a_record_longer_than_a_file_is_taken_too() {
    let disk = Disk::new(4);
    let mut store = disk.open(CAPACITY).expect("opens");
    let long = "x".repeat(CAPACITY);
    for seq in 1..=9 {
        let value = if seq % 3 == 0 { &long } else { "short" };
        commit(&mut store, seq, put(seq, value)).expect("committed");
    }
    disk.cut();
    let store = disk.open(CAPACITY).expect("opens");
    assert_eq!(keys_of(&store), 9);
    assert_eq!(store.read(&key_of(9)), Ok(Some(long.into_bytes())));
}

#[test]
fn another_writers_head_is_a_conflict() {
    let disk = Disk::new(5);
    let mut store = disk.open(CAPACITY).expect("opens");
    commit(&mut store, 1, put(1, "value")).expect("committed");
    let other = commit(&mut store, 3, put(3, "value"));
    assert_eq!(other, Err(StoreError::Conflict));
    assert_eq!(keys_of(&store), 1);
}

/// A store behind that cannot write is noticed by a later commit, which is refused as all after it
/// are; the journal has what was acknowledged.
#[test]
fn a_move_that_fails_ends_the_ledger_and_loses_nothing() {
    for seed in 0..50 {
        let disk = Disk::new(seed);
        let mut store = disk.open(CAPACITY).expect("opens");
        let mut acknowledged = 0;
        for seq in 1..=6 {
            commit(&mut store, seq, put(seq, "value")).expect("committed");
            acknowledged = seq;
        }
        // The next step is the seventh record's, or the move's that makes room for it.
        disk.fault_after(seed % 2, Fault::Refuse);
        let mut error = None;
        for seq in 7..=40 {
            match commit(&mut store, seq, put(seq, "value")) {
                Ok(()) => acknowledged = seq,
                Err(failed) => {
                    error = Some(failed);
                    break;
                }
            }
        }
        let error = error.expect("a commit is refused");
        assert!(matches!(error, StoreError::Failed(_)), "{error}");
        let again = commit(&mut store, acknowledged + 1, put(99, "value"));
        assert_eq!(again, Err(error), "for good");
        assert_eq!(store.read(&key_of(99)), Ok(None));
        drop(store);
        disk.cut();
        let found = keys_of(&disk.open(CAPACITY).expect("opens")) as u64;
        assert!(
            found >= acknowledged,
            "seed {seed}: {found} of {acknowledged}"
        );
    }
}

proptest! {
    /// Wherever a value is by now, in a table, on its way or behind, reads and scans see the newest.
    #[test]
    fn reads_and_scans_see_what_was_written_last(
        seed in any::<u64>(),
        steps in prop::collection::vec((0u64..12, any::<Option<u8>>()), 1..80),
        limit in 1usize..12,
        after in 0u64..12,
    ) {
        let disk = Disk::new(seed);
        let mut store = disk.open(CAPACITY).expect("opens");
        let mut model = BTreeMap::new();
        for (seq, (n, value)) in (1..).zip(steps) {
            let write = match value {
                Some(byte) => put(n, &byte.to_string()),
                None => Write::Delete { key: key_of(n) },
            };
            model.insert(key_of(n), value.map(|byte| byte.to_string().into_bytes()));
            commit(&mut store, seq, write).expect("committed");
            prop_assert_eq!(store.read(&key_of(n)), Ok(model[&key_of(n)].clone()));
            let expected = |from: Option<Vec<u8>>| -> Vec<Pair> {
                let present = model.iter().filter_map(|(key, value)| Some((key.clone(), value.clone()?)));
                present.filter(|(key, _)| from.as_ref().is_none_or(|from| key > from)).take(limit).collect()
            };
            prop_assert_eq!(store.scan(b"c/", None, limit), Ok(expected(None)));
            let from = key_of(after);
            prop_assert_eq!(store.scan(b"c/", Some(&from), limit), Ok(expected(Some(from.clone()))));
            prop_assert_eq!(store.scan(b"d/", None, limit), Ok(Vec::new()));
        }
    }
}
