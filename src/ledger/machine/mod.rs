//! The life of a call and of a withdrawal as pure functions: (state, event) → state or a named
//! refusal. Nothing here reads a clock, a disk or a socket, so one test can drive ten thousand
//! crashes in a second, and a stored log can be replayed from zero and compared.
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

mod call;
mod credit;
mod event;
mod id;
mod settlement;
mod transition;
mod withdrawal;

pub use call::{CallState, CallSummary, Work};
pub use credit::{Credit, CreditKey};
pub use event::{Capture, Event, Hold, SettleWhen, Takes, VoidReason, Withdrawal};
pub use id::{CallId, Digest32, EntityId, IdError, ReplayKey, RequestHash, WithdrawalId};
pub use settlement::{Attempt, Broadcast, Settlement};
pub use transition::TransitionError;
pub use withdrawal::WithdrawalState;

#[cfg(test)]
pub(in crate::ledger) mod samples;
#[cfg(test)]
mod tests;
