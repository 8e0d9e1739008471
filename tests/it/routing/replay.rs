//! Agents' conversations, turn by turn, over three endpoints with caches: by the list price, at random,
//! and by Groat's own order. `docs/routing.md` has a run's table.

use super::{Provider, by};
use crate::harness::{Setup, Stack};
use rand::seq::SliceRandom;
use serde_json::{Value, json};
use std::collections::BTreeSet;

const CONVERSATIONS: usize = 12;
const TURNS: usize = 15;

/// Name, what it does, and a price row of glm-5.1 as three providers list it: the cheapest has no cache.
const PROVIDERS: [(&str, &str, &str); 3] = [
    (
        "no-cache",
        "sim/x?cache=off&out=48",
        r#"prompt = "0.975", completion = "4.30""#,
    ),
    (
        "relay",
        "sim/x?out=48",
        r#"prompt = "1.05", completion = "3.50", cache_read = "0.205""#,
    ),
    (
        "maker",
        "sim/x?out=48",
        r#"prompt = "1.40", completion = "4.40", cache_read = "0.26""#,
    ),
];

const PAYMENT: &str = r#"
rails = ["exact"]
settle = "after"
[settler]
address = "0x5e771e4000000000000000000000000000000001"
batch_max = 50
batch_wait_ms = 200
[exposure]
payer_first_usd = "100.00"
payer_max_usd = "100.00"
payer_calls = 100000
"#;

/// What one way of choosing came to.
#[derive(Debug, Default)]
struct Arm {
    calls: usize,
    prompt: u64,
    cached: u64,
    pusd: u128,
    endpoints: BTreeSet<String>,
}

/// The `provider` member of a call, by the way of choosing.
fn provider(arm: &str) -> Option<Value> {
    match arm {
        "by list price" => Some(json!({"sort": "price"})),
        "at random" => {
            let mut order: Vec<&str> = PROVIDERS.iter().map(|(name, ..)| *name).collect();
            order.shuffle(&mut rand::rng());
            Some(json!({"order": order}))
        }
        _ => None,
    }
}

/// An agent's request: a long beginning of its own, and the turns so far.
fn request(arm: &str, n: usize, turns: &[String]) -> String {
    let system =
        format!("{arm} agent {n}. ").repeat(1) + &"Use the tools as you are told. ".repeat(160);
    let mut messages = vec![
        json!({"role": "system", "content": system}),
        json!({"role": "user", "content": format!("Do task {n}.")}),
    ];
    for (turn, answer) in turns.iter().enumerate() {
        messages.push(json!({"role": "assistant", "content": answer}));
        let result = format!("Result {turn} of the tool. ").repeat(12);
        messages.push(json!({"role": "user", "content": result}));
    }
    let mut body = json!({"model": "shared", "messages": messages, "max_tokens": 64});
    if let Some(provider) = provider(arm) {
        body["provider"] = provider;
    }
    body.to_string()
}

async fn run(stack: &Stack, arm: &str) -> Arm {
    let mut sum = Arm::default();
    let mut talks = vec![Vec::new(); CONVERSATIONS];
    for _ in 0..TURNS {
        for (n, turns) in talks.iter_mut().enumerate() {
            let answer = stack.payer.pay(&request(arm, n, turns)).await;
            sum.endpoints.insert(by(&answer));
            let usage = &answer.receipt()["usage"];
            let count = |class: &str| usage[class].as_u64().expect("a count");
            sum.calls += 1;
            sum.cached += count("cache_read");
            sum.prompt += count("cache_read") + count("uncached");
            let total = answer.receipt()["total_pusd"]
                .as_str()
                .map(str::parse::<u128>);
            sum.pusd += total.expect("a total").expect("a number");
            let said = answer.json()["choices"][0]["message"]["content"].clone();
            turns.push(said.as_str().expect("an answer").to_owned());
        }
    }
    sum
}

#[tokio::test]
#[expect(
    clippy::print_stderr,
    reason = "the table of a run is what the documents show"
)]
async fn a_conversation_costs_least_where_its_cache_is_kept_warm() {
    let mut upstreams = String::new();
    for (name, upstream_id, price) in PROVIDERS {
        let provider = Provider::start(name).await;
        upstreams += &provider.entry("", upstream_id, &format!("price = {{ {price} }}"));
    }
    let stack = Stack::with(Setup {
        settler: true,
        payment: PAYMENT,
        upstreams,
        ..Setup::default()
    })
    .await;
    let mut arms = Vec::new();
    for arm in ["by list price", "at random", "Groat's"] {
        arms.push((arm, run(&stack, arm).await));
    }
    eprintln!("| order | calls | prompt tokens | cached | share | spent (USD) |");
    eprintln!("|---|---|---|---|---|---|");
    for (arm, sum) in &arms {
        let share = 100.0 * sum.cached as f64 / sum.prompt as f64;
        let usd = sum.pusd as f64 / 1e12;
        eprintln!(
            "| {arm} | {} | {} | {} | {share:.1} % | {usd:.4} |",
            sum.calls, sum.prompt, sum.cached
        );
    }
    let [(_, list), (_, random), (_, own)] = arms.as_slice() else {
        panic!("three arms")
    };
    assert_eq!((list.cached, list.endpoints.len()), (0, 1));
    assert_eq!(
        own.endpoints.len(),
        1,
        "nobody left a warm endpoint: {own:?}"
    );
    assert!(own.cached * 100 > own.prompt * 80, "{own:?}");
    assert!(random.cached < own.cached, "{random:?} {own:?}");
    assert!(own.pusd * 2 < list.pusd, "{own:?} {list:?}");
    assert!(own.pusd < random.pusd, "{own:?} {random:?}");
    stack.reconcile().await;
}
