//! The `groat` binary: parse, run, exit code.

use clap::Parser;
use groat::cli::{Cli, run};
use mimalloc::MiMalloc;
use std::process::ExitCode;

/// A call allocates some thousand small pieces on several threads; the system's allocator took a quarter of
/// its time (docs/performance/changes.md).
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    run(Cli::parse())
}
