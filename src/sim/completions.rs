//! Completions, the older form with a prompt, whole and streamed.

use std::fmt::Write;

use super::delivery::Frames;
use super::openai::{Reply, json};
use super::usage::chat_usage;

/// The body of a whole completion.
pub(super) fn whole(reply: &Reply<'_>) -> String {
    let text = json(reply.answer.visible.as_str());
    let choice = |index: u64| choice(index, &text, Some(reply.finish_reason()));
    let choices: Vec<String> = (0..reply.choices).map(choice).collect();
    let usage = usage(reply);
    let twice = if reply.behaviour.usage_twice {
        usage.as_str()
    } else {
        ""
    };
    format!(
        r#"{},"choices":[{}]{usage}{twice}}}"#,
        reply.head("text_completion"),
        choices.join(",")
    )
}

/// The events of a streamed completion; usage comes in a last chunk when it is asked for.
pub(super) fn stream(reply: &Reply<'_>) -> Frames {
    let mut frames = Frames::default();
    let head = reply.head("text_completion");
    let mut chunk = |choices: &str, rest: &str, tokens: u64| {
        let _ = write!(
            frames.text,
            "data: {head},\"choices\":[{choices}]{rest}}}\n\n"
        );
        frames.end(tokens);
    };
    for index in 0..reply.choices {
        for (piece, tokens) in reply
            .answer
            .visible
            .pieces(reply.behaviour.tokens_per_chunk.get())
        {
            chunk(&choice(index, &json(piece), None), "", tokens);
        }
        chunk(&choice(index, "\"\"", Some(reply.finish_reason())), "", 0);
    }
    if reply.wants_usage {
        chunk("", &usage(reply), 0);
    }
    if let Some(after) = reply.behaviour.error_event_after_chunks {
        frames.keep_content(after);
        let error = r#"{"error":{"message":"The simulated provider failed.","type":"server_error","code":"502"}}"#;
        let _ = write!(frames.text, "data: {error}\n\n");
        frames.end(0);
        return frames;
    }
    frames.text.push_str("data: [DONE]\n\n");
    frames.end(0);
    frames
}

fn choice(index: u64, text: &str, finish: Option<&str>) -> String {
    let finish = finish.map_or("null".to_owned(), json);
    format!(r#"{{"index":{index},"text":{text},"logprobs":null,"finish_reason":{finish}}}"#)
}

fn usage(reply: &Reply<'_>) -> String {
    match reply.behaviour.no_usage {
        true => String::new(),
        false => format!(
            r#","usage":{}"#,
            chat_usage(reply.final_counts(), reply.behaviour)
        ),
    }
}
