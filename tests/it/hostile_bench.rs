//! Where payments are bent: a body with its challenge, and a payer.

use crate::harness::{Answer, Stack, chat, encoded, payload};
use alloy::primitives::U256;
use groat::protocol::eip3009::Authorization;
use groat::protocol::signature::Key;
use groat::protocol::x402::{PaymentRequired, Requirements};
use serde_json::Value;

/// A body with its challenge, and a payer to bend payments of.
pub(crate) struct Bench {
    pub(crate) stack: Stack,
    pub(crate) body: String,
    pub(crate) required: PaymentRequired,
}

impl Bench {
    pub(crate) async fn new() -> Self {
        let stack = Stack::usual().await;
        let body = chat("m", "hello", false);
        let required = stack.payer.challenge(&body).await;
        Self {
            stack,
            body,
            required,
        }
    }

    pub(crate) fn offer(&self) -> &Requirements {
        &self.required.accepts[0]
    }

    pub(crate) fn now(&self) -> U256 {
        U256::from(groat::clock::now_ms() / 1000)
    }

    /// A payment whose authorization is bent before it is signed.
    pub(crate) fn authorized(&self, bend: impl FnOnce(&mut Authorization)) -> Value {
        let mut authorization = self.stack.payer.authorization(self.offer());
        bend(&mut authorization);
        let signature = self.stack.payer.signature(self.offer(), &authorization);
        payload(&self.required, &authorization, &signature)
    }

    /// A payment whose signature is bent.
    pub(crate) fn signed(&self, bend: impl FnOnce(Vec<u8>) -> Vec<u8>) -> Value {
        let authorization = self.stack.payer.authorization(self.offer());
        let signature = bend(self.stack.payer.signature(self.offer(), &authorization));
        payload(&self.required, &authorization, &signature)
    }

    /// A good payment, bent as JSON.
    pub(crate) fn bent(&self, bend: impl FnOnce(&mut Value)) -> Value {
        let mut payment = self.authorized(|_| {});
        bend(&mut payment);
        payment
    }

    /// A payment of a bent offer, authorized as the offer says.
    pub(crate) fn offered(&self, bend: impl FnOnce(&mut Requirements)) -> Value {
        let mut required = self.required.clone();
        bend(&mut required.accepts[0]);
        let offer = &required.accepts[0];
        let authorization = self.stack.payer.authorization(offer);
        let signature = self.stack.payer.signature(offer, &authorization);
        payload(&required, &authorization, &signature)
    }

    pub(crate) async fn refused(&self, name: &str, request: reqwest::RequestBuilder, reason: &str) {
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

    pub(crate) async fn refused_v2(&self, name: &str, payment: &Value, reason: &str) {
        let request = self
            .stack
            .payer
            .post(&self.body)
            .header("payment-signature", encoded(payment));
        self.refused(name, request, reason).await;
    }

    /// Nothing reached an upstream, and a good payment is still taken.
    pub(crate) async fn still_works(&self) {
        assert_eq!(self.stack.seen().await.total, 0);
        let answer = self.stack.payer.pay(&self.body).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        self.stack.reconcile().await;
    }
}

/// A key of nobody's.
pub(crate) fn stranger() -> Key {
    Key::from_bytes(&rand::random()).expect("a key")
}
