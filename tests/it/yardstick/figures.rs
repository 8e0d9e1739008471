//! What the report makes of figures.

use crate::yard::arm::{DIRECT, NGINX, NGINX_STATIC, SETTLED_AFTER_TOGETHER, UNPAID, VOUCHER};
use crate::yard::bare::Bare;
use crate::yard::body::Body;
use crate::yard::histogram::Durations;
use crate::yard::job::Tally;
use crate::yard::memory::Streams;
use crate::yard::process::Used;
use crate::yard::report::figures::{added, best_rate, limit};
use crate::yard::report::goals::{goals, times};
use crate::yard::report::machine::Machine;
use crate::yard::report::{Known, Results, json, ledger_events, replaced, table};
use crate::yard::run::{LATENCY, SATURATION};
use crate::yard::session::{Line, Mined, NotRun};
use crate::yard::settled::MEASURE as SETTLED;
use std::time::Duration;

/// So many calls a second, each with its first byte after so many microseconds.
fn line(measure: &str, arm: &str, connections: usize, rate: u64, first_us: u64) -> Line {
    let mut first = Durations::default();
    first.record(Duration::from_micros(first_us));
    let used = Used {
        cpu_us: rate * 100,
        rss: 0,
        written: 0,
    };
    Line {
        measure: measure.to_owned(),
        arm: arm.to_owned(),
        connections,
        body: Body::whole(1024),
        rates: vec![rate as f64],
        tally: Tally {
            sent: rate,
            answered: rate,
            in_time: rate,
            seconds: 1.0,
            last: first.clone(),
            first,
            used: [("server".to_owned(), used)].into(),
            ..Tally::default()
        },
        mined: Mined {
            transactions: 2,
            gas: 100_000,
        },
    }
}

fn results() -> Results {
    Results {
        machine: Machine {
            cores: 2,
            ..Machine::default()
        },
        plan: "made up",
        peers: [
            "x402-express",
            "x402-axum",
            "x402-axum-before",
            "mppx-proxy",
        ]
        .map(|name| Known {
            name: name.to_owned(),
            note: String::new(),
        })
        .to_vec(),
        lines: vec![
            line(LATENCY, DIRECT, 32, 500, 100),
            line(LATENCY, VOUCHER, 32, 500, 350),
            line(SATURATION, NGINX, 1, 5_000, 100),
            line(SATURATION, NGINX, 64, 20_000, 100),
            line(SATURATION, NGINX_STATIC, 64, 50_000, 100),
            line(SATURATION, UNPAID, 64, 20_000, 100),
            line(SATURATION, VOUCHER, 16, 4_000, 100),
            line(SATURATION, VOUCHER, 64, 6_000, 100),
            line(SETTLED, "x402-express", 32, 60, 100),
            line(SETTLED, "x402-axum", 32, 300, 100),
            line(SETTLED, "x402-axum-before", 32, 400, 100),
            line(SETTLED, SETTLED_AFTER_TOGETHER, 32, 2_400, 100),
        ],
        not_run: vec![NotRun {
            what: "litellm".to_owned(),
            why: "not installed".to_owned(),
        }],
        bare: Some(Bare {
            k256_us: 160.0,
            libsecp256k1_us: 60.0,
            voucher_us: 66.0,
        }),
        books: None,
        streams: Some(Streams {
            wanted: 1000,
            open: 1000,
            rss_at_rest: 0,
            rss_before: 1 << 20,
            rss_open: 21 << 20,
        }),
        soak: None,
        tokens: None,
        ledger_events: Some(9_999.0),
    }
}

#[test]
fn what_is_added_is_the_difference_of_quantiles() {
    let (base, arm) = (line("m", "a", 1, 1, 200), line("m", "b", 1, 1, 500));
    let found = added(&arm.tally.first, &base.tally.first).expect("both counted");
    assert!((found.p50 - 300.0).abs() < 1.0 && (found.p99 - 300.0).abs() < 1.0);
    assert_eq!(added(&arm.tally.first, &Durations::default()), None);
}

#[test]
fn a_proxy_that_recovers_one_signature_is_limited_by_both() {
    // Two cores: 50 µs of a proxy's call, and 100 µs on one of them, which is 50 µs of both.
    let limited = limit(20_000.0, 100.0, 2);
    assert!((limited - 10_000.0).abs() < 1e-6, "{limited}");
    assert!((limit(20_000.0, 0.0, 2) - 20_000.0).abs() < 1e-6);
}

#[test]
fn the_best_is_taken_over_all_connections() {
    let results = results();
    assert_eq!(
        best_rate(&results.lines, SATURATION, VOUCHER),
        Some(6_000.0)
    );
    assert_eq!(best_rate(&results.lines, SATURATION, "nobody"), None);
}

#[test]
fn goals_are_reached_or_not_or_not_measured() {
    let goals = goals(&results());
    let judged = |what: &str| {
        let mut found = goals.iter().filter(|goal| goal.what.contains(what));
        let goal = found
            .next()
            .unwrap_or_else(|| panic!("no goal is about {what}"));
        (goal.measured.clone(), goal.reached)
    };
    assert_eq!(judged("p50"), ("0.25 ms".to_owned(), Some(true)));
    // 1 / (1/20,000 + 30 µs) = 12,500.
    assert_eq!(judged("physical limit"), ("0.48 ×".to_owned(), Some(false)));
    assert_eq!(judged("@x402/express"), ("100 ×".to_owned(), Some(true)));
    assert_eq!(
        judged("x402-axum"),
        ("15.0 ×".to_owned(), Some(true)),
        "the better of its two"
    );
    assert_eq!(judged("mppx"), ("not measured".to_owned(), None));
    assert_eq!(judged("best peer"), ("6.00 ×".to_owned(), Some(true)));
    assert_eq!(judged("static answer"), ("0.40 ×".to_owned(), Some(true)));
    assert_eq!(judged("disk writes"), ("0.0 bytes".to_owned(), Some(true)));
    assert_eq!(judged("first token"), ("not measured".to_owned(), None));
    let (measured, reached) = judged("open streams");
    assert_eq!(
        (measured.as_str(), reached),
        ("1000 at once, 20.5 KiB each", None),
        "too few to judge"
    );
    assert_eq!(judged("bare recovery"), ("1.100 ×".to_owned(), Some(true)));
    assert_eq!(judged("ledger"), ("9999".to_owned(), Some(false)));
}

#[test]
fn the_table_and_the_json_say_the_same_of_everything() {
    let results = results();
    let (table, json) = (table::table(&results), json::json(&results));
    for goal in goals(&results) {
        assert!(table.contains(goal.what), "{}", goal.what);
    }
    assert_eq!(
        json["goals"].as_array().map(Vec::len),
        Some(goals(&results).len())
    );
    assert_eq!(
        json["runs"].as_array().map(Vec::len),
        Some(results.lines.len())
    );
    assert!(table.contains("- litellm: not installed"), "{table}");
    assert_eq!(json["not_run"][0]["why"], "not installed");
    assert!(
        table.contains("| groat voucher | 0.30 × | – | 4,000 | 6,000 | 100 |"),
        "{table}"
    );
    let settled = json["runs"].as_array().and_then(|runs| runs.last());
    assert_eq!(
        settled.map(|run| run["mined_a_thousand_calls"]["transactions"].as_f64()),
        Some(Some(0.83))
    );
    assert_eq!(
        (times(123.4), times(12.34), times(1.234)),
        ("123 ×".to_owned(), "12.3 ×".to_owned(), "1.23 ×".to_owned())
    );
}

#[test]
fn a_new_table_replaces_the_old_one_and_nothing_else() {
    let page = replaced("# Performance\n\nWhat we did.\n", "old");
    assert!(
        page.starts_with("# Performance\n\nWhat we did.\n\n"),
        "{page}"
    );
    let page = format!("{page}\nWhat follows.\n");
    let newer = replaced(&page, "| new |");
    assert_eq!(newer, page.replace("old", "| new |"));
    assert_eq!(replaced(&newer, "old"), page);
}

#[test]
fn the_ledgers_own_figure_is_that_of_whole_calls_by_64_writers() {
    let printed = "{\"what\":\"holds\",\"writers\":64,\"per_second\":1.0}\n\
                   {\"what\":\"calls\",\"writers\":8,\"per_second\":2.0}\n\
                   {\"what\":\"calls\",\"writers\":64,\"per_second\":3.0}\n";
    assert_eq!(ledger_events(printed), Some(3.0));
    assert_eq!(ledger_events("what writers\n"), None);
}
