use super::Dialect;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A route that is paid for: the API that its requests, answers and errors speak. In configuration and
/// on the wire: its name.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Route {
    /// OpenAI's Chat Completions.
    #[default]
    Chat,
    /// OpenAI's Completions, the older form with one prompt.
    Completions,
    /// OpenAI's Embeddings.
    Embeddings,
    /// OpenAI's Responses.
    Responses,
    /// Anthropic's Messages.
    Messages,
}

impl Route {
    /// Every route.
    pub const ALL: [Self; 5] = [
        Self::Chat,
        Self::Completions,
        Self::Embeddings,
        Self::Responses,
        Self::Messages,
    ];

    /// The name that stands in configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Completions => "completions",
            Self::Embeddings => "embeddings",
            Self::Responses => "responses",
            Self::Messages => "messages",
        }
    }

    /// The path it is served at.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Chat => "/v1/chat/completions",
            Self::Completions => "/v1/completions",
            Self::Embeddings => "/v1/embeddings",
            Self::Responses => "/v1/responses",
            Self::Messages => "/v1/messages",
        }
    }

    /// What a call of it is called in an offer.
    pub const fn call(self) -> &'static str {
        match self {
            Self::Chat => "chat completion",
            Self::Completions => "completion",
            Self::Embeddings => "embedding",
            Self::Responses => "response",
            Self::Messages => "message",
        }
    }

    /// The member that limits the output of a request; `None` where there is no output.
    pub const fn output_limit(self) -> Option<&'static str> {
        match self {
            Self::Chat | Self::Completions | Self::Messages => Some("max_tokens"),
            Self::Responses => Some("max_output_tokens"),
            Self::Embeddings => None,
        }
    }

    /// Whether a stream tells its usage only when `stream_options` ask for it.
    pub const fn asks_for_usage(self) -> bool {
        matches!(self, Self::Chat | Self::Completions)
    }

    /// The table by which answers on this route are read, of a provider with this dialect: the APIs that
    /// a provider copied report usage as their inventor does, unless the provider's own table says how.
    pub const fn dialect(self, of: Dialect) -> Dialect {
        match (self, of) {
            (Self::Messages, Dialect::MiniMax | Dialect::OpenRouter) => of,
            (Self::Messages, _) => Dialect::Anthropic,
            (Self::Responses, Dialect::Xai | Dialect::OpenRouter) => of,
            (Self::Responses, _) | (_, Dialect::Anthropic) => Dialect::OpenAi,
            (Self::Chat | Self::Completions | Self::Embeddings, _) => of,
        }
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that is no route's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a known route")]
pub struct UnknownRoute(pub String);

impl FromStr for Route {
    type Err = UnknownRoute;

    /// Reads exactly the name that `Display` writes.
    fn from_str(text: &str) -> Result<Self, UnknownRoute> {
        Self::ALL
            .into_iter()
            .find(|route| route.name() == text)
            .ok_or_else(|| UnknownRoute(text.to_owned()))
    }
}
