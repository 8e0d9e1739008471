//! Which conversation a request belongs to: by what its client says, or by how it begins. Pure.

use crate::json::{Limits, Object, items, unquoted};
use hmac::digest::Key;
use hmac::{Hmac, KeyInit, Mac};
use http::HeaderMap;
use sha2::{Digest, Sha256};

/// The headers by which clients name a conversation, the first that is there counts.
const HEADERS: [&str; 5] = [
    "x-session-id",
    "x-claude-code-session-id",
    "session-id",
    "session_id",
    "x-session-affinity",
];

/// The members that do, between the first header and the others.
const MEMBERS: [&str; 2] = ["session_id", "prompt_cache_key"];

/// The longest name of a conversation, in bytes.
const NAME_MAX: usize = 256;

/// A conversation of one payer with one model; the same at every start, and telling nothing of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Conversation([u8; 16]);

/// Names conversations by a secret, so that nobody else can tell them.
#[derive(Clone)]
pub struct Namer(Hmac<Sha256>);

impl std::fmt::Debug for Namer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Namer")
    }
}

impl Namer {
    /// A namer of a secret that lasts.
    pub fn new(secret: &str) -> Self {
        let hash = Sha256::digest(["groat conversations\0", secret].concat());
        // A key is a block long; a shorter one has zeros behind it (RFC 2104 §2).
        let mut key = Key::<Hmac<Sha256>>::default();
        for (byte, from) in key.iter_mut().zip(hash) {
            *byte = from;
        }
        Self(Hmac::new(&key))
    }

    /// The conversation of a request.
    pub fn name(
        &self,
        payer: &str,
        model: &str,
        headers: &HeaderMap,
        body: &Object<'_>,
    ) -> Conversation {
        let mut mac = self.0.clone();
        for part in [payer, model] {
            mac.update(part.to_ascii_lowercase().as_bytes());
            mac.update(&[0]);
        }
        match said(headers, body) {
            Some(name) => {
                mac.update(&[1]);
                mac.update(name.as_bytes());
            }
            None => {
                mac.update(&[2]);
                beginning(body, |part| mac.update(part));
            }
        }
        let whole = mac.finalize().into_bytes();
        Conversation(whole.first_chunk().copied().unwrap_or_default())
    }
}

impl Conversation {
    /// Its name in full.
    pub const fn bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// As it was written before.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The name that an upstream knows it by.
    pub fn affinity(&self) -> String {
        hex::encode(self.0)
    }
}

/// What the client calls it.
fn said(headers: &HeaderMap, body: &Object<'_>) -> Option<String> {
    let header = |name: &&str| {
        let value = headers.get(*name)?.to_str().ok()?;
        (!value.is_empty() && value.len() <= NAME_MAX).then(|| value.to_owned())
    };
    let member = |key: &&str| {
        let text = body.text_of(key).ok()??;
        (!text.is_empty() && text.len() <= NAME_MAX).then(|| text.into_owned())
    };
    let mut names = HEADERS.iter();
    names
        .next()
        .and_then(header)
        .or_else(|| MEMBERS.iter().find_map(member))
        .or_else(|| names.find_map(header))
        .or_else(|| of_user(body))
}

/// Claude Code's `metadata.user_id`, which ends in the session.
fn of_user(body: &Object<'_>) -> Option<String> {
    let metadata = Object::of(body.raw("metadata")?, &Limits::default()).ok()?;
    let user = metadata.text_of("user_id").ok()??;
    let (_, session) = user.rsplit_once("_session_")?;
    (!session.is_empty() && session.len() <= NAME_MAX).then(|| session.to_owned())
}

/// What all calls of a conversation begin with: the system's words, the tools, and the messages up to the
/// first user's.
fn beginning(body: &Object<'_>, mut take: impl FnMut(&[u8])) {
    for key in ["system", "instructions", "tools", "prompt"] {
        if let Some(raw) = body.raw(key) {
            take(raw.as_bytes());
            take(&[0]);
        }
    }
    let messages = body.raw("messages").or_else(|| body.raw("input"));
    let Some(messages) = messages else { return };
    let Ok(messages) = items(messages, &Limits::default()) else {
        return take(messages.as_bytes());
    };
    for message in messages {
        take(message.as_bytes());
        take(&[0]);
        if role(message).as_deref() == Some("user") {
            return;
        }
    }
}

fn role(message: &str) -> Option<String> {
    let object = Object::of(message, &Limits::default()).ok()?;
    Some(unquoted(object.raw("role")?)?.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn named(headers: &[(&'static str, &str)], body: &serde_json::Value) -> Conversation {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().expect("a value"));
        }
        let text = body.to_string();
        let object = Object::of(&text, &Limits::default()).expect("an object");
        Namer::new("secret").name("0xAB", "m", &map, &object)
    }

    fn turn(n: usize) -> serde_json::Value {
        let mut messages = vec![
            json!({"role": "system", "content": "be brief"}),
            json!({"role": "user", "content": "begin"}),
        ];
        for i in 0..n {
            messages.push(json!({"role": "assistant", "content": i.to_string()}));
            messages.push(json!({"role": "user", "content": "on"}));
        }
        json!({"messages": messages})
    }

    #[test]
    fn a_conversation_without_a_name_is_known_by_its_beginning() {
        assert_eq!(named(&[], &turn(0)), named(&[], &turn(7)));
        let mut other = turn(0);
        other["messages"][1]["content"] = json!("start");
        assert_ne!(named(&[], &turn(0)), named(&[], &other));
        let mut tools = turn(0);
        tools["tools"] = json!([1]);
        assert_ne!(named(&[], &turn(0)), named(&[], &tools));
    }

    #[test]
    fn the_clients_own_names_count_in_their_order() {
        let body = json!({"session_id": "b", "prompt_cache_key": "c",
            "metadata": {"user_id": "user_1_session_e"}, "messages": []});
        let a = [("x-session-id", "a"), ("session-id", "d")];
        let plain = |name: &str| named(&[("x-session-id", name)], &json!({}));
        assert_eq!(named(&a, &body), plain("a"));
        assert_eq!(named(&[("session-id", "d")], &body), plain("b"));
        let mut left = body.clone();
        left["session_id"] = json!(null);
        assert_eq!(named(&[], &left), plain("c"));
        left["prompt_cache_key"] = json!("");
        assert_eq!(named(&[("session-id", "d")], &left), plain("d"));
        assert_eq!(named(&[], &left), plain("e"));
    }

    #[test]
    fn payers_and_models_have_conversations_of_their_own_that_only_the_secret_tells() {
        let text = turn(0).to_string();
        let object = Object::of(&text, &Limits::default()).expect("an object");
        let name = |secret: &str, payer: &str, model: &str| {
            Namer::new(secret).name(payer, model, &HeaderMap::new(), &object)
        };
        let one = name("s", "0xab", "m");
        assert_eq!(one, name("s", "0xAB", "m"));
        for other in [
            name("t", "0xab", "m"),
            name("s", "0xac", "m"),
            name("s", "0xab", "n"),
        ] {
            assert_ne!(one, other);
        }
        assert_eq!(one.affinity().len(), 32);
    }
}
