//! Amounts and rates as types of their own: integers only, checked arithmetic, and one named
//! rounding. Nothing here converts through a float and nothing converts silently between kinds.
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

mod decimal;
mod pusd;
mod units;

pub use decimal::DecimalError;
pub use pusd::{Pusd, Rate};
pub use units::{AssetDecimals, Units};

/// Why an amount could not be computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AmountError {
    /// The result does not fit the type; no real price or balance comes near this.
    #[error("amount out of range")]
    Overflow,
    /// A larger amount was to be taken from a smaller one.
    #[error("amount would become negative")]
    Negative,
}

#[cfg(test)]
mod tests;
