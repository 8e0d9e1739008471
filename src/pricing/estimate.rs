use super::Quote;
use crate::metering::Usage;

/// Bytes of text that are taken as one token when a provider did not say.
pub const BYTES_PER_TOKEN: u64 = 4;

/// The stated rule for a call whose usage is missing or not believable (rule 11).
///
/// Text is taken as one token for every [`BYTES_PER_TOKEN`] bytes of UTF-8, rounded up. The prompt
/// is never less than one token, all of it is uncached (an unreported discount cannot be passed
/// on), all delivered text is output, and neither count exceeds the quote's bound. The caller
/// flags the receipt as estimated.
///
/// `prompt_text_bytes` is the length of the request body; `delivered_text_bytes` the length of the
/// text, reasoning and tool calls that reached the payer.
pub fn estimate_usage(prompt_text_bytes: u64, delivered_text_bytes: u64, quote: &Quote) -> Usage {
    let tokens = |bytes: u64| bytes.div_ceil(BYTES_PER_TOKEN);
    Usage {
        uncached: tokens(prompt_text_bytes)
            .max(1)
            .min(quote.prompt_tokens_max),
        output: tokens(delivered_text_bytes).min(quote.output_tokens_max),
        ..Usage::default()
    }
}
