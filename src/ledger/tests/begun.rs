//! A call goes on while its hold is on the way to the disk.

use super::*;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

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
    let begun = ledger.begin(terms.clone(), Vec::new()).await;
    let (state, hold) = begun.expect("nothing refuses it");
    assert_eq!(state.work, machine::Work::Held);
    assert_eq!(ledger.call(&terms.call).await, Ok(None), "a stop undoes it");
    open.send(()).expect("the writer waits");
    assert_eq!(hold.durable().await, Ok(()));
    assert_eq!(ledger.call(&terms.call).await, Ok(Some(state)));
}

#[tokio::test]
async fn a_hold_that_never_comes_to_the_disk_says_so() {
    let disk = MemoryDisk::new();
    let (ledger, _) = Ledger::open(disk.open()).expect("opens");
    disk.fault_after(0, MemoryFault::Refuse);
    let terms = hold(1, 100, SettleWhen::After);
    let begun = ledger.begin(terms.clone(), Vec::new()).await;
    let (_, hold) = begun.expect("nothing refuses it");
    assert_eq!(hold.durable().await, Err(LedgerError::Unavailable));
    assert_eq!(ledger.call(&terms.call).await, Ok(None));
    let second = ledger.begin(terms, Vec::new()).await;
    assert!(
        matches!(second, Err(HoldRefused::Unavailable)),
        "{second:?}"
    );
}
