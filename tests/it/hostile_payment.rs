//! Payment headers and payloads that are none: refused by the SDKs' own names, and nothing held.

use crate::harness::{Answer, encoded, payload};
use crate::hostile_bench::Bench;
use alloy::primitives::{Address, U256};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use groat::protocol::eip3009::Authorization;
use groat::protocol::x402::{SettleResponse, payment_header_v1};
use serde_json::{Value, json};

#[tokio::test]
async fn headers_that_are_no_payment_are_refused() {
    let bench = Bench::new().await;
    let good = encoded(&bench.authorized(|_| {}));
    let nested = format!("{}{}", "[".repeat(2000), "]".repeat(2000));
    let twice = bench
        .bent(|_| {})
        .to_string()
        .replacen('{', "{\"x402Version\":2,", 1);
    for (name, header) in [
        ("empty", String::new()),
        ("not base64", "!!!!".to_owned()),
        ("base64url", format!("-_{}", &good[2..])),
        ("unpadded", "e30".to_owned()),
        ("not JSON", base64_of("pay me")),
        ("an array", base64_of("[]")),
        (
            "deep",
            base64_of(&format!("{{\"x402Version\":2,\"accepted\":{nested}}}")),
        ),
        ("a key twice", base64_of(&twice)),
    ] {
        let request = bench
            .stack
            .payer
            .post(&bench.body)
            .header("payment-signature", header);
        bench.refused(name, request, "invalid_payload").await;
    }
    let two = bench
        .stack
        .payer
        .post(&bench.body)
        .header("payment-signature", &good)
        .header("payment-signature", &good);
    bench.refused("two payments", two, "invalid_payload").await;
    let both = bench
        .stack
        .payer
        .post(&bench.body)
        .header("payment-signature", &good)
        .header("x-payment", &good);
    bench
        .refused("both versions", both, "invalid_payload")
        .await;
    let swapped = bench
        .stack
        .payer
        .post(&bench.body)
        .header("x-payment", &good);
    bench
        .refused(
            "version 2 in version 1's header",
            swapped,
            "invalid_x402_version",
        )
        .await;
    bench.still_works().await;
}

fn base64_of(text: &str) -> String {
    STANDARD.encode(text)
}

#[tokio::test]
async fn payloads_without_their_parts_are_refused() {
    let bench = Bench::new().await;
    let cases: Vec<(&str, Value, &str)> = vec![
        (
            "version 1",
            bench.bent(|p| p["x402Version"] = json!(1)),
            "invalid_x402_version",
        ),
        (
            "version text",
            bench.bent(|p| p["x402Version"] = json!("2")),
            "invalid_payload",
        ),
        (
            "no accepted",
            bench.bent(|p| p["accepted"] = Value::Null),
            "invalid_payload",
        ),
        (
            "another scheme",
            bench.bent(|p| p["accepted"]["scheme"] = json!("deferred")),
            "unsupported_scheme",
        ),
        (
            "no authorization",
            bench.bent(|p| p["payload"]["authorization"] = Value::Null),
            "unsupported_payload_type",
        ),
        (
            "no signature",
            bench.bent(|p| p["payload"]["signature"] = Value::Null),
            "invalid_payload",
        ),
        (
            "a long signature",
            bench.signed(|_| vec![1; 2100]),
            "invalid_payload",
        ),
        (
            "a short nonce",
            bench.bent(|p| p["payload"]["authorization"]["nonce"] = json!("0x12")),
            "invalid_payload",
        ),
        (
            "a value as number",
            bench.bent(|p| p["payload"]["authorization"]["value"] = json!(5)),
            "invalid_payload",
        ),
        (
            "a value in hex",
            bench.bent(|p| p["payload"]["authorization"]["value"] = json!("0x10")),
            "invalid_payload",
        ),
        (
            "a value beyond 256 bits",
            bench.bent(|p| p["payload"]["authorization"]["value"] = json!("9".repeat(78))),
            "invalid_payload",
        ),
        (
            "network no CAIP-2",
            bench.bent(|p| p["accepted"]["network"] = json!("base-sepolia")),
            "invalid_exact_evm_network_mismatch",
        ),
        (
            "a bad identifier",
            bench.bent(|p| p["extensions"]["payment-identifier"]["info"]["id"] = json!("short")),
            "payment_identifier_invalid",
        ),
        (
            "an identifier that is no text",
            bench.bent(|p| p["extensions"]["payment-identifier"]["info"]["id"] = json!(7)),
            "payment_identifier_invalid",
        ),
        (
            "an extension changed",
            bench.bent(|p| p["extensions"]["payment-identifier"]["info"]["required"] = json!(true)),
            "extension_echo_mismatch",
        ),
    ];
    for (name, payment, reason) in cases {
        bench.refused_v2(name, &payment, reason).await;
    }
    bench.still_works().await;
}

#[tokio::test]
async fn version_1_payments_are_held_to_the_same_rules() {
    let bench = Bench::new().await;
    let authorize = |bend: fn(&mut Authorization)| {
        let mut authorization = bench.stack.payer.authorization(bench.offer());
        bend(&mut authorization);
        let signature = bench.stack.payer.signature(bench.offer(), &authorization);
        payload(&bench.required, &authorization, &signature)["payload"].clone()
    };
    let header = |network: &str, payload: Value| {
        encoded(
            &json!({"x402Version": 1, "scheme": "exact", "network": network, "payload": payload}),
        )
    };
    for (name, header, reason) in [
        (
            "another chain",
            header("base", authorize(|_| {})),
            "invalid_exact_evm_network_mismatch",
        ),
        (
            "no chain",
            header("moon", authorize(|_| {})),
            "invalid_exact_evm_network_mismatch",
        ),
        (
            "one less",
            header("base-sepolia", authorize(|a| a.value -= U256::ONE)),
            "invalid_exact_evm_authorization_value",
        ),
        (
            "one more",
            header("base-sepolia", authorize(|a| a.value += U256::ONE)),
            "invalid_exact_evm_authorization_value",
        ),
        (
            "another payee",
            header(
                "base-sepolia",
                authorize(|a| a.to = Address::repeat_byte(7)),
            ),
            "invalid_exact_evm_recipient_mismatch",
        ),
        (
            "expired",
            header("base-sepolia", authorize(|a| a.valid_before = U256::ONE)),
            "invalid_exact_evm_payload_authorization_valid_before",
        ),
    ] {
        let request = bench
            .stack
            .payer
            .post(&bench.body)
            .header("x-payment", header);
        bench.refused(name, request, reason).await;
    }
    let good = payment_header_v1(bench.offer().network, &authorize(|_| {}))
        .expect("a name")
        .expect("a header");
    let answer = Answer::of(
        bench
            .stack
            .payer
            .post(&bench.body)
            .header("x-payment", good),
    )
    .await
    .expect("an answer");
    assert_eq!(answer.status, 200, "{}", answer.body);
    let paid =
        SettleResponse::from_header(answer.header("x-payment-response").expect("a response"))
            .expect("readable");
    assert!(paid.success);
    assert_eq!(paid.network, "base-sepolia");
    assert_eq!(answer.header("payment-response"), None);
}
