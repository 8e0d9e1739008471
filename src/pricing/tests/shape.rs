use super::*;
use crate::json::{Limits, Object};
use crate::metering::Route;
use std::fs;

#[derive(serde::Deserialize)]
struct Case {
    name: String,
    /// `chat` when it is absent.
    #[serde(default)]
    route: Route,
    /// Members that replace or join those of the plainest request.
    with: serde_json::Map<String, serde_json::Value>,
    /// The member at fault, `null` when the request is taken.
    refused: Option<String>,
    unpriced: Option<bool>,
}

fn read(body: &str) -> Result<RequestShape, ShapeRefusal> {
    read_on(Route::Chat, body)
}

fn read_on(route: Route, body: &str) -> Result<RequestShape, ShapeRefusal> {
    RequestShape::read(
        route,
        &Object::parse(body.as_bytes(), &Limits::default()).unwrap(),
    )
}

#[test]
fn requests_are_taken_or_refused_by_the_member_at_fault() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/data/pricing/requests.json"
    );
    let cases: Vec<Case> = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    for case in cases {
        let mut body = match case.route {
            Route::Chat | Route::Messages => {
                serde_json::json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]})
            }
            Route::Completions => serde_json::json!({"model": "m", "prompt": "hi"}),
            Route::Embeddings | Route::Responses => {
                serde_json::json!({"model": "m", "input": "hi"})
            }
        };
        for (key, value) in case.with {
            body[key] = value;
        }
        match (read_on(case.route, &body.to_string()), case.refused) {
            (Ok(_), None) => {}
            (Err(refusal), Some(param)) => {
                assert_eq!(refusal.param, param, "{}: {refusal}", case.name);
                let unpriced = refusal.kind == RefusalKind::Unpriced;
                assert_eq!(
                    unpriced,
                    case.unpriced.unwrap_or(false),
                    "{}: {refusal}",
                    case.name
                );
                assert!(!refusal.message.contains('\n'), "{}", case.name);
            }
            (outcome, expected) => panic!("{}: {outcome:?}, expected {expected:?}", case.name),
        }
    }
}

#[test]
fn a_shape_is_what_the_request_asks_for() {
    let body = r#"{"model":"m","messages":[{"role":"system","content":"a"},
        {"role":"user","content":[{"type":"text","text":"b"}]},{"role":"assistant","content":null,"tool_calls":[]}],
        "tools":[{"type":"function"},{"type":"custom"}],"functions":[{}],"n":2,"stream":true,
        "stream_options":{"include_usage":true},"max_tokens":5,"max_completion_tokens":null}"#;
    let shape = read(body).unwrap();
    assert_eq!(shape.model, "m");
    assert_eq!(shape.bytes, u64::try_from(body.len()).unwrap());
    assert_eq!((shape.messages, shape.tools, shape.choices), (3, 3, 2));
    assert_eq!(shape.tools_bytes, 39 + 4);
    assert_eq!(shape.max_tokens, Some(5));
    assert!(shape.stream && shape.include_usage);
    let plain = read(r#"{"model":"m","messages":[{}]}"#).unwrap();
    assert_eq!((plain.choices, plain.max_tokens), (1, None));
    assert!(!plain.stream && !plain.include_usage);
}

#[test]
fn a_number_must_be_written_as_a_whole_number() {
    for wrong in [
        "-1",
        "0",
        "1e9",
        "12.0",
        "\"12\"",
        "true",
        "99999999999999999999",
        "[1]",
        "{}",
    ] {
        let body = format!(r#"{{"model":"m","messages":[{{}}],"max_tokens":{wrong}}}"#);
        assert_eq!(read(&body).unwrap_err().param, "max_tokens", "{wrong}");
    }
}

#[test]
fn a_part_cannot_hide_behind_a_repeated_or_escaped_member() {
    let part = |part: &str| {
        let body = format!(r#"{{"model":"m","messages":[{{"content":[{part}]}}]}}"#);
        read(&body).map_err(|r| r.param)
    };
    let at = "messages[0].content[0]";
    assert_eq!(
        part(r#"{"type":"text","type":"image_url"}"#),
        Err(at.to_owned())
    );
    assert_eq!(
        part(r#"{"t\u0079pe":"image\u005furl"}"#),
        Err(format!("{at}.type"))
    );
    assert_eq!(part(r#"["image_url"]"#), Err(at.to_owned()));
    let twice = r#"{"model":"m","messages":[{"content":"a","content":[{"type":"file"}]}]}"#;
    assert_eq!(read(twice).unwrap_err().param, "messages[0]");
}

#[test]
fn a_refusal_quotes_little_of_what_the_caller_wrote() {
    let body = format!(
        r#"{{"model":"m","messages":[{{}}],"tools":[{{"type":"\n{}"}}]}}"#,
        "x".repeat(9000)
    );
    let refusal = read(&body).unwrap_err();
    assert!(refusal.message.len() < 120 && !refusal.message.contains('\n'));
}

#[test]
fn a_shape_counts_what_each_route_asks_for() {
    let counts = |route, body: &str| {
        let shape = read_on(route, body).unwrap();
        (shape.messages, shape.tools, shape.choices, shape.max_tokens)
    };
    let body = r#"{"model":"m","prompt":["a","b"],"n":2,"best_of":3,"max_tokens":5}"#;
    assert_eq!(counts(Route::Completions, body), (2, 0, 6, Some(5)));
    let ids = r#"{"model":"m","prompt":[1,22,333]}"#;
    assert_eq!(counts(Route::Completions, ids), (1, 0, 1, None));
    let body = r#"{"model":"m","input":[[1,2],[3]],"max_tokens":5}"#;
    assert_eq!(counts(Route::Embeddings, body), (2, 0, 1, Some(0)));
    let body = r#"{"model":"m","instructions":"a","input":[{"role":"user","content":"b"}],
        "tools":[{"type":"function","name":"f"}],"max_output_tokens":7,"max_tokens":5}"#;
    assert_eq!(counts(Route::Responses, body), (2, 1, 1, Some(7)));
    let body = r#"{"model":"m","system":[{"type":"text","text":"a"}],"messages":[{"role":"user","content":"b"}],
        "tools":[{"name":"f","input_schema":{}}],"max_tokens":9,"n":4}"#;
    assert_eq!(counts(Route::Messages, body), (2, 1, 1, Some(9)));
}
