#![expect(
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "a test stops where it fails"
)]
use super::*;
use proptest::prelude::*;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use serde_json::{Value, json};

fn parse(text: &str) -> Result<Object<'_>, JsonError> {
    Object::parse(text.as_bytes(), &Limits::default())
}

fn edited(text: &str, edit: impl FnOnce(&mut Splice<'_>)) -> String {
    let object = parse(text).unwrap();
    let mut splice = Splice::new(&object);
    edit(&mut splice);
    String::from_utf8(splice.finish()).unwrap()
}

#[test]
fn members_are_found_where_they_stand() {
    let text = " {\"a\" : [1, {\"x\":\"}\"}] ,\n\"\\u0062\":\"q\\\"\\\\\",\"n\":null}\n";
    let object = parse(text).unwrap();
    assert_eq!(object.keys().collect::<Vec<_>>(), ["a", "b", "n"]);
    assert_eq!(object.raw("a"), Some("[1, {\"x\":\"}\"}]"));
    assert_eq!(object.raw("b"), Some("\"q\\\"\\\\\""));
    assert_eq!(object.get::<String>("b"), Ok(Some("q\"\\".to_owned())));
    assert_eq!(object.get::<String>("n"), Ok(None));
    assert_eq!(object.get::<String>("absent"), Ok(None));
    let wrong = JsonError::WrongType { key: "a".into() };
    assert_eq!(object.get::<String>("a"), Err(wrong.clone()));
    assert_eq!(object.text_of("b"), Ok(Some("q\"\\".into())));
    assert_eq!(object.text_of("n"), Ok(None));
    assert_eq!(object.text_of("absent"), Ok(None));
    assert_eq!(object.text_of("a"), Err(wrong));
}

#[test]
fn items_are_found_where_they_stand() {
    let read = |text| items(text, &Limits::default());
    assert_eq!(read(" [ ] "), Ok(vec![]));
    assert_eq!(
        read("[1 , {\"a\":[2]},\n\"],\",null]"),
        Ok(vec!["1", "{\"a\":[2]}", "\"],\"", "null"])
    );
    for text in ["{}", "1", "\"[]\""] {
        assert_eq!(read(text), Err(JsonError::NotAnArray), "{text}");
    }
    for text in ["[1,]", "[,]", "[1 2]", "[1]]", "[", "[]x"] {
        assert!(
            matches!(read(text), Err(JsonError::Syntax { .. })),
            "{text}"
        );
    }
}

#[test]
fn what_is_not_one_json_object_is_refused() {
    let bad = [
        "",
        " ",
        "{",
        "}",
        "{\"a\":1}}",
        "{\"a\":1} x",
        "{\"a\":01}",
        "{\"a\" 1}",
        "{\"a\":1,}",
        "{,}",
        "{\"a\":[1,]}",
        "{\"a\":\"\\x\"}",
        "{\"a\":\"\n\"}",
        "{a:1}",
        "{\"a\":tru}",
        "{\"a\":1 2}",
        "{\"a\":}",
        "{\"a\":{\"b\"}}",
        "{\"a\":[}]}",
        "\u{feff}{}",
        "{\"a\":NaN}",
        "{\"\\ud800\":1}",
        "{\"a\":1}{\"b\":2}",
    ];
    for text in bad {
        assert!(
            matches!(parse(text), Err(JsonError::Syntax { .. })),
            "{text:?} was {:?}",
            parse(text)
        );
    }
    for text in ["[]", "1", "\"{}\"", "null", "[{\"a\":1}]"] {
        assert!(
            matches!(parse(text), Err(JsonError::NotAnObject)),
            "{text:?}"
        );
    }
    let utf8 = Object::parse(b"{\"a\":\"\xff\"}", &Limits::default());
    assert!(matches!(utf8, Err(JsonError::Syntax { offset: 6, .. })));
    let at = parse("{\n\"a\": x}");
    assert!(
        matches!(at, Err(JsonError::Syntax { offset: 7, .. })),
        "{at:?}"
    );
    for text in ["{\"a\":1,\"a\":2}", "{\"a\":1,\"\\u0061\":2}"] {
        assert!(matches!(parse(text), Err(JsonError::DuplicateKey(k)) if k == "a"));
    }
    assert!(
        parse("{\"o\":{\"a\":1,\"a\":2}}").is_ok(),
        "nested keys are not ours to judge"
    );
}

#[test]
fn depth_and_size_are_bounded_without_overflow() {
    let nested = |n: usize| format!("{{\"a\":{}{}}}", "[".repeat(n), "]".repeat(n));
    assert!(parse(&nested(127)).is_ok());
    assert!(parse(&nested(127)).unwrap().get::<Value>("a").is_ok());
    for n in [128, 10_000, 1_000_000] {
        assert_eq!(parse(&nested(n)).err(), Some(JsonError::TooDeep));
    }
    assert_eq!(parse(&"[".repeat(10_000)).err(), Some(JsonError::TooDeep));
    assert_eq!(
        parse(&"{\"a\":".repeat(10_000)).err(),
        Some(JsonError::TooDeep)
    );
    let deep_text = format!("{{\"a\":\"{}\"}}", "[".repeat(10_000));
    assert!(parse(&deep_text).is_ok(), "brackets in a string are text");
    let small = Limits {
        bytes_max: 4,
        ..Limits::default()
    };
    assert!(matches!(
        Object::parse(b"{   }", &small),
        Err(JsonError::TooLarge)
    ));
}

#[test]
fn a_kept_index_finds_what_the_first_reading_found() {
    let text = "{ \"a\\u0062\" : [1, 2],\n\"n\":null}";
    let object = Object::of(text, &Limits::default()).unwrap();
    let index = object.index();
    let again = Object::again(text, &index);
    assert_eq!(again.keys().collect::<Vec<_>>(), ["ab", "n"]);
    assert_eq!(again.raw("ab"), Some("[1, 2]"));
    let mut splice = Splice::new(&again);
    assert!(splice.remove("absent").is_idle());
    assert!(!splice.set("absent", "1".into()).is_idle());
    assert!(!Splice::new(&again).remove("n").is_idle());
}

#[test]
fn a_splice_changes_the_named_members_only() {
    let text = "{ \"model\" : \"a\",\n  \"n\":1.0e2 , \"stream\":true }";
    assert_eq!(
        edited(text, |s| {
            s.set("model", "\"b\"".into()).set("user", "\"u\"".into());
        }),
        "{ \"model\" : \"b\",\n  \"n\":1.0e2 , \"stream\":true,\"user\":\"u\" }"
    );
    assert_eq!(
        edited(text, |s| {
            s.remove("model");
        }),
        "{ \"n\":1.0e2 , \"stream\":true }"
    );
    assert_eq!(
        edited(text, |s| {
            s.remove("n");
        }),
        "{ \"model\" : \"a\" , \"stream\":true }"
    );
    assert_eq!(
        edited(text, |s| {
            s.remove("stream");
        }),
        "{ \"model\" : \"a\",\n  \"n\":1.0e2 }"
    );
    assert_eq!(
        edited(text, |s| {
            s.remove("n").remove("stream").remove("model");
        }),
        "{  }"
    );
    assert_eq!(
        edited(text, |s| {
            s.remove("stream")
                .remove("n")
                .remove("model")
                .set("x", "1".into());
        }),
        "{ \"x\":1 }"
    );
    assert_eq!(
        edited("{}", |s| {
            s.set("a", "1".into()).set("b", "2".into());
        }),
        "{\"a\":1,\"b\":2}"
    );
    assert_eq!(
        edited("{}", |s| {
            s.set("a", "1".into()).remove("a");
        }),
        "{}"
    );
    assert_eq!(
        edited("{\"a\":1}", |s| {
            s.set("a", "2".into()).set("a", "3".into());
        }),
        "{\"a\":3}"
    );
    assert_eq!(
        edited("{\"a\":1}", |s| {
            s.remove("zz");
        }),
        "{\"a\":1}"
    );
}

#[test]
fn the_canonical_text_does_not_depend_on_order() {
    let a: Value =
        serde_json::from_str("{\"b\":[1,2.5,null],\"a\":{\"z\":\"\\u00e9\",\"y\":true}}").unwrap();
    assert_eq!(
        canonical(&a),
        "{\"a\":{\"y\":true,\"z\":\"é\"},\"b\":[1,2.5,null]}"
    );
    assert_eq!(canonical(&json!({})), "{}");
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[ -~\\n\"{}\\[\\],:é😀]{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-z\"\\\\]{0,4}", inner, 0..4)
                .prop_map(|m| Value::Object(m.into_iter().collect())),
        ]
    })
}

/// An object's members and a text of it with white space strewn in.
fn object() -> impl Strategy<Value = (Vec<String>, String)> {
    let space = "[ \\n\\t]{0,2}";
    let member = ("[a-z{}\"\\\\,:]{1,5}", value(), space, space);
    (prop::collection::vec(member, 0..6), space).prop_map(|(members, end)| {
        let mut keys: Vec<String> = Vec::new();
        let mut texts = Vec::new();
        for (key, value, before, after) in members {
            if !keys.contains(&key) {
                texts.push(format!(
                    "{before}{}{after}:{before}{value}{after}",
                    json!(key)
                ));
                keys.push(key);
            }
        }
        (keys, format!("{end}{{{}{end}}}{end}", texts.join(",")))
    })
}

/// An array's items as serde_json finds them; nothing for what is no array.
#[derive(Default, Deserialize)]
struct RawItems(Vec<Box<RawValue>>);

/// Text that is nearly JSON: a value of which some characters were replaced.
fn near_json() -> impl Strategy<Value = String> {
    let token = prop::sample::select(vec![
        "{", "}", "[", "]", ",", ":", "\"", "\\", "\\u00e9", "\\u00g", "\\n", "0", "17", "-", ".",
        "e", "E+", "true", "nul", "null", "false", " ", "\n", "\t", "\u{1}", "\u{7f}", "ü",
        "\"a\"", "\"a\":",
    ]);
    let soup = prop::collection::vec(token.clone(), 0..12).prop_map(|tokens| tokens.concat());
    let broken = (
        object(),
        prop::collection::vec((any::<prop::sample::Index>(), token), 0..3),
    );
    let broken = broken.prop_map(|((_, text), changes)| {
        let mut chars: Vec<String> = text.chars().map(String::from).collect();
        for (at, token) in changes {
            let at = at.index(chars.len());
            chars[at] = token.to_owned();
        }
        chars.concat()
    });
    prop_oneof![soup, broken]
}

proptest! {
    #[test]
    fn what_is_json_is_what_serde_json_says(text in near_json()) {
        let expected = serde_json::from_str::<IgnoredAny>(&text).is_ok();
        let outlined = scan::outline(text.as_bytes(), 128);
        prop_assert_eq!(outlined.is_ok(), expected, "{:?}", text);
        let RawItems(items) = serde_json::from_str(&text).unwrap_or_default();
        if let Ok(scan::Outline::Array(parts)) = outlined {
            let found: Vec<&str> = parts.iter().map(|part| &text[part.value.clone()]).collect();
            prop_assert_eq!(found, items.iter().map(|item| item.get()).collect::<Vec<_>>());
        }
    }

    #[test]
    fn setting_a_member_leaves_all_other_bytes((keys, text) in object(), new in value(), pick in any::<prop::sample::Index>()) {
        prop_assume!(!keys.is_empty());
        let key = pick.get(&keys);
        let before = parse(&text).unwrap();
        let span = before.span(key).unwrap();
        let out = edited(&text, |s| { s.set(key, new.to_string()); });
        prop_assert_eq!(&out[..span.start], &text[..span.start]);
        prop_assert_eq!(&out[span.start..span.start + new.to_string().len()], new.to_string());
        prop_assert_eq!(&out[span.start + new.to_string().len()..], &text[span.end..]);
        let old = before.raw(key).unwrap().to_owned();
        prop_assert_eq!(edited(&out, |s| { s.set(key, old.clone()); }), text);
    }

    #[test]
    fn removing_an_inserted_member_restores_the_text((_, text) in object(), new in value()) {
        let with = edited(&text, |s| { s.set("NEW", new.to_string()); });
        let expected = new.to_string();
        prop_assert_eq!(parse(&with).unwrap().raw("NEW"), Some(expected.as_str()));
        prop_assert_eq!(edited(&with, |s| { s.remove("NEW"); }), text);
    }

    #[test]
    fn any_edits_give_what_a_map_would((keys, text) in object(), picks in prop::collection::vec((any::<prop::sample::Index>(), prop::option::of(value())), 0..6)) {
        let mut names = keys;
        names.push("NEW".into());
        let mut map: serde_json::Map<String, Value> = serde_json::from_str(&text).unwrap();
        let out = edited(&text, |s| for (pick, new) in &picks {
            let key = pick.get(&names);
            match new {
                Some(v) => { s.set(key, v.to_string()); map.insert(key.clone(), v.clone()); }
                None => { s.remove(key); map.remove(key); }
            }
        });
        prop_assert!(parse(&out).is_ok(), "{}", out);
        prop_assert_eq!(serde_json::from_str::<Value>(&out).unwrap(), Value::Object(map));
    }

    #[test]
    fn random_bytes_never_panic_and_agree_with_serde(bytes in prop::collection::vec(prop::sample::select(b"{}[]\":,\\ a1e-.\xff".to_vec()), 0..40)) {
        let ours = Object::parse(&bytes, &Limits::default());
        let theirs = serde_json::from_slice::<serde_json::Map<String, Value>>(&bytes);
        match ours {
            Ok(object) => prop_assert!(theirs.map_or(true, |m| m.len() == object.keys().count())),
            Err(JsonError::DuplicateKey(_)) => {}
            Err(_) => prop_assert!(theirs.is_err()),
        }
    }
}
