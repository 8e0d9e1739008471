//! What a request asks for, as far as its price depends on it (the request bodies of OpenAI's Chat
//! Completions, Completions, Embeddings and Responses, and of Anthropic's Messages). What has no price
//! is refused by name.

mod content;
mod members;
mod messages;
mod prompts;
mod responses;

use super::tokens::count_json_tokens;
use super::{TOKENIZED_BYTES_MAX, Tokenizer};
use crate::json::Object;
use crate::metering::Route;
use members::{count, present, text};
use serde::Deserialize;

/// The most answers (`n`) that one call may ask for.
pub const CHOICES_MAX: u64 = 16;

/// The parts of a request that its price depends on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestShape {
    /// `model`, as the caller wrote it.
    pub model: String,
    /// The length of the whole body in bytes.
    pub bytes: u64,
    /// How many messages, items or prompts there are.
    pub messages: u64,
    /// How many tools (and legacy functions) there are.
    pub tools: u64,
    /// The length of `tools` and `functions` in bytes.
    pub tools_bytes: u64,
    /// The output limit per choice; of `max_tokens` and `max_completion_tokens` the larger, as upstreams
    /// differ in which of the two they obey. Of embeddings, 0.
    pub max_tokens: Option<u64>,
    /// `n`, or 1, for each prompt.
    pub choices: u64,
    /// `stream`.
    pub stream: bool,
    /// `stream_options.include_usage`.
    pub include_usage: bool,
    o200k_tokens: Option<u64>,
    cl100k_tokens: Option<u64>,
}

/// Why a request cannot be priced; goes into an OpenAI-shaped error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{param}: {message}")]
pub struct ShapeRefusal {
    /// The JSON member at fault, such as `messages[2].content[0].type`.
    pub param: String,
    /// What is wrong with it, on one line.
    pub message: String,
    /// What kind of refusal it is.
    pub kind: RefusalKind,
}

/// Whether a [`ShapeRefusal`] is the caller's mistake or a thing that is not sold here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalKind {
    /// The request is not of the form the API asks for.
    Invalid,
    /// The request is well formed, but part of it has no price.
    Unpriced,
}

impl ShapeRefusal {
    fn invalid(param: impl Into<String>, message: impl Into<String>) -> Self {
        let kind = RefusalKind::Invalid;
        Self {
            param: param.into(),
            message: message.into(),
            kind,
        }
    }

    fn unpriced(param: impl Into<String>, what: &str) -> Self {
        Self {
            param: param.into(),
            message: format!("{what} has no price here"),
            kind: RefusalKind::Unpriced,
        }
    }
}

#[derive(Deserialize)]
struct StreamOptions {
    include_usage: Option<bool>,
}

impl RequestShape {
    /// Reads a request body of a route; refuses by name what is malformed or has no price.
    pub fn read(route: Route, body: &Object<'_>) -> Result<Self, ShapeRefusal> {
        let model = text(body, "model")?
            .filter(|model| !model.is_empty())
            .ok_or_else(|| ShapeRefusal::invalid("model", "is required: the model's id"))?;
        members::refuse_unpriced(route, body)?;
        let (messages, tools) = match route {
            Route::Chat => (content::messages(body)?, content::tools(body, false)?),
            Route::Messages => messages::prompt(body)?,
            Route::Responses => responses::prompt(body)?,
            Route::Completions => (prompts::count(body, "prompt")?, 0),
            Route::Embeddings => (prompts::count(body, "input")?, 0),
        };
        let options: Option<StreamOptions> = members::get(
            body,
            "stream_options",
            "an object with include_usage true or false",
        )?;
        Ok(Self {
            model: model.into_owned(),
            bytes: length(body.text()),
            messages,
            tools,
            tools_bytes: ["tools", "functions"]
                .iter()
                .filter_map(|key| present(body, key))
                .fold(0, |sum: u64, raw| sum.saturating_add(length(raw))),
            max_tokens: output_limit(route, body)?,
            choices: choices(route, body, messages)?,
            stream: members::get(body, "stream", "true or false")?.unwrap_or(false),
            include_usage: options.and_then(|o| o.include_usage).unwrap_or(false),
            o200k_tokens: None,
            cl100k_tokens: None,
        })
    }

    /// Counts the text of `body` with an endpoint's tokenizer, so that its quotes are closer.
    ///
    /// The whole body is counted, not only `messages` and `tools`: other members, such as
    /// `response_format`, reach the prompt too. Does nothing for [`Tokenizer::Bytes`] or a body
    /// longer than [`TOKENIZED_BYTES_MAX`]; the bytes bound then stands.
    pub fn count_text(&mut self, tokenizer: Tokenizer, body: &Object<'_>) {
        if self.bytes > TOKENIZED_BYTES_MAX || self.text_tokens(tokenizer).is_some() {
            return;
        }
        let count = || Some(count_json_tokens(tokenizer, body.text()));
        match tokenizer {
            Tokenizer::Bytes => {}
            Tokenizer::O200kBase => self.o200k_tokens = count(),
            Tokenizer::Cl100kBase => self.cl100k_tokens = count(),
        }
    }

    /// The tokens that [`Self::count_text`] found with this tokenizer.
    pub fn text_tokens(&self, tokenizer: Tokenizer) -> Option<u64> {
        match tokenizer {
            Tokenizer::Bytes => None,
            Tokenizer::O200kBase => self.o200k_tokens,
            Tokenizer::Cl100kBase => self.cl100k_tokens,
        }
    }
}

/// The caller's output limit, per choice.
fn output_limit(route: Route, body: &Object<'_>) -> Result<Option<u64>, ShapeRefusal> {
    let Some(member) = route.output_limit() else {
        return Ok(Some(0));
    };
    let limit = count(body, member, u64::MAX)?;
    Ok(match route {
        Route::Chat => limit.max(count(body, "max_completion_tokens", u64::MAX)?),
        _ => limit,
    })
}

/// How many answers are asked for; a completion gives its own to each prompt, and `best_of` is how many
/// are written and paid for where `n` is how many are shown.
fn choices(route: Route, body: &Object<'_>, prompts: u64) -> Result<u64, ShapeRefusal> {
    let shown = || Ok(count(body, "n", CHOICES_MAX)?.unwrap_or(1));
    match route {
        Route::Chat => shown(),
        Route::Completions => {
            let written = count(body, "best_of", CHOICES_MAX)?.unwrap_or(1);
            Ok(shown()?.max(written).saturating_mul(prompts))
        }
        Route::Embeddings | Route::Responses | Route::Messages => Ok(1),
    }
}

fn length(text: &str) -> u64 {
    u64::try_from(text.len()).unwrap_or(u64::MAX)
}
