//! Agents' conversations, turn by turn, over endpoints with caches: by the list price, at random, and by
//! Groat's own order. `docs/routing.md` has a run's table.

use super::llama::Llama;
use super::{Provider, by};
use crate::harness::{Setup, Stack};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The ways of choosing, Groat's own last.
const ARMS: [&str; 3] = ["by list price", "at random", "Groat's"];

/// Name, what it does, and a price row of glm-5.1 as three providers list it: the cheapest has no cache.
const SIMULATED: [(&str, &str, &str); 3] = [
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

/// The same of llama.cpp: name, arguments, price row.
const REAL: [(&str, &[&str], &str); 2] = [
    (
        "plain",
        &["--no-cache-prompt", "--cache-ram", "0"],
        r#"prompt = "0.09", completion = "0.20""#,
    ),
    (
        "caching",
        &[],
        r#"prompt = "0.10", completion = "0.20", cache_read = "0.01""#,
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

/// What agents do.
#[derive(Debug)]
struct Play {
    model: &'static str,
    endpoints: Vec<&'static str>,
    agents: usize,
    turns: usize,
    /// How often a sentence stands in an agent's instructions, and in a tool's result.
    instructions: usize,
    result: usize,
    max_tokens: u64,
}

/// What one way of choosing came to.
#[derive(Debug, Default)]
struct Arm {
    calls: usize,
    prompt: u64,
    cached: u64,
    pusd: u128,
    endpoints: BTreeSet<String>,
}

impl Play {
    /// An agent's request: a long beginning of its own, and the turns so far.
    fn request(&self, arm: &str, n: usize, turns: &[String], dice: &mut StdRng) -> String {
        let instructions = "Use the tools as you are told. ".repeat(self.instructions);
        let mut messages = vec![
            json!({"role": "system", "content": format!("{arm} agent {n}. {instructions}")}),
            json!({"role": "user", "content": format!("Do task {n}.")}),
        ];
        for (turn, answer) in turns.iter().enumerate() {
            messages.push(json!({"role": "assistant", "content": answer}));
            let result = format!("Result {turn} of the tool. ").repeat(self.result);
            messages.push(json!({"role": "user", "content": result}));
        }
        let mut body =
            json!({"model": self.model, "messages": messages, "max_tokens": self.max_tokens});
        if let Some(provider) = self.provider(arm, dice) {
            body["provider"] = provider;
        }
        body.to_string()
    }

    /// The `provider` member of a call, by the way of choosing.
    fn provider(&self, arm: &str, dice: &mut StdRng) -> Option<Value> {
        match arm {
            "by list price" => Some(json!({"sort": "price"})),
            "at random" => {
                let mut order = self.endpoints.clone();
                order.shuffle(dice);
                Some(json!({"order": order}))
            }
            _ => None,
        }
    }

    async fn arm(&self, stack: &Stack, arm: &str) -> Arm {
        let mut sum = Arm::default();
        let mut talks = vec![Vec::new(); self.agents];
        // Chance, but the same each time.
        let mut dice = StdRng::seed_from_u64(4);
        for _ in 0..self.turns {
            for (n, turns) in talks.iter_mut().enumerate() {
                let request = self.request(arm, n, turns, &mut dice);
                let answer = stack.payer.pay(&request).await;
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

    /// Plays it in every way, prints the rows of the table, and holds what must be true of them all: the
    /// list price chooses one endpoint without a cache, and Groat one that has it and is cheapest by far.
    #[expect(
        clippy::print_stderr,
        reason = "the table of a run is what the documents show"
    )]
    async fn run(&self, stack: &Stack) -> [Arm; 3] {
        let mut arms = Vec::new();
        for arm in ARMS {
            arms.push(self.arm(stack, arm).await);
        }
        eprintln!("| model | order | calls | prompt tokens | cached | share | spent (USD) |");
        eprintln!("|---|---|---|---|---|---|---|");
        for (arm, sum) in ARMS.iter().zip(&arms) {
            let share = 100.0 * sum.cached as f64 / sum.prompt as f64;
            let usd = sum.pusd as f64 / 1e12;
            eprintln!(
                "| {} | {arm} | {} | {} | {} | {share:.1} % | {usd:.6} |",
                self.model, sum.calls, sum.prompt, sum.cached
            );
        }
        let arms: [Arm; 3] = arms.try_into().expect("three arms");
        let [list, random, own] = &arms;
        assert_eq!((list.cached, list.endpoints.len()), (0, 1));
        assert_eq!(
            own.endpoints.len(),
            1,
            "nobody left a warm endpoint: {own:?}"
        );
        assert!(random.cached < own.cached, "{random:?} {own:?}");
        assert!(own.pusd < random.pusd, "{own:?} {random:?}");
        assert!(own.pusd < list.pusd, "{own:?} {list:?}");
        stack.reconcile().await;
        arms
    }
}

async fn stack(upstreams: String) -> Stack {
    Stack::with(Setup {
        settler: true,
        payment: PAYMENT,
        upstreams,
        ..Setup::default()
    })
    .await
}

#[tokio::test]
async fn a_conversation_costs_least_where_its_cache_is_kept_warm() {
    let mut upstreams = String::new();
    for (name, upstream_id, price) in SIMULATED {
        let provider = Provider::start(name).await;
        upstreams += &provider.entry("", upstream_id, &format!("price = {{ {price} }}"));
    }
    let play = Play {
        model: "shared",
        endpoints: SIMULATED.map(|(name, ..)| name).to_vec(),
        agents: 34,
        turns: 15,
        instructions: 160,
        result: 12,
        max_tokens: 64,
    };
    let [list, _, own] = play.run(&stack(upstreams).await).await;
    assert!(own.cached * 100 > own.prompt * 80, "{own:?}");
    assert!(own.pusd * 2 < list.pusd, "{own:?} {list:?}");
}

/// The caches are real, and so is what they make of a prompt: two servers with one model, of which the
/// cheaper one by the list keeps nothing.
#[tokio::test]
async fn a_real_models_conversation_costs_least_where_its_cache_is_kept_warm() {
    let mut servers = Vec::new();
    let mut upstreams = String::new();
    for (name, arguments, price) in REAL {
        let server = Llama::start(name, arguments).await;
        upstreams += &server.entry(price);
        servers.push(server);
    }
    let play = Play {
        model: "real",
        endpoints: REAL.map(|(name, ..)| name).to_vec(),
        agents: 2,
        turns: 5,
        instructions: 16,
        result: 6,
        max_tokens: 8,
    };
    let [_, _, own] = play.run(&stack(upstreams).await).await;
    assert_eq!(own.endpoints, BTreeSet::from(["caching".to_owned()]));
    assert!(own.cached * 2 > own.prompt, "{own:?}");
}
