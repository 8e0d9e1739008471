//! Every case of `tests/data/metering`, whose expected values were computed by hand.
use super::*;
use crate::money::Pusd;
use serde::Deserialize;
use std::collections::BTreeSet;

#[derive(Deserialize)]
struct File {
    dialect: Dialect,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    body: Option<String>,
    stream: Option<Vec<String>>,
    expect: Expect,
}

#[derive(Deserialize)]
struct Expect {
    usage: Option<Usage>,
    fault: Option<UsageFault>,
    flags: BTreeSet<UsageFlag>,
    upstream_cost_pusd: Option<Pusd>,
    model: Option<String>,
    finish_reason: Option<String>,
    text_bytes: Option<u64>,
    content_chunks: Option<u64>,
    error: Option<bool>,
}

fn files() -> Vec<File> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/metering");
    std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "json"))
        .map(|path| serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap())
        .collect()
}

/// What in `reading` is not as the case says.
fn differences(case: &Case, reading: &Reading) -> Vec<String> {
    let expect = &case.expect;
    let mut wrong = Vec::new();
    let usage = match (expect.usage, expect.fault) {
        (Some(usage), None) => Ok(usage),
        (None, Some(fault)) => Err(fault),
        _ => return vec!["the case expects neither or both of usage and fault".to_owned()],
    };
    if reading.usage != usage {
        wrong.push(format!("usage {:?}", reading.usage));
    }
    if !reading.flags.iter().eq(&expect.flags) {
        wrong.push(format!("flags {:?}", reading.flags));
    }
    if usage.is_ok() && reading.upstream_cost != expect.upstream_cost_pusd {
        wrong.push(format!("cost {:?}", reading.upstream_cost));
    }
    if expect.model.is_some() && reading.model != expect.model {
        wrong.push(format!("model {:?}", reading.model));
    }
    if expect.finish_reason.is_some() && reading.finish_reason != expect.finish_reason {
        wrong.push(format!("finish {:?}", reading.finish_reason));
    }
    if expect.text_bytes.is_some_and(|n| n != reading.text_bytes) {
        wrong.push(format!("text bytes {}", reading.text_bytes));
    }
    if expect
        .content_chunks
        .is_some_and(|n| n != reading.content_chunks)
    {
        wrong.push(format!("content chunks {}", reading.content_chunks));
    }
    if expect.error.unwrap_or(false) != reading.error {
        wrong.push(format!("error {}", reading.error));
    }
    wrong
}

#[test]
fn every_golden_case_is_read_as_computed_by_hand() {
    let files = files();
    let dialects: BTreeSet<Dialect> = files.iter().map(|f| f.dialect).collect();
    assert!(dialects.iter().eq(&Dialect::ALL), "a dialect has no cases");
    let mut failures = Vec::new();
    let mut count = 0;
    for file in &files {
        for case in &file.cases {
            count += 1;
            let (readings, source) = read(file.dialect, case);
            for reading in &readings {
                let mut wrong = differences(case, reading);
                // One report's text is handed on exactly as it came.
                let exact = |raw: &String| source.contains(raw.as_str());
                if case.body.is_some() && !reading.raw_usage.as_ref().is_none_or(exact) {
                    wrong.push(format!("raw usage {:?}", reading.raw_usage));
                }
                if !wrong.is_empty() {
                    failures.push(format!(
                        "{} / {}: {}",
                        file.dialect,
                        case.name,
                        wrong.join("; ")
                    ));
                }
            }
        }
    }
    assert!(count >= 150, "only {count} cases");
    assert!(
        failures.is_empty(),
        "{} failures:\n{}",
        failures.len(),
        failures.join("\n")
    );
}

/// A body read whole, or a stream read in one piece, byte by byte, and in pieces of 7 bytes.
fn read(dialect: Dialect, case: &Case) -> (Vec<Reading>, String) {
    match (&case.body, &case.stream) {
        (Some(body), None) => (vec![meter_whole(dialect, body.as_bytes())], body.clone()),
        (None, Some(stream)) => {
            let text = stream.concat();
            let readings = [text.len().max(1), 1, 7].map(|n| {
                let pieces: Vec<&[u8]> = text.as_bytes().chunks(n).collect();
                meter_pieces(dialect, &pieces)
            });
            (readings.to_vec(), text)
        }
        _ => (Vec::new(), String::new()),
    }
}

#[test]
fn a_stream_cut_at_any_byte_never_reads_more_than_the_whole() {
    for file in files() {
        for case in &file.cases {
            let (Some(stream), Some(whole)) = (&case.stream, case.expect.usage) else {
                continue;
            };
            let mut scanner = SseScanner::default();
            let mut meter = StreamMeter::new(file.dialect);
            for (at, byte) in stream.concat().bytes().enumerate() {
                for event in scanner.push(&[byte]) {
                    meter.see(&event);
                }
                let mut cut = meter.clone();
                if let Some(event) = scanner.clone().finish() {
                    cut.see(&event);
                }
                let Ok(part) = cut.reading().usage else {
                    continue;
                };
                let fits = part.prompt_total() <= whole.prompt_total()
                    && part.output_total() <= whole.output_total();
                assert!(
                    fits,
                    "{} / {} cut at {at}: {part:?}",
                    file.dialect, case.name
                );
            }
        }
    }
}
