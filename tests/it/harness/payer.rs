use alloy::primitives::{B256, U256};
use groat::metering::Route;
use groat::protocol::eip3009::{Authorization, Terms, signed_payload};
use groat::protocol::permit2;
use groat::protocol::signature::Key;
use groat::protocol::x402::{PaymentPayload, PaymentRequired, Requirements};
use reqwest::{RequestBuilder, StatusCode, header::HeaderMap};
use serde_json::{Value, json};

/// A wallet that pays by hand, so that tests can bend every part of a payment.
#[derive(Debug, Clone)]
pub(crate) struct Payer {
    pub(crate) key: Key,
    pub(crate) url: String,
    pub(crate) client: reqwest::Client,
}

/// An answer, read to its end.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) async fn of(request: RequestBuilder) -> Result<Self, reqwest::Error> {
        let response = request.send().await?;
        let (status, headers) = (response.status(), response.headers().clone());
        Ok(Self {
            status,
            headers,
            body: response.text().await?,
        })
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", self.body))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The call's id, from its header.
    pub(crate) fn call(&self) -> String {
        self.header("groat-call-id").expect("a call id").to_owned()
    }

    /// The x402 error string of a challenge.
    pub(crate) fn reason(&self) -> String {
        let required = self
            .header("payment-required")
            .unwrap_or_else(|| panic!("no challenge: {self:?}"));
        PaymentRequired::from_header(required)
            .expect("a challenge")
            .error
            .unwrap_or_default()
    }

    /// The `data:` payloads of an event stream.
    pub(crate) fn events(&self) -> Vec<String> {
        self.body
            .lines()
            .filter_map(|line| line.strip_prefix("data: "))
            .map(str::to_owned)
            .collect()
    }

    /// The receipt in the answer's usage, whole or streamed.
    pub(crate) fn receipt(&self) -> Value {
        let whole: Option<Value> = serde_json::from_str(&self.body).ok();
        let chunks = self
            .events()
            .into_iter()
            .filter_map(|data| serde_json::from_str(&data).ok());
        let mut found = whole.into_iter().chain(chunks).filter_map(|value: Value| {
            let places = ["/usage/receipt", "/response/usage/receipt"];
            places.iter().find_map(|at| value.pointer(at)).cloned()
        });
        found
            .next_back()
            .unwrap_or_else(|| panic!("no receipt in {}", self.body))
    }
}

/// A chat body for a model.
pub(crate) fn chat(model: &str, prompt: &str, stream: bool) -> String {
    let mut body = json!({"model": model, "messages": [{"role": "user", "content": prompt}], "max_tokens": 32});
    if stream {
        body["stream"] = json!(true);
        body["stream_options"] = json!({"include_usage": true});
    }
    body.to_string()
}

impl Payer {
    pub(crate) fn post(&self, body: &str) -> RequestBuilder {
        self.post_to(Route::Chat, body)
    }

    pub(crate) fn post_to(&self, route: Route, body: &str) -> RequestBuilder {
        self.client
            .post(format!("{}{}", self.url, route.path()))
            .header("content-type", "application/json")
            .body(body.to_owned())
    }

    /// The challenge of an unpaid request.
    pub(crate) async fn challenge(&self, body: &str) -> PaymentRequired {
        self.challenge_to(Route::Chat, body).await
    }

    pub(crate) async fn challenge_to(&self, route: Route, body: &str) -> PaymentRequired {
        let answer = Answer::of(self.post_to(route, body)).await;
        let answer = answer.expect("an answer");
        assert_eq!(
            answer.status,
            StatusCode::PAYMENT_REQUIRED,
            "{}",
            answer.body
        );
        PaymentRequired::from_header(answer.header("payment-required").expect("offers"))
            .expect("a challenge")
    }

    /// A fresh authorization of an offer.
    pub(crate) fn authorization(&self, offer: &Requirements) -> Authorization {
        let now = groat::clock::now_ms() / 1000;
        Authorization {
            from: self.key.address(),
            to: offer.pay_to,
            value: U256::from(offer.amount.atomic()),
            valid_after: U256::ZERO,
            valid_before: U256::from(now + offer.max_timeout_seconds),
            nonce: B256::from(rand::random::<[u8; 32]>()),
        }
    }

    /// The header of a payment of the first offer, by any authorization.
    pub(crate) fn header_of(
        &self,
        required: &PaymentRequired,
        authorization: &Authorization,
    ) -> String {
        let offer = required.accepts.first().expect("an offer");
        let terms = Terms::of(offer).expect("terms");
        let payload = PaymentPayload {
            x402_version: 2,
            resource: Some(required.resource.clone()),
            accepted: serde_json::to_value(offer).expect("an offer"),
            payload: signed_payload(&self.key, authorization, &terms),
            extensions: required.extensions.clone(),
        };
        payload.to_header().expect("a header")
    }

    /// The header of a payment by Permit2 of an offer that takes one, with a nonce of its own.
    pub(crate) fn permit(&self, required: &PaymentRequired, offer: &Requirements) -> String {
        let terms = permit2::Terms::of(offer).expect("terms of Permit2");
        let nonce = U256::from_be_bytes(rand::random::<[u8; 32]>());
        let deadline = groat::clock::now_ms() / 1000 + offer.max_timeout_seconds;
        let authorization = terms.authorization(self.key.address(), nonce, deadline);
        let payload = PaymentPayload {
            x402_version: 2,
            resource: Some(required.resource.clone()),
            accepted: serde_json::to_value(offer).expect("an offer"),
            payload: permit2::signed_payload(&self.key, &authorization, &terms),
            extensions: required.extensions.clone(),
        };
        payload.to_header().expect("a header")
    }

    /// A good payment for this body, by the first offer.
    pub(crate) async fn payment(&self, body: &str) -> String {
        self.payment_to(Route::Chat, body).await
    }

    pub(crate) async fn payment_to(&self, route: Route, body: &str) -> String {
        let required = self.challenge_to(route, body).await;
        let offer = required.accepts.first().expect("an offer");
        match offer.extra_text("assetTransferMethod") {
            Some(permit2::METHOD) => self.permit(&required, offer),
            _ => self.header_of(&required, &self.authorization(offer)),
        }
    }

    /// Sends a body with a payment header.
    pub(crate) async fn send(&self, body: &str, payment: &str) -> Result<Answer, reqwest::Error> {
        Answer::of(self.post(body).header("payment-signature", payment)).await
    }

    /// Pays for a body on a route and reads the answer.
    pub(crate) async fn pay_to(&self, route: Route, body: &str) -> Answer {
        let payment = self.payment_to(route, body).await;
        let request = self.post_to(route, body);
        let answer = Answer::of(request.header("payment-signature", payment)).await;
        answer.expect("an answer")
    }

    /// Pays for a body and reads the answer.
    pub(crate) async fn pay(&self, body: &str) -> Answer {
        let payment = self.payment(body).await;
        self.send(body, &payment).await.expect("an answer")
    }
}
