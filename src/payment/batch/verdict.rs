//! What a mined batch means for each of its calls.

use crate::chain::Settled;
use crate::ledger::{Event, Settlement};
use crate::payment::outcomes::{confirmed, failed, reorged};

/// What is to be done about one call.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Verdict {
    /// What is to be written down, in this order.
    pub(super) entries: Vec<Event>,
    /// Whether the call is to be settled by a transaction of its own.
    pub(super) alone: bool,
}

/// Judges a call by its item: `item` is why it failed, if it did, and `anyone` whether somebody else
/// can have settled the call, which a transaction of its own then finds out.
///
/// A call may stand as an earlier life of the process, or an earlier chain, has left it.
pub(super) fn judge(
    settlement: &Settlement,
    item: Result<(), String>,
    batch: &Settled,
    anyone: bool,
) -> Verdict {
    let transaction = format!("{:#x}", batch.transaction);
    let block_hash = format!("{:#x}", batch.block_hash);
    let stale = match settlement {
        Settlement::Confirmed {
            transaction: known,
            block_hash: block,
            ..
        } => {
            let ours = *known == transaction;
            if !ours || (item.is_ok() && *block == block_hash) {
                return Verdict::nothing();
            }
            true
        }
        _ => false,
    };
    let mut entries = Vec::new();
    if stale {
        entries.push(reorged());
    }
    let alone = match (item, settlement) {
        (Ok(()), _) => {
            entries.push(confirmed(batch));
            false
        }
        (Err(_), Settlement::Failed { .. }) => false,
        (Err(_), Settlement::Sent { .. }) => true,
        (Err(_), _) if anyone => true,
        (Err(reason), _) => {
            entries.push(failed(reason));
            false
        }
    };
    Verdict { entries, alone }
}

/// What a batch whose block is gone takes back: what a call has by it, and by nothing else.
pub(super) fn undone(settlement: &Settlement, transaction: &str) -> Option<Event> {
    let by_it = match settlement {
        Settlement::Confirmed {
            transaction: known, ..
        } => known == transaction,
        Settlement::Failed { broadcast, .. } => broadcast.is_none(),
        Settlement::None | Settlement::Sent { .. } => false,
    };
    by_it.then(reorged)
}

impl Verdict {
    const fn nothing() -> Self {
        Self {
            entries: Vec::new(),
            alone: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Broadcast;
    use alloy::primitives::B256;

    const BATCH: Settled = Settled {
        transaction: B256::repeat_byte(0xba),
        block: 7,
        block_hash: B256::repeat_byte(7),
    };

    fn standing(transaction: B256, block_hash: B256) -> Settlement {
        Settlement::Confirmed {
            broadcast: None,
            transaction: format!("{transaction:#x}"),
            block: 6,
            block_hash: format!("{block_hash:#x}"),
            at_ms: 1,
        }
    }

    fn lost() -> Settlement {
        Settlement::Failed {
            broadcast: None,
            reason: "it failed".to_owned(),
            at_ms: 1,
        }
    }

    fn sent() -> Settlement {
        let broadcast = Broadcast {
            attempts: Vec::new(),
            at_ms: 1,
        };
        Settlement::Sent { broadcast }
    }

    fn names(settlement: &Settlement, done: bool, anyone: bool) -> (Vec<&'static str>, bool) {
        let item = if done { Ok(()) } else { Err("no".to_owned()) };
        let verdict = judge(settlement, item, &BATCH, anyone);
        let names = verdict.entries.iter().map(Event::name).collect();
        (names, verdict.alone)
    }

    #[test]
    fn what_was_carried_out_is_confirmed_once() {
        let nothing = (vec![], false);
        let confirmed = (vec!["settlement_confirmed"], false);
        let anew = (vec!["settlement_reorged", "settlement_confirmed"], false);
        let here = standing(BATCH.transaction, BATCH.block_hash);
        let moved = standing(BATCH.transaction, B256::ZERO);
        let elsewhere = standing(B256::ZERO, B256::ZERO);
        for anyone in [false, true] {
            assert_eq!(names(&Settlement::None, true, anyone), confirmed);
            assert_eq!(names(&lost(), true, anyone), confirmed);
            assert_eq!(names(&sent(), true, anyone), confirmed);
            assert_eq!(names(&here, true, anyone), nothing);
            assert_eq!(names(&moved, true, anyone), anew);
            assert_eq!(names(&elsewhere, true, anyone), nothing);
        }
    }

    #[test]
    fn what_failed_is_lost_unless_somebody_else_may_have_done_it() {
        let here = standing(BATCH.transaction, BATCH.block_hash);
        let elsewhere = standing(B256::ZERO, B256::ZERO);
        let fails = (vec!["settlement_failed"], false);
        let alone = (vec![], true);
        assert_eq!(names(&Settlement::None, false, false), fails);
        assert_eq!(names(&Settlement::None, false, true), alone);
        assert_eq!(names(&sent(), false, false), alone);
        assert_eq!(names(&lost(), false, true), (vec![], false));
        assert_eq!(names(&elsewhere, false, true), (vec![], false));
        let turned = (vec!["settlement_reorged", "settlement_failed"], false);
        assert_eq!(names(&here, false, false), turned);
    }

    #[test]
    fn a_batch_that_vanished_takes_back_only_what_it_did() {
        let transaction = format!("{:#x}", BATCH.transaction);
        let back = |settlement: &Settlement| undone(settlement, &transaction).is_some();
        assert!(back(&standing(BATCH.transaction, BATCH.block_hash)));
        assert!(back(&lost()));
        assert!(!back(&standing(B256::ZERO, B256::ZERO)));
        assert!(!back(&Settlement::None));
        assert!(!back(&sent()));
    }
}
