//! Records changed behind the ledger's back are found and named.

use super::*;
use crate::ledger::store::Reader;

/// A ledger of three calls, the first of them paid, billed and left with credit.
async fn filled(disk: &MemoryDisk) -> Ledger {
    let (ledger, _) = Ledger::open(disk.open()).expect("opens");
    for n in 1..=3 {
        let mut terms = hold(n, 100, SettleWhen::OnFirstByte);
        terms.payment_id = Some(key(n + 100));
        ledger.hold(terms).await.expect("held");
    }
    let terms = hold(1, 100, SettleWhen::OnFirstByte);
    let path = [
        Event::Forwarded { at_ms: 2 },
        Event::Answered { at_ms: 3 },
        sent(1, "0x1"),
        capture(&terms, 30),
        confirmed(),
        receipt(),
    ];
    for event in path {
        ledger.record(terms.call, event).await.expect("recorded");
    }
    with_channel(&ledger).await;
    ledger
}

/// A call running on a channel, one that was never paid, and an operation.
async fn with_channel(ledger: &Ledger) {
    let charged_before = crate::money::Units::from_atomic(20);
    let opened = ledger.open_channel(opening(1, 1), on_chain(500, 10), charged_before);
    opened.await.expect("opened");
    for terms in [
        channel_hold(11, 1, 50, (20, 120)),
        channel_hold(12, 1, 40, (20, 130)),
        hold(14, 100, SettleWhen::After),
    ] {
        ledger.hold(terms).await.expect("held");
    }
    for (n, held) in [
        (12, channel_hold(12, 1, 40, (20, 130))),
        (14, hold(14, 100, SettleWhen::After)),
    ] {
        let path = [
            Event::Forwarded { at_ms: 2 },
            Event::Answered { at_ms: 3 },
            capture(&held, 30),
        ];
        for event in path {
            ledger.record(call_id(n), event).await.expect("recorded");
        }
    }
    let unpaid = ledger.record(call_id(14), failed()).await;
    unpaid.expect("recorded");
    let mut claim = operation(1, OperationKind::Claim);
    claim.channels.push(channel_id(1));
    claim.calls.push(call_id(12));
    ledger.request_operation(claim).await.expect("requested");
}

fn flip(needle: &'static str) -> impl Fn(&mut Vec<u8>) {
    move |bytes| {
        let at = bytes
            .windows(needle.len())
            .position(|w| w == needle.as_bytes());
        let at = at.expect("the text is there") + needle.len();
        bytes[at] ^= 1;
    }
}

#[tokio::test]
async fn a_changed_event_byte_is_named_by_its_number() {
    for seq in [1u64, 4, 9, 10, 14, 21] {
        let disk = MemoryDisk::new();
        let ledger = filled(&disk).await;
        assert!(ledger.verify().await.expect("reads").is_sound());
        assert!(disk.tamper(&keys::log(seq), flip("at_ms\":")));
        let report = ledger.verify().await.expect("reads");
        let named: Vec<_> = report.faults.iter().filter_map(|fault| fault.seq).collect();
        assert_eq!(named, [seq], "{:?}", report.faults);
        let error = Ledger::open(disk.open()).expect_err("a broken tail is not served from");
        assert!(
            matches!(error, OpenError::Broken { seq: at, .. } if at == seq),
            "{error}"
        );
    }
}

#[tokio::test]
async fn every_other_changed_record_is_named_too() {
    let id = EntityId::Call(call_id(1));
    let key_of_credit = CreditKey::of(&payer(1), NETWORK, ASSET).expect("a key");
    let garbage = |bytes: &mut Vec<u8>| *bytes = b"{}".to_vec();
    let one_less = |bytes: &mut Vec<u8>| {
        let mut steps: Vec<u64> = serde_json::from_slice(bytes).expect("numbers");
        steps.pop();
        *bytes = serde_json::to_vec(&steps).expect("text");
    };
    let other_call = |bytes: &mut Vec<u8>| *bytes = call_id(2).to_string().into_bytes();
    type Change<'a> = (&'a str, Vec<u8>, &'a dyn Fn(&mut Vec<u8>));
    let channel = EntityId::Channel(channel_id(1));
    let claim = EntityId::Operation(operation_id(1));
    let changes: [Change<'_>; 14] = [
        ("state", keys::state(&id), &garbage),
        ("another call's step", keys::state(&id), &flip("[")),
        ("a step less", keys::state(&id), &one_less),
        ("replay key", keys::replay(&key(1)), &other_call),
        ("payment id", keys::payment_id(&key(101)), &other_call),
        (
            "credit",
            keys::credit(&key_of_credit),
            &flip("available\":\""),
        ),
        (
            "charge of a channel",
            keys::state(&channel),
            &flip("\"charged\":\""),
        ),
        ("reserve", keys::state(&channel), &flip("reserved\":\"")),
        ("voucher", keys::state(&channel), &flip("signature\":\"0x")),
        ("balance", keys::state(&channel), &flip("balance\":\"")),
        ("operation", keys::state(&claim), &flip("signature\":\"0x")),
        (
            "standing",
            keys::standing(&key_of_credit),
            &flip("unpaid\":\""),
        ),
        ("standing's key", keys::standing(&key_of_credit), &garbage),
        ("head", store::Head::KEY.to_vec(), &flip("hash\":\"")),
    ];
    for (name, key, change) in changes {
        let disk = MemoryDisk::new();
        let ledger = filled(&disk).await;
        assert!(ledger.verify().await.expect("reads").is_sound());
        assert!(disk.tamper(&key, change), "{name}");
        let report = ledger.verify().await.expect("reads");
        assert!(!report.is_sound(), "a changed {name} went unnoticed");
    }
}

#[tokio::test]
async fn totals_say_where_the_money_is() {
    let ledger = filled(&MemoryDisk::new()).await;
    let report = ledger.verify().await.expect("reads");
    let [totals] = report.totals.as_slice() else {
        panic!("{:?}", report.totals)
    };
    assert_eq!(
        (totals.settled, totals.captured, totals.available),
        (100, 30, 70)
    );
    assert_eq!(
        (totals.in_flight, totals.receivable, totals.pending),
        (0, 0, 0)
    );
    assert_eq!(totals.uncollected, 30);
    assert_eq!(
        (totals.channels_captured, totals.channels_charged_elsewhere),
        (30, 20)
    );
    assert_eq!(
        (totals.channels_reserved, totals.channels_claimed),
        (50, 10)
    );
}

/// A store into which somebody else writes and from which somebody else deletes.
#[tokio::test]
async fn records_that_were_added_or_lost_are_named() {
    let other = keys::payer_channel(&payer(2), &channel_id(1));
    let lost = [
        keys::payer_channel(&payer(1), &channel_id(1)),
        keys::state(&EntityId::Channel(channel_id(1))),
        keys::open(&EntityId::Operation(operation_id(1))),
        keys::state(&EntityId::Operation(operation_id(1))),
        keys::standing(&CreditKey::of(&payer(1), NETWORK, ASSET).expect("a key")),
    ];
    let added = [other, keys::state(&EntityId::Channel(channel_id(2)))];
    let lost = lost.map(|key| Write::Delete { key });
    let value = b"{}".to_vec();
    let added = added.map(|key| Write::Put {
        key,
        value: value.clone(),
    });
    for write in lost.into_iter().chain(added) {
        let disk = MemoryDisk::new();
        filled(&disk).await.shutdown().await;
        let mut store = disk.open();
        let head = Head::decode(store.read(Head::KEY).expect("reads").as_deref());
        let written = store.commit(head.expect("a head"), vec![write.clone()]);
        written.expect("written");
        let report = super::super::verify::verify(&store).expect("reads");
        assert!(!report.is_sound(), "{write:?} went unnoticed");
    }
}
