//! One credential, and what the client that holds it has seen.

use crate::harness::{Answer, Payer};
use alloy::primitives::B256;
use reqwest::StatusCode;

/// A paid request that may be sent again and again.
#[derive(Debug, Clone)]
pub(super) struct Purchase {
    pub(super) body: String,
    pub(super) payment: String,
    /// The authorization's nonce, by which the ledger's hold is found.
    pub(super) nonce: B256,
    pub(super) seen: Seen,
}

/// What a client knows of its purchase.
#[derive(Debug, Clone)]
pub(super) enum Seen {
    /// The connection broke before anything came.
    Nothing,
    /// The answer began, and the connection broke.
    Begun { call: String },
    /// The answer came to its end.
    Whole(Answer),
    /// The gateway has said that it has no answer: the `code` of its 409.
    Gone(String),
}

impl Purchase {
    pub(super) async fn sign(payer: &Payer, body: String) -> Self {
        let required = payer.challenge(&body).await;
        let authorization = payer.authorization(required.accepts.first().expect("an offer"));
        Self {
            payment: payer.header_of(&required, &authorization),
            nonce: authorization.nonce,
            body,
            seen: Seen::Nothing,
        }
    }

    /// Sends it for the first time, to a gateway that may die meanwhile.
    pub(super) async fn send(mut self, payer: Payer) -> Self {
        let request = payer
            .post(&self.body)
            .header("payment-signature", &self.payment);
        let Ok(response) = request.send().await else {
            return self;
        };
        let (status, headers) = (response.status(), response.headers().clone());
        let text = response.text().await;
        let answer = Answer {
            status,
            headers,
            body: text.as_deref().unwrap_or_default().to_owned(),
        };
        self.seen = match (status, text) {
            (StatusCode::OK, Ok(_)) => Seen::Whole(answer),
            (StatusCode::OK, Err(_)) => Seen::Begun {
                call: answer.call(),
            },
            _ => panic!("a good payment is refused: {answer:?}\n{self:?}"),
        };
        self
    }

    /// Sends it again after a restart: the same answer, or the reason why there is none.
    pub(super) async fn send_again(&mut self, payer: &Payer) {
        let answer = payer
            .send(&self.body, &self.payment)
            .await
            .expect("an answer");
        if answer.status == StatusCode::OK {
            match &self.seen {
                Seen::Whole(before) => assert_eq!(
                    answer.body, before.body,
                    "another answer for the same payment"
                ),
                Seen::Begun { call } => {
                    assert_eq!(answer.call(), *call, "another call for the same payment")
                }
                Seen::Nothing => {}
                Seen::Gone(code) => panic!("an answer after {code}: {answer:?}\n{self:?}"),
            }
            self.seen = Seen::Whole(answer);
            return;
        }
        assert_eq!(
            answer.status,
            StatusCode::CONFLICT,
            "neither the answer nor a reason: {answer:?}\n{self:?}"
        );
        let code = answer.json()["error"]["code"]
            .as_str()
            .expect("a code")
            .to_owned();
        match (&self.seen, code.as_str()) {
            // The answer was sent, and the process died before it was kept.
            (Seen::Whole(_), "answer_expired") => {}
            (
                Seen::Nothing | Seen::Begun { .. } | Seen::Gone(_),
                "answer_expired" | "call_voided",
            ) => {
                self.seen = Seen::Gone(code);
            }
            (_, code) => panic!("{code} contradicts what was seen: {answer:?}\n{self:?}"),
        }
    }
}
