//! A model that is priced at nothing needs no payment: its calls are forwarded, metered and receipted, and
//! nothing moves. What is only cheap, or not priced, is not free.

use crate::channels::client::Client;
use crate::clients::{AT_ONCE, Program};
use crate::faults::{holds, units};
use crate::harness::{Answer, Setup, Stack, chat, ended, groat, printed, until};
use futures::{StreamExt, stream};
use reqwest::StatusCode;
use serde_json::{Value, json};

const FREE: &str = r#"prompt = "0", completion = "0", cache_read = "0""#;

async fn stack() -> Stack {
    Stack::with(Setup {
        models: vec![
            ("free", "sim/small"),
            ("free-slow", "sim/small?delay=1500"),
            ("free-broken", "sim/fail-500"),
            ("bare", "sim/small"),
            ("half", "sim/small"),
            ("tiered", "sim/small"),
        ],
        prices: vec![
            ("free", FREE),
            ("free-slow", FREE),
            ("free-broken", FREE),
            ("bare", r#"prompt = "0", completion = "0""#),
            ("half", r#"prompt = "0", completion = "0.40""#),
            (
                "tiered",
                r#"prompt = "0", completion = "0", tier = [{ above_prompt_tokens = 2000, prompt = "1" }]"#,
            ),
        ],
        gateway: "free_calls_max = 2",
        ..Setup::default()
    })
    .await
}

async fn ask(stack: &Stack, body: &str) -> Answer {
    let asked = Answer::of(stack.payer.post(body)).await;
    asked.expect("an answer")
}

/// The relayer's transactions, and the payer's tokens.
async fn moved(stack: &Stack) -> (alloy::primitives::U64, u64) {
    let relayer = stack.chain.relayer_key.address();
    let rpc = &stack.chain.rpc;
    let count = rpc
        .request("eth_getTransactionCount", (relayer, "latest"))
        .await;
    let left = stack.balance(stack.payer.key.address()).await;
    (count.expect("a count"), left)
}

#[tokio::test]
async fn a_call_that_costs_nothing_is_answered_and_receipted_without_a_payment() {
    let stack = stack().await;
    let before = moved(&stack).await;
    let mut calls = Vec::new();
    for (model, streamed) in [("free", false), ("free", true), ("bare", false)] {
        // The same again is another call: nobody paid for an answer that could be asked for again.
        for _ in 0..2 {
            let answer = ask(&stack, &chat(model, "hello", streamed)).await;
            assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
            assert_eq!(answer.header("payment-response"), None);
            let receipt = answer.receipt();
            holds(&receipt);
            assert_eq!(receipt["rail"], "free", "{receipt}");
            assert_eq!(receipt["usage_source"], "reported", "{receipt}");
            assert!(receipt["usage"]["output"].as_u64() > Some(0), "{receipt}");
            for nothing in ["ceiling", "held", "charged", "credited"] {
                assert_eq!(units(&receipt, nothing), 0, "{nothing}: {receipt}");
            }
            assert_eq!(receipt["settlement"]["status"], "none");
            assert_eq!(stack.receipt(&answer.call()).await, receipt);
            calls.push(answer.call());
        }
    }
    calls.sort();
    calls.dedup();
    assert_eq!(calls.len(), 6);
    assert_eq!(stack.seen().await.total, 6);
    let broken = ask(&stack, &chat("free-broken", "hello", false)).await;
    assert_eq!(broken.status, StatusCode::BAD_GATEWAY, "{broken:?}");
    let report = stack.reconcile().await;
    assert_eq!(report["calls"], 7, "{report}");
    assert_eq!(moved(&stack).await, before, "nothing moved");
}

#[tokio::test]
async fn rule_11_only_what_is_priced_at_nothing_throughout_is_free() {
    let stack = stack().await;
    for body in [chat("half", "hello", false), chat("m", "hello", true)] {
        let answer = ask(&stack, &body).await;
        assert_eq!(answer.status, StatusCode::PAYMENT_REQUIRED, "{answer:?}");
    }
    // Only what the upper tier says can cost anything there.
    let long = chat("tiered", &"a long question ".repeat(500), false);
    let answer = ask(&stack, &long).await;
    assert_eq!(answer.status, StatusCode::PAYMENT_REQUIRED, "{answer:?}");
    assert_eq!(stack.seen().await.total, 0);
    let short = ask(&stack, &chat("tiered", "hello", false)).await;
    assert_eq!(short.status, StatusCode::OK, "{}", short.body);
    let mut asks_nothing: Value = serde_json::from_str(&chat("half", "hello", false)).expect("one");
    asks_nothing["max_tokens"] = json!(0);
    let answer = ask(&stack, &asks_nothing.to_string()).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{answer:?}");
}

#[tokio::test]
async fn a_payment_that_nobody_asked_for_is_not_taken() {
    let stack = stack().await;
    let before = moved(&stack).await;
    let dear = chat("m", "hello", false);
    let payment = stack.payer.payment(&dear).await;
    let given = stack
        .payer
        .send(&chat("free", "hello", false), &payment)
        .await;
    let given = given.expect("an answer");
    assert_eq!(given.status, StatusCode::OK, "{}", given.body);
    assert_eq!(given.receipt()["rail"], "free");
    assert_eq!(moved(&stack).await, before);
    let bought = stack.payer.send(&dear, &payment).await.expect("an answer");
    assert_eq!(
        bought.status,
        StatusCode::OK,
        "it is still good: {bought:?}"
    );
    assert_ne!(bought.receipt()["rail"], "free");
    let unreadable = stack.payer.send(&chat("free", "hello", false), "?").await;
    let unreadable = unreadable.expect("an answer");
    assert_eq!(unreadable.status, StatusCode::PAYMENT_REQUIRED);
    assert_eq!(
        unreadable.header("payment-required"),
        None,
        "nothing to pay"
    );
    stack.reconcile().await;
}

#[tokio::test]
async fn rule_13_calls_that_cost_nothing_leave_room_for_those_that_are_paid() {
    let stack = stack().await;
    let (one, two) = (
        chat("free-slow", "one", false),
        chat("free-slow", "two", true),
    );
    let answers = async { tokio::join!(ask(&stack, &one), ask(&stack, &two)) };
    let meanwhile = async {
        until("both places are taken", || async {
            let ready = stack
                .payer
                .client
                .get(format!("{}/readyz", stack.payer.url));
            let ready: Value = ready.send().await.ok()?.json().await.ok()?;
            (ready["calls_running"] == 2).then_some(())
        })
        .await;
        let third = ask(&stack, &chat("free", "three", false)).await;
        assert_eq!(third.status, StatusCode::SERVICE_UNAVAILABLE, "{third:?}");
        assert_eq!(third.code(), "busy");
        let paid = stack.payer.pay(&chat("m", "paid", false)).await;
        assert_eq!(paid.status, StatusCode::OK, "{}", paid.body);
    };
    let ((one, two), ()) = tokio::join!(answers, meanwhile);
    assert_eq!((one.status, two.status), (StatusCode::OK, StatusCode::OK));
    let later = ask(&stack, &chat("free", "later", false)).await;
    assert_eq!(later.status, StatusCode::OK, "{later:?}");
    stack.reconcile().await;
}

#[tokio::test]
async fn a_stop_voids_a_free_call_like_any_other() {
    let mut stack = stack().await;
    let body = chat("free-slow", "hello", false);
    let asked = tokio::spawn(stack.payer.post(&body).send());
    until("it runs", || async {
        (stack.report().await["calls"] == 1).then_some(())
    })
    .await;
    stack.gateway.kill_9().await;
    let cut = asked.await.expect("no panic");
    assert!(cut.is_err(), "{cut:?}");
    stack.gateway.start("").await;
    let report = stack.reconcile().await;
    assert_eq!(report["calls"], 1, "{report}");
}

#[tokio::test]
async fn a_look_at_the_paid_route_shows_what_is_paid_for() {
    let mut stack = stack().await;
    // The first model of the list, which is in order of names, costs nothing.
    let probed = Client::new(&stack).probe().await;
    assert!(probed.accepts.iter().all(|offer| !offer.amount.is_zero()));
    stack.gateway.kill_9().await;
    stack.gateway.rewrite_config(|config| {
        let free = |line: &str| match line.starts_with("price = ") {
            true => format!("price = {{ {FREE} }}\n"),
            false => format!("{line}\n"),
        };
        config.lines().map(free).collect()
    });
    stack.gateway.start("").await;
    let url = format!("{}/v1/chat/completions", stack.payer.url);
    let answer = Answer::of(stack.payer.client.get(url)).await.expect("one");
    assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{answer:?}");
    let checked = ended(
        groat(&["check", "--config"])
            .arg(stack.folder.path().join("groat.toml"))
            .envs([
                ("IT_RELAYER_KEY", KEY),
                ("IT_PAYOUT_KEY", KEY),
                ("IT_RECEIPT_KEY", KEY),
                ("IT_ADMIN_TOKEN", "a token"),
            ]),
    )
    .await;
    let (said, complaint) = printed(&checked);
    assert!(checked.status.success(), "{complaint}");
    assert!(said.contains("note: free: it costs nothing"), "{said}");
}

/// Anybody's.
const KEY: &str = "0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d";

#[tokio::test]
async fn published_clients_are_answered_without_signing_anything() {
    let stack = stack().await;
    let before = moved(&stack).await;
    let programs = [
        Program::Node("x402-fetch-v2"),
        Program::Node("x402-fetch-v1"),
        Program::Node("x402-axios"),
        Program::Node("openai-sdk"),
        Program::Python("x402_httpx"),
        Program::Python("x402_requests"),
        Program::Python("openai_sdk"),
        Program::Rust,
    ];
    let calls = programs
        .iter()
        .flat_map(|program| ["whole", "stream"].map(|mode| (*program, mode)));
    let said = stream::iter(calls).map(|(program, mode)| {
        let stack = &stack;
        async move {
            let said = program
                .run_with(stack, "free", &[mode, "What is a groat?"], &[])
                .await;
            (program, mode, said)
        }
    });
    let said: Vec<_> = said.buffer_unordered(AT_ONCE).collect().await;
    for (program, mode, said) in &said {
        let said = said
            .as_ref()
            .unwrap_or_else(|problem| panic!("{program:?} {mode}: {problem}"));
        assert_eq!(said["status"], 200, "{said}");
        assert_eq!(said["payment_response"], Value::Null, "{said}");
        assert_eq!(said["usage"]["receipt"]["charged"], "0", "{said}");
    }
    let wallet = ended(
        groat(&["pay", "--url", &stack.payer.url, "-m", "free", "Hello"]).env(
            "GROAT_WALLET_KEY",
            format!("{:#x}", stack.chain.payer_key.to_bytes()),
        ),
    )
    .await;
    let (printed, complaint) = printed(&wallet);
    assert!(wallet.status.success(), "{complaint}");
    assert!(printed.contains("quote: nothing"), "{printed}");
    assert_eq!(moved(&stack).await, before, "nothing moved");
    let report = stack.reconcile().await;
    assert_eq!(report["calls"], said.len() + 1, "{report}");
}
