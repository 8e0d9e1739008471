//! The record of calls: what arrived, byte for byte, and how far its answer got.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt::Write;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::http::HeaderMap;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Names counted apart; calls to more are counted together.
const NAMES_MAX: usize = 4096;
const OTHER_NAMES: &str = "(others)";

/// What `GET /sim/calls` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SimStats {
    /// Calls since the start or the last reset, remembered or not.
    pub total: u64,
    /// Calls by the model's name as asked.
    pub by_model: BTreeMap<String, u64>,
    /// Prefixes in the cache.
    pub cache_entries: usize,
    /// The remembered calls, oldest first.
    pub calls: Vec<CallRecord>,
}

/// One call as the simulator saw it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallRecord {
    /// The call's number, from 1; names its body at `GET /sim/body/{n}`.
    pub n: u64,
    /// The path that was called.
    pub path: String,
    /// The model's name as asked; empty if the body could not be read.
    pub model: String,
    /// Whether a stream was asked for.
    pub stream: bool,
    /// The lowercase hex SHA-256 of the received body.
    pub body_sha256: String,
    /// The received body's length in bytes.
    pub body_bytes: usize,
    /// The received headers, names and values, in order.
    pub headers: Vec<(String, String)>,
    /// The answered HTTP status; 0 where there was no answer.
    pub status: u16,
    /// Tokens of the prompt, cached ones included.
    pub prompt_tokens: u64,
    /// Tokens of the prompt read from the cache.
    pub cached_tokens: u64,
    /// Output tokens the whole answer has, reasoning included.
    pub output_tokens: u64,
    /// Whether the answer was handed over to its end.
    pub completed: bool,
    /// Content chunks handed over (a whole answer is one).
    pub chunks_sent: u64,
    /// Output tokens in them.
    pub tokens_sent: u64,
    /// Whether the client left a stream before its end.
    pub left: bool,
    /// Output tokens that are billed: those that were generated, whether or not anybody took them.
    pub tokens_billed: u64,
}

/// One remembered call; its progress is counted without a lock.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) n: u64,
    arrived: Arrived,
    sha256: [u8; 32],
    pub(super) status: AtomicU16,
    pub(super) prompt_tokens: AtomicU64,
    pub(super) cached_tokens: AtomicU64,
    pub(super) output_tokens: AtomicU64,
    completed: AtomicBool,
    chunks_sent: AtomicU64,
    tokens_sent: AtomicU64,
    left: AtomicBool,
    /// Billed, and never handed over.
    tokens_unseen: AtomicU64,
}

/// What is known of a call when it arrives.
#[derive(Debug)]
pub(super) struct Arrived {
    pub(super) path: &'static str,
    pub(super) model: String,
    pub(super) stream: bool,
    pub(super) body_bytes: usize,
    /// One `name: value` line each: a copy, since the parsed map would pin the whole read buffer.
    pub(super) headers: String,
}

impl Call {
    pub(super) fn sent(&self, tokens: u64) {
        if tokens > 0 {
            self.chunks_sent.fetch_add(1, Relaxed);
            self.tokens_sent.fetch_add(tokens, Relaxed);
        }
    }

    pub(super) fn complete(&self) {
        self.completed.store(true, Relaxed);
    }

    /// Takes note of a client that left, when so many more tokens are generated and billed nevertheless.
    pub(super) fn left(&self, tokens: u64) {
        self.left.store(true, Relaxed);
        self.tokens_unseen.store(tokens, Relaxed);
    }

    fn record(&self) -> CallRecord {
        let headers = self
            .arrived
            .headers
            .lines()
            .filter_map(|line| line.split_once(": "));
        CallRecord {
            n: self.n,
            path: self.arrived.path.to_owned(),
            model: self.arrived.model.clone(),
            stream: self.arrived.stream,
            body_sha256: hex::encode(self.sha256),
            body_bytes: self.arrived.body_bytes,
            headers: headers
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            status: self.status.load(Relaxed),
            prompt_tokens: self.prompt_tokens.load(Relaxed),
            cached_tokens: self.cached_tokens.load(Relaxed),
            output_tokens: self.output_tokens.load(Relaxed),
            completed: self.completed.load(Relaxed),
            chunks_sent: self.chunks_sent.load(Relaxed),
            tokens_sent: self.tokens_sent.load(Relaxed),
            left: self.left.load(Relaxed),
            tokens_billed: self.tokens_sent.load(Relaxed) + self.tokens_unseen.load(Relaxed),
        }
    }
}

/// The bounded record.
#[derive(Debug)]
pub(super) struct Calls {
    calls_kept: usize,
    bodies_bytes_max: usize,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    total: u64,
    by_model: BTreeMap<String, u64>,
    calls: VecDeque<Arc<Call>>,
    bodies: VecDeque<(u64, Bytes)>,
    bodies_bytes: usize,
    /// Attempts by name, for `fail_times`.
    attempts: HashMap<String, u64>,
}

impl Calls {
    pub(super) fn new(calls_kept: usize, bodies_bytes_max: usize) -> Self {
        Calls {
            calls_kept,
            bodies_bytes_max,
            kept: Mutex::default(),
        }
    }

    pub(super) fn begin(&self, arrived: Arrived, body: &[u8]) -> Arc<Call> {
        let sha256 = Sha256::digest(body).into();
        let copy = Bytes::copy_from_slice(body);
        let mut kept = self.lock();
        kept.total += 1;
        let n = kept.total;
        let known = kept.by_model.len() < NAMES_MAX || kept.by_model.contains_key(&arrived.model);
        let name = if known {
            arrived.model.as_str()
        } else {
            OTHER_NAMES
        };
        match kept.by_model.get_mut(name) {
            Some(count) => *count += 1,
            None => {
                kept.by_model.insert(name.to_owned(), 1);
            }
        }
        let call = Arc::new(Call {
            n,
            arrived,
            sha256,
            status: AtomicU16::new(0),
            prompt_tokens: AtomicU64::new(0),
            cached_tokens: AtomicU64::new(0),
            output_tokens: AtomicU64::new(0),
            completed: AtomicBool::new(false),
            chunks_sent: AtomicU64::new(0),
            tokens_sent: AtomicU64::new(0),
            left: AtomicBool::new(false),
            tokens_unseen: AtomicU64::new(0),
        });
        kept.calls.push_back(call.clone());
        kept.bodies_bytes += copy.len();
        kept.bodies.push_back((n, copy));
        if kept.calls.len() > self.calls_kept {
            kept.calls.pop_front();
        }
        while kept.bodies.len() > self.calls_kept || kept.bodies_bytes > self.bodies_bytes_max {
            let Some((_, body)) = kept.bodies.pop_front() else {
                break;
            };
            kept.bodies_bytes -= body.len();
        }
        call
    }

    /// Counts a call to a model with `fail_times` or `fail_percent`, from 1.
    pub(super) fn attempt(&self, model: &str) -> u64 {
        let mut kept = self.lock();
        let known = kept.attempts.len() < NAMES_MAX || kept.attempts.contains_key(model);
        let name = if known { model } else { OTHER_NAMES };
        let count = kept.attempts.entry(name.to_owned()).or_insert(0);
        *count += 1;
        *count
    }

    pub(super) fn stats(&self, cache_entries: usize) -> SimStats {
        let kept = self.lock();
        let calls: Vec<Arc<Call>> = kept.calls.iter().cloned().collect();
        let (total, by_model) = (kept.total, kept.by_model.clone());
        drop(kept);
        let calls = calls.iter().map(|call| call.record()).collect();
        SimStats {
            total,
            by_model,
            cache_entries,
            calls,
        }
    }

    pub(super) fn body(&self, n: u64) -> Option<Bytes> {
        let kept = self.lock();
        let found = kept.bodies.iter().find(|(number, _)| *number == n);
        found.map(|(_, body)| body.clone())
    }

    pub(super) fn reset(&self) {
        *self.lock() = Kept::default();
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Headers as lines, for the record.
pub(super) fn header_lines(headers: &HeaderMap) -> String {
    let mut lines = String::with_capacity(256);
    for (name, value) in headers {
        let _ = writeln!(
            lines,
            "{name}: {}",
            String::from_utf8_lossy(value.as_bytes())
        );
    }
    lines
}
