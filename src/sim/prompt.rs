//! Reads a request and renders its prompt into tokens: a token is a run of at most 4 bytes, and
//! every segment (a role, a text, a tool) begins a new one. What is kept of the tokens is their
//! count and the chained hashes that name each prefix.

use std::borrow::Cow;
use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::refusal::Wire;

const TOKEN_BYTES: usize = 4;
/// Cannot occur in UTF-8, so no text can imitate a segment's end.
const SEGMENT_END: u64 = 0xff;

/// What the simulator reads of a request, on whatever wire.
#[derive(Deserialize)]
pub(super) struct Request<'a> {
    #[serde(borrow)]
    pub(super) model: Cow<'a, str>,
    #[serde(borrow)]
    messages: Option<Vec<&'a RawValue>>,
    /// Completions' prompt.
    #[serde(borrow)]
    prompt: Option<&'a RawValue>,
    /// Responses' and embeddings' input.
    #[serde(borrow)]
    input: Option<&'a RawValue>,
    #[serde(borrow)]
    instructions: Option<&'a RawValue>,
    max_output_tokens: Option<u64>,
    encoding_format: Option<Cow<'a, str>>,
    #[serde(borrow)]
    tools: Option<Vec<&'a RawValue>>,
    #[serde(borrow)]
    system: Option<&'a RawValue>,
    #[serde(borrow)]
    cache_control: Option<&'a RawValue>,
    pub(super) stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    max_tokens: Option<u64>,
    max_completion_tokens: Option<u64>,
    n: Option<u64>,
    pub(super) prompt_cache_key: Option<String>,
}

#[derive(Deserialize)]
struct StreamOptions {
    include_usage: Option<bool>,
}

impl Request<'_> {
    pub(super) fn wants_usage(&self) -> bool {
        let options = self.stream_options.as_ref();
        options.and_then(|options| options.include_usage) == Some(true)
    }

    pub(super) fn output_cap(&self) -> Option<u64> {
        let either = self.max_completion_tokens.or(self.max_output_tokens);
        either.or(self.max_tokens)
    }

    pub(super) fn choices(&self, wire: Wire) -> u64 {
        let n = self.n.unwrap_or(1).clamp(1, 8);
        match wire {
            Wire::Chat => n,
            Wire::Completions => n * self.prompt.map_or(1, |prompt| texts(prompt).len() as u64),
            Wire::Embeddings | Wire::Responses | Wire::Messages => 1,
        }
    }

    /// How many texts an embedding is asked of.
    pub(super) fn inputs(&self) -> usize {
        self.input.map_or(1, |input| texts(input).len())
    }

    pub(super) fn wants_base64(&self) -> bool {
        self.encoding_format.as_deref() == Some("base64")
    }

    /// The member that the wire asks for and this does not have.
    pub(super) fn lacks(&self, wire: Wire) -> Option<&'static str> {
        match wire {
            Wire::Chat | Wire::Messages => self.messages.is_none().then_some("messages"),
            Wire::Completions => self.prompt.is_none().then_some("prompt"),
            Wire::Embeddings | Wire::Responses => self.input.is_none().then_some("input"),
        }
    }

    /// The name of the first tool, unless the prompt ends with what a tool gave.
    pub(super) fn tool_to_call(&self) -> Option<String> {
        let tool = Members::of(self.tools.as_ref()?.first()?)?;
        let name = tool.text("name").or_else(|| {
            let function = Members::of(tool.raw("function")?)?;
            function.text("name")
        })?;
        let last = self.items().last().map_or("", |raw| raw.get());
        let given = ["\"tool\"", "\"tool_result\"", "\"function_call_output\""];
        let over = given.iter().any(|mark| last.contains(mark));
        (!over).then(|| name.into_owned())
    }

    /// The messages, or the items of a response's input.
    fn items(&self) -> Vec<&RawValue> {
        match (&self.messages, self.input) {
            (Some(messages), _) => messages.clone(),
            (None, Some(input)) => array(input),
            (None, None) => Vec::new(),
        }
    }

    /// The text of the last message whose role is `user`.
    pub(super) fn last_user_text(&self) -> String {
        let plain = self.prompt.or(self.input);
        if let Some(text) = plain.filter(|raw| raw.get().starts_with('"')) {
            return decoded(text).into_owned();
        }
        let items = self.items();
        let users = items.iter().rev().filter_map(|raw| Members::of(raw));
        let last = users
            .into_iter()
            .find(|members| members.text("role").as_deref() == Some("user"));
        let content = last.as_ref().and_then(|members| members.raw("content"));
        content.map(plain_text).unwrap_or_default()
    }

    /// Renders tools, system and messages, in that order, as the providers' caches see them; of a wire
    /// without messages, the texts alone.
    pub(super) fn render(&self, wire: Wire, block_tokens: u32) -> Prompt {
        let mut prompt = Prompt::new(block_tokens);
        if matches!(wire, Wire::Completions | Wire::Embeddings) {
            for text in self.prompt.or(self.input).map(texts).unwrap_or_default() {
                prompt.text(text);
            }
            return prompt;
        }
        for tool in self.tools.iter().flatten() {
            prompt.object("tool", tool);
        }
        if let Some(system) = self.system.or(self.instructions) {
            prompt.segment(b"system:");
            prompt.content(system);
        }
        if let Some(text) = self.input.filter(|raw| raw.get().starts_with('"')) {
            prompt.segment(b"user:");
            prompt.content(text);
        }
        for message in self.items() {
            prompt.message(message);
        }
        if let Some(control) = self.cache_control {
            prompt.breakpoint(control);
        }
        prompt.segment(b"assistant:");
        prompt
    }
}

/// A rendered prompt: its size, and the names of its prefixes.
#[derive(Debug)]
pub(super) struct Prompt {
    /// Tokens in all.
    pub(super) tokens: u64,
    /// The hash of everything up to the end of each full block.
    pub(super) blocks: Vec<u64>,
    /// Where a tool, a text or another part ends: what an explicit cache can be read up to.
    pub(super) boundaries: Vec<Boundary>,
    /// Where `cache_control` asks for a write.
    pub(super) breakpoints: Vec<Breakpoint>,
    /// The hash of everything.
    pub(super) hash: u64,
    block_tokens: usize,
    in_block: usize,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Boundary {
    pub(super) tokens: u64,
    pub(super) key: u64,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Breakpoint {
    pub(super) at: Boundary,
    pub(super) long: bool,
}

impl Prompt {
    fn new(block_tokens: u32) -> Self {
        Prompt {
            tokens: 0,
            blocks: Vec::new(),
            boundaries: Vec::new(),
            breakpoints: Vec::new(),
            hash: 0x6a09_e667_f3bc_c908,
            block_tokens: block_tokens as usize,
            in_block: 0,
        }
    }

    fn message(&mut self, raw: &RawValue) {
        let Some(members) = Members::of(raw) else {
            self.segment(raw.get().as_bytes());
            return self.boundary();
        };
        // With the colon, so that an answer that comes back continues the prompt it was given to.
        let role = members.text("role").unwrap_or_default();
        self.segment(format!("{role}:").as_bytes());
        if let Some(content) = members.raw("content") {
            self.content(content);
        }
        self.members(&members, &["role", "content"]);
    }

    /// A text, or token ids as they were written.
    fn text(&mut self, raw: &RawValue) {
        match raw.get().as_bytes().first() {
            Some(b'"') => self.content(raw),
            _ => {
                self.segment(raw.get().as_bytes());
                self.boundary();
            }
        }
    }

    fn content(&mut self, raw: &RawValue) {
        match raw.get().as_bytes().first() {
            Some(b'"') => {
                self.segment(decoded(raw).as_bytes());
                self.boundary();
            }
            Some(b'[') => {
                for part in array(raw) {
                    self.object("part", part);
                }
            }
            _ => {}
        }
    }

    /// A tool or a content part. A plain text part counts as its text alone, so that a string and
    /// a list of one text are the same prompt; all else counts byte for byte and in order.
    fn object(&mut self, kind: &str, raw: &RawValue) {
        match Members::of(raw) {
            Some(members) if kind == "part" && is_text(&members) => {
                self.segment(members.text("text").unwrap_or_default().as_bytes());
                self.boundary();
                self.members(&members, &["type", "text"]);
            }
            Some(members) => {
                self.segment(kind.as_bytes());
                self.members(&members, &[]);
            }
            None => {
                self.segment(raw.get().as_bytes());
                self.boundary();
            }
        }
    }

    /// Renders what is left of an object; `cache_control` is an order, not a part of the prompt.
    fn members(&mut self, members: &Members<'_>, done: &[&str]) {
        let mut rendered = false;
        for (name, value) in &members.0 {
            if name != "cache_control" && !done.contains(&name.as_ref()) {
                self.segment(name.as_bytes());
                self.segment(value.get().as_bytes());
                rendered = true;
            }
        }
        if rendered {
            self.boundary();
        }
        if let Some(control) = members.raw("cache_control") {
            self.breakpoint(control);
        }
    }

    fn segment(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = (self.block_tokens - self.in_block) * TOKEN_BYTES;
            let (piece, rest) = bytes.split_at(bytes.len().min(room));
            self.hash = absorb(self.hash, piece);
            let tokens = piece.len().div_ceil(TOKEN_BYTES);
            self.tokens += tokens as u64;
            self.in_block += tokens;
            if self.in_block == self.block_tokens {
                self.in_block = 0;
                self.blocks.push(self.hash);
            }
            bytes = rest;
        }
        self.hash = mix(self.hash, SEGMENT_END);
    }

    fn boundary(&mut self) {
        self.boundaries.push(self.here());
    }

    fn breakpoint(&mut self, control: &RawValue) {
        if control.get() == "null" {
            return;
        }
        let ttl = Members::of(control).and_then(|members| members.text("ttl"));
        let long = ttl.as_deref() == Some("1h");
        let at = self.boundaries.last().copied().unwrap_or(self.here());
        self.breakpoints.push(Breakpoint { at, long });
    }

    fn here(&self) -> Boundary {
        Boundary {
            tokens: self.tokens,
            key: self.hash,
        }
    }
}

/// Whether a part is plain text, as any wire calls it.
fn is_text(part: &Members<'_>) -> bool {
    let kind = part.text("type");
    matches!(kind.as_deref(), Some("text" | "input_text" | "output_text"))
}

/// A text alone, or the texts or lists of token ids of a list; a list of ids is one text.
fn texts(raw: &RawValue) -> Vec<&RawValue> {
    let items = array(raw);
    let apart = items.iter().all(|item| item.get().starts_with(['"', '[']));
    match items.is_empty() || !apart {
        true => vec![raw],
        false => items,
    }
}

/// A hash of bytes that have a meaning of their own, such as an account's name.
pub(super) fn hash_of(bytes: &[u8]) -> u64 {
    mix(absorb(0, bytes), bytes.len() as u64)
}

fn absorb(state: u64, bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let state = words
        .iter()
        .fold(state, |state, word| mix(state, u64::from_le_bytes(*word)));
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    last[7] = rest.len() as u8;
    if rest.is_empty() {
        state
    } else {
        mix(state, u64::from_le_bytes(last))
    }
}

fn mix(state: u64, word: u64) -> u64 {
    let product = (state ^ word)
        .wrapping_add(0x243f_6a88_85a3_08d3)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15);
    product ^ (product >> 32)
}

fn plain_text(content: &RawValue) -> String {
    if content.get().starts_with('"') {
        return decoded(content).into_owned();
    }
    let parts = array(content);
    parts
        .into_iter()
        .filter_map(|part| Members::of(part)?.text("text").map(Cow::into_owned))
        .collect()
}

fn array(raw: &RawValue) -> Vec<&RawValue> {
    serde_json::from_str(raw.get()).unwrap_or_default()
}

/// The string that a JSON text means; empty for anything else.
fn decoded(raw: &RawValue) -> Cow<'_, str> {
    let inner = raw
        .get()
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'));
    match inner {
        Some(inner) if memchr::memchr(b'\\', inner.as_bytes()).is_none() => Cow::Borrowed(inner),
        Some(_) => Cow::Owned(serde_json::from_str(raw.get()).unwrap_or_default()),
        None => Cow::Borrowed(""),
    }
}

/// A JSON object's members in their order, the values as they were written.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Members<'a> {
    fn of(raw: &'a RawValue) -> Option<Self> {
        serde_json::from_str(raw.get()).ok()
    }

    fn raw(&self, name: &str) -> Option<&'a RawValue> {
        self.0
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| *value)
    }

    fn text(&self, name: &str) -> Option<Cow<'a, str>> {
        self.raw(name)
            .filter(|raw| raw.get().starts_with('"'))
            .map(decoded)
    }
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, &'de RawValue>()? {
                    members.push((Cow::Owned(name), value));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}
