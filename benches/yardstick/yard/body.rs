//! What callers send.

use super::job::OWN_NUMBER;
use serde_json::json;

/// A request's body.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Body {
    pub(crate) model: String,
    /// How long it is.
    pub(crate) bytes: usize,
    pub(crate) stream: bool,
    /// The most tokens that may be answered.
    pub(crate) output: u64,
    /// Whether the model may go by what it keeps of earlier prompts (llama.cpp's `cache_prompt`).
    pub(crate) cached: bool,
}

/// A body's text as one connection sends it.
pub(crate) fn with_own_number(text: &str, connection: usize) -> String {
    text.replacen(OWN_NUMBER, &format!("{connection:08}"), 1)
}

/// What most bodies let be answered.
const OUTPUT: u64 = 256;

impl Body {
    /// A body for a whole answer of the null upstream's.
    pub(crate) fn whole(bytes: usize) -> Self {
        Self {
            model: "null".to_owned(),
            bytes,
            stream: false,
            output: OUTPUT,
            cached: true,
        }
    }

    /// A body for a stream of so many events at this distance, in microseconds.
    pub(crate) fn stream(events: usize, gap_us: u64) -> Self {
        Self {
            model: format!("null-{events}x{gap_us}"),
            bytes: 1024,
            stream: true,
            output: OUTPUT,
            cached: true,
        }
    }

    /// The same as one connection sends it.
    pub(crate) fn text_of(&self, connection: usize) -> String {
        with_own_number(&self.text(), connection)
    }

    /// As JSON. What the null upstream looks for stands first.
    pub(crate) fn text(&self) -> String {
        let (model, output) = (&self.model, self.output);
        let streamed = match self.stream {
            true => r#""stream":true,"stream_options":{"include_usage":true},"#,
            false => "",
        };
        let afresh = match self.cached {
            true => "",
            false => r#""cache_prompt":false,"#,
        };
        let words = |content: &str| {
            let messages = json!([{"role": "user", "content": content}]);
            format!(
                r#"{{"model":"{model}",{streamed}{afresh}"max_tokens":{output},"temperature":0,"user":"{OWN_NUMBER}","messages":{messages}}}"#
            )
        };
        let missing = self.bytes.saturating_sub(words("").len());
        let mut content = "four pence make a groat ".repeat(missing / 24 + 1);
        content.truncate(missing);
        words(&content)
    }
}
