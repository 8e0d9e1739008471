use super::VoidReason;
use crate::money::{AmountError, Units};
use crate::protocol::channel::Unfit;

/// Why an event cannot happen to an entity in its present state; nothing is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TransitionError {
    /// The first event of a call must be its hold, of a channel its opening, of anything else its request.
    #[error("{event}: nothing is held, opened or requested under this id")]
    Unknown {
        /// The refused event.
        event: &'static str,
    },
    /// The id is already in use.
    #[error("this id is already in use")]
    AlreadyExists,
    /// The event carries another id than the one it is recorded under.
    #[error("the event names another id")]
    OtherId,
    /// An event happens to its own kind of entity only.
    #[error("{event} does not happen to this kind of entity")]
    OtherKind {
        /// The refused event.
        event: &'static str,
    },
    /// The event does not follow the present state of the work.
    #[error("{event} cannot follow {state}")]
    OutOfOrder {
        /// The refused event.
        event: &'static str,
        /// The present state.
        state: &'static str,
    },
    /// The upstream is called at most once per authorized call.
    #[error("the call was already forwarded")]
    AlreadyForwarded,
    /// The payment that was to come first has failed, so nothing may be sent upstream.
    #[error("the payment has failed; the call must not be forwarded")]
    ForwardUnpaid,
    /// An answered call is only given away when the fault is ours.
    #[error("an answered call cannot be voided for {0:?}")]
    VoidAfterAnswer(VoidReason),
    /// More would be held than was quoted.
    #[error("held {held} is above the ceiling {ceiling}")]
    HeldAboveCeiling {
        /// The hold's amount.
        held: Units,
        /// The quoted ceiling.
        ceiling: Units,
    },
    /// More would be charged than is held.
    #[error("charged {charged} is above held {held}")]
    ChargedAboveHeld {
        /// The charge.
        charged: Units,
        /// What is held.
        held: Units,
    },
    /// More would be charged than the bill says.
    #[error("charged {charged} is above the bill {bill}")]
    ChargedAboveBill {
        /// The charge.
        charged: Units,
        /// The bill's total in atomic units.
        bill: Units,
    },
    /// Only an endpoint that the hold names may answer, at the prices that it was quoted at.
    #[error("the endpoint that answered, or its prices, are not those of the hold")]
    NotQuoted,
    /// The credit is not exactly what the chain moves beyond the charge.
    #[error("credited {credited} where {expected} is due")]
    CreditMismatch {
        /// The event's credit.
        credited: Units,
        /// The right amount.
        expected: Units,
    },
    /// There is nothing to settle (yet, or at all).
    #[error("{event}: no settlement is due")]
    SettlementNotDue {
        /// The refused event.
        event: &'static str,
    },
    /// The event does not follow the present state of the settlement.
    #[error("{event} cannot follow a settlement that is {state}")]
    SettlementOutOfOrder {
        /// The refused event.
        event: &'static str,
        /// The present state of the settlement.
        state: &'static str,
    },
    /// A second transaction under another nonce could move the money twice.
    #[error("a settlement can only be resent by the same account under the same nonce")]
    LaneChanged,
    /// More fee bumps than anything sane would need.
    #[error("too many transactions for one settlement")]
    TooManyAttempts,
    /// A receipt states a capture, and states it once.
    #[error("a receipt needs a capture and is made once")]
    ReceiptRefused,
    /// A field is not in its canonical form.
    #[error("{field} is malformed")]
    Malformed {
        /// The field.
        field: &'static str,
    },
    /// The call's channel does not pay for it as things stand.
    #[error("the channel does not pay for this call: {0:?}")]
    Channel(Unfit),
    /// An amount does not fit.
    #[error(transparent)]
    Amount(#[from] AmountError),
}
