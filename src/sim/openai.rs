//! Chat completions, whole and streamed, with each dialect's quirks.

use std::fmt::Write;

use super::answer::Answer;
use super::config::Behaviour;
use super::delivery::Frames;
use super::dialect::{Dialect, StreamUsage};
use super::usage::{Counts, chat_usage};

/// Everything an answer is written from.
#[derive(Debug)]
pub(super) struct Reply<'a> {
    pub(super) n: u64,
    /// Unix seconds.
    pub(super) created: u64,
    pub(super) model: &'a str,
    pub(super) behaviour: &'a Behaviour,
    pub(super) answer: &'a Answer,
    /// The prompt's counts; output is added by what was written.
    pub(super) counts: Counts,
    pub(super) choices: u64,
    /// The tool to call instead of saying something; its arguments hold the text.
    pub(super) tool: Option<String>,
    pub(super) wants_usage: bool,
}

impl Reply<'_> {
    pub(super) fn final_counts(&self) -> Counts {
        let (visible, reasoning) = (self.answer.visible.tokens(), self.answer.reasoning.tokens());
        self.counts
            .with_output(visible * self.choices, reasoning * self.choices)
    }

    pub(super) fn finish_reason(&self) -> &'static str {
        match (self.answer.cut_by_limit, &self.tool) {
            (true, _) => "length",
            (false, Some(_)) => "tool_calls",
            (false, None) => "stop",
        }
    }

    /// The whole arguments of the tool that is called.
    pub(super) fn arguments(&self) -> String {
        format!("{{\"text\":{}}}", json(self.answer.visible.as_str()))
    }

    pub(super) fn id(&self) -> String {
        match self.behaviour.dialect {
            Dialect::OpenRouter => format!("gen-{:012x}", self.n),
            _ => format!("chatcmpl-{:012x}", self.n),
        }
    }

    /// The opening members that a body and all chunks of its stream share.
    pub(super) fn head(&self, object: &str) -> String {
        let provider = match self.behaviour.dialect {
            Dialect::OpenRouter => r#","provider":"Sim""#,
            _ => "",
        };
        format!(
            r#"{{"id":"{}","object":"{object}","created":{},"model":{}{provider},"system_fingerprint":"fp_sim""#,
            self.id(),
            self.created,
            json(self.model)
        )
    }
}

/// The body of a whole chat completion.
pub(super) fn whole(reply: &Reply<'_>) -> String {
    let mut body = reply.head("chat.completion");
    let finish = reply.finish_reason();
    let native = match reply.behaviour.dialect {
        Dialect::OpenRouter => format!(r#","native_finish_reason":"{finish}""#),
        _ => String::new(),
    };
    let content = match &reply.tool {
        None => json(reply.answer.visible.as_str()),
        Some(tool) => format!(
            r#"null,"tool_calls":[{{"id":"call_{:012x}","type":"function","function":{{"name":{},"arguments":{}}}}}]"#,
            reply.n,
            json(tool),
            json(&reply.arguments())
        ),
    };
    let reasoning = match reply.behaviour.dialect.reasoning_member() {
        Some(member) if reply.answer.reasoning.tokens() > 0 => {
            format!(r#","{member}":{}"#, json(reply.answer.reasoning.as_str()))
        }
        _ => String::new(),
    };
    body.push_str(r#","choices":["#);
    for index in 0..reply.choices {
        let comma = if index > 0 { "," } else { "" };
        let _ = write!(
            body,
            r#"{comma}{{"index":{index},"message":{{"role":"assistant","content":{content}{reasoning}}},"logprobs":null,"finish_reason":"{finish}"{native}}}"#
        );
    }
    body.push(']');
    let usage = format!(
        r#","usage":{}"#,
        chat_usage(reply.final_counts(), reply.behaviour)
    );
    if !reply.behaviour.no_usage {
        body.push_str(&usage);
    }
    if reply.behaviour.usage_twice {
        body.push_str(&usage);
    }
    match reply.behaviour.dialect {
        Dialect::Groq => body.push_str(r#","x_groq":{"id":"req_sim"}"#),
        Dialect::MiniMax => body.push_str(r#","base_resp":{"status_code":0,"status_msg":""}"#),
        _ => {}
    }
    body.push('}');
    body
}

/// The events of a streamed chat completion.
pub(super) fn stream(reply: &Reply<'_>) -> Frames {
    let mut writer = ChunkWriter {
        reply,
        head: reply.head("chat.completion.chunk"),
        place: reply.behaviour.dialect.stream_usage(),
        visible: 0,
        reasoning: 0,
        frames: Frames::default(),
    };
    writer.run();
    writer.frames
}

struct ChunkWriter<'a> {
    reply: &'a Reply<'a>,
    head: String,
    place: StreamUsage,
    visible: u64,
    reasoning: u64,
    frames: Frames,
}

impl ChunkWriter<'_> {
    fn run(&mut self) {
        let Reply {
            behaviour,
            answer,
            choices,
            ..
        } = *self.reply;
        if behaviour.dialect == Dialect::OpenRouter {
            self.frames.text.push_str(": OPENROUTER PROCESSING\n\n");
            self.frames.end_early();
        }
        let thinking = behaviour.dialect.reasoning_member();
        let per = behaviour.tokens_per_chunk.get();
        for index in 0..choices {
            self.delta(index, r#""role":"assistant","content":"""#, 0);
            match thinking {
                Some(member) => {
                    for (piece, tokens) in answer.reasoning.pieces(per) {
                        self.reasoning += tokens;
                        self.delta(index, &format!(r#""{member}":{}"#, json(piece)), tokens);
                    }
                }
                None => self.reasoning += answer.reasoning.tokens(),
            }
            if let Some(tool) = &self.reply.tool {
                self.tool_call(index, tool, per);
            } else {
                for (piece, tokens) in answer.visible.pieces(per) {
                    self.visible += tokens;
                    self.delta(index, &format!(r#""content":{}"#, json(piece)), tokens);
                }
            }
            self.finish(index);
        }
        self.usage_chunks();
        if let Some(after) = behaviour.error_event_after_chunks {
            self.frames.keep_content(after);
            return self.error();
        }
        self.frames.text.push_str("data: [DONE]\n\n");
        self.frames.end(0);
    }

    fn tool_call(&mut self, index: u64, tool: &str, per: usize) {
        let begin = format!(
            r#""tool_calls":[{{"index":0,"id":"call_{:012x}","type":"function","function":{{"name":{},"arguments":""}}}}]"#,
            self.reply.n,
            json(tool)
        );
        self.delta(index, &begin, 0);
        let reply = self.reply;
        for (piece, tokens) in argument_pieces(reply, per) {
            self.visible += tokens;
            let function = format!(r#"{{"arguments":{}}}"#, json(&piece));
            let delta = format!(r#""tool_calls":[{{"index":0,"function":{function}}}]"#);
            self.delta(index, &delta, tokens);
        }
    }

    fn delta(&mut self, index: u64, members: &str, tokens: u64) {
        let usage = self.usage_beside_content();
        let head = &self.head;
        let _ = write!(
            self.frames.text,
            "data: {head},\"choices\":[{{\"index\":{index},\"delta\":{{{members}}},\"logprobs\":null,\"finish_reason\":null}}]{usage}}}\n\n"
        );
        self.frames.end(tokens);
    }

    fn finish(&mut self, index: u64) {
        let last = index + 1 == self.reply.choices && !self.reply.behaviour.no_usage;
        let mut in_choice = String::new();
        let mut beside = self.usage_beside_content();
        match self.place {
            StreamUsage::InFinish if last => beside = format!(r#","usage":{}"#, self.usage()),
            StreamUsage::InChoice if last => in_choice = format!(r#","usage":{}"#, self.usage()),
            StreamUsage::InXGroq if last => {
                beside.push_str(&format!(
                    r#","x_groq":{{"id":"req_sim","usage":{}}}"#,
                    self.usage()
                ));
            }
            _ => {}
        }
        let (head, finish) = (&self.head, self.reply.finish_reason());
        let _ = write!(
            self.frames.text,
            "data: {head},\"choices\":[{{\"index\":{index},\"delta\":{{}},\"logprobs\":null,\"finish_reason\":\"{finish}\"{in_choice}}}]{beside}}}\n\n"
        );
        self.frames.end(0);
    }

    /// The chunks after the last choice that carry nothing but usage.
    fn usage_chunks(&mut self) {
        let Reply {
            behaviour,
            wants_usage,
            ..
        } = *self.reply;
        if behaviour.no_usage {
            return;
        }
        let own_chunk = match self.place {
            StreamUsage::Always => true,
            StreamUsage::OnRequest | StreamUsage::InChoice | StreamUsage::InXGroq => wants_usage,
            StreamUsage::InFinish | StreamUsage::EveryChunk => false,
        };
        for _ in 0..u8::from(own_chunk) + u8::from(behaviour.usage_twice) {
            let (head, usage) = (&self.head, self.usage());
            let _ = write!(
                self.frames.text,
                "data: {head},\"choices\":[],\"usage\":{usage}}}\n\n"
            );
            self.frames.end(0);
        }
    }

    fn error(&mut self) {
        let text = match self.reply.behaviour.dialect {
            Dialect::OpenRouter => format!(
                "data: {},\"error\":{{\"code\":502,\"message\":\"The simulated provider failed.\"}},\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"\"}},\"finish_reason\":\"error\"}}]}}\n\n",
                self.head
            ),
            _ => "data: {\"error\":{\"message\":\"The simulated provider failed.\",\"type\":\"server_error\",\"code\":\"502\"}}\n\n".to_owned(),
        };
        self.frames.text.push_str(&text);
        self.frames.end(0);
    }

    fn usage_beside_content(&self) -> String {
        let Reply {
            behaviour,
            wants_usage,
            ..
        } = *self.reply;
        let asked_every = self.place == StreamUsage::EveryChunk && wants_usage;
        if behaviour.no_usage {
            String::new()
        } else if behaviour.usage_every_chunk || asked_every {
            format!(r#","usage":{}"#, self.usage())
        } else if behaviour.dialect == Dialect::OpenAi && wants_usage {
            r#","usage":null"#.to_owned()
        } else {
            String::new()
        }
    }

    /// What was used up to now.
    fn usage(&self) -> String {
        chat_usage(
            self.reply.counts.with_output(self.visible, self.reasoning),
            self.reply.behaviour,
        )
    }
}

/// The arguments of the tool that is called, in pieces with their tokens.
pub(super) fn argument_pieces(reply: &Reply<'_>, per: usize) -> Vec<(String, u64)> {
    let inner = |piece: &str| json(piece).trim_matches('"').to_owned();
    let mut pieces = vec![("{\"text\":\"".to_owned(), 0)];
    let text = reply.answer.visible.pieces(per);
    pieces.extend(text.map(|(piece, tokens)| (inner(piece), tokens)));
    pieces.push(("\"}".to_owned(), 0));
    pieces
}

/// A JSON string.
pub(super) fn json(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
