use crate::harness::{Dev, ended, groat, printed};
use groat::protocol::receipt::verify;
use serde_json::{Value, json};
use std::path::Path;
use tokio::process::Command;

#[tokio::test]
async fn pay_prints_the_quote_the_text_and_the_bill_and_its_receipt_verifies() {
    let dev = Dev::start(&[]).await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("receipt.json");
    let file_name = file.to_str().expect("a path");
    let output = ended(pay(&dev).args([
        "--receipt",
        file_name,
        "--max-tokens",
        "24",
        "-m",
        "sim/small",
        "What",
        "is",
        "a groat?",
    ]))
    .await;
    let (said, complaints) = printed(&output);
    assert!(output.status.success(), "{said}{complaints}");
    let receipt: Value =
        serde_json::from_str(&std::fs::read_to_string(&file).expect("the receipt")).expect("JSON");
    let quote = said.lines().next().unwrap_or_default();
    assert!(
        quote.starts_with("quote: up to 0.") && quote.contains(" USDC on eip155:84532, to "),
        "{said}"
    );
    let body = json!({"model": "sim/small", "messages": [{"role": "user", "content": "What is a groat?"}], "max_tokens": 24});
    let same = dev.payer().pay(&body.to_string()).await.json();
    assert_eq!(
        said.lines().nth(1),
        same["choices"][0]["message"]["content"].as_str(),
        "the text is printed: {said}"
    );
    let (_, bill) = said.split_once("\nreceipt call_").expect("a bill");
    for word in [
        "sim/small",
        "USD/M",
        "cache saving",
        "total",
        "charged",
        "owed back",
        "settled",
    ] {
        assert!(bill.contains(word), "no {word} in {said}");
    }
    let transaction = receipt["settlement"]["transaction"]
        .as_str()
        .expect("a transaction");
    assert!(bill.contains(transaction), "{said}");

    let url = format!(
        "{}/v1/receipts/{}",
        dev.says("gateway"),
        receipt["call"].as_str().expect("an id")
    );
    for source in [file_name, &url] {
        let (holds, said) = checked(source, &["--signer", dev.says("receipt_signer")]).await;
        assert!(holds, "{source}: {said}");
        assert!(said.contains("verified: signed by"), "{said}");
    }
    let (holds, said) = checked(file_name, &["--signer", dev.says("pay_to")]).await;
    assert!(!holds, "another signer was expected: {said}");
    let (holds, said) = checked(&format!("{url}0"), &[]).await;
    assert!(
        !holds && said.contains("404"),
        "there is no such receipt: {said}"
    );
    a_changed_digit_shows(&file).await;
}

/// Each digit of the receipt in turn through the library, a few of them through the command.
async fn a_changed_digit_shows(file: &Path) {
    let text = std::fs::read_to_string(file).expect("the receipt");
    let digits: Vec<usize> = text
        .bytes()
        .enumerate()
        .filter(|(_, byte)| byte.is_ascii_digit())
        .map(|(at, _)| at)
        .collect();
    let changed = |at: usize| {
        let mut bytes = text.clone().into_bytes();
        bytes[at] = b'0' + (bytes[at] - b'0' + 1) % 10;
        String::from_utf8(bytes).expect("text")
    };
    for at in &digits {
        assert!(
            verify(&changed(*at)).is_err(),
            "a change at {at} does not show: {}",
            changed(*at)
        );
    }
    let forged = file.with_extension("forged");
    for at in digits.iter().step_by(digits.len() / 8) {
        std::fs::write(&forged, changed(*at)).expect("write the forgery");
        let (holds, said) = checked(forged.to_str().expect("a path"), &["--quiet"]).await;
        assert!(!holds, "a change at {at} does not show: {said}");
        assert!(said.contains("the receipt does not hold"), "{said}");
    }
}

#[tokio::test]
async fn pay_signs_nothing_above_its_limit() {
    let dev = Dev::start(&[]).await;
    let output =
        ended(pay(&dev).args(["--max", "0.0000001", "-m", "sim/small", "What is a groat?"])).await;
    let (said, complaints) = printed(&output);
    assert!(!output.status.success(), "{said}");
    assert!(said.starts_with("quote: up to "), "{said}");
    assert!(
        complaints.contains("above --max 0.0000001; nothing was signed"),
        "{complaints}"
    );
    assert_eq!(dev.report().await["calls"], json!(0));
}

#[tokio::test]
async fn pay_pays_by_mpp_too() {
    let dev = Dev::start(&[]).await;
    for more in [&["--whole"][..], &[], &["--rail", "exact"]] {
        let arguments = ["--protocol", "mpp", "-m", "sim/small", "What is a groat?"];
        let output = ended(pay(&dev).args(more).args(arguments)).await;
        let (said, complaints) = printed(&output);
        assert!(output.status.success(), "{said}{complaints}");
        assert!(complaints.contains("paying by exact"), "{complaints}");
        assert!(said.contains("settled"), "{said}");
    }
    let upto = [
        "--protocol",
        "mpp",
        "--rail",
        "upto",
        "-m",
        "sim/small",
        "hello",
    ];
    let output = ended(pay(&dev).args(upto)).await;
    assert!(!output.status.success(), "{output:?}");
    assert_eq!(dev.report().await["calls"], json!(3));
}

#[tokio::test]
async fn pay_says_what_is_wrong_with_a_wallet_or_a_gateway() {
    let dev = Dev::start(&[]).await;
    let no_key = ended(
        groat(&[
            "pay",
            "--url",
            dev.says("gateway"),
            "-m",
            "sim/small",
            "hello",
        ])
        .env_remove("GROAT_WALLET_KEY"),
    )
    .await;
    assert!(
        printed(&no_key).1.contains("no wallet: give --key-file"),
        "{no_key:?}"
    );
    let bad_key = ended(
        pay(&dev)
            .args(["-m", "sim/small", "hello"])
            .env("GROAT_WALLET_KEY", "0x00zz"),
    )
    .await;
    let complaint = printed(&bad_key).1;
    assert!(
        complaint.contains("32 bytes in hex") && !complaint.contains("00zz"),
        "{complaint}"
    );
    let poor = ended(
        pay(&dev)
            .args(["-m", "sim/small", "hello"])
            .env("GROAT_WALLET_KEY", format!("0x{}", "17".repeat(32))),
    )
    .await;
    assert!(
        !poor.status.success() && printed(&poor).1.contains("402"),
        "{poor:?}"
    );
    let unknown = ended(pay(&dev).args(["-m", "sim/unlisted", "hello"])).await;
    assert!(
        !unknown.status.success() && printed(&unknown).1.contains("GET /v1/models"),
        "{unknown:?}"
    );
    let nobody = ended(
        groat(&["pay", "--url", "http://127.0.0.1:1", "-m", "m", "hello"])
            .env("GROAT_WALLET_KEY", dev.says("payer_private_key")),
    )
    .await;
    assert!(
        printed(&nobody).1.contains("cannot be reached"),
        "{nobody:?}"
    );
    assert_eq!(dev.report().await["calls"], json!(0));
}

fn pay(dev: &Dev) -> Command {
    let mut command = groat(&["pay", "--url", dev.says("gateway")]);
    command.env("GROAT_WALLET_KEY", dev.says("payer_private_key"));
    command
}

/// Whether `groat receipt verify` passes, and all it says.
async fn checked(source: &str, arguments: &[&str]) -> (bool, String) {
    let output = ended(groat(&["receipt", "verify", source]).args(arguments)).await;
    let (said, complaints) = printed(&output);
    (output.status.success(), format!("{said}{complaints}"))
}
