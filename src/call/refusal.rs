use super::CallId;
use super::forward::Unanswered;
use crate::ledger::ChannelState;
use crate::money::Units;
use crate::pricing::{QuoteRefusal, ShapeRefusal};
use crate::protocol::{self, x402};
use crate::router::WantedMistake;
use alloy::primitives::Address;

/// Why a call has no answer. Nothing is charged for any of these.
#[derive(Debug, Clone)]
pub enum Refusal {
    /// The request body cannot be priced or understood.
    BadRequest {
        /// The JSON member at fault, when there is one.
        param: Option<String>,
        /// What is wrong and what would do.
        message: String,
    },
    /// No endpoint answers this model.
    UnknownModel(String),
    /// The model is there, but the caller's wishes leave none of its endpoints.
    NoEndpoint {
        /// The model.
        model: String,
        /// The wishes that did.
        excluded_by: Vec<&'static str>,
    },
    /// The quote is above what this gateway takes for one call.
    TooDear {
        /// What the call could cost.
        ceiling: Units,
        /// What one call may cost.
        ceiling_max: Units,
    },
    /// The payment is missing or not good; a fresh challenge goes with it.
    Payment(protocol::Refusal),
    /// The channel does not pay for the call as its voucher says; a fresh challenge goes with it, and
    /// in it what the channel's books say.
    Channel {
        /// Why.
        reason: protocol::Refusal,
        /// The books that refused.
        state: Box<ChannelState>,
    },
    /// The settlement failed for good; the payment was not taken.
    SettlementFailed {
        /// The protocol's error string.
        reason: String,
        /// The payer of the credential.
        payer: Address,
        /// Which version of the protocol the caller speaks.
        version: x402::Version,
    },
    /// The credential, or its payment identifier, already paid for another request.
    Conflict(CallId),
    /// The credential paid for this very request, but its answer is no longer kept.
    AnswerGone(CallId),
    /// The credential was taken for this very request, which had no answer; nothing was charged.
    Voided(CallId),
    /// The settlement's outcome is not known yet; the same credential may be sent again.
    SettlementPending,
    /// The chain cannot be asked whether this payment is good; the same credential may be sent again.
    ChainUnknown,
    /// The ledger cannot be written, so nothing is taken.
    LedgerUnavailable,
    /// As many calls run as this gateway is configured for, or it is stopping.
    Busy,
    /// No endpoint gave an answer.
    Upstream(Box<Unanswered>),
    /// A fault of this gateway.
    Internal,
}

impl From<ShapeRefusal> for Refusal {
    fn from(refusal: ShapeRefusal) -> Self {
        Self::BadRequest {
            message: format!("`{}`: {}.", refusal.param, refusal.message),
            param: Some(refusal.param),
        }
    }
}

impl From<WantedMistake> for Refusal {
    fn from(mistake: WantedMistake) -> Self {
        Self::BadRequest {
            message: format!("`{}` {}.", mistake.param, mistake.message),
            param: Some(mistake.param),
        }
    }
}

impl From<QuoteRefusal> for Refusal {
    fn from(refusal: QuoteRefusal) -> Self {
        Self::BadRequest {
            param: Some("max_tokens".to_owned()),
            message: format!("{refusal}."),
        }
    }
}

impl From<protocol::Refusal> for Refusal {
    fn from(refusal: protocol::Refusal) -> Self {
        Self::Payment(refusal)
    }
}
