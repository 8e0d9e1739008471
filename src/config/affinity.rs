use crate::metering::Dialect;
use std::str::FromStr;
use std::time::Duration;

/// The way an upstream is told which conversation a call belongs to, so that it meets its cache again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Affinity {
    /// It is not told.
    None,
    /// By this member of the body.
    Member(&'static str),
    /// By this header.
    Header(&'static str),
}

/// All of them, by their names in the configuration.
const NAMED: [(&str, Affinity); 5] = [
    ("none", Affinity::None),
    ("session_id", Affinity::Member("session_id")),
    ("prompt_cache_key", Affinity::Member("prompt_cache_key")),
    ("x-grok-conv-id", Affinity::Header("x-grok-conv-id")),
    ("x-session-affinity", Affinity::Header("x-session-affinity")),
];

impl Affinity {
    /// The provider's own way: a member where it documents one, else a header that does no harm.
    pub(super) fn of(dialect: Dialect, base_url: &str) -> Self {
        match dialect {
            Dialect::OpenRouter => Self::Member("session_id"),
            Dialect::Mistral | Dialect::DeepInfra | Dialect::Fireworks => {
                Self::Member("prompt_cache_key")
            }
            // Other servers of its shape may refuse a member that they do not know.
            Dialect::OpenAi if base_url.contains("openai.com") => Self::Member("prompt_cache_key"),
            Dialect::Xai => Self::Header("x-grok-conv-id"),
            _ => Self::Header("x-session-affinity"),
        }
    }
}

impl FromStr for Affinity {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let named = NAMED.iter().find(|(name, _)| *name == text);
        named.map(|(_, affinity)| *affinity).ok_or(())
    }
}

/// How long a provider's cache remembers a prompt at the longest, as far as it is documented.
pub(super) fn cache_ttl(dialect: Dialect) -> Duration {
    let minutes = match dialect {
        Dialect::Alibaba => 5,
        Dialect::Groq => 120,
        Dialect::DeepSeek => 24 * 60,
        _ => 60,
    };
    Duration::from_secs(minutes * 60)
}
