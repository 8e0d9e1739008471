//! A ledger that an earlier version wrote opens, agrees with itself, and goes on.

use super::*;

pub(super) const BEFORE_CHANNELS: &str =
    include_str!("../../../tests/data/ledger/before-channels.txt");

/// The store that these lines are a copy of.
fn store(lines: &str) -> MemoryStore {
    let writes = lines.lines().map(|line| {
        let (key, value) = line.split_once(' ').expect("a key and a value");
        Write::Put {
            key: hex::decode(key).expect("hexadecimal"),
            value: value.as_bytes().to_vec(),
        }
    });
    let mut store = MemoryDisk::new().open();
    store
        .commit(Head::EMPTY, writes.collect())
        .expect("written");
    store
}

#[tokio::test]
async fn a_ledger_from_before_channels_is_sound_and_goes_on() {
    let (ledger, open) = Ledger::open(store(BEFORE_CHANNELS)).expect("opens");
    assert_eq!((open.calls.len(), open.withdrawals.len()), (2, 1));
    assert_eq!((open.operations.len(), open.settled_calls.len()), (0, 3));
    let report = ledger.verify().await.expect("reads");
    assert!(report.is_sound(), "{:?}", report.faults);
    assert_eq!(
        (report.entries, report.calls, report.withdrawals),
        (47, 7, 2)
    );
    let terms = hold(50, 100, SettleWhen::After);
    assert_eq!(ledger.hold(terms).await, Ok(None));
    let old = open.calls.iter().find(|call| call.work == Work::Forwarded);
    let old = old.expect("a call under way").hold.call;
    let voided = Event::Voided {
        reason: VoidReason::Restart,
        at_ms: 50,
    };
    let voided = ledger.record(old, voided).await.expect("goes on");
    assert_eq!(ledger.call(&old).await, Ok(Some(voided)));
    assert!(ledger.verify().await.expect("reads").is_sound());
}

#[test]
fn an_old_event_is_written_again_as_it_was() {
    let mut seen = 0;
    for line in BEFORE_CHANNELS.lines() {
        let (key, value) = line.split_once(' ').expect("a key and a value");
        if !hex::decode(key)
            .expect("hexadecimal")
            .starts_with(keys::LOG)
        {
            continue;
        }
        let entry: LogEntry = serde_json::from_str(value).expect("an entry");
        assert_eq!(entry.computed_hash(), entry.hash);
        let events = entry.events().expect("events");
        let [event] = events.as_slice() else {
            panic!("an old entry tells of one event: {}", entry.seq);
        };
        let again = serde_json::to_string(event).expect("text");
        assert_eq!(again, entry.event.get(), "entry {}", entry.seq);
        seen += 1;
    }
    assert_eq!(seen, 47);
}
