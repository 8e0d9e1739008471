//! EIP-1559 fees, purely.

/// What a transaction offers per gas, in wei.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fees {
    /// The most it pays in all.
    pub(super) max_fee: u128,
    /// The most of that which is tip.
    pub(super) tip: u128,
}

impl Fees {
    /// Twice the base fee and the tip, so that six full blocks cannot price it out; `Err` is what the
    /// chain asks now when that is above the cap.
    pub(super) fn suggest(base_fee: u128, tip: u128, cap: u128) -> Result<Self, u128> {
        let asked = base_fee.saturating_add(tip);
        if asked > cap {
            return Err(asked);
        }
        Ok(Self {
            max_fee: base_fee.saturating_mul(2).saturating_add(tip).min(cap),
            tip,
        })
    }

    /// The fees that replace these: both raised by the percentage, and at least the suggestion.
    ///
    /// `Err` is the needed fee when it is above the cap.
    pub(super) fn bumped(self, suggested: Self, percent: u32, cap: u128) -> Result<Self, u128> {
        let raise = |fee: u128| {
            let percent = u128::from(percent.max(13));
            fee.saturating_add(fee.saturating_mul(percent).div_ceil(100))
                .saturating_add(1)
        };
        let max_fee = raise(self.max_fee).max(suggested.max_fee);
        if max_fee > cap {
            return Err(max_fee);
        }
        Ok(Self {
            max_fee,
            tip: raise(self.tip).max(suggested.tip).min(max_fee),
        })
    }
}

/// The gas limit for an estimate: 30 % more, because state moves between estimate and execution.
pub(super) fn gas_limit(estimate: u64) -> u64 {
    estimate.saturating_add(estimate.saturating_mul(3).div_ceil(10))
}
