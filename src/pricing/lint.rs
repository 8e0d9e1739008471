use super::{CacheReadPrice, PriceRow};
use crate::money::Rate;

/// Something about a price row that is wrong or needs a second look.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {kind}")]
pub struct Lint {
    /// Where, such as `cache_read` or `tier[0].cache_read`.
    pub field: String,
    /// What was found.
    pub kind: LintKind,
}

/// What a [`Lint`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LintKind {
    /// A cache read would cost more than no cache; refused.
    #[error("a cached token must not cost more than a prompt token")]
    CacheReadAbovePrompt,
    /// The tiers do not ascend, so which one wins is not what the reader sees; refused.
    #[error("tiers must stand in ascending order of above_prompt_tokens, each once")]
    TierOrder,
    /// A cache write is cheaper than a plain prompt token; no known provider sells that.
    #[error("a cache write is cheaper than a prompt token")]
    CacheWriteBelowPrompt,
    /// A price of zero is stated: the tokens are given away.
    #[error("the price is zero: these tokens are given away")]
    ZeroPrice,
    /// No cache read price is stated: hits are billed as misses and flagged.
    #[error("no price is stated: cached tokens are billed as prompt tokens")]
    CacheReadUnknown,
    /// A tier that replaces no price.
    #[error("this tier changes nothing")]
    EmptyTier,
}

impl Lint {
    /// Whether a row with this finding must not be served.
    pub const fn refuses(&self) -> bool {
        matches!(
            self.kind,
            LintKind::CacheReadAbovePrompt | LintKind::TierOrder
        )
    }
}

/// Looks a row over: what is wrong, and what an operator should look at twice.
pub fn lint(row: &PriceRow) -> Vec<Lint> {
    let mut found = Vec::new();
    let mut note = |field: String, kind| found.push(Lint { field, kind });
    let mut prompt = row.prompt;
    let mut cache_read = row.cache_read;
    let mut writes = [row.cache_write_5m, row.cache_write_1h];
    if cache_read == CacheReadPrice::Unknown {
        note("cache_read".to_owned(), LintKind::CacheReadUnknown);
    }
    check_level("", prompt, cache_read, writes, &mut note);
    check_zero(
        "",
        &[
            ("prompt", Some(row.prompt)),
            ("completion", Some(row.completion)),
        ],
        &mut note,
    );
    check_zero(
        "",
        &[("reasoning", row.reasoning), ("request", row.request)],
        &mut note,
    );
    let mut below = None;
    for (i, tier) in row.tiers.iter().enumerate() {
        let prefix = format!("tier[{i}].");
        if below.is_some_and(|b| tier.above_prompt_tokens <= b) {
            note(format!("{prefix}above_prompt_tokens"), LintKind::TierOrder);
        }
        below = Some(tier.above_prompt_tokens);
        let prices = [tier.prompt, tier.completion, tier.reasoning];
        let [write_5m, write_1h] = writes;
        if prices.iter().all(Option::is_none)
            && tier.cache_read.is_none()
            && tier.cache_write_5m.is_none()
            && tier.cache_write_1h.is_none()
        {
            note(format!("tier[{i}]"), LintKind::EmptyTier);
        }
        prompt = tier.prompt.unwrap_or(prompt);
        cache_read = tier.cache_read.unwrap_or(cache_read);
        writes = [
            tier.cache_write_5m.or(write_5m),
            tier.cache_write_1h.or(write_1h),
        ];
        check_level(&prefix, prompt, cache_read, writes, &mut note);
        let stated = [
            ("prompt", tier.prompt),
            ("completion", tier.completion),
            ("reasoning", tier.reasoning),
        ];
        check_zero(&prefix, &stated, &mut note);
    }
    found
}

/// Compares the cache prices in force at one level with the prompt price there.
fn check_level(
    prefix: &str,
    prompt: Rate,
    cache_read: CacheReadPrice,
    [write_5m, write_1h]: [Option<Rate>; 2],
    note: &mut impl FnMut(String, LintKind),
) {
    if matches!(cache_read, CacheReadPrice::Known(rate) if rate > prompt) {
        note(
            format!("{prefix}cache_read"),
            LintKind::CacheReadAbovePrompt,
        );
    }
    for (field, write) in [("cache_write_5m", write_5m), ("cache_write_1h", write_1h)] {
        if write.is_some_and(|rate| rate < prompt) {
            note(format!("{prefix}{field}"), LintKind::CacheWriteBelowPrompt);
        }
    }
}

fn check_zero(
    prefix: &str,
    stated: &[(&str, Option<Rate>)],
    note: &mut impl FnMut(String, LintKind),
) {
    for (field, rate) in stated {
        if *rate == Some(Rate::FREE) {
            note(format!("{prefix}{field}"), LintKind::ZeroPrice);
        }
    }
}
