//! What the pure work of a call takes, case by case: in time, and in instructions under callgrind.
//!
//!     cargo bench --bench micro                 # criterion's times
//!     scripts/bench-counts                      # instructions, held against those in counts.txt
//!
//! To see where a case's instructions go: `valgrind --tool=callgrind --toggle-collect=micro::counted
//! BINARY count CASE`, then `callgrind_annotate`.

mod bodies;
mod cases;
mod gateway;
mod payments;

use cases::{Case, cases};
use criterion::Criterion;
use std::hint::black_box;

/// The argument that makes each case run twice, the second time in [`counted`], instead of timing it;
/// the names of cases may follow it.
const COUNT: &str = "count";

fn main() {
    let mut cases = cases();
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some(COUNT) {
        let wanted: Vec<String> = arguments.collect();
        cases.retain(|case| wanted.is_empty() || wanted.contains(&case.name));
        count(&cases);
    } else {
        time(&cases);
    }
}

fn time(cases: &[Case]) {
    let mut criterion = Criterion::default().configure_from_args();
    for Case { name, run } in cases {
        criterion.bench_function(name, |bencher| bencher.iter(run));
    }
    criterion.final_summary();
}

/// Names each case before it is counted: the dumps that callgrind writes come in that order.
#[expect(clippy::print_stdout, reason = "scripts/bench-counts reads it")]
fn count(cases: &[Case]) {
    for Case { name, run } in cases {
        // What is made once, such as a table of the curve, is not the case's own.
        run();
        println!("{name}");
        counted(run);
    }
}

/// What callgrind is told to count, by this name.
#[inline(never)]
fn counted(run: &dyn Fn()) {
    black_box(run)();
}
