//! Where calls are taken: the same credential joins the call it already bought, another one starts
//! a task of its own.

use super::attempt::{Attempt, attempt_key};
use super::gift::Gift;
use super::kept::from_kept;
use super::plan::{Expected, expected};
use super::prices::PriceBook;
use super::quote::{Indexed, Quoted, QuotedCall, Terms, request_hash};
use super::receipts::Receipts;
use super::refusal::Refusal;
use super::routing::Routing;
use super::running::{Listener, Running};
use crate::clock::now_ms;
use crate::config::Config;
use crate::ledger::{CallId, CallState, Ledger, ReplayKey, RequestHash, Work};
use crate::metering::Route;
use crate::money::{AssetDecimals, Units};
use crate::payment::{Managed, Rails, Settlements};
use crate::protocol::channel::Rule;
use crate::protocol::eip3009::Proof;
use crate::protocol::mpp::session;
use crate::protocol::x402::{Credential, SettleResponse};
use crate::router::Endpoint;
use crate::stats::{Metrics, Windows};
use bytes::Bytes;
use http::HeaderMap;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How often one voucher buys the same request before its payer must sign anew.
const TURNS_MAX: u32 = 64;

/// Whether a payment has bought its call already.
enum Replay {
    /// It has: here is the answer.
    Bought(Listener),
    /// It has not: it can be spent under this key.
    Free(ReplayKey),
}

/// What became of entering an attempt.
enum Registration {
    /// It is there now.
    New(Arc<Running>),
    /// A copy of it was there already.
    Known(Listener),
}

/// What a desk is made of.
#[derive(Debug)]
pub struct DeskParts {
    /// The ledger of all calls.
    pub ledger: Ledger,
    /// The rails that payments come by.
    pub rails: Rails,
    /// The settlements on their way.
    pub settlements: Settlements,
    /// Signs receipts.
    pub receipts: Receipts,
    /// Counts what happens.
    pub metrics: Arc<Metrics>,
}

/// Where calls are taken; clones are the same desk.
#[derive(Debug, Clone)]
pub struct Desk {
    shared: Arc<Shared>,
}

/// What every call's task needs.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) ledger: Ledger,
    pub(super) rails: Rails,
    pub(super) settlements: Settlements,
    pub(super) receipts: Receipts,
    pub(super) metrics: Arc<Metrics>,
    pub(super) routing: Routing,
    pub(super) decimals: AssetDecimals,
    pub(super) answer_bytes_max: usize,
    pub(super) abandon_after: Duration,
    pub(super) tasks: TaskTracker,
    answer_ttl_ms: u64,
    calls_max: usize,
    terms: Terms,
    prices: PriceBook,
    registry: Mutex<Registry>,
    /// Places for calls that cost nothing.
    free_calls: Arc<Semaphore>,
    pub(super) closing: CancellationToken,
}

#[derive(Debug, Default)]
pub(super) struct Registry {
    pub(super) attempts: HashMap<[u8; 32], Arc<Running>>,
    pub(super) calls: HashMap<CallId, Arc<Running>>,
}

impl Desk {
    /// Opens the desk.
    pub fn new(config: &Config, prices: PriceBook, parts: DeskParts) -> Self {
        let decimals = config.asset.decimals;
        let secret = config.payment.receipt_key.reveal();
        let shared = Shared {
            routing: Routing::remembered(&parts.ledger, secret, now_ms()),
            ledger: parts.ledger,
            rails: parts.rails,
            settlements: parts.settlements,
            receipts: parts.receipts,
            metrics: parts.metrics,
            decimals,
            answer_bytes_max: config.gateway.answer_bytes_max,
            abandon_after: config.gateway.abandon_after,
            answer_ttl_ms: millis(config.gateway.answer_ttl),
            calls_max: config.gateway.calls_max,
            terms: Terms::new(&config.payment, decimals),
            prices,
            registry: Mutex::default(),
            free_calls: Arc::new(Semaphore::new(config.gateway.free_calls_max)),
            tasks: TaskTracker::new(),
            closing: CancellationToken::new(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// The price tables in force.
    pub fn prices(&self) -> &PriceBook {
        &self.shared.prices
    }

    /// Quotes a request by the current price table.
    pub fn quote(&self, route: Route, body: &Bytes) -> Result<Quoted, Refusal> {
        Indexed::read(route, body)?.quote(&self.shared.prices.current(), &self.shared.terms)
    }

    /// What a quoted request will probably cost.
    pub fn expected(&self, quoted: &Quoted, body: &Bytes) -> Option<Expected> {
        let shared = &self.shared;
        expected(&shared.routing, quoted, body, shared.decimals)
    }

    /// The rails that payments come by.
    pub fn rails(&self) -> &Rails {
        &self.shared.rails
    }

    /// What calls showed of each endpoint lately.
    pub fn windows(&self) -> &Windows {
        &self.shared.routing.windows
    }

    /// Whether an endpoint is asked at present: not while it is left alone on every account.
    pub fn is_asked(&self, endpoint: &Endpoint) -> bool {
        let (health, now) = (&self.shared.routing.health, Instant::now());
        let mut accounts = endpoint.upstream.accounts.iter();
        accounts.any(|account| health.is_good(endpoint, account, now))
    }

    /// Takes a paid request: joins the call that this credential already bought, or starts one.
    pub async fn take(
        &self,
        route: Route,
        body: &Bytes,
        credential: Credential,
        headers: HeaderMap,
    ) -> Result<Listener, Refusal> {
        let request = request_hash(route, body);
        let replay_key = match self.replay(&credential, request).await? {
            Replay::Bought(listener) => return Ok(listener),
            Replay::Free(replay_key) => replay_key,
        };
        let call = self.accepted((route, body), request, &credential)?;
        if call.is_free() {
            return self.give(call, headers);
        }
        let key = attempt_key(&replay_key, &credential, request);
        let running = match self.register(key)? {
            Registration::New(running) => running,
            Registration::Known(listener) => return Ok(listener),
        };
        let listener = running.listen();
        let shared = Arc::clone(&self.shared);
        let attempt = Attempt {
            shared,
            running,
            key,
            replay_key,
            call,
            credential,
            headers,
        };
        self.shared.tasks.spawn(attempt.run());
        Ok(listener)
    }

    /// Takes a request that was quoted at nothing, which nobody need pay for.
    pub fn take_free(
        &self,
        body: &Bytes,
        quoted: Quoted,
        headers: HeaderMap,
    ) -> Result<Listener, Refusal> {
        let request = request_hash(quoted.route, body);
        self.give(
            Indexed::read(quoted.route, body)?.call(quoted, request)?,
            headers,
        )
    }

    fn give(&self, call: QuotedCall, headers: HeaderMap) -> Result<Listener, Refusal> {
        let place = Arc::clone(&self.shared.free_calls).try_acquire_owned();
        let place = place.map_err(|_| Refusal::Busy)?;
        let key = rand::random();
        let Registration::New(running) = self.register(key)? else {
            return Err(Refusal::Busy);
        };
        let listener = running.listen();
        let gift = Gift {
            shared: Arc::clone(&self.shared),
            running,
            key,
            call,
            headers,
            place,
        };
        self.shared.tasks.spawn(gift.run());
        Ok(listener)
    }

    /// Enters an attempt, unless a copy of it is there or there is no room for it.
    fn register(&self, key: [u8; 32]) -> Result<Registration, Refusal> {
        let mut registry = self.shared.registry();
        if let Some(running) = registry.attempts.get(&key) {
            return Ok(Registration::Known(running.listen()));
        }
        if registry.attempts.len() >= self.shared.calls_max || self.shared.closing.is_cancelled() {
            return Err(Refusal::Busy);
        }
        let running = Running::new();
        registry.attempts.insert(key, Arc::clone(&running));
        Ok(Registration::New(running))
    }

    /// What this credential, or its payment identifier, already bought; or what it can be spent under.
    async fn replay(
        &self,
        credential: &Credential,
        request: RequestHash,
    ) -> Result<Replay, Refusal> {
        let (ledger, rails) = (&self.shared.ledger, &self.shared.rails);
        let unavailable = |_| Refusal::LedgerUnavailable;
        let mut turn = 0;
        let free = loop {
            let replay_key = rails.replay_key(credential, request, turn);
            let taken = ledger
                .by_replay_key(&replay_key)
                .await
                .map_err(unavailable)?;
            let Some(state) = taken else { break replay_key };
            if !rails.same_credential(&state.hold, credential) {
                return Err(Refusal::Conflict(state.hold.call));
            }
            match self.shared.again(&state, request).await {
                Ok(listener) if !self.buys_anew(&state) => return Ok(Replay::Bought(listener)),
                Err(refusal) if !rails.takes_turns(credential) || turn >= TURNS_MAX => {
                    return Err(refusal);
                }
                _ if turn >= TURNS_MAX => return Err(Refusal::Busy),
                _ => turn += 1,
            }
        };
        let Some(key) = rails.payment_id_key(credential) else {
            return Ok(Replay::Free(free));
        };
        let Some(state) = ledger.by_payment_id(&key).await.map_err(unavailable)? else {
            return Ok(Replay::Free(free));
        };
        // Another credential of the same payer: only its own signature opens the payer's answer,
        // whatever amount it is for.
        let proof = self.shared.check(credential, None)?;
        match proof {
            Proof::Payer => {
                let again = self.shared.again(&state, request).await;
                again.map(Replay::Bought)
            }
            Proof::ContractOnly { .. } => Err(Refusal::Conflict(state.hold.call)),
        }
    }

    /// Whether the same voucher with the same request means another call: where a stream's headers leave
    /// before its cost is known, the client signs the same voucher when it asks again.
    fn buys_anew(&self, state: &CallState) -> bool {
        let hold = &state.hold;
        let over = !self.shared.registry().calls.contains_key(&hold.call);
        let used = hold.channel.as_ref();
        let reported_late = used.is_some_and(|used| used.rule == Rule::Late);
        over && hold.stream && reported_late && hold.payment_id.is_none()
    }

    /// The call at a price that the credential accepted: the current one, or one in its grace time. What
    /// costs nothing now needs nobody to accept it.
    fn accepted(
        &self,
        (route, body): (Route, &Bytes),
        request: RequestHash,
        credential: &Credential,
    ) -> Result<QuotedCall, Refusal> {
        let rails = &self.shared.rails;
        let accepts = |quoted: &Quoted| {
            let accepted = rails.accepted(credential, quoted.ceiling, quoted.price_rows());
            accepted.is_some()
        };
        let indexed = Indexed::read(route, body)?;
        let mut current = None;
        for router in self.shared.prices.live() {
            match indexed.quote(&router, &self.shared.terms) {
                Ok(quoted) if !quoted.is_free() && accepts(&quoted) => {
                    return indexed.call(quoted, request);
                }
                other => current = current.or(Some(other)),
            }
        }
        match current {
            Some(Ok(quoted)) if quoted.is_free() => indexed.call(quoted, request),
            Some(Ok(quoted)) => {
                // Say which field is wrong where that can be told.
                let now_s = now_ms() / 1000;
                let refusal = rails.mismatch(credential, quoted.ceiling, now_s);
                Err(Refusal::Payment(refusal))
            }
            Some(Err(refusal)) => Err(refusal),
            None => Err(Refusal::Internal),
        }
    }

    /// The call that this credential was spent on, whatever it was.
    pub async fn bought(&self, credential: &Credential) -> Result<Option<CallId>, Refusal> {
        let key = self
            .shared
            .rails
            .replay_key(credential, RequestHash::from_bytes([0; 32]), 0);
        let taken = self.shared.ledger.by_replay_key(&key).await;
        let taken = taken.map_err(|_| Refusal::LedgerUnavailable)?;
        Ok(taken.map(|state| state.hold.call))
    }

    /// Gives a channel's payer back what was not charged.
    pub async fn refund(
        &self,
        credential: &Credential,
    ) -> Result<(SettleResponse, serde_json::Value), Refusal> {
        let proof = self.shared.check(credential, None)?;
        let refunded = self.shared.rails.refund(credential, &proof).await;
        refunded.map_err(Refusal::from)
    }

    /// Does what a session's credential asks for that buys nothing.
    pub async fn manage(&self, signed: &session::Signed) -> Result<Managed, Refusal> {
        let managed = self.shared.rails.session()?.manage(signed).await;
        managed.map_err(Refusal::from)
    }

    /// A call's state, for who knows its id.
    pub async fn call(&self, id: &CallId) -> Result<Option<CallState>, Refusal> {
        self.shared
            .ledger
            .call(id)
            .await
            .map_err(|_| Refusal::LedgerUnavailable)
    }

    /// Calls under way.
    pub fn running(&self) -> usize {
        self.shared.registry().attempts.len()
    }

    /// Takes no new calls and waits for those under way; what outlives `drain` is left to the next
    /// start, which finds it in the ledger.
    pub async fn close(&self, drain: Duration) {
        self.shared.closing.cancel();
        self.shared.tasks.close();
        self.shared.settlements.hurry().await;
        if tokio::time::timeout(drain, self.shared.tasks.wait())
            .await
            .is_err()
        {
            tracing::warn!(
                calls = self.running(),
                "stopping with calls under way; the next start finishes them"
            );
        }
        self.shared.write_what_was_learned().await;
        self.shared.settlements.stop();
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}

impl Shared {
    pub(super) fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Judges who signed and, with an amount, whether that pays for a call of it. A signature takes less
    /// time than a hop to another thread and back under load, so it is checked right here.
    pub(super) fn check(
        &self,
        credential: &Credential,
        amount: Option<Units>,
    ) -> Result<Proof, Refusal> {
        let now_s = now_ms() / 1000;
        let checked = match amount {
            Some(amount) => self.rails.check(credential, amount, now_s),
            None => self.rails.check_signer(credential, now_s),
        };
        checked.map_err(Refusal::Payment)
    }

    /// What is not written is learned anew: nothing else depends on it.
    pub(super) async fn write_what_was_learned(&self) {
        let written = self.routing.write(&self.ledger, now_ms()).await;
        if let Err(error) = written {
            tracing::warn!(%error, "what was learned could not be written down");
        }
    }

    /// The same answer for the same payment: the running call's, or the one kept.
    pub(super) async fn again(
        self: &Arc<Self>,
        state: &CallState,
        request: RequestHash,
    ) -> Result<Listener, Refusal> {
        let id = state.hold.call;
        if state.hold.request != request {
            return Err(Refusal::Conflict(id));
        }
        if let Some(running) = self.registry().calls.get(&id) {
            return Ok(running.listen());
        }
        let kept = self
            .ledger
            .answer(&id, now_ms())
            .await
            .map_err(|_| Refusal::LedgerUnavailable)?;
        match kept {
            Some(answer) => Ok(from_kept(answer).listen()),
            None => Err(gone(state)),
        }
    }

    /// Until when an answer of now is kept for the same credential, if it is kept at all.
    pub(super) fn answer_expires(&self, now_ms: u64) -> Option<u64> {
        (self.answer_ttl_ms > 0).then(|| now_ms.saturating_add(self.answer_ttl_ms))
    }
}

/// Why there is no answer for a payment that was taken: its call is over, or still settling.
fn gone(state: &CallState) -> Refusal {
    match state.work {
        Work::Captured(_) => Refusal::AnswerGone(state.hold.call),
        Work::Voided { .. } => Refusal::Voided(state.hold.call),
        Work::Held | Work::Forwarded | Work::Answered => Refusal::SettlementPending,
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
