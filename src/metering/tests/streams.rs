use super::*;

/// What a meter saw in each event, and its reading.
fn seen(dialect: Dialect, events: &[&str]) -> (Vec<Seen>, Reading) {
    let mut scanner = SseScanner::default();
    let mut meter = StreamMeter::new(dialect);
    let text: String = events.iter().map(|e| format!("{e}\n\n")).collect();
    let seen = scanner
        .push(text.as_bytes())
        .iter()
        .map(|e| meter.see(e))
        .collect();
    (seen, meter.reading())
}

#[test]
fn only_a_chunk_of_nothing_but_usage_can_be_removed() {
    let (seen, reading) = seen(
        Dialect::OpenAi,
        &[
            ": note",
            r#"data: {"choices":[{"delta":{"role":"assistant","content":""}}]}"#,
            r#"data: {"choices":[{"delta":{"content":"a"}}],"usage":null}"#,
            r#"data: {"choices":[{"delta":{"content":"b"}}],"usage":{"prompt_tokens":1,"completion_tokens":1}}"#,
            r#"data: {"choices":[{"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#,
            r#"data: {"choices": [ ] ,"usage":{"prompt_tokens":1,"completion_tokens":2}}"#,
            r#"data: {"usage":{"prompt_tokens":1,"completion_tokens":2}}"#,
            "data: nonsense",
            "data: [DONE]",
        ],
    );
    use Seen::{Content, Done, Other, Usage, UsageOnly};
    assert_eq!(
        seen,
        [
            Other, Other, Content, Usage, Usage, UsageOnly, UsageOnly, Other, Done
        ]
    );
    assert_eq!(reading.content_chunks, 2);
    assert_eq!(reading.flags, [UsageFlag::Malformed]);
}

#[test]
fn the_events_of_messages_and_responses_are_needed_by_their_clients() {
    let (seen_messages, _) = seen(
        Dialect::Anthropic,
        &[
            r#"data: {"type":"message_start","message":{"usage":{"input_tokens":1,"output_tokens":1}}}"#,
            r#"data: {"type":"content_block_delta","delta":{"type":"text_delta","text":"x"}}"#,
            r#"data: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":2}}"#,
            r#"data: {"type":"message_stop"}"#,
            r#"data: {"type":"error","error":{"type":"api_error"}}"#,
        ],
    );
    assert_eq!(
        seen_messages,
        [
            Seen::Other,
            Seen::Content,
            Seen::Usage,
            Seen::Done,
            Seen::Error
        ]
    );
    let (seen_responses, reading) = seen(
        Dialect::OpenAi,
        &[
            r#"data: {"type":"response.output_text.delta","delta":"x"}"#,
            r#"data: {"type":"response.incomplete","response":{"status":"incomplete","usage":{"input_tokens":4,"output_tokens":2}}}"#,
        ],
    );
    assert_eq!(seen_responses, [Seen::Content, Seen::Usage]);
    assert_eq!(
        (reading.flags, reading.finish_reason.as_deref()),
        (vec![], Some("incomplete"))
    );
}

#[test]
fn several_reports_are_merged_into_one_object_and_keep_their_text() {
    let (_, reading) = seen(
        Dialect::Anthropic,
        &[
            r#"data: {"type":"message_start","message":{"usage":{"input_tokens":7,"cache_creation":{"ephemeral_1h_input_tokens":9},"cost":0.10,"output_tokens":1}}}"#,
            r#"data: {"type":"message_delta","delta":{},"usage":{"output_tokens":20,"input_tokens":null}}"#,
            r#"data: {"type":"message_stop"}"#,
        ],
    );
    assert_eq!(
        reading.raw_usage.as_deref(),
        Some(
            r#"{"cache_creation":{"ephemeral_1h_input_tokens":9},"cost":0.10,"input_tokens":7,"output_tokens":20}"#
        )
    );
    let same = r#"data: {"choices":[],"usage":{ "completion_tokens":2,"prompt_tokens" : 1}}"#;
    let (_, reading) = seen(Dialect::OpenAi, &[same, same]);
    assert_eq!(
        reading.raw_usage.as_deref(),
        Some(r#"{ "completion_tokens":2,"prompt_tokens" : 1}"#)
    );
}
