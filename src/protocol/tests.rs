#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test fails by panicking"
)]

use super::eip3009::{Proof, Terms, check_signature, check_terms};
use super::payment_identifier::{self, PaymentId};
use super::x402::{
    Extensions, Payload, PaymentPayload, PaymentRequired, Requirements, SettleResponse, Version,
    check_echo, decode_payment, offer_matches, payment_header_v1,
};
use super::{HEADER_BYTES_MAX, Network, Refusal};
use crate::money::Units;
use alloy::primitives::Address;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE};
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
struct File {
    headers: Vec<Paid>,
}

#[derive(Deserialize)]
struct Paid {
    label: String,
    version: u8,
    now: u64,
    payer: Address,
    required: Value,
    header: String,
}

impl Paid {
    fn version(&self) -> Version {
        if self.version == 1 {
            Version::V1
        } else {
            Version::V2
        }
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&STANDARD.decode(&self.header).unwrap()).unwrap()
    }
}

fn paid() -> Vec<Paid> {
    let text = include_str!("../../tests/data/protocol/payment_headers.json");
    serde_json::from_str::<File>(text).unwrap().headers
}

fn header(content: &Value) -> String {
    STANDARD.encode(content.to_string())
}

fn offers(paid: &Paid) -> Vec<Requirements> {
    if paid.version() == Version::V2 {
        let required: PaymentRequired = serde_json::from_value(paid.required.clone()).unwrap();
        return required.accepts;
    }
    let offer = &paid.required["accepts"][0];
    let network = Network::from_v1_name(offer["network"].as_str().unwrap()).unwrap();
    let mut v2 = offer.clone();
    v2["network"] = json!(network);
    v2["amount"] = offer["maxAmountRequired"].clone();
    vec![serde_json::from_value(v2).unwrap()]
}

#[test]
fn what_the_published_clients_send_is_accepted() {
    for paid in paid() {
        let credential = decode_payment(paid.version(), &paid.header).unwrap();
        let offer = match &credential.accepted {
            Some(accepted) => offers(&paid)
                .into_iter()
                .find(|o| offer_matches(o, accepted)),
            None => offers(&paid).into_iter().next(),
        };
        let terms = Terms::of(&offer.unwrap()).unwrap();
        let Payload::Eip3009(signed) = &credential.payload else {
            panic!("{}", paid.label);
        };
        assert_eq!(
            check_terms(&credential, signed, &terms, paid.now),
            Ok(()),
            "{}",
            paid.label
        );
        assert_eq!(
            check_signature(signed, &terms),
            Ok(Proof::Payer),
            "{}",
            paid.label
        );
        assert_eq!(signed.authorization.from, paid.payer);
        let advertised = paid
            .required
            .get("extensions")
            .cloned()
            .unwrap_or(json!({}));
        let advertised: Extensions = serde_json::from_value(advertised).unwrap();
        assert_eq!(check_echo(&advertised, &credential.extensions), Ok(()));
        let id = credential.payment_id.map(String::from);
        assert_eq!(id.is_some(), !advertised.is_empty());
    }
}

#[test]
fn headers_are_strict_base64_and_bounded() {
    let paid = &paid()[0];
    let json = paid.json().to_string();
    let refused = |text: &str| {
        let refusal = decode_payment(Version::V2, text).unwrap_err();
        assert!(matches!(refusal, Refusal::Malformed(_)), "{refusal:?}");
        assert_eq!(refusal.reason(), "invalid_payload");
    };
    let json = ["", " ", "  "]
        .map(|pad| format!("{json}{pad}"))
        .into_iter()
        .find(|j| j.len() % 3 == 1)
        .unwrap();
    assert!(decode_payment(Version::V2, &STANDARD.encode(&json)).is_ok());
    refused(&STANDARD_NO_PAD.encode(&json));
    refused(&URL_SAFE.encode(format!("{{\"a\":\"{}\"}}", "?>".repeat(60))));
    refused("");
    refused("{}");
    refused(&"A".repeat(HEADER_BYTES_MAX + 4));
    refused(&STANDARD.encode("[".repeat(4000)));
    refused(&STANDARD.encode("null"));
    refused(&STANDARD.encode([0xff, 0xfe]));
}

#[test]
fn twins_of_a_key_are_refused_at_every_level_that_is_read() {
    let text = paid()[0].json().to_string();
    for (key, twin) in [
        ("\"x402Version\":2", "\"x402Version\":2,\"x402Version\":2"),
        ("\"value\":", "\"value\":\"1\",\"value\":"),
        ("\"signature\":", "\"signature\":\"0x\",\"signature\":"),
        ("\"amount\":", "\"amount\":\"1\",\"amount\":"),
    ] {
        let doubled = text.replacen(key, twin, 1);
        assert_ne!(doubled, text);
        let got = decode_payment(Version::V2, &STANDARD.encode(doubled));
        assert!(matches!(got, Err(Refusal::Malformed(_))), "{key}: {got:?}");
    }
}

#[test]
fn each_wrong_member_is_refused() {
    let refusal = |pointer: &str, value: Value| {
        let mut json = paid()[0].json();
        *json.pointer_mut(pointer).unwrap() = value;
        decode_payment(Version::V2, &header(&json)).unwrap_err()
    };
    assert_eq!(refusal("/x402Version", json!(1)), Refusal::Version);
    assert!(matches!(
        refusal("/x402Version", json!("2")),
        Refusal::Malformed(_)
    ));
    let scheme = refusal("/accepted/scheme", json!("deferred"));
    assert_eq!(scheme.reason(), "unsupported_scheme");
    for network in ["base", "eip155:084532", "eip155:-1", "solana:x", ""] {
        assert_eq!(
            refusal("/accepted/network", json!(network)),
            Refusal::Network
        );
    }
    for (member, values) in [
        (
            "value",
            vec![
                json!(1),
                json!(""),
                json!("-1"),
                json!("1.0"),
                json!("0x1"),
                json!("9".repeat(78)),
                json!("1".repeat(79)),
            ],
        ),
        ("validAfter", vec![json!(0), json!(null), json!(" 0")]),
        (
            "from",
            vec![
                json!("0x12"),
                json!(1),
                json!(paid()[0].payer.to_string().replace("0x", "00")),
            ],
        ),
        ("nonce", vec![json!("0x00"), json!("00".repeat(33))]),
    ] {
        for value in values {
            let got = refusal(&format!("/payload/authorization/{member}"), value);
            assert!(matches!(got, Refusal::Malformed(_)), "{member}: {got:?}");
        }
    }
    for signature in [
        json!("12"),
        json!("0x1"),
        json!("0xzz"),
        json!(format!("0x{}", "00".repeat(2049))),
    ] {
        assert!(matches!(
            refusal("/payload/signature", signature),
            Refusal::Malformed(_)
        ));
    }
    let mut foreign = paid()[0].json();
    foreign["payload"] = json!({ "signature": "0x", "permit2Authorization": {} });
    let got = decode_payment(Version::V2, &header(&foreign)).unwrap_err();
    assert_eq!(got.reason(), "invalid_payload");
    foreign["payload"] = json!({ "signature": "0x" });
    let got = decode_payment(Version::V2, &header(&foreign)).unwrap_err();
    assert_eq!(got.reason(), "unsupported_payload_type");
}

#[test]
fn null_is_absent() {
    let mut json = paid()[0].json();
    json["extensions"] = Value::Null;
    json["resource"] = Value::Null;
    assert!(decode_payment(Version::V2, &header(&json)).is_ok());
    let info = json!({ "payment-identifier": { "info": { "required": false, "id": null } } });
    json["extensions"] = info;
    assert_eq!(
        decode_payment(Version::V2, &header(&json))
            .unwrap()
            .payment_id,
        None
    );
}

#[test]
fn an_offer_matches_its_echo_and_no_other() {
    let paid = &paid()[1];
    let offer = &offers(paid)[0];
    let accepted = &paid.json()["accepted"];
    let matches = |change: &dyn Fn(&mut Value)| {
        let mut changed = accepted.clone();
        change(&mut changed);
        offer_matches(offer, &changed)
    };
    assert!(matches(&|_| ()));
    assert!(matches(
        &|a| a["asset"] = json!(a["asset"].as_str().unwrap().to_lowercase())
    ));
    assert!(matches(&|a| a["payTo"] = json!(
        a["payTo"]
            .as_str()
            .unwrap()
            .to_uppercase()
            .replace("0X", "0x")
    )));
    assert!(matches(&|a| a["extra"]["more"] = json!({ "x": 1 })));
    assert!(matches(&|a| a["maxTimeoutSeconds"] = json!(300.0)));
    for key in [
        "scheme",
        "network",
        "amount",
        "asset",
        "payTo",
        "maxTimeoutSeconds",
        "extra",
    ] {
        let mut without = accepted.clone();
        without.as_object_mut().unwrap().remove(key);
        assert!(!offer_matches(offer, &without), "{key}");
        assert!(!matches(&|a| a[key] = Value::Null), "{key}");
    }
    assert!(!matches(&|a| a["amount"] = json!("50001")));
    assert!(!matches(&|a| a["amount"] = json!(50000)));
    assert!(!matches(&|a| a["amount"] = json!("050000")));
    assert!(!matches(&|a| a["maxTimeoutSeconds"] = json!(301)));
    assert!(!matches(&|a| a["extra"]["name"] = json!("usd coin")));
    assert!(!offer_matches(offer, &Value::Null));
}

#[test]
fn an_echo_may_add_but_not_change() {
    let advertised = Extensions::from([
        (
            "payment-identifier".to_owned(),
            payment_identifier::advert(true),
        ),
        (
            super::siwx::KEY.to_owned(),
            json!({ "info": { "domain": "a", "nonce": "1", "issuedAt": "x" } }),
        ),
    ]);
    let check = |echoed: Value| check_echo(&advertised, &serde_json::from_value(echoed).unwrap());
    assert_eq!(check(json!({})), Ok(()));
    assert_eq!(
        check(json!({ "payment-identifier": null, "unknown": 5 })),
        Ok(())
    );
    assert_eq!(
        check(json!({ "payment-identifier": { "info": { "required": true, "id": "x" } } })),
        Ok(())
    );
    let mismatch =
        check(json!({ "payment-identifier": { "info": { "required": false } } })).unwrap_err();
    assert_eq!(mismatch.reason(), "extension_echo_mismatch");
    assert_eq!(
        check(json!({ "sign-in-with-x": { "info": { "domain": "a", "nonce": "2" } } })),
        Ok(())
    );
    assert!(check(json!({ "sign-in-with-x": { "info": { "domain": "b" } } })).is_err());
}

#[test]
fn payment_identifiers_are_read_or_refused() {
    let extract = |id: Value| {
        let mut echoed = payment_identifier::advert(true);
        echoed["info"]["id"] = id;
        payment_identifier::extract(&Extensions::from([(
            payment_identifier::KEY.to_owned(),
            echoed,
        )]))
    };
    let good: PaymentId = "pay_0f8fad5b-d9cb".parse().unwrap();
    assert_eq!(extract(json!("pay_0f8fad5b-d9cb")), Ok(Some(good.clone())));
    assert!(extract(json!("a".repeat(128))).is_ok());
    for bad in [
        json!("a".repeat(15)),
        json!("a".repeat(129)),
        json!("pay 0f8fad5b-d9cb"),
        json!("é".repeat(16)),
        json!(7),
    ] {
        assert_eq!(extract(bad), Err(Refusal::PaymentIdInvalid));
    }
    assert_eq!(payment_identifier::extract(&Extensions::new()), Ok(None));
    let echoed = payment_identifier::echo_with_id(&payment_identifier::advert(false), &good);
    assert_eq!(echoed["info"], json!({ "required": false, "id": good }));
}

#[test]
fn the_v1_body_lists_only_what_every_v1_client_can_read() {
    let mut required: PaymentRequired = serde_json::from_value(paid()[0].required.clone()).unwrap();
    let good = required.accepts[0].clone();
    let mut unknown_chain = good.clone();
    unknown_chain.network = Network::from_chain_id(143);
    let mut upto = good.clone();
    upto.scheme = "upto".to_owned();
    let mut permit2 = good.clone();
    permit2
        .extra
        .as_mut()
        .unwrap()
        .insert("assetTransferMethod".to_owned(), json!("permit2"));
    required.accepts = vec![unknown_chain, upto, permit2];
    assert_eq!(required.to_v1(), None);
    required.accepts.push(good);
    let body = serde_json::to_value(required.to_v1().unwrap()).unwrap();
    assert_eq!(
        body,
        json!({ "x402Version": 1, "error": "Payment required", "accepts": [{
            "scheme": "exact", "network": "base-sepolia", "maxAmountRequired": "1234",
            "resource": "https://groat.example/v1/chat/completions",
            "description": "one chat completion – ünïcode", "mimeType": "application/json",
            "payTo": "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC", "maxTimeoutSeconds": 300,
            "asset": "0x036CbD53842c5426634e7929541eC2318f3dCF7e",
            "extra": { "name": "USDC", "version": "2" },
        }] })
    );
    required.resource.url = "/relative".to_owned();
    assert_eq!(required.to_v1(), None);
}

#[test]
fn headers_round_trip_and_hold_no_null() {
    let required: PaymentRequired = serde_json::from_value(paid()[2].required.clone()).unwrap();
    let value = required.to_header().unwrap();
    let text = String::from_utf8(STANDARD.decode(&value).unwrap()).unwrap();
    assert!(!text.contains("null"), "{text}");
    assert_eq!(PaymentRequired::from_header(&value).unwrap(), required);
    let settled = SettleResponse {
        success: true,
        error_reason: None,
        error_message: None,
        payer: Some(paid()[0].payer),
        transaction: String::new(),
        network: "eip155:84532".to_owned(),
        amount: Some(Units::from_atomic(7)),
        extensions: None,
        extra: None,
    };
    let value = settled.to_header().unwrap();
    assert_eq!(SettleResponse::from_header(&value).unwrap(), settled);
    assert!(value.len() < 400);
}

#[test]
fn our_own_client_headers_are_read_back() {
    for paid in paid() {
        let json = paid.json();
        let value = match paid.version() {
            Version::V2 => serde_json::from_value::<PaymentPayload>(json)
                .unwrap()
                .to_header(),
            Version::V1 => {
                let network = Network::from_v1_name(json["network"].as_str().unwrap()).unwrap();
                payment_header_v1(network, &json["payload"]).unwrap()
            }
        };
        let ours = decode_payment(paid.version(), &value.unwrap()).unwrap();
        assert_eq!(ours, decode_payment(paid.version(), &paid.header).unwrap());
    }
}

#[test]
fn v1_names_and_chain_ids_are_one_to_one() {
    for id in [1, 8453, 84532, 43114, 324_705_682] {
        let network = Network::from_chain_id(id);
        assert_eq!(
            Network::from_v1_name(network.v1_name().unwrap()),
            Some(network)
        );
        assert_eq!(network.to_string().parse(), Ok(network));
    }
    assert_eq!(Network::from_chain_id(5).v1_name(), None);
    assert_eq!(Network::from_v1_name("Base"), None);
}

proptest! {
    #[test]
    fn no_header_panics(bytes in prop::collection::vec(any::<u8>(), 0..300), text in ".{0,300}") {
        let _ = decode_payment(Version::V2, &STANDARD.encode(&bytes));
        let _ = decode_payment(Version::V1, &text);
    }

    #[test]
    fn a_damaged_header_is_never_taken_for_another_payment(at in 0usize..1500, with in any::<u8>()) {
        let paid = &paid()[0];
        let mut json = STANDARD.decode(&paid.header).unwrap();
        let at = at % json.len();
        json[at] = with;
        let Ok(credential) = decode_payment(Version::V2, &STANDARD.encode(&json)) else {
            return Ok(());
        };
        let offer = &offers(paid)[0];
        let terms = Terms::of(offer).unwrap();
        let Payload::Eip3009(signed) = &credential.payload else {
            return Ok(());
        };
        let taken = offer_matches(offer, credential.accepted.as_ref().unwrap())
            && check_terms(&credential, signed, &terms, paid.now).is_ok()
            && check_signature(signed, &terms) == Ok(Proof::Payer);
        let original = decode_payment(Version::V2, &paid.header).unwrap();
        let Payload::Eip3009(original) = original.payload else {
            panic!("another payload");
        };
        prop_assert!(!taken || signed.authorization == original.authorization);
    }
}
