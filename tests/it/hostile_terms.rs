//! Payments for something else, or signed by somebody else: refused by the SDKs' own names.

use crate::harness::{chat, encoded, payload};
use crate::hostile_bench::{Bench, stranger};
use alloy::primitives::{Address, B256, U256};
use serde_json::{Value, json};

#[tokio::test]
async fn rule_9_payments_for_something_else_are_refused_by_name() {
    let bench = Bench::new().await;
    let amount = bench.offer().amount;
    let plus = |n: i64| {
        groat::money::Units::from_atomic(
            amount
                .atomic()
                .checked_add_signed(n.into())
                .expect("an amount"),
        )
    };
    let value = "invalid_exact_evm_payload_authorization_value_mismatch";
    let before = "invalid_exact_evm_payload_authorization_valid_before";
    let elsewhere = Address::repeat_byte(7);
    let now = bench.now();
    let seconds = |n: u64| U256::from(n);
    let cases: Vec<(&str, Value, &str)> = vec![
        (
            "another chain",
            bench.offered(|o| o.network = "eip155:8453".parse().expect("a chain")),
            "invalid_exact_evm_network_mismatch",
        ),
        (
            "another asset",
            bench.offered(|o| o.asset = elsewhere),
            "No matching payment requirements",
        ),
        (
            "another payee in both",
            bench.offered(|o| o.pay_to = elsewhere),
            "invalid_exact_evm_recipient_mismatch",
        ),
        (
            "another payee signed",
            bench.authorized(|a| a.to = elsewhere),
            "invalid_exact_evm_recipient_mismatch",
        ),
        (
            "one less in both",
            bench.offered(|o| o.amount = plus(-1)),
            value,
        ),
        (
            "one more in both",
            bench.offered(|o| o.amount = plus(1)),
            value,
        ),
        (
            "one less signed",
            bench.authorized(|a| a.value -= seconds(1)),
            value,
        ),
        (
            "one more signed",
            bench.authorized(|a| a.value += seconds(1)),
            value,
        ),
        (
            "nothing signed",
            bench.authorized(|a| a.value = U256::ZERO),
            value,
        ),
        (
            "another time-out",
            bench.offered(|o| o.max_timeout_seconds += 1),
            "No matching payment requirements",
        ),
        (
            "another token name",
            bench.bent(|p| p["accepted"]["extra"]["name"] = json!("Dollars")),
            "No matching payment requirements",
        ),
        (
            "expired",
            bench.authorized(|a| a.valid_before = now - seconds(1)),
            before,
        ),
        (
            "about to expire",
            bench.authorized(|a| a.valid_before = now + seconds(4)),
            before,
        ),
        (
            "valid for two years",
            bench.authorized(|a| a.valid_before = now + seconds(2 * 366 * 86_400)),
            before,
        ),
        (
            "not yet valid",
            bench.authorized(|a| a.valid_after = now + seconds(600)),
            "invalid_exact_evm_payload_authorization_valid_after",
        ),
    ];
    for (name, payment, reason) in cases {
        bench.refused_v2(name, &payment, reason).await;
    }
    // Bought for this body, sent with a dearer one or another model.
    let good = encoded(&bench.authorized(|_| {}));
    for body in [
        chat("m", &"dear ".repeat(100), false),
        chat("m", "h", false),
    ] {
        let request = bench
            .stack
            .payer
            .post(&body)
            .header("payment-signature", &good);
        bench.refused("another body", request, value).await;
    }
    bench.still_works().await;
}

#[tokio::test]
async fn signatures_that_are_not_the_payers_are_refused() {
    let bench = Bench::new().await;
    let stranger = bench.stack.payer.with_key(stranger());
    let authorization = bench.stack.payer.authorization(bench.offer());
    let by_another = stranger.signature(bench.offer(), &authorization);
    let signature = "invalid_exact_evm_signature";
    let cases: Vec<(&str, Value, &str)> = vec![
        (
            "another key's",
            payload(&bench.required, &authorization, &by_another),
            signature,
        ),
        ("high s", bench.signed(|s| malleable(&s)), signature),
        (
            "a flipped bit",
            bench.signed(|mut s| {
                s[40] ^= 1;
                s
            }),
            signature,
        ),
        ("zeros", bench.signed(|_| vec![0; 65]), signature),
        (
            "v of 29",
            bench.signed(|mut s| {
                s[64] = 29;
                s
            }),
            signature,
        ),
        (
            "64 bytes",
            bench.signed(|mut s| {
                s.pop();
                s
            }),
            signature,
        ),
        ("empty", bench.signed(|_| Vec::new()), signature),
        (
            "EIP-6492",
            bench.signed(|mut s| {
                s.extend([0x64, 0x92].repeat(16));
                s
            }),
            "eip6492_factory_not_allowed",
        ),
        (
            "value changed after signing",
            bench.bent(|p| p["payload"]["authorization"]["validBefore"] = json!("1999999999")),
            "invalid_exact_evm_payload_authorization_valid_before",
        ),
        (
            "nonce changed after signing",
            bench.bent(|p| p["payload"]["authorization"]["nonce"] = json!(B256::repeat_byte(1))),
            signature,
        ),
        (
            "payer changed after signing",
            bench.bent(|p| p["payload"]["authorization"]["from"] = json!(Address::repeat_byte(9))),
            signature,
        ),
    ];
    for (name, payment, reason) in cases {
        bench.refused_v2(name, &payment, reason).await;
    }
    bench.still_works().await;
}

/// The other signature that every signature has: s mirrored, v flipped.
fn malleable(signature: &[u8]) -> Vec<u8> {
    let order: U256 = "0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141"
        .parse()
        .expect("the order");
    let mirrored = order - U256::from_be_slice(&signature[32..64]);
    let mut twin = signature.to_vec();
    twin[32..64].copy_from_slice(&mirrored.to_be_bytes::<32>());
    twin[64] = 27 + 28 - signature[64];
    twin
}
