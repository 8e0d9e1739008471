use super::*;
use crate::ledger::store::Reader;

fn answer(body: usize) -> Answer {
    Answer {
        status: 200,
        headers: vec![("content-type".to_owned(), "text/event-stream".to_owned())],
        body: (0..body)
            .map(|n| u8::try_from(n % 251).unwrap_or(0))
            .collect(),
    }
}

#[tokio::test]
async fn answers_come_back_whole_until_they_expire() {
    let (ledger, _) = Ledger::open(MemoryDisk::new().open()).expect("opens");
    for n in 1..=3 {
        ledger
            .hold(hold(n, 100, SettleWhen::After))
            .await
            .expect("held");
    }
    for (n, length) in [(1, 0), (2, 16 << 10), (3, 100_001)] {
        ledger
            .store_answer(&call_id(n), answer(length), 1_000 + n)
            .await
            .expect("stored");
        let found = ledger.answer(&call_id(n), 1_000).await;
        assert_eq!(found, Ok(Some(answer(length))));
    }
    assert_eq!(
        ledger.answer(&call_id(1), 1_001).await,
        Ok(None),
        "expired, though not purged"
    );
    // A longer life for the second: only the others go.
    ledger
        .store_answer(&call_id(2), answer(5), 9_000)
        .await
        .expect("stored again");
    assert_eq!(ledger.purge_expired(1_003).await, Ok(2));
    assert_eq!(ledger.purge_expired(1_003).await, Ok(0));
    assert_eq!(ledger.answer(&call_id(3), 0).await, Ok(None));
    assert_eq!(ledger.answer(&call_id(2), 8_999).await, Ok(Some(answer(5))));
    let unknown = ledger.store_answer(&call_id(9), answer(1), 1).await;
    assert_eq!(
        unknown,
        Err(LedgerError::Unknown(EntityId::Call(call_id(9))))
    );
    let long = ledger
        .store_answer(&call_id(1), answer((16 << 20) + 1), 1)
        .await;
    assert_eq!(long, Err(LedgerError::TooLarge));
    // What its headers leave no room for beside them has records of its own.
    for (headers, kept) in [(40, true), (60, true), (70, false)] {
        let value = "h".repeat(headers << 10);
        let answer = Answer {
            headers: vec![("x-long".to_owned(), value)],
            ..answer(20_000)
        };
        let stored = ledger
            .store_answer(&call_id(1), answer.clone(), 9_000)
            .await;
        assert_eq!(stored.is_ok(), kept, "{headers} KiB: {stored:?}");
        if kept {
            let found = ledger.answer(&call_id(1), 8_999).await;
            assert_eq!(found, Ok(Some(answer)), "{headers} KiB");
        }
    }
}

/// Earlier versions kept no piece of the body with the head.
#[tokio::test]
async fn an_answer_that_an_earlier_version_kept_comes_back_and_is_forgotten() {
    let (id, body) = (call_id(1), [b"one\n".repeat(4096), b"two".to_vec()]);
    let head = br#"{"status":200,"headers":[],"body_bytes":16387,"pieces":2,"expires_ms":7}"#;
    let put = |key, value: &[u8]| store::Write::Put {
        key,
        value: value.to_vec(),
    };
    let disk = MemoryDisk::new();
    let writes = vec![
        put(keys::answer(&id), head),
        put(keys::answer_piece(&id, 0), &body[0]),
        put(keys::answer_piece(&id, 1), &body[1]),
        put(keys::expiry(7, &id), b""),
    ];
    let written = disk.open().commit(store::Head::EMPTY, writes);
    assert_eq!(written, Ok(()));
    let (ledger, _) = Ledger::open(disk.open()).expect("opens");
    let found = ledger.answer(&id, 6).await.expect("reads");
    assert_eq!(found.map(|answer| answer.body), Some(body.concat()));
    assert_eq!(ledger.purge_expired(7).await, Ok(1));
    ledger.shutdown().await;
    for prefix in [keys::ANSWERS, keys::ANSWER_PIECES, keys::EXPIRIES] {
        assert_eq!(disk.open().scan(prefix, None, 1), Ok(Vec::new()));
    }
}

#[tokio::test]
async fn notes_are_remembered_by_kind_and_forgotten_and_are_no_fault() {
    let disk = MemoryDisk::new();
    let (ledger, _) = Ledger::open(disk.open()).expect("opens");
    let note = |name: &[u8], text: &str| (name.to_vec(), Some(text.as_bytes().to_vec()));
    let notes = vec![note(b"a", "1"), note(&[0, 255], "2")];
    ledger.take_notes("kind", notes).await.expect("taken");
    let other = vec![note(b"a", "3")];
    ledger.take_notes("kinder", other).await.expect("taken");
    let gone = vec![(b"a".to_vec(), None)];
    ledger.take_notes("kind", gone).await.expect("taken");
    let left = vec![(vec![0, 255], b"2".to_vec())];
    assert_eq!(ledger.notes("kind"), Ok(left.clone()));
    let long = vec![(b"b".to_vec(), Some(vec![0; (64 << 10) + 1]))];
    let refused = ledger.take_notes("kind", long).await;
    assert_eq!(refused, Err(LedgerError::TooLarge));
    assert_eq!(ledger.verify().await.expect("a report").faults, []);
    ledger.shutdown().await;
    let (again, _) = Ledger::open(disk.open()).expect("opens again");
    assert_eq!(again.notes("kind"), Ok(left));
}

#[tokio::test]
async fn a_purge_takes_any_number_and_leaves_nothing() {
    let disk = MemoryDisk::new();
    let (ledger, _) = Ledger::open(disk.open()).expect("opens");
    for n in 0..200 {
        ledger
            .hold(hold(n, 100, SettleWhen::After))
            .await
            .expect("held");
        ledger
            .store_answer(&call_id(n), answer(40_000), n)
            .await
            .expect("stored");
    }
    assert_eq!(ledger.purge_expired(500).await, Ok(200));
    ledger.shutdown().await;
    let store = disk.open();
    for prefix in [keys::ANSWERS, keys::ANSWER_PIECES, keys::EXPIRIES] {
        assert_eq!(store.scan(prefix, None, 1), Ok(Vec::new()));
    }
}
