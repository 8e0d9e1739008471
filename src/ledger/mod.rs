//! What is owed, by whom, and how we know: a pure state machine per call, payout, channel and
//! operation, a hash-chained log of their events, and one writer that makes many of them durable at once.
//!
//! Everything an answer or a transaction depends on is recorded here first. A method that returned
//! `Ok` has been synced to disk, but for [`Ledger::begin`], which says when that is so; one that returned
//! an error may or may not be found after a restart, and the ledger then takes nothing more until it is
//! opened again.

mod answer;
mod batch;
mod begun;
mod book;
mod calls;
mod channels;
mod draft;
mod error;
mod handle;
mod keys;
mod log;
pub mod machine;
mod notes;
mod operations;
mod payouts;
mod recent;
mod steps;
mod store;
mod verify;
mod writer;

pub use answer::Answer;
pub use begun::OnItsWay;
pub use error::{ExportError, HoldRefused, LedgerError, OpenError};
pub use handle::{Ledger, OpenItems};
pub use log::LogEntry;
pub use machine::{
    Alternative, AnsweredBy, Attempt, Broadcast, CallId, CallState, CallSummary, Capture,
    ChannelId, ChannelOnChain, ChannelOpening, ChannelState, ChannelUse, Credit, CreditKey,
    Digest32, EntityId, Event, Hold, IdError, KeptVoucher, OURS, Operation, OperationId,
    OperationKind, OperationState, PendingWithdrawal, ReplayKey, RequestHash, SettleWhen,
    Settlement, Standing, Takes, TransitionError, VoidReason, Withdrawal, WithdrawalId,
    WithdrawalState, Work,
};
pub use notes::Note;
pub use payouts::CreditEntry;
pub use store::{
    Head, MemoryDisk, MemoryFault, MemoryStore, Pair, SledStore, Store, StoreError, Write,
};
pub use verify::{Fault, ReplayError, Replayed, Totals, VerifyReport, replay};
pub use writer::Haste;

#[cfg(test)]
mod tests;
