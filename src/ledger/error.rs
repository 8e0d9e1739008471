use super::machine::{
    CallId, CallSummary, ChannelId, ChannelState, EntityId, RequestHash, TransitionError,
};
use super::store::StoreError;
use crate::money::{AmountError, Units};
use crate::protocol::channel::Unfit;

/// Why the ledger did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// The store failed or the ledger is closed; whether this was recorded shows after a restart.
    #[error("the ledger takes no writes")]
    Unavailable,
    /// Nothing is recorded under this id.
    #[error("{0} is not in the ledger")]
    Unknown(EntityId),
    /// The event cannot happen now; nothing was recorded.
    #[error(transparent)]
    Refused(#[from] TransitionError),
    /// The payer has less credit than was asked for; nothing was recorded.
    #[error("only {available} atomic units can be withdrawn")]
    InsufficientCredit {
        /// What could be withdrawn.
        available: Units,
    },
    /// The answer, event or operation is longer than the ledger keeps (16 MiB, 64 KiB, 32 KiB);
    /// nothing was recorded.
    #[error("the record is too long to keep")]
    TooLarge,
    /// A stored record cannot be read.
    #[error("a stored record cannot be read: {0}")]
    Corrupt(String),
}

impl From<AmountError> for LedgerError {
    fn from(error: AmountError) -> Self {
        Self::Refused(error.into())
    }
}

/// Why a credential was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HoldRefused {
    /// The credential already bought a call: the same one if the request is the same.
    #[error("the credential was already used for {call}")]
    Taken {
        /// The call it bought.
        call: CallId,
        /// The request it bought.
        request: RequestHash,
        /// How far that call has come.
        summary: CallSummary,
    },
    /// The payer already used this payment identifier.
    #[error("the payment identifier was already used for {call}")]
    PaymentIdTaken {
        /// The call it was used for.
        call: CallId,
        /// The request it was used for.
        request: RequestHash,
        /// How far that call has come.
        summary: CallSummary,
    },
    /// The call's channel does not pay for it; nothing was recorded.
    #[error("the channel does not pay for this call: {unfit:?}")]
    Channel {
        /// Why.
        unfit: Unfit,
        /// The very state that refused.
        state: Box<ChannelState>,
    },
    /// The call's channel was never taken into the books; nothing was recorded.
    #[error("{0} is not in the ledger")]
    UnknownChannel(ChannelId),
    /// The hold breaks a rule of the machine; nothing was recorded.
    #[error(transparent)]
    Illegal(#[from] TransitionError),
    /// The hold's record would be longer than the ledger keeps (64 KiB); nothing was recorded.
    #[error("the hold is too long to keep")]
    TooLarge,
    /// The ledger cannot write, so nothing may be served.
    #[error("the ledger takes no writes")]
    Unavailable,
}

impl From<LedgerError> for HoldRefused {
    fn from(error: LedgerError) -> Self {
        match error {
            LedgerError::Refused(error) => Self::Illegal(error),
            LedgerError::TooLarge => Self::TooLarge,
            LedgerError::Unknown(EntityId::Channel(id)) => Self::UnknownChannel(id),
            _ => Self::Unavailable,
        }
    }
}

/// Why a ledger was not opened; it must not be served from.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The end of the log does not hang together.
    #[error("the log is broken at entry {seq}: {what}")]
    Broken {
        /// The entry's number.
        seq: u64,
        /// What is wrong with it.
        what: String,
    },
    /// A record that is still needed cannot be read.
    #[error("an open item cannot be read: {0}")]
    Item(#[from] LedgerError),
    /// The writer thread could not be started.
    #[error("the writer thread could not be started: {0}")]
    Thread(std::io::Error),
}

/// Why an export ended early.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The ledger could not be read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The output could not be written.
    #[error("the export could not be written: {0}")]
    Output(#[from] std::io::Error),
}
