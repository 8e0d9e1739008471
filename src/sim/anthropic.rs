//! Messages (Anthropic's wire), whole and streamed.

use std::fmt::Write;

use super::delivery::Frames;
use super::openai::{Reply, argument_pieces, json};
use super::usage::{Counts, message_delta_usage, message_usage};

/// The body of a whole message.
pub(super) fn whole(reply: &Reply<'_>) -> String {
    let mut blocks = Vec::new();
    if reply.answer.reasoning.tokens() > 0 {
        let thinking = json(reply.answer.reasoning.as_str());
        blocks.push(format!(
            r#"{{"type":"thinking","thinking":{thinking},"signature":"c2lt"}}"#
        ));
    }
    blocks.push(match &reply.tool {
        Some(tool) => format!(
            r#"{{"type":"tool_use","id":"toolu_{:012x}","name":{},"input":{}}}"#,
            reply.n,
            json(tool),
            reply.arguments()
        ),
        None => format!(
            r#"{{"type":"text","text":{}}}"#,
            json(reply.answer.visible.as_str())
        ),
    });
    let mut usage = usage_member(reply, &message_usage(reply.final_counts(), reply.behaviour));
    if reply.behaviour.usage_twice {
        usage.push_str(&usage.clone());
    }
    format!(
        r#"{{"id":"msg_{:012x}","type":"message","role":"assistant","model":{},"content":[{}],"stop_reason":"{}","stop_sequence":null{usage}}}"#,
        reply.n,
        json(reply.model),
        blocks.join(","),
        stop_reason(reply),
    )
}

/// The events of a streamed message.
pub(super) fn stream(reply: &Reply<'_>) -> Frames {
    let mut frames = Frames::default();
    // As the provider does, one output token is announced before any was written.
    let first = usage_member(
        reply,
        &message_usage(reply.counts.with_output(1, 0), reply.behaviour),
    );
    let message = format!(
        r#"{{"type":"message_start","message":{{"id":"msg_{:012x}","type":"message","role":"assistant","model":{},"content":[],"stop_reason":null,"stop_sequence":null{first}}}}}"#,
        reply.n,
        json(reply.model)
    );
    event(&mut frames, "message_start", &message, 0);
    event(&mut frames, "ping", r#"{"type":"ping"}"#, 0);
    let per = reply.behaviour.tokens_per_chunk.get();
    let mut index = 0;
    let mut written = reply.counts;
    if reply.answer.reasoning.tokens() > 0 {
        block_start(
            &mut frames,
            index,
            r#"{"type":"thinking","thinking":"","signature":""}"#,
        );
        for (piece, tokens) in reply.answer.reasoning.pieces(per) {
            written.reasoning += tokens as i64;
            let delta = format!(r#"{{"type":"thinking_delta","thinking":{}}}"#, json(piece));
            block_delta(&mut frames, index, &delta, tokens);
            every_chunk(&mut frames, reply, written);
        }
        block_delta(
            &mut frames,
            index,
            r#"{"type":"signature_delta","signature":"c2lt"}"#,
            0,
        );
        block_stop(&mut frames, index);
        index += 1;
    }
    let pieces: Vec<(String, u64)> = if let Some(tool) = &reply.tool {
        let block = format!(
            r#"{{"type":"tool_use","id":"toolu_{:012x}","name":{},"input":{{}}}}"#,
            reply.n,
            json(tool)
        );
        block_start(&mut frames, index, &block);
        let delta = |piece: String| {
            format!(
                r#"{{"type":"input_json_delta","partial_json":{}}}"#,
                json(&piece)
            )
        };
        let pieces = argument_pieces(reply, per).into_iter();
        pieces
            .map(|(piece, tokens)| (delta(piece), tokens))
            .collect()
    } else {
        block_start(&mut frames, index, r#"{"type":"text","text":""}"#);
        let delta = |piece: &str| format!(r#"{{"type":"text_delta","text":{}}}"#, json(piece));
        let pieces = reply.answer.visible.pieces(per);
        pieces
            .map(|(piece, tokens)| (delta(piece), tokens))
            .collect()
    };
    for (delta, tokens) in pieces {
        written.visible += tokens as i64;
        block_delta(&mut frames, index, &delta, tokens);
        every_chunk(&mut frames, reply, written);
    }
    block_stop(&mut frames, index);
    for _ in 0..1 + u8::from(reply.behaviour.usage_twice) {
        message_delta(
            &mut frames,
            reply,
            written,
            &format!(r#""{}""#, stop_reason(reply)),
        );
    }
    if let Some(after) = reply.behaviour.error_event_after_chunks {
        frames.keep_content(after);
        let error = r#"{"type":"error","error":{"type":"api_error","message":"The simulated provider failed."}}"#;
        event(&mut frames, "error", error, 0);
        return frames;
    }
    event(&mut frames, "message_stop", r#"{"type":"message_stop"}"#, 0);
    frames
}

fn stop_reason(reply: &Reply<'_>) -> &'static str {
    match (reply.answer.cut_by_limit, &reply.tool) {
        (true, _) => "max_tokens",
        (false, Some(_)) => "tool_use",
        (false, None) => "end_turn",
    }
}

fn usage_member(reply: &Reply<'_>, usage: &str) -> String {
    if reply.behaviour.no_usage {
        return String::new();
    }
    format!(r#","usage":{usage}"#)
}

fn every_chunk(frames: &mut Frames, reply: &Reply<'_>, written: Counts) {
    if reply.behaviour.usage_every_chunk {
        message_delta(frames, reply, written, "null");
    }
}

fn message_delta(frames: &mut Frames, reply: &Reply<'_>, written: Counts, stop: &str) {
    let usage = usage_member(reply, &message_delta_usage(written, reply.behaviour));
    let delta = format!(
        r#"{{"type":"message_delta","delta":{{"stop_reason":{stop},"stop_sequence":null}}{usage}}}"#
    );
    event(frames, "message_delta", &delta, 0);
}

fn block_start(frames: &mut Frames, index: u64, block: &str) {
    let data =
        format!(r#"{{"type":"content_block_start","index":{index},"content_block":{block}}}"#);
    event(frames, "content_block_start", &data, 0);
}

fn block_delta(frames: &mut Frames, index: u64, delta: &str, tokens: u64) {
    let data = format!(r#"{{"type":"content_block_delta","index":{index},"delta":{delta}}}"#);
    event(frames, "content_block_delta", &data, tokens);
}

fn block_stop(frames: &mut Frames, index: u64) {
    let data = format!(r#"{{"type":"content_block_stop","index":{index}}}"#);
    event(frames, "content_block_stop", &data, 0);
}

fn event(frames: &mut Frames, name: &str, data: &str, tokens: u64) {
    let _ = write!(frames.text, "event: {name}\ndata: {data}\n\n");
    frames.end(tokens);
}
