//! Rule 10: bodies go upstream byte for byte, but for the members that are spliced.

use crate::harness::{Answer, Setup, Stack};
use crate::routes::ALL;
use futures::{StreamExt, stream};
use groat::metering::Route;
use groat::sim::SimConfig;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// How many bodies of chat completions are generated and paid for.
const PAID: usize = 240;

/// How many bodies of each route are generated.
const BODIES: usize = 1000;

/// What costs nothing is forwarded in the same way as what is paid for.
const FREE: &str = r#"prompt = "0", completion = "0", cache_read = "0""#;

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
    fn expected(mut self, route: Route, upstream_id: Option<&str>) -> String {
        if let (Some(id), Some(value)) = (upstream_id, self.value("mod")) {
            *value = format!("\"{id}\"");
        }
        let mut behind = String::new();
        if let Some(limit) = route.output_limit()
            && self.value(&format!("\"{limit}\"")).is_none()
            && self.value("max_completion_tokens").is_none()
        {
            behind.push_str(&format!(",\"{limit}\":256"));
        }
        let streams = self
            .value("\"stream\"")
            .is_some_and(|value| value == "true");
        if streams && route.asks_for_usage() {
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

/// What a route's prompt looks like: its members, and those that only this route has.
fn prompt(route: Route) -> BoxedStrategy<Vec<(String, String)>> {
    let member = |name: &'static str, value: BoxedStrategy<String>| {
        (space(), space(), value)
            .prop_map(move |(a, b, value)| (format!("\"{name}\"{a}:{b}"), value))
    };
    let texts = || {
        let list = prop::collection::vec(string(), 1..4);
        list.prop_map(|texts| format!("[{}]", texts.join(" ,")))
            .boxed()
    };
    let text_or_texts = || prop_oneof![string().boxed(), texts()].boxed();
    let ids = Just("[ 1,22 ,\n333 ]".to_owned()).boxed();
    let turn = |part: &'static str| {
        (string(), string(), space()).prop_map(move |(a, b, s)| {
            format!(r#"[{{"role":"user",{s}"content":{a}}},{s}{{{s}"content":[{{"type":"{part}","text":{b}{s}}}],"role":"user"}}]"#)
        }).boxed()
    };
    let marked = (string(), space()).prop_map(|(text, s)| {
        format!(r#"[{{"text":{text},{s}"type":"text","cache_control":{s}{{"ttl":"1h","type":"ephemeral"}}}}]"#)
    });
    match route {
        Route::Chat => {
            let messages = (string(), string(), space()).prop_map(|(a, b, s)| {
                format!(r#"[{{"role":"system",{s}"content":{a}}},{s}{{{s}"content":[{{"type":"text","text":{b}{s}}}],"role":"user"}}]"#)
            });
            let limit = prop::option::weighted(
                0.2,
                member("max_completion_tokens", Just("9".to_owned()).boxed()),
            );
            (member("messages", messages.boxed()), limit)
                .prop_map(|(messages, limit)| {
                    [Some(messages), limit].into_iter().flatten().collect()
                })
                .boxed()
        }
        Route::Completions => {
            let prompt = prop_oneof![3 => text_or_texts(), 1 => ids];
            member("prompt", prompt.boxed())
                .prop_map(|prompt| vec![prompt])
                .boxed()
        }
        Route::Embeddings => {
            let input = prop_oneof![3 => text_or_texts(), 1 => ids];
            let form = Just("\"base64\"".to_owned()).boxed();
            (
                member("input", input.boxed()),
                member("encoding_format", form),
            )
                .prop_map(|(input, form)| vec![input, form])
                .boxed()
        }
        Route::Responses => {
            let input = prop_oneof![string().boxed(), turn("input_text")];
            (
                member("input", input.boxed()),
                member("instructions", string().boxed()),
            )
                .prop_map(|(input, instructions)| vec![input, instructions])
                .boxed()
        }
        Route::Messages => {
            let system = prop_oneof![string().boxed(), marked.boxed()];
            (
                member("messages", turn("text")),
                member("system", system.boxed()),
            )
                .prop_map(|(messages, system)| vec![messages, system])
                .boxed()
        }
    }
}

fn members(route: Route) -> impl Strategy<Value = Vec<(String, String)>> {
    let model = prop_oneof![3 => Just("\"model\""), 1 => Just("\"mod\\u0065l\"")];
    let key =
        |name: &'static str| (space(), space()).prop_map(move |(a, b)| format!("{name}{a}:{b}"));
    let model = (model, space(), space()).prop_map(|(name, a, b)| format!("{name}{a}:{b}"));
    let optional = |present: f64, member: BoxedStrategy<(String, String)>| match present {
        0.0 => Just(None).boxed(),
        _ => prop::option::weighted(present, member).boxed(),
    };
    let limit = match route {
        Route::Responses => "\"max_output_tokens\"",
        _ => "\"max_tokens\"",
    };
    let streams = if route == Route::Embeddings { 0.0 } else { 0.6 };
    let tools = if matches!(route, Route::Embeddings | Route::Completions) {
        0.0
    } else {
        0.5
    };
    let rest = (
        optional(0.5, (key("\"temperature\""), number()).boxed()),
        optional(
            0.4,
            (
                key(limit),
                prop_oneof![Just("7".to_owned()), Just("40".to_owned())],
            )
                .boxed(),
        ),
        optional(
            streams,
            (
                key("\"stream\""),
                prop_oneof![3 => Just("true".to_owned()), 1 => Just("false".to_owned())],
            )
                .boxed(),
        ),
        optional(
            if route.asks_for_usage() { 0.4 } else { 0.0 },
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
            tools,
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
    (model, prompt(route), rest).prop_flat_map(|(model, prompt, rest)| {
        let mut all = vec![(model, String::new())];
        all.extend(prompt);
        let rest = [rest.0, rest.1, rest.2, rest.3, rest.4, rest.5];
        all.extend(rest.into_iter().flatten());
        Just(all).prop_shuffle()
    })
}

fn written(route: Route) -> impl Strategy<Value = Written> {
    (space(), space(), space(), space(), space(), members(route)).prop_map(
        |(before, open, comma, close, after, members)| Written {
            open: format!("{before}{{{open}"),
            members,
            comma: format!("{comma},{comma}"),
            close: format!("{close}}}{after}"),
        },
    )
}

/// The models of both tests: what callers name them, and what the upstream does where that differs.
const MODELS: [(&str, Option<&str>); 3] = [
    ("m", Some("sim/small")),
    ("sim/small", None),
    ("other/name", Some("sim/renamed")),
];

/// So many bodies of a route, with what must arrive of each.
fn bodies(route: Route, count: usize) -> BTreeMap<String, String> {
    let mut runner = TestRunner::deterministic();
    let mut sent = BTreeMap::new();
    while sent.len() < count {
        let mut written = written(route)
            .new_tree(&mut runner)
            .expect("a body")
            .current();
        let (id, upstream_id) = MODELS[sent.len() % MODELS.len()];
        *written.value("mod").expect("a model") = format!("\"{id}\"");
        sent.insert(written.text(), written.expected(route, upstream_id));
    }
    sent
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
    let sent = bodies(Route::Chat, PAID);
    let paid = stream::iter(sent.keys()).for_each_concurrent(16, async |body| {
        let answer = stack.payer.pay(body).await;
        assert_eq!(answer.status, 200, "{body}\n{}", answer.body);
    });
    paid.await;
    all_arrived(&stack, sent.into_values().collect()).await;
    stack.reconcile().await;
}

#[tokio::test]
async fn rule_10_a_thousand_bodies_of_each_route_arrive_byte_for_byte_but_for_the_named_members() {
    let models = vec![("sim/small", "sim/small"), ("other/name", "sim/renamed")];
    let calls_kept = (BODIES * Route::ALL.len()).try_into().expect("some");
    let stack = Stack::with(Setup {
        models,
        prices: MODELS.map(|(id, _)| (id, FREE)).to_vec(),
        upstream: ALL,
        sim: SimConfig {
            calls_kept,
            ..SimConfig::default()
        },
        ..Setup::default()
    })
    .await;
    let mut expected = Vec::new();
    for route in Route::ALL {
        let sent = bodies(route, BODIES);
        let asked = stream::iter(sent.keys()).for_each_concurrent(16, async |body| {
            let answer = Answer::of(stack.payer.post_to(route, body))
                .await
                .expect("an answer");
            assert_eq!(answer.status, 200, "{route}: {body}\n{}", answer.body);
        });
        asked.await;
        expected.extend(sent.into_values());
    }
    all_arrived(&stack, expected).await;
}

/// Holds the bodies that the provider got against those that must have arrived, by their hashes.
async fn all_arrived(stack: &Stack, expected: Vec<String>) {
    let by_hash = |body: String| (hex::encode(Sha256::digest(&body)), body);
    let mut expected: BTreeMap<String, String> = expected.into_iter().map(by_hash).collect();
    for call in stack.seen().await.calls {
        if expected.remove(&call.body_sha256).is_none() {
            let url = format!("{}/sim/body/{}", stack.sim, call.n);
            let body = stack
                .payer
                .client
                .get(url)
                .send()
                .await
                .expect("the simulator");
            panic!(
                "this was not to arrive: {}",
                body.text().await.expect("a body")
            );
        }
    }
    let left = expected.into_values().next();
    assert_eq!(left, None, "this did not arrive");
}
