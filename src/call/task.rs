//! The one task that owns a call from its credential to its receipt.

use super::bill::Billing;
use super::desk::Shared;
use super::forward::{Answer, Begun, Forward, Streaming, Unanswered, Whole};
use super::heading::{ByChannel, BySession, Heading};
use super::known::Known;
use super::limit::Limit;
use super::metered::Dues;
use super::plan::Plan;
use super::quote::{Candidate, QuotedCall};
use super::refusal::Refusal;
use super::relay::End;
use super::running::{Head, Running};
use crate::clock::now_ms;
use crate::failpoint::{Failpoint, pass};
use crate::ledger::{
    CallId, CallState, ChannelState, Event, LedgerError, OnItsWay, SettleWhen, Takes, VoidReason,
};
use crate::money::Units;
use crate::payment::{Metered, MppPaid, PaidByChannel, Reservation, Settlement};
use crate::protocol::channel::Rule;
use crate::protocol::{mpp, x402};
use crate::router::{Conversation, UpstreamFailure};
use alloy::primitives::Address;
use futures::future::{Either, select};
use http::HeaderMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// A call whose credential is good and whose hold is taken.
pub(super) struct Task {
    pub(super) shared: Arc<Shared>,
    pub(super) running: Arc<Running>,
    pub(super) id: CallId,
    pub(super) call: QuotedCall,
    pub(super) payer: Address,
    /// What the call belongs to.
    pub(super) conversation: Conversation,
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
    /// The channel that a stream is paid from as it goes.
    pub(super) metered: Option<Metered>,
    /// Whether the answer's end waits for the settlement.
    pub(super) end_waits: bool,
    pub(super) version: x402::Version,
    /// The challenge that was paid, by MPP.
    pub(super) challenge: Option<Box<mpp::Challenge>>,
    pub(super) headers: HeaderMap,
}

/// How a held call ended, for the metrics.
type Ended = Result<&'static str, Refusal>;

impl Task {
    /// Runs the call to its end; whatever happens, listeners learn it.
    pub(super) async fn run(self: Box<Self>, held: CallState, hold: OnItsWay) {
        let metrics = Arc::clone(&self.shared.metrics);
        metrics.call_begun();
        let model = self.call.model.id.clone();
        let outcome = match self.drive(Known::new(held), hold).await {
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

    async fn drive(&self, mut known: Known, hold: OnItsWay) -> Ended {
        let mut hold = Some(hold);
        let early = match self.settle_when {
            SettleWhen::Before => {
                self.durable(&mut hold).await?;
                let settled = self.settled_before(&mut known).await?;
                let forwarded = Event::Forwarded { at_ms: now_ms() };
                self.record(&mut known, forwarded).await?;
                Some(settled)
            }
            SettleWhen::OnFirstByte | SettleWhen::After | SettleWhen::ByClaim => None,
        };
        let routing = &self.shared.routing;
        let plan = Plan::of(routing, &self.call, self.conversation, now_ms());
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
        // The hold comes to the disk while the upstream thinks.
        let begun = Box::pin(async {
            pass(Failpoint::Forward);
            forward.begun().await
        });
        let begun = match select(pin!(self.durable(&mut hold)), begun).await {
            Either::Left((durable, begun)) => {
                durable?;
                begun.await
            }
            Either::Right((begun, _)) => begun,
        };
        let (begun, answer) = match begun {
            Ok(begun) => begun,
            Err(unanswered) => return Box::pin(self.void(known, unanswered)).await,
        };
        self.answered(&mut known).await?;
        match answer {
            // Its bill comes to the disk behind the hold, and nothing of it leaves before.
            Answer::Whole(whole) => self.pass_whole(known, begun, *whole, (early, hold)).await,
            Answer::Stream(stream) => {
                self.durable(&mut hold).await?;
                // What is settled from its first byte on has time from then on.
                let settle_by = match self.settle_when {
                    SettleWhen::OnFirstByte => None,
                    _ => self.settle_by,
                };
                let call_timeout = begun.by.endpoint.upstream.call_timeout;
                let limit = Limit::of(sent, call_timeout, settle_by);
                self.pass_stream(known, begun, *stream, (limit, early))
                    .await
            }
        }
    }

    /// Waits until a stop would not undo the hold, if that was not waited for before.
    async fn durable(&self, hold: &mut Option<OnItsWay>) -> Result<(), Refusal> {
        if let Some(written) = hold {
            let durable = written.durable().await;
            *hold = None;
            durable.map_err(|error| self.refused(&error))?;
            pass(Failpoint::Hold);
        }
        Ok(())
    }

    async fn settled_before(&self, known: &mut Known) -> Result<Settlement, Refusal> {
        let settlement = self.settle_awaited().await;
        if let Settlement::Failed { reason } = &settlement {
            return Err(self.settlement_failed(known, reason.clone()).await);
        }
        Ok(settlement)
    }

    async fn pass_whole(
        &self,
        mut known: Known,
        mut begun: Begun<'_>,
        answer: Whole,
        (early, mut hold): (Option<Settlement>, Option<OnItsWay>),
    ) -> Ended {
        let settlement = self
            .settlement_on_first_byte(&mut known, &begun, early)
            .await?;
        let heading = self.heading(begun.headers.clone(), settlement.as_ref());
        begun.close(&answer.reading).await;
        let body = answer.body;
        let told = |billing: &Billing| {
            let text = std::str::from_utf8(&body).ok();
            let told = text.and_then(|text| {
                crate::metering::with_usage_members(text, &billing.members()).ok()
            });
            told.map_or_else(|| body.clone(), String::into_bytes)
        };
        let reading = (&answer.reading, End::Whole);
        let captured = self.capture(&mut known, &begun, reading, &heading, &told);
        let captured = Box::pin(captured).await?;
        self.durable(&mut hold).await?;
        let heading = heading.charged(captured.charged);
        let headers = heading.headers(captured.books.as_ref());
        self.running.answer(headers, captured.rest, !self.end_waits);
        self.close(begun.by, captured.charged).await
    }

    async fn pass_stream(
        &self,
        mut known: Known,
        mut begun: Begun<'_>,
        answer: Streaming,
        (limit, early): (Limit, Option<Settlement>),
    ) -> Ended {
        let Streaming {
            mut upstream,
            mut relay,
        } = answer;
        // The settlement runs while the upstream keeps talking; nothing leaves before it is in.
        let settlement = {
            let settling = self.settlement_on_first_byte(&mut known, &begun, early);
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
        let mut heading = self.heading(begun.headers.clone(), settlement.as_ref());
        if !waits {
            heading = Heading::begun(self.begin(&heading, self.books().await.as_ref()));
            self.pass_on(relay.ready());
        }
        let mut dues = Dues::of(self.call.ceiling);
        let abandoned = self.abandoned(begun.by);
        tokio::pin!(abandoned);
        while !relay.over() {
            tokio::select! {
                biased;
                () = &mut abandoned => relay.abandon(),
                next = limit.next(&mut upstream) => relay.take(next),
            }
            if !waits {
                self.pass_on(relay.ready());
            }
            let running = !relay.over();
            if running && !self.is_paid_on(&mut dues, begun.by, relay.pieces()).await {
                relay.unpaid();
            }
        }
        drop(upstream);

        let kept = relay.ready();
        let ending = relay.finish();
        begun.close(&ending.reading).await;
        let health = &self.shared.routing.health;
        let (endpoint, account) = (&begun.by.endpoint, begun.account);
        match ending.end {
            End::Whole | End::Abandoned => health.worked(endpoint, account),
            End::Cut => health.cut(endpoint, account, Instant::now()),
        }
        self.shared.routing.tried(endpoint, ending.outcome());
        let rest = |billing: &Billing| [&*kept, &*ending.bytes(&billing.members())].concat();
        let reading = (&ending.reading, ending.end);
        let captured = self.capture(&mut known, &begun, reading, &heading, &rest);
        let captured = Box::pin(captured).await?;
        if waits {
            self.begin(&heading, captured.books.as_ref());
        }
        self.running.push(captured.rest);
        self.close(begun.by, captured.charged).await
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

    pub(super) fn push(&self, bytes: Vec<u8>) {
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
        begun: &Begun<'_>,
        early: Option<Settlement>,
    ) -> Result<Option<Settlement>, Refusal> {
        let (routing, endpoint) = (&self.shared.routing, &begun.by.endpoint);
        if early.is_some() || self.settle_when != SettleWhen::OnFirstByte {
            routing.settled(endpoint, early.as_ref());
            return Ok(early);
        }
        let settlement = self.settle_awaited().await;
        routing.settled(endpoint, Some(&settlement));
        match settlement {
            Settlement::Failed { reason } => Err(self.settlement_failed(known, reason).await),
            settled @ Settlement::Confirmed { .. } => Ok(Some(settled)),
        }
    }

    /// Settles while listeners wait for nothing else.
    async fn settle_awaited(&self) -> Settlement {
        self.running.settling(true);
        let settlement = Box::pin(self.settle()).await;
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

    /// Settles what is still owed.
    async fn close(&self, by: &Candidate, charged: Units) -> Ended {
        if !self.end_waits {
            self.running.finish();
        }
        let due = self.settle_when == SettleWhen::After && !charged.is_zero();
        let settlement = match due {
            true => Some(Box::pin(self.settle()).await),
            false => None,
        };
        let routing = &self.shared.routing;
        routing.settled(&by.endpoint, settlement.as_ref());
        let unpaid = matches!(settlement, Some(Settlement::Failed { .. }));
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
            UpstreamFailure::NotPaid(_)
            | UpstreamFailure::TooDear(_)
            | UpstreamFailure::Paid(_) => VoidReason::UpstreamUnavailable,
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

    pub(super) fn note(&self, known: &mut Known, event: Event) -> Result<(), Refusal> {
        known.note(event).map_err(|error| {
            tracing::error!(call = %self.id, %error, "an event cannot happen now");
            Refusal::Internal
        })
    }

    async fn record(&self, known: &mut Known, event: Event) -> Result<(), Refusal> {
        let recorded = known.record(&self.shared.ledger, event).await;
        recorded.map_err(|error| self.refused(&error))
    }

    pub(super) async fn write(&self, known: &mut Known) -> Result<(), Refusal> {
        let written = known.write(&self.shared.ledger).await;
        written.map_err(|error| self.refused(&error))
    }

    pub(super) fn refused(&self, error: &LedgerError) -> Refusal {
        tracing::error!(call = %self.id, %error, "the ledger refused an event");
        Refusal::LedgerUnavailable
    }

    /// Lets the answer begin; returns its headers.
    fn begin(&self, heading: &Heading, books: Option<&ChannelState>) -> HeaderMap {
        let headers = heading.headers(books);
        self.running.begin(Head::Answer(headers.clone()));
        headers
    }

    /// The challenge that a session's voucher was for, of a call that is paid by one.
    pub(super) fn by_session(&self) -> Option<BySession> {
        let challenge = self.metered.as_ref().and(self.challenge.as_ref())?;
        Some(BySession {
            challenge: challenge.id.clone(),
            call: self.id,
        })
    }

    /// What is known of the payment as the headers are made: its settlement, or the channel it is charged to.
    fn heading(&self, upstream: HeaderMap, settlement: Option<&Settlement>) -> Heading {
        let heading = Heading::new(upstream, &self.id);
        let rails = &self.shared.rails;
        if let Some(by_session) = self.by_session() {
            return heading.by_session(by_session);
        }
        if let Some(challenge) = &self.challenge {
            let transaction = match settlement {
                Some(Settlement::Confirmed { transaction, .. }) => Some(transaction.clone()),
                _ => None,
            };
            return heading.by_mpp(MppPaid {
                method: challenge.method.clone(),
                challenge: challenge.id.clone(),
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
