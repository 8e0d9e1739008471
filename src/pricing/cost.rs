use super::{Bill, BillFlag};
use crate::money::{AmountError, Pusd};

/// A cost above so many times what the tokens cost by the row is a mistake, of its unit for example.
const TIMES_MAX: u128 = 10;

impl Bill {
    /// Whether what a provider says that a call cost can be meant, beside what its tokens cost by the row.
    /// Nothing is believed only where there was no output to be paid for, or nothing has a price.
    pub fn believes(&self, cost: Pusd, output_tokens: u64) -> bool {
        if cost == Pusd::ZERO {
            return output_tokens == 0 || self.subtotal == Pusd::ZERO;
        }
        cost.pico() <= self.subtotal.pico().saturating_mul(TIMES_MAX)
    }

    /// The bill of the same tokens when the provider's own word on their cost goes before the row: that and
    /// the markup on it. The lines, the list price and the saving stay what they are by the row.
    pub fn at_cost(self, cost: Pusd, markup_bps: u32) -> Result<Self, AmountError> {
        let markup = cost.bps_ceil(markup_bps)?;
        let above = cost > self.subtotal;
        Ok(Self {
            markup,
            total: cost.plus(markup)?,
            subtotal: cost,
            flags: above
                .then_some(BillFlag::CostAboveRow)
                .into_iter()
                .collect(),
            ..self
        })
    }
}
