use super::{Event, TransitionError};
use serde::{Deserialize, Serialize};
use std::fmt;

/// More transactions than this for one settlement is a fault, not a busy chain.
const ATTEMPTS_MAX: usize = 64;

/// Signed transactions kept whole: what a node could still be made to take again.
const RAW_KEPT: usize = 8;

/// How the reason of a failure after the answer begins that its payer could not help.
pub const OURS: &str = "ours: ";

/// Where the on-chain side of a call, a withdrawal or an operation stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Settlement {
    /// Nothing was ever sent.
    None,
    /// A transaction may be on its way; unknown is not unpaid.
    Sent {
        /// What was sent last.
        broadcast: Broadcast,
    },
    /// The transfer is on chain.
    Confirmed {
        /// What we had sent, if anything: others can submit an authorization too.
        broadcast: Option<Broadcast>,
        /// The transaction that moved the money.
        transaction: String,
        /// The block it is in.
        block: u64,
        /// That block's hash.
        block_hash: String,
        /// When this was seen, in milliseconds since the Unix epoch.
        at_ms: u64,
    },
    /// The transfer will not happen, unless a reorganisation undoes what made it fail or it is found
    /// on chain after all.
    Failed {
        /// What we had sent, if anything.
        broadcast: Option<Broadcast>,
        /// Why, for the operator.
        reason: String,
        /// When, in milliseconds since the Unix epoch.
        at_ms: u64,
    },
}

/// The transactions sent for one settlement, oldest first; never empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Broadcast {
    /// The attempts: fee bumps of one nonce, or a new nonce where that cannot pay twice.
    pub attempts: Vec<Attempt>,
    /// When the latest was sent, in milliseconds since the Unix epoch.
    pub at_ms: u64,
}

/// One signed transaction that may be in the world.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// The sending account.
    pub relayer: String,
    /// Its nonce.
    pub lane_nonce: u64,
    /// The transaction's hash.
    pub transaction: String,
    /// The signed transaction (0x hexadecimal); empty once enough later ones are kept.
    pub raw_transaction: String,
}

/// The signed bytes are left out: they are long, and say nothing a hash does not.
impl fmt::Debug for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attempt")
            .field("relayer", &self.relayer)
            .field("lane_nonce", &self.lane_nonce)
            .field("transaction", &self.transaction)
            .finish_non_exhaustive()
    }
}

/// What keeps a settlement that is sent again from paying twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PaidOnceBy {
    /// The payer's authorization, which the token executes once: any nonce may carry it.
    Authorization,
    /// Nothing but the sending account's nonce, which must stay the same.
    LaneNonce,
}

impl Settlement {
    /// The state's name, for error messages and answers.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Sent { .. } => "sent",
            Self::Confirmed { .. } => "confirmed",
            Self::Failed { .. } => "failed",
        }
    }

    /// Whether the money is known to have moved.
    pub const fn is_confirmed(&self) -> bool {
        matches!(self, Self::Confirmed { .. })
    }

    /// Whether nothing more is expected to happen on chain (short of a reorganisation).
    pub const fn is_final(&self) -> bool {
        matches!(self, Self::Confirmed { .. } | Self::Failed { .. })
    }

    /// The settlement after `event`, which must be one of the settlement events; `due` says
    /// whether a settlement that has not begun may begin.
    pub(super) fn apply(
        &self,
        event: &Event,
        due: bool,
        once: PaidOnceBy,
    ) -> Result<Self, TransitionError> {
        let name = event.name();
        match (self, event) {
            (Self::None, Event::SettlementSent { .. } | Event::SettlementFailed { .. }) if !due => {
                Err(TransitionError::SettlementNotDue { event: name })
            }
            (Self::None, Event::SettlementSent { .. }) => {
                Broadcast::after(None, event, once).map(|broadcast| Self::Sent { broadcast })
            }
            (Self::Sent { broadcast }, Event::SettlementSent { .. }) => {
                Broadcast::after(Some(broadcast), event, once)
                    .map(|broadcast| Self::Sent { broadcast })
            }
            (Self::None | Self::Sent { .. }, Event::SettlementFailed { reason, at_ms }) => {
                Ok(Self::Failed {
                    broadcast: self.broadcast().cloned(),
                    reason: reason.clone(),
                    at_ms: *at_ms,
                })
            }
            // Anybody may execute an authorization before we have sent anything; a payout only we do.
            (Self::None, Event::SettlementConfirmed { .. })
                if !due || once == PaidOnceBy::LaneNonce =>
            {
                Err(TransitionError::SettlementNotDue { event: name })
            }
            (
                Self::None | Self::Sent { .. } | Self::Failed { .. },
                Event::SettlementConfirmed {
                    transaction,
                    block,
                    block_hash,
                    at_ms,
                },
            ) => Ok(Self::Confirmed {
                broadcast: self.broadcast().cloned(),
                transaction: transaction.clone(),
                block: *block,
                block_hash: block_hash.clone(),
                at_ms: *at_ms,
            }),
            // With nothing of ours on its way there is nothing to wait for: it may be due again.
            (
                Self::Confirmed { broadcast, .. } | Self::Failed { broadcast, .. },
                Event::SettlementReorged { .. },
            ) => Ok(broadcast
                .clone()
                .map_or(Self::None, |broadcast| Self::Sent { broadcast })),
            _ => Err(TransitionError::SettlementOutOfOrder {
                event: name,
                state: self.name(),
            }),
        }
    }

    /// This settlement with the newest signed transactions only, as many as have room in `bytes`.
    pub(super) fn with_raw_within(mut self, bytes: usize) -> Self {
        let broadcast = match &mut self {
            Self::None => None,
            Self::Sent { broadcast } => Some(broadcast),
            Self::Confirmed { broadcast, .. } | Self::Failed { broadcast, .. } => {
                broadcast.as_mut()
            }
        };
        let mut used: usize = 0;
        for attempt in broadcast
            .into_iter()
            .flat_map(|b| b.attempts.iter_mut().rev())
        {
            used = used.saturating_add(attempt.raw_transaction.len());
            if used > bytes {
                attempt.raw_transaction.clear();
            }
        }
        self
    }

    /// What we sent, if anything.
    pub const fn broadcast(&self) -> Option<&Broadcast> {
        match self {
            Self::None => None,
            Self::Sent { broadcast } => Some(broadcast),
            Self::Confirmed { broadcast, .. } | Self::Failed { broadcast, .. } => {
                broadcast.as_ref()
            }
        }
    }
}

impl Broadcast {
    fn after(
        before: Option<&Self>,
        event: &Event,
        once: PaidOnceBy,
    ) -> Result<Self, TransitionError> {
        let Event::SettlementSent {
            relayer,
            lane_nonce,
            transaction,
            raw_transaction,
            at_ms,
        } = event
        else {
            return Err(TransitionError::OtherKind {
                event: event.name(),
            });
        };
        let mut attempts = before.map(|b| b.attempts.clone()).unwrap_or_default();
        let same_lane = |a: &Attempt| a.relayer == *relayer && a.lane_nonce == *lane_nonce;
        if once == PaidOnceBy::LaneNonce && !attempts.iter().all(same_lane) {
            return Err(TransitionError::LaneChanged);
        }
        if !attempts.iter().any(|a| a.transaction == *transaction) {
            if attempts.len() >= ATTEMPTS_MAX {
                return Err(TransitionError::TooManyAttempts);
            }
            attempts.push(Attempt {
                relayer: relayer.clone(),
                lane_nonce: *lane_nonce,
                transaction: transaction.clone(),
                raw_transaction: raw_transaction.clone(),
            });
        }
        let old = attempts.len().saturating_sub(RAW_KEPT);
        for attempt in attempts.iter_mut().take(old) {
            attempt.raw_transaction.clear();
        }
        Ok(Self {
            attempts,
            at_ms: *at_ms,
        })
    }
}
