//! Responses (OpenAI's newer wire), whole and streamed.

use std::fmt::Write;

use super::delivery::Frames;
use super::openai::{Reply, argument_pieces, json};
use super::usage::response_usage;

/// The body of a whole response.
pub(super) fn whole(reply: &Reply<'_>) -> String {
    let twice = reply.behaviour.usage_twice;
    let again = if twice { usage(reply) } else { String::new() };
    response(
        reply,
        status(reply),
        &output(reply),
        &format!("{}{again}", usage(reply)),
    )
}

/// The events of a streamed response.
pub(super) fn stream(reply: &Reply<'_>) -> Frames {
    let mut writer = EventWriter {
        frames: Frames::default(),
        sequence: 0,
    };
    let begun = response(reply, "in_progress", "", r#","usage":null"#);
    writer.event("response.created", &format!(r#""response":{begun}"#), 0);
    writer.event("response.in_progress", &format!(r#""response":{begun}"#), 0);
    match &reply.tool {
        Some(tool) => function_call(&mut writer, reply, tool),
        None => message(&mut writer, reply),
    }
    if let Some(after) = reply.behaviour.error_event_after_chunks {
        writer.frames.keep_content(after);
        let error =
            r#""code":"server_error","message":"The simulated provider failed.","param":null"#;
        writer.event("error", error, 0);
        return writer.frames;
    }
    let whole = response(reply, status(reply), &output(reply), &usage(reply));
    let name = format!("response.{}", status(reply));
    writer.event(&name, &format!(r#""response":{whole}"#), 0);
    writer.frames
}

fn message(writer: &mut EventWriter, reply: &Reply<'_>) {
    let id = json(&format!("msg_{:012x}", reply.n));
    let place = format!(r#""item_id":{id},"output_index":0,"content_index":0"#);
    let empty = format!(
        r#""output_index":0,"item":{{"id":{id},"type":"message","status":"in_progress","role":"assistant","content":[]}}"#
    );
    writer.event("response.output_item.added", &empty, 0);
    let part = |text: &str| format!(r#"{{"type":"output_text","text":{text},"annotations":[]}}"#);
    let begun = format!(r#"{place},"part":{}"#, part("\"\""));
    writer.event("response.content_part.added", &begun, 0);
    let per = reply.behaviour.tokens_per_chunk.get();
    for (piece, tokens) in reply.answer.visible.pieces(per) {
        let delta = format!(r#"{place},"delta":{},"logprobs":[]"#, json(piece));
        writer.event("response.output_text.delta", &delta, tokens);
    }
    let text = json(reply.answer.visible.as_str());
    let done = format!(r#"{place},"text":{text},"logprobs":[]"#);
    writer.event("response.output_text.done", &done, 0);
    let done = format!(r#"{place},"part":{}"#, part(&text));
    writer.event("response.content_part.done", &done, 0);
    let done = format!(r#""output_index":0,"item":{}"#, output(reply));
    writer.event("response.output_item.done", &done, 0);
}

fn function_call(writer: &mut EventWriter, reply: &Reply<'_>, tool: &str) {
    let id = json(&format!("fc_{:012x}", reply.n));
    let place = format!(r#""item_id":{id},"output_index":0"#);
    let item = function_item(reply, tool, "\"\"", "in_progress");
    let begun = format!(r#""output_index":0,"item":{item}"#);
    writer.event("response.output_item.added", &begun, 0);
    for (piece, tokens) in argument_pieces(reply, reply.behaviour.tokens_per_chunk.get()) {
        let delta = format!(r#"{place},"delta":{}"#, json(&piece));
        writer.event("response.function_call_arguments.delta", &delta, tokens);
    }
    let done = format!(
        r#"{place},"name":{},"arguments":{}"#,
        json(tool),
        json(&reply.arguments())
    );
    writer.event("response.function_call_arguments.done", &done, 0);
    let done = format!(r#""output_index":0,"item":{}"#, output(reply));
    writer.event("response.output_item.done", &done, 0);
}

/// The one item of the whole output.
fn output(reply: &Reply<'_>) -> String {
    match &reply.tool {
        Some(tool) => function_item(reply, tool, &json(&reply.arguments()), "completed"),
        None => format!(
            r#"{{"id":"msg_{:012x}","type":"message","status":"{}","role":"assistant","content":[{{"type":"output_text","text":{},"annotations":[]}}]}}"#,
            reply.n,
            status(reply),
            json(reply.answer.visible.as_str())
        ),
    }
}

fn function_item(reply: &Reply<'_>, tool: &str, arguments: &str, status: &str) -> String {
    format!(
        r#"{{"id":"fc_{n:012x}","type":"function_call","status":"{status}","call_id":"call_{n:012x}","name":{},"arguments":{arguments}}}"#,
        json(tool),
        n = reply.n,
    )
}

fn status(reply: &Reply<'_>) -> &'static str {
    match reply.answer.cut_by_limit {
        true => "incomplete",
        false => "completed",
    }
}

fn response(reply: &Reply<'_>, status: &str, output: &str, usage: &str) -> String {
    let incomplete = match status {
        "incomplete" => r#"{"reason":"max_output_tokens"}"#,
        _ => "null",
    };
    format!(
        r#"{{"id":"resp_{:012x}","object":"response","created_at":{},"status":"{status}","background":false,"error":null,"incomplete_details":{incomplete},"instructions":null,"metadata":{{}},"model":{},"output":[{output}],"parallel_tool_calls":true,"temperature":1.0,"tool_choice":"auto","tools":[],"top_p":1.0{usage}}}"#,
        reply.n,
        reply.created,
        json(reply.model),
    )
}

fn usage(reply: &Reply<'_>) -> String {
    match reply.behaviour.no_usage {
        true => String::new(),
        false => format!(
            r#","usage":{}"#,
            response_usage(reply.final_counts(), reply.behaviour)
        ),
    }
}

struct EventWriter {
    frames: Frames,
    sequence: u64,
}

impl EventWriter {
    fn event(&mut self, name: &str, members: &str, tokens: u64) {
        let n = self.sequence;
        let _ = write!(
            self.frames.text,
            "event: {name}\ndata: {{\"type\":\"{name}\",\"sequence_number\":{n},{members}}}\n\n"
        );
        self.frames.end(tokens);
        self.sequence += 1;
    }
}
