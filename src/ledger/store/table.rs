//! Changes that are newer than the store they lie over, in key order.

use super::{Pair, StoreError, Write};
use std::collections::BTreeMap;
use std::ops::Bound;

/// A key with its value, or with none where it was deleted.
pub(in crate::ledger) type Found = Result<(Vec<u8>, Option<Vec<u8>>), StoreError>;

/// The newest value of each key that was written since the store below was.
#[derive(Default)]
pub(in crate::ledger) struct Table(BTreeMap<Vec<u8>, Option<Vec<u8>>>);

impl Table {
    /// Takes the writes in, in order.
    pub(in crate::ledger) fn apply(&mut self, writes: Vec<Write>) {
        for write in writes {
            match write {
                Write::Put { key, value } => self.0.insert(key, Some(value)),
                Write::Delete { key } => self.0.insert(key, None),
            };
        }
    }

    /// The value of a key, none where it was deleted; nothing when it was not written.
    pub(in crate::ledger) fn get(&self, key: &[u8]) -> Option<&Option<Vec<u8>>> {
        self.0.get(key)
    }

    /// All keys, with their values or none.
    pub(in crate::ledger) fn iter(&self) -> impl Iterator<Item = (&Vec<u8>, &Option<Vec<u8>>)> {
        self.0.iter()
    }

    /// The keys that begin with `prefix`, after the key `after`.
    pub(in crate::ledger) fn scan<'a>(
        &'a self,
        prefix: &'a [u8],
        after: Option<&'a [u8]>,
    ) -> impl Iterator<Item = Found> + 'a {
        self.0
            .range::<[u8], _>((begin(prefix, after), Bound::Unbounded))
            .take_while(move |(key, _)| key.starts_with(prefix))
            .map(|(key, value)| Ok((key.clone(), value.clone())))
    }
}

/// Values may carry signatures that still buy something, so only their number is told.
impl std::fmt::Debug for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Table of {}", self.0.len())
    }
}

/// Where a scan begins.
pub(in crate::ledger) fn begin<'a>(prefix: &'a [u8], after: Option<&'a [u8]>) -> Bound<&'a [u8]> {
    after.map_or(Bound::Included(prefix), Bound::Excluded)
}

/// Two runs in key order as one; where both have a key, the newer run's word counts.
pub(super) fn over(
    newer: impl Iterator<Item = Found>,
    older: impl Iterator<Item = Found>,
) -> impl Iterator<Item = Found> {
    let (mut newer, mut older) = (newer.peekable(), older.peekable());
    std::iter::from_fn(move || match (newer.peek(), older.peek()) {
        (Some(Ok((new, _))), Some(Ok((old, _)))) if new > old => older.next(),
        (Some(Ok((new, _))), Some(Ok((old, _)))) if new == old => {
            older.next();
            newer.next()
        }
        (Some(_), Some(Err(_))) | (None, _) => older.next(),
        _ => newer.next(),
    })
}

/// What is there: the deleted left out.
pub(super) fn present(
    run: impl Iterator<Item = Found>,
) -> impl Iterator<Item = Result<Pair, StoreError>> {
    run.filter_map(|found| match found {
        Ok((key, value)) => Some(Ok((key, value?))),
        Err(error) => Some(Err(error)),
    })
}
