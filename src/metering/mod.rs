//! Reads what a call used out of the provider's own bytes, whole or streamed, in that provider's
//! dialect, into one normal form: the disjoint counts of [`Usage`].
//!
//! The dialects are data (`spec.rs`), not code. What differs between them:
//!
//! | dialect | usage lies at | prompt count holds cached and written | cached | written | reasoning | money |
//! |---|---|---|---|---|---|---|
//! | `openai` | `usage`, `response.usage` | yes | `…details.cached_tokens` | `cache_write_tokens` (30 min → 5m, 12 h → 1h) | inside completion | – |
//! | `anthropic` | `usage`, `message.usage` | **no** | `cache_read_input_tokens` | `cache_creation` by TTL | inside output | – |
//! | `deepseek` | `usage` | yes; hit + miss = prompt | `prompt_cache_hit_tokens`, details | – | inside | – |
//! | `gemini` | `usageMetadata`, `usage`, `interaction.usage` | yes; tool-use prompt comes on top | `cachedContentTokenCount`, … | – | **outside** (`thoughtsTokenCount`; compat: total − prompt − completion) | – |
//! | `xai` | `usage`, `response.usage` | yes, but cached may exceed it: clamped, flagged | details | – | **outside** | `cost_in_usd_ticks` |
//! | `moonshot` | `usage`, `choices[0].usage` | yes | top-level `cached_tokens`, details | details | inside | – |
//! | `zai` | `usage` | yes | details | – | inside | – |
//! | `minimax` | `usage`, `message.usage` | OpenAI style yes, Anthropic style **no** | either style | either style | inside | – |
//! | `alibaba` | `usage` | yes | details | `cache_creation_input_tokens` (5 min) | inside | – |
//! | `groq` | `usage`, `x_groq.usage` | yes | details | – | inside | – |
//! | `together` | `usage` | yes | top-level `cached_tokens`, details | – | inside | – |
//! | `fireworks` | `usage` | yes | details | – | inside | – |
//! | `deepinfra` | `usage` | yes | details | details | inside; what only the total shows is added | – |
//! | `mistral` | `usage` | yes | details, singular details, `num_cached_tokens` | – | inside | – |
//! | `openrouter` | `usage`, `message.usage`, `response.usage` | chat and responses yes, messages **no** | each style | each style | inside | `cost` (with `is_byok`: plus the upstream cost) |
//!
//! Rules for all of them:
//! - `null` is absent, unknown members are ignored, a required count that is absent is a
//!   [`UsageFault`], never zero. A count is a plain JSON integer from 0 to 10⁹.
//! - Spellings of one count that disagree: the largest is taken, and flagged.
//! - Whether reasoning lies inside the completion count is the dialect's convention, unless the
//!   reported total proves the other (`prompt + completion + reasoning = total`, or without it).
//! - Streams: usage may come in any event and any number of times. Counts are cumulative, so each
//!   field's largest value stands (which also keeps Anthropic's TTL split of `message_start`).
//! - xAI's cached count above its prompt count is clamped to it: no token is billed twice.
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

mod collect;
mod cost;
mod dialect;
mod members;
mod normal;
mod route;
mod spec;
mod sse;
mod stream;
mod text;
mod tree;
mod usage;

pub use dialect::{Dialect, UnknownDialect};
pub use members::with_usage_members;
pub use route::{Route, UnknownRoute};
pub use sse::{SseEvent, SseScanner};
pub use stream::{Seen, StreamMeter};
pub use usage::{Reading, Usage, UsageFault, UsageFlag};

use crate::json::{Limits, Object};
use collect::Collector;

/// Reads the usage of a call whose whole answer is `body`.
pub fn meter_whole(dialect: Dialect, body: &[u8]) -> Reading {
    let mut collector = Collector::new(dialect);
    match Object::parse(body, &Limits::default()) {
        Ok(object) => {
            collector.take(&object);
        }
        Err(_) => collector.flag(UsageFlag::Malformed),
    }
    collector.reading()
}

#[cfg(test)]
mod tests;
