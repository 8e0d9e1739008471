use super::Dialect;

/// A dotted path of member names; `0` is an array's first element.
pub(super) type Path = &'static str;

/// Where a dialect's usage lies and what styles it comes in.
#[derive(Debug)]
pub(super) struct Spec {
    /// Where the usage object may lie in a body or event, first found first taken.
    pub(super) usage_at: &'static [Path],
    /// The styles, first match first taken; without a match the last one's.
    pub(super) shapes: &'static [Shape],
    /// How the provider reports its own price of the call.
    pub(super) cost: Cost,
}

/// How a provider reports money.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cost {
    /// Not at all.
    None,
    /// OpenRouter: decimal USD in `cost`.
    OpenRouterUsd,
    /// xAI: `cost_in_usd_ticks` of 10⁻¹⁰ USD.
    XaiTicks,
}

impl Dialect {
    /// Whether a provider of this dialect may say what a call cost.
    pub fn reports_cost(self) -> bool {
        spec(self).cost != Cost::None
    }
}

/// One style of usage object: paths of its counts (several paths are spellings of one count).
#[derive(Debug)]
pub(super) struct Shape {
    /// The style is recognised by any of these members.
    pub(super) marks: &'static [Path],
    pub(super) prompt: &'static [Path],
    /// Whether `prompt` includes cached and written tokens.
    pub(super) prompt_inclusive: bool,
    /// Prompt tokens reported beside `prompt`, never cached.
    pub(super) prompt_extra: &'static [Path],
    pub(super) cache_read: &'static [Path],
    /// Prompt tokens that missed the cache: with `cache_read` they must make up `prompt`.
    pub(super) cache_miss: &'static [Path],
    pub(super) write_total: &'static [Path],
    pub(super) write_5m: &'static [Path],
    pub(super) write_1h: &'static [Path],
    /// Whether writes have one TTL only, so that no split is missing.
    pub(super) one_ttl: bool,
    pub(super) completion: &'static [Path],
    pub(super) reasoning: &'static [Path],
    /// Whether `completion` includes `reasoning`, as long as the total does not prove otherwise.
    pub(super) reasoning_inside: bool,
    pub(super) total: &'static [Path],
    /// Whether tokens that only the total shows are output.
    pub(super) hidden_output: bool,
    /// Whether cached above prompt is clamped instead of refused.
    pub(super) clamp_cached: bool,
}

const DETAILS_READ: Path = "prompt_tokens_details.cached_tokens";

/// OpenAI's Chat Completions, which most others follow.
const CHAT: Shape = Shape {
    marks: &["prompt_tokens", "completion_tokens"],
    prompt: &["prompt_tokens"],
    prompt_inclusive: true,
    prompt_extra: &[],
    cache_read: &[DETAILS_READ],
    cache_miss: &[],
    write_total: &[
        "prompt_tokens_details.cache_write_tokens",
        "prompt_tokens_details.cache_creation_input_tokens",
    ],
    write_5m: &[
        "prompt_tokens_details.cache_write_tokens_details.ttl_30m_tokens",
        "prompt_tokens_details.cache_creation.ephemeral_5m_input_tokens",
    ],
    write_1h: &[
        "prompt_tokens_details.cache_write_tokens_details.ttl_12h_tokens",
        "prompt_tokens_details.cache_creation.ephemeral_1h_input_tokens",
    ],
    one_ttl: false,
    completion: &["completion_tokens"],
    reasoning: &["completion_tokens_details.reasoning_tokens"],
    reasoning_inside: true,
    total: &["total_tokens"],
    hidden_output: false,
    clamp_cached: false,
};

/// OpenAI's Responses.
const RESPONSES: Shape = Shape {
    marks: &["input_tokens"],
    prompt: &["input_tokens"],
    cache_read: &["input_tokens_details.cached_tokens"],
    write_total: &["input_tokens_details.cache_write_tokens"],
    write_5m: &["input_tokens_details.cache_write_tokens_details.ttl_30m_tokens"],
    write_1h: &["input_tokens_details.cache_write_tokens_details.ttl_12h_tokens"],
    completion: &["output_tokens"],
    reasoning: &["output_tokens_details.reasoning_tokens"],
    ..CHAT
};

/// Anthropic's Messages.
const MESSAGES: Shape = Shape {
    marks: &[
        "cache_read_input_tokens",
        "cache_creation_input_tokens",
        "cache_creation.ephemeral_5m_input_tokens",
        "cache_creation.ephemeral_1h_input_tokens",
        "output_tokens_details.thinking_tokens",
    ],
    prompt: &["input_tokens"],
    prompt_inclusive: false,
    cache_read: &["cache_read_input_tokens"],
    write_total: &["cache_creation_input_tokens"],
    write_5m: &["cache_creation.ephemeral_5m_input_tokens"],
    write_1h: &["cache_creation.ephemeral_1h_input_tokens"],
    completion: &["output_tokens"],
    reasoning: &["output_tokens_details.thinking_tokens"],
    total: &[],
    ..CHAT
};

const GEMINI_NATIVE: Shape = Shape {
    marks: &["promptTokenCount", "totalTokenCount"],
    prompt: &["promptTokenCount"],
    prompt_extra: &["toolUsePromptTokenCount"],
    cache_read: &["cachedContentTokenCount"],
    write_total: &[],
    write_5m: &[],
    write_1h: &[],
    completion: &["candidatesTokenCount", "responseTokenCount"],
    reasoning: &["thoughtsTokenCount"],
    reasoning_inside: false,
    total: &["totalTokenCount"],
    hidden_output: true,
    ..CHAT
};

const GEMINI_INTERACTIONS: Shape = Shape {
    marks: &["total_input_tokens"],
    prompt: &["total_input_tokens"],
    prompt_extra: &["total_tool_use_tokens"],
    cache_read: &["total_cached_tokens"],
    completion: &["total_output_tokens"],
    reasoning: &["total_thought_tokens", "total_reasoning_tokens"],
    total: &["total_tokens"],
    ..GEMINI_NATIVE
};

const GEMINI_COMPAT: Shape = Shape {
    reasoning_inside: false,
    hidden_output: true,
    ..CHAT
};

const TOP_LEVEL_CACHED: Shape = Shape {
    cache_read: &["cached_tokens", DETAILS_READ],
    ..CHAT
};

const fn plain(usage_at: &'static [Path], shapes: &'static [Shape]) -> Spec {
    Spec {
        usage_at,
        shapes,
        cost: Cost::None,
    }
}

/// The table of dialects.
pub(super) const fn spec(dialect: Dialect) -> &'static Spec {
    const OPENAI: Spec = plain(&["usage", "response.usage"], &[CHAT, RESPONSES]);
    const ANTHROPIC: Spec = plain(&["usage", "message.usage"], &[MESSAGES]);
    const DEEPSEEK: Spec = plain(
        &["usage"],
        &[Shape {
            cache_read: &["prompt_cache_hit_tokens", DETAILS_READ],
            cache_miss: &["prompt_cache_miss_tokens"],
            ..CHAT
        }],
    );
    const GEMINI: Spec = plain(
        &["usageMetadata", "usage", "interaction.usage"],
        &[GEMINI_NATIVE, GEMINI_INTERACTIONS, GEMINI_COMPAT],
    );
    const XAI: Spec = Spec {
        usage_at: &["usage", "response.usage"],
        shapes: &[
            Shape {
                reasoning_inside: false,
                clamp_cached: true,
                ..CHAT
            },
            Shape {
                clamp_cached: true,
                ..RESPONSES
            },
        ],
        cost: Cost::XaiTicks,
    };
    const MOONSHOT: Spec = plain(&["usage", "choices.0.usage"], &[TOP_LEVEL_CACHED]);
    const CHAT_ONLY: Spec = plain(&["usage"], &[CHAT]);
    const MINIMAX: Spec = plain(&["usage", "message.usage"], &[CHAT, MESSAGES]);
    const ALIBABA: Spec = plain(
        &["usage"],
        &[Shape {
            one_ttl: true,
            ..CHAT
        }],
    );
    const GROQ: Spec = plain(&["usage", "x_groq.usage"], &[CHAT]);
    const TOGETHER: Spec = plain(&["usage"], &[TOP_LEVEL_CACHED]);
    const DEEPINFRA: Spec = plain(
        &["usage"],
        &[Shape {
            hidden_output: true,
            ..CHAT
        }],
    );
    const MISTRAL: Spec = plain(
        &["usage"],
        &[Shape {
            cache_read: &[
                DETAILS_READ,
                "prompt_token_details.cached_tokens",
                "num_cached_tokens",
            ],
            ..CHAT
        }],
    );
    const OPENROUTER: Spec = Spec {
        usage_at: &["usage", "message.usage", "response.usage"],
        shapes: &[CHAT, MESSAGES, RESPONSES],
        cost: Cost::OpenRouterUsd,
    };
    match dialect {
        Dialect::OpenAi => &OPENAI,
        Dialect::Anthropic => &ANTHROPIC,
        Dialect::DeepSeek => &DEEPSEEK,
        Dialect::Gemini => &GEMINI,
        Dialect::Xai => &XAI,
        Dialect::Moonshot => &MOONSHOT,
        Dialect::Zai | Dialect::Fireworks => &CHAT_ONLY,
        Dialect::MiniMax => &MINIMAX,
        Dialect::Alibaba => &ALIBABA,
        Dialect::Groq => &GROQ,
        Dialect::Together => &TOGETHER,
        Dialect::DeepInfra => &DEEPINFRA,
        Dialect::Mistral => &MISTRAL,
        Dialect::OpenRouter => &OPENROUTER,
    }
}
