use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

/// Longer text is bounded by its bytes instead: tokenizing takes up to 0.7 µs a byte, and what a
/// stranger sends before paying must not buy more than a moment of CPU.
pub const TOKENIZED_BYTES_MAX: u64 = 64 << 10;

/// How an endpoint's prompt tokens are bounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tokenizer {
    /// One token a byte: holds for every byte-level tokenizer, and is about four times too much.
    Bytes,
    /// OpenAI's vocabulary since GPT-4o.
    #[serde(rename = "o200k_base")]
    O200kBase,
    /// OpenAI's vocabulary of GPT-4 and GPT-3.5.
    #[serde(rename = "cl100k_base")]
    Cl100kBase,
}

/// The text names no [`Tokenizer`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not one of \"bytes\", \"o200k_base\", \"cl100k_base\"")]
pub struct UnknownTokenizer(pub String);

impl FromStr for Tokenizer {
    type Err = UnknownTokenizer;

    /// Fails when the name is none of the three.
    fn from_str(name: &str) -> Result<Self, UnknownTokenizer> {
        match name {
            "bytes" => Ok(Self::Bytes),
            "o200k_base" => Ok(Self::O200kBase),
            "cl100k_base" => Ok(Self::Cl100kBase),
            _ => Err(UnknownTokenizer(name.to_owned())),
        }
    }
}

impl fmt::Display for Tokenizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bytes => "bytes",
            Self::O200kBase => "o200k_base",
            Self::Cl100kBase => "cl100k_base",
        })
    }
}

/// How many tokens `text` is; text above [`TOKENIZED_BYTES_MAX`] counts a token a byte.
pub fn count_tokens(tokenizer: Tokenizer, text: &str) -> u64 {
    let length = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
    let bytes = length(text.len());
    let vocabulary = match tokenizer {
        _ if bytes > TOKENIZED_BYTES_MAX => return bytes,
        Tokenizer::Bytes => return bytes,
        Tokenizer::O200kBase => tiktoken_rs::o200k_base_singleton(),
        Tokenizer::Cl100kBase => tiktoken_rs::cl100k_base_singleton(),
    };
    length(vocabulary.encode_ordinary(text).len())
}

/// Tokens of JSON text however a chat template may print it again: every string is counted by the
/// tokenizer, numbers and words by their bytes, and each structural character as
/// three tokens for quotes, line breaks and indentation.
///
/// It reads the bytes rather than a parsed tree, so that a repeated key cannot hide text.
pub(super) fn count_json_tokens(tokenizer: Tokenizer, json: &str) -> u64 {
    let mut tokens = 0u64;
    let mut rest = json;
    while let Some(c) = rest.chars().next() {
        let (cost, length) = match c {
            '"' => {
                let length = string_length(rest);
                let text = rest.get(..length).unwrap_or(rest);
                // A lone surrogate is no text that could be tokenized: its bytes stand for it.
                let cost = match serde_json::from_str::<Cow<'_, str>>(text) {
                    Ok(text) => count_tokens(tokenizer, &text),
                    Err(_) => u64::try_from(length).unwrap_or(u64::MAX),
                };
                (cost, length)
            }
            '{' | '}' | '[' | ']' | ',' | ':' => (TOKENS_PER_MARK, 1),
            ' ' | '\t' | '\r' | '\n' => (0, 1),
            _ => (
                u64::try_from(c.len_utf8()).unwrap_or(u64::MAX),
                c.len_utf8(),
            ),
        };
        tokens = tokens.saturating_add(cost);
        rest = rest.get(length..).unwrap_or_default();
    }
    tokens
}

/// What one of `{ } [ ] , :` may become when a template prints JSON with indentation.
const TOKENS_PER_MARK: u64 = 3;

/// The length of the JSON string that `text` starts with, both quotes included.
fn string_length(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at.saturating_add(1),
            _ => {}
        }
    }
    text.len()
}
