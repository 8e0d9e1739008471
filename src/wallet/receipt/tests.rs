use super::*;
use crate::metering::Usage;
use crate::money::{AssetDecimals, Pusd, Rate};
use crate::pricing::PriceRow;
use crate::protocol::receipt::{AnsweredBy, ReceiptBody, Settlement, UsageSource};
use crate::protocol::signature::Key;
use alloy::primitives::B256;

fn key() -> Key {
    Key::from_bytes(&[7; 32]).expect("a key")
}

/// A receipt of 100 prompt tokens at 1 USD per million: 100 atomic units.
fn body() -> ReceiptBody {
    ReceiptBody {
        call: "call_1".to_owned(),
        payer: Address::repeat_byte(1),
        rail: "x402-upto".to_owned(),
        network: Network::from_chain_id(84_532),
        chain_id: 0,
        asset: Address::repeat_byte(2),
        asset_decimals: AssetDecimals::USDC,
        request_sha256: Hash(B256::repeat_byte(3)),
        model: "m".to_owned(),
        route: None,
        answered_by: AnsweredBy {
            model: "m-1".to_owned(),
            endpoint: "sim".to_owned(),
        },
        price_row: PriceRow::new(Rate::from_pico(1_000_000), Rate::from_pico(1_000_000)),
        price_row_sha256: Hash::default(),
        usage: Usage {
            uncached: 100,
            ..Usage::default()
        },
        usage_source: UsageSource::Reported,
        raw_usage: None,
        upstream_receipt: None,
        reported_cost_pusd: None,
        lines: vec![],
        markup_bps: 0,
        list_pusd: Pusd::ZERO,
        cache_saving_pusd: Pusd::ZERO,
        total_pusd: Pusd::ZERO,
        ceiling: Units::from_atomic(500),
        held: Units::from_atomic(500),
        charged: Units::ZERO,
        credited: Units::ZERO,
        settlement: Settlement::NONE,
        flags: vec![],
        issued_at: "2026-02-03T04:05:06Z".to_owned(),
    }
}

fn text(body: ReceiptBody) -> String {
    let receipt = body.computed().expect("small sums").sign(&key());
    serde_json::to_string(&receipt).expect("JSON")
}

fn bought() -> Bought {
    Bought {
        payer: Address::repeat_byte(1),
        payee: Address::repeat_byte(4),
        network: Network::from_chain_id(84_532),
        asset: Address::repeat_byte(2),
        model: "m".to_owned(),
        request: Hash(B256::repeat_byte(3)),
        amount: Units::from_atomic(500),
        call: Some("call_1".to_owned()),
    }
}

/// What the provider says that a call cost goes before its tokens: the wallet follows the sum, and does not
/// follow one that cannot be meant.
#[test]
fn a_receipt_of_a_reported_cost_holds_within_what_can_be_meant() {
    let at = |pico: u128| ReceiptBody {
        reported_cost_pusd: Some(Pusd::from_pico(pico)),
        ..body()
    };
    let receipt = check(&text(at(42_000_001)), &bought(), None).expect("it holds");
    assert_eq!(receipt.body.charged, Units::from_atomic(43));
    let absurd = check(&text(at(1_000_000_001)), &bought(), None);
    let fault = absurd.expect_err("ten times what the tokens cost");
    assert!(fault.to_string().contains("reported_cost_pusd"), "{fault}");
}

#[test]
fn a_receipt_of_what_was_bought_holds() {
    let receipt = check(&text(body()), &bought(), Some(key().address())).expect("it holds");
    assert_eq!(receipt.body.charged, Units::from_atomic(100));
    let unnamed = Bought {
        call: None,
        ..bought()
    };
    check(&text(body()), &unnamed, None).expect("it holds without a call id and a signer before");
}

#[test]
fn a_receipt_of_anything_else_does_not_hold() {
    let other = Address::repeat_byte(9);
    let cases: [(&str, Bought); 7] = [
        (
            "another payer's",
            Bought {
                payer: other,
                ..bought()
            },
        ),
        (
            "another chain",
            Bought {
                network: Network::from_chain_id(1),
                ..bought()
            },
        ),
        (
            "another asset",
            Bought {
                asset: other,
                ..bought()
            },
        ),
        (
            "another model",
            Bought {
                model: "n".to_owned(),
                ..bought()
            },
        ),
        (
            "another request",
            Bought {
                request: Hash::default(),
                ..bought()
            },
        ),
        (
            "more than was signed for",
            Bought {
                amount: Units::from_atomic(99),
                ..bought()
            },
        ),
        (
            "another call",
            Bought {
                call: Some("call_2".to_owned()),
                ..bought()
            },
        ),
    ];
    for (why, bought) in cases {
        let Fault(faults) = check(&text(body()), &bought, None).expect_err(why);
        assert!(
            faults.len() == 1 && faults[0].contains(why),
            "{why}: {faults:?}"
        );
    }
    let Fault(faults) = check(&text(body()), &bought(), Some(other)).expect_err("another signer");
    assert!(faults[0].contains("signed by"), "{faults:?}");
}

#[test]
fn a_receipt_whose_sums_or_signature_are_wrong_does_not_hold() {
    let wrong = ReceiptBody {
        charged: Units::from_atomic(99),
        ..body().computed().expect("small sums")
    };
    let wrong = serde_json::to_string(&wrong.sign(&key())).expect("JSON");
    let Fault(faults) = check(&wrong, &bought(), None).expect_err("a wrong sum");
    assert!(faults[0].contains("charged"), "{faults:?}");
    let forged = text(body()).replace("\"m-1\"", "\"m-2\"");
    let Fault(faults) = check(&forged, &bought(), None).expect_err("a changed word");
    assert!(faults[0].contains("signature"), "{faults:?}");
    check("{}", &bought(), None).expect_err("no receipt");
}
