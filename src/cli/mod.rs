//! The command line: one file a command.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command's output is what it prints"
)]

mod audit;
mod bill;
mod channels;
mod check;
mod checks;
mod dev;
mod http;
mod ledger;
mod llama;
mod logging;
mod pay;
mod prices;
mod rankings;
mod receipt;
mod serve;
mod signals;
mod sim;
mod start;
mod wallet;

use crate::config::ConfigError;
use clap::{Parser, Subcommand};
use std::io::Write;
use std::process::ExitCode;

/// Exit code of a configuration with mistakes (EX_USAGE of sysexits).
const EXIT_CONFIG: u8 = 64;

/// A pay-per-call payment proxy for LLMs: a 402, a signed USDC payment, the answer, and a signed
/// receipt that passes the provider's cache discount on.
#[derive(Debug, Parser)]
#[command(
    name = "groat",
    version,
    propagate_version = true,
    after_help = "Try it: groat dev, then groat pay -m sim/small \"Hello\" with the key it prints."
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway in production
    Serve(serve::Args),
    /// Check a configuration: tells all mistakes at once, opens no port (exit code 64)
    Check(check::Args),
    /// Run everything on loopback: a local chain, a provider, a funded payer and the gateway
    Dev(dev::Args),
    /// Pay for one prompt: shows the quote, pays, streams the answer, prints the bill
    Pay(pay::Args),
    /// Look after the paying wallet: its balance, its channels, its approvals
    #[command(subcommand)]
    Wallet(wallet::Command),
    /// Run the provider simulator: prefix caching, every usage dialect, scripted failures
    Sim(sim::Args),
    /// Take model prices from LiteLLM's price map
    #[command(subcommand)]
    Prices(prices::Command),
    /// Check signed receipts
    #[command(subcommand)]
    Receipt(receipt::Command),
    /// Check or export a ledger
    #[command(subcommand)]
    Ledger(ledger::Command),
    /// Print what was sold each day, by model, endpoint and app: JSON or CSV, each day bound to the one before by its hash
    Rankings(rankings::Arguments),
    /// Look after a gateway's payment channels
    #[command(subcommand)]
    Channels(channels::Command),
}

/// Why a command failed, as its user reads it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The configuration has mistakes.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Anything else, in one sentence that says what to do.
    #[error("{0}")]
    Other(String),
}

impl Failure {
    fn other(error: impl std::fmt::Display) -> Self {
        Self::Other(error.to_string())
    }
}

/// Runs a command to its end and says how it ended.
pub fn run(cli: Cli) -> ExitCode {
    // A second installation is refused and changes nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            return failed(&Failure::other(format!(
                "the runtime cannot start: {error}"
            )));
        }
    };
    let ended = runtime.block_on(async {
        match cli.command {
            Command::Serve(args) => serve::run(args).await,
            Command::Check(args) => check::run(&args),
            Command::Dev(args) => dev::run(args).await,
            Command::Pay(args) => pay::run(args).await,
            Command::Wallet(command) => wallet::run(command).await,
            Command::Sim(args) => sim::run(args).await,
            Command::Prices(command) => prices::run(&command),
            Command::Receipt(command) => receipt::run(command).await,
            Command::Ledger(command) => ledger::run(command).await,
            Command::Rankings(arguments) => rankings::run(&arguments).await,
            Command::Channels(command) => channels::run(command).await,
        }
    });
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    ended.map_or_else(|failure| failed(&failure), |()| ExitCode::SUCCESS)
}

/// Prints text whose reader may leave early, as `head` does; that is no failure.
fn emit(text: &str) -> Result<(), Failure> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(Failure::other(error)),
        _ => Ok(()),
    }
}

fn failed(failure: &Failure) -> ExitCode {
    eprintln!("groat: {failure}");
    match failure {
        Failure::Config(_) => ExitCode::from(EXIT_CONFIG),
        Failure::Other(_) => ExitCode::FAILURE,
    }
}
