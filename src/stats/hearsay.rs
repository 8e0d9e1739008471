//! What OpenRouter's catalogue says of how fast the endpoints of a model are: the same answer that its prices
//! stand in (`GET /models/{author}/{slug}/endpoints`).

use serde::{Deserialize, Serialize};

/// The documentation calls the latency milliseconds, and shows seconds. Of real endpoints no median to the
/// first token is as long as 50 s, and not all are as short as 50 ms.
const MILLISECONDS_FROM: f64 = 50.0;

/// The fastest output that is believed, in tokens a second.
const SPEED_MAX: f64 = 100_000.0;

/// What others say of an endpoint, until its own calls show it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Hearsay {
    /// Seconds to the first token, half of the time.
    pub first_token: Option<f64>,
    /// Tokens a second, half of the time.
    pub speed: Option<f64>,
}

#[derive(Deserialize)]
struct Answer {
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    endpoints: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    status: Option<i64>,
    latency_last_30m: Option<Percentiles>,
    throughput_last_30m: Option<Percentiles>,
}

#[derive(Deserialize)]
struct Percentiles {
    p50: Option<f64>,
}

impl Hearsay {
    /// Reads an answer: the middle one of those in service. What cannot be read says nothing.
    pub fn of(json: &str) -> Self {
        let answer: Option<Answer> = serde_json::from_str(json).ok();
        let items = answer.map(|answer| answer.data.endpoints);
        let items = items.unwrap_or_default();
        let medians = |of: fn(&Item) -> Option<&Percentiles>| {
            let serving = items.iter().filter(|item| item.status.unwrap_or(0) == 0);
            let each = serving.filter_map(|item| of(item)?.p50);
            each.filter(|p50| *p50 > 0.0).collect::<Vec<f64>>()
        };
        let speed = middle(medians(|item| item.throughput_last_30m.as_ref()));
        Self {
            first_token: middle(seconds(medians(|item| item.latency_last_30m.as_ref()))),
            speed: speed.filter(|speed| *speed < SPEED_MAX),
        }
    }
}

/// Latencies in seconds, of whichever unit they all are.
fn seconds(latencies: Vec<f64>) -> Vec<f64> {
    match latencies
        .iter()
        .any(|latency| *latency >= MILLISECONDS_FROM)
    {
        true => latencies.into_iter().map(|ms| ms / 1000.0).collect(),
        false => latencies,
    }
}

/// The one in the middle; of an even number the lower of two.
fn middle(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let at = values.len().saturating_sub(1).checked_div(2)?;
    values.get(at).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Case {
        name: String,
        endpoints: Vec<Value>,
        first_token: Option<f64>,
        speed: Option<f64>,
    }

    #[test]
    fn every_golden_answer_is_read_as_computed_by_hand() {
        let text = include_str!("../../tests/data/stats/hearsay.json");
        let cases: Vec<Case> = serde_json::from_str(text).expect("cases");
        for case in cases {
            let answer = json!({"data": {"endpoints": case.endpoints}}).to_string();
            let expected = Hearsay {
                first_token: case.first_token,
                speed: case.speed,
            };
            assert_eq!(Hearsay::of(&answer), expected, "{}", case.name);
        }
        assert_eq!(Hearsay::of("{}"), Hearsay::default());
    }
}
