//! Channels, operations and standings through the ledger's own door.

use super::*;
use crate::money::Units;
use crate::protocol::channel::Unfit;

async fn with_channel(disk: &MemoryDisk) -> Ledger {
    let (ledger, _) = Ledger::open(disk.open()).expect("opens");
    ledger
        .open_channel(opening(1, 1), on_chain(1_000, 0), Units::ZERO)
        .await
        .expect("opened");
    ledger
}

async fn finish(ledger: &Ledger, terms: &Hold, charged: u128) {
    for event in [
        Event::Forwarded { at_ms: 2 },
        Event::Answered { at_ms: 3 },
        capture(terms, charged),
        receipt(),
    ] {
        ledger.record(terms.call, event).await.expect("recorded");
    }
}

#[tokio::test]
async fn the_state_that_refuses_is_the_state_that_is_told() {
    let ledger = with_channel(&MemoryDisk::new()).await;
    let first = channel_hold(1, 1, 100, (0, 200));
    let held = ledger.hold(first.clone()).await.expect("held");
    let held = held.expect("a channel");
    assert_eq!((held.reserved.atomic(), held.running), (100, 1));
    finish(&ledger, &first, 60).await;
    let ahead = ledger.hold(channel_hold(2, 1, 100, (61, 261))).await;
    let Err(HoldRefused::Channel { unfit, state }) = ahead else {
        panic!("{ahead:?}");
    };
    assert_eq!((unfit, state.charged.atomic()), (Unfit::Mismatch, 60));
    assert_eq!(ledger.channel(&channel_id(1)).await, Ok(Some(*state)));
    // The loser left nothing behind: its call and its replay key are free.
    assert_eq!(ledger.by_replay_key(&key(2)).await, Ok(None));
    let corrected = ledger.hold(channel_hold(2, 1, 100, (60, 260))).await;
    assert!(corrected.is_ok_and(|channel| channel.is_some_and(|c| c.charged.atomic() == 60)));
    let stranger = ledger.hold(channel_hold(3, 9, 100, (0, 200))).await;
    assert_eq!(stranger, Err(HoldRefused::UnknownChannel(channel_id(9))));
}

/// Calls side by side on one voucher never hold more than it covers, whoever wins.
#[tokio::test]
async fn many_calls_at_once_hold_no_more_than_the_voucher() {
    let ledger = with_channel(&MemoryDisk::new()).await;
    let tries = (0..64).map(|n| {
        let ledger = ledger.clone();
        tokio::spawn(async move { ledger.hold(channel_hold(n, 1, 100, (0, 350))).await })
    });
    let mut won = 0;
    for attempt in tries.collect::<Vec<_>>() {
        won += u32::from(attempt.await.expect("no panic").is_ok());
    }
    assert_eq!(won, 3);
    let channel = ledger.channel(&channel_id(1)).await.expect("reads");
    let channel = channel.expect("a channel");
    assert_eq!((channel.reserved.atomic(), channel.running), (300, 3));
    assert!(ledger.verify().await.expect("reads").is_sound());
}

#[tokio::test]
async fn a_restart_finds_the_account_and_voids_release_it() {
    let disk = MemoryDisk::new();
    let ledger = with_channel(&disk).await;
    let done = channel_hold(1, 1, 100, (0, 200));
    for terms in [done.clone(), channel_hold(2, 1, 100, (0, 201))] {
        ledger.hold(terms).await.expect("held");
    }
    finish(&ledger, &done, 70).await;
    ledger.shutdown().await;
    let (ledger, open) = Ledger::open(disk.open()).expect("opens again");
    let [call] = open.calls.as_slice() else {
        panic!("{:?}", open.calls)
    };
    let interrupted = Event::Voided {
        reason: VoidReason::Restart,
        at_ms: 4,
    };
    ledger
        .record(call.hold.call, interrupted)
        .await
        .expect("voided");
    let channels = ledger.channels().await.expect("reads");
    let [channel] = channels.as_slice() else {
        panic!("{channels:?}")
    };
    assert_eq!((channel.reserved, channel.running), (Units::ZERO, 0));
    assert_eq!(channel.claimable_total(), Units::from_atomic(70));
    let voucher = channel.voucher.as_ref().expect("a voucher");
    assert_eq!(voucher.max_claimable, Units::from_atomic(201));
    assert_eq!(ledger.channels_of(&payer(1)).await, Ok(channels.clone()));
    assert_eq!(ledger.channels_of(&payer(2)).await, Ok(Vec::new()));
    assert!(ledger.verify().await.expect("reads").is_sound());
}

#[tokio::test]
async fn a_channel_is_taken_into_the_books_once() {
    let ledger = with_channel(&MemoryDisk::new()).await;
    let mut later = opening(1, 1);
    later.at_ms = 99;
    let seen = ledger
        .open_channel(later, on_chain(2_000, 5), Units::from_atomic(500))
        .await
        .expect("seen again");
    assert_eq!(seen.opening.at_ms, 1);
    assert_eq!(
        seen.charged.atomic(),
        5,
        "only an opening takes the payer's word"
    );
    let other = ledger
        .open_channel(opening(1, 2), on_chain(1, 0), Units::ZERO)
        .await;
    assert_eq!(other, Err(TransitionError::AlreadyExists.into()));
    let unknown = ledger.observe_channel(channel_id(4), on_chain(1, 0)).await;
    let id = EntityId::Channel(channel_id(4));
    assert_eq!(unknown, Err(LedgerError::Unknown(id)));
}

#[tokio::test]
async fn an_operation_is_taken_up_again_until_it_is_done() {
    let disk = MemoryDisk::new();
    let ledger = with_channel(&disk).await;
    let mut claim = operation(1, OperationKind::Claim);
    claim.channels.push(channel_id(1));
    ledger
        .request_operation(claim.clone())
        .await
        .expect("requested");
    let again = ledger.request_operation(claim.clone()).await;
    assert_eq!(again, Err(TransitionError::AlreadyExists.into()));
    ledger
        .record_operation(claim.id, sent(1, "0x1"))
        .await
        .expect("sent");
    ledger.shutdown().await;
    let (ledger, open) = Ledger::open(disk.open()).expect("opens again");
    let [taken_up] = open.operations.as_slice() else {
        panic!("{:?}", open.operations)
    };
    assert_eq!(*taken_up.operation, claim);
    ledger
        .record_operation(claim.id, confirmed())
        .await
        .expect("confirmed");
    assert_eq!(ledger.open_operations().await, Ok(Vec::new()));
    ledger.shutdown().await;
    let (ledger, open) = Ledger::open(disk.open()).expect("opens again");
    assert!(open.operations.is_empty());
    assert_eq!(open.settled_operations.len(), 1);
    assert!(ledger.verify().await.expect("reads").is_sound());
}

#[tokio::test]
async fn the_longest_operation_has_room_for_its_transactions() {
    let ledger = with_channel(&MemoryDisk::new()).await;
    let mut long = operation(1, OperationKind::Batch);
    long.job = serde_json::json!("x".repeat(33 << 10));
    let refused = ledger.request_operation(long.clone()).await;
    assert_eq!(refused, Err(LedgerError::TooLarge));
    long.job = serde_json::json!("x".repeat((32 << 10) - 300));
    ledger
        .request_operation(long.clone())
        .await
        .expect("requested");
    // Longer than any record: it is left out. Others are kept while there is room.
    for n in 0..64u64 {
        let mut event = sent(n, &format!("0x{n:064x}"));
        if let Event::SettlementSent {
            raw_transaction, ..
        } = &mut event
        {
            *raw_transaction = "x".repeat(if n == 0 { 100 << 10 } else { 6 << 10 });
        }
        let state = ledger.record_operation(long.id, event).await;
        let state = state.expect("recorded");
        let broadcast = state.settlement.broadcast().expect("sent");
        let newest = broadcast.attempts.last().expect("an attempt");
        assert_eq!(newest.raw_transaction.is_empty(), n == 0);
    }
    ledger
        .record_operation(long.id, confirmed())
        .await
        .expect("confirmed");
    assert!(ledger.verify().await.expect("reads").is_sound());
}

#[tokio::test]
async fn a_payer_who_did_not_pay_is_remembered_until_it_is_found_paid() {
    let ledger = with_channel(&MemoryDisk::new()).await;
    let key = CreditKey::of(&payer(1), NETWORK, ASSET).expect("a key");
    assert_eq!(ledger.standing(&key).await, Ok(Standing::default()));
    // What takes the bill, what takes all that is held, and that in a record of an earlier version.
    for (n, held) in [(1, 100), (2, 101), (3, 99)] {
        let terms = hold(n, held, SettleWhen::After);
        let old = Takes::Held == terms.takes && !terms.remembered;
        assert_eq!((old, terms.takes == Takes::Held), (n == 3, n > 1));
        ledger.hold(terms.clone()).await.expect("held");
        finish(&ledger, &terms, 30).await;
        ledger.record(terms.call, failed()).await.expect("failed");
    }
    let standing = ledger.standing(&key).await.expect("reads");
    assert_eq!((standing.unpaid_calls, standing.unpaid.atomic()), (2, 60));
    ledger
        .record(call_id(1), confirmed())
        .await
        .expect("found after all");
    let standing = ledger.standing(&key).await.expect("reads");
    assert_eq!((standing.unpaid_calls, standing.unpaid.atomic()), (1, 30));
    assert_eq!(standing.last_failed_ms, 7);
    assert!(ledger.verify().await.expect("reads").is_sound());
}
