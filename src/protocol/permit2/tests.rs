#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod properties;

use super::*;
use crate::json::{Limits, Object};
use crate::protocol::header;
use crate::protocol::signature::recover;
use alloy::primitives::keccak256;
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

#[test]
fn whole_headers_of_the_published_clients_are_read() {
    let text = include_str!("../../../tests/data/permit2/headers.json");
    let file: Value = serde_json::from_str(text).unwrap();
    let headers = file["headers"].as_array().unwrap();
    assert!(headers.len() >= 5);
    for header in headers {
        let text = header["header"].as_str().unwrap();
        let paid: Value = serde_json::from_slice(&header::decode(text).unwrap()).unwrap();
        let offer = serde_json::from_value(header["required"]["accepts"][0].clone()).unwrap();
        let (signed, terms) = (
            parsed(&paid["payload"]).unwrap(),
            Terms::of(&offer).unwrap(),
        );
        assert_eq!(
            json!(signed.authorization.from),
            json!(header["payer"].as_str().unwrap().to_lowercase())
        );
        assert_eq!(
            check_terms(&signed, &terms, file["now"].as_u64().unwrap()),
            Ok(())
        );
        assert_eq!(check_signature(&signed, &terms), Ok(Proof::Payer));
    }
}

#[test]
fn only_offers_by_permit2_have_terms() {
    let file = file();
    let (exact, upto) = (
        &file.payments[0].requirements,
        &file.payments[1].requirements,
    );
    assert_eq!(Terms::of(exact).unwrap().facilitator, None);
    assert_eq!(Terms::of(exact).unwrap().proxy, EXACT_PROXY);
    assert!(Terms::of(upto).unwrap().facilitator.is_some());
    assert_eq!(Terms::of(upto).unwrap().proxy, UPTO_PROXY);
    let without = |offer: &Requirements, key: &str| {
        let mut offer = offer.clone();
        offer.extra.as_mut().unwrap().remove(key);
        Terms::of(&offer)
    };
    assert_eq!(without(exact, "assetTransferMethod"), None);
    assert_eq!(without(upto, "facilitatorAddress"), None);
    assert!(without(upto, "name").is_some());
    let mut other = upto.clone();
    other.scheme = "batch-settlement".to_owned();
    assert_eq!(Terms::of(&other), None);
}

#[test]
fn every_tampered_member_changes_who_signed() {
    for p in file().payments {
        let mut tampered = Vec::new();
        let mut with = |change: &dyn Fn(&mut Authorization, &mut Terms)| {
            let (mut signed, mut terms) = (p.signed(), p.terms());
            change(&mut signed.authorization, &mut terms);
            tampered.push((signed, terms));
        };
        let one = U256::from(1);
        with(&|a, _| a.from = Address::ZERO);
        with(&|a, _| a.permitted.token = Address::ZERO);
        with(&|a, _| a.permitted.amount += one);
        with(&|a, _| a.spender = Address::ZERO);
        with(&|a, _| a.nonce ^= one);
        with(&|a, _| a.deadline += one);
        with(&|a, _| a.witness.to = Address::ZERO);
        with(&|a, _| a.witness.valid_after += one);
        with(&|a, _| {
            a.witness.facilitator = match a.witness.facilitator {
                None => Some(Address::ZERO),
                Some(_) => None,
            };
        });
        with(&|a, _| a.witness.facilitator = Some(Address::repeat_byte(1)));
        let network = p.requirements.network;
        let elsewhere = Network::from_chain_id(network.chain_id() + 1);
        with(&|_, t| t.domain = Separator::of_permit2(elsewhere, PERMIT2));
        with(&|_, t| t.domain = Separator::of_permit2(network, Address::ZERO));
        for (signed, terms) in tampered {
            let got = check_signature(&signed, &terms);
            let not_payer = match &got {
                Ok(proof) => *proof != Proof::Payer,
                Err(refusal) => refusal.reason() == "invalid_permit2_signature",
            };
            assert!(not_payer, "{got:?}");
        }
    }
}

#[test]
fn each_term_is_checked_and_named() {
    let file = file();
    let (exact, upto) = (&file.payments[2], &file.payments[3]);
    let check = |p: &Payment, change: &dyn Fn(&mut Authorization, &mut Terms), now| {
        let (mut signed, mut terms) = (p.signed(), p.terms());
        change(&mut signed.authorization, &mut terms);
        check_terms(&signed, &terms, now).err().map(|r| r.reason())
    };
    let now = file.now;
    let one = U256::from(1);
    for p in [exact, upto] {
        let named = |change: &dyn Fn(&mut Authorization, &mut Terms)| check(p, change, now);
        assert_eq!(
            named(&|a, _| a.spender = PERMIT2),
            Some("invalid_permit2_spender")
        );
        assert_eq!(
            named(&|_, t| t.pay_to = Address::ZERO),
            Some("invalid_permit2_recipient_mismatch")
        );
        assert_eq!(
            named(&|a, _| a.permitted.amount += one),
            Some("permit2_amount_mismatch")
        );
        assert_eq!(
            named(&|a, _| a.permitted.amount = U256::MAX),
            Some("permit2_amount_mismatch")
        );
        assert_eq!(
            named(&|_, t| t.asset = Address::ZERO),
            Some("permit2_token_mismatch")
        );
        let valid_after = |seconds: u64| named(&|a, _| a.witness.valid_after = U256::from(seconds));
        assert_eq!(valid_after(now), None);
        assert_eq!(valid_after(now + 1), Some("permit2_not_yet_valid"));
        let deadline = |seconds: u64| named(&|a, _| a.deadline = U256::from(seconds));
        assert_eq!(deadline(now + VALIDITY_LEFT_SECONDS), None);
        assert_eq!(
            deadline(now + VALIDITY_LEFT_SECONDS - 1),
            Some("permit2_deadline_expired")
        );
        assert_eq!(deadline(now + VALIDITY_MAX_SECONDS), None);
        assert_eq!(
            deadline(now + VALIDITY_MAX_SECONDS + 1),
            Some("permit2_deadline_expired")
        );
        assert_eq!(
            named(&|a, _| a.deadline = U256::MAX),
            Some("permit2_deadline_expired")
        );
        assert_eq!(
            check(p, &|_, _| (), u64::MAX),
            Some("permit2_deadline_expired")
        );
    }
    let stranger = Some(Address::repeat_byte(7));
    assert_eq!(
        check(upto, &|a, _| a.witness.facilitator = stranger, now),
        Some("upto_facilitator_mismatch")
    );
    let unsupported = Some("unsupported_payload_type");
    assert_eq!(
        check(upto, &|a, _| a.witness.facilitator = None, now),
        unsupported
    );
    assert_eq!(
        check(exact, &|a, _| a.witness.facilitator = stranger, now),
        unsupported
    );
}

#[test]
fn a_payment_of_one_scheme_is_none_of_the_other() {
    let file = file();
    let (exact, upto) = (&file.payments[0], &file.payments[1]);
    for (signed, terms) in [
        (exact.signed(), upto.terms()),
        (upto.signed(), exact.terms()),
    ] {
        let refusal = check_terms(&signed, &terms, file.now).unwrap_err();
        assert_eq!(refusal, Refused::Spender.into());
    }
}

#[test]
fn signatures_of_other_forms_are_told_apart() {
    let file = file();
    let p = &file.payments[1];
    let check = |signature: Vec<u8>| {
        let signed = Signed {
            signature,
            ..p.signed()
        };
        check_signature(&signed, &p.terms()).map_err(|r| r.reason())
    };
    let good = p.signed().signature;
    let with_v = |v: u8| [&good[..64], &[v]].concat();
    let parity = good[64] - 27;
    assert_eq!(check(with_v(parity)), Ok(Proof::Payer));
    assert_eq!(settling_signature(&with_v(parity)), good);
    assert_eq!(settling_signature(&good), good);
    assert_eq!(check(with_v(29)), Err("invalid_permit2_signature"));
    assert_ne!(check(with_v(28 - parity)), Ok(Proof::Payer));
    let wrapped = [good.repeat(3), [0x64, 0x92].repeat(16)].concat();
    assert_eq!(check(wrapped), Err("eip6492_factory_not_allowed"));
    let digest = p.digest;
    for contract in [vec![], good[..64].to_vec(), good.repeat(2)] {
        assert_eq!(settling_signature(&contract), contract);
        assert_eq!(check(contract), Ok(Proof::ContractOnly { digest }));
    }
}

#[test]
fn malleable_twins_are_refused() {
    let file = file();
    assert!(file.malleated.len() >= 4);
    for (p, twin) in file.payments.iter().zip(&file.malleated) {
        let signature = hex::decode(&twin[2..]).unwrap();
        assert_eq!(recover(p.digest, &signature), Err(SignatureError::HighS));
        let signed = Signed {
            signature,
            ..p.signed()
        };
        let refusal = check_signature(&signed, &p.terms()).unwrap_err();
        assert_eq!(refusal.reason(), "invalid_permit2_signature");
    }
}

#[test]
fn replay_keys_differ_in_every_part() {
    let [one, two] = [1, 2].map(Address::repeat_byte);
    let key = |n, permit2, owner, nonce: u64| {
        replay_key(Network::from_chain_id(n), permit2, owner, U256::from(nonce))
    };
    let base = key(1, one, one, 1);
    let others = [
        key(2, one, one, 1),
        key(1, two, one, 1),
        key(1, one, two, 1),
        key(1, one, one, 2),
    ];
    assert!(others.iter().all(|other| *other != base));
    assert_eq!(base, key(1, one, one, 1));
}

#[test]
fn members_missing_or_not_of_their_form_are_refused() {
    let payload = &file().payments[1].payload;
    assert_eq!(parsed(&json!({})), Err(Refusal::UnsupportedPayload));
    let null = json!({ "permit2Authorization": null });
    assert_eq!(parsed(&null), Err(Refusal::UnsupportedPayload));
    let address = "0x000000000022D473030F116dDEE9F6B43aC78BA3";
    for pointer in [
        "/signature",
        "/permit2Authorization",
        "/permit2Authorization/from",
        "/permit2Authorization/permitted",
        "/permit2Authorization/permitted/token",
        "/permit2Authorization/permitted/amount",
        "/permit2Authorization/spender",
        "/permit2Authorization/nonce",
        "/permit2Authorization/deadline",
        "/permit2Authorization/witness",
        "/permit2Authorization/witness/to",
        "/permit2Authorization/witness/facilitator",
        "/permit2Authorization/witness/validAfter",
    ] {
        for bad in [
            json!(1),
            json!([]),
            json!({}),
            json!(""),
            json!("0x"),
            json!("-1"),
            json!("+1"),
            json!("1e3"),
            json!(" 1"),
            json!("0x1"),
            json!("9".repeat(78)),
            json!("0".repeat(79)),
            json!(&address[..41]),
            json!(&address[2..]),
            json!("0xé"),
            json!(format!("0x{}", "00".repeat(2049))),
        ] {
            let empty_signature = pointer == "/signature" && bad == json!("0x");
            let mut payload = payload.clone();
            *payload.pointer_mut(pointer).unwrap() = bad.clone();
            let got = parsed(&payload);
            let malformed = matches!(got, Err(Refusal::Malformed(_)));
            assert!(malformed != empty_signature, "{pointer} {bad}: {got:?}");
        }
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        let mut payload = payload.clone();
        payload
            .pointer_mut(parent)
            .unwrap()
            .as_object_mut()
            .unwrap()
            .remove(key);
        let got = parsed(&payload).map(|signed| signed.authorization.witness.facilitator);
        match key {
            "facilitator" => assert_eq!(got, Ok(None)),
            "permit2Authorization" => assert_eq!(got, Err(Refusal::UnsupportedPayload)),
            _ => assert!(matches!(got, Err(Refusal::Malformed(_))), "{pointer}"),
        }
    }
}

#[test]
fn no_member_may_stand_twice() {
    let text = file().payments[0].payload.to_string();
    for member in ["\"nonce\":", "\"amount\":", "\"to\":"] {
        let twice = text.replacen(member, &format!("{member}\"1\",{member}"), 1);
        assert_ne!(twice, text);
        let object = Object::parse(twice.as_bytes(), &Limits::default()).unwrap();
        assert!(
            matches!(parse_payload(&object), Err(Refusal::Malformed(_))),
            "{member}"
        );
    }
}

#[test]
fn what_was_parsed_prints_as_the_clients_wrote_it() {
    for p in file().payments {
        let authorization = p.signed().authorization;
        let printed = json!(authorization);
        assert_eq!(printed, p.payload["permit2Authorization"]);
        let again: Authorization = serde_json::from_value(printed).unwrap();
        assert_eq!(again, authorization);
    }
}

#[test]
fn the_contracts_reverts_are_named() {
    let revert = |error: &str, arguments: &[u8]| {
        let data = [&keccak256(error)[..4], arguments].concat();
        Refused::of_revert(&data).map(|refused| refused.reason())
    };
    for (error, reason) in [
        ("InvalidAmount()", "permit2_invalid_amount"),
        ("InvalidDestination()", "permit2_invalid_destination"),
        ("InvalidOwner()", "permit2_invalid_owner"),
        ("PaymentTooEarly()", "permit2_payment_too_early"),
        ("Permit2612AmountMismatch()", "permit2_2612_amount_mismatch"),
        ("AmountExceedsPermitted()", "upto_amount_exceeds_permitted"),
        ("UnauthorizedFacilitator()", "upto_unauthorized_facilitator"),
        ("InvalidNonce()", "permit2_invalid_nonce"),
        ("InvalidSignature()", "invalid_permit2_signature"),
        ("InvalidSigner()", "invalid_permit2_signature"),
        ("InvalidSignatureLength()", "invalid_permit2_signature"),
        ("InvalidContractSignature()", "invalid_permit2_signature"),
    ] {
        assert_eq!(revert(error, &[]), Some(reason), "{error}");
    }
    let expired = "SignatureExpired(uint256)";
    assert_eq!(revert(expired, &[0; 32]), Some("permit2_deadline_expired"));
    assert_eq!(revert(expired, &[]), None);
    assert_eq!(revert("Error(string)", &[0; 64]), None);
    assert_eq!(Refused::of_revert(&[]), None);
}
