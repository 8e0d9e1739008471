#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use super::*;
use crate::protocol::signature::Key;
use alloy::primitives::B256;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
struct File {
    vectors: Vec<Vector>,
}

#[derive(Deserialize)]
struct Vector {
    label: String,
    origin: String,
    now: Timestamp0,
    address: Address,
    message: String,
    digest: B256,
    header: String,
}

#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Timestamp0(Timestamp);

impl TryFrom<String> for Timestamp0 {
    type Error = jiff::Error;

    fn try_from(text: String) -> Result<Self, jiff::Error> {
        text.parse().map(Self)
    }
}

const NETWORKS: [Network; 2] = [Network::from_chain_id(84532), Network::from_chain_id(8453)];

fn vectors() -> Vec<Vector> {
    let text = include_str!("../../../tests/data/protocol/siwx.json");
    serde_json::from_str::<File>(text).unwrap().vectors
}

fn expected(v: &Vector) -> Expected<'_> {
    Expected {
        origin: &v.origin,
        networks: &NETWORKS,
        now: v.now.0,
    }
}

#[test]
fn what_the_published_package_signs_is_accepted() {
    for v in vectors() {
        let message = parse(&v.header).unwrap();
        let network: Network = message.chain_id.parse().unwrap();
        assert_eq!(message.text(network, v.address), v.message, "{}", v.label);
        assert_eq!(eip191_hash_message(&v.message), v.digest);
        let signed_in = verify(&message, &expected(&v)).unwrap();
        assert_eq!(signed_in.address, v.address);
        assert_eq!(signed_in.nonce, message.nonce);
    }
}

#[test]
fn every_changed_member_breaks_the_sign_in() {
    let v = &vectors()[2];
    let json: Value = serde_json::from_slice(&STANDARD.decode(&v.header).unwrap()).unwrap();
    let verify_with = |pointer: &str, value: Value| {
        let mut json = json.clone();
        *json.pointer_mut(pointer).unwrap() = value;
        parse(&STANDARD.encode(json.to_string())).and_then(|m| verify(&m, &expected(v)))
    };
    for (pointer, value, error) in [
        ("/domain", json!("evil.example"), SiwxError::Domain),
        (
            "/uri",
            json!("https://groat.example.evil/v1/balance"),
            SiwxError::Uri,
        ),
        (
            "/uri",
            json!("https://groat.example@evil/v1/balance"),
            SiwxError::Uri,
        ),
        (
            "/uri",
            json!("https://groat.example/v1/receipts"),
            SiwxError::Signature,
        ),
        ("/version", json!("2"), SiwxError::Chain),
        ("/chainId", json!("eip155:84532"), SiwxError::Signature),
        ("/chainId", json!("eip155:1"), SiwxError::Chain),
        (
            "/chainId",
            json!("solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp"),
            SiwxError::Chain,
        ),
        ("/type", json!("ed25519"), SiwxError::Chain),
        ("/nonce", json!("5f2c9d0b7a6e4c32"), SiwxError::Signature),
        (
            "/statement",
            json!("Sign over everything."),
            SiwxError::Signature,
        ),
        ("/requestId", json!("req-2"), SiwxError::Signature),
        ("/resources", json!([]), SiwxError::Signature),
        (
            "/address",
            json!("0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC"),
            SiwxError::Signature,
        ),
        (
            "/issuedAt",
            json!("2025-06-15T15:06:41.000Z"),
            SiwxError::Signature,
        ),
        (
            "/issuedAt",
            json!("yesterday"),
            SiwxError::Timestamp("issuedAt"),
        ),
        (
            "/expirationTime",
            json!("2025-06-15T15:06:59.000Z"),
            SiwxError::Expired,
        ),
        (
            "/notBefore",
            json!("2025-06-15T15:08:00.000Z"),
            SiwxError::NotYetValid,
        ),
        ("/signature", json!("0x00"), SiwxError::Signature),
    ] {
        assert_eq!(
            verify_with(pointer, value.clone()),
            Err(error),
            "{pointer} {value}"
        );
    }
    let forged = verify_with("/statement", json!("Sign in.\n\nURI: https://evil"));
    assert!(matches!(forged, Err(SiwxError::Malformed(_))));
}

#[test]
fn the_window_is_five_minutes_with_a_little_leeway() {
    let v = &vectors()[0];
    let message = parse(&v.header).unwrap();
    let issued_at: Timestamp = message.issued_at.parse().unwrap();
    let at = |seconds| {
        let now = issued_at + SignedDuration::from_secs(seconds);
        verify(&message, &Expected { now, ..expected(v) }).map(|s| s.stale_after)
    };
    assert_eq!(at(0), Ok(issued_at + AGE_MAX));
    assert!(at(300).is_ok() && at(-30).is_ok());
    assert_eq!(at(301), Err(SiwxError::TooOld));
    assert_eq!(at(-31), Err(SiwxError::InFuture));
}

#[test]
fn our_own_client_answers_our_own_challenge() {
    let challenge = SiwxChallenge {
        domain: "localhost:4020".to_owned(),
        uri: "http://localhost:4020/v1/balance".to_owned(),
        version: "1".to_owned(),
        nonce: "0123456789abcdef".to_owned(),
        issued_at: "2026-01-01T00:00:00Z".to_owned(),
        expiration_time: Some("2026-01-01T00:05:00Z".to_owned()),
        statement: Some("Sign in to Groat.".to_owned()),
        resources: None,
    };
    let extension = challenge.to_extension(&NETWORKS);
    assert_eq!(
        extension["supportedChains"][1],
        json!({ "chainId": "eip155:8453", "type": "eip191" })
    );
    let again: SiwxChallenge = serde_json::from_value(extension["info"].clone()).unwrap();
    assert_eq!(again, challenge);
    let key = Key::from_bytes(&[7; 32]).unwrap();
    let header = challenge.answer(NETWORKS[1], &key).unwrap();
    let now = "2026-01-01T00:01:00Z".parse().unwrap();
    let expected = Expected {
        origin: "http://localhost:4020",
        networks: &NETWORKS,
        now,
    };
    let signed_in = verify(&parse(&header).unwrap(), &expected).unwrap();
    assert_eq!(
        (signed_in.address, signed_in.network),
        (key.address(), NETWORKS[1])
    );
}

proptest! {
    #[test]
    fn no_header_panics(text in ".{0,200}", bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&text);
        let _ = parse(&STANDARD.encode(bytes));
    }
}
