use super::credit::{Credit, CreditKey, signed};
use super::settlement::PaidOnceBy;
use super::{Event, Settlement, TransitionError, Withdrawal};
use crate::money::AmountError;
use serde::{Deserialize, Serialize};

/// A payout of credit: what was asked for and where its transfer stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WithdrawalState {
    /// The request.
    pub withdrawal: Withdrawal,
    /// The transfer to the payer.
    pub settlement: Settlement,
}

impl WithdrawalState {
    /// The state after `event`; whether the credit suffices is checked where credit is kept.
    pub fn apply(state: Option<&Self>, event: &Event) -> Result<Self, TransitionError> {
        let name = event.name();
        match (state, event) {
            (None, Event::WithdrawalRequested(withdrawal)) => {
                CreditKey::of(&withdrawal.payer, &withdrawal.network, &withdrawal.asset)?;
                if withdrawal.amount.is_zero() {
                    return Err(TransitionError::Malformed { field: "amount" });
                }
                Ok(Self {
                    withdrawal: withdrawal.clone(),
                    settlement: Settlement::None,
                })
            }
            (Some(_), Event::WithdrawalRequested(_)) => Err(TransitionError::AlreadyExists),
            (None, _) => Err(TransitionError::Unknown { event: name }),
            (
                Some(state),
                Event::SettlementSent { .. }
                | Event::SettlementConfirmed { .. }
                | Event::SettlementFailed { .. }
                | Event::SettlementReorged { .. },
            ) => Ok(Self {
                withdrawal: state.withdrawal.clone(),
                settlement: state.settlement.apply(event, true, PaidOnceBy::LaneNonce)?,
            }),
            (Some(_), _) => Err(TransitionError::OtherKind { event: name }),
        }
    }

    /// Whether something is still to happen: the payout is neither confirmed nor failed.
    pub const fn open(&self) -> bool {
        !self.settlement.is_final()
    }

    /// Whose credit is paid out.
    pub fn credit_key(&self) -> Result<CreditKey, TransitionError> {
        let w = &self.withdrawal;
        CreditKey::of(&w.payer, &w.network, &w.asset)
    }

    /// What this withdrawal does to its payer's credit, in its present state.
    pub fn credit(&self) -> Result<Credit, AmountError> {
        let amount = signed(self.withdrawal.amount)?;
        let taken = Credit {
            available: amount.checked_neg().ok_or(AmountError::Overflow)?,
            ..Credit::default()
        };
        Ok(match self.settlement {
            Settlement::None | Settlement::Sent { .. } => Credit {
                withdrawing: amount,
                ..taken
            },
            Settlement::Confirmed { .. } => Credit {
                withdrawn: amount,
                ..taken
            },
            Settlement::Failed { .. } => Credit::default(),
        })
    }
}
