mod answers;
mod begun;
mod channels;
mod crash;
mod durable;
mod golden;
mod journal;
mod pretended;
mod tamper;
mod walk;
mod writer;

use super::book::Book;
use super::*;
use machine::samples::*;

/// Runs one command as a batch of its own.
fn one<T>(book: &mut Book, command: impl FnOnce(&mut batch::Batch<'_>) -> T) -> T {
    let mut batch = book.begin();
    let result = command(&mut batch);
    let staged = batch.finish();
    assert!(book.commit(staged).is_ok(), "the commit failed");
    result
}

#[tokio::test]
async fn rule_2_two_holds_of_one_key_in_one_batch_have_one_winner() {
    let mut book = Book::open(Box::new(MemoryDisk::new().open())).expect("opens");
    let mut batch = book.begin();
    let first = hold(1, 100, SettleWhen::Before);
    let mut second = hold(2, 100, SettleWhen::Before);
    second.replay_key = first.replay_key;
    assert_eq!(batch.hold(first.clone()), Ok(None));
    let refused = batch.hold(second.clone());
    assert!(matches!(refused, Err(HoldRefused::Taken { call, .. }) if call == first.call));
    // The loser left nothing behind, so its call id is still free.
    second.replay_key = key(2);
    assert_eq!(batch.hold(second), Ok(None));
    let staged = batch.finish();
    assert!(book.commit(staged).is_ok());
    assert!(
        one(&mut book, |b| b.hold(first)).is_err(),
        "taken after the commit too"
    );
}

#[tokio::test]
async fn rule_2_many_tasks_with_one_credential_have_one_winner() {
    let (ledger, _) = Ledger::open(MemoryDisk::new().open()).expect("opens");
    for round in 0..50 {
        let tries = (0..64).map(|n| {
            let ledger = ledger.clone();
            let mut hold = hold(round * 64 + n, 100, SettleWhen::After);
            hold.replay_key = key(round);
            tokio::spawn(async move { ledger.hold(hold).await })
        });
        let mut won = 0;
        for attempt in tries.collect::<Vec<_>>() {
            won += u32::from(attempt.await.expect("no panic").is_ok());
        }
        assert_eq!(won, 1, "round {round}");
    }
    assert!(ledger.verify().await.expect("reads").is_sound());
}

#[tokio::test]
async fn a_payment_identifier_is_claimed_with_the_hold() {
    let (ledger, _) = Ledger::open(MemoryDisk::new().open()).expect("opens");
    let mut first = hold(1, 100, SettleWhen::After);
    first.payment_id = Some(key(500));
    let mut second = hold(2, 100, SettleWhen::After);
    second.payment_id = first.payment_id;
    assert_eq!(ledger.hold(first.clone()).await, Ok(None));
    let refused = ledger.hold(second.clone()).await;
    let Err(HoldRefused::PaymentIdTaken { call, request, .. }) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!((call, request), (first.call, first.request));
    assert_eq!(ledger.by_replay_key(&second.replay_key).await, Ok(None));
    let found = ledger
        .by_payment_id(&key(500))
        .await
        .expect("reads")
        .expect("found");
    assert_eq!(found.hold.call, first.call);
}

#[tokio::test]
async fn rule_5_a_ledger_that_cannot_write_takes_no_holds() {
    let disk = MemoryDisk::new();
    let (ledger, _) = Ledger::open(disk.open()).expect("opens");
    ledger
        .hold(hold(1, 100, SettleWhen::After))
        .await
        .expect("held");
    assert!(ledger.healthy());
    disk.fault_after(0, MemoryFault::Refuse);
    let refused = ledger.hold(hold(2, 100, SettleWhen::After)).await;
    assert_eq!(refused, Err(HoldRefused::Unavailable));
    assert!(!ledger.healthy());
    // The disk would take writes again, but what it holds is unknown until it is read anew.
    let refused = ledger.hold(hold(3, 100, SettleWhen::After)).await;
    assert_eq!(refused, Err(HoldRefused::Unavailable));
    let refused = ledger
        .record(call_id(1), Event::Forwarded { at_ms: 1 })
        .await;
    assert_eq!(refused, Err(LedgerError::Unavailable));
    assert!(
        ledger
            .call(&call_id(1))
            .await
            .expect("still reads")
            .is_some()
    );
    ledger.shutdown().await;
    let (ledger, open) = Ledger::open(disk.open()).expect("opens again");
    assert_eq!(open.calls.len(), 1);
    assert_eq!(ledger.hold(hold(3, 100, SettleWhen::After)).await, Ok(None));
}

#[tokio::test]
async fn events_that_are_recorded_together_share_a_commit() {
    let disk = MemoryDisk::new();
    let (ledger, _) = Ledger::open(disk.open()).expect("opens");
    let terms = hold(1, 100, SettleWhen::After);
    disk.fault_after(2, MemoryFault::Refuse);
    let then = vec![Event::Forwarded { at_ms: 2 }];
    let (begun, mut hold) = ledger
        .begin(terms.clone(), then, Haste::Now)
        .await
        .expect("held");
    assert_eq!(hold.durable().await, Ok(()));
    assert_eq!(begun.work, machine::Work::Forwarded);
    let rest = vec![Event::Answered { at_ms: 3 }, capture(&terms, 30)];
    let state = ledger.record_all(terms.call, rest).await.expect("recorded");
    assert_eq!(state.charged(), crate::money::Units::from_atomic(30));
    let third = ledger.record_all(terms.call, vec![sent(1, "0x1")]).await;
    assert_eq!(
        third,
        Err(LedgerError::Unavailable),
        "two commits were left"
    );
    ledger.shutdown().await;
    let (ledger, _) = Ledger::open(disk.open()).expect("opens again");
    assert_eq!(ledger.call(&terms.call).await, Ok(Some(state)));
}

#[tokio::test]
async fn what_happens_at_once_is_one_entry_of_the_log_or_some_if_that_is_too_long() {
    let (ledger, _) = Ledger::open(MemoryDisk::new().open()).expect("opens");
    let answered = |terms: &Hold, receipt: usize| {
        vec![
            Event::Forwarded { at_ms: 2 },
            Event::Answered { at_ms: 3 },
            capture(terms, 30),
            Event::Receipted {
                receipt: "r".repeat(receipt),
                at_ms: 4,
            },
        ]
    };
    let most = store::RECORD_BYTES_MAX - 400;
    for (n, receipt, entries) in [(1, 100, 2), (2, most, 7)] {
        let terms = hold(n, 100, SettleWhen::After);
        ledger.hold(terms.clone()).await.expect("held");
        let events = answered(&terms, receipt);
        let state = ledger.record_all(terms.call, events).await.expect("taken");
        assert_eq!(state.receipt.as_ref().map(String::len), Some(receipt));
        let report = ledger.verify().await.expect("reads");
        assert_eq!((report.entries, &*report.faults), (entries, &[][..]));
        assert_eq!(ledger.call(&terms.call).await, Ok(Some(state)));
    }
    let mut lines = Vec::new();
    ledger.export(&mut lines).await.expect("exports");
    let lines = String::from_utf8(lines).expect("text");
    let told = lines.lines().map(|line| {
        let entry: LogEntry = serde_json::from_str(line).expect("an entry");
        entry.events().expect("events").len()
    });
    assert_eq!(told.collect::<Vec<_>>(), [1, 4, 1, 1, 1, 1, 1]);
}

#[tokio::test]
async fn an_event_that_is_refused_takes_those_after_it_along_and_none_before() {
    let (ledger, _) = Ledger::open(MemoryDisk::new().open()).expect("opens");
    let terms = hold(1, 100, SettleWhen::After);
    let begun = ledger.begin(terms.clone(), Vec::new(), Haste::Now).await;
    let (held, _on_its_way) = begun.expect("held");
    let again = ledger.begin(terms.clone(), Vec::new(), Haste::Now).await;
    assert!(matches!(again, Err(HoldRefused::Taken { .. })), "{again:?}");
    let mixed = vec![
        Event::Forwarded { at_ms: 2 },
        Event::Forwarded { at_ms: 2 },
        Event::Answered { at_ms: 3 },
    ];
    let refused = ledger.record_all(terms.call, mixed).await;
    assert!(
        matches!(refused, Err(LedgerError::Refused(_))),
        "{refused:?}"
    );
    let state = ledger.call(&terms.call).await.expect("reads");
    assert_eq!(held.work, machine::Work::Held);
    assert_eq!(state.expect("known").work, machine::Work::Forwarded);
    assert!(ledger.verify().await.expect("reads").is_sound());
}

#[tokio::test]
async fn a_second_writer_is_noticed() {
    let disk = MemoryDisk::new();
    let (ledger, _) = Ledger::open(disk.open()).expect("opens");
    let other = store::Head {
        seq: 7,
        ..store::Head::EMPTY
    };
    ledger
        .hold(hold(1, 100, SettleWhen::After))
        .await
        .expect("held");
    disk.tamper(store::Head::KEY, |head| {
        *head = serde_json::to_vec(&other).expect("json")
    });
    let refused = ledger.hold(hold(2, 100, SettleWhen::After)).await;
    assert_eq!(refused, Err(HoldRefused::Unavailable));
    assert!(!ledger.healthy());
}

#[tokio::test]
async fn credit_is_paid_out_once_and_comes_back_when_the_payout_fails() {
    let (ledger, _) = Ledger::open(MemoryDisk::new().open()).expect("opens");
    let terms = hold(1, 100, SettleWhen::OnFirstByte);
    ledger.hold(terms.clone()).await.expect("held");
    let path = [
        Event::Forwarded { at_ms: 2 },
        Event::Answered { at_ms: 3 },
        sent(1, "0x1"),
        capture(&terms, 30),
    ];
    for event in path {
        ledger.record(terms.call, event).await.expect("recorded");
    }
    let early = ledger.request_withdrawal(withdrawal(1, 1, 70)).await;
    let nothing = crate::money::Units::ZERO;
    assert_eq!(
        early,
        Err(LedgerError::InsufficientCredit { available: nothing })
    );
    ledger
        .record(terms.call, confirmed())
        .await
        .expect("confirmed");
    let figures = async || {
        let credits = ledger.credits(&payer(1)).await.expect("reads");
        let c = credits.first().expect("one credit").credit;
        (c.available, c.pending, c.withdrawing, c.withdrawn)
    };
    assert_eq!(figures().await, (70, 0, 0, 0));
    ledger
        .request_withdrawal(withdrawal(1, 1, 70))
        .await
        .expect("requested");
    assert!(
        ledger
            .request_withdrawal(withdrawal(2, 1, 1))
            .await
            .is_err()
    );
    assert_eq!(figures().await, (0, 0, 70, 0));
    let id = withdrawal_id(1);
    ledger
        .record_withdrawal(id, sent(2, "0x2"))
        .await
        .expect("sent");
    ledger
        .record_withdrawal(id, failed())
        .await
        .expect("failed");
    assert_eq!(figures().await, (70, 0, 0, 0));
    ledger
        .record_withdrawal(id, confirmed())
        .await
        .expect("found on chain after all");
    assert_eq!(figures().await, (0, 0, 0, 70));
    // The payer's own payment vanishes after it was paid back: the debt is shown, not hidden.
    ledger
        .record(terms.call, Event::SettlementReorged { at_ms: 9 })
        .await
        .expect("reorged");
    assert_eq!(figures().await, (-70, 70, 0, 70));
    let report = ledger.verify().await.expect("reads");
    assert!(report.is_sound(), "{:?}", report.faults);
}
