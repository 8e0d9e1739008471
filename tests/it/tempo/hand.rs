//! A payer that pays by hand, so that every part of a payment on Tempo can be bent.

use super::stack::Tempo;
use crate::harness::{Answer, http};
use crate::mpp::challenges;
use alloy::eips::Encodable2718;
use alloy::primitives::{Address, B256, Bytes, TxKind, U256};
use alloy::signers::SignerSync;
use alloy::signers::local::PrivateKeySigner;
use alloy::sol_types::SolCall;
use groat::chain::Rpc;
use groat::chain::bindings::IErc20;
use groat::money::Units;
use groat::protocol::Network;
use groat::protocol::mpp::session::{self, Session, Terms, Voucher};
use groat::protocol::mpp::tempo::Charge;
use groat::protocol::mpp::{Challenge, Credential, Receipt, evm};
use reqwest::RequestBuilder;
use serde_json::{Value, json};
use tempo_alloy::primitives::TempoTransaction;
use tempo_alloy::primitives::transaction::Call;

alloy::sol! {
    function transferWithMemo(address to, uint256 amount, bytes32 memo) external;
    function open(address payee, address token, uint128 deposit, bytes32 salt, address authorizedSigner) external returns (bytes32);
    function topUp(bytes32 channelId, uint256 additionalDeposit) external;
    function requestClose(bytes32 channelId) external;
}

/// The payer.
#[derive(Debug, Clone)]
pub(super) struct Hand {
    pub(super) key: PrivateKeySigner,
    url: String,
    /// How long its transactions are valid.
    pub(super) valid_seconds: u64,
    rpc: Rpc,
    client: reqwest::Client,
}

/// A channel that it fills, and what it knows of it.
#[derive(Debug, Clone)]
pub(super) struct Channel {
    pub(super) id: B256,
    pub(super) session: Session,
    /// Whoever signs its vouchers.
    pub(super) key: PrivateKeySigner,
}

/// One event of a stream: its name and its data.
pub(super) type Event = (String, String);

/// A stream that is being read.
#[derive(Debug)]
pub(super) struct Stream {
    response: reqwest::Response,
    text: String,
    at: usize,
}

impl Hand {
    pub(super) fn of(tempo: &Tempo) -> Self {
        Self {
            key: tempo.chain.payer_key.clone(),
            url: tempo.url.clone(),
            valid_seconds: 25,
            rpc: tempo.chain.rpc.clone(),
            client: http(),
        }
    }

    /// Another payer, with a key of its own.
    pub(super) fn stranger(&self) -> Self {
        Self {
            key: PrivateKeySigner::random(),
            ..self.clone()
        }
    }

    pub(super) fn post(&self, body: &str) -> RequestBuilder {
        self.post_to("/v1/chat/completions", body)
    }

    pub(super) fn post_to(&self, path: &str, body: &str) -> RequestBuilder {
        let request = self.client.post(format!("{}{path}", self.url));
        let request = request.header("content-type", "application/json");
        request.body(body.to_owned())
    }

    /// The challenge that an unpaid request is given for this intent.
    pub(super) async fn asked(&self, intent: &str, body: &str) -> Challenge {
        self.asked_by(intent, self.post(body)).await
    }

    pub(super) async fn asked_by(&self, intent: &str, request: RequestBuilder) -> Challenge {
        let answer = Answer::of(request).await.expect("an answer");
        assert_eq!(answer.status, 402, "{}", answer.body);
        let mut all = challenges(&answer).into_iter();
        let found = all.find(|offer| offer.method == "tempo" && offer.intent == intent);
        found.unwrap_or_else(|| panic!("no {intent} is offered: {answer:?}"))
    }

    /// A transaction that expires within seconds, as the published clients make it.
    pub(super) async fn transaction(&self, calls: Vec<Call>) -> TempoTransaction {
        let price: alloy::primitives::U128 = self
            .rpc
            .request("eth_gasPrice", ())
            .await
            .expect("a gas price");
        let now = self.rpc.latest_block().await.expect("a block").timestamp();
        TempoTransaction {
            chain_id: self.rpc.chain_id(),
            fee_token: Some(groat::chain::dev::PATH_USD),
            max_fee_per_gas: price.to(),
            max_priority_fee_per_gas: price.to(),
            gas_limit: 2_000_000,
            calls,
            nonce_key: U256::MAX,
            nonce: 0,
            valid_before: std::num::NonZeroU64::new(now + self.valid_seconds),
            ..TempoTransaction::default()
        }
    }

    pub(super) fn signed(&self, transaction: TempoTransaction) -> Bytes {
        let signature = self.key.sign_hash_sync(&transaction.signature_hash());
        let signature = signature.expect("a signature");
        let signed = transaction.into_signed(signature.into());
        signed.encoded_2718().into()
    }

    /// What pays a challenge of `tempo/charge`.
    pub(super) async fn paying(&self, challenge: &Challenge) -> TempoTransaction {
        let charge = Charge::from_request(&challenge.request).expect("a charge");
        let call = transfer(
            &charge,
            charge.recipient,
            charge.amount,
            memo(challenge, &challenge.id),
        );
        self.transaction(vec![call]).await
    }

    /// A good credential of `tempo/charge` for this body.
    pub(super) async fn charge(&self, body: &str) -> String {
        let challenge = self.asked("charge", body).await;
        let transaction = self.signed(self.paying(&challenge).await);
        self.pull(challenge, &transaction)
    }

    pub(super) fn pull(&self, challenge: Challenge, transaction: &Bytes) -> String {
        let payload = json!({ "type": "transaction", "signature": transaction });
        self.credential(challenge, &payload)
    }

    pub(super) fn push(&self, challenge: Challenge, hash: B256) -> String {
        self.credential(challenge, &json!({ "type": "hash", "hash": hash }))
    }

    /// Sends a transaction itself, and waits until it is mined.
    pub(super) async fn broadcast(&self, transaction: &Bytes) -> B256 {
        let hash: B256 = self
            .rpc
            .request("eth_sendRawTransaction", (transaction,))
            .await
            .expect("it is taken");
        crate::harness::until("it is mined", || async {
            self.rpc.receipt(hash).await.ok().flatten()
        })
        .await;
        hash
    }

    pub(super) fn source(&self) -> String {
        evm::source(
            Network::from_chain_id(self.rpc.chain_id()),
            self.key.address(),
        )
    }

    pub(super) fn credential(&self, challenge: Challenge, payload: &Value) -> String {
        self.credential_from(Some(self.source()), challenge, payload)
    }

    pub(super) fn credential_from(
        &self,
        source: Option<String>,
        challenge: Challenge,
        payload: &Value,
    ) -> String {
        let credential = Credential {
            challenge,
            source,
            payload: payload.to_string(),
        };
        credential.to_header().expect("a header")
    }

    pub(super) async fn send(&self, body: &str, credential: &str) -> Answer {
        Answer::of(self.post(body).header("authorization", credential))
            .await
            .expect("an answer")
    }

    /// A channel, and the transaction that fills it with so much.
    pub(super) async fn opening(&self, session: &Session, deposit: u64) -> (Channel, Bytes) {
        let (terms, transaction) = self.opening_for(session, deposit, |_| {}).await;
        let channel = Channel {
            id: terms.id(session.network, session.escrow),
            session: session.clone(),
            key: self.key.clone(),
        };
        (channel, transaction)
    }

    /// The same, bent.
    pub(super) async fn opening_for(
        &self,
        session: &Session,
        deposit: u64,
        bend: impl FnOnce(&mut openCall),
    ) -> (Terms, Bytes) {
        let mut call = openCall {
            payee: session.recipient,
            token: session.currency,
            deposit: u128::from(deposit),
            salt: B256::from(rand::random::<[u8; 32]>()),
            authorizedSigner: Address::ZERO,
        };
        bend(&mut call);
        let terms = Terms {
            payer: self.key.address(),
            payee: call.payee,
            token: call.token,
            salt: call.salt,
            authorized_signer: call.authorizedSigner,
        };
        let calls = vec![
            approve(session, deposit),
            to(session.escrow, call.abi_encode()),
        ];
        (terms, self.signed(self.transaction(calls).await))
    }

    /// What opens a channel and pays for the first call.
    pub(super) fn open(
        &self,
        challenge: Challenge,
        channel: &Channel,
        transaction: &Bytes,
    ) -> String {
        let mut payload = channel.voucher("open", 1);
        payload["type"] = json!("transaction");
        payload["transaction"] = json!(transaction);
        self.credential(challenge, &payload)
    }

    /// A channel that is not there yet, the transaction that opens it, and the credential of both for this body.
    pub(super) async fn to_open(&self, body: &str, deposit: u64) -> (Channel, Bytes, String) {
        let challenge = self.asked("session", body).await;
        let session = Session::from_request(&challenge.request).expect("a session");
        let (channel, transaction) = self.opening(&session, deposit).await;
        let credential = self.open(challenge, &channel, &transaction);
        (channel, transaction, credential)
    }

    /// Opens a channel with a first stream, which is paid for as it asks; the channel and that answer.
    pub(super) async fn opened(&self, body: &str, deposit: u64) -> (Channel, Answer) {
        let (channel, _, credential) = self.to_open(body, deposit).await;
        let answer = self.streamed(&channel, body, &credential).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        (channel, answer)
    }

    /// A stream of the model `slow` after its first event, with its body and the credential that began it: a
    /// voucher over so much.
    pub(super) async fn under_way(
        &self,
        channel: &Channel,
        cumulative: u64,
    ) -> (Stream, String, String) {
        let body = crate::harness::chat("slow", "two", true);
        let challenge = self.asked("session", &body).await;
        let credential = self.credential(challenge, &channel.voucher("voucher", cumulative));
        let begun = self.begun(self.post(&body), &credential).await;
        let mut stream = begun.expect("a stream");
        stream.next().await.expect("an event");
        (stream, body, credential)
    }

    /// Asks by a voucher over so much, and pays the stream for as long as it asks.
    pub(super) async fn call(&self, channel: &Channel, body: &str, cumulative: u64) -> Answer {
        let challenge = self.asked("session", body).await;
        let credential = self.credential(challenge, &channel.voucher("voucher", cumulative));
        self.streamed(channel, body, &credential).await
    }

    pub(super) async fn streamed(&self, channel: &Channel, body: &str, credential: &str) -> Answer {
        let mut stream = match self.begun(self.post(body), credential).await {
            Ok(stream) => stream,
            Err(answer) => return *answer,
        };
        while let Some((name, data)) = stream.next().await {
            if name == "payment-need-voucher" {
                let asked: Value = serde_json::from_str(&data).expect("JSON");
                let required = units(&asked["requiredCumulative"]);
                let taken = self.manage(&channel.voucher("voucher", required)).await;
                assert_eq!(taken.status, 200, "{}", taken.body);
            }
        }
        stream.answer()
    }

    /// A stream's beginning, or the answer if it is none.
    pub(super) async fn begun(
        &self,
        request: RequestBuilder,
        credential: &str,
    ) -> Result<Stream, Box<Answer>> {
        let request = request.header("authorization", credential);
        let response = request.send().await.expect("an answer");
        let kind = response.headers().get("content-type");
        let streams = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
        match streams {
            true => Ok(Stream {
                response,
                text: String::new(),
                at: 0,
            }),
            false => Err(Box::new(Answer {
                status: response.status(),
                headers: response.headers().clone(),
                body: response.text().await.expect("a body"),
            })),
        }
    }

    /// Sends what buys nothing: without a body.
    pub(super) async fn manage(&self, payload: &Value) -> Answer {
        let challenge = self.asked("session", &super::session_body("any")).await;
        self.send("", &self.credential(challenge, payload)).await
    }

    /// Adds to a channel.
    pub(super) async fn adding(&self, channel: &Channel, units: u64) -> Value {
        let call = topUpCall {
            channelId: channel.id,
            additionalDeposit: U256::from(units),
        };
        let session = &channel.session;
        let calls = vec![
            approve(session, units),
            to(session.escrow, call.abi_encode()),
        ];
        let transaction = self.signed(self.transaction(calls).await);
        json!({
            "action": "topUp",
            "type": "transaction",
            "channelId": channel.id,
            "transaction": transaction,
            "additionalDeposit": units.to_string(),
        })
    }
}

impl Channel {
    /// The payload of a voucher over so much, or of what is done with one.
    pub(super) fn voucher(&self, action: &str, cumulative: u64) -> Value {
        let voucher = Voucher {
            channel: self.id,
            cumulative: Units::from_atomic(u128::from(cumulative)),
            signature: [0; 65],
        };
        let domain = session::domain(self.session.network, self.session.escrow);
        let signature = self.key.sign_hash_sync(&voucher.digest(domain));
        let signature = Bytes::from(signature.expect("a signature").as_bytes().to_vec());
        json!({
            "action": action,
            "channelId": self.id,
            "cumulativeAmount": cumulative.to_string(),
            "signature": signature,
        })
    }
}

impl Stream {
    /// The next event; `None` at the end, however it came.
    pub(super) async fn next(&mut self) -> Option<Event> {
        loop {
            let rest = &self.text[self.at..];
            if let Some(end) = rest.find("\n\n") {
                let block = rest[..end].to_owned();
                self.at += end + 2;
                let field = |name: &str| {
                    let lines = block.lines().filter_map(|line| line.strip_prefix(name));
                    lines.collect::<Vec<_>>().join("\n")
                };
                return Some((field("event: "), field("data: ")));
            }
            let bytes = self.response.chunk().await.ok().flatten()?;
            self.text
                .push_str(std::str::from_utf8(&bytes).expect("text"));
        }
    }

    /// All that has come.
    pub(super) fn answer(self) -> Answer {
        Answer {
            status: self.response.status(),
            headers: self.response.headers().clone(),
            body: self.text,
        }
    }
}

/// The receipt of an answer that has ended: in its stream, or else in its headers.
pub(super) fn told(answer: &Answer) -> Value {
    let streamed = answer.body.split("event: payment-receipt\ndata: ").nth(1);
    match streamed {
        Some(data) => {
            let line = data.lines().next().expect("a line");
            serde_json::from_str(line).expect("JSON")
        }
        None => {
            let receipt = answer.header("payment-receipt").expect("a receipt");
            json!(Receipt::from_header(receipt).expect("a receipt"))
        }
    }
}

pub(super) fn units(value: &Value) -> u64 {
    let text = value.as_str().unwrap_or_default();
    text.parse().unwrap_or_else(|_| panic!("units: {value}"))
}

pub(super) fn to(to: Address, input: Vec<u8>) -> Call {
    Call {
        to: TxKind::Call(to),
        value: U256::ZERO,
        input: input.into(),
    }
}

fn approve(session: &Session, units: u64) -> Call {
    let approve = IErc20::approveCall {
        spender: session.escrow,
        value: U256::from(units),
    };
    to(session.currency, approve.abi_encode())
}

/// The memo that binds a transfer to the challenge of this id, as the published kit derives it.
pub(super) fn memo(challenge: &Challenge, id: &str) -> B256 {
    B256::from(mpp::tempo::attribution::encode(id, &challenge.realm, None))
}

pub(super) fn transfer(charge: &Charge, payee: Address, amount: Units, memo: B256) -> Call {
    let call = transferWithMemoCall {
        to: payee,
        amount: U256::from(amount.atomic()),
        memo,
    };
    to(charge.currency, call.abi_encode())
}
