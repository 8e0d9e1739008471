//! Conversations stay where their caches are warm: on the endpoint, on the key, and over a restart.

use super::{Provider, ask, by, stack};
use crate::harness::{Answer, Setup, Stack, until};
use groat::sim::SimConfig;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

const PRICE: &str = r#"price = { prompt = "1", completion = "1", cache_read = "0.1" }"#;
const POOL: &str = r#"keys = [{ env = "IT_KEY_A" }, { env = "IT_KEY_B", weight = 2 }]"#;

fn keys() -> Vec<(&'static str, String)> {
    let key = |name, value: &str| (name, value.to_owned());
    vec![key("IT_KEY_A", "key a"), key("IT_KEY_B", "key b")]
}

/// A paid call of a conversation that its client names.
async fn say(stack: &Stack, conversation: &str, body: &str) -> Answer {
    let payment = stack.payer.payment(body).await;
    let request = stack.payer.post(body);
    let request = request.header("x-session-id", conversation);
    let answer = Answer::of(request.header("payment-signature", payment)).await;
    answer.expect("an answer")
}

/// What the provider was told, by conversation: keys, and the names of the conversation.
async fn told(provider: &Provider) -> BTreeMap<String, (BTreeSet<String>, BTreeSet<String>)> {
    let mut told: BTreeMap<String, (BTreeSet<String>, BTreeSet<String>)> = BTreeMap::new();
    for call in provider.seen().await.calls {
        let header = |name: &str| {
            let found = call.headers.iter().find(|(n, _)| n == name);
            found.unwrap_or_else(|| panic!("no {name}")).1.clone()
        };
        let (keys, names) = told.entry(header("x-session-id")).or_default();
        keys.insert(header("authorization"));
        names.insert(header("x-session-affinity"));
    }
    told
}

#[tokio::test]
async fn a_conversation_keeps_its_key_and_its_name_over_a_restart() {
    let provider = Provider::start("pool").await;
    let mut stack = Stack::with(Setup {
        upstreams: provider.entry(POOL, "sim/small", PRICE),
        environment: keys(),
        ..Setup::default()
    })
    .await;
    for round in 0..2 {
        for turn in 0..2 {
            for conversation in 0..12 {
                let body = ask(&json!({"seed": round * 10 + turn}));
                let answer = say(&stack, &format!("talk {conversation}"), &body).await;
                assert_eq!(by(&answer), "pool");
            }
        }
        stack.reconcile().await;
        assert!(stack.gateway.terminate().await);
        stack.gateway.start("").await;
    }
    let told = told(&provider).await;
    assert_eq!(told.len(), 12);
    let mut keys = BTreeSet::new();
    let mut names = BTreeSet::new();
    for (conversation, (own_keys, own_names)) in told {
        assert_eq!(own_keys.len(), 1, "{conversation} changed its key");
        assert_eq!(own_names.len(), 1, "{conversation} changed its name");
        keys.extend(own_keys);
        names.extend(own_names);
    }
    assert_eq!(keys.len(), 2, "both keys are used: {keys:?}");
    assert_eq!(names.len(), 12, "no two conversations have one name");
    let payer = stack.payer.key.address().to_string().to_lowercase();
    let payer = payer.trim_start_matches("0x");
    assert!(names.iter().all(|name| !name.contains(payer)));
}

#[tokio::test]
async fn a_key_that_is_refused_is_left_alone_for_another() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let config = SimConfig {
        key: Some("key b".to_owned().into()),
        ..SimConfig::default()
    };
    tokio::spawn(groat::sim::serve(listener, config, std::future::pending()));
    let provider = Provider { name: "pool", url };
    let stack = Stack::with(Setup {
        upstreams: provider.entry(POOL, "sim/small", PRICE),
        environment: keys(),
        ..Setup::default()
    })
    .await;
    for n in 0..8 {
        let answer = say(&stack, &format!("talk {n}"), &ask(&json!({}))).await;
        assert_eq!(by(&answer), "pool");
    }
    let calls = provider.seen().await.calls;
    let refused = calls.iter().filter(|call| call.status == 401).count();
    assert!(refused <= 1, "it was asked {refused} times");
    stack.reconcile().await;
}

#[tokio::test]
async fn a_warm_endpoint_is_left_when_that_pays_and_not_before() {
    let (here, there) = (
        Provider::start("here").await,
        Provider::start("there").await,
    );
    let price = |prompt: &str| {
        format!("price = {{ prompt = \"{prompt}\", completion = \"0.01\", cache_read = \"0.10\" }}")
    };
    let upstreams = [
        here.entry("", "sim/small", &price("1.00")),
        there.entry("", "sim/small", &price("1.50")),
    ];
    let stack = stack(&upstreams).await;
    let long = "a long beginning ".repeat(200);
    let body = |n: usize| {
        let mut messages = vec![json!({"role": "user", "content": long})];
        for _ in 0..n {
            messages.push(json!({"role": "assistant", "content": "yes"}));
            messages.push(json!({"role": "user", "content": "and then?"}));
        }
        ask(&json!({"messages": messages}))
    };
    for turn in 0..3 {
        assert_eq!(by(&say(&stack, "old", &body(turn)).await), "here");
    }
    let reprice = async |from: &str, to: &str, ceiling: &dyn Fn(u128, u128) -> bool| {
        let offered = async || {
            let challenge = stack.payer.challenge(&body(3)).await;
            challenge.accepts[0].amount.atomic()
        };
        let before = offered().await;
        let (from, to) = (price(from), price(to));
        stack
            .gateway
            .rewrite_config(|config| config.replace(&from, &to));
        stack.gateway.signal("HUP").await;
        until("the prices are in force", async || {
            ceiling(before, offered().await).then_some(())
        })
        .await;
    };
    reprice("1.50", "0.98", &|before, now| now < before).await;
    assert_eq!(
        by(&say(&stack, "new", &body(0)).await),
        "there",
        "a little cheaper"
    );
    assert_eq!(
        by(&say(&stack, "old", &body(3)).await),
        "here",
        "it is warm here"
    );
    reprice("1.00", "30.00", &|before, now| now > before).await;
    assert_eq!(
        by(&say(&stack, "old", &body(4)).await),
        "there",
        "now that pays"
    );
    stack.reconcile().await;
}

#[tokio::test]
async fn a_402_tells_what_is_probable_beside_the_most() {
    let provider = Provider::start("one").await;
    let stack = stack(&[provider.entry("", "sim/small", PRICE)]).await;
    let long = "a long beginning ".repeat(400);
    let quote = async |messages: Value| {
        let body = ask(&json!({"messages": messages}));
        let answer = Answer::of(stack.payer.post(&body))
            .await
            .expect("an answer");
        assert_eq!(answer.status, 402, "{}", answer.body);
        let text = answer.header("groat-quote").expect("a quote").to_owned();
        let member = |name: &str| {
            let value = text.split(", ").find_map(|part| part.strip_prefix(name));
            let value = value.unwrap_or_else(|| panic!("no {name} in {text}"));
            value.trim_matches('"').parse::<f64>().expect("a number")
        };
        let offer = stack.payer.challenge(&body).await.accepts[0]
            .amount
            .atomic();
        assert!(
            (member("ceiling=") * 1e6 - offer as f64).abs() < 0.5,
            "{text}"
        );
        assert!(member("expected=") < member("ceiling="), "{text}");
        (member("expected="), member("cached-tokens="))
    };
    let first = json!([{"role": "user", "content": long}]);
    let later = json!([
        {"role": "user", "content": long},
        {"role": "assistant", "content": "yes"},
        {"role": "user", "content": "go on"},
    ]);
    let (cold, none) = quote(first).await;
    let (warm, cached) = quote(later).await;
    assert!(warm < cold, "{warm} {cold}");
    assert!(none < 1.0 && cached > 1000.0, "{none} {cached}");
}
