//! The golden corpus of provider answers: each names the usage it reports and what it costs.

use super::*;
use crate::metering::Usage;
use crate::money::Pusd;
use std::collections::BTreeMap;
use std::fs;

#[derive(serde::Deserialize)]
struct File {
    price_rows: BTreeMap<String, PriceRow>,
    cases: Vec<Case>,
}

#[derive(serde::Deserialize)]
struct Case {
    name: String,
    price_row: String,
    expect: Expected,
}

#[derive(serde::Deserialize)]
struct Expected {
    usage: Option<Usage>,
    bill_pusd: Option<Pusd>,
}

#[test]
fn rule_4_every_golden_answer_is_billed_as_computed_by_hand() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/metering");
    let mut billed = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e != "json") {
            continue;
        }
        let file: File = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        for case in file.cases {
            let named = format!("{}: {}", path.display(), case.name);
            let Some(usage) = case.expect.usage else {
                assert_eq!(
                    case.expect.bill_pusd, None,
                    "{named} has a bill without usage"
                );
                continue;
            };
            let row = &file.price_rows[&case.price_row];
            let total = bill(row, &usage, 0).unwrap().total;
            assert_eq!(Some(total), case.expect.bill_pusd, "{named}");
            billed += 1;
        }
    }
    assert!(billed > 100, "only {billed} cases were billed");
}
