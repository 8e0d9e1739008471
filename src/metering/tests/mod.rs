#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test stops where it fails"
)]
use super::*;

mod corpus;
mod cost;
mod dialects;
mod sse;
mod streams;

/// Meters a stream that arrives in one piece.
fn meter_stream(dialect: Dialect, bytes: &[u8]) -> Reading {
    meter_pieces(dialect, &[bytes])
}

/// Meters a stream that arrives in `pieces`.
fn meter_pieces(dialect: Dialect, pieces: &[&[u8]]) -> Reading {
    let mut scanner = SseScanner::default();
    let mut meter = StreamMeter::new(dialect);
    for piece in pieces {
        for event in scanner.push(piece) {
            meter.see(&event);
        }
    }
    if let Some(event) = scanner.finish() {
        meter.see(&event);
    }
    meter.reading()
}

#[test]
fn names_are_the_same_everywhere() {
    for dialect in Dialect::ALL {
        assert_eq!(dialect.to_string().parse(), Ok(dialect));
        let json = serde_json::to_string(&dialect).unwrap();
        assert_eq!(json, format!("\"{dialect}\""));
    }
    assert!("OpenAI".parse::<Dialect>().is_err());
}

#[test]
fn usage_members_are_set_in_place() {
    let set = |text: &str| {
        let members = [
            ("cost", "\"7\"".to_owned()),
            ("prompt_tokens", "2".to_owned()),
        ];
        with_usage_members(text, &members)
    };
    assert_eq!(
        set("{ \"a\" : 1.0, \"usage\" : { \"prompt_tokens\" : 1 , \"x\":[ ] } }").unwrap(),
        "{ \"a\" : 1.0, \"usage\" : { \"prompt_tokens\" : 2 , \"x\":[ ],\"cost\":\"7\" } }"
    );
    let made = "{\"a\":1,\"usage\":{\"cost\":\"7\",\"prompt_tokens\":2}}";
    assert_eq!(set("{\"a\":1,\"usage\":null}").unwrap(), made);
    assert_eq!(set("{\"a\":1}").unwrap(), made);
    assert!(matches!(
        set("{\"usage\":3}"),
        Err(crate::json::JsonError::WrongType { .. })
    ));
    assert!(set("[]").is_err());
}

#[test]
fn deep_and_hostile_bodies_are_faults_not_crashes() {
    let deep = format!(
        "{{\"usage\":{}{}}}",
        "{\"a\":".repeat(10_000),
        "}".repeat(10_000)
    );
    let reading = meter_whole(Dialect::OpenAi, deep.as_bytes());
    assert_eq!(
        (reading.usage, reading.flags),
        (Err(UsageFault::Missing), vec![UsageFlag::Malformed])
    );
    let nested = format!("{{\"usage\":{}1{}}}", "{\"a\":".repeat(40), "}".repeat(40));
    assert_eq!(
        meter_whole(Dialect::Groq, nested.as_bytes()).usage,
        Err(UsageFault::Unreadable)
    );
    assert_eq!(
        meter_whole(Dialect::Xai, b"\xff").usage,
        Err(UsageFault::Missing)
    );
}
