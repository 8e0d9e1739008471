#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test fails by panicking"
)]

mod captured;
mod hostile;
#[cfg(feature = "tempo")]
mod peer;
mod session_v2;

use super::evm::Charge;
use super::*;
use crate::money::Units;
use crate::protocol::Network;
use crate::protocol::signature::Key;
use alloy::primitives::{Address, B256, U256, b256};
use proptest::prelude::*;
use serde_json::{Value, json};

const SECRET: &[u8] = b"test-vector-secret-minimum-32-byte-secret";
const BODY: [u8; 32] = [7; 32];
const ROUTE: &str = "POST /v1/chat/completions";

fn keys() -> Keys {
    Keys::new(SECRET, []).unwrap()
}

fn file(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// A challenge of a vector, whose request is JSON there.
fn challenge(vector: &Value) -> Challenge {
    let mut vector = vector.clone();
    let request = request::encode(&vector["request"]);
    vector["request"] = request.into();
    if vector.get("id").is_none() {
        vector["id"] = "id".into();
    }
    serde_json::from_value(vector).unwrap()
}

fn read_one(value: &str) -> Result<Challenge, SyntaxError> {
    Challenge::read_all([value]).map(|mut found| found.remove(0))
}

#[test]
fn challenges_are_read_and_written_as_published() {
    let vectors = file(include_str!(
        "../../../tests/data/mpp/www_authenticate.json"
    ));
    for vector in vectors["good"].as_array().unwrap() {
        let (name, wire) = (&vector["name"], vector["wire"].as_str().unwrap());
        let expected = challenge(&vector["challenge"]);
        let read = read_one(wire).unwrap();
        let meant = |c: &Challenge| file(&request::decode(&c.request).unwrap());
        assert_eq!(meant(&read), vector["challenge"]["request"], "{name}");
        assert_eq!(
            Challenge {
                request: expected.request.clone(),
                ..read
            },
            expected,
            "{name}"
        );
        if vector["prints"] == true {
            assert_eq!(expected.to_header().unwrap(), wire, "{name}");
        }
    }
    for vector in vectors["bad"].as_array().unwrap() {
        let read = read_one(vector["wire"].as_str().unwrap());
        assert!(read.is_err(), "{}: {read:?}", vector["name"]);
    }
    for vector in vectors["unprintable"].as_array().unwrap() {
        assert_eq!(challenge(vector).to_header(), Err(SyntaxError::Control));
    }
}

#[test]
fn credentials_are_read_as_published() {
    let vectors = file(include_str!("../../../tests/data/mpp/authorization.json"));
    for vector in vectors["good"].as_array().unwrap() {
        let (name, wire) = (&vector["name"], vector["wire"].as_str().unwrap());
        let read = Credential::read(find([wire]).unwrap().unwrap()).unwrap();
        let expected = &vector["credential"];
        assert_eq!(read.challenge, challenge(&expected["challenge"]), "{name}");
        assert_eq!(file(&read.payload), expected["payload"], "{name}");
        assert_eq!(
            read.source.as_deref(),
            expected["source"].as_str(),
            "{name}"
        );
        let again = read.to_header().unwrap();
        assert_eq!(
            Credential::read(find([again.as_str()]).unwrap().unwrap()),
            Ok(read)
        );
    }
    for vector in vectors["bad"].as_array().unwrap() {
        let found = find([vector["wire"].as_str().unwrap()]).unwrap();
        let read = found.map(Credential::read);
        assert!(!matches!(read, Some(Ok(_))), "{}: {read:?}", vector["name"]);
    }
}

#[test]
fn base64url_is_read_and_written_as_published() {
    let vectors = file(include_str!("../../../tests/data/mpp/base64url.json"));
    for vector in vectors["good"].as_array().unwrap() {
        let texts = [&vector[1], &vector[2]].map(|text| text.as_str().unwrap());
        assert_eq!(request::encode_bytes(texts[0]), texts[1], "{vector}");
        let read = request::decode_bytes(texts[1]).unwrap();
        assert_eq!(read, texts[0].as_bytes(), "{vector}");
    }
    for vector in vectors["bad"].as_array().unwrap() {
        let read = request::decode_bytes(vector[1].as_str().unwrap());
        let text = read.map(String::from_utf8);
        assert!(!matches!(text, Some(Ok(_))), "{vector}");
        assert_eq!(request::decode(vector[1].as_str().unwrap()), None);
    }
}

#[test]
fn identifiers_are_those_published() {
    let vectors = file(include_str!("../../../tests/data/mpp/challenge_id.json"));
    for vector in vectors.as_array().unwrap() {
        let secret = vector["secret"].as_str().unwrap().as_bytes();
        let keys = Keys::new(secret, []).unwrap();
        let challenge = challenge(vector);
        assert_eq!(keys.id_of(&challenge), challenge.id, "{}", vector["name"]);
        assert!(keys.sealed(&challenge), "{}", vector["name"]);
    }
}

#[test]
fn a_short_secret_seals_nothing_and_an_old_one_is_known_for_a_while() {
    assert!(Keys::new(b"short", []).is_err());
    assert!(Keys::new(SECRET, [b"short".as_slice()]).is_err());
    let old = made(&Issuer::new("api.example.com", keys()));
    let new = b"another-secret-of-more-than-32-bytes!";
    let rotated = Keys::new(new, [SECRET]).unwrap();
    assert!(rotated.sealed(&old));
    assert_ne!(rotated.id_of(&old), old.id);
    assert!(!Keys::new(new, []).unwrap().sealed(&old));
    assert_eq!(format!("{rotated:?}"), "[secret]");
}

#[test]
fn several_challenges_stand_in_one_line_or_in_several() {
    let line = |id: &str| {
        format!(
            r#"Payment id="{id}", realm="a, Payment b", method="evm", intent="charge", request="e30""#
        )
    };
    let both = format!("Bearer realm=\"x\", {}, {}", line("one"), line("two"));
    let lines = [
        line("one"),
        "Bearer realm=\"Payment \"".to_owned(),
        line("two"),
    ];
    let ids = |read: Vec<Challenge>| read.into_iter().map(|c| c.id).collect::<Vec<_>>();
    for values in [
        vec![both.as_str()],
        lines.iter().map(String::as_str).collect(),
    ] {
        assert_eq!(ids(Challenge::read_all(values).unwrap()), ["one", "two"]);
    }
}

#[test]
fn a_credential_stands_among_other_schemes_and_only_once() {
    assert_eq!(find(["Bearer sk-1"]), Ok(None));
    assert_eq!(
        find(["Bearer sk-1, Payment abc, Basic x="]),
        Ok(Some("abc, Basic x="))
    );
    assert_eq!(find(["Bearer sk-1", "payment abc"]), Ok(Some("abc")));
    assert_eq!(find(["Payment abc", "Payment abc"]), Ok(Some("abc")));
    assert_eq!(find(["Payment abc", "Payment abd"]), Err(Refused::Twice));
    assert_eq!(find(["Payment abc, Payment abd"]), Err(Refused::Twice));
}

fn charge() -> Charge {
    Charge {
        amount: Units::from_atomic(1234),
        currency: Address::repeat_byte(0xab),
        recipient: Address::repeat_byte(0xcd),
        network: Network::from_chain_id(84532),
        decimals: 6,
    }
}

fn made(issuer: &Issuer) -> Challenge {
    let bound = Bound {
        route: ROUTE,
        body: &BODY,
    };
    let names = (evm::METHOD, evm::CHARGE);
    issuer.challenge(
        names,
        charge().to_request(),
        &bound,
        ("row", 7),
        2_000_000_000,
    )
}

#[test]
fn rule_9_a_challenge_opens_for_what_it_was_made_for_and_nothing_else() {
    let issuer = Issuer::new("api.example.com", keys());
    let challenge = made(&issuer);
    assert_eq!(challenge.expires.as_deref(), Some("2033-05-18T03:33:20Z"));
    assert_eq!(Charge::from_request(&challenge.request), Some(charge()));
    let bound = Bound {
        route: ROUTE,
        body: &BODY,
    };
    let opened = issuer.open(&challenge).unwrap();
    assert_eq!(opened.price_row, "row");
    assert_eq!(opened.check(&bound), Ok(()));
    let elsewhere = Bound {
        route: "POST /v1/embeddings",
        ..bound.clone()
    };
    assert_eq!(opened.check(&elsewhere), Err(Refused::Route));
    let larger = Bound {
        body: &[8; 32],
        ..bound
    };
    assert_eq!(opened.check(&larger), Err(Refused::Body));
    let realm = Issuer::new("other.example.com", keys());
    assert_eq!(realm.open(&challenge), Err(Refused::NotTaken));
    for lacking in ["expires", "digest", "opaque"] {
        let mut bare = json!(challenge);
        bare.as_object_mut().unwrap().remove(lacking);
        let bare: Challenge = serde_json::from_value(bare).unwrap();
        let bare = Challenge {
            id: keys().id_of(&bare),
            ..bare
        };
        assert_eq!(issuer.open(&bare), Err(Refused::NotTaken), "{lacking}");
    }
    for member in [
        "id", "realm", "method", "intent", "request", "digest", "expires", "opaque",
    ] {
        let mut changed = json!(challenge);
        let text = changed[member].as_str().unwrap();
        changed[member] = match member {
            "request" => request::encode(&json!({"amount": "1"})).into(),
            _ => format!("{text}x").into(),
        };
        let changed: Challenge = serde_json::from_value(changed).unwrap();
        assert_eq!(issuer.open(&changed), Err(Refused::NotOurs), "{member}");
    }
    let told = Challenge {
        description: Some("for people".to_owned()),
        ..challenge
    };
    assert!(issuer.open(&told).is_ok());
}

#[test]
fn a_nonce_stands_for_its_challenge_in_both_derivations() {
    let challenge = Challenge {
        id: "aB3cDeF4gHiJkLmN".to_owned(),
        ..made(&Issuer::new("api.example.com", keys()))
    };
    let packed = b256!("0x899e3a8fe6830644e150b972d4ba1fce69bcdf0bf9ea7f13d57cada71c6f281d");
    let array = b256!("0xb90bf4f866e5d2b7c4dbc0ef017701bcd14ec2f2dd3e8e4849641178a622b28d");
    assert_eq!(evm::nonces(&challenge), [packed, array]);
}

#[test]
fn what_was_signed_is_bound_to_its_challenge() {
    let challenge = made(&Issuer::new("api.example.com", keys()));
    let from = Address::repeat_byte(1);
    let payload = |nonce: String, valid_before: &str| {
        json!({
            "type": "authorization", "from": from, "to": charge().recipient, "value": "1234",
            "validAfter": "0", "validBefore": valid_before, "nonce": nonce,
            "signature": format!("0x{}", "11".repeat(65)),
        })
    };
    let signed = |payload: &Value, source: Option<String>| {
        let credential = Credential {
            challenge: challenge.clone(),
            source,
            payload: payload.to_string(),
        };
        evm::signed(&credential, &charge())
    };
    for nonce in evm::nonces(&challenge) {
        let good = payload(nonce.to_string(), "2000000000");
        assert_eq!(signed(&good, None).unwrap().authorization.from, from);
        let source = evm::source(charge().network, from);
        assert!(signed(&good, Some(source)).is_ok());
        let stranger = evm::source(charge().network, Address::ZERO);
        assert_eq!(signed(&good, Some(stranger)), Err(Refused::Source));
        let longer = payload(nonce.to_string(), "2000000001");
        assert_eq!(signed(&longer, None), Err(Refused::Nonce));
    }
    let other = payload(format!("0x{}", "22".repeat(32)), "2000000000");
    assert_eq!(signed(&other, None), Err(Refused::Nonce));
    let mut hash = payload(evm::nonces(&challenge)[0].to_string(), "2000000000");
    hash["type"] = "hash".into();
    assert!(matches!(signed(&hash, None), Err(Refused::Payload(_))));
    hash["type"] = "authorization".into();
    hash["value"] = 1234.into();
    assert!(matches!(signed(&hash, None), Err(Refused::Payload(_))));
}

#[test]
fn digests_are_read_in_both_forms() {
    let digest = body_digest(&BODY);
    let bare = digest.strip_prefix("sha-256=").unwrap();
    let forms = [
        digest.clone(),
        format!("sha-256={}", bare.trim_end_matches('=')),
        format!("sha-256=:{bare}:"),
    ];
    for form in forms {
        assert!(is_digest_of(&form, &BODY), "{form}");
        assert!(!is_digest_of(&form, &[8; 32]), "{form}");
    }
    for form in ["", "sha-256=", "sha-512=AAAA", bare] {
        assert!(!is_digest_of(form, &BODY), "{form}");
    }
}

#[test]
fn preferences_sort_and_filter_but_never_hide_all() {
    let offers = ["tempo/charge", "evm/charge", "tempo/session"];
    let chosen = |header: &str| {
        let preferences = Preferences::read(header).unwrap();
        preferences.choose(&offers, |offer| offer.split_once('/').unwrap())
    };
    assert_eq!(chosen("evm/charge"), ["evm/charge"]);
    assert_eq!(
        chosen("tempo/charge;q=0.5, evm/charge, */session;q=0"),
        ["evm/charge", "tempo/charge"]
    );
    assert_eq!(chosen("*/*, tempo/*;q=0"), ["evm/charge"]);
    assert_eq!(
        chosen("tempo/*;q=0.1, tempo/session;q=1"),
        ["tempo/session", "tempo/charge"]
    );
    assert_eq!(chosen("solana/charge"), offers);
    assert_eq!(chosen("*/*;q=0"), offers);
    for wrong in [
        "",
        "tempo",
        "tempo/charge;q=2",
        "tempo/charge;q=0.1234",
        "a b/c",
        "T/c",
        "x/y;q",
    ] {
        assert_eq!(Preferences::read(wrong), None, "{wrong}");
    }
}

#[test]
fn receipts_keep_what_else_they_say() {
    let receipt = json!({
        "status": "success", "method": "evm", "timestamp": "2026-01-01T00:00:00Z",
        "reference": "0xabc", "externalId": "call", "credit": "12",
    });
    let read: Receipt = serde_json::from_value(receipt.clone()).unwrap();
    let again = Receipt::from_header(&read.to_header().unwrap()).unwrap();
    assert_eq!(json!(again), receipt);
    let failed = Receipt {
        status: "failed".to_owned(),
        ..read
    };
    assert_eq!(Receipt::from_header(&failed.to_header().unwrap()), None);
}

#[test]
fn problems_say_what_programs_branch_on() {
    let members = Problem::PaymentRequired.members(402, "Pay.");
    let expected = json!({
        "type": "https://paymentauth.org/problems/payment-required",
        "title": "Payment Required", "status": 402, "detail": "Pay.",
    });
    assert_eq!(Value::from(members), expected);
}

proptest! {
    #[test]
    fn a_challenge_written_is_the_one_read(
        id in "[A-Za-z0-9_-]{1,40}",
        realm in "\\PC{1,40}",
        description in proptest::option::of("\\PC{0,40}"),
        opaque in proptest::option::of("[A-Za-z0-9_-]{0,40}"),
    ) {
        let challenge = Challenge { id, realm, description, opaque, ..made(&Issuer::new("a", keys())) };
        let header = challenge.to_header().unwrap();
        prop_assert!(header.is_ascii());
        prop_assert_eq!(read_one(&header), Ok(challenge.clone()));
        let both = format!("{header}, {header}");
        let twice = Challenge::read_all([both.as_str()]);
        prop_assert_eq!(twice, Ok(vec![challenge.clone(), challenge]));
    }

    #[test]
    fn nothing_that_comes_in_is_fatal(text in "\\PC{0,200}", bytes in any::<Vec<u8>>()) {
        let _ = Challenge::read_all([text.as_str()]);
        let _ = find([text.as_str()]);
        let _ = Credential::read(&text);
        let _ = Credential::read(&request::encode_bytes(&bytes));
        let _ = Preferences::read(&text);
        let _ = Receipt::from_header(&text);
        let _ = is_digest_of(&text, &BODY);
        let _ = read_one(&format!("Payment {text}"));
    }
}
