//! Payments that a test bends, and the books it looks at afterwards.

use super::{Answer, Payer, Stack, until};
use alloy::primitives::{Address, U256};
use alloy::sol_types::SolCall;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use groat::chain::bindings::IEip3009Token;
use groat::protocol::eip3009::{Authorization, Terms, digest};
use groat::protocol::signature::Key;
use groat::protocol::x402::{PaymentRequired, Requirements};
use serde_json::{Value, json};

impl Payer {
    /// Another wallet at the same gateway.
    pub(crate) fn with_key(&self, key: Key) -> Self {
        Self {
            key,
            ..self.clone()
        }
    }

    /// The 65 bytes with which this wallet signs an authorization of an offer.
    pub(crate) fn signature(&self, offer: &Requirements, authorization: &Authorization) -> Vec<u8> {
        let terms = Terms::of(offer).expect("terms");
        self.key
            .sign(digest(authorization, &terms))
            .to_bytes()
            .to_vec()
    }
}

impl Stack {
    /// Sends all that a wallet has to somebody else.
    pub(crate) async fn drain(&self, wallet: Address) {
        let everything = IEip3009Token::transferCall {
            to: Address::repeat_byte(0xdd),
            value: U256::from(self.balance(wallet).await),
        };
        let data = everything.abi_encode().into();
        let sent = self.chain.send_as(wallet, self.asset, data).await;
        sent.expect("a transfer");
    }

    /// Drains the payer's wallet once the upstream has been asked, which is after every check.
    pub(crate) async fn drain_payer_late(&self) {
        until("the upstream is asked", || async {
            (self.seen().await.total == 1).then_some(())
        })
        .await;
        self.drain(self.payer.key.address()).await;
    }
}

/// A version 2 payment as JSON, of any parts.
pub(crate) fn payload(
    required: &PaymentRequired,
    authorization: &Authorization,
    signature: &[u8],
) -> Value {
    json!({
        "x402Version": 2,
        "resource": required.resource,
        "accepted": required.accepts[0],
        "payload": {"signature": format!("0x{}", hex::encode(signature)), "authorization": authorization},
        "extensions": required.extensions,
    })
}

/// A header value of any JSON.
pub(crate) fn encoded(payload: &Value) -> String {
    STANDARD.encode(payload.to_string())
}

/// A sum over all assets of one of the report's totals, in atomic units.
pub(crate) fn total(report: &Value, name: &str) -> i64 {
    let totals = report["totals"].as_array().expect("totals");
    totals
        .iter()
        .map(|total| {
            total[name]
                .as_i64()
                .unwrap_or_else(|| panic!("no {name} in {total}"))
        })
        .sum()
}

impl Answer {
    /// The code of an error body in OpenAI's shape.
    pub(crate) fn code(&self) -> String {
        let error = &self.json()["error"];
        assert!(
            error["message"].is_string() && error["type"].is_string(),
            "not OpenAI's shape: {}",
            self.body
        );
        assert!(
            error.get("param").is_some(),
            "not OpenAI's shape: {}",
            self.body
        );
        match &error["code"] {
            Value::String(code) => code.clone(),
            other => other.to_string(),
        }
    }
}

impl Stack {
    /// How many entries the ledger has.
    pub(crate) async fn entries(&self) -> u64 {
        self.report().await["entries"].as_u64().expect("a count")
    }

    /// The newest receipt of a call, once there is one.
    pub(crate) async fn receipt(&self, call: &str) -> Value {
        let url = format!("{}/v1/receipts/{call}", self.payer.url);
        super::until("the receipt is there", || async {
            let answer = Answer::of(self.payer.client.get(&url)).await.ok()?;
            answer.status.is_success().then(|| answer.json())
        })
        .await
    }

    /// An account's balance of the token that is paid in, in atomic units.
    pub(crate) async fn balance(&self, account: Address) -> u64 {
        let balance = self
            .chain
            .balance_of(self.asset, account)
            .await
            .expect("a balance");
        balance.to::<u64>()
    }
}
