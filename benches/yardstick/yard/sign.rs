//! Payments, all signed before the clock starts.

use super::Outcome;
use super::job::{Channel, Job, Payment};
use alloy::primitives::{B256, U256};
use groat::money::Units;
use groat::protocol::addresses::{BATCH_SETTLEMENT, ERC3009_COLLECTOR, PERMIT2, PERMIT2_COLLECTOR};
use groat::protocol::channel::{self, ChannelConfig, Domain, Method, Payload, signed_voucher};
use groat::protocol::mpp::{Challenge, Credential, evm};
use groat::protocol::signature::Key;
use groat::protocol::x402::{PaymentPayload, Requirements};
use groat::protocol::{eip3009, permit2};
use serde_json::{Map, Value};
use std::collections::VecDeque;
use std::io::BufRead;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

/// Payments beyond its share that a connection gets, as some are faster than others.
pub(crate) const SPARE: usize = 4;

/// Where a connection takes the header lines of its next call from.
#[derive(Debug, Clone)]
pub(crate) enum Supply {
    /// There are none.
    Nothing,
    /// A pool for all connections.
    Shared(Arc<Pool>),
    /// Its own.
    Own(VecDeque<String>),
}

/// Header lines for all connections.
#[derive(Debug)]
pub(crate) struct Pool {
    lines: Vec<OnceLock<String>>,
    next: AtomicUsize,
}

impl Supply {
    /// The header lines of the next call; `None` when all are spent.
    pub(crate) fn next(&mut self) -> Option<String> {
        match self {
            Self::Nothing => Some(String::new()),
            Self::Own(lines) => lines.pop_front(),
            Self::Shared(pool) => {
                let next = pool.next.fetch_add(1, Ordering::Relaxed);
                pool.lines.get(next)?.get().cloned()
            }
        }
    }
}

/// What each connection of a job pays with.
pub(crate) fn supplies(job: &Job) -> Outcome<Vec<Supply>> {
    let calls = job.pace.calls_max(job.connections);
    let shared = |lines: Vec<String>| {
        let pool = Arc::new(Pool {
            lines: lines.into_iter().map(OnceLock::from).collect(),
            next: AtomicUsize::new(0),
        });
        vec![Supply::Shared(pool); job.connections]
    };
    match &job.payment {
        Payment::None => Ok(vec![Supply::Nothing; job.connections]),
        Payment::Headers(path) => {
            let file = std::io::BufReader::new(std::fs::File::open(path)?);
            let lines: Outcome<Vec<String>> = file.lines().map(|line| headers(&line?)).collect();
            Ok(shared(lines?))
        }
        Payment::Authorization {
            keys,
            challenge,
            offer,
        } => {
            let keys = read(keys)?;
            let frame = Frame::new(challenge, offer)?;
            let numbers: Vec<usize> = (0..calls).collect();
            Ok(shared(in_parallel(&numbers, |number| {
                let key = &keys[number % keys.len()];
                frame.line(frame.authorization(key)?)
            })?))
        }
        Payment::Charge {
            keys,
            offer,
            challenges,
        } => {
            let keys = read(keys)?;
            let offer = serde_json::from_value(offer.clone())?;
            let terms = eip3009::Terms::of(&offer).ok_or("an offer of an unknown scheme")?;
            let numbered: Vec<(usize, &String)> = challenges.iter().flatten().enumerate().collect();
            let mut lines = in_parallel(&numbered, |(number, challenge)| {
                charge(&keys[number % keys.len()], &terms, challenge)
            })?
            .into_iter();
            let own = challenges
                .iter()
                .map(|own| Supply::Own(lines.by_ref().take(own.len()).collect()));
            Ok(own.collect())
        }
        Payment::Voucher {
            key,
            challenge,
            offer,
            cost,
            channels,
            side_by_side,
        } => {
            let key = Key::from_hex(key)?;
            let frame = Frame::new(challenge, offer)?;
            let each = calls.div_ceil(job.connections) + SPARE;
            let numbers: Vec<(usize, usize)> = (0..job.connections)
                .flat_map(|connection| (0..each).map(move |call| (connection, call)))
                .collect();
            let mut lines = in_parallel(&numbers, |(connection, call)| {
                let channel = channels
                    .get(connection / side_by_side)
                    .ok_or("too few channels")?;
                let charged = channel.charged + cost * *call as u128;
                frame.line(frame.voucher(&key, channel, charged)?)
            })?
            .into_iter();
            let own =
                (0..job.connections).map(|_| Supply::Own(lines.by_ref().take(each).collect()));
            Ok(own.collect())
        }
    }
}

/// The payment that opens a channel and buys its first call.
pub(crate) fn opening(
    key: &Key,
    challenge: &Value,
    offer: &Value,
    salt: B256,
    deposit: u128,
) -> Outcome<String> {
    let frame = Frame::new(challenge, offer)?;
    let terms = terms(&frame.requirements)?;
    let config = config(key, &terms, salt);
    let id = config.id(terms.domain);
    let until = groat::clock::now_ms() / 1000 + frame.requirements.max_timeout_seconds;
    let amount = Units::from_atomic(deposit);
    let deposit = channel::signed_erc3009(key, &config, &terms, amount, (0, until), random());
    let voucher = signed_voucher(key, id, terms.amount, terms.domain);
    let payload = Payload::Deposit {
        config,
        voucher,
        deposit: Box::new(deposit),
    };
    frame.header(payload.to_json())
}

/// The voucher of a channel's next call.
pub(crate) fn voucher(
    key: &Key,
    challenge: &Value,
    offer: &Value,
    channel: &Channel,
) -> Outcome<String> {
    let frame = Frame::new(challenge, offer)?;
    frame.header(frame.voucher(key, channel, channel.charged)?)
}

/// A channel's id.
pub(crate) fn channel_id(key: &Key, offer: &Value, salt: B256) -> Outcome<B256> {
    let terms = terms(&serde_json::from_value(offer.clone())?)?;
    Ok(config(key, &terms, salt).id(terms.domain))
}

/// The header line that answers a challenge of MPP's `evm/charge`.
fn charge(key: &Key, terms: &eip3009::Terms, challenge: &str) -> Outcome<String> {
    let all = Challenge::read_all([challenge])?;
    let challenge = all.into_iter().next().ok_or("no challenge")?;
    let charge = evm::Charge::from_request(&challenge.request).ok_or("no charge by EIP-3009")?;
    let ends = challenge.expires.as_deref().and_then(evm::unix_seconds);
    let [nonce, _] = evm::nonces(&challenge);
    let authorization = eip3009::Authorization {
        from: key.address(),
        to: charge.recipient,
        value: U256::from(charge.amount.atomic()),
        valid_after: U256::ZERO,
        valid_before: U256::from(ends.ok_or("a challenge without an end")?),
        nonce,
    };
    let signature = key.sign(eip3009::digest(&authorization, terms)).to_bytes();
    let credential = Credential {
        challenge,
        source: Some(evm::source(charge.network, key.address())),
        payload: evm::payload_of(&authorization, &signature).to_string(),
    };
    let header = credential.to_header().ok_or("a credential too long")?;
    Ok(format!("authorization: {header}\r\n"))
}

/// What all payments of one offer have in common.
struct Frame<'a> {
    challenge: &'a Value,
    offer: &'a Value,
    requirements: Requirements,
}

impl<'a> Frame<'a> {
    fn new(challenge: &'a Value, offer: &'a Value) -> Outcome<Self> {
        Ok(Self {
            challenge,
            offer,
            requirements: serde_json::from_value(offer.clone())?,
        })
    }

    /// A payload of the offer, good for one call.
    fn authorization(&self, key: &Key) -> Outcome<Value> {
        let offer = &self.requirements;
        let until = groat::clock::now_ms() / 1000 + offer.max_timeout_seconds;
        let nonce = random();
        if let Some(terms) = permit2::Terms::of(offer) {
            let authorization = terms.authorization(key.address(), nonce.into(), until);
            return Ok(permit2::signed_payload(key, &authorization, &terms));
        }
        let terms = eip3009::Terms::of(offer).ok_or("an offer of an unknown scheme")?;
        let authorization = eip3009::Authorization {
            from: key.address(),
            to: offer.pay_to,
            value: U256::from(offer.amount.atomic()),
            valid_after: U256::ZERO,
            valid_before: U256::from(until),
            nonce,
        };
        Ok(eip3009::signed_payload(key, &authorization, &terms))
    }

    /// The voucher of the call after so much was charged.
    fn voucher(&self, key: &Key, channel: &Channel, charged: u128) -> Outcome<Value> {
        let terms = terms(&self.requirements)?;
        let config = config(key, &terms, channel.salt);
        let id = config.id(terms.domain);
        let max = Units::from_atomic(charged).plus(terms.amount)?;
        let voucher = signed_voucher(key, id, max, terms.domain);
        Ok(Payload::Voucher { config, voucher }.to_json())
    }

    fn header(&self, payload: Value) -> Outcome<String> {
        let member = |name: &str| self.challenge.get(name).cloned();
        let payment = PaymentPayload {
            x402_version: 2,
            resource: member("resource").map(serde_json::from_value).transpose()?,
            accepted: self.offer.clone(),
            payload,
            extensions: member("extensions")
                .map(serde_json::from_value)
                .transpose()?,
        };
        Ok(payment.to_header()?)
    }

    fn line(&self, payload: Value) -> Outcome<String> {
        Ok(format!("payment-signature: {}\r\n", self.header(payload)?))
    }
}

fn read(keys: &[String]) -> Outcome<Vec<Key>> {
    let keys = keys.iter().map(|key| Key::from_hex(key));
    Ok(keys.collect::<Result<_, _>>()?)
}

fn config(key: &Key, terms: &channel::Terms, salt: B256) -> ChannelConfig {
    let own = key.address();
    ChannelConfig {
        payer: own,
        payer_authorizer: own,
        receiver: terms.pay_to,
        receiver_authorizer: terms.receiver_authorizer,
        token: terms.asset,
        withdraw_delay: terms.withdraw_delay,
        salt,
    }
}

fn terms(offer: &Requirements) -> Outcome<channel::Terms> {
    let text = |name: &str| offer.extra_text(name).ok_or("an offer without its extra");
    let delay = offer
        .extra
        .as_ref()
        .and_then(|extra| extra.get("withdrawDelay"));
    Ok(channel::Terms {
        domain: Domain::new(offer.network, BATCH_SETTLEMENT),
        asset: offer.asset,
        pay_to: offer.pay_to,
        receiver_authorizer: text("receiverAuthorizer")?.parse()?,
        withdraw_delay: delay.and_then(Value::as_u64).ok_or("no withdrawDelay")?,
        amount: offer.amount,
        min_deposit: None,
        method: Method::Eip3009,
        token_name: text("name")?.to_owned(),
        token_version: text("version")?.to_owned(),
        erc3009_collector: ERC3009_COLLECTOR,
        permit2_collector: PERMIT2_COLLECTOR,
        permit2: PERMIT2,
    })
}

/// One line of a file of headers, as header lines, but for the one that every call has.
fn headers(line: &str) -> Outcome<String> {
    let headers: Map<String, Value> = serde_json::from_str(line)?;
    let others = headers.iter().filter(|(name, _)| *name != "content-type");
    let lines = others.map(|(name, value)| {
        let value = value.as_str().ok_or("a header that is no text")?;
        Ok(format!("{name}: {value}\r\n"))
    });
    lines.collect()
}

fn random() -> B256 {
    B256::from(rand::random::<[u8; 32]>())
}

/// What `make` makes of each, in their order, on all cores.
fn in_parallel<T: Sync>(
    from: &[T],
    make: impl Fn(&T) -> Outcome<String> + Sync,
) -> Outcome<Vec<String>> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let share = from.len().div_ceil(cores).max(1);
    std::thread::scope(|scope| {
        let threads: Vec<_> = from
            .chunks(share)
            .map(|chunk| scope.spawn(|| chunk.iter().map(&make).collect::<Outcome<Vec<_>>>()))
            .collect();
        let mut made = Vec::with_capacity(from.len());
        for thread in threads {
            made.extend(thread.join().map_err(|_| "a signer panicked")??);
        }
        Ok(made)
    })
}
