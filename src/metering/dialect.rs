use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The way a provider reports usage. On the wire and in configuration: its lower-case name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dialect {
    /// OpenAI: Chat Completions, Completions, Responses, Embeddings.
    OpenAi,
    /// Anthropic Messages.
    Anthropic,
    /// DeepSeek's own API.
    DeepSeek,
    /// Google Gemini: native, Interactions, and its OpenAI-compatible API.
    Gemini,
    /// xAI: Chat Completions and Responses.
    Xai,
    /// Moonshot (Kimi).
    Moonshot,
    /// Z.ai (GLM).
    Zai,
    /// MiniMax, in OpenAI or Anthropic style.
    MiniMax,
    /// Alibaba Model Studio (Qwen).
    Alibaba,
    /// Groq.
    Groq,
    /// Together.
    Together,
    /// Fireworks.
    Fireworks,
    /// DeepInfra.
    DeepInfra,
    /// Mistral.
    Mistral,
    /// OpenRouter: chat, messages and responses.
    OpenRouter,
}

impl Dialect {
    /// Every dialect.
    pub const ALL: [Self; 15] = [
        Self::OpenAi,
        Self::Anthropic,
        Self::DeepSeek,
        Self::Gemini,
        Self::Xai,
        Self::Moonshot,
        Self::Zai,
        Self::MiniMax,
        Self::Alibaba,
        Self::Groq,
        Self::Together,
        Self::Fireworks,
        Self::DeepInfra,
        Self::Mistral,
        Self::OpenRouter,
    ];

    /// The name that stands in configuration and receipts.
    pub const fn name(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Anthropic => "anthropic",
            Self::DeepSeek => "deepseek",
            Self::Gemini => "gemini",
            Self::Xai => "xai",
            Self::Moonshot => "moonshot",
            Self::Zai => "zai",
            Self::MiniMax => "minimax",
            Self::Alibaba => "alibaba",
            Self::Groq => "groq",
            Self::Together => "together",
            Self::Fireworks => "fireworks",
            Self::DeepInfra => "deepinfra",
            Self::Mistral => "mistral",
            Self::OpenRouter => "openrouter",
        }
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that is no dialect's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a known dialect")]
pub struct UnknownDialect(pub String);

impl FromStr for Dialect {
    type Err = UnknownDialect;

    /// Reads exactly the name that `Display` writes.
    fn from_str(text: &str) -> Result<Self, UnknownDialect> {
        Self::ALL
            .into_iter()
            .find(|d| d.name() == text)
            .ok_or_else(|| UnknownDialect(text.to_owned()))
    }
}
