#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test fails by panicking"
)]

use super::*;
use crate::money::Rate;
use crate::pricing::{CacheReadPrice, PriceTier, TokenClass};
use proptest::prelude::*;
use serde_json::json;

fn key() -> Key {
    Key::from_bytes(&[0x42; 32]).unwrap()
}

fn row() -> PriceRow {
    PriceRow {
        cache_read: CacheReadPrice::Known(Rate::from_pico(28_000)),
        cache_write_5m: Some(Rate::from_pico(350_000)),
        request: Some(Rate::from_pico(1_000)),
        tiers: vec![PriceTier {
            above_prompt_tokens: 200_000,
            prompt: Some(Rate::from_pico(560_000)),
            ..PriceTier::default()
        }],
        ..PriceRow::new(Rate::from_pico(280_000), Rate::from_pico(420_000))
    }
}

fn body() -> ReceiptBody {
    ReceiptBody {
        call: "01JCALL7".to_owned(),
        payer: Address::repeat_byte(0xa1),
        rail: "exact".to_owned(),
        network: Network::from_chain_id(84532),
        chain_id: 0,
        asset: Address::repeat_byte(0x36),
        asset_decimals: AssetDecimals::USDC,
        request_sha256: Hash(B256::repeat_byte(9)),
        model: "deepseek-chat".to_owned(),
        route: None,
        answered_by: AnsweredBy {
            model: "deepseek-v3.2".to_owned(),
            endpoint: "deepseek-1".to_owned(),
        },
        price_row: row(),
        price_row_sha256: Hash::default(),
        usage: Usage {
            uncached: 812,
            cache_read: 4096,
            output: 377,
            reasoning: 25,
            ..Usage::default()
        },
        usage_source: UsageSource::Reported,
        raw_usage: readable_numbers(
            r#"{"prompt_tokens": 4908, "cost": 0.00123456789, "details": [{"cached": 4096}, null]}"#,
        ),
        upstream_receipt: None,
        reported_cost_pusd: None,
        lines: vec![],
        markup_bps: 500,
        list_pusd: Pusd::ZERO,
        cache_saving_pusd: Pusd::ZERO,
        total_pusd: Pusd::ZERO,
        ceiling: Units::from_atomic(2500),
        held: Units::from_atomic(2400),
        charged: Units::ZERO,
        credited: Units::ZERO,
        settlement: Settlement {
            status: SettlementStatus::Settled,
            transaction: Some(B256::repeat_byte(0xc7)),
            block: Some(31_415_926),
        },
        flags: vec!["cut_short".to_owned()],
        issued_at: "2026-02-03T04:05:06.789Z".to_owned(),
    }
}

fn receipts() -> Vec<Receipt> {
    let void = ReceiptBody {
        usage: Usage::default(),
        usage_source: UsageSource::None,
        raw_usage: None,
        settlement: Settlement::NONE,
        flags: vec![],
        ..body()
    };
    let capped = ReceiptBody {
        held: Units::from_atomic(3),
        ..body()
    };
    let unpriced = ReceiptBody {
        price_row: PriceRow::new(Rate::from_pico(3_000_000), Rate::from_pico(15_000_000)),
        usage: Usage {
            cache_write_5m: 10,
            cache_write_1h: 5,
            ..body().usage
        },
        usage_source: UsageSource::Estimated,
        rail: "credit".to_owned(),
        settlement: Settlement {
            status: SettlementStatus::Pending,
            transaction: None,
            block: None,
        },
        ceiling: Units::from_atomic(100_000),
        held: Units::from_atomic(100_000),
        ..body()
    };
    let upstream = body()
        .computed()
        .unwrap()
        .sign(&Key::from_bytes(&[0x43; 32]).unwrap());
    let bought = ReceiptBody {
        upstream_receipt: Some(Box::new(upstream)),
        ..body()
    };
    let both = ReceiptBody {
        route: Some(Route::Responses),
        ..bought.clone()
    };
    let costed = ReceiptBody {
        reported_cost_pusd: Some(Pusd::from_pico(1_234_567_890)),
        ..body()
    };
    let cheap = ReceiptBody {
        reported_cost_pusd: Some(Pusd::from_pico(7)),
        route: Some(Route::Responses),
        ..body()
    };
    [body(), void, capped, unpriced, costed, cheap, bought, both]
        .into_iter()
        .map(|body| body.computed().unwrap().sign(&key()))
        .collect()
}

fn text(receipt: &Receipt) -> String {
    serde_json::to_string_pretty(receipt).unwrap()
}

#[test]
fn receipts_hold() {
    for receipt in receipts() {
        assert_eq!(
            verify(&text(&receipt)).map(|v| v.receipt),
            Ok(receipt.clone())
        );
        let through_value = serde_json::to_value(&receipt).unwrap().to_string();
        assert!(verify(&through_value).is_ok());
    }
}

#[test]
fn the_bill_is_as_computed_by_hand() {
    let receipt = &receipts()[0].body;
    // 812×280,000 + 4096×28,000 + 377×420,000 + 25×420,000 + 1,000
    let subtotal: u128 = 227_360_000 + 114_688_000 + 158_340_000 + 10_500_000 + 1_000;
    assert_eq!(
        receipt.total_pusd.pico(),
        subtotal + subtotal * 500 / 10_000
    );
    assert_eq!(receipt.cache_saving_pusd.pico(), 4096 * (280_000 - 28_000));
    assert_eq!(receipt.charged.atomic(), 537); // 536.43345 µUSD
    assert_eq!(receipt.credited.atomic(), 2400 - 537);
    assert_eq!(receipt.lines.len(), 5);
    assert_eq!(receipt.lines[1].class, TokenClass::CacheRead);
    let [_, void, capped, unpriced, costed, cheap, ..] = &receipts()[..] else {
        panic!()
    };
    assert!(void.body.charged.is_zero() && void.body.lines.is_empty());
    assert_eq!(
        (capped.body.charged.atomic(), capped.body.credited.atomic()),
        (3, 0)
    );
    assert_eq!(capped.body.flags, ["cut_short", CAPPED_AT_HELD]);
    assert_eq!(
        unpriced.body.flags,
        ["cut_short", "cache_read_unpriced", "cache_write_unpriced"]
    );
    // 1,234,567,890 and 5 % of it, rounded up: 1,296.296285 µUSD.
    assert_eq!(costed.body.total_pusd.pico(), 1_296_296_285);
    assert_eq!(costed.body.charged.atomic(), 1297);
    assert_eq!(costed.body.flags, ["cut_short", "cost_above_row"]);
    assert_eq!(costed.body.lines, receipt.lines);
    assert_eq!(costed.body.list_pusd, receipt.list_pusd);
    assert_eq!(cheap.body.total_pusd.pico(), 8);
    assert_eq!(cheap.body.charged.atomic(), 1);
}

/// Rule 4 read strictly: no digit of a receipt, anywhere in it, can be another one.
#[test]
fn no_digit_can_be_changed() {
    for receipt in receipts() {
        let text = text(&receipt);
        assert!(verify(&text).is_ok());
        let mut changed = 0;
        for (at, byte) in text.bytes().enumerate().filter(|(_, b)| b.is_ascii_digit()) {
            let other = if byte == b'9' {
                '0'
            } else {
                char::from(byte + 1)
            };
            let flipped = format!("{}{other}{}", &text[..at], &text[at + 1..]);
            assert!(
                verify(&flipped).is_err(),
                "digit at {at}: …{}…",
                &flipped[at.saturating_sub(40)..at + 1]
            );
            changed += 1;
        }
        assert!(changed > 300, "{changed}");
    }
}

#[test]
fn no_letter_can_be_changed() {
    let text = text(&receipts()[0]);
    for (at, byte) in text
        .bytes()
        .enumerate()
        .filter(|(_, b)| !b.is_ascii_whitespace())
    {
        let other = if byte == b'x' { 'y' } else { 'x' };
        let flipped = format!("{}{other}{}", &text[..at], &text[at + 1..]);
        assert!(verify(&flipped).is_err(), "byte at {at}");
    }
}

#[test]
fn what_no_signature_covers_is_refused() {
    let text = serde_json::to_string(&receipts()[0]).unwrap();
    let form = |text: String| assert_eq!(verify(&text).map(|_| ()), Err(vec![ReceiptFault::Form]));
    form(text.replacen('{', "{\"tip\":\"1\",", 1));
    form(text.replacen(
        "\"answered_by\":{",
        "\"answered_by\":{\"region\":\"eu\",",
        1,
    ));
    form(text.replacen("\"settlement\":{", "\"settlement\":{\"fee\":\"1\",", 1));
    form(
        text.replacen("\"block\":31415926", "\"block\":1,\"block\":31415926", 1)
            .replace("\"block\":1,", "\"bl\":1,"),
    );
    form(text.replacen("0.00123456789", "0.001234567890000000000000001", 1));
    form(text.replacen(
        "\"prompt_tokens\":4908",
        "\"prompt_tokens\":4908,\"prompt_tokens\":4908",
        1,
    ));
    form(text.replacen(
        &receipts()[0].signer.to_string(),
        &receipts()[0].signer.to_string().to_lowercase(),
        1,
    ));
    for bad in ["", "{}", "[]", "null", "{\"call\":1}"] {
        assert!(matches!(
            verify(bad).unwrap_err()[..],
            [ReceiptFault::NotReceipt(_)]
        ));
    }
}

/// A dishonest signer cannot make a false sum hold by signing it.
#[test]
fn signing_a_false_sum_does_not_help() {
    let honest = || body().computed().unwrap();
    let one = Units::from_atomic(1);
    let faults = |change: &dyn Fn(&mut ReceiptBody)| {
        let mut body = honest();
        change(&mut body);
        verify(&text(&body.sign(&key()))).err().unwrap_or_default()
    };
    assert_eq!(faults(&|_| ()), []);
    assert_eq!(
        faults(&|b| b.charged = b.charged.plus(one).unwrap()),
        [ReceiptFault::Charged]
    );
    assert_eq!(
        faults(&|b| b.credited = Units::ZERO),
        [ReceiptFault::Credited]
    );
    assert_eq!(
        faults(&|b| b.reported_cost_pusd = Some(b.total_pusd)),
        [
            ReceiptFault::Total,
            ReceiptFault::Charged,
            ReceiptFault::Credited,
            ReceiptFault::Flags
        ]
    );
    // Computed rightly, but from what no provider means.
    for cost in [0, 5_108_890_001] {
        let body = ReceiptBody {
            reported_cost_pusd: Some(Pusd::from_pico(cost)),
            ..body()
        };
        let text = text(&body.computed().unwrap().sign(&key()));
        assert_eq!(verify(&text).map(|_| ()), Err(vec![ReceiptFault::Cost]));
    }
    assert_eq!(faults(&|b| b.ceiling = one), [ReceiptFault::Ceiling]);
    assert_eq!(
        faults(&|b| b.total_pusd = Pusd::from_pico(1)),
        [ReceiptFault::Total]
    );
    assert_eq!(
        faults(&|b| b.list_pusd = b.total_pusd),
        [ReceiptFault::List]
    );
    assert_eq!(
        faults(&|b| b.cache_saving_pusd = Pusd::ZERO),
        [ReceiptFault::Saving]
    );
    assert_eq!(
        faults(&|b| b.price_row_sha256 = Hash::default()),
        [ReceiptFault::RowHash]
    );
    assert_eq!(
        faults(&|b| b.lines[0].rate_pusd = Rate::from_pico(1)),
        [ReceiptFault::Lines]
    );
    assert_eq!(
        faults(&|b| b.flags.push(CAPPED_AT_HELD.to_owned())),
        [ReceiptFault::Flags]
    );
    assert_eq!(faults(&|b| b.chain_id = 1), [ReceiptFault::ChainId]);
    assert_eq!(
        faults(&|b| b.issued_at = "today".to_owned()),
        [ReceiptFault::IssuedAt]
    );
    assert_eq!(
        faults(&|b| b.settlement.block = Some(0)),
        [ReceiptFault::Settlement]
    );
    assert_eq!(
        faults(&|b| b.settlement.status = SettlementStatus::None),
        [ReceiptFault::Settlement, ReceiptFault::Credited]
    );
    assert_eq!(
        faults(&|b| b.rail = "x402-upto".to_owned()),
        [ReceiptFault::Credited],
        "a rail that takes the bill owes nothing back"
    );
    let none = faults(&|b| b.usage_source = UsageSource::None);
    assert!(none.contains(&ReceiptFault::Usage) && none.contains(&ReceiptFault::Total));
    assert!(faults(&|b| b.usage.cache_read = 0).contains(&ReceiptFault::Total));
}

#[test]
fn another_signer_is_seen() {
    let mut receipt = receipts().remove(0);
    receipt.signer = Address::repeat_byte(1);
    assert_eq!(receipt.faults(), [ReceiptFault::Signature]);
}

#[test]
fn the_type_string_is_fixed() {
    assert_eq!(
        typed::type_string(),
        "Receipt(string call,address payer,string rail,Asset asset,bytes32 requestSha256,\
         string model,AnsweredBy answeredBy,bytes32 priceRowSha256,Usage usage,string usageSource,\
         bytes32 rawUsageSha256,Bill bill,Hold hold,Settlement settlement,string[] flags,\
         string issuedAt,address signer)\
         AnsweredBy(string model,string endpoint)\
         Asset(string network,uint64 chainId,address token,uint8 decimals)\
         Bill(Line[] lines,uint32 markupBps,uint256 listPusd,uint256 cacheSavingPusd,uint256 totalPusd)\
         Hold(uint256 ceiling,uint256 held,uint256 charged,uint256 credited)\
         Line(string class,uint64 tokens,uint256 ratePusd,uint256 amountPusd)\
         Settlement(string status,string transaction,uint64 block)\
         Usage(uint64 uncached,uint64 cacheRead,uint64 cacheWrite5m,uint64 cacheWrite1h,uint64 output,uint64 reasoning)"
    );
}

#[test]
fn provider_numbers_are_made_readable_once() {
    let read = |text: &str| readable_numbers(text).map(|v| v.to_string());
    assert_eq!(
        read(r#"{"b": 1e-05, "a": 2}"#).unwrap(),
        r#"{"a":2,"b":0.00001}"#
    );
    assert_eq!(read("[]"), None);
    assert_eq!(read(r#"{"a":1,"a":2}"#), None);
    assert_eq!(read(r#"{"a":{"b":1,"b":2}}"#), None);
    assert!(readable_numbers(&format!("{{\"a\":{}}}", "[".repeat(100))).is_none());
    assert_eq!(readable_numbers(r#"{"a":1.0}"#), Some(json!({ "a": 1.0 })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_computed_receipt_holds_and_conserves(
        counts in prop::array::uniform6(0u64..2_000_000),
        rates in prop::array::uniform3(0u64..100_000_000),
        markup in 0u32..5_000,
        held in 0u128..10_000_000,
        above in 0u128..1_000,
        cost in any::<f64>(),
        reported in prop::option::of(1u128..=10_000),
    ) {
        let [uncached, cache_read, cache_write_5m, cache_write_1h, output, reasoning] = counts;
        let mut row = PriceRow::new(Rate::from_pico(rates[0]), Rate::from_pico(rates[1]));
        row.cache_read = CacheReadPrice::Known(Rate::from_pico(rates[2]));
        let usage = Usage { uncached, cache_read, cache_write_5m, cache_write_1h, output, reasoning };
        let by_row = bill(&row, &usage, 0).unwrap().subtotal.pico();
        // Up to ten times what the tokens cost.
        let reported = reported.map(|thousandths| Pusd::from_pico(by_row * thousandths / 1000));
        let reported = reported.filter(|cost| *cost > Pusd::ZERO);
        let receipt = ReceiptBody {
            usage,
            price_row: row,
            reported_cost_pusd: reported,
            markup_bps: markup,
            held: Units::from_atomic(held),
            ceiling: Units::from_atomic(held + above),
            raw_usage: readable_numbers(&format!("{{\"cost\":{cost:e}}}")),
            ..body()
        }.computed().unwrap().sign(&key());
        let body = &receipt.body;
        prop_assert_eq!(body.charged.atomic() + body.credited.atomic(), held);
        if let Some(cost) = reported {
            let due = cost.plus(cost.bps_ceil(markup).unwrap()).unwrap();
            let due = due.to_units_ceil(AssetDecimals::USDC).unwrap();
            prop_assert_eq!(body.charged, due.min(body.held));
        }
        prop_assert_eq!(verify(&text(&receipt)).map(|_| ()), Ok(()));
    }
}

/// The fixtures' typed data was built and signed by viem, from the JSON alone.
#[test]
fn a_second_implementation_signs_the_same() {
    for (at, text) in [
        (
            6,
            include_str!("../../../tests/data/protocol/receipt_bought.json"),
        ),
        (
            7,
            include_str!("../../../tests/data/protocol/receipt_bought_route.json"),
        ),
    ] {
        assert_eq!(verify(text).map(|v| v.receipt), Ok(receipts().remove(at)));
    }
    let text = include_str!("../../../tests/data/protocol/receipt.json");
    assert_eq!(verify(text).map(|v| v.receipt), Ok(receipts().remove(0)));
    let costed = receipts().remove(4);
    let text = include_str!("../../../tests/data/protocol/receipt_cost.json");
    assert_eq!(verify(text).map(|v| v.receipt), Ok(costed.clone()));
    let body = ReceiptBody {
        route: Some(Route::Responses),
        ..costed.body
    };
    let text = include_str!("../../../tests/data/protocol/receipt_cost_route.json");
    assert_eq!(verify(text).map(|v| v.receipt), Ok(body.sign(&key())));
}

#[test]
fn the_receipt_inside_must_hold_itself() {
    let mut body = receipts().remove(6).body;
    let inside = body.upstream_receipt.as_mut().unwrap();
    inside.body.charged = Units::ZERO;
    let signed = body.computed().unwrap().sign(&key());
    let inside = vec![ReceiptFault::Signature, ReceiptFault::Charged];
    assert_eq!(signed.faults(), [ReceiptFault::Upstream(inside)]);
}
