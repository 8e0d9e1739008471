//! The cases, in one list for both ways of measuring them.

use crate::bodies;
use crate::gateway::{Gateway, MODEL};
use crate::payments::{NOW, payments};
use alloy::primitives::{Address, keccak256};
use bytes::Bytes;
use groat::json::{Limits, Object, Splice};
use groat::metering::{
    Dialect, Route, SseScanner, StreamMeter, Usage, meter_whole, with_usage_members,
};
use groat::money::{AssetDecimals, Pusd};
use groat::pricing::{DecimalText, PriceText, bill};
use groat::protocol::eip3009::Proof;
use groat::protocol::receipt::{self, ReceiptBody};
use groat::protocol::signature::{EcdsaSignature, Key};
use groat::stats::{Observation, Outcome, Priced, Window, Windows};
use k256::ecdsa::{RecoveryId, Signature, VerifyingKey};
use secp256k1::ecdsa as libsecp256k1;
use std::hint::black_box;
use std::rc::Rc;

/// One piece of work, named by what it does and to what.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) run: Box<dyn Fn()>,
}

/// Sizes of requests: a question, a long conversation, a very long one.
const SIZES: [(&str, usize); 3] = [("1kB", 1_000), ("100kB", 100_000), ("400kB", 400_000)];

pub(crate) fn cases() -> Vec<Case> {
    let gateway = Rc::new(Gateway::new());
    let mut cases = Vec::from(recoveries());
    cases.extend(payment_cases(&gateway));
    cases.extend(request_cases(&gateway));
    cases.extend(answer_cases());
    cases.extend(receipt_cases());
    cases.extend(seen_cases());
    cases
}

fn case(name: impl Into<String>, run: impl Fn() + 'static) -> Case {
    Case {
        name: name.into(),
        run: Box::new(run),
    }
}

/// One bare recovery, by our own function and by the libraries alone.
fn recoveries() -> [Case; 3] {
    let key = Key::from_bytes(&[0x46; 32]).expect("a key");
    let digest = keccak256(b"what is signed");
    let signature = key.sign(digest);
    let signer = key.address();
    [
        case("recover/k256", move || {
            let (signature, recovery) = of_k256(&signature);
            let found = VerifyingKey::recover_from_prehash(digest.as_slice(), &signature, recovery);
            assert_eq!(
                address_of(found.expect("a key").to_sec1_point(false).as_bytes()),
                signer
            );
        }),
        case("recover/libsecp256k1", move || {
            let found = of_libsecp256k1(&signature)
                .recover_ecdsa(secp256k1::Message::from_digest(digest.0));
            assert_eq!(
                address_of(&found.expect("a key").serialize_uncompressed()),
                signer
            );
        }),
        case("recover/groat", move || {
            assert_eq!(black_box(signature).recover(digest), Ok(signer));
        }),
    ]
}

fn of_k256(signature: &EcdsaSignature) -> (Signature, RecoveryId) {
    let bytes = signature.to_bytes();
    let recovery = RecoveryId::new(bytes[64] == 28, false);
    (
        Signature::from_slice(&bytes[..64]).expect("in range"),
        recovery,
    )
}

fn of_libsecp256k1(signature: &EcdsaSignature) -> libsecp256k1::RecoverableSignature {
    let bytes = signature.to_bytes();
    let recovery = libsecp256k1::RecoveryId::from_u8_masked(bytes[64] - 27);
    libsecp256k1::RecoverableSignature::from_compact(&bytes[..64], recovery).expect("in range")
}

fn address_of(point: &[u8]) -> Address {
    Address::from_word(keccak256(&point[1..]))
}

/// A payment read from its header, and all that is judged of it before the chain or the ledger is asked.
fn payment_cases(gateway: &Rc<Gateway>) -> Vec<Case> {
    let body = Bytes::from(bodies::request(MODEL, 1_000));
    let call = Rc::new(gateway.desk.quote(Route::Chat, &body).expect("a quote"));
    let required = gateway.challenge(body);
    let mut cases = Vec::new();
    for (rail, headers) in payments(&required) {
        let (app, decoded) = (gateway.app.clone(), headers.clone());
        cases.push(case(format!("decode/{rail}"), move || {
            let credential = app.credential(&decoded).expect("a payment");
            assert!(black_box(credential).is_some());
        }));
        let (gateway, call) = (Rc::clone(gateway), Rc::clone(&call));
        cases.push(case(format!("verify/{rail}"), move || {
            let rails = gateway.desk.rails();
            let credential = gateway
                .app
                .credential(&headers)
                .expect("a payment")
                .expect("one");
            let accepted = rails.accepted(&credential, call.ceiling, call.price_rows());
            assert!(accepted.is_some());
            assert_eq!(
                rails.check(&credential, call.ceiling, NOW),
                Ok(Proof::Payer)
            );
        }));
    }
    cases
}

/// A request priced, spliced for the upstream, and answered with 402.
fn request_cases(gateway: &Rc<Gateway>) -> Vec<Case> {
    let mut cases = Vec::new();
    for (size, bytes) in SIZES {
        let body = Bytes::from(bodies::request(MODEL, bytes));
        let (gateway, again) = (Rc::clone(gateway), body.clone());
        let quoting = Rc::clone(&gateway);
        cases.push(case(format!("quote/{size}"), move || {
            black_box(quoting.desk.quote(Route::Chat, &again).expect("a quote"));
        }));
        let again = body.clone();
        cases.push(case(format!("splice/{size}"), move || {
            let limits = Limits {
                depth_max: 64,
                bytes_max: again.len(),
            };
            let object = Object::parse(&again, &limits).expect("an object");
            let mut splice = Splice::new(&object);
            splice.set("model", "\"deepseek-chat\"".to_owned());
            splice.set("max_tokens", "4096".to_owned());
            splice.set("stream_options", r#"{"include_usage":true}"#.to_owned());
            black_box(splice.finish());
        }));
        cases.push(case(format!("402/{size}"), move || {
            black_box(gateway.unpaid(body.clone()));
        }));
    }
    let body = Bytes::from(bodies::request("counted", 1_000));
    let gateway = Rc::clone(gateway);
    cases.push(case("quote/1kB-tokens", move || {
        black_box(gateway.desk.quote(Route::Chat, &body).expect("a quote"));
    }));
    cases
}

/// An answer's usage read, billed, and told to the caller.
fn answer_cases() -> Vec<Case> {
    let (whole, stream) = (bodies::answer(), bodies::stream());
    let price = PriceText {
        prompt: Some(DecimalText::Text("0.28".to_owned())),
        completion: Some(DecimalText::Text("0.42".to_owned())),
        cache_read: Some(DecimalText::Text("0.028".to_owned())),
        ..PriceText::default()
    };
    let row = price.parse().expect("a price");
    let usage = meter_whole(Dialect::DeepSeek, &whole).usage.expect("usage");
    let expected = Usage {
        uncached: 812,
        cache_read: 4096,
        output: 402,
        ..Usage::default()
    };
    assert_eq!(usage, expected);
    let spliced = whole.clone();
    vec![
        case("meter/whole", move || {
            black_box(meter_whole(Dialect::DeepSeek, &whole));
        }),
        case("meter/stream", move || {
            let mut scanner = SseScanner::default();
            let mut meter = StreamMeter::new(Dialect::DeepSeek);
            // What one read of a connection brings.
            for piece in stream.chunks(1400) {
                for event in scanner.push(piece) {
                    black_box(meter.see(&event));
                }
            }
            assert_eq!(meter.reading().usage, Ok(expected));
        }),
        case("bill", move || {
            let bill = bill(&row, &usage, 500).expect("a bill");
            black_box(
                bill.total
                    .to_units_ceil(AssetDecimals::USDC)
                    .expect("units"),
            );
        }),
        case("usage-members", move || {
            let text = std::str::from_utf8(&spliced).expect("text");
            let members = [
                ("cost", "0.000123".to_owned()),
                (
                    "cost_details",
                    r#"{"upstream_inference_cost":0.000123}"#.to_owned(),
                ),
                ("receipt", format!("\"{}\"", "r".repeat(2_000))),
            ];
            black_box(with_usage_members(text, &members).expect("a body"));
        }),
    ]
}

/// A receipt computed, signed and printed; and verified, as its reader does.
fn receipt_cases() -> [Case; 2] {
    let key = Gateway::receipt_key();
    let text = include_str!("../../tests/data/protocol/receipt.json");
    let body: ReceiptBody = serde_json::from_str(text).expect("a receipt");
    let issue = move || {
        let signed = body.clone().computed().expect("sums").sign(&key);
        serde_json::to_string(&signed).expect("JSON")
    };
    let text = issue();
    [
        case("receipt/issue", move || {
            black_box(issue());
        }),
        case("receipt/verify", move || {
            black_box(receipt::verify(&text).expect("a receipt that holds"));
        }),
    ]
}

/// What a call adds to what can be seen of its endpoint, and what a look at a busy day of it takes.
fn seen_cases() -> [Case; 2] {
    const ENDPOINT: u64 = 7;
    const MINUTE_MS: u64 = 60_000;
    let start = NOW * 1000;
    let call = |windows: &Windows, n: u64, now_ms: u64| {
        let went = Observation {
            first_token: 0.2 + (n % 97) as f64 / 50.0,
            whole: 3.0,
            output: 100 + n % 211,
            readable: 1_000,
            read: 960,
        };
        let priced = Priced {
            charged: Pusd::from_pico(7_000_000),
            listed: Pusd::from_pico(6_900_000),
        };
        windows.attempt(ENDPOINT, Outcome::Answered, now_ms);
        windows.answer(ENDPOINT, Some(&went), priced, now_ms);
        windows.settled(ENDPOINT, true, now_ms);
    };
    let busy = || {
        let windows = Windows::default();
        for n in 0..24 * 60 * 10 {
            call(&windows, n, start + n * MINUTE_MS / 10);
        }
        (windows, start + 24 * 60 * MINUTE_MS)
    };
    let ((hot, now), (looked, _)) = (busy(), busy());
    [
        case("seen/call", move || call(&hot, 5, now)),
        case("seen/look", move || {
            let tallies = Window::ALL.map(|window| looked.seen(ENDPOINT, window, now));
            assert!(tallies.iter().all(|tally| tally.uptime() == Some(10_000)));
        }),
    ]
}
