//! A body on its way upstream and the answer on its way back, until that has begun: nothing has reached
//! the caller by then, so a failure costs nobody anything, and another endpoint may be tried.

use super::limit::Limit;
use super::plan::{Plan, Try};
use super::quote::{Candidate, QuotedCall};
use super::relay::StreamRelay;
use super::routing::{Routing, outcome};
use crate::config::Affinity;
use crate::metering::{Dialect, Reading, meter_whole};
use crate::router::{Account, Busy, Fault, Purchase, Receipted, UpstreamAnswer, UpstreamFailure};
use crate::stats::{Metrics, Outcome};
use bytes::Bytes;
use futures::stream::BoxStream;
use http::{HeaderMap, HeaderValue};
use std::time::{Duration, Instant};

/// The most tries that one call makes.
const TRIES_MAX: usize = 8;

/// How long an endpoint is given to recover, and the longest that a caller is kept waiting for that.
const PAUSE: Duration = Duration::from_millis(150);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// An answer that has begun, beside its body; nothing of it has left.
pub(super) struct Begun<'a> {
    /// Who answers.
    pub(super) by: &'a Candidate,
    /// And on which account.
    pub(super) account: &'a Account,
    /// What it was chosen by.
    pub(super) plan: &'a Plan,
    /// The call counts as under way there until this is dropped.
    pub(super) _busy: Busy,
    /// When it was asked.
    pub(super) tried: Instant,
    /// How long it took to this point.
    pub(super) first_token: Duration,
    pub(super) headers: HeaderMap,
    /// How many tries came to nothing before.
    pub(super) failed: usize,
    /// The receipt that is due from who answers, where it was paid for.
    pub(super) purchase: Option<Purchase>,
    /// What came of that.
    pub(super) receipted: Option<Receipted>,
}

/// What an answer comes in.
pub(super) enum Answer {
    /// One piece: all of it is here, and good.
    Whole(Box<Whole>),
    /// Events: the first is here.
    Stream(Box<Streaming>),
}

/// An answer in one piece.
pub(super) struct Whole {
    pub(super) body: Vec<u8>,
    /// What it says of its usage.
    pub(super) reading: Reading,
}

/// An answer in events.
pub(super) struct Streaming {
    pub(super) upstream: BoxStream<'static, Result<Bytes, UpstreamFailure>>,
    /// What has come of it so far.
    pub(super) relay: StreamRelay,
}

/// An answer that begins.
struct Head {
    headers: HeaderMap,
    answer: Answer,
    purchase: Option<Purchase>,
}

/// No endpoint gave an answer: why the last one did not, and what was tried.
#[derive(Debug, Clone)]
pub struct Unanswered {
    /// The failure that ended it.
    pub failure: UpstreamFailure,
    /// Every try, in order.
    pub attempts: Vec<Tried>,
}

/// A try that came to nothing.
#[derive(Debug, Clone)]
pub struct Tried {
    /// The endpoint's slug.
    pub endpoint: String,
    /// The model's id.
    pub model: String,
    /// The status that the upstream gave.
    pub status: Option<u16>,
    /// Why it came to nothing.
    pub why: String,
}

/// The first time through all endpoints, and the second through those that may have recovered.
#[derive(PartialEq)]
enum Round {
    First,
    Again,
}
use Round::{Again, First};

/// How long to wait before an endpoint is asked once more; `None` when that is no use, when its failure
/// took long already, or when it had begun to answer: what it did then may be on our bill.
fn passing(failure: &UpstreamFailure) -> Option<Duration> {
    let refused = matches!(failure, UpstreamFailure::Refused { .. })
        && matches!(failure.fault(), Fault::Upstream | Fault::Busy);
    if !refused && !matches!(failure, UpstreamFailure::Unreachable) {
        return None;
    }
    let wait = failure.retry_after().unwrap_or(PAUSE);
    (wait <= PAUSE_MAX).then(|| wait.max(PAUSE))
}

/// A call's way upstream.
pub(super) struct Forward<'a> {
    pub(super) call: &'a QuotedCall,
    pub(super) headers: &'a HeaderMap,
    pub(super) metrics: &'a Metrics,
    pub(super) routing: &'a Routing,
    pub(super) plan: &'a Plan,
    /// The largest answer that is passed on.
    pub(super) bytes_max: usize,
    pub(super) sent: Instant,
    /// When its settlement must be sent at the latest.
    pub(super) settle_by: Option<Instant>,
}

impl<'a> Forward<'a> {
    /// Until when an endpoint is listened to.
    fn limit(&self, by: &Candidate) -> Limit {
        let call_timeout = by.endpoint.upstream.call_timeout;
        Limit::of(self.sent, call_timeout, self.settle_by)
    }

    /// Tries one endpoint after another until an answer has begun; those whose trouble may be over in a
    /// moment are asked once more.
    pub(super) async fn begun(&self) -> Result<(Begun<'a>, Answer), Unanswered> {
        let mut tries = self.plan.tries(self.routing, self.call);
        let mut attempts = Vec::new();
        let mut last = None;
        for round in [First, Again] {
            let mut again = Vec::new();
            let mut pause = Duration::ZERO;
            for Try { by, account } in tries {
                if attempts.len() == TRIES_MAX {
                    break;
                }
                let now = Instant::now();
                self.routing.health.tried(&by.endpoint, account, now);
                let busy = by.endpoint.begin();
                let failure = match self.tried(by, account).await {
                    Ok(Head {
                        headers,
                        answer,
                        purchase,
                    }) => {
                        if matches!(answer, Answer::Whole(_)) {
                            self.routing.health.worked(&by.endpoint, account);
                            self.routing.tried(&by.endpoint, Outcome::Answered);
                        }
                        let begun = Begun {
                            by,
                            account,
                            plan: self.plan,
                            _busy: busy,
                            tried: now,
                            first_token: now.elapsed(),
                            headers,
                            failed: attempts.len(),
                            purchase,
                            receipted: None,
                        };
                        return Ok((begun, answer));
                    }
                    Err(failure) => failure,
                };
                let endpoint = &by.endpoint;
                tracing::info!(endpoint = endpoint.tag(), %failure, "an endpoint gave no answer");
                self.routing
                    .health
                    .failed(endpoint, account, &failure, Instant::now());
                self.routing.tried(endpoint, outcome(&failure));
                attempts.push(Tried::at(by, &failure));
                let fault = failure.fault();
                if let Some(wait) = passing(&failure) {
                    pause = pause.max(wait);
                    again.push(Try { by, account });
                }
                last = Some(failure);
                if matches!(fault, Fault::Request | Fault::Time) {
                    again.clear();
                    break;
                }
            }
            tries = again;
            if round == Again || tries.is_empty() {
                break;
            }
            tokio::time::sleep(pause).await;
        }
        Err(Unanswered {
            failure: last.unwrap_or(UpstreamFailure::Unreachable),
            attempts,
        })
    }

    async fn tried(&self, by: &Candidate, account: &Account) -> Result<Head, UpstreamFailure> {
        let upstream = &by.endpoint.upstream;
        let conversation = &self.plan.conversation;
        let body = self.call.body_for(by, conversation);
        let body = body.map_err(|_| malformed("the body could not be made"))?;
        let limit = self.limit(by);
        let begun = async {
            let mut headers = self.headers.clone();
            if let Affinity::Header(name) = upstream.affinity
                && let Ok(value) = HeaderValue::try_from(conversation.affinity())
            {
                headers.insert(name, value);
            }
            let route = self.call.route;
            let mut answer = match upstream.is_paid() {
                true => {
                    let terms = (by.endpoint.upstream_id(), by.quote.ceiling);
                    upstream.buy(route, headers, body, terms).await?
                }
                false => upstream.send(route, account, headers, body).await?,
            };
            let purchase = answer.purchase.take();
            if answer.is_event_stream != self.call.stream {
                return Err(malformed("the content type is not what was asked for"));
            }
            let headers = answer.headers.clone();
            let answer = if self.call.stream {
                let first = self.stream(by, answer);
                let first = tokio::time::timeout(upstream.first_token_timeout, first).await;
                let first = first.map_err(|_| UpstreamFailure::TimedOut)??;
                Answer::Stream(Box::new(first))
            } else {
                Answer::Whole(Box::new(self.whole(by, answer).await?))
            };
            Ok(Head {
                headers,
                answer,
                purchase,
            })
        };
        limit.within(begun).await?
    }

    /// How an endpoint's answer says what it used.
    fn dialect(&self, by: &Candidate) -> Dialect {
        self.call.route.dialect(by.endpoint.model.dialect)
    }

    async fn whole(
        &self,
        by: &Candidate,
        answer: UpstreamAnswer,
    ) -> Result<Whole, UpstreamFailure> {
        let mut upstream = answer.body;
        let limit = self.limit(by);
        let first = limit.next(&mut upstream).await;
        let mut body = first.ok_or_else(|| malformed("it is empty"))??.to_vec();
        self.metrics.first_byte(self.sent.elapsed());
        while let Some(next) = limit.next(&mut upstream).await {
            body.extend_from_slice(&next?);
            if body.len() > self.bytes_max {
                return Err(UpstreamFailure::TooLarge);
            }
        }
        let reading = meter_whole(self.dialect(by), &body);
        if reading.error || serde_json::from_slice::<serde::de::IgnoredAny>(&body).is_err() {
            return Err(malformed("a success status with an error or no JSON in it"));
        }
        Ok(Whole { body, reading })
    }

    async fn stream(
        &self,
        by: &Candidate,
        answer: UpstreamAnswer,
    ) -> Result<Streaming, UpstreamFailure> {
        let mut upstream = answer.body;
        let limit = self.limit(by);
        let (route, wanted) = (self.call.route, self.call.usage_wanted);
        let mut relay = StreamRelay::new(route, self.dialect(by), wanted, self.bytes_max);
        while !relay.begun() {
            relay.take(limit.next(&mut upstream).await);
            if let Some(failure) = relay.failure().filter(|_| !relay.begun()) {
                return Err(failure);
            }
        }
        self.metrics.first_byte(self.sent.elapsed());
        Ok(Streaming { upstream, relay })
    }
}

impl Tried {
    fn at(by: &Candidate, failure: &UpstreamFailure) -> Self {
        Self {
            endpoint: by.endpoint.tag().to_owned(),
            model: by.endpoint.model.id.clone(),
            status: failure.status(),
            why: failure.to_string(),
        }
    }
}

fn malformed(why: &str) -> UpstreamFailure {
    UpstreamFailure::Malformed(why.to_owned())
}
