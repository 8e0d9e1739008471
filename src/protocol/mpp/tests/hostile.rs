//! Payloads of `tempo` that mean no good: each is refused by the name of what is wrong with it.

use super::captured::Recording;
use super::*;
use crate::protocol::mpp::session::{Action, Session};
use crate::protocol::mpp::tempo::{self, Means};
use serde_json::Map;

/// A credential with this payload for a challenge that does not matter.
fn with(payload: &str) -> Credential {
    Credential {
        challenge: made(&Issuer::new("api.example.com", keys())),
        source: None,
        payload: payload.to_owned(),
    }
}

fn by_name<T: std::fmt::Debug>(read: Result<T, Refused>, name: &str, what: &str) {
    match read {
        Err(Refused::Payload(reason)) => assert!(reason.contains(name), "{what}: {reason}"),
        other => panic!("{what}: {other:?}"),
    }
}

/// What no member may be.
fn wrong() -> Vec<Value> {
    let mut wrong: Vec<Value> = vec![
        Value::Null,
        json!(true),
        json!(1),
        json!(-1),
        json!(1.5e300),
        json!([]),
        json!({}),
        json!(""),
        json!("0x"),
        json!("0xzz"),
        json!("0x1"),
        json!("é"),
        json!("1e9"),
        json!("-1"),
        json!("+1"),
        json!(" 1"),
        json!("9".repeat(79)),
    ];
    wrong.push(json!(format!("0x{}", "11".repeat(9 << 10))));
    wrong
}

/// Every member of a good payload, replaced by what it must not be, or left out, or there twice.
fn each_wrong<T: std::fmt::Debug>(
    good: &Value,
    read: impl Fn(&Credential) -> Result<T, Refused>,
    needed: &[&str],
) {
    assert!(read(&with(&good.to_string())).is_ok(), "{good}");
    for key in needed {
        let mut without = good.clone();
        without.as_object_mut().unwrap().remove(*key);
        by_name(read(&with(&without.to_string())), key, "left out");
        for value in wrong() {
            let mut changed = good.clone();
            changed[*key] = value;
            by_name(
                read(&with(&changed.to_string())),
                key,
                &changed[*key].to_string(),
            );
        }
        let twice = good.to_string();
        let twice = format!("{{\"{key}\":\"x\",{}", &twice[1..]);
        by_name(read(&with(&twice)), key, "twice");
    }
    for text in ["", "[]", "null", "{", "\"x\"", "{}x"] {
        assert!(
            matches!(read(&with(text)), Err(Refused::Payload(_))),
            "{text}"
        );
    }
    let deep = format!("{{\"x\":{}{}}}", "[".repeat(200), "]".repeat(200));
    assert!(matches!(read(&with(&deep)), Err(Refused::Payload(_))));
    // What nobody knows is passed over.
    let mut more = good.clone();
    more["unknown"] = json!({"a": [1]});
    assert!(read(&with(&more.to_string())).is_ok());
}

#[test]
fn hostile_charges_are_refused_by_the_name_of_what_is_wrong() {
    let pull = json!({"type": "transaction", "signature": "0x76c0"});
    each_wrong(&pull, tempo::means, &["type", "signature"]);
    let push = json!({"type": "hash", "hash": format!("0x{}", "ab".repeat(32))});
    each_wrong(&push, tempo::means, &["type", "hash"]);
    for hash in [
        format!("0x{}", "ab".repeat(31)),
        format!("0x{}", "ab".repeat(33)),
        "ab".repeat(33),
    ] {
        by_name(
            tempo::means(&with(&json!({"type": "hash", "hash": hash}).to_string())),
            "hash",
            &hash,
        );
    }
    by_name(
        tempo::means(&with(r#"{"type":"proof","signature":"0x00"}"#)),
        "type",
        "a proof",
    );
    let longest = format!("0x{}", "11".repeat(8 << 10));
    let longest = tempo::means(&with(
        &json!({"type": "transaction", "signature": longest}).to_string(),
    ));
    assert!(matches!(longest, Ok(Means::Pull(bytes)) if bytes.len() == 8 << 10));
}

#[test]
fn hostile_sessions_are_refused_by_the_name_of_what_is_wrong() {
    let needed = |action: &Action| match action {
        Action::Open { .. } => vec![
            "action",
            "type",
            "channelId",
            "transaction",
            "cumulativeAmount",
            "signature",
        ],
        Action::TopUp { .. } => vec![
            "action",
            "type",
            "channelId",
            "transaction",
            "additionalDeposit",
        ],
        Action::Voucher(_) | Action::Close(_) => {
            vec!["action", "channelId", "cumulativeAmount", "signature"]
        }
    };
    let recording = Recording::session();
    let mut seen = std::collections::BTreeSet::new();
    for (exchange, credential) in recording.credentials() {
        if seen.insert(exchange["step"].as_str().unwrap()) {
            let needed = needed(&session::action(&credential).unwrap());
            each_wrong(&file(&credential.payload), session::action, &needed);
        }
    }
    assert_eq!(seen.len(), 4);
}

#[test]
fn amounts_of_a_voucher_end_where_the_contract_ends() {
    let voucher = |amount: String| {
        let signature = format!("0x{}1b", "11".repeat(64));
        let payload = json!({
            "action": "voucher", "channelId": B256::ZERO, "cumulativeAmount": amount,
            "signature": signature,
        });
        session::action(&with(&payload.to_string()))
    };
    let most = voucher(u128::MAX.to_string());
    assert!(
        matches!(most, Ok(Action::Voucher(voucher)) if voucher.cumulative.atomic() == u128::MAX)
    );
    // One more than 128 bits hold.
    let over = "340282366920938463463374607431768211456".to_owned();
    by_name(voucher(over), "cumulativeAmount", "2^128");
}

#[test]
fn signatures_of_vouchers_are_taken_in_the_forms_that_the_contract_takes() {
    let key = Key::from_bytes(&[7; 32]).unwrap();
    let network = Network::from_chain_id(1337);
    let domain = session::domain(network, Address::repeat_byte(5));
    let signed = |signature: &[u8]| {
        let payload = json!({
            "action": "close", "channelId": B256::repeat_byte(9), "cumulativeAmount": "5",
            "signature": format!("0x{}", hex::encode(signature)),
        });
        session::action(&with(&payload.to_string()))
    };
    let unsigned = session::Voucher {
        channel: B256::repeat_byte(9),
        cumulative: Units::from_atomic(5),
        signature: [0; 65],
    };
    let good = key.sign(unsigned.digest(domain)).to_bytes();
    let reads = |signature: &[u8]| match signed(signature) {
        Ok(Action::Close(voucher)) => {
            assert_eq!(voucher.signature, good);
            assert_eq!(voucher.signer(domain), Ok(key.address()));
        }
        other => panic!("{other:?}"),
    };
    reads(&good);
    let mut compact: [u8; 64] = good[..64].try_into().unwrap();
    compact[32] |= (good[64] - 27) << 7;
    reads(&compact);
    // The twin with a high s, another v, a wrapper, and bytes behind it.
    let mut raw = good;
    raw[64] -= 27;
    let long = [&good[..], &[0]].concat();
    let short = &good[..63];
    for (signature, what) in [
        (twin(&good).as_slice(), "high s"),
        (&raw, "v of 0 or 1"),
        (&long, "long"),
        (short, "short"),
        (&[0; 65], "zeros"),
        (&[0xff; 65], "ones"),
        (&[0xff; 64], "compact ones"),
    ] {
        by_name(signed(signature), "signature", what);
    }
}

/// The other signature that the same key could have made.
pub(super) fn twin(signature: &[u8; 65]) -> [u8; 65] {
    const ORDER: U256 = alloy::primitives::uint!(
        0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141_U256
    );
    let mut other = *signature;
    let s = U256::from_be_slice(&signature[32..64]);
    other[32..64].copy_from_slice(&(ORDER - s).to_be_bytes::<32>());
    other[64] = if signature[64] == 27 { 28 } else { 27 };
    other
}

#[test]
fn requests_that_are_not_ours_are_no_charges_and_no_sessions() {
    let good = json!({
        "amount": "1", "currency": Address::ZERO, "recipient": Address::ZERO,
        "suggestedDeposit": "2",
        "methodDetails": {"chainId": 1337, "escrowContract": Address::ZERO},
    });
    assert!(tempo::Charge::from_request(&request::encode(&good)).is_some());
    assert!(Session::from_request(&request::encode(&good)).is_some());
    let changed = |pointer: &str, value: Value| {
        let mut changed = good.clone();
        *changed.pointer_mut(pointer).unwrap() = value;
        request::encode(&changed)
    };
    let huge = json!("9".repeat(60));
    for (pointer, value) in [
        ("/amount", json!(1)),
        ("/amount", json!("-1")),
        ("/amount", json!("1.0")),
        ("/amount", huge),
        ("/currency", json!("0x12")),
        ("/recipient", Value::Null),
        ("/methodDetails", json!([])),
        ("/methodDetails/chainId", json!("1337")),
        ("/methodDetails/chainId", json!(-1)),
    ] {
        let text = changed(pointer, value);
        assert_eq!(tempo::Charge::from_request(&text), None, "{pointer}");
        assert_eq!(Session::from_request(&text), None, "{pointer}");
    }
    let escrow = changed("/methodDetails/escrowContract", json!("0x"));
    assert_eq!(Session::from_request(&escrow), None);
    for text in ["", "e30", "!", "W10"] {
        assert_eq!(tempo::Charge::from_request(text), None);
        assert_eq!(Session::from_request(text), None);
    }
}

#[test]
fn a_payer_is_named_on_its_own_chain_alone() {
    let network = Network::from_chain_id(1337);
    let payer = Address::repeat_byte(0xab);
    let named = |source: Option<String>| Credential {
        source,
        ..with("{}")
    };
    let good = evm::source(network, payer);
    for source in [good.clone(), good.to_lowercase()] {
        let credential = named(Some(source));
        assert_eq!(tempo::named_payer(&credential, network), Some(payer));
        assert_eq!(tempo::check_source(&credential, network, payer), Ok(()));
    }
    assert_eq!(tempo::named_payer(&named(None), network), None);
    assert_eq!(tempo::check_source(&named(None), network, payer), Ok(()));
    let elsewhere = evm::source(Network::from_chain_id(1), payer);
    let short = good[..good.len() - 1].to_owned();
    for source in [
        elsewhere,
        short,
        format!("{good}0"),
        format!("x{good}"),
        payer.to_string(),
        String::new(),
        ":".to_owned(),
    ] {
        let credential = named(Some(source.clone()));
        assert_eq!(tempo::named_payer(&credential, network), None, "{source}");
        assert_eq!(
            tempo::check_source(&credential, network, payer),
            Err(Refused::Source),
            "{source}"
        );
    }
}

#[test]
fn no_piece_of_an_answer_ends_its_event_or_begins_another() {
    let pieces = [
        ("one\ntwo", "event: message\ndata: one\ndata: two\n\n"),
        ("one\r\ntwo", "event: message\ndata: one\ndata: two\n\n"),
        (
            "x\revent: payment-receipt\rdata: {}",
            "event: message\ndata: x\ndata: event: payment-receipt\ndata: data: {}\n\n",
        ),
        ("\n\n", "event: message\ndata: \ndata: \ndata: \n\n"),
        ("", "event: message\ndata: \n\n"),
    ];
    for (piece, event) in pieces {
        assert_eq!(
            String::from_utf8(session::message_event(piece)).unwrap(),
            event
        );
    }
}

fn any_member() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!("transaction")),
        Just(json!("hash")),
        Just(json!("open")),
        Just(json!("topUp")),
        Just(json!("voucher")),
        Just(json!("close")),
        Just(Value::Null),
        any::<i64>().prop_map(Value::from),
        "\\PC{0,20}".prop_map(Value::from),
        "0x[0-9a-f]{0,140}".prop_map(Value::from),
        "[0-9]{0,90}".prop_map(Value::from),
    ]
}

proptest! {
    #[test]
    fn no_payload_of_tempo_is_fatal(
        members in prop::collection::btree_map(
            prop::sample::select(vec![
                "action", "type", "channelId", "transaction", "cumulativeAmount", "signature",
                "additionalDeposit", "hash", "descriptor", "closeSignature",
            ]),
            any_member(),
            0..10,
        ),
        text in "\\PC{0,100}",
    ) {
        let members: Map<String, Value> = members.into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
        for payload in [Value::from(members).to_string(), text] {
            let credential = with(&payload);
            for refused in [tempo::means(&credential).err(), session::action(&credential).err()].into_iter().flatten() {
                prop_assert!(matches!(refused, Refused::Payload(_)), "{:?}", refused);
            }
            let encoded = request::encode_bytes(&payload);
            let _ = tempo::Charge::from_request(&encoded);
            let _ = Session::from_request(&encoded);
        }
    }
}
