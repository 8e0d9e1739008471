use super::settlement::PaidOnceBy;
use super::{CallId, ChannelId, Event, OperationId, Settlement, TransitionError};
use serde::{Deserialize, Serialize};
use std::fmt;

/// How much of the signed transactions is kept in a state, as hexadecimal text: a batch is long, and
/// can be built again from its job.
pub(in crate::ledger) const OPERATION_RAW_BYTES_MAX: usize = 12 << 10;

/// A transaction that is no single call's own. Every kind but [`OperationKind::Funding`] is harmless
/// when it is sent twice: what it moves is bound to authorizations, cumulative totals or a contract's
/// own nonce.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operation {
    /// The operation.
    pub id: OperationId,
    /// What it does.
    pub kind: OperationKind,
    /// The channels it touches.
    pub channels: Vec<ChannelId>,
    /// The calls it settles.
    pub calls: Vec<CallId>,
    /// What the rail needs to build the transaction again after a restart; carries signatures.
    pub job: serde_json::Value,
    /// When it was asked for, in milliseconds since the Unix epoch.
    pub at_ms: u64,
}

/// What an operation does on chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OperationKind {
    /// Fills a channel by the payer's signature.
    Deposit,
    /// Claims on channels what was charged.
    Claim,
    /// Pays the receiver what was claimed.
    Settle,
    /// Gives back to the payer what a channel holds unclaimed.
    Refund,
    /// Settles many calls at once.
    Batch,
    /// Gives a payer the coin for the gas of an approval that it signed; only the sender's nonce
    /// keeps it from being given twice.
    Funding,
    /// Fills a channel of MPP's sessions by the payer's own transaction.
    SessionDeposit,
    /// Closes one: pays what was signed, and gives back the rest.
    SessionClose,
}

impl OperationKind {
    /// The kind's name on the wire, for logs and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Deposit => "deposit",
            Self::Claim => "claim",
            Self::Settle => "settle",
            Self::Refund => "refund",
            Self::Batch => "batch",
            Self::Funding => "funding",
            Self::SessionDeposit => "session_deposit",
            Self::SessionClose => "session_close",
        }
    }

    const fn once(self) -> PaidOnceBy {
        match self {
            Self::Funding => PaidOnceBy::LaneNonce,
            Self::Deposit
            | Self::Claim
            | Self::Settle
            | Self::Refund
            | Self::Batch
            | Self::SessionDeposit
            | Self::SessionClose => PaidOnceBy::Authorization,
        }
    }
}

/// A signature that still buys something must not reach a log, so the job is left out here.
impl fmt::Debug for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Operation")
            .field("id", &self.id)
            .field("kind", &self.kind)
            .field("channels", &self.channels)
            .field("calls", &self.calls)
            .finish_non_exhaustive()
    }
}

/// An operation: what was asked for and where its transaction stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperationState {
    /// The request.
    pub operation: Box<Operation>,
    /// The transaction.
    pub settlement: Settlement,
}

impl OperationState {
    /// The state after `event`, or why that event cannot happen now.
    pub fn apply(state: Option<&Self>, event: &Event) -> Result<Self, TransitionError> {
        let name = event.name();
        match (state, event) {
            (None, Event::OperationRequested(operation)) => Ok(Self {
                operation: operation.clone(),
                settlement: Settlement::None,
            }),
            (Some(_), Event::OperationRequested(_)) => Err(TransitionError::AlreadyExists),
            (None, _) => Err(TransitionError::Unknown { event: name }),
            (
                Some(state),
                Event::SettlementSent { .. }
                | Event::SettlementConfirmed { .. }
                | Event::SettlementFailed { .. }
                | Event::SettlementReorged { .. },
            ) => {
                let once = state.operation.kind.once();
                let settlement = state.settlement.apply(event, true, once)?;
                Ok(Self {
                    operation: state.operation.clone(),
                    settlement: settlement.with_raw_within(OPERATION_RAW_BYTES_MAX),
                })
            }
            (Some(_), _) => Err(TransitionError::OtherKind { event: name }),
        }
    }

    /// Whether something is still to happen: the transaction is neither confirmed nor failed.
    pub const fn open(&self) -> bool {
        !self.settlement.is_final()
    }
}
