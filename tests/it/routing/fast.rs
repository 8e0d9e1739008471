//! Endpoints ranked by how fast their own calls have shown them to be.

use super::{Provider, ask, by, stack};
use crate::harness::Stack;
use serde_json::{Value, json};

/// The same price: nothing but speed tells them apart.
const PRICE: &str = r#"price = { prompt = "1", completion = "1" }"#;

/// Ranked by speed, one call in twenty asks somebody by chance: of twelve, eight hold nearly always.
const RANKED: (usize, usize) = (12, 8);

/// What misses a preference comes last every time.
const PREFERRED: (usize, usize) = (3, 3);

/// Who answers streamed calls with these members.
async fn answering(stack: &Stack, calls: usize, members: &Value) -> Vec<String> {
    let mut body = members.clone();
    body["stream"] = json!(true);
    body["stream_options"] = json!({"include_usage": true});
    let body = ask(&body);
    let mut answered = Vec::new();
    for _ in 0..calls {
        answered.push(by(&stack.payer.pay(&body).await));
    }
    answered
}

#[tokio::test]
async fn the_first_token_and_the_speed_choose_as_calls_have_shown_them() {
    // One begins at once and goes slowly, the other thinks first and says all of it then.
    let (eager, swift) = (
        Provider::start("eager").await,
        Provider::start("swift").await,
    );
    let upstreams = [
        eager.entry("", "sim/x?tps=25&out=8", PRICE),
        swift.entry("", "sim/x?delay=150&out=8", PRICE),
    ];
    let stack = stack(&upstreams).await;
    for name in ["eager", "swift"] {
        let shown = answering(&stack, 3, &json!({"provider": {"only": [name]}})).await;
        assert_eq!(shown, [name; 3]);
    }
    for (provider, first, (calls, most)) in [
        (json!({"sort": "latency"}), "eager", RANKED),
        (json!({"sort": "throughput"}), "swift", RANKED),
        (json!({"preferred_max_latency": 0.1}), "eager", PREFERRED),
        (
            json!({"preferred_min_throughput": {"p50": 40}}),
            "swift",
            PREFERRED,
        ),
    ] {
        let members = json!({"provider": provider});
        let answered = answering(&stack, calls, &members).await;
        let times = answered.iter().filter(|by| *by == first).count();
        assert!(times >= most, "{members}: {answered:?}");
    }
    stack.reconcile().await;
}
