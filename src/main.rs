//! The `groat` binary: parse, run, exit code.

use clap::Parser;
use groat::cli::{Cli, run};
use std::process::ExitCode;

fn main() -> ExitCode {
    run(Cli::parse())
}
