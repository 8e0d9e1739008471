//! A call goes on while its hold is on the way to the disk.

use super::*;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// A store whose commits wait to be let through.
#[derive(Debug)]
struct Gated {
    store: MemoryStore,
    gate: Receiver<()>,
}

impl Store for Gated {
    fn commit(&mut self, expected: Head, writes: Vec<Write>) -> Result<(), StoreError> {
        let opened = self.gate.recv();
        opened.map_err(|_| StoreError::Failed("nobody opens".to_owned()))?;
        self.store.commit(expected, writes)
    }

    fn reader(&self) -> Arc<dyn store::Reader + Send + Sync> {
        self.store.reader()
    }
}

impl store::Reader for Gated {
    fn read(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.store.read(key)
    }

    fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Pair>, StoreError> {
        self.store.scan(prefix, after, limit)
    }
}

#[tokio::test]
async fn a_call_goes_on_before_its_hold_is_durable_and_is_told_when_it_is() {
    let (open, gate) = channel();
    let store = MemoryDisk::new().open();
    let (ledger, _) = Ledger::open(Gated { store, gate }).expect("opens");
    let terms = hold(1, 100, SettleWhen::After);
    let begun = ledger.begin(terms.clone(), Vec::new(), Haste::Now).await;
    let (state, mut hold) = begun.expect("nothing refuses it");
    assert_eq!(state.work, machine::Work::Held);
    assert_eq!(ledger.call(&terms.call).await, Ok(None), "a stop undoes it");
    open.send(()).expect("the writer waits");
    assert_eq!(hold.durable().await, Ok(()));
    assert_eq!(ledger.call(&terms.call).await, Ok(Some(state)));
}

#[tokio::test]
async fn a_hold_nobody_waits_for_comes_to_the_disk_by_itself() {
    let disk = MemoryDisk::new();
    let (ledger, _) = Ledger::open(disk.open()).expect("opens");
    let terms = hold(1, 100, SettleWhen::After);
    let begun = ledger.begin(terms.clone(), Vec::new(), Haste::InCompany);
    let (state, mut hold) = begun.await.expect("nothing refuses it");
    assert_eq!(hold.durable().await, Ok(()));
    assert_eq!(ledger.call(&terms.call).await, Ok(Some(state)));
}

#[tokio::test]
async fn a_hold_comes_to_the_disk_though_its_asker_has_gone() {
    let (ledger, _) = Ledger::open(MemoryDisk::new().open()).expect("opens");
    let terms = hold(1, 100, SettleWhen::After);
    let begun = ledger.begin(terms.clone(), Vec::new(), Haste::InCompany);
    drop(begun.await.expect("nothing refuses it"));
    let durable = async {
        while ledger.call(&terms.call).await == Ok(None) {
            tokio::task::yield_now().await;
        }
    };
    let durable = tokio::time::timeout(Duration::from_secs(10), durable).await;
    durable.expect("nothing else is ever written");
}

#[tokio::test]
async fn a_refusal_waits_for_no_company_that_does_not_come() {
    let (ledger, _) = Ledger::open(MemoryDisk::new().open()).expect("opens");
    let terms = hold(1, 100, SettleWhen::After);
    ledger.hold(terms.clone()).await.expect("taken");
    let again = ledger.begin(terms, Vec::new(), Haste::InCompany);
    let again = tokio::time::timeout(Duration::from_secs(10), again).await;
    let refused = again.expect("nothing else is ever written");
    assert!(
        matches!(refused, Err(HoldRefused::Taken { .. })),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_hold_nobody_waits_for_shares_the_commit_of_what_follows() {
    const CALLS: u64 = 50;
    let disk = MemoryDisk::new();
    let (ledger, _) = Ledger::open(disk.open()).expect("opens");
    for number in 1..=CALLS {
        let terms = hold(number, 100, SettleWhen::After);
        let id = terms.call;
        let begun = ledger.begin(terms, Vec::new(), Haste::InCompany);
        let (_, mut hold) = begun.await.expect("nothing refuses it");
        let forwarded = Event::Forwarded { at_ms: 2 };
        ledger.record(id, forwarded).await.expect("recorded");
        assert_eq!(hold.durable().await, Ok(()), "what follows is behind it");
    }
    let commits = disk.commits();
    assert!(commits < 2 * CALLS, "{commits} commits");
}

#[tokio::test]
async fn a_hold_that_never_comes_to_the_disk_says_so() {
    let disk = MemoryDisk::new();
    let (ledger, _) = Ledger::open(disk.open()).expect("opens");
    disk.fault_after(0, MemoryFault::Refuse);
    let terms = hold(1, 100, SettleWhen::After);
    let begun = ledger.begin(terms.clone(), Vec::new(), Haste::Now).await;
    let (_, mut hold) = begun.expect("nothing refuses it");
    assert_eq!(hold.durable().await, Err(LedgerError::Unavailable));
    assert_eq!(ledger.call(&terms.call).await, Ok(None));
    let second = ledger.begin(terms, Vec::new(), Haste::Now).await;
    assert!(
        matches!(second, Err(HoldRefused::Unavailable)),
        "{second:?}"
    );
}
