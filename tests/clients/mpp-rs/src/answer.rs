//! What an answer says: text and usage of completions, and server-sent events.

use crate::Failure;
use serde_json::Value;

/// Text and usage, gathered from one whole completion or from its chunks.
#[derive(Default)]
pub(crate) struct Answer {
    pub(crate) text: String,
    pub(crate) usage: Value,
}

impl Answer {
    pub(crate) fn add(&mut self, completion: &Value) -> Result<(), Failure> {
        if let Some(error) = completion.get("error") {
            return Err(format!("the gateway reported: {error}").into());
        }
        let choice = &completion["choices"][0];
        let content = ["message", "delta"]
            .iter()
            .find_map(|member| choice[member]["content"].as_str());
        self.text.push_str(content.unwrap_or_default());
        if !completion["usage"].is_null() {
            self.usage = completion["usage"].clone();
        }
        Ok(())
    }
}

/// One server-sent event; without a name it is a `message`, as the standard has it.
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) data: String,
}

/// Server-sent events, out of bytes that are cut anywhere.
#[derive(Default)]
pub(crate) struct Events {
    pending: Vec<u8>,
}

impl Events {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.pending
            .extend(bytes.iter().filter(|byte| **byte != b'\r'));
    }

    /// The next event that is whole; comments alone make none.
    pub(crate) fn next(&mut self) -> Result<Option<Event>, Failure> {
        while let Some(end) = self.pending.windows(2).position(|pair| pair == b"\n\n") {
            let block: Vec<u8> = self.pending.drain(..end + 2).collect();
            let mut event = Event {
                name: "message".to_owned(),
                data: String::new(),
            };
            let mut lines = Vec::new();
            for line in std::str::from_utf8(&block)?.lines() {
                let (field, value) = line.split_once(':').unwrap_or((line, ""));
                let value = value.strip_prefix(' ').unwrap_or(value);
                match field {
                    "event" => value.clone_into(&mut event.name),
                    "data" => lines.push(value),
                    _ => {}
                }
            }
            if !lines.is_empty() {
                event.data = lines.join("\n");
                return Ok(Some(event));
            }
        }
        Ok(None)
    }
}
