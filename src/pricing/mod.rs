//! What a call costs: the price row, the quote before the call and the bill after it.
//!
//! # Units
//! Every rate is a whole number of 10⁻¹² US dollars (pUSD) per token, read from decimal text and
//! never through a float: "0.28" USD per million tokens is 280,000 pUSD per token. A token count is
//! a whole number. So each bill line, `tokens × rate`, is exact, and so is the sum of the lines.
//!
//! # The one rounding
//! The markup in basis points is the only share taken of a sum. It is rounded up to one pUSD, and
//! nothing else in this module rounds. The second and last rounding of a call, pUSD up to the
//! asset's atomic units, belongs to [`crate::money::Pusd::to_units_ceil`] and is done once, on
//! the total.
//!
//! # Quote and bill
//! [`quote`] bounds the tokens a request can use and prices them at the dearest rates they can
//! meet. [`bill`] prices the tokens a call did use. Both take the rates from
//! [`PriceRow::rates_at`], so for any usage within the quote's bounds the bill is within its
//! ceiling. A missing price is "unpriced" and an error, or a flag on the bill, but never zero.
//!
//! # A provider's own word
//! Where a provider says what a call cost, and that is to go before the row, [`Bill::at_cost`] bills it, if
//! [`Bill::believes`] that it can be meant. The quote is no bound for that: its ceiling is, which the bill's
//! user holds it to.
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

mod bill;
mod cost;
mod estimate;
mod lint;
pub mod litellm;
pub mod openrouter;
mod quote;
mod rates;
mod row;
mod shape;
mod text;
mod text_reader;
mod tokens;

pub use bill::{Bill, BillFlag, Line, TokenClass, bill};
pub use estimate::{BYTES_PER_TOKEN, estimate_usage};
pub use lint::{Lint, LintKind, lint};
pub use quote::{Quote, QuoteRefusal, QuoteTerms, allowance, quote};
pub use rates::Rates;
pub use row::{CacheReadPrice, PriceRow, PriceTier};
pub use shape::{CHOICES_MAX, RefusalKind, RequestShape, ShapeRefusal};
pub use text::{DecimalText, PriceText, TierText};
pub use text_reader::PriceMistake;
pub use tokens::{TOKENIZED_BYTES_MAX, Tokenizer, UnknownTokenizer, count_tokens};

#[cfg(test)]
mod tests;
