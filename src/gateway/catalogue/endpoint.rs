//! What there is to tell of an endpoint: what it is, what it costs, and how it does lately.

use super::App;
use super::model::{Listed, embeds};
use super::pricing;
use crate::clock::now_ms;
use crate::metering::Dialect;
use crate::pricing::CacheReadPrice;
use crate::router::Endpoint;
use crate::stats::{Percentiles, SAMPLES_MIN, Spread, Tally, Window};
use serde_json::{Map, Value, json};

/// OpenRouter's word for an endpoint that is asked, and one of those for one that is not.
const ASKED: i8 = 0;
const LEFT_ALONE: i8 = -1;

impl App {
    /// OpenRouter's list of a model's endpoints.
    pub(super) fn endpoints_of(&self, listed: &Listed) -> Value {
        let now_ms = now_ms();
        let items = listed.endpoints.iter();
        let items: Vec<Value> = items.map(|by| self.endpoint(listed, by, now_ms)).collect();
        json!({
            "id": listed.model.id,
            "name": listed.name(),
            "created": listed.created().unwrap_or(0),
            "description": listed.description().unwrap_or_default(),
            "architecture": listed.architecture(),
            "endpoints": items,
        })
    }

    /// OpenRouter's object of one endpoint. What nobody said, or too few calls showed, is null, and the
    /// context length 0, which is no null there.
    pub(super) fn endpoint(&self, of: &Listed, endpoint: &Endpoint, now_ms: u64) -> Value {
        let (model, upstream) = (&endpoint.model, &endpoint.upstream);
        let [short, medium, day] = Window::ALL.map(|window| {
            let windows = self.inner.desk.windows();
            windows.seen(endpoint.id, window, now_ms)
        });
        let parameters = endpoint.parameters();
        let tool_choice = parameters.contains("tool_choice");
        let caches = matches!(model.price.cache_read, CacheReadPrice::Known(_));
        let asked = self.inner.desk.is_asked(endpoint);
        let (latency, throughput) = (latency(&medium), throughput(&medium));
        let kind = if embeds(endpoint) {
            "embeddings"
        } else {
            "text_generation"
        };
        json!({
            "name": format!("{} | {}", upstream.name, model.id),
            "model_id": model.id,
            "model_name": of.name(),
            "provider_name": upstream.name,
            "tag": model.tag,
            "quantization": model.quantization,
            "context_length": model.context_tokens.unwrap_or(0),
            "max_prompt_tokens": null,
            "max_completion_tokens": model.output_max,
            "pricing": pricing(&model.price),
            "supported_parameters": parameters,
            "supports_implicit_caching": caches && model.dialect != Dialect::Anthropic,
            "supports_tool_choice": {
                "auto": tool_choice,
                "function": tool_choice,
                "none": tool_choice,
                "required": tool_choice,
            },
            "supports_voice_cloning": false,
            "status": if asked { ASKED } else { LEFT_ALONE },
            "uptime_last_5m": percent(short.uptime()),
            "uptime_last_30m": percent(medium.uptime()),
            "uptime_last_1d": percent(day.uptime()),
            "latency_last_30m": latency,
            "throughput_last_30m": throughput,
            "perf_last_30m_by_workload": {kind: {
                "latency": latency,
                "throughput": throughput,
                "request_count": attempts(&medium),
            }},
            "groat": {
                "samples_min": SAMPLES_MIN,
                "price_row_sha256": hex::encode(endpoint.price_row),
                "markup_bps": self.inner.markup_bps,
                "windows": windows([&short, &medium, &day]),
            },
        })
    }
}

/// Groat's own figures, each with the number of samples it is made of.
fn windows(tallies: [&Tally; Window::ALL.len()]) -> Value {
    let named = Window::ALL.into_iter().zip(tallies);
    let named = named.map(|(window, tally)| (window.name().to_owned(), told(tally)));
    Value::Object(named.collect::<Map<_, _>>())
}

fn told(tally: &Tally) -> Value {
    json!({
        "uptime": {
            "percent": percent(tally.uptime()),
            "answered": tally.answered,
            "failed": tally.failed,
            "left_out": tally.left_out,
        },
        "latency_ms": {
            "percentiles": latency(tally),
            "samples": tally.first_token.samples(),
        },
        "throughput": {
            "percentiles": throughput(tally),
            "samples": tally.speed.samples(),
        },
        "cache_honesty": {
            "ratio": ratio(tally.cache_honesty()),
            "samples": tally.followed,
        },
        "price_honesty": {
            "ratio": ratio(tally.price_honesty()),
            "samples": tally.billed,
        },
        "settle_failures": {
            "ratio": ratio(tally.settle_failures()),
            "settled": tally.settled,
            "failed": tally.unsettled,
        },
    })
}

fn attempts(tally: &Tally) -> u64 {
    let failed = tally.failed.saturating_add(tally.left_out);
    tally.answered.saturating_add(failed)
}

/// Milliseconds to the first token.
fn latency(tally: &Tally) -> Option<Value> {
    of(&tally.first_token, |seconds| (seconds * 1000.0).round())
}

/// Tokens a second.
fn throughput(tally: &Tally) -> Option<Value> {
    of(&tally.speed, |speed| (speed * 10.0).round() / 10.0)
}

fn of(seen: &Spread, told: impl Fn(f64) -> f64) -> Option<Value> {
    let Percentiles { p50, p75, p90, p99 } = seen.percentiles()?;
    Some(json!({"p50": told(p50), "p75": told(p75), "p90": told(p90), "p99": told(p99)}))
}

/// Ten-thousandths as a percentage.
fn percent(share: Option<u64>) -> Option<f64> {
    share.map(|share| share as f64 / 100.0)
}

/// Ten-thousandths as a ratio.
fn ratio(share: Option<u64>) -> Option<f64> {
    share.map(|share| share as f64 / 10_000.0)
}
