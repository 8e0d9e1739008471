//! What was sold, as operators and callers see it: the rankings, and a call's own account.

use crate::harness::{Answer, Setup, Stack, chat};
use crate::routes::{ALL, ask};
use groat::metering::Route;
use groat::protocol::receipt::verify;
use serde_json::{Value, json};
use std::process::Command;

async fn rankings(stack: &Stack, arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_groat"))
        .args(["rankings", "--url", &stack.payer.url])
        .args(arguments)
        .env("GROAT_ADMIN_TOKEN", &stack.admin_token)
        .output()
        .expect("run groat rankings");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    String::from_utf8(output.stdout).expect("text")
}

#[tokio::test]
async fn the_rankings_add_up_to_the_receipts_and_name_no_payer() {
    let stack = Stack::with(Setup {
        upstream: ALL,
        models: vec![("n", "sim/small"), ("down", "sim/fail-503")],
        ..Setup::default()
    })
    .await;
    let mut spent = 0;
    for (model, title) in [
        ("m", Some("Notes, \"new\"")),
        ("m", Some("Notes, \"new\"")),
        ("n", None),
    ] {
        let body = chat(model, "What is a groat?", false);
        let payment = stack.payer.payment(&body).await;
        let mut request = stack.payer.post(&body).header("payment-signature", payment);
        if let Some(title) = title {
            request = request
                .header("x-title", title)
                .header("http-referer", "https://app.example/of/ann?token=1");
        }
        let answer = Answer::of(request).await.expect("an answer");
        assert_eq!(answer.status, 200, "{}", answer.body);
        let receipt = verify(&answer.receipt().to_string())
            .expect("a receipt")
            .receipt;
        spent += receipt.body.total_pusd.pico();
    }
    let failed = stack.payer.pay(&chat("down", "hello", false)).await;
    assert_eq!(failed.status, 502, "{}", failed.body);

    let text = rankings(&stack, &[]).await;
    let set: Value = serde_json::from_str(&text).expect("JSON");
    let rows: Vec<&Value> = set["data"]
        .as_array()
        .expect("days")
        .iter()
        .flat_map(|day| day["rows"].as_array().expect("rows"))
        .collect();
    let of = |row: &&Value| (row["model"].clone(), row["app"].clone());
    let mut named: Vec<(Value, Value)> = rows.iter().map(of).collect();
    named.dedup();
    let app = "Notes, \"new\" (app.example)";
    assert_eq!(named, [(json!("m"), json!(app)), (json!("n"), json!(""))]);
    let sum: u128 = rows
        .iter()
        .map(|row| {
            row["spend_pusd"]
                .as_str()
                .expect("text")
                .parse::<u128>()
                .expect("a number")
        })
        .sum();
    assert_eq!(sum, spent);
    let csv = rankings(&stack, &["--format", "csv"]).await;
    assert!(csv.starts_with("date,model,endpoint,app,calls,"), "{csv}");
    assert!(
        csv.contains("\"Notes, \"\"new\"\" (app.example)\""),
        "{csv}"
    );
    let payer = format!("{:x}", stack.chain.payer_key.address());
    for text in [text, csv] {
        assert!(
            !text.to_lowercase().contains(&payer) && !text.contains("ann"),
            "{text}"
        );
    }
    let none = rankings(&stack, &["--to", "2000-01-01"]).await;
    let none: Value = serde_json::from_str(&none).expect("JSON");
    assert_eq!(none["data"], json!([]));
}

#[tokio::test]
async fn a_generation_is_told_in_openrouters_names_by_the_calls_id() {
    let stack = Stack::with(Setup {
        upstream: ALL,
        models: vec![("down", "sim/fail-503")],
        ..Setup::default()
    })
    .await;
    let get = async |id: &str| {
        let url = format!("{}/v1/generation?id={id}", stack.payer.url);
        Answer::of(stack.payer.client.get(url))
            .await
            .expect("an answer")
    };
    let body = ask(Route::Messages, "m", "What is a groat?", true).to_string();
    let answer = stack.payer.pay_to(Route::Messages, &body).await;
    let receipt = verify(&answer.receipt().to_string())
        .expect("a receipt")
        .receipt
        .body;
    let told = get(&answer.call()).await;
    assert_eq!(told.status, 200, "{}", told.body);
    let data = &told.json()["data"];
    assert_eq!(data["id"], answer.call());
    assert_eq!(data["tokens_prompt"], json!(receipt.usage.prompt_total()));
    assert_eq!(
        data["native_tokens_completion"],
        json!(receipt.usage.output_total())
    );
    assert_eq!(
        (&data["streamed"], &data["api_type"]),
        (&json!(true), &json!("completions"))
    );
    let cost = format!("\"total_cost\":{}", receipt.total_pusd.usd_text());
    assert!(told.body.contains(&cost), "{}", told.body);

    let failed = stack.payer.pay(&chat("down", "hello", false)).await;
    assert_eq!(
        get(&failed.call()).await.json()["error"]["code"],
        "call_voided"
    );
    for id in ["", "nothing", "call_00000000000000000000000000000000"] {
        assert_eq!(get(id).await.status, 404, "{id}");
    }
}
