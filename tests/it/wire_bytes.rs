//! Rule 10: bodies go upstream byte for byte, but for the members that are spliced.

use crate::harness::{Setup, Stack};
use futures::{StreamExt, stream};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use std::collections::BTreeMap;

/// How many bodies are generated.
const BODIES: usize = 240;

/// A body as its members were written, each a key with all that stands before its value, and the value.
#[derive(Debug, Clone)]
struct Written {
    open: String,
    members: Vec<(String, String)>,
    comma: String,
    close: String,
}

impl Written {
    fn text(&self) -> String {
        let members: Vec<String> = self
            .members
            .iter()
            .map(|(key, value)| format!("{key}{value}"))
            .collect();
        format!("{}{}{}", self.open, members.join(&self.comma), self.close)
    }

    fn value(&mut self, name: &str) -> Option<&mut String> {
        self.members
            .iter_mut()
            .find(|(key, _)| key.contains(name))
            .map(|(_, value)| value)
    }

    /// What must arrive: only the named members changed, new ones behind the last.
    fn expected(mut self, upstream_id: Option<&str>) -> String {
        if let (Some(id), Some(value)) = (upstream_id, self.value("mod")) {
            *value = format!("\"{id}\"");
        }
        let mut behind = String::new();
        if self.value("max_tokens").is_none() && self.value("max_completion_tokens").is_none() {
            behind.push_str(r#","max_tokens":256"#);
        }
        let streams = self
            .value("\"stream\"")
            .is_some_and(|value| value == "true");
        if streams {
            match self.value("stream_options") {
                None => behind.push_str(r#","stream_options":{"include_usage":true}"#),
                Some(options) => {
                    *options = options
                        .replace("null", "{}")
                        .replace("false", "true")
                        .replace("{}", r#"{"include_usage":true}"#)
                }
            }
        }
        let last = self.members.last_mut().expect("members");
        last.1.push_str(&behind);
        self.text()
    }
}

fn space() -> impl Strategy<Value = String> {
    prop_oneof![4 => Just(""), 2 => Just(" "), 1 => Just("\n"), 1 => Just("\r\n\t"), 1 => Just("  \n   ")].prop_map(str::to_owned)
}

/// Texts as callers escape them, needlessly or not.
fn string() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[a-zA-Z0-9 .,]{1,24}",
        Just("\\u00e9".to_owned()),
        Just("é".to_owned()),
        Just("\\/".to_owned()),
        Just("/".to_owned()),
        Just("\\ud83d\\ude00".to_owned()),
        Just("😀".to_owned()),
        Just("\\n\\t\\\"\\\\".to_owned()),
        Just("\\u0041".to_owned()),
        Just("}],\\\"model\\\":\\\"x\\\"".to_owned()),
    ];
    prop::collection::vec(piece, 1..6).prop_map(|pieces| format!("\"{}\"", pieces.concat()))
}

fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("1.0e0"),
        Just("1E+2"),
        Just("0.70"),
        Just("-0.0"),
        Just("1.10"),
        Just("12345678901234567890123"),
        Just("1e-7"),
    ]
    .prop_map(str::to_owned)
}

/// A tool with its parameters in any spacing and order.
fn tool() -> impl Strategy<Value = String> {
    (space(), string(), number(), any::<bool>()).prop_map(|(s, text, number, swapped)| {
        let parameters = format!(r#""parameters"{s}:{s}{{"type":"object",{s}"properties":{{"x":{{"minimum":{number}{s},"type":"number","description":{text}}}}}}}"#);
        let (a, b) = (r#""name":"look""#.to_owned(), parameters);
        let (a, b) = if swapped { (b, a) } else { (a, b) };
        format!(r#"{{{s}"type":"function",{s}"function":{{{a},{s}{b}}}}}"#)
    })
}

fn members() -> impl Strategy<Value = Vec<(String, String)>> {
    let model = prop_oneof![3 => Just("\"model\""), 1 => Just("\"mod\\u0065l\"")];
    let key =
        |name: &'static str| (space(), space()).prop_map(move |(a, b)| format!("{name}{a}:{b}"));
    let model = (model, space(), space()).prop_map(|(name, a, b)| format!("{name}{a}:{b}"));
    let messages = (string(), string(), space()).prop_map(|(a, b, s)| {
        format!(r#"[{{"role":"system",{s}"content":{a}}},{s}{{{s}"content":[{{"type":"text","text":{b}{s}}}],"role":"user"}}]"#)
    });
    let optional = |present: f64, member: BoxedStrategy<(String, String)>| {
        prop::option::weighted(present, member)
    };
    let rest = (
        optional(0.5, (key("\"temperature\""), number()).boxed()),
        optional(
            0.4,
            (
                key("\"max_tokens\""),
                prop_oneof![Just("7".to_owned()), Just("40".to_owned())],
            )
                .boxed(),
        ),
        optional(
            0.2,
            (key("\"max_completion_tokens\""), Just("9".to_owned())).boxed(),
        ),
        optional(
            0.6,
            (
                key("\"stream\""),
                prop_oneof![3 => Just("true".to_owned()), 1 => Just("false".to_owned())],
            )
                .boxed(),
        ),
        optional(
            0.4,
            (
                key("\"stream_options\""),
                prop_oneof![
                    Just("null".to_owned()),
                    Just("{}".to_owned()),
                    Just(r#"{"include_usage": true}"#.to_owned()),
                    Just("{ \"include_usage\" :\tfalse }".to_owned()),
                ],
            )
                .boxed(),
        ),
        optional(
            0.5,
            (
                key("\"tools\""),
                prop::collection::vec(tool(), 0..3)
                    .prop_map(|tools| format!("[{}]", tools.join(" , "))),
            )
                .boxed(),
        ),
        optional(
            0.5,
            (
                key("\"unknown_member\""),
                prop_oneof![
                    string(),
                    number(),
                    Just(r#"{"b":1,"a":[ null,{}] }"#.to_owned())
                ],
            )
                .boxed(),
        ),
    );
    (model, (key("\"messages\""), messages), rest).prop_flat_map(|(model, messages, rest)| {
        let mut all = vec![(model, String::new()), messages];
        all.extend(
            [rest.0, rest.1, rest.2, rest.3, rest.4, rest.5, rest.6]
                .into_iter()
                .flatten(),
        );
        Just(all).prop_shuffle()
    })
}

fn written() -> impl Strategy<Value = Written> {
    (space(), space(), space(), space(), space(), members()).prop_map(
        |(before, open, comma, close, after, members)| Written {
            open: format!("{before}{{{open}"),
            members,
            comma: format!("{comma},{comma}"),
            close: format!("{close}}}{after}"),
        },
    )
}

#[tokio::test]
async fn rule_10_bodies_arrive_byte_for_byte_but_for_the_named_members() {
    let models = vec![("sim/small", "sim/small"), ("other/name", "sim/renamed")];
    let stack = Stack::with(Setup {
        models,
        payment: "settle = \"after\"",
        ..Setup::default()
    })
    .await;
    let mut runner = TestRunner::deterministic();
    let mut sent = BTreeMap::new();
    while sent.len() < BODIES {
        let mut written = written().new_tree(&mut runner).expect("a body").current();
        let (id, upstream_id) = [
            ("m", Some("sim/small")),
            ("sim/small", None),
            ("other/name", Some("sim/renamed")),
        ][sent.len() % 3];
        *written.value("mod").expect("a model") = format!("\"{id}\"");
        sent.insert(written.text(), written.expected(upstream_id));
    }
    let paid = stream::iter(sent.keys()).for_each_concurrent(16, async |body| {
        let answer = stack.payer.pay(body).await;
        assert_eq!(answer.status, 200, "{body}\n{}", answer.body);
    });
    paid.await;
    let mut expected: Vec<String> = sent.into_values().collect();
    let mut arrived = Vec::new();
    for call in stack.seen().await.calls {
        let body = stack
            .payer
            .client
            .get(format!("{}/sim/body/{}", stack.sim, call.n))
            .send()
            .await
            .expect("the simulator");
        arrived.push(body.text().await.expect("a body"));
    }
    expected.sort();
    arrived.sort();
    assert_eq!(expected.len(), arrived.len());
    for (expected, arrived) in expected.iter().zip(&arrived) {
        assert_eq!(expected, arrived);
    }
    stack.reconcile().await;
}
