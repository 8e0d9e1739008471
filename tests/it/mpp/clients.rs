//! The published clients, unmodified, on one endpoint.

use crate::clients::{AT_ONCE, Program};
use crate::harness::{PATIENCE, Setup, Stack, chat, tool};
use crate::routes::ALL;
use futures::{StreamExt, stream};
use serde_json::Value;
use std::process::{Output, Stdio};
use tokio::process::Command;

#[tokio::test]
async fn mppx_and_pympp_pay_whole_and_streamed_where_x402_does() {
    let stack = Stack::usual().await;
    let programs = [
        Program::Mppx("mppx-fetch"),
        Program::Python("mpp_httpx"),
        Program::Node("x402-fetch-v2"),
    ];
    let calls: Vec<(Program, &str)> = programs
        .iter()
        .flat_map(|program| [(*program, "whole"), (*program, "stream")])
        .collect();
    let said = stream::iter(calls.clone())
        .map(async |(program, mode)| {
            let prompt = format!("What is a groat? ({program:?}, {mode})");
            let said = program.run(&stack, "m", &[mode, &prompt]).await;
            (
                program,
                mode,
                said.unwrap_or_else(|problem| panic!("{program:?} {mode}: {problem}")),
            )
        })
        .buffer_unordered(AT_ONCE);
    let said: Vec<(Program, &str, Value)> = said.collect().await;
    for (program, mode, said) in &said {
        let what = format!("{program:?} {mode}: {said}");
        assert_eq!(said["status"], 200, "{what}");
        assert!(
            said["text"].as_str().is_some_and(|text| !text.is_empty()),
            "{what}"
        );
        let (told, other) = match program {
            Program::Node(_) => (&said["payment_response"], &said["payment_receipt"]),
            _ => (&said["payment_receipt"], &said["payment_response"]),
        };
        assert!(told.is_object() && other.is_null(), "{what}");
        let receipt = &said["usage"]["receipt"];
        let transaction = &receipt["settlement"]["transaction"];
        let named = told.get("reference").or_else(|| told.get("transaction"));
        assert_eq!(named, Some(transaction), "{what}");
    }
    assert_eq!(stack.seen().await.total, calls.len() as u64);
    assert_eq!(stack.reconcile().await["calls"], calls.len());
}

async fn mppx(stack: &Stack, arguments: &[&str]) -> Output {
    let program = tool("GROAT_MPP_CLIENT", "--clients").join(".bin/mppx");
    let key = format!("{:#x}", stack.chain.payer_key.to_bytes());
    let ran = Command::new("node")
        .arg(program)
        .args(arguments)
        .env("MPPX_PRIVATE_KEY", key)
        .env("MPPX_RPC_URL", &stack.chain.rpc_url)
        .env("NO_UPDATE_NOTIFIER", "1")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let ran = tokio::time::timeout(PATIENCE * 2, ran).await;
    ran.expect("mppx ends").expect("mppx starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[tokio::test]
async fn the_command_of_mppx_pays() {
    let stack = Stack::usual().await;
    let url = format!("{}/v1/chat/completions", stack.payer.url);
    let body = chat("m", "What is a groat?", false);
    let ran = mppx(&stack, &[&url, "--json-body", &body, "--silent"]).await;
    let (said, complaint) = (text(&ran.stdout), text(&ran.stderr));
    assert!(ran.status.success(), "{said}\n{complaint}");
    assert!(
        said.contains("\"receipt\"") || said.contains("receipt"),
        "{said}"
    );
    assert_eq!(stack.reconcile().await["calls"], 1);
}

#[tokio::test]
async fn mppx_finds_nothing_wrong_with_this_server() {
    let setup = Setup {
        upstream: ALL,
        ..Setup::default()
    };
    let stack = Stack::with(setup).await;
    let ran = mppx(&stack, &["validate", &stack.payer.url, "-j", "-y"]).await;
    let said = text(&ran.stdout);
    assert!(ran.status.success(), "{said}\n{}", text(&ran.stderr));
    let report: Value =
        serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"));
    assert_eq!(report["summary"]["failed"], 0, "{said}");
    assert!(report["summary"]["passed"].as_u64() > Some(10), "{said}");
}
