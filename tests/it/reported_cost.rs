//! A provider that says what a call cost: that is billed, if it can be meant, and the receipt says so.

use crate::faults::{flags, holds, units};
use crate::harness::{Answer, Setup, Stack, chat, groat, printed};
use groat::metering::Route;
use groat::sim::CallRecord;
use serde_json::{Value, json};

const UPSTREAM: &str = "dialect = \"openrouter\"\nbill_reported_cost = true\nroutes = [\"chat\", \"completions\", \"responses\", \"messages\"]";

/// The row: what a token costs at most, in 10⁻¹² USD.
const PROMPT: u128 = 280_000;
const CACHED: u128 = 28_000;
const OUTPUT: u128 = 400_000;

/// What the simulated provider takes, which is less.
const PRICES: &str = "prompt_price=200000&cached_price=20000&output_price=300000";

const MARKUP_BPS: u128 = 250;

/// A gateway before an OpenRouter that plays these models.
async fn stack(models: &[(&'static str, &str)]) -> Stack {
    let named = |(id, options): &(&'static str, &str)| {
        let name = format!("sim/openrouter?{PRICES}&out=32&{options}");
        (*id, &*name.leak())
    };
    Stack::with(Setup {
        models: models.iter().map(named).collect(),
        upstream: UPSTREAM,
        payment: "markup_bps = 250",
        ..Setup::default()
    })
    .await
}

/// What a call costs at these prices.
fn price(call: &CallRecord, [prompt, cached, output]: [u128; 3]) -> u128 {
    let (all, read) = (
        u128::from(call.prompt_tokens),
        u128::from(call.cached_tokens),
    );
    (all - read) * prompt + read * cached + u128::from(call.output_tokens) * output
}

fn pusd(receipt: &Value, name: &str) -> u128 {
    let text = receipt[name].as_str();
    let text = text.unwrap_or_else(|| panic!("no {name} in {receipt}"));
    text.parse().expect("a number")
}

fn with_markup(cost: u128) -> u128 {
    cost + (cost * MARKUP_BPS).div_ceil(10_000)
}

/// The receipt of a paid answer, which holds, and the provider's record of the call.
async fn paid(stack: &Stack, answer: &Answer) -> (Value, CallRecord) {
    assert_eq!(answer.status, 200, "{}", answer.body);
    let receipt = stack.receipt(&answer.call()).await;
    holds(&receipt);
    let seen = stack.seen().await.calls.pop().expect("a call");
    (receipt, seen)
}

#[tokio::test]
async fn rule_4_a_reported_cost_is_billed_and_recomputed_from_the_receipt() {
    // A twentieth on top is the fee for the account's own key at the provider.
    let models = [
        ("plain", "cost=plain", 100),
        ("exponent", "cost=exponent", 100),
        ("dear", "cost=dear", 150),
        ("byok", "cost=byok", 105),
    ];
    let stack = stack(&models.map(|(id, options, _)| (id, options))).await;
    for (model, _, percent) in models {
        for stream in [false, true] {
            let body = chat(model, &format!("{model} ").repeat(80), stream);
            let (receipt, seen) = paid(&stack, &stack.payer.pay(&body).await).await;
            let cost = price(&seen, [200_000, 20_000, 300_000]);
            assert_eq!(seen.cached_tokens > 0, stream, "the second call is warm");
            let expected = cost * percent / 100;
            assert_eq!(pusd(&receipt, "reported_cost_pusd"), expected, "{receipt}");
            let total = with_markup(expected);
            assert_eq!(pusd(&receipt, "total_pusd"), total);
            assert_eq!(
                u128::from(units(&receipt, "charged")),
                total.div_ceil(1_000_000)
            );
            assert_eq!(receipt["usage_source"], "reported");
            assert_eq!(receipt["usage"]["cache_read"], seen.cached_tokens);
            let by_row = price(&seen, [PROMPT, CACHED, OUTPUT]);
            let above = if expected > by_row {
                vec!["cost_above_row"]
            } else {
                vec![]
            };
            assert_eq!(flags(&receipt), above, "{model}: {expected} {by_row}");
        }
    }
    let (call, total) = {
        let answer = stack.payer.pay(&chat("plain", "hello", false)).await;
        let cost = answer.json()["usage"]["cost"].to_string();
        let (receipt, _) = paid(&stack, &answer).await;
        assert_eq!(
            answer.json()["usage"]["receipt"]["signature"],
            receipt["signature"].clone(),
            "nothing was settled meanwhile that the receipt tells of"
        );
        (answer.call(), (cost, pusd(&receipt, "total_pusd")))
    };
    let told: Value = serde_json::from_str(&total.0).expect("a number");
    let told = (told.as_f64().expect("a number") * 1e12).round();
    assert_eq!(
        told as u128, total.1,
        "the caller is told what it is billed"
    );
    let url = format!("{}/v1/receipts/{call}", stack.payer.url);
    let verified = groat(&["receipt", "verify", &url]).output().await;
    let verified = verified.expect("run groat receipt verify");
    let (said, wrong) = printed(&verified);
    assert!(verified.status.success(), "{said}{wrong}");
    assert!(said.contains("provider's price"), "{said}");
    stack.reconcile().await;
}

#[tokio::test]
async fn a_reported_cost_is_read_on_every_route() {
    let stack = stack(&[("plain", "cost=plain")]).await;
    let messages = json!([{"role": "user", "content": "hello"}]);
    for (route, own) in [
        (
            Route::Completions,
            json!({"prompt": "hello", "max_tokens": 64}),
        ),
        (
            Route::Responses,
            json!({"input": messages, "max_output_tokens": 64}),
        ),
        (
            Route::Messages,
            json!({"messages": messages, "max_tokens": 64}),
        ),
    ] {
        for stream in [false, true] {
            let mut body = own.clone();
            body["model"] = json!("plain");
            body["stream"] = json!(stream);
            let answer = stack.payer.pay_to(route, &body.to_string()).await;
            let (receipt, seen) = paid(&stack, &answer).await;
            let cost = price(&seen, [200_000, 20_000, 300_000]);
            assert_eq!(
                pusd(&receipt, "reported_cost_pusd"),
                cost,
                "{route} {stream}"
            );
            assert_eq!(pusd(&receipt, "total_pusd"), with_markup(cost));
        }
    }
    stack.reconcile().await;
}

#[tokio::test]
async fn rule_11_a_cost_that_cannot_be_meant_is_billed_by_tokens_and_flagged() {
    let models = [
        ("missing", "cost=missing", "cost_missing"),
        ("null", "cost=null", "cost_missing"),
        ("text", "cost=text", "cost_unreadable"),
        ("negative", "cost=negative", "cost_unreadable"),
        ("fee", "cost=fee", "cost_unreadable"),
        ("zero", "cost=zero", "cost_unbelievable"),
        ("absurd", "cost=absurd", "cost_unbelievable"),
    ];
    let stack = stack(&models.map(|(id, options, _)| (id, options))).await;
    for (model, _, flag) in models {
        for stream in [false, true] {
            let body = chat(model, "hello", stream);
            let (receipt, seen) = paid(&stack, &stack.payer.pay(&body).await).await;
            assert_eq!(receipt.get("reported_cost_pusd"), None, "{receipt}");
            let by_row = price(&seen, [PROMPT, CACHED, OUTPUT]);
            assert_eq!(pusd(&receipt, "total_pusd"), with_markup(by_row), "{model}");
            assert_eq!(receipt["usage_source"], "reported");
            assert!(
                flags(&receipt).contains(&flag.to_owned()),
                "{model}: {receipt}"
            );
        }
    }
    stack.reconcile().await;
}

#[tokio::test]
async fn rule_3_a_reported_cost_above_the_quote_is_charged_at_the_ceiling() {
    // Nine times the row's price of the output, which is nearly all there is.
    let stack = stack(&[("dear", "out=256&output_price=3600000")]).await;
    for stream in [false, true] {
        let body = json!({
            "model": "dear",
            "messages": [{"role": "user", "content": "hi"}],
            "max_tokens": 256,
            "stream": stream,
        });
        let body = body.to_string();
        let (receipt, seen) = paid(&stack, &stack.payer.pay(&body).await).await;
        let cost = price(&seen, [200_000, 20_000, 3_600_000]);
        assert_eq!(pusd(&receipt, "reported_cost_pusd"), cost, "{receipt}");
        assert!(cost.div_ceil(1_000_000) > u128::from(units(&receipt, "ceiling")));
        assert_eq!(receipt["charged"], receipt["ceiling"]);
        assert_eq!(flags(&receipt), ["cost_above_row", "capped_at_held"]);
    }
    stack.reconcile().await;
}

#[tokio::test]
async fn what_a_provider_says_of_an_answer_that_breaks_off_is_not_billed() {
    let stack = stack(&[("cut", "cut=3&usage_every_chunk")]).await;
    let answer = stack.payer.pay(&chat("cut", "hello", true)).await;
    let (receipt, _) = paid(&stack, &answer).await;
    assert_eq!(receipt.get("reported_cost_pusd"), None, "{receipt}");
    assert!(flags(&receipt).contains(&"upstream_cut".to_owned()));
    assert!(units(&receipt, "charged") > 0);
    stack.reconcile().await;
}
