//! The second version of sessions, held to the numbers of published kits.

use super::*;
use crate::protocol::mpp::session::v2::{self, Action, Descriptor, Payload, Sum};
use std::str::FromStr;

fn vectors() -> Value {
    file(include_str!("../../../../tests/data/mpp/session_v2.json"))
}

fn parsed<T: FromStr<Err: std::fmt::Debug>>(value: &Value) -> T {
    value.as_str().unwrap().parse().unwrap()
}

fn network(vector: &Value) -> Network {
    Network::from_chain_id(vector["chainId"].as_u64().unwrap())
}

fn bytes(value: &Value) -> [u8; 65] {
    let text = value.as_str().unwrap();
    hex::decode(&text[2..]).unwrap().try_into().unwrap()
}

#[test]
fn channels_and_digests_of_version_2_are_those_published() {
    let published = &vectors()["published"];
    let vector = &published["channel"];
    let descriptor: Descriptor = serde_json::from_value(vector["descriptor"].clone()).unwrap();
    let id: B256 = parsed(&vector["channelId"]);
    assert_eq!(descriptor.id(network(vector), v2::ESCROW), id);
    assert_eq!(descriptor.signer(), descriptor.authorized_signer);

    let vector = &published["digests"];
    let sum = Sum {
        channel: parsed(&vector["channelId"]),
        cumulative: parsed(&vector["cumulativeAmount"]),
        signature: [0; 65],
    };
    let domain = v2::domain(network(vector), v2::ESCROW);
    assert_eq!(
        sum.voucher_digest(domain),
        parsed::<B256>(&vector["digest"])
    );
    assert_eq!(
        sum.close_digest(domain),
        parsed::<B256>(&vector["closeDigest"])
    );
    let elsewhere = v2::domain(network(vector), Address::repeat_byte(0x11));
    assert_ne!(sum.voucher_digest(elsewhere), sum.voucher_digest(domain));
}

#[test]
fn what_mppx_signs_of_version_2_is_read_and_its_signers_are_known() {
    let key = Key::from_bytes(&[7; 32]).unwrap();
    for vector in vectors()["mppx"].as_array().unwrap() {
        let network = network(vector);
        let domain = v2::domain(network, v2::ESCROW);
        let descriptor: Descriptor = serde_json::from_value(vector["descriptor"].clone()).unwrap();
        let channel: B256 = parsed(&vector["channelId"]);
        assert_eq!(descriptor.id(network, v2::ESCROW), channel);
        assert_eq!(
            (descriptor.payer, descriptor.signer()),
            (key.address(), key.address())
        );
        for signed in vector["vouchers"].as_array().unwrap() {
            let payload = json!({
                "action": "close", "channelId": channel, "descriptor": vector["descriptor"],
                "cumulativeAmount": signed["cumulativeAmount"],
                "signature": signed["signature"], "closeSignature": signed["closeSignature"],
            });
            let read = v2::payload(&with(&payload.to_string()), network, v2::ESCROW).unwrap();
            let Payload {
                action: Action::Close { voucher, leave },
                descriptor: read,
            } = read
            else {
                panic!("{payload}");
            };
            assert_eq!(read, descriptor);
            assert_eq!(
                voucher.voucher_digest(domain),
                parsed::<B256>(&signed["digest"])
            );
            assert_eq!(
                leave.close_digest(domain),
                parsed::<B256>(&signed["closeDigest"])
            );
            assert_eq!(voucher.voucher_signer(domain), Ok(key.address()));
            assert_eq!(leave.close_signer(domain), Ok(key.address()));
            // The one is never taken for the other.
            assert_ne!(voucher.close_signer(domain), Ok(key.address()));
            assert_ne!(leave.voucher_signer(domain), Ok(key.address()));
            assert_eq!(voucher.signature, bytes(&signed["signature"]));
            assert_eq!(
                key.sign(voucher.voucher_digest(domain)).to_bytes(),
                voucher.signature
            );
            assert!(!format!("{voucher:?}").contains(&hex::encode(voucher.signature)));
        }
    }
}

fn with(payload: &str) -> Credential {
    Credential {
        challenge: made(&Issuer::new("api.example.com", keys())),
        source: None,
        payload: payload.to_owned(),
    }
}

/// A good payload of each action.
fn each(vector: &Value) -> Vec<Value> {
    let signed = &vector["vouchers"][1];
    let common = json!({"channelId": vector["channelId"], "descriptor": vector["descriptor"]});
    let more = [
        json!({"action": "open", "type": "transaction", "transaction": "0x76c0",
            "cumulativeAmount": signed["cumulativeAmount"], "signature": signed["signature"]}),
        json!({"action": "topUp", "type": "transaction", "transaction": "0x76c0", "additionalDeposit": "5"}),
        json!({"action": "voucher", "cumulativeAmount": signed["cumulativeAmount"], "signature": signed["signature"]}),
        json!({"action": "close", "cumulativeAmount": signed["cumulativeAmount"],
            "signature": signed["signature"], "closeSignature": signed["closeSignature"]}),
    ];
    let whole = more.map(|mut payload| {
        let members = payload.as_object_mut().unwrap();
        members.extend(common.as_object().unwrap().clone());
        payload
    });
    whole.into()
}

/// A voucher by a key of P-256, as viem 2.52.2 signs it.
const BY_P256: &str = "0x01a8e4059a7c38ba2fc568b9d0b5d5c6e4f7c80e2e3e94905977923457b14e8a727a45b06c3c3c725536c9f0383e1c85995a1ddb8a2018c308ad0762a1fb6dc24b3ad3861a95621392516bb593ef05583ed2e5866f5cb6260a3017237fd89b90afd0961c7e37075a6791a39c61f56295b02b6d26567b615e60aa41ee1c8e83388d01";

#[test]
fn what_is_signed_by_other_curves_is_refused_by_name() {
    let vectors = vectors();
    let vector = &vectors["mppx"][0];
    let mut voucher = each(vector)[2].clone();
    voucher["signature"] = BY_P256.into();
    let read = v2::payload(&with(&voucher.to_string()), network(vector), v2::ESCROW);
    assert!(matches!(read, Err(Refused::Payload(reason)) if reason.contains("signature")));
}

#[test]
fn payloads_of_version_2_are_refused_by_the_name_of_what_is_wrong() {
    let vectors = vectors();
    let vector = &vectors["mppx"][1];
    let read =
        |payload: &Value| v2::payload(&with(&payload.to_string()), network(vector), v2::ESCROW);
    let refused = |payload: &Value, name: &str| match read(payload) {
        Err(Refused::Payload(reason)) => assert!(reason.contains(name), "{name}: {reason}"),
        other => panic!("{name}: {other:?}"),
    };
    for good in each(vector) {
        assert!(read(&good).is_ok(), "{good}");
        for key in good.as_object().unwrap().keys() {
            let mut without = good.clone();
            without.as_object_mut().unwrap().remove(key);
            refused(&without, key);
            for wrong in [
                json!(null),
                json!(1),
                json!([]),
                json!(""),
                json!("0x"),
                json!("-1"),
                json!("9".repeat(79)),
            ] {
                let mut changed = good.clone();
                changed[key] = wrong;
                refused(&changed, key);
            }
        }
        for key in good["descriptor"].as_object().unwrap().keys() {
            let mut without = good.clone();
            without["descriptor"].as_object_mut().unwrap().remove(key);
            refused(&without, key);
            // Any other word is another channel's.
            let mut other = good.clone();
            let text = other["descriptor"][key].as_str().unwrap().to_owned();
            let last = if text.ends_with('1') { '2' } else { '1' };
            other["descriptor"][key] = format!("{}{last}", &text[..text.len() - 1]).into();
            refused(&other, "descriptor");
        }
        let over = (v2::AMOUNT_MAX + 1).to_string();
        for key in ["cumulativeAmount", "additionalDeposit"] {
            if good.get(key).is_some() {
                let mut most = good.clone();
                most[key] = v2::AMOUNT_MAX.to_string().into();
                assert!(read(&most).is_ok());
                most[key] = over.clone().into();
                refused(&most, key);
            }
        }
        for key in ["signature", "closeSignature"] {
            if good.get(key).is_some() {
                let whole = bytes(&good[key]);
                let mut raw = whole;
                raw[64] -= 27;
                let high = super::hostile::twin(&whole);
                for signature in [
                    &raw[..],
                    &high,
                    &whole[..64],
                    &[1, 0],
                    &[&[1], &whole[..]].concat(),
                ] {
                    let mut changed = good.clone();
                    changed[key] = format!("0x{}", hex::encode(signature)).into();
                    refused(&changed, key);
                }
            }
        }
    }
    let elsewhere = v2::payload(
        &with(&each(vector)[2].to_string()),
        network(&vectors["mppx"][0]),
        v2::ESCROW,
    );
    assert!(matches!(elsewhere, Err(Refused::Payload(_))));
}
