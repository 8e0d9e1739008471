//! Channel payments that nobody should take, each refused by the string that the published kits know.

use super::client::{Client, Signed, offer, terms, units};
use super::setup;
use crate::harness::{Answer, Setup, Stack, chat, encoded};
use alloy::primitives::{Address, B256, U256};
use alloy::sol_types::SolCall;
use base64::Engine as _;
use groat::protocol::addresses::{ERC3009_COLLECTOR, PERMIT2};
use groat::protocol::channel::{
    ChannelConfig, Payload, Terms, signed_erc3009, signed_permit2, signed_voucher,
};
use groat::protocol::permit2::eip2612::{self, Permit, TokenDomain};
use groat::protocol::permit2::erc20_approval;
use groat::protocol::signature::Key;
use groat::protocol::x402::{PaymentPayload, PaymentRequired};
use serde_json::{Value, json};

const ANY: u128 = 1_000_000;

alloy::sol! {
    function nonces(address owner) external view returns (uint256);
}

/// A client without a channel, and what it is asked to pay.
struct Bench {
    stack: Stack,
    client: Client,
    body: String,
    required: PaymentRequired,
}

impl Bench {
    async fn new(lines: &'static str) -> Self {
        let stack = Stack::with(Setup {
            payment: lines,
            ..setup()
        })
        .await;
        let client = Client::new(&stack);
        let body = chat("m", "hello", false);
        let required = client.payer.challenge(&body).await;
        Self {
            stack,
            client,
            body,
            required,
        }
    }

    fn terms(&self) -> Terms {
        terms(offer(&self.required))
    }

    /// A good payment of the first call, with a deposit.
    fn good(&self) -> Value {
        let amount = offer(&self.required).amount;
        let signed = self
            .client
            .sign_this(&self.required, amount, Some(units(ANY)));
        decoded(&signed)
    }

    /// The same with a member of its payload changed and nothing signed anew.
    fn set(&self, pointer: &str, value: Value) -> Value {
        let mut payment = self.good();
        let member = payment.pointer_mut(pointer);
        *member.unwrap_or_else(|| panic!("no {pointer}")) = value;
        payment
    }

    /// A voucher of another channel, soundly signed.
    fn of_channel(&self, bend: impl FnOnce(&mut ChannelConfig)) -> Value {
        let terms = self.terms();
        let mut config = self.client.config(&terms);
        bend(&mut config);
        let id = config.id(terms.domain());
        let key = &self.client.payer.key;
        let voucher = signed_voucher(key, id, terms.amount, terms.domain());
        self.payment(&Payload::Voucher { config, voucher })
    }

    fn payment(&self, payload: &Payload) -> Value {
        json!(PaymentPayload {
            x402_version: 2,
            resource: Some(self.required.resource.clone()),
            accepted: json!(offer(&self.required)),
            payload: payload.to_json(),
            extensions: self.required.extensions.clone(),
        })
    }

    async fn send(&self, payment: &Value) -> Answer {
        let sent = self.client.payer.send(&self.body, &encoded(payment)).await;
        sent.expect("an answer")
    }

    /// Sends each and holds the reason against its name; nothing moves and nothing goes upstream.
    async fn refused(&self, cases: Vec<(Value, &str)>) {
        let payer = self.client.payer.key.address();
        let funds = self.stack.balance(payer).await;
        for (payment, reason) in cases {
            let answer = self.send(&payment).await;
            assert_eq!(answer.status, 402, "{reason}: {answer:?}");
            let name = answer.reason();
            let short = name.strip_prefix("invalid_batch_settlement_evm_");
            assert_eq!(short.unwrap_or(&name), reason, "{payment}");
        }
        assert_eq!(self.stack.balance(payer).await, funds);
        assert_eq!(self.stack.seen().await.total, 0);
    }
}

fn decoded(signed: &Signed) -> Value {
    let json = base64::engine::general_purpose::STANDARD.decode(&signed.header);
    serde_json::from_slice(&json.expect("base64")).expect("JSON")
}

fn now() -> u64 {
    groat::clock::now_ms() / 1000
}

const BY_TOKEN: &str = "rails = [\"batch-settlement\", \"exact\"]\n";
const BY_PERMIT2: &str = "rails = [\"batch-settlement\"]\n[channels]\ndeposit_by = \"permit2\"\n";

const CONFIG: &str = "/payload/channelConfig";
const VOUCHER: &str = "/payload/voucher";
const ERC3009: &str = "/payload/deposit/authorization/erc3009Authorization";
const BY_PERMIT: &str = "/payload/deposit/authorization/permit2Authorization";

#[tokio::test]
async fn channels_and_vouchers_that_are_not_as_offered_are_refused_by_name() {
    let bench = Bench::new(BY_TOKEN).await;
    let at = |root: &str, member: &str| format!("{root}/{member}");
    let mut twisted = vec![0; 96];
    twisted.extend_from_slice(&[0x64, 0x92].repeat(16));
    let twisted = format!("0x{}", hex::encode(twisted));
    bench
        .refused(vec![
            (bench.set("/payload/type", json!("moon")), "payload_type"),
            (
                bench.set("/payload/deposit/authorization", json!({})),
                "payload_type",
            ),
            (
                bench.set(&at(VOUCHER, "channelId"), json!("0x12")),
                "channel_id_invalid",
            ),
            (
                bench.set(&at(VOUCHER, "channelId"), json!(B256::ZERO)),
                "channel_id_mismatch",
            ),
            (
                bench.set(&at(CONFIG, "salt"), json!(B256::repeat_byte(7))),
                "channel_id_mismatch",
            ),
            (
                bench.set(&at(VOUCHER, "signature"), json!(twisted)),
                "eip6492_factory_not_allowed",
            ),
            (
                bench.set("/accepted/network", json!("eip155:8453")),
                "network_mismatch",
            ),
            (
                bench.of_channel(|c| c.receiver = Address::repeat_byte(7)),
                "receiver_mismatch",
            ),
            (
                bench.of_channel(|c| c.receiver_authorizer = Address::repeat_byte(7)),
                "receiver_authorizer_mismatch",
            ),
            (
                bench.of_channel(|c| c.token = Address::repeat_byte(7)),
                "token_mismatch",
            ),
            (
                bench.of_channel(|c| c.withdraw_delay += 1),
                "withdraw_delay_mismatch",
            ),
            (
                bench.of_channel(|c| c.payer_authorizer = Address::repeat_byte(7)),
                "voucher_signature",
            ),
            (bench.of_channel(|_| ()), "channel_not_found"),
        ])
        .await;
}

#[tokio::test]
async fn deposits_by_the_token_that_cannot_be_made_are_refused_by_name() {
    let bench = Bench::new(BY_TOKEN).await;
    let at = |member: &str| format!("{ERC3009}/{member}");
    let terms = bench.terms();
    let config = bench.client.config(&terms);
    let stranger = Key::from_bytes(&[9; 32]).expect("a key");
    let deposit = |key: &Key, until| {
        signed_erc3009(
            key,
            &config,
            &terms,
            units(ANY),
            (0, until),
            B256::repeat_byte(3),
        )
    };
    let id = config.id(terms.domain());
    let key = &bench.client.payer.key;
    let with = |deposit| {
        bench.payment(&Payload::Deposit {
            config: config.clone(),
            voucher: signed_voucher(key, id, terms.amount, terms.domain()),
            deposit: Box::new(deposit),
        })
    };
    let by_permit2 = signed_permit2(key, &config, &terms, units(ANY), now() + 300, U256::ONE);
    bench
        .refused(vec![
            (
                bench.set(&at("validBefore"), json!((now() + 3).to_string())),
                "payload_authorization_valid_before",
            ),
            (
                bench.set(&at("validAfter"), json!((now() + 600).to_string())),
                "payload_authorization_valid_after",
            ),
            (
                with(deposit(&stranger, now() + 300)),
                "receive_authorization_signature",
            ),
            (with(by_permit2), "erc3009_authorization_required"),
            (
                bench.set("/payload/deposit/amount", json!("1")),
                "deposit_below_min_deposit",
            ),
        ])
        .await;
    // A collector that refuses everything.
    let broken = (ERC3009_COLLECTOR, "0x60006000fd");
    let set = bench
        .stack
        .chain
        .rpc
        .request::<_, Value>("anvil_setCode", broken);
    set.await.expect("other code");
    bench
        .refused(vec![(bench.good(), "deposit_simulation_failed")])
        .await;
}

#[tokio::test]
async fn deposits_by_permit2_that_cannot_be_made_are_refused_by_name() {
    let bench = Bench::new(BY_PERMIT2).await;
    let at = |member: &str| format!("{BY_PERMIT}/{member}");
    let terms = bench.terms();
    let config = bench.client.config(&terms);
    let id = config.id(terms.domain());
    let key = &bench.client.payer.key;
    let with = |deposit| {
        bench.payment(&Payload::Deposit {
            config: config.clone(),
            voucher: signed_voucher(key, id, terms.amount, terms.domain()),
            deposit: Box::new(deposit),
        })
    };
    let stranger = Key::from_bytes(&[9; 32]).expect("a key");
    let until = now() + 300;
    let by_token = signed_erc3009(key, &config, &terms, units(ANY), (0, until), B256::ZERO);
    let strangers = signed_permit2(&stranger, &config, &terms, units(ANY), until, U256::ONE);
    let other = json!(Address::repeat_byte(7).to_string());
    let mut approval = bench.good();
    approval["extensions"][erc20_approval::KEY] = json!({"info": {"signedTransaction": "0x"}});
    bench
        .refused(vec![
            (with(by_token), "permit2_authorization_required"),
            (
                bench.set(&at("spender"), other.clone()),
                "permit2_invalid_spender",
            ),
            (
                bench.set(&at("permitted/token"), other.clone()),
                "token_mismatch",
            ),
            (
                bench.set(&at("permitted/amount"), json!("1")),
                "permit2_amount_mismatch",
            ),
            (
                bench.set(&at("witness/channelId"), json!(B256::ZERO)),
                "channel_id_mismatch",
            ),
            (
                bench.set(&at("deadline"), json!((now() + 3).to_string())),
                "permit2_deadline_expired",
            ),
            (bench.set(&at("from"), other), "permit2_invalid_signature"),
            (with(strangers), "permit2_invalid_signature"),
            (bench.good(), "permit2_allowance_required"),
            (approval, "erc20_approval_unavailable"),
            (
                bench.with_permit(|p| p.amount += U256::ONE).await,
                "eip2612_amount_mismatch",
            ),
            (
                bench
                    .with_permit(|p| p.from = Address::repeat_byte(7))
                    .await,
                "eip2612_from_mismatch",
            ),
            (
                bench
                    .with_permit(|p| p.asset = Address::repeat_byte(7))
                    .await,
                "eip2612_asset_mismatch",
            ),
            (
                bench
                    .with_permit(|p| p.spender = Address::repeat_byte(7))
                    .await,
                "eip2612_spender_not_permit2",
            ),
            (
                bench
                    .with_permit(|p| p.deadline = U256::from(now() + 3))
                    .await,
                "eip2612_deadline_expired",
            ),
        ])
        .await;
}

impl Bench {
    /// A deposit by Permit2 with a permit of the token's that a test bends before it is signed.
    async fn with_permit(&self, bend: impl FnOnce(&mut Permit)) -> Value {
        let owner = self.client.payer.key.address();
        let ask = noncesCall { owner }.abi_encode();
        let rpc = &self.stack.chain.rpc;
        let nonce = rpc.call(self.stack.asset, &ask.into()).await;
        let mut permit = Permit {
            from: owner,
            asset: self.stack.asset,
            spender: PERMIT2,
            amount: U256::from(ANY),
            nonce: U256::from_be_slice(&nonce.expect("a nonce")),
            deadline: U256::from(now() + 300),
        };
        bend(&mut permit);
        let token = TokenDomain::of(offer(&self.required)).expect("a token's domain");
        let permit = eip2612::sign(&self.client.payer.key, permit, &token);
        let mut payment = self.good();
        let advertised = payment["extensions"][eip2612::KEY].clone();
        payment["extensions"][eip2612::KEY] = eip2612::echo_with_permit(&advertised, &permit);
        payment
    }
}

#[tokio::test]
async fn vouchers_and_refunds_of_what_is_not_there_are_refused_by_name() {
    let bench = Bench::new(BY_TOKEN).await;
    let mut client = bench.client.clone();
    let amount = offer(&bench.required).amount;
    let url = format!("{}/v1/chat/completions", client.payer.url);
    let refund = |bend: Option<Value>| {
        let terms = bench.terms();
        let config = client.config(&terms);
        let id = config.id(terms.domain());
        let key = &client.payer.key;
        let payload = Payload::Refund {
            config,
            voucher: signed_voucher(key, id, client.book.charged, terms.domain()),
            amount: None,
        };
        let mut payment = bench.payment(&payload);
        if let Some(amount) = bend {
            payment["payload"]["amount"] = amount;
        }
        let asked = client.payer.client.get(&url);
        Answer::of(asked.header("payment-signature", encoded(&payment)))
    };
    let none = refund(None).await.expect("an answer");
    assert_eq!(
        none.reason(),
        "invalid_batch_settlement_evm_channel_not_found"
    );
    for bad in [json!("0"), json!("-1"), json!("all")] {
        let refused = refund(Some(bad)).await.expect("an answer");
        let name = "invalid_batch_settlement_evm_refund_amount_invalid";
        assert_eq!(refused.reason(), name);
    }
    // Charges above one offer of a small call, all of them claimed.
    while client.book.charged <= amount {
        let long = "a long question ".repeat(200);
        client.pay(&chat("m", &long, false)).await;
    }
    bench.stack.admin("/claim").await;
    let stale = client.sign_this(&bench.required, amount, None);
    let refused = client.payer.send(&bench.body, &stale.header).await;
    let refused = refused.expect("an answer");
    assert_eq!(
        refused.reason(),
        "invalid_batch_settlement_evm_cumulative_below_claimed"
    );
    let corrected = super::client::challenge(&refused);
    let extra = offer(&corrected).extra.clone().expect("an extra");
    let charged = client.book.charged.to_string();
    assert_eq!(extra["channelState"]["chargedCumulativeAmount"], charged);
    assert_eq!(extra["channelState"]["totalClaimed"], charged);

    assert_eq!(client.refund(None).await.status, 200);
    let again = client.refund(None).await;
    assert_eq!(
        again.reason(),
        "invalid_batch_settlement_evm_refund_no_balance"
    );
    let unknown = format!("/0x{}/refund", "7".repeat(64));
    let url = format!("{}/admin/channels{unknown}", client.payer.url);
    let asked = client
        .payer
        .client
        .post(url)
        .bearer_auth(&bench.stack.admin_token);
    let missing = Answer::of(asked).await.expect("an answer");
    assert_eq!(
        missing.code(),
        "invalid_batch_settlement_evm_missing_channel"
    );
}
