use super::cost::cost;
use super::normal::normal;
use super::spec::{Spec, spec};
use super::text::{TEXT_MEMBERS, finish_reason, text_bytes};
use super::tree::{Tree, locate};
use super::{Dialect, Reading, Usage, UsageFault, UsageFlag};
use crate::json::{Limits, Object, items, unquoted};
use serde_json::Value;
use std::borrow::Cow;
use std::collections::BTreeSet;

/// Where an error object may lie.
const ERROR_AT: [&str; 3] = ["error", "response.error", "x_groq.error"];

/// Where the answering model's name may lie.
const MODEL_AT: [&str; 4] = ["model", "modelVersion", "message.model", "response.model"];

/// Gathers what the bodies or events of one answer say.
#[derive(Debug, Clone)]
pub(super) struct Collector {
    spec: &'static Spec,
    tree: Option<Tree>,
    raw_usage: Option<String>,
    receipt: Option<String>,
    unreadable: bool,
    flags: BTreeSet<UsageFlag>,
    model: Option<String>,
    finish_reason: Option<String>,
    text_bytes: u64,
    content_chunks: u64,
    error: bool,
}

/// What one body or event held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Took {
    pub(super) usage: bool,
    /// The usage stands in the head of a message, before any of its content.
    pub(super) head: bool,
    /// The usage is all there is: a chunk with no choices and no event type.
    pub(super) usage_only: bool,
    pub(super) text: bool,
    pub(super) error: bool,
}

impl Collector {
    pub(super) fn new(dialect: Dialect) -> Self {
        Self {
            spec: spec(dialect),
            tree: None,
            raw_usage: None,
            receipt: None,
            unreadable: false,
            flags: BTreeSet::new(),
            model: None,
            finish_reason: None,
            text_bytes: 0,
            content_chunks: 0,
            error: false,
        }
    }

    pub(super) fn flag(&mut self, flag: UsageFlag) {
        self.flags.insert(flag);
    }

    /// Counts bytes that were delivered but not understood.
    pub(super) fn take_opaque(&mut self, bytes: usize) {
        self.add_text(u64::try_from(bytes).unwrap_or(u64::MAX));
    }

    pub(super) fn take(&mut self, object: &Object<'_>) -> Took {
        let usage_at = self.take_usage(object);
        let text = self.take_text(object);
        self.take_names(object);
        let typed = object.text_of("type").ok().flatten();
        let error = typed.as_deref() == Some("error")
            || ERROR_AT.iter().any(|at| locate(object, at).is_some());
        self.error |= error;
        let removable = matches!(usage_at, Some("usage" | "x_groq.usage"));
        Took {
            usage: usage_at.is_some(),
            head: usage_at == Some("message.usage"),
            usage_only: removable && typed.is_none() && !text && has_no_choices(object),
            text,
            error,
        }
    }

    pub(super) fn finished(&self) -> bool {
        self.finish_reason.is_some()
    }

    pub(super) fn reading(&self) -> Reading {
        let mut flags = self.flags.clone();
        let usage = match &self.tree {
            _ if self.unreadable => Err(UsageFault::Unreadable),
            None => Err(UsageFault::Missing),
            Some(tree) => normal(self.spec.shapes, tree, &mut flags),
        };
        let silent = |u: &Usage| u.output_total() == Some(0);
        if self.text_bytes > 0 && usage.as_ref().is_ok_and(silent) {
            flags.insert(UsageFlag::TextWithoutOutput);
        }
        let upstream_cost = self
            .tree
            .as_ref()
            .and_then(|tree| cost(self.spec.cost, tree, &mut flags));
        Reading {
            usage,
            raw_usage: self.raw_usage.clone(),
            receipt: self.receipt.clone(),
            model: self.model.clone(),
            flags: flags.into_iter().collect(),
            text_bytes: self.text_bytes,
            content_chunks: self.content_chunks,
            finish_reason: self.finish_reason.clone(),
            error: self.error,
            upstream_cost,
        }
    }

    /// Takes in the first usage object found and says where it lay.
    fn take_usage(&mut self, object: &Object<'_>) -> Option<&'static str> {
        let (at, raw) =
            self.spec.usage_at.iter().find_map(|at| {
                Some((*at, locate(object, at).filter(|raw| raw.starts_with('{'))?))
            })?;
        if let Some(receipt) = receipt(raw) {
            self.receipt = Some(receipt);
        }
        let Some(new) = Tree::read(raw) else {
            self.unreadable = true;
            self.raw_usage = Some(raw.to_owned());
            return Some(at);
        };
        match &mut self.tree {
            None => {
                self.tree = Some(new);
                self.raw_usage = Some(raw.to_owned());
            }
            Some(tree) => {
                if tree.merge(new.clone()) {
                    self.flags.insert(UsageFlag::CountDecreased);
                }
                let whole = *tree == new;
                self.raw_usage = Some(if whole { raw.to_owned() } else { tree.text() });
            }
        }
        Some(at)
    }

    fn take_text(&mut self, object: &Object<'_>) -> bool {
        let mut bytes = 0u64;
        for key in TEXT_MEMBERS {
            let Ok(Some(value)) = object.get::<Value>(key) else {
                continue;
            };
            bytes = bytes.saturating_add(text_bytes(key, &value));
            if let Some(reason) = finish_reason(key, &value) {
                self.finish_reason = Some(reason);
            }
        }
        self.add_text(bytes)
    }

    fn add_text(&mut self, bytes: u64) -> bool {
        self.text_bytes = self.text_bytes.saturating_add(bytes);
        self.content_chunks = self.content_chunks.saturating_add(u64::from(bytes > 0));
        bytes > 0
    }

    fn take_names(&mut self, object: &Object<'_>) {
        let word = |at: &str| {
            let text = unquoted(locate(object, at)?)?;
            (!text.is_empty()).then_some(text)
        };
        if let Some(model) = MODEL_AT.iter().find_map(|at| word(at))
            && self.model.as_deref() != Some(&*model)
        {
            self.model = Some(model.into_owned());
        }
        let response = word("object").as_deref() == Some("response");
        let ended = |status: &Cow<'_, str>| !matches!(&**status, "in_progress" | "queued");
        let finish = word("stop_reason")
            .or_else(|| word("status").filter(|s| response && ended(s)))
            .or_else(|| word("response.status").filter(ended));
        if let Some(finish) = finish {
            self.finish_reason = Some(finish.into_owned());
        }
    }
}

/// The receipt in a usage object. A merger of several would not be its text any more.
fn receipt(usage: &str) -> Option<String> {
    if !usage.contains("\"receipt\"") {
        return None;
    }
    let usage = Object::parse(usage.as_bytes(), &Limits::default()).ok()?;
    let receipt = usage.raw("receipt").filter(|raw| raw.starts_with('{'));
    receipt.map(str::to_owned)
}

fn has_no_choices(object: &Object<'_>) -> bool {
    match object.raw("choices") {
        None | Some("null") => true,
        Some(choices) => items(choices, &Limits::default()).is_ok_and(|c| c.is_empty()),
    }
}
