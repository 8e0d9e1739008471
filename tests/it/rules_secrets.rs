//! Rule 12, and what is never written down.

use crate::harness::{Answer, Setup, Stack, chat, until};
use std::path::Path;

const PROMPT: &str = "canary-prompt-7f3a9c";
const UPSTREAM_KEY: &str = "canary-upstream-key-51b2";
const RPC_KEY: &str = "canary-rpc-key-c40d";

#[tokio::test]
async fn prompts_are_never_stored_nor_logged() {
    let mut stack = Stack::with(Setup {
        environment: vec![("GROAT_LOG", "trace".to_owned())],
        ..Setup::default()
    })
    .await;
    for stream in [false, true] {
        let answer = stack.payer.pay(&chat("m", PROMPT, stream)).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    stack.reconcile().await;
    assert!(stack.gateway.terminate().await);
    let data = stack.folder.path().join("data");
    let payer = format!("{:#x}", stack.payer.key.address());
    assert!(
        holds_text(&data, &payer),
        "what is stored can be found this way"
    );
    assert!(
        !holds_text(&data, PROMPT),
        "the prompt is in {}",
        data.display()
    );
    assert!(
        !stack.gateway.log().contains(PROMPT),
        "the prompt is in the log"
    );
}

fn holds_text(path: &Path, text: &str) -> bool {
    if path.is_dir() {
        let entries = std::fs::read_dir(path).expect("a folder");
        return entries
            .map(|entry| entry.expect("an entry").path())
            .any(|path| holds_text(&path, text));
    }
    let bytes = std::fs::read(path).expect("a file");
    memchr::memmem::find(&bytes, text.as_bytes()).is_some()
}

#[tokio::test]
async fn rule_12_no_secret_is_logged_counted_or_told() {
    let mut stack = Stack::with(Setup {
        models: vec![("poor", "sim/402"), ("die", "sim/die")],
        upstream: "key = { env = \"IT_UPSTREAM_KEY\" }",
        environment: vec![
            ("IT_UPSTREAM_KEY", UPSTREAM_KEY.to_owned()),
            ("GROAT_LOG", "trace".to_owned()),
        ],
        ..Setup::default()
    })
    .await;
    // The node's URL carries a key from now on, as most providers' do.
    let rpc = stack.chain.rpc_url.clone();
    stack
        .gateway
        .rewrite_config(|text| text.replace(&rpc, &format!("{rpc}/?key={RPC_KEY}")));
    assert!(stack.gateway.terminate().await);
    stack.gateway.start("").await;

    let mut told = Vec::new();
    for model in ["m", "poor", "die"] {
        let body = chat(model, "hello", model == "m");
        let payment = stack.payer.payment(&body).await;
        let answer = stack.payer.send(&body, &payment).await.expect("an answer");
        told.push(format!("{:?}{}", answer.headers, answer.body));
        let wrong = stack
            .payer
            .send(&chat("m", "another", false), &payment)
            .await
            .expect("an answer");
        told.push(format!("{:?}{}", wrong.headers, wrong.body));
    }
    for path in ["/metrics", "/readyz", "/v1/models", "/nowhere"] {
        let answer = Answer::of(stack.payer.client.get(format!("{}{path}", stack.payer.url)))
            .await
            .expect("an answer");
        told.push(answer.body);
    }
    let report = stack.reconcile().await;
    told.push(report.to_string());
    // The chain goes away: errors about the node are where its URL would slip out.
    let body = chat("m", "goodbye", false);
    let payment = stack.payer.payment(&body).await;
    let hex = |key: &alloy::signers::local::PrivateKeySigner| hex::encode(key.to_bytes());
    let keys = [
        hex(&stack.chain.relayer_key),
        hex(&stack.chain.pay_to_key),
        hex(&stack.chain.payer_key),
    ];
    stop_node(&mut stack).await;
    let answer = stack.payer.send(&body, &payment).await.expect("an answer");
    assert_eq!(
        (answer.status.as_u16(), answer.code().as_str()),
        (503, "chain_unavailable"),
        "{}",
        answer.body
    );
    told.push(format!("{:?}{}", answer.headers, answer.body));
    until("the log tells of the node", || async {
        stack
            .gateway
            .log()
            .contains("cannot be asked")
            .then_some(())
    })
    .await;
    assert!(stack.gateway.terminate().await);

    let log = stack.gateway.log();
    assert!(log.contains("TRACE"), "the log is as loud as it can be");
    for secret in keys
        .iter()
        .map(String::as_str)
        .chain([UPSTREAM_KEY, RPC_KEY, &stack.admin_token])
    {
        if let Some(line) = log.lines().find(|line| line.contains(secret)) {
            panic!("the secret {secret} is in the log: {line}");
        }
        assert!(
            told.iter().all(|text| !text.contains(secret)),
            "the secret {secret} is told: {told:?}"
        );
    }
}

/// Ends the node, whose process belongs to this test.
async fn stop_node(stack: &mut Stack) {
    let chain = groat::chain::dev::DevChain::start()
        .await
        .expect("another chain");
    let gone = std::mem::replace(&mut stack.chain, chain);
    gone.stop().await.expect("the node ends");
}

#[tokio::test]
async fn rule_12_a_payers_signature_is_not_logged() {
    let mut stack = Stack::with(Setup {
        environment: vec![("GROAT_LOG", "trace".to_owned())],
        ..Setup::default()
    })
    .await;
    let body = chat("m", "hello", false);
    let required = stack.payer.challenge(&body).await;
    let authorization = stack.payer.authorization(&required.accepts[0]);
    let signature = hex::encode(stack.payer.signature(&required.accepts[0], &authorization));
    let answer = stack
        .payer
        .send(&body, &stack.payer.header_of(&required, &authorization))
        .await
        .expect("an answer");
    assert_eq!(answer.status, 200, "{}", answer.body);
    stack.reconcile().await;
    assert!(stack.gateway.terminate().await);
    let log = stack.gateway.log();
    if let Some(line) = log.lines().find(|line| line.contains(&signature)) {
        panic!("the signature is in the log: {line}");
    }
}
