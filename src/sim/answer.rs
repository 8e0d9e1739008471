//! What a model says: text that follows from the prompt's hash alone, cut to the caller's limit.

use super::config::Behaviour;

/// Four bytes each, so that an output token is a token of the simulator's own tokenizer.
const WORDS: [&str; 32] = [
    "all ", "and ", "any ", "are ", "bee ", "but ", "can ", "day ", "dew ", "eel ", "far ", "fig ",
    "gem ", "had ", "ink ", "jar ", "key ", "law ", "map ", "nor ", "oak ", "pay ", "ray ", "sea ",
    "sun ", "tea ", "the ", "two ", "urn ", "via ", "was ", "yes ",
];
const OUTPUT_DEFAULT: u64 = 32;
/// Keeps a misread option from asking for all the memory.
const OUTPUT_MAX: u64 = 1 << 20;

/// One answer, before any wire shape.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) reasoning: Text,
    pub(super) visible: Text,
    /// The limit ended it, not the model.
    pub(super) cut_by_limit: bool,
}

impl Answer {
    pub(super) fn plan(
        behaviour: &Behaviour,
        hash: u64,
        echo: Option<&str>,
        cap: Option<u64>,
    ) -> Self {
        let cap = cap.unwrap_or(OUTPUT_MAX).min(OUTPUT_MAX);
        let reasoning_wish = behaviour.reasoning_tokens;
        let reasoning = Text::from_hash(!hash, reasoning_wish.min(cap));
        let left = cap - reasoning.tokens();
        let (visible, visible_wish) = match echo {
            Some(text) => {
                let whole = Text::of(text);
                let wish = whole.tokens();
                (whole.first(left), wish)
            }
            None => {
                let wish = behaviour.output_tokens.unwrap_or(OUTPUT_DEFAULT);
                (Text::from_hash(hash, wish.min(left)), wish)
            }
        };
        Answer {
            cut_by_limit: reasoning_wish.saturating_add(visible_wish) > cap,
            reasoning,
            visible,
        }
    }
}

/// A text and where its tokens end.
#[derive(Debug, Default)]
pub(super) struct Text {
    text: String,
    ends: Vec<usize>,
}

impl Text {
    fn from_hash(hash: u64, tokens: u64) -> Self {
        let mut state = hash | 1;
        let mut text = Text::default();
        for _ in 0..tokens {
            state = state
                .wrapping_mul(0x5851_f42d_4c95_7f2d)
                .wrapping_add(0x1405_7b7e_f767_814f);
            text.text.push_str(WORDS[(state >> 59) as usize]);
            text.ends.push(text.text.len());
        }
        text
    }

    /// Cuts a text in tokens of at most 4 bytes that split no character.
    fn of(source: &str) -> Self {
        let mut ends = Vec::with_capacity(source.len() / 4 + 1);
        let mut start = 0;
        while start < source.len() {
            start = source.floor_char_boundary(start + 4);
            ends.push(start);
        }
        Text {
            text: source.to_owned(),
            ends,
        }
    }

    fn first(mut self, tokens: u64) -> Self {
        self.ends
            .truncate(usize::try_from(tokens).unwrap_or(usize::MAX));
        self.text.truncate(self.ends.last().copied().unwrap_or(0));
        self
    }

    pub(super) fn tokens(&self) -> u64 {
        self.ends.len() as u64
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    /// The text in pieces of so many tokens, each with its number of tokens.
    pub(super) fn pieces(&self, tokens: usize) -> impl Iterator<Item = (&str, u64)> {
        let mut start = 0;
        self.ends.chunks(tokens).map(move |ends| {
            let end = ends.last().copied().unwrap_or(start);
            let piece = &self.text[start..end];
            start = end;
            (piece, ends.len() as u64)
        })
    }
}
