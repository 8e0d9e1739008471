//! What an arm's calls are paid with.

use super::Outcome;
use super::body::Body;
use super::child::leashed_in;
use super::job::{Channel, Payment};
use super::sign;
use super::stage::Stage;
use alloy::primitives::B256;
use bytes::Bytes;
use futures::StreamExt;
use groat::protocol::mpp::{ACCEPT_PAYMENT, WWW_AUTHENTICATE};
use groat::protocol::signature::Key;
use serde_json::Value;
use std::collections::HashMap;
use std::path::PathBuf;
use tokio::process::Command;

/// What each channel is filled with, in atomic units.
const DEPOSIT: u128 = 100_000_000;

/// Channels that are opened at the same time.
const OPENING: usize = 32;

/// Connections that ask for challenges at the same time.
const ASKING: usize = 16;

/// What an arm's calls are paid with.
#[derive(Debug)]
pub(crate) enum Purse {
    /// Nothing.
    Empty,
    /// An authorization each, by the offer of this scheme.
    Wallets { scheme: &'static str },
    /// The answer to a challenge of MPP's for each call.
    Charges,
    /// Vouchers.
    Channels(Channels),
    /// A program that signs for a protocol that we do not speak.
    Signer {
        command: Vec<String>,
        folder: PathBuf,
        /// What the peer itself was started with.
        environment: Vec<(&'static str, String)>,
    },
}

/// The channels of one wallet at one gateway.
#[derive(Debug)]
pub(crate) struct Channels {
    key: String,
    admin_token: String,
    salts: Vec<B256>,
    /// What a call with a body costs.
    costs: HashMap<Body, u128>,
}

impl Channels {
    pub(crate) async fn new(stage: &Stage, admin_token: &str) -> Outcome<Self> {
        Ok(Self {
            key: stage.wallet().await?,
            admin_token: admin_token.to_owned(),
            salts: Vec::new(),
            costs: HashMap::new(),
        })
    }
}

/// The gateway that a purse is opened at.
#[derive(Debug, Clone)]
pub(crate) struct At<'a> {
    pub(crate) stage: &'a Stage,
    /// Its origin, such as `http://127.0.0.1:4021`.
    pub(crate) origin: String,
    pub(crate) path: &'a str,
}

impl At<'_> {
    fn url(&self) -> String {
        format!("{}{}", self.origin, self.path)
    }
}

impl Purse {
    /// What these many connections pay with for so many calls.
    pub(crate) async fn payment(
        &mut self,
        at: &At<'_>,
        body: &Body,
        connections: usize,
        side_by_side: usize,
        calls: usize,
    ) -> Outcome<Payment> {
        match self {
            Self::Empty => Ok(Payment::None),
            Self::Wallets { scheme } => {
                let (challenge, offer) = offer(at, body, None, scheme).await?;
                Ok(Payment::Authorization {
                    keys: at.stage.payers.clone(),
                    challenge,
                    offer,
                })
            }
            Self::Charges => {
                let (_, offer) = offer(at, body, None, "exact").await?;
                let each = calls.div_ceil(connections) + sign::SPARE;
                Ok(Payment::Charge {
                    keys: at.stage.payers.clone(),
                    offer,
                    challenges: charges(at, body, connections, each).await?,
                })
            }
            Self::Channels(channels) => {
                let needed = connections.div_ceil(side_by_side);
                let spread = (needed, side_by_side);
                channels
                    .payment(at, body, spread, calls > connections)
                    .await
            }
            Self::Signer {
                command,
                folder,
                environment,
            } => {
                let mut signer = leashed_in(command, folder)?;
                signer.envs(environment.iter().cloned());
                signed_by(signer, at, body, calls).await
            }
        }
    }
}

impl Channels {
    async fn payment(
        &mut self,
        at: &At<'_>,
        body: &Body,
        (needed, side_by_side): (usize, usize),
        one_after_another: bool,
    ) -> Outcome<Payment> {
        let (challenge, offer) = offer(at, body, Some(SCHEME), SCHEME).await?;
        self.open(at, body, needed).await?;
        let cost = match one_after_another {
            true => self.cost(at, body, &challenge, &offer).await?,
            false => 0,
        };
        Ok(Payment::Voucher {
            key: self.key.clone(),
            channels: self.books(at, &offer).await?,
            challenge,
            offer,
            cost,
            side_by_side,
        })
    }

    /// Opens channels until there are so many, each with a call of its own.
    async fn open(&mut self, at: &At<'_>, body: &Body, needed: usize) -> Outcome<()> {
        // Nobody wants to wait for a slow stream now.
        let model = if body.model.starts_with("null") {
            "null"
        } else {
            &body.model
        };
        let body = Body {
            model: model.to_owned(),
            stream: false,
            ..Body::whole(1024)
        };
        let (challenge, offer) = offer(at, &body, Some(SCHEME), SCHEME).await?;
        let key = Key::from_hex(&self.key)?;
        let missing = needed.saturating_sub(self.salts.len());
        let salts: Vec<B256> = (0..missing)
            .map(|_| B256::from(rand::random::<[u8; 32]>()))
            .collect();
        let headers = salts
            .iter()
            .map(|salt| sign::opening(&key, &challenge, &offer, *salt, DEPOSIT));
        let headers = headers.collect::<Outcome<Vec<_>>>()?;
        let calls = headers.iter().map(|header| pay(at, &body, header));
        let opened: Vec<Outcome<()>> = futures::stream::iter(calls)
            .buffer_unordered(OPENING)
            .collect()
            .await;
        opened.into_iter().collect::<Outcome<Vec<()>>>()?;
        self.salts.extend(salts);
        Ok(())
    }

    /// What a call with this body costs, found out by making one.
    async fn cost(
        &mut self,
        at: &At<'_>,
        body: &Body,
        challenge: &Value,
        offer: &Value,
    ) -> Outcome<u128> {
        if let Some(cost) = self.costs.get(body) {
            return Ok(*cost);
        }
        let before = self.first(at, offer).await?;
        let key = Key::from_hex(&self.key)?;
        let header = sign::voucher(&key, challenge, offer, &before)?;
        pay(at, body, &header).await?;
        let after = self.first(at, offer).await?;
        let cost = after.charged.saturating_sub(before.charged);
        self.costs.insert(body.clone(), cost);
        Ok(cost)
    }

    async fn first(&self, at: &At<'_>, offer: &Value) -> Outcome<Channel> {
        let first = self.books(at, offer).await?.into_iter().next();
        first.ok_or_else(|| "there is no channel".into())
    }

    /// What the gateway has charged each channel.
    async fn books(&self, at: &At<'_>, offer: &Value) -> Outcome<Vec<Channel>> {
        let asked = at.stage.http.get(format!("{}/admin/channels", at.origin));
        let listed: Value = asked
            .bearer_auth(&self.admin_token)
            .send()
            .await?
            .json()
            .await?;
        let listed = listed["channels"].as_array().ok_or("no list of channels")?;
        let charged: HashMap<&str, u128> = listed
            .iter()
            .filter_map(|channel| {
                let charged = channel["charged"].as_str()?.parse().ok()?;
                Some((channel["channel"].as_str()?, charged))
            })
            .collect();
        let key = Key::from_hex(&self.key)?;
        let known = self.salts.iter().map(|salt| {
            let id = sign::channel_id(&key, offer, *salt)?;
            let id = format!("ch_{}", hex::encode(id));
            let charged = charged.get(id.as_str()).copied();
            Ok(Channel {
                salt: *salt,
                charged: charged.ok_or("a channel that the gateway does not know")?,
            })
        });
        known.collect()
    }
}

const SCHEME: &str = "batch-settlement";

/// The challenge for a body, and its offer of a scheme.
async fn offer(
    at: &At<'_>,
    body: &Body,
    rail: Option<&str>,
    scheme: &str,
) -> Outcome<(Value, Value)> {
    let (challenge, _) = at.stage.challenge(&at.url(), body, rail).await?;
    let offers = challenge["accepts"].as_array().into_iter().flatten();
    let mut of_scheme = offers.filter(|offer| {
        let plain = scheme != "exact" || offer["extra"]["assetTransferMethod"] != "permit2";
        offer["scheme"] == scheme && plain
    });
    let offer = of_scheme.next().cloned();
    let offer = offer.ok_or_else(|| format!("no {scheme} among the offers: {challenge}"))?;
    Ok((challenge, offer))
}

/// So many challenges of MPP's for each connection. One is good for one payment of one body, so each
/// connection asks for its own.
async fn charges(
    at: &At<'_>,
    body: &Body,
    connections: usize,
    each: usize,
) -> Outcome<Vec<Vec<String>>> {
    let of_one = (0..connections).map(|connection| async move {
        let text = Bytes::from(body.text_of(connection));
        let mut challenges = Vec::with_capacity(each);
        for _ in 0..each {
            challenges.push(charge(at, text.clone()).await?);
        }
        Ok(challenges)
    });
    let asked: Vec<Outcome<Vec<String>>> = futures::stream::iter(of_one)
        .buffered(ASKING)
        .collect()
        .await;
    asked.into_iter().collect()
}

/// The challenge of `evm/charge` in a 402.
async fn charge(at: &At<'_>, body: Bytes) -> Outcome<String> {
    let asked = at.stage.http.post(at.url()).body(body);
    let asked = asked.header("content-type", "application/json");
    let answer = asked.header(ACCEPT_PAYMENT, "evm/charge").send().await?;
    let challenge = answer.headers().get(WWW_AUTHENTICATE).cloned();
    answer.bytes().await?;
    let challenge = challenge.ok_or("a 402 without a challenge of MPP's")?;
    Ok(challenge.to_str()?.to_owned())
}

/// Makes one call that is not measured.
async fn pay(at: &At<'_>, body: &Body, header: &str) -> Outcome<()> {
    let call = at.stage.http.post(at.url()).body(body.text());
    let call = call.header("content-type", "application/json");
    let answer = call.header("payment-signature", header).send().await?;
    let status = answer.status();
    let said = answer.text().await?;
    match status.is_success() {
        true => Ok(()),
        false => Err(format!("a paid call was answered {status}: {said}").into()),
    }
}

/// Has somebody else sign: so many objects of headers, one a line.
async fn signed_by(
    mut signer: Command,
    at: &At<'_>,
    body: &Body,
    calls: usize,
) -> Outcome<Payment> {
    let path = at.stage.folder.path();
    let out = path.join("presigned.jsonl");
    let body_file = path.join("presigned-body.json");
    std::fs::write(&body_file, body.text())?;
    let payer = at.stage.payers.first().ok_or("no wallet")?;
    signer
        .env("COUNT", calls.to_string())
        .env("OUT", &out)
        .env("TARGET_URL", at.url())
        .env("PAYER_KEY", payer)
        .env("BODY_FILE", &body_file)
        .stdout(std::process::Stdio::null());
    let mut child = signer.spawn()?;
    // To wait for it is to close its standard input, which is its leash.
    let leash = child.stdin.take();
    let status = child.wait().await?;
    drop(leash);
    match status.success() {
        true => Ok(Payment::Headers(out)),
        false => Err(format!("the signer ended: {status}").into()),
    }
}
