use crate::money::{AmountError, Units};
use serde::{Deserialize, Serialize};

/// What a payer was served and did not pay for, in one asset: the settlements that failed after
/// the capture. A settlement that is found on chain after all takes its call out again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Standing {
    /// How many calls.
    pub unpaid_calls: u64,
    /// What they were charged, in atomic units.
    pub unpaid: Units,
    /// When a settlement failed last, in milliseconds since the Unix epoch; it stays when that is undone.
    pub last_failed_ms: u64,
}

impl Standing {
    /// This standing after one call's unpaid charge went from `old` to `new` at `at_ms`.
    pub(in crate::ledger) fn moved(
        &self,
        old: Option<Units>,
        new: Option<Units>,
        at_ms: u64,
    ) -> Result<Self, AmountError> {
        let mut next = *self;
        if let Some(old) = old {
            next.unpaid_calls = next
                .unpaid_calls
                .checked_sub(1)
                .ok_or(AmountError::Negative)?;
            next.unpaid = next.unpaid.minus(old)?;
        }
        if let Some(new) = new {
            next.unpaid_calls = next
                .unpaid_calls
                .checked_add(1)
                .ok_or(AmountError::Overflow)?;
            next.unpaid = next.unpaid.plus(new)?;
            next.last_failed_ms = next.last_failed_ms.max(at_ms);
        }
        Ok(next)
    }
}
