//! Records changed behind the ledger's back are found and named.

use super::*;

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
    ledger
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
    for seq in [1u64, 4, 9] {
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
    let other_call = |bytes: &mut Vec<u8>| *bytes = call_id(2).to_string().into_bytes();
    type Change<'a> = (&'a str, Vec<u8>, &'a dyn Fn(&mut Vec<u8>));
    let changes: [Change<'_>; 6] = [
        ("state", keys::state(&id), &garbage),
        ("charge", keys::state(&id), &flip("charged\":\"")),
        ("replay key", keys::replay(&key(1)), &other_call),
        ("payment id", keys::payment_id(&key(101)), &other_call),
        (
            "credit",
            keys::credit(&key_of_credit),
            &flip("available\":\""),
        ),
        ("head", store::Head::KEY.to_vec(), &flip("hash\":\"")),
    ];
    for (name, key, change) in changes {
        let disk = MemoryDisk::new();
        let ledger = filled(&disk).await;
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
}
