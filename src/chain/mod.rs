//! The chain: reads of payments and channels, the relayer (one nonce lane per key), its watcher, the
//! audit, and the local dev chain.
//!
//! Two answers are kept apart everywhere: *no* and *unknown*. A node that does not answer, answers
//! nonsense or limits our rate has not said that a payment failed ([`ChainError::is_unknown`]), so
//! nothing here turns such an error into a failed settlement (design rule 8). And no transaction is
//! broadcast before the caller's [`Outbox`] has made the intent to send it durable (design rule 5).
//!
//! Architecture invariant: nothing in this module knows calls, prices or ledgers. The port to the
//! ledger is [`Outbox`]; what happened comes back as [`LaneEvent`]s.

mod approval;
pub mod audit;
pub mod bindings;
mod channel;
pub mod dev;
mod error;
mod handed;
mod logs;
mod preflight;
mod relayer;
mod rpc;
pub mod settler;
mod stream;
mod transport;

pub use approval::{Approval, ApprovalPreflight, Carried};
pub use channel::{
    ChannelEvent, ChannelEventKind, ChannelPreflight, ChannelQuestion, ChannelState, ChannelsRead,
    DepositCall, DepositPreflight, Due, SignedDigest, Withdrawal,
};
pub use error::{ChainError, RevertReason};
pub use handed::Handed;
pub use logs::Place;
pub use preflight::permit2::{PermitPreflight, PermitTransfer};
pub use preflight::{Preflight, Transfer};
pub use relayer::{
    Authorization, Expect, ExpectedLog, FailReason, Health, Job, LaneClosed, LaneEvent,
    LaneEventKind, LanePolicy, Outbox, OutboxRefusal, Outcome, Relayer, ResumeRefusal, Sent,
    Settled, Ticket, Unhealthy,
};
pub use rpc::{Head, Receipt, Rpc};
pub use stream::StreamChannel;
