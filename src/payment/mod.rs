//! The rails: ways to pay, each made of authorize, capture, void and refund.
//!
//! So far one: x402 `exact` by EIP-3009. It takes the ceiling in one transfer, so its capture books
//! the difference to the bill as the payer's credit; its void before anything was sent sends
//! nothing; its refund is the withdrawal of credit on chain.

mod exact;
mod exposure;
mod settlement;

pub use exact::{AuthorizeFailure, Authorized, ExactRail, RAIL_EXACT};
pub use exposure::Reservation;
pub use settlement::{LedgerOutbox, Settlement, Settlements};
