use super::*;
use crate::metering::Usage;
use crate::pricing::openrouter::{Listing, listing};
use proptest::option::of;
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeSet;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    endpoints: Vec<Value>,
    row: Option<PriceRow>,
    context_tokens: Option<u64>,
    output_max: Option<u64>,
    #[serde(default)]
    parameters: BTreeSet<String>,
    /// Words of the refusal.
    fault: Option<String>,
}

fn answer(endpoints: &[Value]) -> String {
    json!({"data": {"id": "a/b", "name": "B", "endpoints": endpoints}}).to_string()
}

#[test]
fn every_golden_answer_is_read_as_computed_by_hand() {
    let text = include_str!("../../../tests/data/pricing/openrouter.json");
    let cases: Vec<Case> = serde_json::from_str(text).unwrap();
    for case in cases {
        let read = listing(&answer(&case.endpoints));
        match (case.fault, read) {
            (Some(fault), Err(error)) => {
                assert!(error.to_string().contains(&fault), "{}: {error}", case.name);
            }
            (None, Ok(read)) => {
                let in_service = case
                    .endpoints
                    .iter()
                    .filter(|endpoint| endpoint["pricing"]["prompt"] != "-1");
                let expected = Listing {
                    row: case.row.unwrap(),
                    context_tokens: case.context_tokens,
                    output_max: case.output_max,
                    parameters: case.parameters,
                    endpoints: in_service.count(),
                };
                assert_eq!(read, expected, "{}", case.name);
            }
            (fault, read) => panic!("{}: {fault:?} {read:?}", case.name),
        }
    }
    for text in [
        "",
        "null",
        "{}",
        "{\"data\":[]}",
        "{\"data\":{\"endpoints\":{}}}",
    ] {
        assert!(listing(text).is_err(), "{text}");
    }
}

fn sold(endpoints: usize, prompt: &str) -> Listing {
    let one = json!({"tag": "a", "pricing": {"prompt": prompt, "completion": "0.000001"}});
    listing(&answer(&vec![one; endpoints])).unwrap()
}

#[test]
fn what_shrinks_or_jumps_is_odd() {
    let now = sold(4, "0.000001");
    assert_eq!(now.doubts(&sold(2, "0.00001")), None);
    assert_eq!(now.doubts(&sold(9, "0.0000001")), None);
    assert!(now.doubts(&sold(1, "0.000001")).is_some());
    assert!(now.doubts(&sold(4, "0.000010000001")).is_some());
    assert!(now.doubts(&sold(4, "0.000000099999")).is_some());
}

fn price() -> impl Strategy<Value = u64> {
    prop_oneof![1u64..1_000, 1u64..10_000_000]
}

fn text(pico: u64) -> String {
    format!("{pico}e-12")
}

prop_compose! {
    fn endpoint()(
        (prompt, completion) in (price(), price()),
        (read, write, hour, reasoning, request) in (of(0u64..=1000), of(price()), of(price()), of(price()), of(price())),
        overs in prop::collection::vec((of(prop_oneof![Just(100u64), Just(5_000), 1u64..20_000]), any::<bool>(), of(price()), of(price())), 0..3),
    ) -> Value {
        let mut pricing = json!({"prompt": text(prompt), "completion": text(completion)});
        let mut set = |key: &str, pico: Option<u64>| {
            if let Some(pico) = pico {
                pricing[key] = json!(text(pico));
            }
        };
        // A cached token never costs more than another.
        set("input_cache_read", read.map(|thousandths| prompt * thousandths / 1000));
        set("input_cache_write", write);
        set("input_cache_write_1h", hour);
        set("internal_reasoning", reasoning);
        set("request", request);
        let overs: Vec<Value> = overs.into_iter().map(|(from, by_the_hour, dearer, completion)| {
            let mut over = json!({});
            if let Some(from) = from {
                over["min_prompt_tokens"] = json!(from);
            }
            if by_the_hour {
                over["utc_start"] = json!("0000");
            }
            // Where a prompt costs less than before, a cached token might cost more than it.
            if let Some(dearer) = dearer {
                over["prompt"] = json!(text(prompt + dearer));
            }
            if let Some(completion) = completion {
                over["completion"] = json!(text(completion));
            }
            over
        }).collect();
        pricing["overrides"] = json!(overs);
        json!({"tag": "x", "pricing": pricing})
    }
}

proptest! {
    /// Whoever of them answers, and whatever that uses, no endpoint's own bill is above the one row's.
    #[test]
    fn the_one_row_covers_every_endpoint(
        endpoints in prop::collection::vec(endpoint(), 1..5),
        counts in prop::array::uniform6(prop_oneof![Just(0u64), 0u64..20_000]),
    ) {
        let [uncached, cache_read, cache_write_5m, cache_write_1h, output, reasoning] = counts;
        let usage = Usage { uncached, cache_read, cache_write_5m, cache_write_1h, output, reasoning };
        let all = listing(&answer(&endpoints)).unwrap();
        let refused = lint(&all.row).into_iter().any(|remark| remark.refuses());
        prop_assert!(!refused, "{:?}", lint(&all.row));
        let covered = bill(&all.row, &usage, 0).unwrap().total;
        for endpoint in &endpoints {
            let own = listing(&answer(std::slice::from_ref(endpoint))).unwrap();
            let own = bill(&own.row, &usage, 0).unwrap().total;
            prop_assert!(own <= covered, "{} > {}: {}", own, covered, endpoint);
        }
    }
}
