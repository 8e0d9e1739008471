//! The command line as its users meet it: `groat dev`, `pay`, `receipt verify`, `sim` and the help.

mod commands;
mod pay;

use crate::harness::{Dev, chat, descendants, ended, gone, groat, http, printed};
use alloy::primitives::{Address, U256};
use futures::future::join_all;
use groat::sim::SimConfig;
use serde_json::{Value, json};
use std::path::PathBuf;

#[tokio::test]
async fn dev_prints_one_line_that_says_where_everything_is_and_all_of_it_answers() {
    let dev = Dev::start(&[]).await;
    for key in [
        "gateway",
        "rpc",
        "chain_id",
        "asset",
        "asset_decimals",
        "pay_to",
        "payer_private_key",
        "models",
        "admin_token",
    ] {
        assert!(
            !dev.ready[key].is_null(),
            "{key} is missing in {}",
            dev.ready
        );
    }
    assert_eq!(
        dev.rpc("eth_chainId", json!([])).await,
        format!("{:#x}", dev.ready["chain_id"].as_u64().expect("a number"))
    );
    let payer = dev.payer();
    let a_thousand_usdc = U256::from(1_000)
        * U256::from(10).pow(U256::from(
            dev.ready["asset_decimals"].as_u64().expect("a number"),
        ));
    assert!(
        balance(&dev, payer.key.address()).await >= a_thousand_usdc,
        "the payer has less than 1,000 USDC"
    );

    let listed = payer
        .client
        .get(format!("{}/v1/models", payer.url))
        .send()
        .await
        .expect("an answer");
    let listed: Value = serde_json::from_str(&listed.text().await.expect("a list")).expect("JSON");
    let listed: Vec<&Value> = listed["data"]
        .as_array()
        .expect("models")
        .iter()
        .map(|model| &model["id"])
        .collect();
    let models = dev.ready["models"].as_array().expect("models");
    assert_eq!(listed.len(), models.len());
    assert!(
        models.iter().all(|model| listed.contains(&model)),
        "{listed:?}"
    );
    for model in models {
        let answer = payer
            .pay(&chat(
                model.as_str().expect("an id"),
                "What is a groat?",
                true,
            ))
            .await;
        assert_eq!(answer.status, 200, "{model}: {}", answer.body);
        groat::protocol::receipt::verify(&answer.receipt().to_string())
            .expect("a receipt that holds");
    }
    let report = dev.report().await;
    assert_eq!(
        (&report["calls"], &report["faults"]),
        (&json!(models.len()), &json!([]))
    );
    let paid = balance(&dev, dev.says("pay_to").parse().expect("an address")).await;
    assert_eq!(
        json!(u64::try_from(paid).expect("small")),
        report["totals"][0]["settled"]
    );
}

#[tokio::test]
async fn devs_that_are_started_together_listen_each_on_a_port_of_its_own() {
    let devs = join_all((0..4).map(|_| Dev::start(&[]))).await;
    let mut gateways: Vec<&str> = devs.iter().map(|dev| dev.says("gateway")).collect();
    for dev in &devs {
        let answer = dev.payer().pay(&chat("sim/small", "Hello", false)).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    gateways.sort_unstable();
    gateways.dedup();
    assert_eq!(gateways.len(), devs.len(), "{gateways:?}");
}

#[tokio::test]
async fn dev_leaves_nothing_running_and_nothing_on_the_disk_when_it_is_told_to_stop() {
    for signal in ["TERM", "INT"] {
        let dev = Dev::start(&[]).await;
        let processes = descendants(dev.pid());
        assert!(!processes.is_empty(), "the chain is a process of its own");
        let states = states_of_the_chain(&processes);
        assert!(
            states.is_dir(),
            "{} is not in use: where do old states go?",
            states.display()
        );
        let addresses = [dev.says("gateway").to_owned(), dev.says("rpc").to_owned()];
        let (status, more) = dev.end_by(signal).await;
        assert_eq!(status.code(), Some(0), "SIG{signal}");
        assert_eq!(more, Vec::<String>::new(), "one line, and nothing else");
        gone(&processes).await;
        assert!(!states.exists(), "{} is left behind", states.display());
        for address in addresses {
            assert!(
                http()
                    .get(&address)
                    .send()
                    .await
                    .is_err_and(|error| error.is_connect()),
                "{address} still listens"
            );
        }
    }
}

/// Where anvil puts the states that it keeps out of its memory, by its own command line.
fn states_of_the_chain(processes: &[u32]) -> PathBuf {
    let lines = processes
        .iter()
        .filter_map(|pid| std::fs::read_to_string(format!("/proc/{pid}/cmdline")).ok());
    let mut named = lines.filter_map(|line| {
        let mut words = line.split('\0').skip_while(|word| *word != "--cache-path");
        words.nth(1).map(PathBuf::from)
    });
    named.next_back().expect("anvil is told where")
}

#[tokio::test]
async fn the_local_chain_does_not_outlive_a_dev_that_is_killed() {
    let folder = tempfile::tempdir().expect("a folder");
    let dev = Dev::start(&["--data-dir", folder.path().to_str().expect("a path")]).await;
    let processes = descendants(dev.pid());
    assert!(!processes.is_empty(), "the chain is a process of its own");
    dev.end_by("KILL").await;
    gone(&processes).await;
}

#[tokio::test]
async fn dev_takes_a_port_and_upstreams_models_and_prices_of_ones_own() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let upstream = listener.local_addr().expect("an address");
    let provider = tokio::spawn(groat::sim::serve(
        listener,
        SimConfig::default(),
        std::future::pending(),
    ));
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("mine.toml");
    let text = format!(
        r#"
        [payment]
        markup_bps = 100
        [[upstream]]
        name = "mine"
        base_url = "http://{upstream}/v1"
        [[upstream.model]]
        id = "mine/echo"
        upstream_id = "sim/echo"
        price = {{ prompt = "3", completion = "15", cache_read = "0.30" }}
        [[upstream]]
        name = "sim"
        [[upstream.model]]
        id = "sim/small"
        price = {{ completion = "0.80" }}
        "#
    );
    std::fs::write(&config, text).expect("write the configuration");
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|l| l.local_addr())
        .expect("a port")
        .port();
    let dev = Dev::start(&[
        "--config",
        config.to_str().expect("a path"),
        "--port",
        &port.to_string(),
    ])
    .await;
    assert_eq!(dev.says("gateway"), format!("http://127.0.0.1:{port}"));
    assert!(
        dev.ready["models"]
            .as_array()
            .expect("models")
            .contains(&json!("mine/echo")),
        "{}",
        dev.ready
    );
    let second = ended(&mut groat(&["dev", "--json", "--port", &port.to_string()])).await;
    let (said, complaint) = printed(&second);
    assert_eq!(
        (second.status.code(), said.as_str()),
        (Some(1), ""),
        "the port is taken"
    );
    assert!(
        complaint.contains(&format!("cannot listen on 127.0.0.1:{port}")),
        "{complaint}"
    );

    let payer = dev.payer();
    let echoed = payer.pay(&chat("mine/echo", "four pence", false)).await;
    assert_eq!(
        echoed.json()["choices"][0]["message"]["content"],
        "four pence",
        "{}",
        echoed.body
    );
    let receipt = echoed.receipt();
    assert_eq!(
        (&receipt["answered_by"]["endpoint"], &receipt["markup_bps"]),
        (&json!("mine"), &json!(100))
    );
    assert_eq!(receipt["price_row"]["completion"], "15000000");
    let small = payer
        .pay(&chat("sim/small", "four pence", false))
        .await
        .receipt();
    assert_eq!(
        small["price_row"]["completion"], "800000",
        "a price is laid over the built-in one"
    );
    assert_eq!(
        small["price_row"]["prompt"], "280000",
        "and the others of that model stay"
    );
    provider.abort();
}

#[tokio::test]
async fn dev_says_how_to_get_the_real_model() {
    let output =
        ended(groat(&["dev", "--json", "--model", "llama"]).env_remove("GROAT_LLAMA_SERVER")).await;
    let (said, complaint) = printed(&output);
    assert_eq!((output.status.code(), said.as_str()), (Some(1), ""));
    assert!(
        complaint.contains("GROAT_LLAMA_SERVER is not set: run ./scripts/setup --real-model"),
        "{complaint}"
    );
}

async fn balance(dev: &Dev, account: Address) -> U256 {
    let calldata = format!("0x70a08231{}", hex::encode(account.into_word()));
    let answer = dev
        .rpc(
            "eth_call",
            json!([{"to": dev.says("asset"), "data": calldata}, "latest"]),
        )
        .await;
    answer
        .as_str()
        .expect("a balance")
        .parse()
        .expect("a number")
}
