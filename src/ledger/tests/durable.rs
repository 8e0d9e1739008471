//! The same ledger on a real disk.

use super::*;

fn store(folder: &tempfile::TempDir) -> SledStore {
    SledStore::open(folder.path()).expect("opens")
}

#[tokio::test]
async fn what_was_recorded_is_there_after_reopening() {
    let folder = tempfile::tempdir().expect("a folder");
    let (ledger, open) = Ledger::open(store(&folder)).expect("opens");
    assert!(open.calls.is_empty() && open.withdrawals.is_empty());
    for n in 1..=20 {
        ledger
            .hold(hold(n, 100, SettleWhen::After))
            .await
            .expect("held");
    }
    let done = Event::Voided {
        reason: VoidReason::UpstreamRefused,
        at_ms: 3,
    };
    ledger.record(call_id(1), done).await.expect("voided");
    let body = vec![5; 300_000];
    let answer = Answer {
        status: 502,
        headers: Vec::new(),
        body,
    };
    ledger
        .store_answer(&call_id(1), answer.clone(), 10)
        .await
        .expect("stored");
    ledger.shutdown().await;
    assert!(!ledger.healthy());
    let refused = ledger.hold(hold(30, 1, SettleWhen::After)).await;
    assert_eq!(refused, Err(HoldRefused::Unavailable));

    for _ in 0..3 {
        let (ledger, open) = Ledger::open(store(&folder)).expect("opens again");
        assert_eq!(open.calls.len(), 19);
        assert_eq!(
            ledger.answer(&call_id(1), 9).await,
            Ok(Some(answer.clone()))
        );
        let refused = ledger.hold(hold(2, 100, SettleWhen::After)).await;
        assert!(matches!(refused, Err(HoldRefused::Taken { .. })));
        let report = ledger.verify().await.expect("reads");
        assert!(report.is_sound(), "{:?}", report.faults);
        assert_eq!(
            (report.entries, report.calls, report.calls_open),
            (21, 20, 19)
        );
        ledger.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_acknowledged_is_read_beside_the_writer_while_the_journal_turns() {
    // Answers enough to fill the journal's files several times over.
    const ANSWERS: u64 = 120;
    let folder = tempfile::tempdir().expect("a folder");
    let (ledger, _) = Ledger::open(store(&folder)).expect("opens");
    let answer = |n: u64| Answer {
        status: 200,
        headers: Vec::new(),
        body: vec![n as u8; 300_000],
    };
    let (acknowledged, newest) = tokio::sync::watch::channel(0);
    let readers = [(); 2].map(|()| {
        let (ledger, newest) = (ledger.clone(), newest.clone());
        tokio::spawn(async move {
            let mut read = 0u64;
            loop {
                let known = *newest.borrow();
                for n in (1..=known).rev().step_by(7) {
                    let kept = ledger.answer(&call_id(n), 9).await;
                    assert_eq!(kept, Ok(Some(answer(n))), "answer {n} of {known}");
                    read += 1;
                }
                if known == ANSWERS {
                    return read;
                }
                tokio::task::yield_now().await;
            }
        })
    });
    for n in 1..=ANSWERS {
        let held = ledger.hold(hold(n, 100, SettleWhen::After)).await;
        held.expect("held");
        let kept = ledger.store_answer(&call_id(n), answer(n), 10).await;
        kept.expect("kept");
        acknowledged.send(n).expect("readers");
    }
    for reader in readers {
        assert!(reader.await.expect("no panic") > ANSWERS / 7);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_writers_share_one_ledger() {
    let folder = tempfile::tempdir().expect("a folder");
    let (ledger, _) = Ledger::open(store(&folder)).expect("opens");
    let writers = (0..64u64).map(|writer| {
        let ledger = ledger.clone();
        tokio::spawn(async move {
            for n in 0..10 {
                let terms = hold(writer * 10 + n, 100, SettleWhen::After);
                ledger.hold(terms.clone()).await.expect("held");
                let path = [
                    Event::Forwarded { at_ms: 2 },
                    Event::Answered { at_ms: 3 },
                    capture(&terms, 30),
                ];
                for event in path {
                    ledger.record(terms.call, event).await.expect("recorded");
                }
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.expect("no panic");
    }
    let report = ledger.verify().await.expect("reads");
    assert!(report.is_sound(), "{:?}", report.faults);
    assert_eq!((report.entries, report.calls), (64 * 10 * 4, 640));
    let mut exported = Vec::new();
    assert_eq!(ledger.export(&mut exported).await.expect("exports"), 2_560);
    let lines = exported
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty());
    let mut seq = 0;
    for line in lines {
        let entry: LogEntry = serde_json::from_slice(line).expect("an entry");
        seq += 1;
        assert_eq!((entry.seq, entry.computed_hash()), (seq, entry.hash));
    }
    ledger.shutdown().await;
}

#[tokio::test]
async fn a_second_process_cannot_open_the_same_store() {
    let folder = tempfile::tempdir().expect("a folder");
    let (ledger, _) = Ledger::open(store(&folder)).expect("opens");
    assert!(SledStore::open(folder.path()).is_err());
    ledger.shutdown().await;
}

/// What a kill leaves behind, as nearly as a test can have it: the files as they are, while the ledger
/// that writes them is open and part of its records is on the way from the journal into sled.
fn copied(folder: &tempfile::TempDir) -> tempfile::TempDir {
    let copy = tempfile::tempdir().expect("a folder");
    for entry in std::fs::read_dir(folder.path()).expect("the folder is there") {
        let entry = entry.expect("an entry");
        if entry.file_type().expect("a type").is_file() {
            std::fs::copy(entry.path(), copy.path().join(entry.file_name())).expect("copied");
        }
    }
    copy
}

/// A hold whose record is so long that 64 of them fill one of the journal's files.
fn long_hold(n: u64) -> Hold {
    let mut terms = hold(n, 100, SettleWhen::After);
    terms.price_row = "x".repeat(60 << 10);
    terms
}

#[tokio::test]
async fn what_a_kill_leaves_has_all_that_was_acknowledged() {
    let folder = tempfile::tempdir().expect("a folder");
    let (ledger, _) = Ledger::open(store(&folder)).expect("opens");
    for n in 1..=200 {
        ledger.hold(long_hold(n)).await.expect("held");
        if ![1, 60, 70, 140, 200].contains(&n) {
            continue;
        }
        let copy = copied(&folder);
        for _ in 0..2 {
            let (ledger, open) = Ledger::open(store(&copy)).expect("opens");
            assert_eq!(open.calls.len() as u64, n);
            let report = ledger.verify().await.expect("reads");
            assert!(report.is_sound(), "{:?}", report.faults);
            ledger.shutdown().await;
        }
    }
    ledger.shutdown().await;
}

#[tokio::test]
async fn a_journal_can_be_done_without_only_after_a_clean_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let (ledger, _) = Ledger::open(store(&folder)).expect("opens");
    ledger.hold(long_hold(1)).await.expect("held");
    let killed = copied(&folder);
    ledger.shutdown().await;
    for name in ["journal-0", "journal-1"] {
        std::fs::remove_file(killed.path().join(name)).expect("removed");
        std::fs::remove_file(folder.path().join(name)).expect("removed");
        let refused = SledStore::open(killed.path()).expect_err("is refused");
        assert!(
            refused.to_string().contains("journal-0 is missing"),
            "{refused}"
        );
        let (ledger, open) = Ledger::open(store(&folder)).expect("opens");
        assert_eq!(open.calls.len(), 1);
        ledger.shutdown().await;
    }
}

/// Versions before the journal wrote to sled alone.
#[tokio::test]
async fn a_ledger_from_before_the_journal_gets_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let before = sled::Config::new()
        .path(folder.path())
        .segment_size(8 << 20)
        .open()
        .expect("opens");
    for line in golden::BEFORE_CHANNELS.lines() {
        let (key, value) = line.split_once(' ').expect("a key and a value");
        let key = hex::decode(key).expect("hexadecimal");
        before.insert(key, value).expect("written");
    }
    drop(before);
    let (ledger, open) = Ledger::open(store(&folder)).expect("opens");
    assert_eq!((open.calls.len(), open.withdrawals.len()), (2, 1));
    let terms = hold(50, 100, SettleWhen::After);
    assert_eq!(ledger.hold(terms).await, Ok(None));
    let killed = copied(&folder);
    let (copy, open) = Ledger::open(store(&killed)).expect("opens");
    assert_eq!(open.calls.len(), 3);
    let report = copy.verify().await.expect("reads");
    assert!(report.is_sound(), "{:?}", report.faults);
    assert_eq!(report.entries, 48);
    copy.shutdown().await;
    ledger.shutdown().await;
}

/// sled never syncs the files it moves long items to, so there must not be any.
#[tokio::test]
async fn the_longest_records_stay_in_the_synced_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let (ledger, _) = Ledger::open(store(&folder)).expect("opens");
    for n in 0..60 {
        let mut terms = hold(n, 100, SettleWhen::After);
        terms.price_row = "x".repeat(63 << 10);
        assert_eq!(ledger.hold(terms.clone()).await, Ok(None));
        let forwarded = Event::Forwarded { at_ms: 2 };
        ledger
            .record(terms.call, forwarded)
            .await
            .expect("recorded");
    }
    let mut longer = hold(100, 100, SettleWhen::After);
    longer.price_row = "x".repeat(64 << 10);
    assert_eq!(ledger.hold(longer).await, Err(HoldRefused::TooLarge));
    assert!(ledger.healthy());
    ledger.shutdown().await;
    let files = std::fs::read_dir(folder.path().join("blobs")).expect("the folder is there");
    assert_eq!(files.count(), 0);
}
