#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use super::*;
use crate::json::{Limits, Object};
use crate::protocol::signature::recover;
use crate::protocol::x402::Extensions;
use proptest::prelude::*;
use serde::Deserialize;

#[derive(Deserialize)]
struct File {
    now: u64,
    payments: Vec<Payment>,
    malleated: Vec<String>,
}

/// What a published client signed for an offer.
#[derive(Deserialize)]
struct Payment {
    key: String,
    requirements: Requirements,
    payload: Value,
    witness: B256,
    digest: B256,
}

impl Payment {
    fn terms(&self) -> Terms {
        Terms::of(&self.requirements).unwrap()
    }

    fn signed(&self) -> Signed {
        parsed(&self.payload).unwrap()
    }
}

fn file() -> File {
    let text = include_str!("../../../tests/data/permit2/payments.json");
    serde_json::from_str(text).unwrap()
}

fn parsed(payload: &Value) -> Result<Signed, Refusal> {
    let text = payload.to_string();
    parse_payload(&Object::parse(text.as_bytes(), &Limits::default()).unwrap())
}

fn bytes(text: &str) -> Vec<u8> {
    hex::decode(text.strip_prefix("0x").unwrap()).unwrap()
}

#[test]
fn what_the_published_clients_sign_is_accepted_and_signed_alike() {
    let file = file();
    assert!(file.payments.len() >= 20);
    for p in &file.payments {
        let (signed, terms) = (p.signed(), p.terms());
        assert_eq!(witness_hash(&signed.authorization.witness), p.witness);
        assert_eq!(digest(&signed.authorization, &terms), p.digest);
        assert_eq!(check_terms(&signed, &terms, file.now), Ok(()));
        assert_eq!(check_signature(&signed, &terms), Ok(Proof::Payer));
        let key = Key::from_hex(&p.key).unwrap();
        assert_eq!(
            signed_payload(&key, &signed.authorization, &terms),
            p.payload
        );
        let Authorization { from, nonce, .. } = signed.authorization;
        let ours = terms.authorization(from, nonce, file.now + 300);
        assert_eq!(ours, signed.authorization);
    }
}
