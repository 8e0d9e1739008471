use std::collections::BTreeMap;
use std::fmt;
use std::num::{NonZeroU32, NonZeroUsize};

use serde::{Deserialize, Serialize};

use super::dialect::Dialect;

/// What the simulator serves and how; every field has a default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SimConfig {
    /// The API key that calls must present (Bearer or `x-api-key`); without it any is taken.
    pub key: Option<SimKey>,
    /// Tokens in a block of the prefix cache.
    pub block_tokens: NonZeroU32,
    /// Seconds a cached prefix lives after its last use (the "5 minute" tier).
    pub cache_ttl_s: u64,
    /// Seconds a prefix lives whose `cache_control` says `"ttl": "1h"`.
    pub cache_long_ttl_s: u64,
    /// Prefixes shorter than this many tokens are neither read nor written.
    pub cache_min_tokens: u64,
    /// Blocks kept in the cache; the least recently used go first.
    pub cache_blocks_max: NonZeroUsize,
    /// Bytes a request body may have before it is answered with 413.
    pub body_bytes_max: usize,
    /// Calls remembered for `GET /sim/calls`; the oldest are forgotten first.
    pub calls_kept: NonZeroUsize,
    /// Bytes of request bodies remembered together for `GET /sim/body/{n}`.
    pub bodies_bytes_max: usize,
    /// Serve names that are neither configured nor begin with `sim/`.
    pub any_model: bool,
    /// Behaviour by model name.
    pub model: BTreeMap<String, Behaviour>,
    /// What OpenRouter's catalogue says, by `author/slug`: the `data` of its endpoints' answer.
    pub catalogue: BTreeMap<String, serde_json::Value>,
}

impl Default for SimConfig {
    fn default() -> Self {
        SimConfig {
            key: None,
            block_tokens: NonZeroU32::MIN.saturating_add(63),
            cache_ttl_s: 300,
            cache_long_ttl_s: 3600,
            cache_min_tokens: 0,
            cache_blocks_max: NonZeroUsize::MIN.saturating_add((1 << 18) - 1),
            body_bytes_max: 32 << 20,
            calls_kept: NonZeroUsize::MIN.saturating_add(4095),
            bodies_bytes_max: 256 << 20,
            any_model: false,
            model: BTreeMap::new(),
            catalogue: BTreeMap::new(),
        }
    }
}

/// How one model answers; also what the options after `?` in a model's name set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Behaviour {
    /// Whose usage fields and stream quirks are played.
    pub dialect: Dialect,
    /// Milliseconds before the response head.
    pub delay_headers_ms: u64,
    /// Milliseconds between the head and the first token (whole answers: before the head).
    pub delay_first_token_ms: u64,
    /// Output speed; 0 is as fast as possible.
    pub tokens_per_second: u64,
    /// Visible tokens the model would like to write; without it 32.
    pub output_tokens: Option<u64>,
    /// Reasoning tokens written before the visible ones.
    pub reasoning_tokens: u64,
    /// Tokens in one streamed chunk.
    pub tokens_per_chunk: NonZeroUsize,
    /// Answer with the last user message.
    pub echo: bool,
    /// Call the first tool there is, unless the prompt ends with a tool's result.
    pub tool_call: bool,

    /// Answer with this HTTP status instead.
    pub fail_status: Option<u16>,
    /// Seconds in the `Retry-After` header of a failure.
    pub retry_after: Option<u64>,
    /// Only the first so many calls meet this model's faults; 0 is all of them.
    pub fail_times: u64,
    /// How many calls in a hundred meet this model's faults, spread as by chance but the same each time;
    /// 0 is all of them.
    pub fail_percent: u64,
    /// Answer 402 as a provider whose account ran dry, with payment headers that nobody may relay.
    pub status_402: bool,
    /// Never answer.
    pub hang_before_headers: bool,
    /// Close the socket without a response.
    pub die_before_headers: bool,
    /// Drop the connection after so many content chunks (whole answers: half-way in the body).
    pub cut_after_chunks: Option<u64>,
    /// End the stream with an error event after so many content chunks.
    pub error_event_after_chunks: Option<u64>,
    /// Milliseconds before each piece of the body.
    pub slow_body_ms_per_chunk: u64,
    /// Go on generating, and billing, when a stream's client has left.
    pub bills_on: bool,
    /// Send cookies, credentials and payment headers that a proxy must strip.
    pub set_cookie: bool,

    /// Report no usage at all.
    pub no_usage: bool,
    /// Report the usage two times (whole answers: a duplicate member).
    pub usage_twice: bool,
    /// Report the growing usage in every chunk.
    pub usage_every_chunk: bool,
    /// Report counts below zero.
    pub negative_usage: bool,
    /// Report counts of 10^15 tokens.
    pub absurd_usage: bool,
    /// Report more cached tokens than prompt tokens.
    pub contradictory_usage: bool,

    /// When prefixes are cached.
    pub cache: CacheMode,
    /// Cache only calls that carry a `prompt_cache_key`, as Mistral does.
    pub needs_cache_key: bool,
    /// Report implicit cache writes as `cache_write_tokens`, as OpenAI does from GPT-5.6 on.
    pub report_cache_writes: bool,
    /// Where the cached tokens stand in the usage object; without it the dialect's own place.
    pub cached_spelling: Option<CachedSpelling>,

    /// How the cost is told, by the dialects that tell one.
    pub cost: CostTold,
    /// Price of an uncached prompt token in 10^-12 USD, for dialects that report their cost.
    pub prompt_price: u64,
    /// Price of a cached prompt token in 10^-12 USD.
    pub cached_price: u64,
    /// Price of an output token in 10^-12 USD.
    pub output_price: u64,
}

impl Default for Behaviour {
    fn default() -> Self {
        Behaviour {
            dialect: Dialect::OpenAi,
            delay_headers_ms: 0,
            delay_first_token_ms: 0,
            tokens_per_second: 0,
            output_tokens: None,
            reasoning_tokens: 0,
            tokens_per_chunk: NonZeroUsize::MIN,
            echo: false,
            tool_call: false,
            fail_status: None,
            retry_after: None,
            fail_times: 0,
            fail_percent: 0,
            status_402: false,
            hang_before_headers: false,
            die_before_headers: false,
            cut_after_chunks: None,
            error_event_after_chunks: None,
            slow_body_ms_per_chunk: 0,
            bills_on: false,
            set_cookie: false,
            no_usage: false,
            usage_twice: false,
            usage_every_chunk: false,
            negative_usage: false,
            absurd_usage: false,
            contradictory_usage: false,
            cache: CacheMode::Auto,
            needs_cache_key: false,
            report_cache_writes: false,
            cached_spelling: None,
            cost: CostTold::Plain,
            prompt_price: 250_000,
            cached_price: 25_000,
            output_price: 2_000_000,
        }
    }
}

impl Behaviour {
    /// The same model once its `fail_times` are used up.
    pub(super) fn healed(&self) -> Behaviour {
        Behaviour {
            fail_status: None,
            status_402: false,
            hang_before_headers: false,
            die_before_headers: false,
            cut_after_chunks: None,
            error_event_after_chunks: None,
            ..self.clone()
        }
    }
}

/// When a model caches prefixes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CacheMode {
    /// As the dialect does: by breakpoints where it knows them, else by itself (Anthropic: never).
    #[default]
    Auto,
    /// Every prompt, block by block.
    Implicit,
    /// Only up to `cache_control` breakpoints.
    Explicit,
    /// Never.
    Off,
}

/// How the dialects that tell what a call cost do it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CostTold {
    /// A decimal number, and right.
    #[default]
    Plain,
    /// Right, as a number with an exponent (`4.2e-05`).
    Exponent,
    /// Not at all.
    Missing,
    /// `null`.
    Null,
    /// As text.
    Text,
    /// Below zero.
    Negative,
    /// Nothing.
    Zero,
    /// A thousand times too much.
    Absurd,
    /// Half as much again as the prices say.
    Dear,
    /// A twentieth of it as the fee for the account's own key, and all of it as the provider's price.
    Byok,
    /// The fee alone.
    Fee,
}

/// Where the number of cached tokens stands in an OpenAI-shaped usage object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CachedSpelling {
    /// `prompt_tokens_details.cached_tokens`.
    Details,
    /// `cached_tokens`.
    Top,
    /// `num_cached_tokens`.
    Num,
    /// `prompt_token_details.cached_tokens`, the singular some Mistral models send.
    Singular,
    /// Nowhere.
    None,
}

/// An API key, which `Debug` does not print.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SimKey(String);

impl SimKey {
    pub(super) fn is(&self, presented: &str) -> bool {
        self.0 == presented
    }
}

impl From<String> for SimKey {
    fn from(key: String) -> Self {
        SimKey(key)
    }
}

impl fmt::Debug for SimKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SimKey(…)")
    }
}
