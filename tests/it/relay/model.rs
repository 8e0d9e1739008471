//! The open question, by running it: wallet → Groat → Groat → llama.cpp, with a real KV cache.

use super::hops::{Hops, Near};
use super::passing::{receipts, usage};
use crate::harness::{PATIENCE, Setup, http, tool, until};
use serde_json::json;
use std::process::Stdio;
use tokio::process::{Child, Command};

/// llama.cpp's server on a port of its own; killed with its owner.
async fn llama() -> (Child, String) {
    let server = tool("GROAT_LLAMA_SERVER", "--real-model");
    let model = tool("GROAT_LLAMA_MODEL", "--real-model");
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr());
    let port = port.expect("a port").port().to_string();
    let child = Command::new(server)
        .arg("--model")
        .arg(model)
        .args([
            "--host",
            "127.0.0.1",
            "--port",
            &port,
            "--alias",
            "sim/small",
        ])
        .args([
            "--ctx-size",
            "8192",
            "--no-ui",
            "--parallel",
            "1",
            "--threads",
            "1",
        ])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("start llama.cpp's server");
    let url = format!("http://127.0.0.1:{port}");
    let health = format!("{url}/health");
    until("the model is loaded", || async {
        let answer = http().get(&health).send().await.ok()?;
        answer.status().is_success().then_some(())
    })
    .await;
    (child, url)
}

#[tokio::test]
async fn a_real_models_cache_hit_arrives_at_the_first_payer_through_two_gateways() {
    let (_server, url) = llama().await;
    let setup = Setup {
        upstream_url: Some(url),
        ..Setup::default()
    };
    let hops = Hops::of(setup, Near::default()).await;
    let prefix = "The groat was an English silver coin worth four pence. It was first struck under Edward the First. ".repeat(8);
    let mut messages = vec![json!({"role": "system", "content": prefix})];
    let mut cached = Vec::new();
    for (question, stream) in [
        ("When was the groat first struck?", false),
        ("What was it worth?", false),
        ("And who struck it again?", true),
    ] {
        messages.push(json!({"role": "user", "content": question}));
        let mut body =
            json!({"model": "near/m", "messages": messages, "max_tokens": 12, "temperature": 0});
        if stream {
            body["stream"] = json!(true);
            body["stream_options"] = json!({"include_usage": true});
        }
        let body = body.to_string();
        let paid = tokio::time::timeout(PATIENCE * 2, hops.payer.pay(&body));
        let answer = paid.await.expect("an answer in time");
        let (near, far) = receipts(&answer);
        let told = usage(&answer)["prompt_tokens_details"]["cached_tokens"].clone();
        assert_eq!(near.body.usage, far.body.usage);
        assert_eq!(json!(near.body.usage.cache_read), told);
        assert_eq!(near.body.flags, Vec::<String>::new());
        // Each hop bills the cached tokens at its own price for them.
        let billed = |prompt: u128, read: u128, completion: u128| {
            let usage = near.body.usage;
            let pusd = u128::from(usage.uncached) * prompt
                + u128::from(usage.cache_read) * read
                + u128::from(usage.output) * completion;
            pusd.div_ceil(1_000_000)
        };
        assert_eq!(near.body.charged.atomic(), billed(400_000, 40_000, 500_000));
        assert_eq!(far.body.charged.atomic(), billed(280_000, 28_000, 400_000));
        cached.push(near.body.usage.cache_read);
        let said = answer.body.clone();
        if let Ok(said) = serde_json::from_str::<serde_json::Value>(&said) {
            messages.push(said["choices"][0]["message"].clone());
        }
    }
    assert_eq!(cached.first(), Some(&0), "nothing is cached at first");
    assert!(
        cached.iter().skip(1).all(|tokens| *tokens > 100),
        "{cached:?}"
    );
    assert_eq!(hops.reconcile().await["calls"], 3);
    assert_eq!(hops.far.reconcile().await["calls"], 3);
    assert_eq!(hops.moved(100_000_000).await, hops.paid().await);
}
