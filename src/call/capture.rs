//! The commit that a call comes to: its bill, the receipt of it, and the answer as it is kept.

use super::bill::{self, Billing};
use super::forward::Begun;
use super::heading::Heading;
use super::kept::keepable;
use super::known::Known;
use super::plan::Answered;
use super::refusal::Refusal;
use super::relay::End;
use super::task::Task;
use crate::clock::now_ms;
use crate::failpoint::{Failpoint, pass};
use crate::ledger::{ChannelState, Event, SettleWhen};
use crate::money::Units;
use bytes::Bytes;
use std::time::Duration;

/// A bill that stands.
pub(super) struct Captured {
    /// The books of the channel that pays, if one does, with the bill in them.
    pub(super) books: Option<ChannelState>,
    /// What is left of the answer.
    pub(super) rest: Bytes,
    /// What is to be paid.
    pub(super) charged: Units,
}

impl Task {
    /// Bills what was used, signs the receipt of it, and keeps the answer for the same credential, in one
    /// commit; from here on the bill stands. `rest` writes what is left of the answer when that is known.
    pub(super) async fn capture(
        &self,
        known: &mut Known,
        begun: &Begun<'_>,
        (reading, end): (&crate::metering::Reading, End),
        heading: &Heading,
        rest: &(impl Fn(&Billing) -> Vec<u8> + Sync),
    ) -> Result<Captured, Refusal> {
        let by = (begun.by, begun.failed);
        let believed = begun.believed(reading, end == End::Whole);
        let reading = &believed.reading;
        let billing = bill::bill(&self.call, by, (reading, end), self.shared.decimals);
        let billing = billing.map(|billing| billing.bought(believed.receipt, believed.flag));
        let billing = billing.map_err(|error| {
            tracing::error!(call = %self.id, %error, "the bill could not be computed");
            Refusal::Internal
        })?;
        pass(Failpoint::Usage);
        // Its payer signs for the bill first; until it stands no other call's comes between.
        let settled = Box::pin(self.settled_up(billing.charged())).await;
        let held = self.call.ceiling;
        let at_ms = now_ms();
        let capture = billing.capture(held, self.takes, self.settle_when, at_ms);
        if matches!(
            self.settle_when,
            SettleWhen::Before | SettleWhen::OnFirstByte
        ) {
            // The settlement has moved the call on meanwhile, and the receipt tells of it.
            self.write(known).await?;
        }
        self.note(known, Event::Captured(Box::new(capture)))?;
        if let Some(receipted) = self.shared.receipts.sign(&known.state, at_ms) {
            self.note(known, receipted)?;
        }
        let told = known.state.settlement.clone();
        let heading = &heading.charged(billing.charged());
        let mut billing = billing.with_receipt(known.state.receipt.as_deref());
        let rest = |billing: &Billing| self.ended(rest(billing), settled.as_ref());
        let mut bytes: Bytes = rest(&billing).into();
        let books = self.write_with_answer(known, heading, &bytes).await?;
        pass(Failpoint::Capture);
        billing.count(&self.shared.metrics, &self.call);
        let answered = Answered {
            usage: billing.usage(),
            complete: end == End::Whole,
            priced: billing.priced(self.shared.decimals),
            first_token: match self.call.stream {
                true => begun.first_token,
                // Of an answer in one piece nobody sees the first token.
                false => Duration::ZERO,
            },
            whole: begun.tried.elapsed(),
        };
        let by = (begun.by, begun.account);
        let routing = &self.shared.routing;
        begun
            .plan
            .learn(routing, &self.call, by, &answered, now_ms());
        // A reorganisation has come between: nobody else signs anew what was not yet written.
        if known.state.settlement != told
            && let Some(state) = self.shared.receipts.issue(&self.id, &known.state).await
        {
            known.state = state;
            billing = billing.with_receipt(known.state.receipt.as_deref());
            bytes = rest(&billing).into();
            self.write_with_answer(known, heading, &bytes).await?;
        }
        pass(Failpoint::Receipt);
        Ok(Captured {
            books,
            rest: bytes,
            charged: billing.charged(),
        })
    }

    /// Writes what was noted, and with it the answer as the same credential gets it again.
    async fn write_with_answer(
        &self,
        known: &mut Known,
        heading: &Heading,
        rest: &Bytes,
    ) -> Result<Option<ChannelState>, Refusal> {
        let expires_ms = match self.call.is_free() {
            true => None,
            false => self.shared.answer_expires(now_ms()),
        };
        let kept = expires_ms.map(|expires_ms| {
            let (heading, so_far) = (heading.clone(), self.running.body());
            let rest = rest.clone();
            move |books: Option<&ChannelState>| {
                let body = [&*so_far, &*rest].concat();
                (keepable(&heading.headers(books), body), expires_ms)
            }
        });
        let written = known.write_with_answer(&self.shared.ledger, kept).await;
        written.map_err(|error| self.refused(&error))
    }
}
