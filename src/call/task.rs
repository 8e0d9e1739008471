//! The one task that owns a call from its credential to its receipt.

use super::bill::{self, Billing};
use super::desk::{Shared, keepable};
use super::forward::{Answer, Begun, Forward, Streaming, Unanswered, Whole};
use super::heading::{ByChannel, Heading};
use super::known::Known;
use super::limit::Limit;
use super::plan::{Answered, Plan};
use super::quote::{Candidate, QuotedCall};
use super::refusal::Refusal;
use super::relay::End;
use super::running::{Head, Running};
use crate::clock::now_ms;
use crate::failpoint::{Failpoint, pass};
use crate::ledger::{
    CallId, CallState, ChannelState, Event, LedgerError, SettleWhen, Takes, VoidReason,
};
use crate::money::Units;
use crate::payment::{MppPaid, PaidByChannel, Reservation, Settlement};
use crate::protocol::channel::Rule;
use crate::protocol::x402;
use crate::router::{Account, UpstreamFailure};
use alloy::primitives::Address;
use bytes::Bytes;
use http::HeaderMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A call whose credential is good and whose hold is durable.
pub(super) struct Task {
    pub(super) shared: Arc<Shared>,
    pub(super) running: Arc<Running>,
    pub(super) id: CallId,
    pub(super) call: QuotedCall,
    pub(super) payer: Address,
    /// When the payer's money moves.
    pub(super) settle_when: SettleWhen,
    /// How much of it: what is held, or what is charged.
    pub(super) takes: Takes,
    /// When its settlement must be sent at the latest, if the call could outlast that.
    pub(super) settle_by: Option<Instant>,
    /// The payer's unsettled share, until the settlement is known.
    pub(super) reservation: Mutex<Option<Reservation>>,
    /// The channel that pays, if one does.
    pub(super) channel: Option<PaidByChannel>,
    /// Whether the answer's end waits for the settlement.
    pub(super) end_waits: bool,
    pub(super) version: x402::Version,
    /// The challenge that was paid, by MPP.
    pub(super) challenge: Option<String>,
    pub(super) headers: HeaderMap,
}

/// A bill that stands.
struct Captured {
    /// The books of the channel that pays, if one does, with the bill in them.
    books: Option<ChannelState>,
    /// What is left of the answer.
    rest: Bytes,
    /// What is to be paid.
    charged: Units,
}

/// An answer that has begun, beside its body.
struct Passed<'a> {
    by: &'a Candidate,
    account: &'a Account,
    plan: &'a Plan,
    tried: Instant,
    first_token: Duration,
    headers: HeaderMap,
    /// How many tries came to nothing before.
    failed: usize,
    /// A settlement that was made before the call.
    early: Option<Settlement>,
}

/// How a held call ended, for the metrics.
type Ended = Result<&'static str, Refusal>;

impl Task {
    /// Runs the call to its end; whatever happens, listeners learn it.
    pub(super) async fn run(self, held: CallState) {
        let metrics = Arc::clone(&self.shared.metrics);
        metrics.call_begun();
        let model = self.call.model.id.clone();
        let outcome = match self.drive(Known::new(held)).await {
            Ok(outcome) => outcome,
            Err(refusal) => {
                tracing::info!(call = %self.id, ?refusal, "call refused");
                self.running.begin(Head::Refused(refusal));
                "void"
            }
        };
        self.running.finish();
        metrics.call_ended(&model, outcome);
    }

    async fn drive(&self, mut known: Known) -> Ended {
        pass(Failpoint::Hold);
        let early = match self.settle_when {
            SettleWhen::Before => {
                let settled = self.settled_before(&mut known).await?;
                let forwarded = Event::Forwarded { at_ms: now_ms() };
                self.record(&mut known, forwarded).await?;
                Some(settled)
            }
            SettleWhen::OnFirstByte | SettleWhen::After | SettleWhen::ByClaim => None,
        };
        pass(Failpoint::Forward);
        let routing = &self.shared.routing;
        let payer = format!("{:#x}", self.payer);
        let conversation = self
            .call
            .conversation(&routing.namer, &payer, &self.headers)?;
        let plan = Plan::of(routing, &self.call, conversation, now_ms());
        let sent = Instant::now();
        let forward = Forward {
            call: &self.call,
            headers: &self.headers,
            metrics: &self.shared.metrics,
            routing,
            plan: &plan,
            bytes_max: self.shared.answer_bytes_max,
            sent,
            settle_by: self.settle_by,
        };
        let begun = match forward.begun().await {
            Ok(begun) => begun,
            Err(unanswered) => return self.void(known, unanswered).await,
        };
        self.answered(&mut known).await?;
        let Begun {
            by,
            account,
            busy: _busy,
            tried,
            first_token,
            headers,
            answer,
            failed,
        } = begun;
        let begun = Passed {
            by,
            account,
            plan: &plan,
            tried,
            first_token,
            headers,
            failed,
            early,
        };
        match answer {
            Answer::Whole(whole) => self.pass_whole(known, begun, *whole).await,
            Answer::Stream(stream) => {
                // What is settled from its first byte on has time from then on.
                let settle_by = match self.settle_when {
                    SettleWhen::OnFirstByte => None,
                    _ => self.settle_by,
                };
                let limit = Forward {
                    settle_by,
                    ..forward
                }
                .limit(by);
                self.pass_stream(known, begun, *stream, limit).await
            }
        }
    }

    async fn settled_before(&self, known: &mut Known) -> Result<Settlement, Refusal> {
        let settlement = self.settle_awaited().await;
        if let Settlement::Failed { reason } = &settlement {
            return Err(self.settlement_failed(known, reason.clone()).await);
        }
        Ok(settlement)
    }

    async fn pass_whole(&self, mut known: Known, passed: Passed<'_>, answer: Whole) -> Ended {
        let early = passed.early.clone();
        let settlement = self.settlement_on_first_byte(&mut known, early).await?;
        let heading = self.heading(passed.headers.clone(), settlement.as_ref());
        let body = answer.body;
        let told = |billing: &Billing| {
            let text = std::str::from_utf8(&body).ok();
            let told = text.and_then(|text| {
                crate::metering::with_usage_members(text, &billing.members()).ok()
            });
            told.map_or_else(|| body.clone(), String::into_bytes)
        };
        let reading = (&answer.reading, End::Whole);
        let captured = self
            .capture(&mut known, &passed, reading, &heading, &told)
            .await?;
        let heading = heading.charged(captured.charged);
        let headers = heading.headers(captured.books.as_ref());
        self.running.answer(headers, captured.rest, !self.end_waits);
        self.close(captured.charged).await
    }

    async fn pass_stream(
        &self,
        mut known: Known,
        passed: Passed<'_>,
        answer: Streaming,
        limit: Limit,
    ) -> Ended {
        let Streaming {
            mut upstream,
            mut relay,
        } = answer;
        // The settlement runs while the upstream keeps talking; nothing leaves before it is in.
        let settlement = {
            let settling = self.settlement_on_first_byte(&mut known, passed.early.clone());
            tokio::pin!(settling);
            loop {
                tokio::select! {
                    biased;
                    settled = &mut settling => break settled?,
                    next = limit.next(&mut upstream), if !relay.over() => relay.take(next),
                }
            }
        };
        let waits = self.headers_tell_the_charge();
        let mut heading = self.heading(passed.headers.clone(), settlement.as_ref());
        if !waits {
            heading = Heading::begun(self.begin(&heading, self.books().await.as_ref()));
            self.push(relay.ready());
        }
        let abandoned = self.abandoned(passed.by);
        tokio::pin!(abandoned);
        while !relay.over() {
            tokio::select! {
                biased;
                () = &mut abandoned => relay.abandon(),
                next = limit.next(&mut upstream) => relay.take(next),
            }
            if !waits {
                self.push(relay.ready());
            }
        }
        drop(upstream);

        let kept = relay.ready();
        let ending = relay.finish();
        let health = &self.shared.routing.health;
        let (endpoint, account) = (&passed.by.endpoint, passed.account);
        match ending.end {
            End::Whole | End::Abandoned => health.worked(endpoint, account),
            End::Cut => health.cut(endpoint, account, Instant::now()),
        }
        let rest = |billing: &Billing| [&*kept, &*ending.bytes(&billing.members())].concat();
        let reading = (&ending.reading, ending.end);
        let captured = self
            .capture(&mut known, &passed, reading, &heading, &rest)
            .await?;
        if waits {
            self.begin(&heading, captured.books.as_ref());
        }
        self.running.push(captured.rest);
        self.close(captured.charged).await
    }

    /// Waits until an answer that has begun need not go on: nobody listens to it any more, and what it costs
    /// so far is known. Any other is heard to its end, which says what it costs.
    async fn abandoned(&self, by: &Candidate) {
        match by.endpoint.model.cancel_abandoned {
            true => self.running.abandoned(self.shared.abandon_after).await,
            false => std::future::pending().await,
        }
    }

    /// Whether the headers must say what this very call was charged, so that they wait for its end: by
    /// the letter of the channels' specification. Official servers buffer streams for that as well.
    fn headers_tell_the_charge(&self) -> bool {
        let by_channel = self.channel.as_ref();
        by_channel.is_some_and(|paid| paid.used.rule == Rule::Strict)
    }

    fn push(&self, bytes: Vec<u8>) {
        if !bytes.is_empty() {
            self.running.push(bytes.into());
        }
    }

    /// The answer is here. Only a settlement that is due now needs that to be durable by itself.
    async fn answered(&self, known: &mut Known) -> Result<(), Refusal> {
        let answered = Event::Answered { at_ms: now_ms() };
        match self.settle_when {
            SettleWhen::OnFirstByte => self.record(known, answered).await?,
            _ => self.note(known, answered)?,
        }
        pass(Failpoint::FirstByte);
        Ok(())
    }

    /// Settles now if that is the time for it; the answer waits for what comes back.
    async fn settlement_on_first_byte(
        &self,
        known: &mut Known,
        early: Option<Settlement>,
    ) -> Result<Option<Settlement>, Refusal> {
        if early.is_some() || self.settle_when != SettleWhen::OnFirstByte {
            return Ok(early);
        }
        match self.settle_awaited().await {
            Settlement::Failed { reason } => Err(self.settlement_failed(known, reason).await),
            settled @ Settlement::Confirmed { .. } => Ok(Some(settled)),
        }
    }

    /// Settles while listeners wait for nothing else.
    async fn settle_awaited(&self) -> Settlement {
        self.running.settling(true);
        let settlement = self.settle().await;
        self.running.settling(false);
        settlement
    }

    async fn settle(&self) -> Settlement {
        let (settlement, amount) = match self.shared.ledger.call(&self.id).await {
            Ok(Some(state)) => {
                let settlement = self.shared.settlements.settle_call(&state).await;
                (settlement, state.settlement_amount())
            }
            // A ledger that cannot be read settles nothing; the next start goes on from what it holds.
            _ => std::future::pending().await,
        };
        let mut reservation = self
            .reservation
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let reservation = reservation.take();
        if let (Some(reservation), Settlement::Confirmed { .. }) = (reservation, &settlement) {
            reservation.settled(amount.unwrap_or_default());
        }
        settlement
    }

    /// Bills what was used, signs the receipt of it, and keeps the answer for the same credential, in one
    /// commit; from here on the bill stands. `rest` writes what is left of the answer when that is known.
    async fn capture(
        &self,
        known: &mut Known,
        passed: &Passed<'_>,
        (reading, end): (&crate::metering::Reading, End),
        heading: &Heading,
        rest: &(impl Fn(&Billing) -> Vec<u8> + Sync),
    ) -> Result<Captured, Refusal> {
        let by = (passed.by, passed.failed);
        let billing = bill::bill(&self.call, by, (reading, end), self.shared.decimals);
        let billing = billing.map_err(|error| {
            tracing::error!(call = %self.id, %error, "the bill could not be computed");
            Refusal::Internal
        })?;
        pass(Failpoint::Usage);
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
        let mut bytes: Bytes = rest(&billing).into();
        let books = self.write_with_answer(known, heading, &bytes).await?;
        pass(Failpoint::Capture);
        billing.count(&self.shared.metrics, &self.call);
        let answered = Answered {
            usage: billing.usage(),
            complete: end == End::Whole,
            first_token: match self.call.stream {
                true => passed.first_token,
                // Of an answer in one piece nobody sees the first token.
                false => Duration::ZERO,
            },
            whole: passed.tried.elapsed(),
        };
        let by = (passed.by, passed.account);
        let routing = &self.shared.routing;
        passed
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

    /// Settles what is still owed.
    async fn close(&self, charged: Units) -> Ended {
        if !self.end_waits {
            self.running.finish();
        }
        let due = self.settle_when == SettleWhen::After && !charged.is_zero();
        let unpaid = due && matches!(self.settle().await, Settlement::Failed { .. });
        self.running.finish();
        Ok(if unpaid { "unpaid" } else { "captured" })
    }

    async fn void(&self, mut known: Known, unanswered: Unanswered) -> Ended {
        let reason = match &unanswered.failure {
            UpstreamFailure::Unreachable | UpstreamFailure::Cut => VoidReason::UpstreamUnavailable,
            UpstreamFailure::TimedOut | UpstreamFailure::Ended(_) => VoidReason::UpstreamTimeout,
            UpstreamFailure::Refused { status, .. } if status.is_client_error() => {
                VoidReason::UpstreamRefused
            }
            UpstreamFailure::Refused { .. } => VoidReason::UpstreamUnavailable,
            UpstreamFailure::Malformed(_) | UpstreamFailure::TooLarge => {
                VoidReason::UpstreamInvalid
            }
        };
        let failure = &unanswered.failure;
        tracing::warn!(call = %self.id, model = self.call.model.id, %failure, "no answer: nothing is charged");
        let voided = Event::Voided {
            reason,
            at_ms: now_ms(),
        };
        self.record(&mut known, voided).await?;
        // Paid for beforehand: the receipt says that all of it is credit.
        if known.state.settlement.is_confirmed() {
            self.shared.receipts.issue(&self.id, &known.state).await;
        }
        Err(Refusal::Upstream(Box::new(unanswered)))
    }

    async fn settlement_failed(&self, known: &mut Known, reason: String) -> Refusal {
        let voided = Event::Voided {
            reason: VoidReason::PaymentFailed,
            at_ms: now_ms(),
        };
        if let Err(refusal) = self.record(known, voided).await {
            return refusal;
        }
        Refusal::SettlementFailed {
            reason,
            payer: self.payer,
            version: self.version,
        }
    }

    fn note(&self, known: &mut Known, event: Event) -> Result<(), Refusal> {
        known.note(event).map_err(|error| {
            tracing::error!(call = %self.id, %error, "an event cannot happen now");
            Refusal::Internal
        })
    }

    async fn record(&self, known: &mut Known, event: Event) -> Result<(), Refusal> {
        let recorded = known.record(&self.shared.ledger, event).await;
        recorded.map_err(|error| self.refused(&error))
    }

    async fn write(&self, known: &mut Known) -> Result<(), Refusal> {
        let written = known.write(&self.shared.ledger).await;
        written.map_err(|error| self.refused(&error))
    }

    fn refused(&self, error: &LedgerError) -> Refusal {
        tracing::error!(call = %self.id, %error, "the ledger refused an event");
        Refusal::LedgerUnavailable
    }

    /// Lets the answer begin; returns its headers.
    fn begin(&self, heading: &Heading, books: Option<&ChannelState>) -> HeaderMap {
        let headers = heading.headers(books);
        self.running.begin(Head::Answer(headers.clone()));
        headers
    }

    /// What is known of the payment as the headers are made: its settlement, or the channel it is charged to.
    fn heading(&self, upstream: HeaderMap, settlement: Option<&Settlement>) -> Heading {
        let heading = Heading::new(upstream, &self.id);
        let rails = &self.shared.rails;
        if let Some(challenge) = &self.challenge {
            let transaction = match settlement {
                Some(Settlement::Confirmed { transaction, .. }) => Some(transaction.clone()),
                _ => None,
            };
            return heading.by_mpp(MppPaid {
                challenge: challenge.clone(),
                call: self.id,
                network: rails.network(),
                transaction,
                paid: self.call.ceiling,
                charged: None,
                at_s: now_ms() / 1000,
            });
        }
        match (&self.channel, settlement) {
            (Some(paid), _) => heading.by_channel(ByChannel {
                rails: rails.clone(),
                payer: self.payer,
                paid: paid.clone(),
                version: self.version,
            }),
            (None, Some(Settlement::Confirmed { transaction, .. })) => {
                let outcome = Ok((self.call.ceiling, transaction.as_str()));
                let paid = rails.settle_response(self.payer, outcome, self.version);
                heading.settled(&paid, self.version)
            }
            (None, _) => heading,
        }
    }

    /// The books of the channel that pays, if one does.
    async fn books(&self) -> Option<ChannelState> {
        let channel = &self.channel.as_ref()?.used.channel;
        self.shared.ledger.channel(channel).await.ok()?
    }
}
