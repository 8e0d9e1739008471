//! The rails: ways to pay, each made of authorize, capture, void and refund.
//!
//! `exact` takes the ceiling in one transfer, so its capture books the difference to the bill as the
//! payer's credit; its void before anything was sent sends nothing; its refund is the withdrawal of
//! credit on chain. `upto` takes the bill and nothing else, once it is known: a void sends nothing.

mod approval;
mod authorized;
mod batch;
mod channel;
mod credential;
mod exact;
mod exposure;
mod given;
mod lifetime;
mod mpp;
mod operation;
mod outcomes;
mod permit2;
mod rails;
mod settlement;
mod stored;
mod stranded;
mod tempo;

pub use approval::{NoSponsoring, Sponsoring};
pub use authorized::{AuthorizeFailure, Authorized, PaidByChannel, ledger_name};
pub use channel::{ChannelRail, Effect, Keeper, Lease, Paid, Refunded};
pub use credential::{payer, signature};
pub use exposure::Reservation;
pub use mpp::{Method, MppPaid, MppPayment};
pub use operation::Operations;
pub use rails::{Rails, Wish};
pub use settlement::{LedgerOutbox, Settlement, Settlements, Targets};
pub use stranded::{Keys, Stranded, quoted_settlers, stranded};
pub use tempo::{
    Managed, Metered, SessionRail, SettledUp, is_session, session_account, session_refused,
};
