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
