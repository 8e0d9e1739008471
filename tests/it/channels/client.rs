//! A client that pays out of a channel as the published ones do, by the same rules, so that tests can
//! bend every part of it.

use crate::harness::{Answer, Payer, Stack};
use alloy::primitives::{Address, B256};
use groat::money::Units;
use groat::protocol::addresses::{BATCH_SETTLEMENT, ERC3009_COLLECTOR, PERMIT2, PERMIT2_COLLECTOR};
use groat::protocol::channel::{
    Book, ChannelConfig, Domain, Method, Payload, Terms, signed_erc3009, signed_permit2,
    signed_voucher,
};
use groat::protocol::x402::{PaymentPayload, PaymentRequired, Requirements, SettleResponse};
use reqwest::RequestBuilder;

/// A channel's payer, with the books that its client keeps.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    pub(crate) payer: Payer,
    /// The wallet that pays, when it is a contract of the key's.
    pub(crate) account: Option<Address>,
    /// Tells its channel from others of the same payer.
    pub(crate) salt: B256,
    pub(crate) book: Book,
    /// What each deposit brings.
    pub(crate) deposit: Units,
}

/// A payment as it is sent, and what the client needs to read its answer.
#[derive(Debug, Clone)]
pub(crate) struct Signed {
    pub(crate) header: String,
    pub(crate) amount: Units,
    pub(crate) deposited: Option<Units>,
}

pub(crate) fn units(amount: u128) -> Units {
    Units::from_atomic(amount)
}

/// The offer of a challenge that is by channel.
pub(crate) fn offer(required: &PaymentRequired) -> &Requirements {
    let mut accepts = required.accepts.iter();
    let found = accepts.find(|offer| offer.scheme == "batch-settlement");
    found.unwrap_or_else(|| panic!("no channel is offered: {required:?}"))
}

pub(crate) fn terms(offer: &Requirements) -> Terms {
    let extra = offer.extra.as_ref().expect("an extra");
    let authorizer = offer.extra_text("receiverAuthorizer").expect("one");
    Terms {
        domain: Domain::new(offer.network, BATCH_SETTLEMENT),
        asset: offer.asset,
        pay_to: offer.pay_to,
        receiver_authorizer: authorizer.parse().expect("an address"),
        withdraw_delay: extra["withdrawDelay"].as_u64().expect("a number"),
        amount: offer.amount,
        min_deposit: None,
        method: match offer.extra_text("assetTransferMethod") {
            Some("permit2") => Method::Permit2,
            _ => Method::Eip3009,
        },
        token_name: offer.extra_text("name").expect("a name").to_owned(),
        token_version: offer.extra_text("version").expect("a version").to_owned(),
        erc3009_collector: ERC3009_COLLECTOR,
        permit2_collector: PERMIT2_COLLECTOR,
        permit2: PERMIT2,
    }
}

impl Client {
    /// A client without books.
    pub(crate) fn new(stack: &Stack) -> Self {
        Self {
            payer: stack.payer.clone(),
            account: None,
            salt: B256::ZERO,
            book: Book::default(),
            deposit: units(1_000_000),
        }
    }

    pub(crate) fn config(&self, terms: &Terms) -> ChannelConfig {
        let own = self.payer.key.address();
        ChannelConfig {
            payer: self.account.unwrap_or(own),
            // A contract judges its vouchers itself.
            payer_authorizer: self.account.map_or(own, |_| Address::ZERO),
            receiver: terms.pay_to,
            receiver_authorizer: terms.receiver_authorizer,
            token: terms.asset,
            withdraw_delay: terms.withdraw_delay,
            salt: self.salt,
        }
    }

    /// Signs for a body: a voucher, with a deposit when the channel lacks one.
    pub(crate) async fn sign(&self, body: &str) -> Signed {
        let required = self.payer.challenge(body).await;
        self.sign_for(&required)
    }

    pub(crate) fn sign_for(&self, required: &PaymentRequired) -> Signed {
        let next = self.book.next(offer(required).amount).expect("a sum");
        let deposit = (!next.lacks.is_zero()).then(|| next.lacks.max(self.deposit));
        self.sign_this(required, next.max_claimable, deposit)
    }

    /// Signs a voucher of this ceiling, whatever the books say.
    pub(crate) fn sign_this(
        &self,
        required: &PaymentRequired,
        max_claimable: Units,
        deposit: Option<Units>,
    ) -> Signed {
        let offer = offer(required);
        let terms = terms(offer);
        let config = self.config(&terms);
        let id = config.id(terms.domain());
        let key = &self.payer.key;
        let voucher = signed_voucher(key, id, max_claimable, terms.domain());
        let payload = match deposit {
            None => Payload::Voucher { config, voucher },
            Some(amount) => {
                let now = groat::clock::now_ms() / 1000;
                let until = now + offer.max_timeout_seconds;
                let random = B256::from(rand::random::<[u8; 32]>());
                let deposit = match terms.method {
                    Method::Eip3009 => {
                        signed_erc3009(key, &config, &terms, amount, (0, until), random)
                    }
                    Method::Permit2 => {
                        signed_permit2(key, &config, &terms, amount, until, random.into())
                    }
                };
                Payload::Deposit {
                    config,
                    voucher,
                    deposit: Box::new(deposit),
                }
            }
        };
        Signed {
            header: header(required, &payload),
            amount: offer.amount,
            deposited: deposit,
        }
    }

    /// Takes what an answer says into the books.
    pub(crate) fn read(&mut self, signed: &Signed, answer: &Answer) -> SettleResponse {
        let told = told(answer);
        let extra = told.extra.clone().expect("an extra");
        let book = self
            .book
            .after_answer(&extra, signed.amount, signed.deposited);
        self.book = book.expect("a report that clients take");
        told
    }

    /// Pays for a body, reads the answer, and gives its bill.
    pub(crate) async fn pay(&mut self, body: &str) -> u64 {
        let signed = self.sign(body).await;
        let answer = self
            .payer
            .send(body, &signed.header)
            .await
            .expect("an answer");
        assert_eq!(answer.status, 200, "{answer:?}");
        self.read(&signed, &answer);
        bill(&answer)
    }

    /// Asks for what is left, by a GET of the paid route.
    pub(crate) async fn refund(&self, amount: Option<Units>) -> Answer {
        let request = self.refund_request(&self.probe().await, amount);
        Answer::of(request).await.expect("an answer")
    }

    /// What asks for it, under the challenge of a GET.
    pub(crate) fn refund_request(
        &self,
        required: &PaymentRequired,
        amount: Option<Units>,
    ) -> RequestBuilder {
        let terms = terms(offer(required));
        let config = self.config(&terms);
        let id = config.id(terms.domain());
        let voucher = signed_voucher(&self.payer.key, id, self.book.charged, terms.domain());
        let payload = Payload::Refund {
            config,
            voucher,
            amount,
        };
        let url = format!("{}/v1/chat/completions", self.payer.url);
        let asked = self.payer.client.get(url);
        asked.header("payment-signature", header(required, &payload))
    }

    /// The challenge of a GET.
    pub(crate) async fn probe(&self) -> PaymentRequired {
        let url = format!("{}/v1/chat/completions", self.payer.url);
        let answer = Answer::of(self.payer.client.get(url)).await.expect("one");
        challenge(&answer)
    }

    /// The channel's id.
    pub(crate) async fn channel(&self) -> B256 {
        let required = self.probe().await;
        let terms = terms(offer(&required));
        self.config(&terms).id(terms.domain())
    }
}

/// The challenge in a 402.
pub(crate) fn challenge(answer: &Answer) -> PaymentRequired {
    assert_eq!(answer.status, 402, "{answer:?}");
    let header = answer.header("payment-required");
    PaymentRequired::from_header(header.expect("a challenge")).expect("readable")
}

/// What an answer says was paid.
pub(crate) fn told(answer: &Answer) -> SettleResponse {
    let header = answer.header("payment-response");
    let header = header.unwrap_or_else(|| panic!("it says nothing of the payment: {answer:?}"));
    SettleResponse::from_header(header).expect("readable")
}

/// What a call was charged.
pub(crate) fn bill(answer: &Answer) -> u64 {
    let receipt = answer.receipt();
    assert_eq!(receipt["rail"], "x402-batch-settlement", "{receipt}");
    crate::faults::units(&receipt, "charged")
}

fn header(required: &PaymentRequired, payload: &Payload) -> String {
    let payment = PaymentPayload {
        x402_version: 2,
        resource: Some(required.resource.clone()),
        accepted: serde_json::to_value(offer(required)).expect("an offer"),
        payload: payload.to_json(),
        extensions: required.extensions.clone(),
    };
    payment.to_header().expect("a header")
}
