#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use super::*;
use crate::protocol::signature::{EcdsaSignature, SignatureError, recover};
use crate::protocol::x402::{Extensions, Payload, Version};
use proptest::prelude::*;

#[derive(Deserialize)]
struct File {
    vectors: Vec<Vector>,
    malleated: Vec<Malleated>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Vector {
    key: String,
    chain_id: u64,
    asset: Address,
    name: String,
    version: String,
    authorization: Authorization,
    digest: B256,
    signature: String,
}

#[derive(Deserialize)]
struct Malleated {
    digest: B256,
    signature: String,
}

fn vectors() -> File {
    let text = include_str!("../../../tests/data/protocol/eip3009.json");
    serde_json::from_str(text).unwrap()
}

impl Vector {
    /// A token's domain like this vector's; `more` stands at the end of its name.
    fn domain(&self, chain_id: u64, asset: Address, more: &str) -> Separator {
        let (network, name) = (
            Network::from_chain_id(chain_id),
            format!("{}{more}", self.name),
        );
        Separator::of_token(network, asset, &name, &self.version)
    }

    fn terms(&self) -> Terms {
        Terms {
            network: Network::from_chain_id(self.chain_id),
            asset: self.asset,
            pay_to: self.authorization.to,
            amount: Units::from_atomic(self.authorization.value.to()),
            domain: self.domain(self.chain_id, self.asset, ""),
        }
    }

    fn credential(&self, version: Version) -> Credential {
        Credential {
            version,
            scheme: "exact".to_owned(),
            network: Network::from_chain_id(self.chain_id),
            accepted: (version == Version::V2)
                .then(|| json!({ "asset": self.asset.to_string().to_lowercase() })),
            payload: Payload::Eip3009(self.signed()),
            payment_id: None,
            challenge: None,
            extensions: Extensions::new(),
        }
    }

    fn signed(&self) -> Signed {
        Signed {
            authorization: self.authorization.clone(),
            signature: bytes(&self.signature),
        }
    }
}

fn bytes(text: &str) -> Vec<u8> {
    hex::decode(text.strip_prefix("0x").unwrap()).unwrap()
}

const NOW: u64 = 1_799_000_000;

#[test]
fn digests_and_signatures_are_those_of_viem() {
    let file = vectors();
    assert!(file.vectors.len() >= 20);
    for v in &file.vectors {
        let key = Key::from_hex(&v.key).unwrap();
        assert_eq!(key.address(), v.authorization.from);
        assert_eq!(digest(&v.authorization, &v.terms()), v.digest);
        assert_eq!(key.sign(v.digest).to_bytes().to_vec(), bytes(&v.signature));
        for version in [Version::V1, Version::V2] {
            let credential = v.credential(version);
            assert_eq!(
                check_terms(&credential, &v.signed(), &v.terms(), NOW),
                Ok(())
            );
        }
        assert_eq!(check_signature(&v.signed(), &v.terms()), Ok(Proof::Payer));
    }
}

#[test]
fn the_signed_payload_is_what_the_decoder_reads() {
    let v = &vectors().vectors[3];
    let key = Key::from_hex(&v.key).unwrap();
    let payload = signed_payload(&key, &v.authorization, &v.terms());
    assert_eq!(payload["signature"], json!(v.signature));
    let again: Authorization = serde_json::from_value(payload["authorization"].clone()).unwrap();
    assert_eq!(again, v.authorization);
}

#[test]
fn malleable_twins_are_refused() {
    for m in vectors().malleated {
        let got = recover(m.digest, &bytes(&m.signature));
        assert_eq!(got, Err(SignatureError::HighS));
    }
}

#[test]
fn every_tampered_member_changes_who_signed() {
    for v in vectors().vectors {
        let mut tampered = Vec::new();
        let mut with = |change: &dyn Fn(&mut Authorization, &mut Terms)| {
            let (mut authorization, mut terms) = (v.authorization.clone(), v.terms());
            change(&mut authorization, &mut terms);
            tampered.push((authorization, terms));
        };
        with(&|a, _| a.from = Address::ZERO);
        with(&|a, _| a.to = Address::ZERO);
        with(&|a, _| a.value += U256::from(1));
        with(&|a, _| a.valid_after += U256::from(1));
        with(&|a, _| a.valid_before += U256::from(1));
        with(&|a, _| a.nonce = B256::ZERO);
        with(&|_, t| t.domain = v.domain(v.chain_id + 1, v.asset, ""));
        with(&|_, t| t.domain = v.domain(v.chain_id, Address::ZERO, ""));
        with(&|_, t| t.domain = v.domain(v.chain_id, v.asset, " "));
        with(&|_, t| {
            let (network, version) = (t.network, format!("{}0", v.version));
            t.domain = Separator::of_token(network, v.asset, &v.name, &version);
        });
        for (authorization, terms) in tampered {
            let signed = Signed {
                authorization,
                ..v.signed()
            };
            let got = check_signature(&signed, &terms);
            let not_payer = matches!(
                got,
                Ok(Proof::ContractOnly { .. }) | Err(Refusal::Signature(_))
            );
            assert!(not_payer, "{got:?}");
        }
    }
}

#[test]
fn each_term_is_checked_and_named() {
    let v = &vectors().vectors[1];
    let check_both = |change: &dyn Fn(&mut Credential, &mut Signed, &mut Terms), version, now| {
        let (mut credential, mut signed) = (v.credential(version), v.signed());
        let mut terms = v.terms();
        change(&mut credential, &mut signed, &mut terms);
        check_terms(&credential, &signed, &terms, now).err()
    };
    let check = |change: &dyn Fn(&mut Credential, &mut Terms), version, now| {
        check_both(&|c, _, t| change(c, t), version, now)
    };
    let other = Network::from_chain_id(5);
    let more =
        |_: &mut Credential, t: &mut Terms| t.amount = Units::from_atomic(t.amount.atomic() + 1);
    let less = |_: &mut Credential, s: &mut Signed, _: &mut Terms| {
        s.authorization.value += U256::from(1);
    };
    let v2 = Version::V2;
    assert_eq!(
        check(&|c, _| c.network = other, v2, NOW),
        Some(Refusal::Network)
    );
    assert_eq!(
        check(&|_, t| t.asset = Address::ZERO, v2, NOW),
        Some(Refusal::NoMatchingOffer)
    );
    assert_eq!(
        check(&|c, _| c.accepted = None, v2, NOW),
        Some(Refusal::NoMatchingOffer)
    );
    assert_eq!(
        check(&|_, t| t.pay_to = Address::ZERO, v2, NOW),
        Some(Refusal::Recipient)
    );
    assert_eq!(check(&more, v2, NOW), Some(Refusal::Value));
    assert_eq!(check_both(&less, v2, NOW), Some(Refusal::Value));
    assert_eq!(check_both(&less, Version::V1, NOW), Some(Refusal::ValueV1));
    let before: u64 = v.authorization.valid_before.to();
    assert_eq!(check(&|_, _| (), v2, before - 6), None);
    assert_eq!(check(&|_, _| (), v2, before - 5), Some(Refusal::Expired));
    assert_eq!(check(&|_, _| (), v2, u64::MAX), Some(Refusal::Expired));
    let after: u64 = v.authorization.valid_after.to();
    assert!(after > 0);
    assert_eq!(check(&|_, _| (), v2, after - 1), Some(Refusal::NotYetValid));
    let long = |_: &mut Credential, s: &mut Signed, _: &mut Terms| {
        s.authorization.valid_before = U256::MAX;
    };
    assert_eq!(check_both(&long, v2, NOW), Some(Refusal::ValidTooLong));
}

#[test]
fn signatures_of_other_forms_are_told_apart() {
    let v = &vectors().vectors[0];
    let check = |signature: Vec<u8>| {
        check_signature(
            &Signed {
                signature,
                ..v.signed()
            },
            &v.terms(),
        )
    };
    let good = bytes(&v.signature);
    let with_v = |v: u8| [&good[..64], &[v]].concat();
    let parity = good[64] - 27;
    assert_eq!(check(with_v(parity)), Ok(Proof::Payer));
    for bad in [2, 3, 26, 29, 255] {
        assert!(matches!(check(with_v(bad)), Err(Refusal::Signature(_))));
    }
    assert!(!matches!(check(with_v(28 - parity)), Ok(Proof::Payer)));
    let mut wrapped = good.repeat(3);
    wrapped.extend([0x64, 0x92].repeat(16));
    let refusal = check(wrapped).unwrap_err();
    assert_eq!(refusal.reason(), "eip6492_factory_not_allowed");
    let digest = v.digest;
    for contract in [vec![], good[..64].to_vec(), good.repeat(2)] {
        assert_eq!(check(contract), Ok(Proof::ContractOnly { digest }));
    }
    let order =
        hex::decode("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141").unwrap();
    let zero = [0; 32];
    let (r, s) = good[..64].split_at(32);
    for (r, s) in [
        (&zero[..], s),
        (r, &zero[..]),
        (&order[..], s),
        (r, &order[..]),
    ] {
        let bad = [r, s, &[27]].concat();
        assert_eq!(EcdsaSignature::from_bytes(&bad), Err(SignatureError::Range));
    }
}

#[test]
fn replay_keys_differ_in_every_part() {
    let v = &vectors().vectors[0].authorization;
    let key = |n, asset, from, nonce| replay_key(Network::from_chain_id(n), asset, from, nonce);
    let base = key(1, v.to, v.from, v.nonce);
    let others = [
        key(2, v.to, v.from, v.nonce),
        key(1, v.from, v.from, v.nonce),
        key(1, v.to, v.to, v.nonce),
        key(1, v.to, v.from, B256::ZERO),
    ];
    assert!(others.iter().all(|other| *other != base));
    assert_eq!(base, key(1, v.to, v.from, v.nonce));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn what_a_key_signs_recovers_to_it(seed in any::<[u8; 32]>(), digest in any::<[u8; 32]>()) {
        prop_assume!(Key::from_bytes(&seed).is_ok());
        let key = Key::from_bytes(&seed).unwrap();
        let signature = key.sign(B256::from(digest));
        let bytes = signature.to_bytes();
        prop_assert_eq!(recover(B256::from(digest), &bytes), Ok(key.address()));
        prop_assert_eq!(EcdsaSignature::from_bytes(&bytes), Ok(signature));
        prop_assert_eq!(B256::from_slice(&bytes[..32]), signature.r());
        prop_assert_eq!(B256::from_slice(&bytes[32..64]), signature.s());
        prop_assert_eq!(bytes[64], signature.v());
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), digest in any::<[u8; 32]>()) {
        let _ = recover(B256::from(digest), &bytes);
        let _ = SignatureKind::of(&bytes);
    }
}
