use super::credit::{Credit, CreditKey, signed};
use super::settlement::{OURS, PaidOnceBy};
use super::{
    Alternative, AnsweredBy, Capture, Digest32, Event, Hold, SettleWhen, Settlement, Takes,
    TransitionError, VoidReason,
};
use crate::money::{AmountError, Units};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// A call as its events have left it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CallState {
    /// The terms it was accepted on.
    pub hold: Arc<Hold>,
    /// How far the work has come.
    pub work: Work,
    /// When it was sent upstream, in milliseconds since the Unix epoch.
    pub forwarded_at_ms: Option<u64>,
    /// When the answer began, in milliseconds since the Unix epoch.
    pub answered_at_ms: Option<u64>,
    /// How far the payment has come.
    pub settlement: Settlement,
    /// The signed receipt's JSON text.
    pub receipt: Option<String>,
}

/// How far the work of a call has come.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Work {
    /// The credential is taken; nothing was sent.
    Held,
    /// The request went upstream.
    Forwarded,
    /// The answer has begun.
    Answered,
    /// Billed.
    Captured(Box<Capture>),
    /// Not charged.
    Voided {
        /// Why.
        reason: VoidReason,
        /// When, in milliseconds since the Unix epoch.
        at_ms: u64,
    },
}

/// What may be told about a call to somebody who presents its credential again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallSummary {
    /// `held`, `forwarded`, `answered`, `captured` or `voided`.
    pub work: &'static str,
    /// `none`, `sent`, `confirmed` or `failed`.
    pub settlement: &'static str,
}

impl CallState {
    /// The state after `event`, or why that event cannot happen now.
    pub fn apply(state: Option<&Self>, event: &Event) -> Result<Self, TransitionError> {
        match (state, event) {
            (None, Event::Held(hold)) => Self::held(hold),
            (Some(_), Event::Held(_)) => Err(TransitionError::AlreadyExists),
            (None, _) => Err(TransitionError::Unknown {
                event: event.name(),
            }),
            (Some(state), _) => state.after(event),
        }
    }

    /// Who answered and the prices of the bill, as far as that is known.
    pub fn answering(&self) -> (&str, &str) {
        match &self.work {
            Work::Captured(capture) => capture.answered_by.as_deref(),
            _ => None,
        }
        .map_or((&self.hold.endpoint, &self.hold.price_row), |by| {
            (&by.endpoint, &by.price_row)
        })
    }

    /// Whether a settlement should be started now.
    pub fn settlement_due(&self) -> bool {
        self.settlement == Settlement::None
            && match self.hold.settle_when {
                SettleWhen::Before => !matches!(self.work, Work::Voided { .. }),
                SettleWhen::OnFirstByte => matches!(self.work, Work::Answered | Work::Captured(_)),
                SettleWhen::After => {
                    matches!(&self.work, Work::Captured(capture) if !capture.charged.is_zero())
                }
                SettleWhen::ByClaim => false,
            }
    }

    /// What the chain moves when this call is settled, once that is known.
    pub fn settlement_amount(&self) -> Option<Units> {
        match (self.hold.settle_when, &self.work) {
            (SettleWhen::Before | SettleWhen::OnFirstByte, _) => Some(self.hold.held),
            (SettleWhen::After | SettleWhen::ByClaim, work) => match work {
                Work::Captured(capture) => Some(self.moved_for(capture.charged)),
                Work::Voided { .. } => Some(Units::ZERO),
                Work::Held | Work::Forwarded | Work::Answered => None,
            },
        }
    }

    /// What the chain moves for a call that was charged this much.
    pub(in crate::ledger) fn moved_for(&self, charged: Units) -> Units {
        let unsettled = self.hold.settle_when == SettleWhen::After && charged.is_zero();
        match self.hold.takes {
            Takes::Held if !unsettled => self.hold.held,
            Takes::Held | Takes::Charged => charged,
        }
    }

    /// Whether something is still to be done for this call; all such calls are resumed at boot.
    pub fn open(&self) -> bool {
        let worked = match self.work {
            Work::Captured(_) => self.receipt.is_some(),
            Work::Voided { .. } => true,
            Work::Held | Work::Forwarded | Work::Answered => false,
        };
        let settled = match self.settlement {
            Settlement::None => !self.settlement_due(),
            Settlement::Sent { .. } => false,
            Settlement::Confirmed { .. } | Settlement::Failed { .. } => true,
        };
        !(worked && settled)
    }

    /// What the payer was charged: nothing until captured.
    pub fn charged(&self) -> Units {
        match &self.work {
            Work::Captured(capture) => capture.charged,
            _ => Units::ZERO,
        }
    }

    /// What was answered and charged and its payer left unpaid: the settlement that was to follow
    /// failed, and not by our own fault.
    pub fn unpaid(&self) -> Option<Units> {
        let remembered = self.hold.remembered || self.hold.takes == Takes::Charged;
        match (&self.work, &self.settlement) {
            (Work::Captured(capture), Settlement::Failed { reason, .. })
                if remembered && !reason.starts_with(OURS) && !capture.charged.is_zero() =>
            {
                Some(capture.charged)
            }
            _ => None,
        }
    }

    /// Whose credit this call can add to.
    pub fn credit_key(&self) -> Result<CreditKey, TransitionError> {
        CreditKey::of(&self.hold.payer, &self.hold.network, &self.hold.asset)
    }

    /// What this call adds to its payer's credit in its present state: what the chain moves beyond
    /// the charge, pending until the settlement is confirmed.
    pub fn credit(&self) -> Result<Credit, AmountError> {
        let change = match &self.work {
            Work::Captured(capture) => capture.credited,
            Work::Voided { .. } => self.settlement_amount().unwrap_or(Units::ZERO),
            Work::Held | Work::Forwarded | Work::Answered => Units::ZERO,
        };
        let change = signed(change)?;
        Ok(match &self.settlement {
            Settlement::Confirmed { .. } => Credit {
                available: change,
                ..Credit::default()
            },
            Settlement::Sent { .. } => Credit {
                pending: change,
                ..Credit::default()
            },
            Settlement::None if self.settlement_due() => Credit {
                pending: change,
                ..Credit::default()
            },
            Settlement::None | Settlement::Failed { .. } => Credit::default(),
        })
    }

    /// The two state names, without any of the call's content.
    pub const fn summary(&self) -> CallSummary {
        CallSummary {
            work: self.work.name(),
            settlement: self.settlement.name(),
        }
    }

    fn held(hold: &Arc<Hold>) -> Result<Self, TransitionError> {
        CreditKey::of(&hold.payer, &hold.network, &hold.asset)?;
        signed(hold.ceiling)?;
        let by_claim = hold.settle_when == SettleWhen::ByClaim;
        let settles = match hold.takes {
            Takes::Held => !by_claim,
            Takes::Charged => by_claim || hold.settle_when == SettleWhen::After,
        };
        if !settles {
            return Err(TransitionError::Malformed {
                field: "settle_when",
            });
        }
        if hold.channel.is_some() != by_claim {
            return Err(TransitionError::Malformed { field: "channel" });
        }
        if hold.held > hold.ceiling {
            return Err(TransitionError::HeldAboveCeiling {
                held: hold.held,
                ceiling: hold.ceiling,
            });
        }
        Ok(Self {
            hold: Arc::clone(hold),
            work: Work::Held,
            forwarded_at_ms: None,
            answered_at_ms: None,
            settlement: Settlement::None,
            receipt: None,
        })
    }

    fn after(&self, event: &Event) -> Result<Self, TransitionError> {
        let mut next = self.clone();
        match event {
            Event::Forwarded { at_ms } => {
                self.may_forward()?;
                next.work = Work::Forwarded;
                next.forwarded_at_ms = Some(*at_ms);
            }
            Event::Answered { at_ms } => {
                if self.work != Work::Forwarded {
                    return Err(self.out_of_order(event));
                }
                next.work = Work::Answered;
                next.answered_at_ms = Some(*at_ms);
            }
            Event::Captured(capture) => {
                if self.work != Work::Answered {
                    return Err(self.out_of_order(event));
                }
                self.check(capture)?;
                next.work = Work::Captured(capture.clone());
            }
            Event::Voided { reason, at_ms } => {
                match self.work {
                    Work::Held | Work::Forwarded => {}
                    Work::Answered if reason.is_ours() => {}
                    // Nothing of the answer leaves before its payment is in.
                    Work::Answered if self.payment_failed(*reason) => {}
                    Work::Answered => return Err(TransitionError::VoidAfterAnswer(*reason)),
                    Work::Captured(_) | Work::Voided { .. } => {
                        return Err(self.out_of_order(event));
                    }
                }
                next.work = Work::Voided {
                    reason: *reason,
                    at_ms: *at_ms,
                };
            }
            Event::Receipted { receipt, .. } => {
                // It says how the settlement stands, so it is made anew when that changes.
                let paid_for_nothing =
                    matches!(self.work, Work::Voided { .. }) && self.settlement.is_confirmed();
                if !paid_for_nothing && !matches!(self.work, Work::Captured(_)) {
                    return Err(TransitionError::ReceiptRefused);
                }
                next.receipt = Some(receipt.clone());
            }
            Event::SettlementSent { .. }
            | Event::SettlementConfirmed { .. }
            | Event::SettlementFailed { .. }
            | Event::SettlementReorged { .. } => {
                let due = self.settlement_due() || self.found_paid_for_nothing(event);
                next.settlement = self
                    .settlement
                    .apply(event, due, PaidOnceBy::Authorization)?;
            }
            Event::Held(_) => return Err(TransitionError::AlreadyExists),
            Event::WithdrawalRequested(_)
            | Event::ChannelOpened { .. }
            | Event::ChannelObserved(_)
            | Event::ChannelSigned { .. }
            | Event::OperationRequested(_) => {
                return Err(TransitionError::OtherKind {
                    event: event.name(),
                });
            }
        }
        Ok(next)
    }

    fn payment_failed(&self, reason: VoidReason) -> bool {
        reason == VoidReason::PaymentFailed
            && self.hold.settle_when != SettleWhen::After
            && matches!(self.settlement, Settlement::Failed { .. })
    }

    /// A transaction that settles many calls may move a voided call's money: that is on chain then,
    /// and the payer's credit.
    fn found_paid_for_nothing(&self, event: &Event) -> bool {
        matches!(self.work, Work::Voided { .. })
            && matches!(event, Event::SettlementConfirmed { .. })
            && matches!(
                self.hold.settle_when,
                SettleWhen::Before | SettleWhen::OnFirstByte
            )
    }

    fn may_forward(&self) -> Result<(), TransitionError> {
        match (&self.work, &self.settlement) {
            (Work::Held, Settlement::Failed { .. }) => Err(TransitionError::ForwardUnpaid),
            (Work::Held, _) => Ok(()),
            (Work::Voided { .. }, _) => Err(TransitionError::OutOfOrder {
                event: "forwarded",
                state: self.work.name(),
            }),
            _ => Err(TransitionError::AlreadyForwarded),
        }
    }

    /// charged ≤ held and ≤ the bill, and the credit is exactly what the chain moves beyond it.
    fn check(&self, capture: &Capture) -> Result<(), TransitionError> {
        let (charged, held) = (capture.charged, self.hold.held);
        if charged > held {
            return Err(TransitionError::ChargedAboveHeld { charged, held });
        }
        let bill = capture.total.to_units_ceil(self.hold.asset_decimals)?;
        if charged > bill {
            return Err(TransitionError::ChargedAboveBill { charged, bill });
        }
        if let Some(by) = &capture.answered_by
            && !self.hold.allows(by)
        {
            return Err(TransitionError::NotQuoted);
        }
        let expected = self.moved_for(charged).minus(charged)?;
        if capture.credited != expected {
            return Err(TransitionError::CreditMismatch {
                credited: capture.credited,
                expected,
            });
        }
        Ok(())
    }

    const fn out_of_order(&self, event: &Event) -> TransitionError {
        TransitionError::OutOfOrder {
            event: event.name(),
            state: self.work.name(),
        }
    }
}

impl Hold {
    /// Whether this endpoint may answer at these prices.
    fn allows(&self, by: &AnsweredBy) -> bool {
        let row = Digest32::from_bytes(Sha256::digest(&by.price_row).into());
        let allowed =
            |other: &Alternative| other.endpoint == by.endpoint && other.price_row_sha256 == row;
        self.alternatives.iter().any(allowed)
    }
}

impl Work {
    /// The state's name, for error messages and answers.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Forwarded => "forwarded",
            Self::Answered => "answered",
            Self::Captured(_) => "captured",
            Self::Voided { .. } => "voided",
        }
    }
}
