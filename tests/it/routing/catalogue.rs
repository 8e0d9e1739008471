//! Prices that an OpenRouter publishes itself: read live, believed with care, and kept for a start without a
//! network.

use super::{Provider, ask, by};
use crate::faults::holds;
use crate::harness::{Answer, Setup, Stack, until};
use groat::sim::{Behaviour, Dialect, SimConfig};
use serde_json::{Value, json};

/// The model as its catalogue lists it.
const LISTED: &str = "lab/shared";

/// An upstream's lines: an OpenRouter whose catalogue is read.
const UPSTREAM: &str = "dialect = \"openrouter\"\ncatalogue = true\nbill_reported_cost = true\nkey = { env = \"IT_UPSTREAM_KEY\" }";

impl Provider {
    /// Its entry with the model `shared`, which has no price here.
    fn unpriced(&self) -> String {
        let Self { name, url } = self;
        format!(
            "[[upstream]]\nname = \"{name}\"\nbase_url = \"{url}/v1\"\n{UPSTREAM}\n[[upstream.model]]\nid = \"shared\"\nupstream_id = \"{LISTED}\"\noutput_cap = 256\n"
        )
    }

    /// Writes its catalogue's entry for the model.
    async fn lists(&self, endpoints: Value) {
        let put = crate::harness::http()
            .put(format!("{}/sim/catalogue/{LISTED}", self.url))
            .header("content-type", "application/json")
            .body(json!({"id": LISTED, "endpoints": endpoints}).to_string());
        assert_eq!(put.send().await.expect("the simulator").status(), 204);
    }

    /// Waits until the gateway has read the entry so many times more.
    async fn read_again(&self, times: u64) {
        let reads = || async {
            let answer = reqwest::get(format!("{}/sim/catalogue", self.url)).await;
            let reads: Value = answer.ok()?.json().await.ok()?;
            reads[LISTED].as_u64()
        };
        let before = reads().await.unwrap_or(0);
        until("the catalogue is read again", || async {
            // The last one may have been answered and not be taken yet, so one more is waited for.
            (reads().await? > before + times).then_some(())
        })
        .await;
    }
}

fn endpoint(tag: &str, prompt: &str, completion: &str, cache_read: Option<&str>) -> Value {
    let mut pricing = json!({"prompt": prompt, "completion": completion});
    if let Some(cache_read) = cache_read {
        pricing["input_cache_read"] = json!(cache_read);
    }
    json!({
        "tag": tag, "status": 0, "context_length": 100_000, "max_completion_tokens": 4096,
        "pricing": pricing, "supported_parameters": ["tools", "top_k"],
    })
}

/// The usual three.
fn usual() -> Value {
    json!([
        endpoint("a", "0.0000003", "0.0000010", Some("0.00000003")),
        endpoint("b", "0.0000002", "0.0000012", Some("0.00000004")),
        endpoint("c", "0.0000001", "0.0000004", Some("0.00000001")),
    ])
}

/// A gateway before an OpenRouter that plays this model at these prices.
async fn stack(provider: &Provider) -> Stack {
    Stack::with(setup(provider)).await
}

fn setup(provider: &Provider) -> Setup {
    Setup {
        upstreams: provider.unpriced(),
        gateway: "catalogue_every_ms = 100",
        environment: vec![("IT_UPSTREAM_KEY", "a key of the tests".to_owned())],
        ..Setup::default()
    }
}

/// A provider that answers the model by its listed name, and lists it so.
async fn provider(name: &'static str, endpoints: Value) -> Provider {
    provider_as(name, endpoints, Behaviour::default()).await
}

async fn provider_as(name: &'static str, endpoints: Value, behaviour: Behaviour) -> Provider {
    let behaviour = Behaviour {
        dialect: Dialect::OpenRouter,
        output_price: 1_000_000,
        ..behaviour
    };
    let config = SimConfig {
        model: [(LISTED.to_owned(), behaviour)].into(),
        ..SimConfig::default()
    };
    let provider = Provider::start_with(name, config).await;
    provider.lists(endpoints).await;
    provider
}

/// The name of the price rows that an unpaid call is offered at.
async fn rows(stack: &Stack) -> String {
    let challenge = stack.payer.challenge(&ask(&json!({}))).await;
    let offer = challenge.accepts.first().expect("an offer");
    offer.extra_text("priceRow").expect("rows").to_owned()
}

async fn other_rows_than(stack: &Stack, before: &str) -> String {
    until("other prices are in force", || async {
        let now = rows(stack).await;
        (now != before).then_some(now)
    })
    .await
}

#[tokio::test]
async fn a_model_is_quoted_at_its_catalogues_dearest_and_billed_at_what_it_cost() {
    let router = provider("router", usual()).await;
    let stack = stack(&router).await;
    let answer = stack.payer.pay(&ask(&json!({}))).await;
    assert_eq!(by(&answer), "router");
    let receipt = answer.receipt();
    holds(&receipt);
    assert_eq!(
        receipt["price_row"],
        json!({"prompt": "300000", "completion": "1200000", "cache_read": "40000", "tiers": []})
    );
    let cost = receipt["reported_cost_pusd"].as_str();
    let cost = cost.and_then(|cost| cost.parse::<u64>().ok());
    assert!(cost.expect("a cost") > 0);

    // What the caller limits by price is OpenRouter's to obey, which knows its endpoints apart.
    let limited = ask(
        &json!({"provider": {"max_price": {"prompt": 0.15}, "require_parameters": true}, "top_k": 3}),
    );
    assert_eq!(by(&stack.payer.pay(&limited).await), "router");
    let sent = router.last_body().await;
    assert_eq!(sent["provider"]["max_price"]["prompt"], 0.15);
    let seen = router.seen().await;
    let read_with = |headers: &[(String, String)]| {
        headers
            .iter()
            .any(|(_, v)| v == "Bearer a key of the tests")
    };
    assert!(read_with(&seen.calls[0].headers));

    // What nobody lists is not sold, and not given away.
    let mut other = json!({"model": "lab/other", "messages": []});
    other["max_tokens"] = json!(1);
    let unknown = Answer::of(stack.payer.post(&other.to_string())).await;
    assert_eq!(unknown.expect("an answer").status, 404);
    stack.reconcile().await;
}

#[tokio::test]
async fn rule_9_a_quote_given_before_a_catalogue_changed_is_kept_or_bettered() {
    let router = provider("router", usual()).await;
    let stack = stack(&router).await;
    let (body, before) = (ask(&json!({})), rows(&stack).await);
    let payment = stack.payer.payment(&body).await;
    router
        .lists(json!([
            endpoint("a", "0.0000006", "0.0000024", None),
            endpoint("b", "0.0000002", "0.0000002", None)
        ]))
        .await;
    let after = other_rows_than(&stack, &before).await;
    let kept = stack.payer.send(&body, &payment).await.expect("an answer");
    let kept = stack.receipt(&kept.call()).await;
    holds(&kept);
    assert_eq!(kept["price_row"]["prompt"], "300000", "as it was quoted");
    let anew = stack.payer.pay(&body).await.receipt();
    assert_eq!(anew["price_row"]["prompt"], "600000");
    assert_eq!(anew["price_row"]["cache_read"], "unknown", "never nothing");

    // The configuration that is read anew says nothing of this price, and keeps it.
    stack
        .gateway
        .rewrite_config(|config| config.replace("prompt = \"0.28\"", "prompt = \"0.29\""));
    stack.gateway.signal("HUP").await;
    until("the configuration is read anew", || async {
        stack
            .gateway
            .log()
            .contains("the prices were read anew")
            .then_some(())
    })
    .await;
    assert_eq!(rows(&stack).await, after);
    stack.reconcile().await;
}

#[tokio::test]
async fn rule_11_what_a_catalogue_cannot_mean_is_refused_and_the_last_good_price_stays() {
    let router = provider("router", usual()).await;
    let stack = stack(&router).await;
    let good = rows(&stack).await;
    let nonsense = [
        json!([]),
        json!([endpoint("a", "0", "0", None)]),
        json!([endpoint("a", "-1", "-1", None)]),
        json!([endpoint("a", "0.3", "1.2", None)]),
        json!([{"tag": "a", "pricing": {"prompt": "0.0000003"}}]),
        json!(["a", "b"]),
        json!({"a": 1}),
    ];
    for endpoints in nonsense {
        let before = stack.gateway.log().len();
        router.lists(endpoints.clone()).await;
        router.read_again(1).await;
        assert_eq!(rows(&stack).await, good, "{endpoints}");
        let said = stack.gateway.log().split_off(before);
        assert!(
            said.contains("what was known of it stays"),
            "{endpoints}: {said}"
        );
        assert!(said.contains(LISTED), "{said}");
    }
    assert_eq!(by(&stack.payer.pay(&ask(&json!({}))).await), "router");
    stack.reconcile().await;
}

#[tokio::test]
async fn a_catalogue_that_shrinks_is_believed_the_second_time() {
    let router = provider("router", usual()).await;
    let stack = stack(&router).await;
    let before = rows(&stack).await;
    router
        .lists(json!([endpoint("c", "0.0000001", "0.0000004", None)]))
        .await;
    other_rows_than(&stack, &before).await;
    let doubted = "it is believed when it is read once more";
    assert_eq!(stack.gateway.log().matches(doubted).count(), 1);
}

#[tokio::test]
async fn a_start_without_a_network_has_the_last_good_prices() {
    let router = provider("router", usual()).await;
    let mut stack = stack(&router).await;
    let good = rows(&stack).await;
    stack.reconcile().await;
    stack.gateway.kill_9().await;
    // A port where nobody listens.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr());
    let nobody = format!("http://{}", nobody.expect("a port"));
    let url = router.url.clone();
    stack
        .gateway
        .rewrite_config(|config| config.replace(&format!("{url}/v1"), &format!("{nobody}/v1")));
    stack.gateway.start("").await;
    assert_eq!(rows(&stack).await, good);

    // It is the name of the upstream that they are remembered by.
    stack.gateway.kill_9().await;
    stack
        .gateway
        .rewrite_config(|config| config.replace("\"router\"", "\"another\""));
    stack.gateway.start("").await;
    let body = ask(&json!({}));
    let answer = Answer::of(stack.payer.post(&body))
        .await
        .expect("an answer");
    assert_eq!(
        (answer.status.as_u16(), answer.code().as_str()),
        (404, "model_not_found")
    );
    assert!(stack.gateway.log().contains("no price of it could be read"));

    // All else is sold meanwhile, and this as soon as its catalogue answers.
    assert_eq!(
        stack.payer.pay(&ask(&json!({"model": "m"}))).await.status,
        200
    );
    stack
        .gateway
        .rewrite_config(|config| config.replace(&format!("{nobody}/v1"), &format!("{url}/v1")));
    stack.gateway.signal("HUP").await;
    let answer = until("the model is there", || async {
        let answer = Answer::of(stack.payer.post(&body)).await.ok()?;
        (answer.status == 402).then_some(answer)
    })
    .await;
    assert!(answer.header("payment-required").is_some());
    assert_eq!(by(&stack.payer.pay(&body).await), "another");
    stack.reconcile().await;
}

#[tokio::test]
async fn until_endpoints_show_how_fast_they_are_their_catalogue_is_believed() {
    let fast = |latency: Value, speed: u64| {
        let mut one = endpoint("a", "0.0000003", "0.000001", None);
        one["latency_last_30m"] = json!({"p50": latency});
        one["throughput_last_30m"] = json!({"p50": speed});
        json!([one])
    };
    // Each is as fast as is said of it, so that a call that learns of the other changes nothing.
    let at = |tokens_per_second| Behaviour {
        tokens_per_second,
        ..Behaviour::default()
    };
    // Milliseconds here, seconds there.
    let (slow, quick) = (
        provider_as("slow", fast(json!(2_000), 900), at(900)).await,
        provider_as("quick", fast(json!(0.25), 200), at(200)).await,
    );
    let stack = Stack::with(Setup {
        upstreams: [slow.unpriced(), quick.unpriced()].concat(),
        ..setup(&slow)
    })
    .await;
    slow.read_again(1).await;
    quick.read_again(1).await;
    // An answer in one piece shows no latency. One call in twenty is left to chance.
    for (sort, expected) in [("throughput", "slow"), ("latency", "quick")] {
        let body = ask(&json!({"provider": {"sort": sort}}));
        let mut first = Vec::new();
        for _ in 0..16 {
            first.push(by(&stack.payer.pay(&body).await));
        }
        let times = first.iter().filter(|by| *by == expected).count();
        assert!(times >= 12, "{sort}: {first:?}");
    }
    stack.reconcile().await;
}
