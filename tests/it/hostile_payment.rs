//! Payments that are bent in every part: refused by the SDKs' own names, and nothing held.

use crate::harness::{Answer, Payer, Setup, Stack, chat, encoded, payload, until};
use alloy::primitives::{Address, B256, Bytes, U256};
use alloy::sol_types::SolCall;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use groat::chain::{Transfer, bindings::IEip3009Token};
use groat::protocol::eip3009::{Authorization, Terms, digest};
use groat::protocol::signature::Key;
use groat::protocol::x402::{PaymentRequired, Requirements, SettleResponse, payment_header_v1};
use serde_json::{Value, json};

const CONTRACT_WALLET: &str = include_str!("../../contracts/artifacts/ContractWallet.json");
const QUIET_TOKEN: &str = include_str!("../../contracts/artifacts/QuietToken.json");

alloy::sol! {
    function init(address firstOwner) external;
}

/// A body with its challenge, and a payer to bend payments of.
struct Bench {
    stack: Stack,
    body: String,
    required: PaymentRequired,
}

impl Bench {
    async fn new() -> Self {
        let stack = Stack::usual().await;
        let body = chat("m", "hello", false);
        let required = stack.payer.challenge(&body).await;
        Self {
            stack,
            body,
            required,
        }
    }

    fn offer(&self) -> &Requirements {
        &self.required.accepts[0]
    }

    fn now(&self) -> U256 {
        U256::from(groat::clock::now_ms() / 1000)
    }

    /// A payment whose authorization is bent before it is signed.
    fn authorized(&self, bend: impl FnOnce(&mut Authorization)) -> Value {
        let mut authorization = self.stack.payer.authorization(self.offer());
        bend(&mut authorization);
        let signature = self.stack.payer.signature(self.offer(), &authorization);
        payload(&self.required, &authorization, &signature)
    }

    /// A payment whose signature is bent.
    fn signed(&self, bend: impl FnOnce(Vec<u8>) -> Vec<u8>) -> Value {
        let authorization = self.stack.payer.authorization(self.offer());
        let signature = bend(self.stack.payer.signature(self.offer(), &authorization));
        payload(&self.required, &authorization, &signature)
    }

    /// A good payment, bent as JSON.
    fn bent(&self, bend: impl FnOnce(&mut Value)) -> Value {
        let mut payment = self.authorized(|_| {});
        bend(&mut payment);
        payment
    }

    /// A payment of a bent offer, authorized as the offer says.
    fn offered(&self, bend: impl FnOnce(&mut Requirements)) -> Value {
        let mut required = self.required.clone();
        bend(&mut required.accepts[0]);
        let offer = &required.accepts[0];
        let authorization = self.stack.payer.authorization(offer);
        let signature = self.stack.payer.signature(offer, &authorization);
        payload(&required, &authorization, &signature)
    }

    async fn refused(&self, name: &str, request: reqwest::RequestBuilder, reason: &str) {
        let answer = Answer::of(request).await.expect("an answer");
        assert_eq!(answer.status, 402, "{name}: {}", answer.body);
        assert_eq!(answer.reason(), reason, "{name}: {}", answer.body);
        assert_eq!(
            answer.header("payment-response"),
            None,
            "{name}: a failed check is no settlement"
        );
        assert_eq!(self.stack.entries().await, 0, "{name}: nothing is held");
    }

    async fn refused_v2(&self, name: &str, payment: &Value, reason: &str) {
        let request = self
            .stack
            .payer
            .post(&self.body)
            .header("payment-signature", encoded(payment));
        self.refused(name, request, reason).await;
    }

    /// Nothing reached an upstream, and a good payment is still taken.
    async fn still_works(&self) {
        assert_eq!(self.stack.seen().await.total, 0);
        let answer = self.stack.payer.pay(&self.body).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        self.stack.reconcile().await;
    }
}

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
            bench.bent(|p| p["accepted"]["scheme"] = json!("upto")),
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
        ("high s", bench.signed(malleable), signature),
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

fn stranger() -> Key {
    Key::from_bytes(&rand::random()).expect("a key")
}

/// The other signature that every signature has: s mirrored, v flipped.
fn malleable(signature: Vec<u8>) -> Vec<u8> {
    let order: U256 = "0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141"
        .parse()
        .expect("the order");
    let mirrored = order - U256::from_be_slice(&signature[32..64]);
    let mut twin = signature.clone();
    twin[32..64].copy_from_slice(&mirrored.to_be_bytes::<32>());
    twin[64] = 27 + 28 - signature[64];
    twin
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

#[tokio::test]
async fn what_only_the_chain_knows_is_asked_before_anything_is_held() {
    let bench = Bench::new().await;
    let authorization = bench.stack.payer.authorization(bench.offer());
    let signature = bench.stack.payer.signature(bench.offer(), &authorization);
    let calldata = transfer(bench.offer(), &authorization, &signature).calldata(false);
    // Somebody who saw the authorization carried it out.
    bench
        .stack
        .chain
        .send_as(Address::repeat_byte(0x77), bench.stack.asset, calldata)
        .await
        .expect("a transfer");
    let used = payload(&bench.required, &authorization, &signature);
    bench
        .refused_v2(
            "a used nonce",
            &used,
            "invalid_exact_evm_nonce_already_used",
        )
        .await;

    let poor = bench.stack.payer.with_key(stranger());
    let authorization = poor.authorization(bench.offer());
    let signature = poor.signature(bench.offer(), &authorization);
    let unfunded = payload(&bench.required, &authorization, &signature);
    bench
        .refused_v2(
            "no balance",
            &unfunded,
            "invalid_exact_evm_insufficient_balance",
        )
        .await;
    assert_eq!(bench.stack.seen().await.total, 0);
    let answer = bench.stack.payer.pay(&bench.body).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
}

fn transfer(offer: &Requirements, authorization: &Authorization, signature: &[u8]) -> Transfer {
    let terms = Terms::of(offer).expect("terms");
    Transfer {
        asset: offer.asset,
        from: authorization.from,
        to: authorization.to,
        value: authorization.value,
        valid_after: authorization.valid_after,
        valid_before: authorization.valid_before,
        nonce: authorization.nonce,
        signature: signature.to_vec().into(),
        digest: digest(authorization, &terms),
    }
}

#[tokio::test]
async fn a_contract_wallet_pays_by_its_own_word_only() {
    let bench = Bench::new().await;
    let wallet = Address::repeat_byte(0xc0);
    let (owner, stranger) = (stranger(), stranger());
    let chain = &bench.stack.chain;
    chain
        .install(wallet, CONTRACT_WALLET)
        .await
        .expect("the wallet's code");
    let init: Bytes = initCall {
        firstOwner: owner.address(),
    }
    .abi_encode()
    .into();
    chain
        .send_as(owner.address(), wallet, init)
        .await
        .expect("an owner");
    chain
        .mint(bench.stack.asset, wallet, U256::from(1_000_000))
        .await
        .expect("tokens");
    let payment = |by: &Payer| {
        let authorization = Authorization {
            from: wallet,
            ..by.authorization(bench.offer())
        };
        payload(
            &bench.required,
            &authorization,
            &by.signature(bench.offer(), &authorization),
        )
    };
    let by_stranger = payment(&bench.stack.payer.with_key(stranger));
    bench
        .refused_v2("a stranger's", &by_stranger, "invalid_exact_evm_signature")
        .await;

    let by_owner = encoded(&payment(&bench.stack.payer.with_key(owner)));
    let answer = bench
        .stack
        .payer
        .send(&bench.body, &by_owner)
        .await
        .expect("an answer");
    assert_eq!(answer.status, 200, "{}", answer.body);
    let receipt = answer.receipt();
    assert_eq!(
        receipt["payer"].as_str().map(str::to_lowercase),
        Some(format!("{wallet:#x}"))
    );
    let again = bench
        .stack
        .payer
        .send(&bench.body, &by_owner)
        .await
        .expect("an answer");
    assert_eq!(again.body, answer.body);
    bench.stack.reconcile().await;
}

/// The payer's balance is gone between the check and the settlement.
async fn drained(stack: &Stack) -> Answer {
    let body = chat("late", "hello", false);
    let payment = stack.payer.payment(&body).await;
    let drain = async {
        until("the upstream is asked", || async {
            (stack.seen().await.total == 1).then_some(())
        })
        .await;
        let payer = stack.payer.key.address();
        let value = U256::from(stack.balance(payer).await);
        let call = IEip3009Token::transferCall {
            to: Address::repeat_byte(0xdd),
            value,
        };
        stack
            .chain
            .send_as(payer, stack.asset, call.abi_encode().into())
            .await
            .expect("a transfer");
    };
    let (answer, ()) = tokio::join!(stack.payer.send(&body, &payment), drain);
    answer.expect("an answer")
}

async fn failed_settlement_is_told(stack: &Stack, reason: &str) {
    let answer = drained(stack).await;
    assert_eq!(answer.status, 402, "{}", answer.body);
    assert_eq!(answer.header("payment-required"), None, "not a challenge");
    assert_eq!(answer.code(), "settlement_failed");
    let response = answer
        .header("payment-response")
        .expect("a payment response");
    let response = SettleResponse::from_header(response).expect("readable");
    assert!(!response.success);
    assert_eq!(response.error_reason.as_deref(), Some(reason));
    assert_eq!(response.transaction, "");
    assert_eq!(response.network, "eip155:84532");
    let report = stack.reconcile().await;
    assert_eq!(report["calls"], 1);
    for name in ["settled", "captured", "available", "pending", "receivable"] {
        assert_eq!(crate::harness::total(&report, name), 0, "{name}: {report}");
    }
}

fn late() -> Setup {
    Setup {
        models: vec![("late", "sim/late?head=1500")],
        ..Setup::default()
    }
}

#[tokio::test]
async fn a_settlement_that_reverts_is_a_402_without_offers_and_charges_nothing() {
    let stack = Stack::with(late()).await;
    failed_settlement_is_told(&stack, "invalid_exact_evm_transaction_simulation_failed").await;
}

#[tokio::test]
async fn a_settlement_is_believed_for_its_transfer_event_not_for_its_status() {
    let stack = Stack::with(Setup {
        token: Some(QUIET_TOKEN),
        ..late()
    })
    .await;
    failed_settlement_is_told(&stack, "invalid_exact_evm_transfer_event_mismatch").await;
}
