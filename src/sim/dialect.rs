use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Whose spelling of usage the simulator speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "each variant is the provider's name")]
pub enum Dialect {
    #[default]
    OpenAi,
    Anthropic,
    DeepSeek,
    Gemini,
    Xai,
    Moonshot,
    Zai,
    MiniMax,
    Alibaba,
    Groq,
    Together,
    Fireworks,
    DeepInfra,
    Mistral,
    OpenRouter,
}

/// Where a dialect's streamed chat completion carries its usage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StreamUsage {
    /// A last chunk with `choices: []`, only when `stream_options.include_usage` asks.
    OnRequest,
    /// A last chunk with `choices: []`, asked or not.
    Always,
    /// Beside the finish reason, asked or not.
    InFinish,
    /// `choices[0].usage` beside the finish reason; a last chunk too when asked.
    InChoice,
    /// `x_groq.usage` beside the finish reason; a last chunk too when asked.
    InXGroq,
    /// Growing in every chunk, when asked.
    EveryChunk,
}

impl Dialect {
    /// All dialects, in the order of the documentation.
    pub const ALL: [Dialect; 15] = [
        Dialect::OpenAi,
        Dialect::Anthropic,
        Dialect::DeepSeek,
        Dialect::Gemini,
        Dialect::Xai,
        Dialect::Moonshot,
        Dialect::Zai,
        Dialect::MiniMax,
        Dialect::Alibaba,
        Dialect::Groq,
        Dialect::Together,
        Dialect::Fireworks,
        Dialect::DeepInfra,
        Dialect::Mistral,
        Dialect::OpenRouter,
    ];

    /// The dialect's name in configuration and model names.
    pub fn name(self) -> &'static str {
        match self {
            Dialect::OpenAi => "openai",
            Dialect::Anthropic => "anthropic",
            Dialect::DeepSeek => "deepseek",
            Dialect::Gemini => "gemini",
            Dialect::Xai => "xai",
            Dialect::Moonshot => "moonshot",
            Dialect::Zai => "zai",
            Dialect::MiniMax => "minimax",
            Dialect::Alibaba => "alibaba",
            Dialect::Groq => "groq",
            Dialect::Together => "together",
            Dialect::Fireworks => "fireworks",
            Dialect::DeepInfra => "deepinfra",
            Dialect::Mistral => "mistral",
            Dialect::OpenRouter => "openrouter",
        }
    }

    pub(super) fn stream_usage(self) -> StreamUsage {
        use Dialect as D;
        match self {
            D::OpenAi | D::Anthropic | D::Alibaba => StreamUsage::OnRequest,
            D::Xai | D::DeepInfra | D::OpenRouter => StreamUsage::Always,
            D::DeepSeek | D::Zai | D::MiniMax | D::Together | D::Fireworks | D::Mistral => {
                StreamUsage::InFinish
            }
            D::Moonshot => StreamUsage::InChoice,
            D::Groq => StreamUsage::InXGroq,
            D::Gemini => StreamUsage::EveryChunk,
        }
    }

    /// The member that carries reasoning text in chat completions; `None` where it stays hidden.
    pub(super) fn reasoning_member(self) -> Option<&'static str> {
        use Dialect as D;
        match self {
            D::OpenAi | D::Anthropic | D::Gemini | D::Mistral => None,
            D::OpenRouter | D::Groq | D::Together => Some("reasoning"),
            _ => Some("reasoning_content"),
        }
    }

    /// Whether `cache_control` breakpoints are obeyed in chat completions.
    pub(super) fn obeys_breakpoints(self) -> bool {
        matches!(
            self,
            Dialect::Anthropic | Dialect::Alibaba | Dialect::OpenRouter
        )
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Dialect {
    type Err = UnknownDialect;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let found = Dialect::ALL
            .into_iter()
            .find(|dialect| dialect.name() == name);
        found.ok_or_else(|| UnknownDialect(name.to_owned()))
    }
}

/// The name is none of the simulator's dialects.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no dialect is named {0:?}")]
pub struct UnknownDialect(pub String);
