//! What can be seen of endpoints from outside, after calls that did well and badly.

use super::{Provider, ask, by, stack};
use crate::harness::{Answer, Setup, Stack};
use futures::{StreamExt, stream};
use serde_json::{Value, json};

const PRICE: &str = r#"price = { prompt = "1", completion = "2", cache_read = "0.1" }"#;

/// The least samples that a figure is made of.
const ENOUGH: u64 = 10;

/// A model's endpoints, by their tags.
async fn endpoint(stack: &Stack, model: &str, tag: &str) -> Value {
    let url = format!("{}/v1/models/{model}/endpoints", stack.payer.url);
    let answer = Answer::of(stack.payer.client.get(url)).await;
    let answer = answer.expect("an answer");
    assert_eq!(answer.status, 200, "{}", answer.body);
    let data = &answer.json()["data"];
    let endpoints = data["endpoints"].as_array().expect("endpoints");
    let found = endpoints.iter().find(|endpoint| endpoint["tag"] == tag);
    found.unwrap_or_else(|| panic!("no {tag}: {data}")).clone()
}

fn attempts(endpoint: &Value) -> [u64; 3] {
    let uptime = &endpoint["groat"]["windows"]["5m"]["uptime"];
    ["answered", "failed", "left_out"].map(|name| uptime[name].as_u64().expect("a count"))
}

fn only(tag: &str, members: &Value) -> String {
    let mut body: Value = serde_json::from_str(&ask(members)).expect("JSON");
    body["provider"] = json!({"only": [tag]});
    body.to_string()
}

fn streamed(n: u64) -> Value {
    json!({"seed": n, "stream": true, "stream_options": {"include_usage": true}})
}

/// What is asked for, whether as a stream, and how often that counts as answered, failed and left out.
const FAULTS: [(&str, bool, [u64; 3]); 20] = [
    ("sim/small", false, [1, 0, 0]),
    ("sim/small", true, [1, 0, 0]),
    ("sim/x?fail=401", false, [0, 1, 0]),
    ("sim/402", false, [0, 1, 0]),
    ("sim/x?fail=404", true, [0, 1, 0]),
    // These are asked once more, after a moment.
    ("sim/x?fail=408", false, [0, 2, 0]),
    ("sim/x?fail=500", false, [0, 2, 0]),
    ("sim/x?fail=503", true, [0, 2, 0]),
    ("sim/x?fail=503&times=1", false, [1, 1, 0]),
    ("sim/die", false, [0, 2, 0]),
    ("sim/hang", false, [0, 1, 0]),
    ("sim/cut", false, [0, 1, 0]),
    ("sim/cut", true, [0, 1, 0]),
    ("sim/error-event", false, [0, 1, 0]),
    ("sim/error-event", true, [0, 1, 0]),
    ("sim/x?fail=400", false, [0, 0, 1]),
    ("sim/x?fail=403", false, [0, 0, 1]),
    ("sim/x?fail=413", true, [0, 0, 1]),
    ("sim/x?fail=422", false, [0, 0, 1]),
    ("sim/x?fail=429&retry=60", false, [0, 0, 1]),
];

#[tokio::test]
async fn what_is_an_endpoints_fault_counts_against_its_uptime_and_nothing_else_does() {
    let provider = Provider::start("p").await;
    let upstreams: String = FAULTS
        .iter()
        .enumerate()
        .map(|(n, (fault, ..))| {
            format!(
                "[[upstream]]\nname = \"p{n}\"\nbase_url = \"{}/v1\"\nfirst_byte_timeout_ms = 500\n[[upstream.model]]\nid = \"a/b:{n}\"\nupstream_id = \"{fault}\"\n{PRICE}\n",
                provider.url
            )
        })
        .collect();
    let stack = Stack::with(Setup {
        upstreams,
        ..Setup::default()
    })
    .await;
    for (n, (fault, stream, counted)) in FAULTS.into_iter().enumerate() {
        let members = json!({
            "model": format!("a/b:{n}"),
            "stream": stream,
            "stream_options": {"include_usage": true},
        });
        stack.payer.pay(&ask(&members)).await;
        let seen = endpoint(&stack, &format!("a/b:{n}"), &format!("p{n}")).await;
        assert_eq!(attempts(&seen), counted, "{fault} {stream}: {seen}");
        let left_alone = matches!(fault, "sim/x?fail=401" | "sim/402" | "sim/x?fail=403")
            || (fault == "sim/cut" && stream)
            || (fault == "sim/error-event" && stream)
            || fault.contains("429");
        let status = if left_alone { -1 } else { 0 };
        assert_eq!(seen["status"], status, "{fault} {stream}: {seen}");
        for figure in ["uptime_last_5m", "uptime_last_30m", "uptime_last_1d"] {
            assert_eq!(seen[figure], Value::Null, "one call says nothing yet");
        }
    }
    stack.reconcile().await;
}

#[tokio::test]
async fn uptime_latency_and_throughput_are_those_of_the_calls_and_survive_a_restart() {
    let (slow, flaky) = (
        Provider::start("slow").await,
        Provider::start("flaky").await,
    );
    let upstreams = [
        slow.entry("", "sim/x?delay=60&tps=500&out=20", PRICE),
        flaky.entry("", "sim/x?fail=500&percent=50", PRICE),
    ];
    let mut stack = stack(&upstreams).await;
    for n in 1..ENOUGH {
        let answer = stack.payer.pay(&only("slow", &streamed(n))).await;
        assert_eq!(by(&answer), "slow");
    }
    let before = endpoint(&stack, "shared", "slow").await;
    for figure in ["uptime_last_5m", "latency_last_30m", "throughput_last_30m"] {
        assert_eq!(before[figure], Value::Null, "{before}");
    }
    stack.payer.pay(&only("slow", &streamed(0))).await;
    let bodies = (0..ENOUGH).map(|n| only("flaky", &json!({"seed": n})));
    let payer = &stack.payer;
    stream::iter(bodies)
        .for_each_concurrent(2, |body| async move {
            payer.pay(&body).await;
        })
        .await;

    let seen = endpoint(&stack, "shared", "slow").await;
    assert_eq!(attempts(&seen), [10, 0, 0]);
    assert_eq!(seen["uptime_last_30m"], 100.0);
    let percentiles = |of: &Value| {
        let told = ["p50", "p75", "p90", "p99"].map(|p| of[p].as_f64().expect("a number"));
        assert!(told.is_sorted(), "{of}");
        told
    };
    // The provider's own 60 ms, and 20 tokens at 500 a second after them; a figure is known to a tenth.
    let latency = percentiles(&seen["latency_last_30m"]);
    assert!((54.0..30_000.0).contains(&latency[0]), "{latency:?}");
    let throughput = percentiles(&seen["throughput_last_30m"]);
    assert!((0.5..220.0).contains(&throughput[3]), "{throughput:?}");
    assert_eq!(
        seen["perf_last_30m_by_workload"]["text_generation"],
        json!({
            "latency": seen["latency_last_30m"],
            "throughput": seen["throughput_last_30m"],
            "request_count": 10,
        })
    );

    let calls = flaky.seen().await.calls;
    let failed = calls.iter().filter(|call| call.status == 500).count() as u64;
    let answered = calls.iter().filter(|call| call.status == 200).count() as u64;
    assert!(failed >= 5 && answered >= 5, "{failed} {answered}");
    let flaky_seen = endpoint(&stack, "shared", "flaky").await;
    assert_eq!(attempts(&flaky_seen), [answered, failed, 0]);
    let uptime = 100.0 * answered as f64 / (answered + failed) as f64;
    for window in ["uptime_last_5m", "uptime_last_30m", "uptime_last_1d"] {
        let told = flaky_seen[window].as_f64().expect("enough calls");
        assert!((told - uptime).abs() < 0.01, "{told} is not {uptime}");
    }
    assert_eq!(
        flaky_seen["latency_last_30m"],
        Value::Null,
        "of a whole answer nobody sees the first token"
    );

    stack.reconcile().await;
    assert!(stack.gateway.terminate().await);
    stack.gateway.start("").await;
    for (tag, before) in [("slow", &seen), ("flaky", &flaky_seen)] {
        let after = endpoint(&stack, "shared", tag).await;
        assert_eq!(
            after["groat"]["windows"], before["groat"]["windows"],
            "{tag}"
        );
    }
    stack.payer.pay(&only("slow", &streamed(99))).await;
    let seen = endpoint(&stack, "shared", "slow").await;
    assert_eq!(attempts(&seen), [11, 0, 0], "it goes on where it was");
}

#[tokio::test]
async fn caches_are_held_to_what_they_saw_and_prices_to_the_list() {
    let (honest, forgetful) = (
        Provider::start("honest").await,
        Provider::start("forgetful").await,
    );
    let upstreams = [
        honest.entry("", "sim/small", PRICE),
        forgetful.entry("", "sim/no-cache", PRICE),
    ];
    let stack = Stack::with(Setup {
        upstreams: upstreams.concat(),
        payment: "markup_bps = 500",
        ..Setup::default()
    })
    .await;
    let long = "a long beginning ".repeat(200);
    let said = async |tag: &str, turn: u64| {
        // Each endpoint has a conversation of its own.
        let mut messages = vec![json!({"role": "user", "content": format!("{tag}: {long}")})];
        for n in 0..turn {
            messages.push(json!({"role": "assistant", "content": format!("yes {n}")}));
            messages.push(json!({"role": "user", "content": "and then?"}));
        }
        let answer = stack
            .payer
            .pay(&only(tag, &json!({"messages": messages})))
            .await;
        assert_eq!(by(&answer), tag);
        answer.receipt()
    };
    let mut charged = 0;
    let mut listed = 0;
    for turn in 0..=ENOUGH {
        let receipt = said("honest", turn).await;
        let amount = |name: &str| -> u128 {
            let text = receipt[name].as_str().expect("an amount");
            text.parse().expect("a number")
        };
        // USDC has six decimals, a pUSD twelve.
        charged += amount("charged") * 1_000_000;
        listed += amount("list_pusd") - amount("cache_saving_pusd");
        said("forgetful", turn).await;
    }
    for (tag, least, most) in [("honest", 0.9, 1.0), ("forgetful", 0.0, 0.0)] {
        let seen = endpoint(&stack, "shared", tag).await;
        let window = &seen["groat"]["windows"]["1d"];
        let honesty = &window["cache_honesty"];
        assert_eq!(
            honesty["samples"], ENOUGH,
            "the first turn promised nothing"
        );
        let ratio = honesty["ratio"].as_f64().expect("enough calls");
        assert!((least..=most).contains(&ratio), "{tag}: {ratio}");
        assert_eq!(seen["groat"]["markup_bps"], 500);
        assert_eq!(
            window["settle_failures"],
            json!({"ratio": 0.0, "settled": ENOUGH + 1, "failed": 0})
        );
        if tag == "honest" {
            let expected = charged as f64 / listed as f64;
            let prices = &window["price_honesty"];
            assert_eq!(prices["samples"], ENOUGH + 1);
            let told = prices["ratio"].as_f64().expect("enough calls");
            assert!((told - expected).abs() < 0.0001, "{told} is not {expected}");
            assert!((1.05..1.06).contains(&told), "{told} holds the markup");
        }
    }
    stack.reconcile().await;
}
