//! The SDKs of the routes' own inventors, and those of a router's callers: whole, streamed and with a tool.

use super::program::{AT_ONCE, Program};
use crate::harness::{Answer, Setup, Stack};
use crate::routes::ALL;
use futures::{StreamExt, stream};
use groat::metering::Route;
use groat::protocol::receipt::verify;
use serde_json::Value;

/// One call through an SDK.
#[derive(Debug, Clone, Copy)]
struct Call {
    program: Program,
    route: Route,
    mode: &'static str,
    tool: bool,
    /// Whether the SDK shows members of the usage that it does not know.
    shows_receipt: bool,
}

/// Each way of calling a program: whole and streamed, without a tool and with one.
fn ways(program: Program, route: Route, shows_receipt: bool) -> Vec<Call> {
    let mut calls = Vec::new();
    for mode in ["whole", "stream"] {
        for tool in [false, true] {
            let fits = match route {
                Route::Embeddings => mode == "whole" && !tool,
                Route::Completions => !tool,
                Route::Chat | Route::Responses | Route::Messages => true,
            };
            if fits {
                calls.push(Call {
                    program,
                    route,
                    mode,
                    tool,
                    shows_receipt,
                });
            }
        }
    }
    calls
}

#[tokio::test]
async fn the_openai_sdk_pays_for_responses_completions_and_embeddings() {
    let program = Program::Node("openai-routes");
    let routes = [Route::Responses, Route::Completions, Route::Embeddings];
    all_pay(
        routes
            .iter()
            .flat_map(|route| ways(program, *route, true))
            .collect(),
    )
    .await;
}

#[tokio::test]
async fn the_anthropic_sdk_pays_for_messages() {
    all_pay(ways(Program::Node("anthropic-sdk"), Route::Messages, true)).await;
}

#[tokio::test]
async fn openrouters_sdks_pay_for_chat_with_provider_options() {
    let own = ways(Program::Node("openrouter-sdk"), Route::Chat, false);
    let vercel = ways(Program::Node("openrouter-ai"), Route::Chat, false);
    all_pay(own.into_iter().chain(vercel).collect()).await;
}

async fn all_pay(calls: Vec<Call>) {
    let stack = Stack::with(Setup {
        upstream: ALL,
        models: vec![("t", "sim/tool")],
        ..Setup::default()
    })
    .await;
    let count = calls.len();
    let outcomes = stream::iter(calls)
        .map(|call| pays(&stack, call))
        .buffer_unordered(AT_ONCE);
    let outcomes: Vec<Result<(), String>> = outcomes.collect().await;
    let failures: Vec<&String> = outcomes.iter().filter_map(|o| o.as_ref().err()).collect();
    assert!(failures.is_empty(), "{failures:#?}");
    let report = stack.reconcile().await;
    assert_eq!(report["calls"], count);
    let seen = stack.seen().await;
    assert_eq!(seen.total, count as u64, "one call upstream for each");
    let secret = |name: &str| ["authorization", "x-api-key", "payment-signature"].contains(&name);
    for call in &seen.calls {
        let leaked = call.headers.iter().find(|(name, _)| secret(name));
        assert_eq!(leaked, None, "a client's credential went upstream");
    }
}

async fn pays(stack: &Stack, call: Call) -> Result<(), String> {
    let prompt = format!("What is a groat? ({call:?})");
    let told = |problem: &str, said: &Value| Err(format!("{call:?}: {problem}: {said}"));
    let environment = [
        ("API", call.route.to_string()),
        ("TOOL", u8::from(call.tool).to_string()),
    ];
    let model = if call.tool { "t" } else { "m" };
    let arguments = [call.mode, prompt.as_str()];
    let said = call
        .program
        .run_with(stack, model, &arguments, &environment)
        .await
        .map_err(|problem| format!("{call:?}: {problem}"))?;
    if call.tool {
        let text = said["call"]["arguments"]["text"].as_str();
        if said["call"]["name"] != "note" || text.is_none_or(str::is_empty) {
            return told("the tool was not called", &said);
        }
    } else if said["text"].as_str().is_none_or(str::is_empty) {
        return told("there is no text", &said);
    }
    if said["payment_response"]["success"] != true {
        return told("the payment response is no success", &said);
    }
    let id = said["call_id"].as_str().unwrap_or_default();
    let url = format!("{}/v1/receipts/{id}", stack.payer.url);
    let kept = Answer::of(stack.payer.client.get(url))
        .await
        .map_err(|error| error.to_string())?;
    let Ok(verified) = verify(&kept.body) else {
        return told("no receipt is kept", &said);
    };
    let body = verified.receipt.body;
    if body.route.unwrap_or_default() != call.route {
        return told("the receipt is of another route", &said);
    }
    let shown = &said["usage"]["receipt"]["call"];
    if call.shows_receipt && *shown != body.call.as_str() {
        return told("the SDK shows no receipt", &said);
    }
    Ok(())
}
