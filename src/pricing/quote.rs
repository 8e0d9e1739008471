use super::{PriceRow, RequestShape, Tokenizer};
use crate::money::{AmountError, Pusd};
use serde::{Deserialize, Serialize};

/// Tokens that a provider's chat template adds to what the caller wrote. They are upper figures
/// for the templates in use, so that a prompt's real token count stays within its bound.
pub mod allowance {
    /// Once: start marks, a default system preface (the longest in use is about 70 tokens), and the
    /// opening of the answer.
    pub const PER_REQUEST: u64 = 128;
    /// For each message: role header, separators, end mark.
    pub const PER_MESSAGE: u64 = 16;
    /// Once when there are tools: the instructions for calling them (the longest published figure
    /// is 530 tokens).
    pub const WITH_TOOLS: u64 = 640;
    /// For each tool: its frame.
    pub const PER_TOOL: u64 = 32;
}

/// What an endpoint and its operator add to a request when it is quoted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuoteTerms {
    /// The markup, in basis points.
    pub markup_bps: u32,
    /// The output limit that is imposed, in tokens per choice, when the caller names none.
    pub output_cap: u64,
    /// The endpoint's context window in tokens, when known: no longer prompt is ever answered.
    pub context_tokens: Option<u64>,
    /// The most output tokens per choice that the endpoint gives, when known.
    pub max_output_tokens: Option<u64>,
    /// How the prompt's tokens are bounded.
    pub tokenizer: Tokenizer,
}

/// The worst that a request can cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quote {
    /// The most prompt tokens, of all classes together.
    pub prompt_tokens_max: u64,
    /// The most output tokens, reasoning included, of all choices together.
    pub output_tokens_max: u64,
    /// The most the call can cost, markup included.
    pub ceiling: Pusd,
    /// The `max_tokens` to splice into the upstream request, when the caller named no limit.
    pub impose_max_tokens: Option<u64>,
}

/// Why a request is not quoted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum QuoteRefusal {
    /// The caller asks for more output than the endpoint gives.
    #[error("{asked} output tokens are asked for, but this model gives at most {limit}")]
    OutputAboveLimit {
        /// What the caller asked for, per choice.
        asked: u64,
        /// What the endpoint gives, per choice.
        limit: u64,
    },
    /// The ceiling does not fit an amount.
    #[error(transparent)]
    Amount(#[from] AmountError),
}

/// Bounds what `request` can cost at `row`: a pure function of its arguments.
///
/// The ceiling is the most that [`super::bill`] gives for any usage within the two token bounds,
/// over every tier that such a prompt can reach.
pub fn quote(
    row: &PriceRow,
    request: &RequestShape,
    terms: &QuoteTerms,
) -> Result<Quote, QuoteRefusal> {
    let prompt_tokens_max = prompt_tokens_max(request, terms);
    let (per_choice, impose_max_tokens) = output_limit(request, terms)?;
    let output_tokens_max = per_choice
        .checked_mul(request.choices.max(1))
        .ok_or(AmountError::Overflow)?;
    let mut dearest = Pusd::ZERO;
    for rates in row.rates_up_to(prompt_tokens_max) {
        let prompt = rates.dearest_prompt().times(prompt_tokens_max)?;
        let output = rates.dearest_output().times(output_tokens_max)?;
        let fee = rates.request.times(1)?;
        dearest = dearest.max(prompt.plus(output)?.plus(fee)?);
    }
    Ok(Quote {
        prompt_tokens_max,
        output_tokens_max,
        ceiling: dearest.plus(dearest.bps_ceil(terms.markup_bps)?)?,
        impose_max_tokens,
    })
}

/// Saturates: a bound that is too high is still a bound, and the ceiling is checked.
fn prompt_tokens_max(request: &RequestShape, terms: &QuoteTerms) -> u64 {
    let with_tools = if request.tools > 0 {
        allowance::WITH_TOOLS
    } else {
        0
    };
    let template = allowance::PER_REQUEST
        .saturating_add(request.messages.saturating_mul(allowance::PER_MESSAGE))
        .saturating_add(with_tools)
        .saturating_add(request.tools.saturating_mul(allowance::PER_TOOL));
    let written = request
        .text_tokens(terms.tokenizer)
        .map_or(request.bytes, |tokens| tokens.min(request.bytes));
    written
        .saturating_add(template)
        .min(terms.context_tokens.unwrap_or(u64::MAX))
}

/// The output tokens per choice, and the limit to impose when the caller named none.
fn output_limit(
    request: &RequestShape,
    terms: &QuoteTerms,
) -> Result<(u64, Option<u64>), QuoteRefusal> {
    let limit = terms.max_output_tokens.unwrap_or(u64::MAX);
    match request.max_tokens {
        Some(asked) if asked > limit => Err(QuoteRefusal::OutputAboveLimit { asked, limit }),
        Some(asked) => Ok((asked, None)),
        None => {
            let cap = terms.output_cap.min(limit);
            Ok((cap, Some(cap)))
        }
    }
}
