//! One call: read, recorded, failed or answered.

use std::io;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use axum::body::{Body, Bytes};
use axum::http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::answer::Answer;
use super::calls::{Arrived, Call, Calls, header_lines};
use super::catalogue::Catalogue;
use super::config::{Behaviour, CacheMode, SimConfig};
use super::delivery::{Delivery, Frames};
use super::dialect::Dialect;
use super::model::{Models, base_name};
use super::openai::Reply;
use super::prefix_cache::{CacheUse, PrefixCache, Terms};
use super::prompt::{self, Prompt, hash_of};
use super::refusal::{Wire, add_secrets, json_response, out_of_credit, refuse};
use super::usage::Counts;
use super::{anthropic, completions, embeddings, openai, responses};

/// A number below 100 for an attempt's number, evenly spread.
const fn spread(attempt: u64) -> u64 {
    let mixed = attempt.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (mixed >> 33) % 100
}

/// Anthropic refuses more.
const BREAKPOINTS_MAX: usize = 4;
/// Pieces of a whole body that is sent slowly.
const WHOLE_PIECES: usize = 4;

/// The state that calls share.
#[derive(Debug)]
pub(super) struct Sim {
    pub(super) config: SimConfig,
    pub(super) models: Models,
    pub(super) calls: Calls,
    pub(super) cache: Mutex<PrefixCache>,
    pub(super) catalogue: Catalogue,
    pub(super) closing: CancellationToken,
}

impl Sim {
    pub(super) fn new(config: SimConfig, closing: CancellationToken) -> Self {
        let terms = Terms {
            block_tokens: u64::from(config.block_tokens.get()),
            min_tokens: config.cache_min_tokens,
            ttl: Duration::from_secs(config.cache_ttl_s),
            long_ttl: Duration::from_secs(config.cache_long_ttl_s),
            entries_max: config.cache_blocks_max.get(),
        };
        Sim {
            models: Models::new(&config),
            calls: Calls::new(config.calls_kept.get(), config.bodies_bytes_max),
            cache: Mutex::new(PrefixCache::new(terms)),
            catalogue: Catalogue::new(&config.catalogue),
            config,
            closing,
        }
    }

    pub(super) async fn call(&self, wire: Wire, request: Request<Body>) -> Response<Body> {
        let (head, body) = request.into_parts();
        let Ok(body) = axum::body::to_bytes(body, self.config.body_bytes_max).await else {
            return refuse(wire, 413, "The request body is too large.", None);
        };
        let parsed: Result<prompt::Request<'_>, _> = serde_json::from_slice(&body);
        let call = self.record(wire, &head.headers, parsed.as_ref().ok(), &body);
        let response = match parsed {
            _ if !self.admits(&head.headers) => refuse(wire, 401, "The API key is wrong.", None),
            Err(error) => refuse(
                wire,
                400,
                &format!("The request is not readable: {error}"),
                None,
            ),
            Ok(request) if request.lacks(wire).is_some() => {
                let missing = request.lacks(wire).unwrap_or_default();
                refuse(
                    wire,
                    400,
                    &format!("The member {missing} is missing."),
                    None,
                )
            }
            Ok(request) => self.answer(wire, &head.headers, &request, &call).await,
        };
        if response.extensions().get::<Unanswered>().is_none() {
            call.status.store(response.status().as_u16(), Relaxed);
        }
        response
    }

    fn record(
        &self,
        wire: Wire,
        headers: &HeaderMap,
        request: Option<&prompt::Request<'_>>,
        body: &Bytes,
    ) -> Arc<Call> {
        let arrived = Arrived {
            path: wire.path(),
            model: request
                .map(|request| request.model.to_string())
                .unwrap_or_default(),
            stream: request.is_some_and(|request| request.stream == Some(true)),
            body_bytes: body.len(),
            headers: header_lines(headers),
        };
        self.calls.begin(arrived, body)
    }

    pub(super) fn admits(&self, headers: &HeaderMap) -> bool {
        let presented = presented_key(headers);
        self.config.key.as_ref().is_none_or(|key| key.is(presented))
    }

    async fn answer(
        &self,
        wire: Wire,
        headers: &HeaderMap,
        request: &prompt::Request<'_>,
        call: &Arc<Call>,
    ) -> Response<Body> {
        let model = match self.models.resolve(&request.model) {
            Ok(model) => model,
            Err(error @ super::ModelNameError::Unknown(_)) => {
                return refuse(wire, 404, &error.to_string(), None);
            }
            Err(error) => return refuse(wire, 400, &error.to_string(), None),
        };
        let (times, percent) = (model.behaviour.fail_times, model.behaviour.fail_percent);
        let attempt = match (times, percent) {
            (0, 0) => 0,
            _ => self.calls.attempt(&request.model),
        };
        let faulty = attempt <= times || times == 0;
        let faulty = faulty && (percent == 0 || spread(attempt) < percent);
        let behaviour = if faulty {
            &model.behaviour
        } else {
            &model.healed
        };
        let mut response = match self.fault(wire, behaviour).await {
            Some(response) => response,
            None => {
                self.completion(wire, headers, request, behaviour, call)
                    .await
            }
        };
        if behaviour.set_cookie {
            add_secrets(&mut response);
        }
        response
    }

    /// Faults that come before any work, so that they leave no trace in the cache.
    async fn fault(&self, wire: Wire, behaviour: &Behaviour) -> Option<Response<Body>> {
        if behaviour.delay_headers_ms > 0 {
            sleep(Duration::from_millis(behaviour.delay_headers_ms)).await;
        }
        if behaviour.hang_before_headers {
            self.closing.cancelled().await;
        }
        if behaviour.hang_before_headers || behaviour.die_before_headers {
            return Some(no_response());
        }
        if behaviour.status_402 {
            return Some(out_of_credit(wire));
        }
        let status = behaviour.fail_status?;
        Some(refuse(
            wire,
            status,
            "The simulated provider failed.",
            behaviour.retry_after,
        ))
    }

    async fn completion(
        &self,
        wire: Wire,
        headers: &HeaderMap,
        request: &prompt::Request<'_>,
        behaviour: &Behaviour,
        call: &Arc<Call>,
    ) -> Response<Body> {
        let prompt = request.render(wire, self.config.block_tokens.get());
        let anthropic = behaviour.dialect == Dialect::Anthropic;
        if anthropic && prompt.breakpoints.len() > BREAKPOINTS_MAX {
            return refuse(
                wire,
                400,
                "A maximum of 4 blocks with cache_control may be provided.",
                None,
            );
        }
        let cached = self.look_up(wire, presented_key(headers), request, behaviour, &prompt);
        let echo = behaviour.echo.then(|| request.last_user_text());
        if wire == Wire::Embeddings {
            return self.embedded(request, behaviour, (&prompt, cached), call);
        }
        // The text follows from what was asked, not from who asked.
        let answer = Answer::plan(
            behaviour,
            prompt.hash,
            echo.as_deref(),
            request.output_cap(),
        );
        let reply = Reply {
            n: call.n,
            created: unix_now(),
            model: &request.model,
            behaviour,
            answer: &answer,
            counts: Counts::of_prompt(prompt.tokens, cached),
            choices: request.choices(wire),
            tool: request.tool_to_call().filter(|_| behaviour.tool_call),
            wants_usage: request.wants_usage(),
        };
        let output = (answer.visible.tokens() + answer.reasoning.tokens()) * reply.choices;
        call.prompt_tokens.store(prompt.tokens, Relaxed);
        call.cached_tokens.store(cached.read, Relaxed);
        call.output_tokens.store(output, Relaxed);
        let mut response = if request.stream == Some(true) {
            self.streamed(wire, &reply, call)
        } else {
            self.whole(wire, &reply, output, call).await
        };
        provider_headers(&mut response, &reply);
        response
    }

    fn embedded(
        &self,
        request: &prompt::Request<'_>,
        behaviour: &Behaviour,
        (prompt, cached): (&Prompt, CacheUse),
        call: &Arc<Call>,
    ) -> Response<Body> {
        call.prompt_tokens.store(prompt.tokens, Relaxed);
        call.cached_tokens.store(cached.read, Relaxed);
        call.complete();
        let counts = Counts::of_prompt(prompt.tokens, CacheUse::default());
        json_response(
            200,
            embeddings::whole(request, behaviour, prompt.hash, counts),
        )
    }

    fn look_up(
        &self,
        wire: Wire,
        account: &str,
        request: &prompt::Request<'_>,
        behaviour: &Behaviour,
        prompt: &Prompt,
    ) -> CacheUse {
        if behaviour.needs_cache_key && request.prompt_cache_key.is_none() {
            return CacheUse::default();
        }
        let obeys = wire == Wire::Messages || behaviour.dialect.obeys_breakpoints();
        let mode = match behaviour.cache {
            CacheMode::Auto if obeys && !prompt.breakpoints.is_empty() => CacheMode::Explicit,
            CacheMode::Auto if behaviour.dialect == Dialect::Anthropic => CacheMode::Off,
            CacheMode::Auto => CacheMode::Implicit,
            chosen => chosen,
        };
        let model = hash_of(base_name(&request.model).as_bytes());
        let space = hash_of(account.as_bytes()) ^ model.rotate_left(1);
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        match mode {
            CacheMode::Explicit => cache.explicit(space, prompt, Instant::now()),
            CacheMode::Implicit => cache.implicit(space, prompt, Instant::now()),
            CacheMode::Off | CacheMode::Auto => CacheUse::default(),
        }
    }

    fn streamed(&self, wire: Wire, reply: &Reply<'_>, call: &Arc<Call>) -> Response<Body> {
        let mut frames = match wire {
            Wire::Completions => completions::stream(reply),
            Wire::Responses => responses::stream(reply),
            Wire::Messages => anthropic::stream(reply),
            Wire::Chat | Wire::Embeddings => openai::stream(reply),
        };
        let cut_after = reply.behaviour.cut_after_chunks;
        let cut = cut_after.is_some_and(|after| frames.keep_content(after));
        let delivery = Delivery::new(frames, cut, call.clone(), self.closing.clone());
        let mut response = Response::new(delivery.paced(reply.behaviour, true).into_body());
        let events = HeaderValue::from_static("text/event-stream; charset=utf-8");
        response.headers_mut().insert(CONTENT_TYPE, events);
        response
    }

    async fn whole(
        &self,
        wire: Wire,
        reply: &Reply<'_>,
        output: u64,
        call: &Arc<Call>,
    ) -> Response<Body> {
        let behaviour = reply.behaviour;
        let thinking = output
            .saturating_mul(1000)
            .checked_div(behaviour.tokens_per_second);
        let wait = behaviour
            .delay_first_token_ms
            .saturating_add(thinking.unwrap_or(0));
        if wait > 0 {
            sleep(Duration::from_millis(wait)).await;
        }
        if behaviour.error_event_after_chunks.is_some() {
            return refuse_with_200(wire);
        }
        let mut body = match wire {
            Wire::Completions => completions::whole(reply),
            Wire::Responses => responses::whole(reply),
            Wire::Messages => anthropic::whole(reply),
            Wire::Chat | Wire::Embeddings => openai::whole(reply),
        };
        let cut = behaviour.cut_after_chunks.is_some();
        if !cut && behaviour.slow_body_ms_per_chunk == 0 {
            call.sent(output);
            call.complete();
            return json_response(200, body);
        }
        let length = HeaderValue::from(body.len());
        let pieces = if behaviour.slow_body_ms_per_chunk > 0 {
            WHOLE_PIECES
        } else {
            1
        };
        if cut {
            body.truncate(body.floor_char_boundary(body.len() / 2));
        }
        let frames = Frames::split_whole(body, if cut { 0 } else { output }, pieces);
        let delivery = Delivery::new(frames, cut, call.clone(), self.closing.clone());
        let mut response = json_response(200, String::new());
        *response.body_mut() = delivery.paced(behaviour, false).into_body();
        response.headers_mut().insert(CONTENT_LENGTH, length);
        response
    }
}

/// Marks a response whose head never leaves.
#[derive(Debug, Clone, Copy)]
struct Unanswered;

/// A body that fails before its first byte: the server drops the socket with the head unsent.
fn no_response() -> Response<Body> {
    let failed = io::Error::from(io::ErrorKind::ConnectionAborted);
    let body = Body::from_stream(futures::stream::iter([Err::<Bytes, _>(failed)]));
    let mut response = Response::new(body);
    response.extensions_mut().insert(Unanswered);
    response
}

/// The error body that some providers send with a good status.
fn refuse_with_200(wire: Wire) -> Response<Body> {
    let mut response = refuse(wire, 502, "The simulated provider failed.", None);
    *response.status_mut() = axum::http::StatusCode::OK;
    response
}

fn provider_headers(response: &mut Response<Body>, reply: &Reply<'_>) {
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(&format!("req_{:012x}", reply.n)) {
        headers.insert(HeaderName::from_static("x-request-id"), id);
    }
    match reply.behaviour.dialect {
        Dialect::Fireworks if !reply.behaviour.no_usage => {
            let counts = reply.counts.as_reported(reply.behaviour);
            headers.insert("fireworks-prompt-tokens", HeaderValue::from(counts.prompt));
            headers.insert(
                "fireworks-cached-prompt-tokens",
                HeaderValue::from(counts.cached),
            );
        }
        Dialect::OpenRouter => {
            if let Ok(id) = HeaderValue::from_str(&reply.id()) {
                headers.insert("x-generation-id", id);
            }
        }
        _ => {}
    }
}

fn presented_key(headers: &HeaderMap) -> &str {
    let bearer = headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let bearer = bearer.and_then(|value| value.strip_prefix("Bearer "));
    let plain = || {
        headers
            .get("x-api-key")
            .and_then(|value| value.to_str().ok())
    };
    bearer.or_else(plain).unwrap_or("")
}

#[expect(
    clippy::disallowed_methods,
    reason = "the simulator stands alone: it has a clock of its own"
)]
fn unix_now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map(|since| since.as_secs()).unwrap_or(0)
}
