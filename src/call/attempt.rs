//! One credential with one body, from its arrival to its call: authorize, hold, then run.

use super::bill::alternatives;
use super::desk::Shared;
use super::quote::QuotedCall;
use super::refusal::Refusal;
use super::running::{Head, Running};
use super::sales::app;
use super::task::Task;
use crate::clock::now_ms;
use crate::ledger::{
    CallId, CallState, ChannelUse, Digest32, Event, Haste, Hold, HoldRefused, OnItsWay, ReplayKey,
    RequestHash, SettleWhen, Takes,
};
use crate::payment::{
    AuthorizeFailure, Authorized, Metered, PaidByChannel, is_session, ledger_name, signature,
    unfit_for_session,
};
use crate::protocol::Refusal as PaymentRefusal;
use crate::protocol::channel::{self, Rule};
use crate::protocol::mpp::Refused;
use crate::protocol::x402::Credential;
use alloy::primitives::Address;
use http::HeaderMap;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A payment on its way to become a call; copies of it share one attempt.
pub(super) struct Attempt {
    pub(super) shared: Arc<Shared>,
    pub(super) running: Arc<Running>,
    pub(super) key: [u8; 32],
    /// What the credential is spent under.
    pub(super) replay_key: ReplayKey,
    pub(super) call: QuotedCall,
    pub(super) credential: Credential,
    pub(super) headers: HeaderMap,
}

impl Attempt {
    /// Authorizes and holds, then runs the call; listeners learn whatever happens.
    pub(super) async fn run(self) {
        let registered = Registered {
            shared: Arc::clone(&self.shared),
            running: Arc::clone(&self.running),
            key: self.key,
            call: CallId::new(now_ms(), rand::random()),
        };
        // What it takes to come to a call is gone before that runs: it may be a stream that stays open.
        match Box::pin(self.begun(registered.call)).await {
            Ok(Some((task, state, hold))) => task.run(state, hold).await,
            Ok(None) => {}
            Err(refusal) => registered.refuse(refusal),
        }
    }

    /// Authorizes and holds; `None` when its credential bought another attempt's call, whose outcome
    /// listeners are told.
    async fn begun(self, id: CallId) -> Result<Option<(Box<Task>, CallState, OnItsWay)>, Refusal> {
        let Self {
            shared,
            running,
            replay_key,
            call,
            credential,
            headers,
            ..
        } = self;
        let authorized = match authorize(&shared, &running, &call, &credential).await {
            Ok(authorized) => authorized,
            // A copy may have been held, and even settled, since this one was looked for: then the
            // chain says that the payment is used, and it is the call's own.
            Err(refusal) => {
                return match bought(&shared, &credential, &replay_key).await {
                    Some(taken) => {
                        follow(&shared, &running, taken, call.request).await?;
                        Ok(None)
                    }
                    None => Err(refusal),
                };
            }
        };
        let namer = &shared.routing.namer;
        let conversation = call.conversation(namer, &authorized.payer, &headers)?;
        let hold = hold(
            &shared,
            &call,
            Payment {
                call: id,
                rail: ledger_name(authorized.rail),
                replay_key,
                payment_id: shared.rails.payment_id_key(&credential),
                payer: authorized.payer,
                app: app(&headers),
                settle_when: authorized.settle_when,
                takes: authorized.takes,
                channel: authorized.channel.as_ref().map(|paid| paid.used.clone()),
                stored: authorized.stored,
            },
        )?;
        let settle_by = shared.rails.settle_by(&hold);
        let metered = metered(&shared, authorized.channel.as_ref());
        shared.registry().calls.insert(id, Arc::clone(&running));
        // What is settled beforehand is forwarded when that is done; the rest goes on at once.
        let forwarded = Event::Forwarded { at_ms: now_ms() };
        let then = match authorized.settle_when {
            SettleWhen::Before => authorized.sent.into_iter().collect(),
            SettleWhen::OnFirstByte | SettleWhen::After | SettleWhen::ByClaim => vec![forwarded],
        };
        let haste = haste(call.stream || authorized.settle_when == SettleWhen::Before);
        let (state, hold) = match shared.ledger.begin(hold, then, haste).await {
            Ok(begun) => begun,
            Err(
                HoldRefused::Taken { call: taken, .. }
                | HoldRefused::PaymentIdTaken { call: taken, .. },
            ) => {
                follow(&shared, &running, taken, call.request).await?;
                return Ok(None);
            }
            Err(HoldRefused::Channel { unfit, state }) => {
                let reason = match is_session(&state.opening) {
                    true => unfit_for_session(unfit, call.ceiling),
                    false => channel::Refused::from(unfit).into(),
                };
                return Err(match reason {
                    // Its channel has nothing to say to anybody any more.
                    closed @ PaymentRefusal::Mpp(Refused::ChannelClosed) => {
                        Refusal::Payment(closed)
                    }
                    reason => Refusal::Channel { reason, state },
                });
            }
            Err(error) => {
                tracing::error!(%error, "a hold was not taken");
                return Err(Refusal::LedgerUnavailable);
            }
        };
        running.held(id);
        let task = Box::new(Task {
            version: credential.version,
            challenge: credential.challenge,
            shared,
            running,
            id,
            call,
            payer: authorized.payer,
            conversation,
            settle_when: authorized.settle_when,
            takes: authorized.takes,
            settle_by,
            reservation: Mutex::new(authorized.reservation),
            metered,
            channel: authorized.channel.map(PaidByChannel::held),
            end_waits: authorized.end_waits,
            headers,
        });
        Ok(Some((task, state, hold)))
    }
}

/// Takes an attempt out of the registry when its task ends, however it ends.
pub(super) struct Registered {
    pub(super) shared: Arc<Shared>,
    pub(super) running: Arc<Running>,
    pub(super) key: [u8; 32],
    /// The call that it becomes when it is held.
    pub(super) call: CallId,
}

impl Registered {
    /// Tells listeners that there will be no answer. The attempt is out of the registry before that: who
    /// mends its payment and sends it at once must not join the one that was refused.
    pub(super) fn refuse(&self, refusal: Refusal) {
        self.leave();
        self.running.begin(Head::Refused(refusal));
    }

    fn leave(&self) {
        let mut registry = self.shared.registry();
        registry.attempts.remove(&self.key);
        registry.calls.remove(&self.call);
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.running.give_up();
        self.leave();
    }
}

async fn authorize(
    shared: &Arc<Shared>,
    running: &Running,
    call: &QuotedCall,
    credential: &Credential,
) -> Result<Authorized, Refusal> {
    let proof = shared.check(credential, Some(call.ceiling))?;
    // A deposit is on chain before its call is held.
    running.settling(shared.rails.deposits(credential));
    let authorized = shared
        .rails
        .authorize(credential, call.ceiling, &proof)
        .await;
    running.settling(false);
    authorized.map_err(Refusal::from)
}

/// The channel that pays as its call goes, if one does.
fn metered(shared: &Shared, paid: Option<&PaidByChannel>) -> Option<Metered> {
    let used = &paid.filter(|paid| paid.used.rule == Rule::Metered)?.used;
    let rail = shared.rails.session().ok()?;
    Some(rail.metered(used.channel, shared.closing.clone()))
}

/// The call that this very credential bought meanwhile.
async fn bought(
    shared: &Shared,
    credential: &Credential,
    replay_key: &ReplayKey,
) -> Option<CallId> {
    let state = shared.ledger.by_replay_key(replay_key).await.ok()??;
    let same = shared.rails.same_credential(&state.hold, credential);
    same.then_some(state.hold.call)
}

/// How a call is paid for, in the words of its hold.
pub(super) struct Payment {
    pub(super) call: CallId,
    pub(super) rail: &'static str,
    pub(super) replay_key: ReplayKey,
    pub(super) payment_id: Option<ReplayKey>,
    pub(super) payer: Address,
    pub(super) app: Option<String>,
    pub(super) settle_when: SettleWhen,
    pub(super) takes: Takes,
    pub(super) channel: Option<ChannelUse>,
    pub(super) stored: Value,
}

pub(super) fn hold(shared: &Shared, call: &QuotedCall, payment: Payment) -> Result<Hold, Refusal> {
    let first = call.candidates.first().ok_or(Refusal::Internal)?;
    let endpoint = &first.endpoint;
    let (quote_prompt_max, quote_output_max) = call.tokens_max();
    Ok(Hold {
        call: payment.call,
        rail: payment.rail.to_owned(),
        replay_key: payment.replay_key,
        payment_id: payment.payment_id,
        payer: format!("{:#x}", payment.payer),
        network: shared.rails.network().to_string(),
        asset: format!("{:#x}", shared.rails.asset().address),
        asset_decimals: shared.decimals,
        ceiling: call.ceiling,
        held: call.ceiling,
        request: call.request,
        model: call.model.id.clone(),
        endpoint: endpoint.tag().to_owned(),
        price_row: endpoint.model.price.canonical_json(),
        price_row_sha256: Digest32::from_bytes(endpoint.price_row),
        alternatives: alternatives(call),
        markup_bps: call.markup_bps,
        quote_prompt_max,
        quote_output_max,
        settle_when: payment.settle_when,
        takes: payment.takes,
        remembered: true,
        channel: payment.channel,
        authorization: payment.stored,
        route: call.route,
        app: payment.app,
        stream: call.stream,
        at_ms: now_ms(),
    })
}

/// When a hold goes to the disk: at once if something but the call's bill waits for it. An answer in one
/// piece goes out with its bill, behind which nothing that came before can be lost.
pub(super) const fn haste(awaited: bool) -> Haste {
    match awaited {
        true => Haste::Now,
        false => Haste::InCompany,
    }
}

/// Another attempt won the race for this credential: tell its outcome to our listeners.
async fn follow(
    shared: &Arc<Shared>,
    running: &Running,
    taken: CallId,
    request: RequestHash,
) -> Result<(), Refusal> {
    let state = shared.ledger.call(&taken).await.ok().flatten();
    let state = state.ok_or(Refusal::LedgerUnavailable)?;
    let mut other = shared.again(&state, request).await?;
    let head = other.head(Duration::MAX).await;
    running.begin(head.unwrap_or(Head::Refused(Refusal::Internal)));
    while let Some(bytes) = other.next().await {
        running.push(bytes);
    }
    running.finish();
    Ok(())
}

/// What copies of one credential with one body have in common.
pub(super) fn attempt_key(
    replay_key: &ReplayKey,
    credential: &Credential,
    request: RequestHash,
) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(replay_key.as_bytes());
    hash.update(request.as_bytes());
    hash.update(Sha256::digest(signature(credential)));
    hash.finalize().into()
}

impl From<AuthorizeFailure> for Refusal {
    fn from(failure: AuthorizeFailure) -> Self {
        match failure {
            AuthorizeFailure::Refused(refusal) => Self::Payment(refusal),
            AuthorizeFailure::Channel { reason, state } => Self::Channel { reason, state },
            AuthorizeFailure::Unknown => Self::ChainUnknown,
        }
    }
}
