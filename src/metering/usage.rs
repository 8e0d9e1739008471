use crate::money::Pusd;
use serde::{Deserialize, Serialize};

/// What a call used, in tokens; the classes are disjoint and each has a rate of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Usage {
    /// Prompt tokens that no cache was involved in.
    pub uncached: u64,
    /// Prompt tokens read from a cache.
    pub cache_read: u64,
    /// Prompt tokens written to a cache for the short time (Anthropic 5 minutes, OpenAI 30).
    pub cache_write_5m: u64,
    /// Prompt tokens written to a cache for the long time (Anthropic 1 hour, OpenAI 12).
    pub cache_write_1h: u64,
    /// Visible output tokens, without reasoning.
    pub output: u64,
    /// Output tokens spent on reasoning, where the provider tells them apart.
    pub reasoning: u64,
}

impl Usage {
    /// All prompt tokens; `None` when the sum does not fit.
    pub fn prompt_total(&self) -> Option<u64> {
        self.uncached
            .checked_add(self.cache_read)?
            .checked_add(self.cache_write_5m)?
            .checked_add(self.cache_write_1h)
    }

    /// All output tokens with reasoning; `None` when the sum does not fit.
    pub fn output_total(&self) -> Option<u64> {
        self.output.checked_add(self.reasoning)
    }
}

/// Why the provider's counts cannot be billed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum UsageFault {
    /// No usage was reported, or the prompt or output count is absent from it.
    #[error("the provider reported no usage")]
    Missing,
    /// A count is below zero.
    #[error("a usage count is negative")]
    Negative,
    /// A count has a fraction or exponent, or is not a number.
    #[error("a usage count is not an integer")]
    NotInteger,
    /// A count is above 10⁹ tokens.
    #[error("a usage count is absurdly large")]
    Absurd,
    /// Counts exclude each other, such as more cached than prompt tokens.
    #[error("usage counts contradict each other")]
    Contradictory,
    /// Every count is zero, although a prompt was sent.
    #[error("every usage count is zero")]
    AllZero,
    /// The usage is not a JSON object that can be read (a key twice, too deep, too large).
    #[error("the usage object is unreadable")]
    Unreadable,
}

/// What was odd about a reading that stands nevertheless.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UsageFlag {
    /// More cached than prompt tokens (xAI); cached was clamped to the prompt.
    CachedExceedsPrompt,
    /// More reasoning than completion tokens; reasoning was clamped to the completion.
    ReasoningExceedsCompletion,
    /// The total proved that reasoning lies where the dialect usually does not put it.
    ReasoningPlacedByTotal,
    /// Output that only the total shows was counted as reasoning.
    ReasoningFromTotal,
    /// The absent output count was computed as total minus prompt.
    CompletionFromTotal,
    /// Cache writes without a TTL were counted as the short class.
    CacheWriteTtlUnknown,
    /// Two spellings of one count disagreed; the larger was taken.
    SpellingsDisagree,
    /// The reported total is not the sum of its parts.
    TotalMismatch,
    /// A later event reported a smaller count; the larger was kept.
    CountDecreased,
    /// The stream ended before the provider said so: the output may be higher than counted.
    Unfinished,
    /// Text was delivered while the output count is zero.
    TextWithoutOutput,
    /// The reported cost was finer than 10⁻¹² USD and was rounded up.
    CostRounded,
    /// The reported cost is not a non-negative number, or is a fee without what it is on top of, and was
    /// ignored.
    CostUnreadable,
    /// The body or an event is not a JSON object, and was ignored.
    Malformed,
    /// An event was longer than the scanner's bound; its bytes count as text.
    OversizedEvent,
}

/// Everything read from one answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// The normal form of the counts, or why there is none.
    pub usage: Result<Usage, UsageFault>,
    /// The provider's usage object as exact JSON text; where several differed, their merger.
    pub raw_usage: Option<String>,
    /// The receipt in it, as exact JSON text, of a provider that gives one.
    pub receipt: Option<String>,
    /// The model that says it answered.
    pub model: Option<String>,
    /// What was odd, sorted, each once.
    pub flags: Vec<UsageFlag>,
    /// Bytes of visible, reasoning and tool-call text that were delivered.
    pub text_bytes: u64,
    /// Events that carried such text; 1 for a whole answer with text.
    pub content_chunks: u64,
    /// The provider's word for why the answer ended.
    pub finish_reason: Option<String>,
    /// Whether the answer carries an error object.
    pub error: bool,
    /// What the provider says the call cost, where it says so.
    pub upstream_cost: Option<Pusd>,
}
