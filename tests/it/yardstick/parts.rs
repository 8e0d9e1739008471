//! The parts that count and read.

use crate::harness::gone;
use crate::yard::child::Program;
use crate::yard::histogram::Durations;
use crate::yard::http::{self, Body, Extent};
use crate::yard::job::Tally;
use crate::yard::process::{Used, number, used};
use proptest::prelude::*;
use std::time::Duration;
use tokio::process::Command;

fn durations(nanoseconds: &[u64]) -> Durations {
    let mut durations = Durations::default();
    for nanoseconds in nanoseconds {
        durations.record(Duration::from_nanos(*nanoseconds));
    }
    durations
}

/// Within what three digits can say.
fn near(found: f64, expected: f64) -> bool {
    (found - expected).abs() <= expected / 500.0
}

#[test]
fn quantiles_are_of_what_was_counted() {
    let counted = durations(&(1..=1000).map(|us| us * 1000).collect::<Vec<_>>());
    for (share, us) in [(0.5, 500.0), (0.9, 900.0), (0.99, 990.0), (1.0, 1000.0)] {
        let found = counted.at(share).expect("something was counted");
        assert!(near(found, us), "{share}: {found}");
    }
    assert_eq!(Durations::default().at(0.5), None);
    let longest = durations(&[u64::MAX]);
    assert!(near(longest.at(1.0).expect("one"), 60e6), "a minute");
}

proptest! {
    #[test]
    fn stretches_added_up_are_one_stretch(
        a in prop::collection::vec(0..70_000_000_000_u64, 0..50),
        b in prop::collection::vec(0..70_000_000_000_u64, 0..50),
    ) {
        let mut sum = durations(&a);
        sum.add(&durations(&b));
        let together: Vec<u64> = a.iter().chain(&b).copied().collect();
        prop_assert_eq!(&sum, &durations(&together));
        prop_assert_eq!(sum.count(), together.len() as u64);
        let text = serde_json::to_string(&sum).expect("JSON");
        let read: Durations = serde_json::from_str(&text).expect("its own text");
        for share in [0.0, 0.5, 0.99, 1.0] {
            prop_assert_eq!(read.at(share), sum.at(share));
        }
        prop_assert_eq!(read.count(), sum.count());
    }

    #[test]
    fn a_body_in_pieces_is_the_same_body(cuts in prop::collection::vec(1..9_usize, 1..40)) {
        let wire = b"5;x=y\r\nhello\r\n1a\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\nTrailer: t\r\n\r\nnext";
        let mut body = Body::new(Extent::Chunked);
        let (mut content, mut taken, mut cuts) = (Vec::new(), 0, cuts.into_iter().cycle());
        while !body.is_over() {
            let end = (taken + cuts.next().unwrap_or(1)).min(wire.len());
            let piece = &wire[taken..end];
            taken += body.take(piece, |bytes| content.extend_from_slice(bytes)).expect("well formed");
        }
        prop_assert_eq!(content, b"helloabcdefghijklmnopqrstuvwxyz");
        prop_assert_eq!(&wire[taken..], b"next");
    }
}

#[test]
fn heads_say_where_bodies_end() {
    let read = |text: &str| http::response(text.as_bytes()).expect("well formed");
    let head =
        read("HTTP/1.1 402 Payment Required\r\nContent-Length: 7\r\nConnection: close\r\n\r\nrest");
    let head = head.expect("all of it");
    assert_eq!(
        (head.status, head.body, head.closes),
        (402, Extent::Bytes(7), true)
    );
    let head = read("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").expect("all of it");
    assert_eq!((head.body, head.closes), (Extent::Chunked, false));
    let head = read("HTTP/1.1 200 OK\r\n\r\n").expect("all of it");
    assert_eq!(head.body, Extent::Connection);
    assert_eq!(
        read("HTTP/1.1 200 OK\r\ncontent-"),
        None,
        "the rest is to come"
    );
    assert!(http::response(b"SSH-2.0\r\n\r\n").is_err());
    let request = http::request(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").expect("well formed");
    assert_eq!(request.map(|head| head.body), Some(Extent::Bytes(0)));
    let mut body = Body::new(Extent::Bytes(3));
    assert_eq!(body.take(b"abcd", |_| {}).expect("bytes"), 3);
    assert!(body.is_over());
    assert!(Body::new(Extent::Chunked).take(b"xyz\r\n", |_| {}).is_err());
}

#[test]
fn tallies_add_up_and_complain_of_every_lost_call() {
    let stretch = |cpu_us, rss, sent, answered| Tally {
        sent,
        answered,
        in_time: answered,
        seconds: 2.0,
        first: durations(&[1000]),
        used: [(
            "server".to_owned(),
            Used {
                cpu_us,
                rss,
                written: 10,
            },
        )]
        .into(),
        rss_before: [("server".to_owned(), rss)].into(),
        ..Tally::default()
    };
    let mut sum = stretch(100, 7, 10, 10);
    assert_eq!(sum.complaint(), None);
    sum.add(&stretch(50, 5, 10, 9));
    let used = sum.used["server"];
    assert_eq!((used.cpu_us, used.rss, used.written), (150, 7, 20));
    assert_eq!(
        sum.rss_before["server"], 7,
        "what was there at the very first"
    );
    assert_eq!((sum.first.count(), sum.rate()), (2, 19.0 / 4.0));
    let complaint = sum.complaint().expect("one call is missing");
    assert!(complaint.starts_with("1 of 20 calls"), "{complaint}");
}

#[tokio::test]
async fn a_program_takes_along_what_it_started() {
    let mut command = Command::new("sh");
    command
        .args(["-c", "sleep 600 & echo ready $!; wait"])
        .process_group(0)
        .kill_on_drop(true);
    let (program, worker) = Program::ready(&mut command).await.expect("it starts");
    let worker: u32 = worker.parse().expect("a process id");
    drop(program);
    gone(&[worker]).await;
}

#[test]
fn a_process_is_counted_with_what_it_started() {
    let own = used(std::process::id());
    assert!(own.rss > 1 << 20, "{own:?}");
    let status = "Name:\tx\nVmRSS:\t   1234 kB\n";
    assert_eq!(number(status, "VmRSS:"), Some(1234));
    assert_eq!(number(status, "VmSwap:"), None);
}
