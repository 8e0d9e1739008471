//! The life of a call, a withdrawal, a channel and an operation as pure functions: (state, event) → state or a named
//! refusal. Nothing here reads a clock, a disk or a socket, so one test can drive ten thousand
//! crashes in a second, and a stored log can be replayed from zero and compared.
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

mod call;
mod channel;
mod credit;
mod event;
mod id;
mod operation;
mod settlement;
mod standing;
mod transition;
mod withdrawal;

pub use call::{CallState, CallSummary, Work};
pub use channel::{
    ChannelOnChain, ChannelOpening, ChannelState, ChannelUse, KeptVoucher, PendingWithdrawal,
};
pub use credit::{Credit, CreditKey};
pub use event::{
    Alternative, AnsweredBy, Capture, Event, Hold, SettleWhen, Takes, VoidReason, Withdrawal,
};
pub use id::{
    CallId, ChannelId, Digest32, EntityId, IdError, OperationId, ReplayKey, RequestHash,
    WithdrawalId,
};
pub(in crate::ledger) use operation::OPERATION_RAW_BYTES_MAX;
pub use operation::{Operation, OperationKind, OperationState};
pub use settlement::{Attempt, Broadcast, OURS, Settlement};
pub use standing::Standing;
pub use transition::TransitionError;
pub use withdrawal::WithdrawalState;

#[cfg(test)]
pub(crate) mod samples;
#[cfg(test)]
mod tests;
