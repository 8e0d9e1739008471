//! Usage objects as each provider spells them.

use super::config::{Behaviour, CachedSpelling, CostTold};
use super::dialect::Dialect;
use super::prefix_cache::CacheUse;

/// Token counts of one call, signed because some providers' are wrong on purpose here.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts {
    /// The whole prompt, cached and written tokens included.
    pub(super) prompt: i64,
    pub(super) cached: i64,
    pub(super) write_implicit: i64,
    pub(super) write_5m: i64,
    pub(super) write_1h: i64,
    /// Output without reasoning.
    pub(super) visible: i64,
    pub(super) reasoning: i64,
}

impl Counts {
    pub(super) fn of_prompt(tokens: u64, cache: CacheUse) -> Self {
        let signed = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        Counts {
            prompt: signed(tokens),
            cached: signed(cache.read),
            write_implicit: signed(cache.write_implicit),
            write_5m: signed(cache.write_5m),
            write_1h: signed(cache.write_1h),
            ..Counts::default()
        }
    }

    pub(super) fn with_output(self, visible: u64, reasoning: u64) -> Self {
        let signed = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        Counts {
            visible: signed(visible),
            reasoning: signed(reasoning),
            ..self
        }
    }

    /// The counts as a broken provider would report them.
    pub(super) fn as_reported(self, behaviour: &Behaviour) -> Self {
        let mut counts = self;
        if behaviour.negative_usage {
            counts.prompt = -counts.prompt;
            counts.visible = -1 - counts.visible;
        }
        if behaviour.absurd_usage {
            counts.prompt = 1_000_000_000_000_000;
            counts.visible = 1_000_000_000_000_000;
        }
        if behaviour.contradictory_usage {
            counts.cached = counts.prompt + 1;
        }
        counts
    }

    fn cost_pusd(&self, behaviour: &Behaviour) -> i128 {
        let price = |tokens: i64, price: u64| i128::from(tokens) * i128::from(price);
        price(self.prompt - self.cached, behaviour.prompt_price)
            + price(self.cached, behaviour.cached_price)
            + price(self.visible + self.reasoning, behaviour.output_price)
    }
}

/// The usage object of a chat completion.
pub(super) fn chat_usage(counts: Counts, behaviour: &Behaviour) -> String {
    use Dialect as D;
    let counts = counts.as_reported(behaviour);
    let Counts {
        prompt,
        cached,
        visible,
        reasoning,
        ..
    } = counts;
    let dialect = behaviour.dialect;
    // xAI's and Gemini's completion leaves reasoning out; their total has it.
    let completion = match dialect {
        D::Xai | D::Gemini => visible,
        _ => visible + reasoning,
    };
    let total = prompt + visible + reasoning;
    let mut usage = format!(
        r#"{{"prompt_tokens":{prompt},"completion_tokens":{completion},"total_tokens":{total}"#
    );
    usage.push_str(&cached_member(&counts, behaviour));
    match dialect {
        D::Anthropic | D::Gemini | D::Mistral | D::DeepInfra | D::Together | D::Fireworks => {}
        D::OpenAi => usage.push_str(&format!(
            r#","completion_tokens_details":{{"reasoning_tokens":{reasoning},"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}"#
        )),
        _ => usage.push_str(&format!(
            r#","completion_tokens_details":{{"reasoning_tokens":{reasoning}}}"#
        )),
    }
    let cost = counts.cost_pusd(behaviour);
    match dialect {
        D::DeepSeek => usage.push_str(&format!(
            r#","prompt_cache_hit_tokens":{cached},"prompt_cache_miss_tokens":{}"#,
            prompt - cached
        )),
        // A tick is 10^-10 USD.
        D::Xai => usage.push_str(&format!(
            r#","num_sources_used":0,"cost_in_usd_ticks":{}"#,
            cost.div_euclid(100)
        )),
        D::Groq => usage.push_str(
            r#","queue_time":0.01,"prompt_time":0.002,"completion_time":0.03,"total_time":0.032"#,
        ),
        D::MiniMax => usage.push_str(r#","total_characters":0"#),
        D::DeepInfra => usage.push_str(&format!(r#","estimated_cost":{}"#, usd(cost))),
        D::OpenRouter => usage.push_str(&openrouter_cost(cost, behaviour.cost)),
        _ => {}
    }
    usage.push('}');
    usage
}

fn cached_member(counts: &Counts, behaviour: &Behaviour) -> String {
    use Dialect as D;
    let cached = counts.cached;
    let spelling = behaviour
        .cached_spelling
        .unwrap_or(match behaviour.dialect {
            D::Moonshot => CachedSpelling::Top,
            D::Anthropic => CachedSpelling::None,
            _ => CachedSpelling::Details,
        });
    let member = match spelling {
        CachedSpelling::None => return String::new(),
        CachedSpelling::Top => return format!(r#","cached_tokens":{cached}"#),
        CachedSpelling::Num => return format!(r#","num_cached_tokens":{cached}"#),
        CachedSpelling::Singular => "prompt_token_details",
        CachedSpelling::Details => "prompt_tokens_details",
    };
    let mut more = match behaviour.dialect {
        D::Gemini if cached == 0 => return String::new(),
        D::OpenAi => r#","audio_tokens":0"#.to_owned(),
        D::Xai => format!(
            r#","text_tokens":{},"audio_tokens":0,"image_tokens":0"#,
            counts.prompt
        ),
        D::Alibaba if counts.write_5m + counts.write_1h > 0 => format!(
            r#","cache_creation_input_tokens":{}"#,
            counts.write_5m + counts.write_1h
        ),
        D::OpenRouter => format!(
            r#","cache_write_tokens":{},"audio_tokens":0,"video_tokens":0"#,
            counts.write_5m + counts.write_1h
        ),
        _ => String::new(),
    };
    if behaviour.report_cache_writes && behaviour.dialect != D::OpenRouter {
        more.push_str(&format!(
            r#","cache_write_tokens":{}"#,
            counts.write_implicit
        ));
    }
    format!(r#","{member}":{{"cached_tokens":{cached}{more}}}"#)
}

/// The usage object of a response (OpenAI): input includes the cache.
pub(super) fn response_usage(counts: Counts, behaviour: &Behaviour) -> String {
    let counts = counts.as_reported(behaviour);
    let Counts {
        prompt,
        cached,
        reasoning,
        ..
    } = counts;
    let output = counts.visible + reasoning;
    let total = prompt + output;
    let cost = counts.cost_pusd(behaviour);
    let cost = match behaviour.dialect {
        Dialect::OpenRouter => openrouter_cost(cost, behaviour.cost),
        Dialect::Xai => format!(r#","cost_in_usd_ticks":{}"#, cost.div_euclid(100)),
        _ => String::new(),
    };
    format!(
        r#"{{"input_tokens":{prompt},"input_tokens_details":{{"cached_tokens":{cached}}},"output_tokens":{output},"output_tokens_details":{{"reasoning_tokens":{reasoning}}},"total_tokens":{total}{cost}}}"#
    )
}

/// The usage object of a message (Anthropic), whole or in `message_start`: input excludes the cache.
pub(super) fn message_usage(counts: Counts, behaviour: &Behaviour) -> String {
    let counts = counts.as_reported(behaviour);
    let Counts {
        cached,
        write_5m,
        write_1h,
        ..
    } = counts;
    let created = write_5m + write_1h;
    let input = counts.prompt - cached - created;
    let output = counts.visible + counts.reasoning;
    let cost = message_cost(&counts, behaviour);
    format!(
        r#"{{"input_tokens":{input},"cache_creation_input_tokens":{created},"cache_read_input_tokens":{cached},"cache_creation":{{"ephemeral_5m_input_tokens":{write_5m},"ephemeral_1h_input_tokens":{write_1h}}},"output_tokens":{output},"service_tier":"standard"{cost}}}"#
    )
}

/// The usage object of `message_delta`: totals so far, without the split by lifetime.
pub(super) fn message_delta_usage(counts: Counts, behaviour: &Behaviour) -> String {
    let counts = counts.as_reported(behaviour);
    let created = counts.write_5m + counts.write_1h;
    format!(
        r#"{{"input_tokens":{},"cache_creation_input_tokens":{created},"cache_read_input_tokens":{},"output_tokens":{}{}}}"#,
        counts.prompt - counts.cached - created,
        counts.cached,
        counts.visible + counts.reasoning,
        message_cost(&counts, behaviour)
    )
}

/// OpenRouter tells the cost in Anthropic's wire too.
fn message_cost(counts: &Counts, behaviour: &Behaviour) -> String {
    match behaviour.dialect {
        Dialect::OpenRouter => openrouter_cost(counts.cost_pusd(behaviour), behaviour.cost),
        _ => String::new(),
    }
}

/// OpenRouter's members on what a call of this cost costs.
fn openrouter_cost(pusd: i128, told: CostTold) -> String {
    let (cost, byok, upstream) = match told {
        CostTold::Missing => return String::new(),
        CostTold::Plain => (usd(pusd), false, None),
        CostTold::Exponent => (format!("{pusd}e-12"), false, None),
        CostTold::Null => ("null".to_owned(), false, None),
        CostTold::Text => (format!("\"{}\"", usd(pusd)), false, None),
        CostTold::Negative => (usd(-1 - pusd), false, None),
        CostTold::Zero => ("0".to_owned(), false, None),
        CostTold::Absurd => (usd(pusd * 1000), false, None),
        CostTold::Dear => (usd(pusd * 3 / 2), false, None),
        CostTold::Byok => (usd(pusd / 20), true, Some(usd(pusd))),
        CostTold::Fee => (usd(pusd / 20), true, None),
    };
    let upstream = upstream.unwrap_or_else(|| "null".to_owned());
    format!(
        r#","cost":{cost},"is_byok":{byok},"cost_details":{{"upstream_inference_cost":{upstream}}}"#
    )
}

/// 10^-12 USD as a decimal number of USD.
fn usd(pusd: i128) -> String {
    const ONE: u128 = 1_000_000_000_000;
    let sign = if pusd < 0 { "-" } else { "" };
    let size = pusd.unsigned_abs();
    let digits = format!("{sign}{}.{:012}", size / ONE, size % ONE);
    let trimmed = digits.trim_end_matches('0');
    let whole = trimmed.strip_suffix('.').unwrap_or(trimmed);
    whole.to_owned()
}
