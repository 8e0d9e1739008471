use super::*;
use proptest::prelude::*;

fn scan(bytes: &[u8]) -> (Vec<SseEvent>, Vec<u8>) {
    let mut scanner = SseScanner::default();
    let events = scanner.push(bytes);
    (events, scanner.rest())
}

fn data(text: &str) -> Vec<Option<String>> {
    scan(text.as_bytes())
        .0
        .into_iter()
        .map(|e| e.data)
        .collect()
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[test]
fn lines_end_in_three_ways() {
    for nl in ["\n", "\r\n", "\r"] {
        let text = format!("data: a{nl}{nl}data:b{nl}data:  c{nl}{nl}: note{nl}{nl}x");
        assert_eq!(data(&text), [some("a"), some("b\n c"), None], "{nl:?}");
        assert_eq!(scan(text.as_bytes()).1, b"x");
    }
    assert_eq!(data("data: a\r\n\n"), [some("a")]);
    assert_eq!(
        data("\n\ndata\n\ndata:\n\n"),
        [None, None, some(""), some("")]
    );
}

#[test]
fn an_event_is_given_out_with_its_last_byte() {
    let mut scanner = SseScanner::default();
    assert!(scanner.push(b"data: a\r\n\r").is_empty());
    assert_eq!(scanner.push(b"\n")[0].raw, b"data: a\r\n\r\n");
    assert!(scanner.push(b"data: b\n").is_empty());
    assert_eq!(scanner.push(b"\n")[0].data, some("b"));
    assert!(scanner.rest().is_empty());
}

#[test]
fn names_comments_and_the_byte_order_mark() {
    let text = "\u{feff}event: ping\nid: 1\ndata: {}\n\n: OPENROUTER PROCESSING\n\nevent:x\n\n";
    let (events, _) = scan(text.as_bytes());
    assert_eq!(events[0].event.as_deref(), Some("ping"));
    assert_eq!(events[0].data, some("{}"));
    assert_eq!(
        (events[1].event.as_ref(), events[1].data.as_ref()),
        (None, None)
    );
    assert_eq!(
        (events[2].event.as_deref(), events[2].data.as_ref()),
        (Some("x"), None)
    );
    assert_eq!(data("data: a\n\n\u{feff}data: b\n\n"), [some("a"), None]);
}

#[test]
fn an_endless_event_is_never_held() {
    let mut scanner = SseScanner::new(64);
    let mut out = Vec::new();
    for _ in 0..100 {
        let events = scanner.push(b"data: xxxxxxxxxxxxxxxxxxxxxxx\n");
        assert!(
            events
                .iter()
                .all(|e| e.oversized && e.data.is_none() && e.raw.len() <= 66)
        );
        events.iter().for_each(|e| out.extend_from_slice(&e.raw));
        assert!(scanner.clone().rest().len() <= 66);
    }
    let tail = scanner.push(b"\ndata: ok\n\n");
    assert!(
        tail[0].oversized,
        "the end of the long event is not read either"
    );
    assert_eq!(
        (tail[1].data.as_deref(), tail[1].oversized),
        (Some("ok"), false)
    );

    let mut meter = StreamMeter::new(Dialect::OpenAi);
    assert_eq!(meter.see(&tail[0]), Seen::Content);
    assert!(meter.reading().flags.contains(&UsageFlag::OversizedEvent));
    assert_eq!(meter.reading().text_bytes, tail[0].raw.len() as u64);
}

/// Bytes that are mostly made of what matters to a scanner.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let token = prop::sample::select(vec![
        &b"\n"[..],
        b"\r",
        b"\r\n",
        b"\n\n",
        b"\r\n\r\n",
        b"data: ",
        b"data:",
        b"event: x",
        b":",
        b"a",
        b"{}",
        b"\xef\xbb\xbf",
        b"\xff",
        b"data: {\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}\n\n",
    ]);
    prop::collection::vec(token, 0..40).prop_map(|tokens| tokens.concat())
}

fn pieces<'a>(bytes: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut at: Vec<usize> = cuts.iter().map(|c| c.index(bytes.len() + 1)).collect();
    at.extend([0, bytes.len()]);
    at.sort_unstable();
    at.windows(2).map(|w| &bytes[w[0]..w[1]]).collect()
}

proptest! {
    #[test]
    fn events_do_not_depend_on_how_the_stream_is_chopped(
        bytes in bytes(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        max in prop::sample::select(vec![1usize, 5, 20, 1 << 20]),
    ) {
        let mut whole = SseScanner::new(max);
        let expected = whole.push(&bytes);
        let mut chopped = SseScanner::new(max);
        let mut events = Vec::new();
        for piece in pieces(&bytes, &cuts) {
            events.extend(chopped.push(piece));
            prop_assert!(chopped.clone().rest().len() <= max + 2);
        }
        prop_assert_eq!(&events, &expected);
        let mut joined: Vec<u8> = events.iter().flat_map(|e| e.raw.clone()).collect();
        joined.extend(chopped.clone().rest());
        prop_assert_eq!(&joined, &bytes);
        prop_assert_eq!(chopped.finish().map(|e| e.raw).unwrap_or_default(), whole.rest());
    }

    #[test]
    fn no_bytes_can_make_a_meter_panic(bytes in bytes(), noise in prop::collection::vec(any::<u8>(), 0..60)) {
        for dialect in Dialect::ALL {
            meter_stream(dialect, &bytes);
            meter_whole(dialect, &noise);
            meter_stream(dialect, &[b"data: ", &noise[..], b"\n\n"].concat());
        }
    }
}
