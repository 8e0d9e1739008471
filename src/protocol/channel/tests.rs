#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test fails by panicking"
)]

mod hostile;
mod rule;

use super::*;
use crate::json::{Limits, Object};
use crate::money::Units;
use crate::protocol::eip3009::Proof;
use crate::protocol::permit2::eip2612;
use crate::protocol::signature::Key;
use crate::protocol::x402::Requirements;
use crate::protocol::{Network, Refusal, addresses};
use alloy::primitives::{Address, B256, U256, address};
use serde::Deserialize;
use serde_json::{Map, Value, json};

#[derive(Deserialize)]
struct File {
    now: u64,
    payloads: Vec<Vector>,
}

#[derive(Deserialize, Clone)]
#[serde(rename_all = "camelCase")]
struct Vector {
    label: String,
    key: String,
    voucher_key: Option<String>,
    requirements: Requirements,
    channel_id: B256,
    payload: Value,
    digests: Map<String, Value>,
    extensions: Option<Value>,
    collector: Option<Address>,
    collector_data: Option<String>,
}

fn file() -> File {
    serde_json::from_str(include_str!("../../../tests/data/channel/payloads.json")).unwrap()
}

/// One vector of the published client, by its label.
fn vector(label: &str) -> Vector {
    let vectors = file().payloads;
    vectors.into_iter().find(|v| v.label == label).unwrap()
}

impl Vector {
    fn terms(&self) -> Terms {
        let offer = &self.requirements;
        let extra = offer.extra.as_ref().unwrap();
        Terms {
            domain: Domain::new(offer.network, addresses::BATCH_SETTLEMENT),
            asset: offer.asset,
            pay_to: offer.pay_to,
            receiver_authorizer: extra["receiverAuthorizer"]
                .as_str()
                .unwrap()
                .parse()
                .unwrap(),
            withdraw_delay: extra["withdrawDelay"].as_u64().unwrap(),
            amount: offer.amount,
            min_deposit: offer.extra_text("minDeposit").map(|t| t.parse().unwrap()),
            method: match offer.extra_text("assetTransferMethod") {
                Some("permit2") => Method::Permit2,
                _ => Method::Eip3009,
            },
            token_name: offer.extra_text("name").unwrap().to_owned(),
            token_version: offer.extra_text("version").unwrap().to_owned(),
            erc3009_collector: addresses::ERC3009_COLLECTOR,
            permit2_collector: addresses::PERMIT2_COLLECTOR,
            permit2: addresses::PERMIT2,
        }
    }

    fn key(&self) -> Key {
        Key::from_hex(&self.key).unwrap()
    }

    fn voucher_key(&self) -> Key {
        Key::from_hex(self.voucher_key.as_ref().unwrap_or(&self.key)).unwrap()
    }

    fn parsed(&self) -> Payload {
        parsed(&self.payload).unwrap()
    }

    fn digest(&self, name: &str) -> B256 {
        self.digests[name].as_str().unwrap().parse().unwrap()
    }

    fn permit(&self) -> Option<eip2612::Signed> {
        let extensions = self.extensions.clone()?;
        let extensions = serde_json::from_value(extensions).unwrap();
        eip2612::extract(&extensions).unwrap()
    }
}

fn parsed(payload: &Value) -> Result<Payload, Refusal> {
    let text = payload.to_string();
    parse_payload(&Object::parse(text.as_bytes(), &Limits::default()).unwrap())
}

fn bytes(text: &str) -> Vec<u8> {
    hex::decode(text.strip_prefix("0x").unwrap()).unwrap()
}

fn units(n: u128) -> Units {
    Units::from_atomic(n)
}

#[test]
fn what_the_published_client_signs_is_accepted() {
    let File { now, payloads } = file();
    assert!(payloads.len() >= 24);
    for v in &payloads {
        let (payload, terms) = (v.parsed(), v.terms());
        let (config, voucher) = (payload.config(), payload.voucher());
        assert_eq!(config.id(terms.domain()), v.channel_id, "{}", v.label);
        assert_eq!(check_config(config, voucher.channel_id, &terms), Ok(()));
        let digest = voucher_digest(v.channel_id, voucher.max_claimable, terms.domain());
        assert_eq!(digest, v.digest("Voucher"));
        assert_eq!(
            check_voucher(config, voucher, terms.domain()),
            Ok(Proof::Payer)
        );
        let Some(deposit) = payload.deposit() else {
            continue;
        };
        let name = match deposit.method() {
            Method::Eip3009 => "ReceiveWithAuthorization",
            Method::Permit2 => "PermitWitnessTransferFrom",
        };
        assert_eq!(deposit_digest(config, deposit, &terms), v.digest(name));
        assert_eq!(check_deposit(config, deposit, &terms, now), Ok(()));
        let proof = check_deposit_signature(config, deposit, &terms);
        assert_eq!(proof, Ok(Proof::Payer));
        let permit = v.permit();
        if let Some(permit) = &permit {
            assert_eq!(check_permit(config, deposit, permit, &terms, now), Ok(()));
        }
        assert_eq!(terms.collector(deposit.method()), v.collector.unwrap());
        let data = deposit.collector_data(permit.as_ref());
        assert_eq!(data, bytes(v.collector_data.as_ref().unwrap()));
    }
    let with_permit = payloads.iter().filter(|v| v.permit().is_some()).count();
    assert_eq!(with_permit, 1);
}

#[test]
fn our_client_signs_alike() {
    for v in file().payloads {
        let (theirs, terms) = (v.parsed(), v.terms());
        let config = theirs.config().clone();
        let max_claimable = theirs.voucher().max_claimable;
        let voucher = signed_voucher(
            &v.voucher_key(),
            v.channel_id,
            max_claimable,
            terms.domain(),
        );
        let ours = match &theirs {
            Payload::Deposit { deposit, .. } => Payload::Deposit {
                deposit: Box::new(match &deposit.authorization {
                    Authorization::Erc3009(a) => signed_erc3009(
                        &v.key(),
                        &config,
                        &terms,
                        deposit.amount,
                        (a.valid_after.to(), a.valid_before.to()),
                        a.salt.into(),
                    ),
                    Authorization::Permit2(a) => signed_permit2(
                        &v.key(),
                        &config,
                        &terms,
                        deposit.amount,
                        a.deadline.to(),
                        a.nonce,
                    ),
                }),
                config,
                voucher,
            },
            Payload::Voucher { .. } => Payload::Voucher { config, voucher },
            Payload::Refund { amount, .. } => Payload::Refund {
                amount: *amount,
                config,
                voucher,
            },
        };
        assert_eq!(ours, theirs, "{}", v.label);
        assert_eq!(ours.to_json(), v.payload, "{}", v.label);
    }
}

#[test]
fn the_offer_is_what_the_clients_read() {
    for v in file().payloads {
        assert_eq!(
            &offer_extra(&v.terms()),
            v.requirements.extra.as_ref().unwrap()
        );
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Authorizer {
    claims: Vec<Map<String, Value>>,
    claim_digest: B256,
    refund: Map<String, Value>,
    refund_digest: B256,
}

#[test]
fn the_receivers_authorizer_signs_what_the_facilitator_asks_for() {
    let text = include_str!("../../../tests/data/channel/authorizer.json");
    let file: Value = serde_json::from_str(text).unwrap();
    let network = file["network"].as_str().unwrap().parse().unwrap();
    let domain = Domain::new(network, addresses::BATCH_SETTLEMENT);
    let rows: Vec<Authorizer> = serde_json::from_value(file["authorizer"].clone()).unwrap();
    assert_eq!(rows.len(), 3);
    for row in rows {
        let id = |of: &Map<String, Value>| of["channelId"].as_str().unwrap().parse().unwrap();
        let amount =
            |of: &Map<String, Value>, key: &str| of[key].as_str().unwrap().parse().unwrap();
        let claims: Vec<_> = row
            .claims
            .iter()
            .map(|claim| ClaimEntry {
                channel_id: id(claim),
                max_claimable: amount(claim, "maxClaimableAmount"),
                total_claimed: amount(claim, "totalClaimed"),
            })
            .collect();
        assert_eq!(claim_batch_digest(&claims, domain), row.claim_digest);
        let nonce = row.refund["nonce"].as_str().unwrap().parse().unwrap();
        let digest = refund_digest(
            id(&row.refund),
            nonce,
            amount(&row.refund, "amount"),
            domain,
        );
        assert_eq!(digest, row.refund_digest);
    }
}

#[derive(Deserialize)]
struct Books {
    answers: Vec<Answer>,
    refunds: Vec<AfterRefund>,
    corrections: Vec<Correction>,
}

#[derive(Deserialize)]
struct Answer {
    before: Book,
    deposit: Option<Units>,
    amount: Units,
    extra: Map<String, Value>,
    after: Option<Book>,
}

#[derive(Deserialize)]
struct AfterRefund {
    before: Book,
    amount: Option<Units>,
    after: Option<Book>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Correction {
    label: String,
    network: Network,
    config: ChannelConfig,
    extra: Map<String, Value>,
    balance: Units,
    total_claimed: Units,
    after: Option<Book>,
}

#[test]
fn our_clients_books_move_as_the_published_clients_do() {
    let text = include_str!("../../../tests/data/channel/book.json");
    let books: Books = serde_json::from_str(text).unwrap();
    for a in books.answers {
        let after = a.before.after_answer(&a.extra, a.amount, a.deposit);
        assert_eq!(after.ok(), a.after, "{:?} {:?}", a.before, a.extra);
    }
    for r in books.refunds {
        assert_eq!(r.before.after_refund(r.amount), r.after, "{:?}", r.amount);
    }
    for c in books.corrections {
        let domain = Domain::new(c.network, addresses::BATCH_SETTLEMENT);
        let book = Book::corrected(&c.extra, &c.config, domain, c.balance, c.total_claimed);
        assert_eq!(book, c.after, "{}", c.label);
    }
    let book = Book {
        charged: units(300),
        balance: units(1000),
    };
    let lacks = |amount| book.next(units(amount)).unwrap().lacks;
    assert_eq!((lacks(700), lacks(701)), (units(0), units(1)));
}

/// What `correct` adds is what the client's own books take, and with the types its parsers want.
#[test]
fn a_corrective_offer_is_one_that_our_client_recovers_by() {
    let v = vector("voucher 3");
    let (payload, terms) = (v.parsed(), v.terms());
    let state = ChannelState {
        channel_id: v.channel_id,
        balance: units(80_000_000),
        total_claimed: units(5),
        withdraw_requested_at: 1_800_000_000,
        refund_nonce: U256::from(2),
    };
    let voucher = payload.voucher();
    let best = Some((voucher.max_claimable, &voucher.signature[..]));
    let mut extra = offer_extra(&terms);
    correct(&mut extra, payload.config(), &state, units(3_999_999), best);
    assert_eq!(
        extra["channelState"],
        json!({
            "channelId": v.channel_id.to_string(), "balance": "80000000", "totalClaimed": "5",
            "withdrawRequestedAt": 1_800_000_000, "refundNonce": "2", "chargedCumulativeAmount": "3999999",
        })
    );
    let shown = &v.payload["voucher"];
    assert_eq!(
        extra["voucherState"],
        json!({ "signedMaxClaimable": shown["maxClaimableAmount"], "signature": shown["signature"] })
    );
    let config = payload.config();
    let book = |extra: &Map<String, Value>, config| {
        Book::corrected(extra, config, terms.domain(), state.balance, units(5))
    };
    let healed = book(&extra, config).unwrap();
    assert_eq!(healed.charged, units(3_999_999));
    // A contract's voucher is no proof to the clients: they go by the chain.
    let judged = ChannelConfig {
        payer_authorizer: Address::ZERO,
        ..config.clone()
    };
    let mut extra = offer_extra(&terms);
    correct(&mut extra, &judged, &state, units(3_999_999), best);
    assert!(!extra.contains_key("voucherState"));
    assert_eq!(book(&extra, &judged).unwrap().charged, units(5));
    let paid = paid_extra(&state, report(units(100), units(1000), units(250)));
    assert_eq!(paid["chargedAmount"], "150");
    assert_eq!(paid["channelState"]["chargedCumulativeAmount"], "250");
    let refunded = refund_extra(&state, units(250));
    assert!(!refunded.contains_key("chargedAmount"));
    assert_eq!(
        refund_body(v.channel_id),
        json!({ "message": "Refund acknowledged", "channelId": v.channel_id })
    );
}
