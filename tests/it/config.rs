//! `groat check`: all mistakes at once, no port opened, exit code 64.

use std::net::TcpListener;
use std::process::{Command, Output};

const KEY: &str = "0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d";

const GOOD: &str = r#"
[gateway]
listen = "127.0.0.1:4021"
admin_token = { env = "IT_TOKEN" }
[chain]
rpc_url = "http://127.0.0.1:1"
chain_id = 84532
[asset]
address = "0x036CbD53842c5426634e7929541eC2318f3dCF7e"
name = "USDC"
version = "2"
[payment]
pay_to = "0x1111111111111111111111111111111111111111"
relayer_key = { env = "IT_KEY" }
receipt_key = { env = "IT_KEY" }
[[upstream]]
name = "sim"
base_url = "http://127.0.0.1:1/v1"
[[upstream.model]]
id = "m"
price = { prompt = "0.28", completion = "0.40", cache_read = "0.028" }
"#;

fn groat(command: &str, config: &str) -> (Output, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("groat.toml");
    std::fs::write(&path, config).expect("write the configuration");
    let output = Command::new(env!("CARGO_BIN_EXE_groat"))
        .args([command, "--config"])
        .arg(&path)
        .current_dir(folder.path())
        .env("IT_TOKEN", "a token")
        .env("IT_KEY", KEY)
        .output()
        .expect("run groat");
    let told = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(!told.contains(KEY), "a secret is told: {told}");
    (output, told)
}

#[test]
fn a_good_configuration_passes_and_opens_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    // The port is taken: to open it would fail.
    let address = listener.local_addr().expect("an address").to_string();
    let (output, told) = groat("check", &GOOD.replace("127.0.0.1:4021", &address));
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert!(told.contains("is good: 1 models at 1 upstreams"), "{told}");
}

#[test]
fn what_outlives_a_payment_is_allowed_and_remarked_on() {
    let (output, told) = groat("check", GOOD);
    assert_eq!(output.status.code(), Some(0), "{told}");
    let call = "note: sim: call_timeout_ms allows 600 s, but calls that are settled after their answer are ended after 270 s";
    assert!(told.contains(call), "{told}");
    assert!(!told.contains("batch_wait_ms"), "{told}");

    let waits = "[settler]\naddress = \"0x2222222222222222222222222222222222222222\"\nbatch_wait_ms = 300000\n";
    let (_, told) = groat("check", &format!("{GOOD}{waits}"));
    let batch = "note: settler.batch_wait_ms: no call waits for more than 270 s";
    assert!(told.contains(batch), "{told}");

    let long = GOOD.replace(
        "[payment]",
        "[payment]\nmax_timeout_seconds = 700\nsettle_margin_seconds = 40",
    );
    let before = GOOD.replace(
        "[payment]",
        "[payment]\nrails = [\"exact\"]\nsettle = \"before\"",
    );
    for config in [long, before] {
        let (output, told) = groat("check", &format!("{config}{waits}"));
        assert_eq!(output.status.code(), Some(0), "{told}");
        assert!(!told.contains("_ms"), "{told}");
    }
}

#[test]
fn every_mistake_is_told_at_once() {
    let bad =
        GOOD.replace(
            "listen = \"127.0.0.1:4021\"",
            "listen = \"nowhere\"\nlisten_on = 7\nbody_bytes_max = -1",
        )
        .replace("{ env = \"IT_TOKEN\" }", "\"a token in plain text\"")
        .replace("chain_id = 84532", "chain_id = \"base\"\nconfirmations = 0")
        .replace(
            "rpc_url = \"http://127.0.0.1:1\"",
            "rpc_url = \"ftp://node\"",
        )
        .replace("0x036CbD53842c5426634e7929541eC2318f3dCF7e", "0x036C")
        .replace("version = \"2\"", "")
        .replace(
            "relayer_key = { env = \"IT_KEY\" }",
            "relayer_key = { env = \"IT_NOT_SET\" }\nsettle = \"later\"",
        )
        .replace(
            "receipt_key = { env = \"IT_KEY\" }",
            "receipt_key = \"0x00\"\nceiling_max_usd = \"a lot\"\nsettle_margin_seconds = 200\nrelayers_gone = [\"0x12\"]",
        )
        .replace(
            "pay_to = \"0x1111111111111111111111111111111111111111\"",
            "",
        )
        .replace(
            "base_url = \"http://127.0.0.1:1/v1\"",
            "base_url = \"sim\"\ndialect = \"klingon\"",
        )
        .replace(
            "prompt = \"0.28\", completion = \"0.40\"",
            "prompt = 0.28, completion = \"-1\"",
        ) + "[[upstream.model]]\nid = \"free\"\n[extra]\nx = 1\n";
    let (output, told) = groat("check", &bad);
    assert_eq!(output.status.code(), Some(64), "{told}");
    for path in [
        "gateway.listen:",
        "gateway.listen_on:",
        "gateway.body_bytes_max:",
        "gateway.admin_token:",
        "chain.chain_id:",
        "chain.confirmations:",
        "chain.rpc_url:",
        "asset.address:",
        "asset.version:",
        "payment.pay_to:",
        "payment.settle:",
        "payment.relayer_key:",
        "payment.receipt_key:",
        "payment.ceiling_max_usd:",
        "payment.settle_margin_seconds:",
        "payment.relayers_gone:",
        "upstream[0].base_url:",
        "upstream[0].dialect:",
        "upstream[0].model[0].price.prompt:",
        "upstream[0].model[0].price.completion:",
        "upstream[0].model[1].price:",
        "extra:",
    ] {
        assert!(told.contains(path), "{path} is not told:\n{told}");
    }
    assert!(
        told.contains("secrets are not written in the configuration"),
        "{told}"
    );
    assert!(told.contains("IT_NOT_SET is not set"), "{told}");
    assert!(told.contains("unpriced, not free"), "{told}");
    assert!(
        !told.contains("a token in plain text"),
        "a secret is repeated: {told}"
    );
    assert!(!told.contains("panicked"), "{told}");

    let (output, told) = groat("serve", &bad);
    assert_eq!(
        output.status.code(),
        Some(64),
        "serve says the same: {told}"
    );
    assert!(told.contains("gateway.listen:"), "{told}");
}

#[test]
fn a_file_that_is_not_toml_or_not_there_is_a_mistake_too() {
    for config in ["[gateway", "", "gateway = 1"] {
        let (output, told) = groat("check", config);
        assert_eq!(output.status.code(), Some(64), "{config:?}: {told}");
        assert!(!told.contains("panicked"), "{told}");
    }
    let missing = Command::new(env!("CARGO_BIN_EXE_groat"))
        .args(["check", "--config", "/nowhere/groat.toml"])
        .output()
        .expect("run groat");
    assert_eq!(missing.status.code(), Some(64));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("/nowhere/groat.toml"));
}

#[test]
fn the_example_passes_once_its_secrets_are_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let key = folder.path().join("key");
    std::fs::write(&key, KEY).expect("write a key");
    let example =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/groat.example.toml"))
            .expect("the example");
    let mut variables = Vec::new();
    let mut rest = example.as_str();
    while let Some((_, behind)) = rest.split_once("{ env = \"") {
        let (name, behind) = behind.split_once('"').expect("a name");
        variables.push(name.to_owned());
        rest = behind;
    }
    let mut own = example.clone();
    for line in example
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'))
    {
        if let Some(file) = line
            .split_once("{ file = \"")
            .and_then(|(_, behind)| behind.split_once('"'))
        {
            own = own.replace(file.0, key.to_str().expect("a path"));
        }
    }
    let path = folder.path().join("groat.toml");
    std::fs::write(&path, own).expect("write the configuration");
    let mut command = Command::new(env!("CARGO_BIN_EXE_groat"));
    command.args(["check", "--config"]).arg(&path);
    for name in &variables {
        command.env(
            name,
            if name.contains("URL") {
                "https://node.example/key"
            } else {
                KEY
            },
        );
    }
    let output = command.output().expect("run groat");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(!variables.is_empty());

    // What is commented out as a default must be a member that exists.
    let uncommented: String = example
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(setting)
                if setting.split_once(" = ").is_some_and(|(key, _)| {
                    key.chars().all(|c| c.is_ascii_lowercase() || c == '_')
                }) =>
            {
                format!("{setting}\n")
            }
            _ => format!("{line}\n"),
        })
        .collect();
    let (_, told) = groat("check", &uncommented);
    assert!(!told.contains("unknown member"), "{told}");
    assert!(!told.contains("not valid TOML"), "{told}");
}
