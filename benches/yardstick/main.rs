//! The yardstick: Groat beside what does the same work, in one run. `scripts/bench` sets it up and runs it.

mod yard;

use clap::builder::PossibleValuesParser;
use clap::{Parser, Subcommand};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use yard::Outcome;
use yard::plan::Plan;
use yard::report::{Known, Results, machine};
use yard::run::{Found, MEASURES, Wanted, run};
use yard::session::{Session, tell};
use yard::stage::{Place, Stage};

#[derive(Debug, Parser)]
#[command(about = "Measures Groat beside what does the same work, in one run")]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// A few minutes instead of 40
    #[arg(long)]
    quick: bool,
    /// Only this measure (may be repeated)
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(MEASURES))]
    measure: Vec<String>,
    /// Only arms whose names contain this, beside direct and nginx (may be repeated)
    #[arg(long, value_name = "PART")]
    arm: Vec<String>,
    /// Measure each stretch for so many seconds
    #[arg(long)]
    seconds: Option<f64>,
    /// Let the soak, which makes a million calls, take so many minutes at most
    #[arg(long, value_name = "MINUTES")]
    soak_minutes: Option<u64>,
    /// Measure at these numbers of connections
    #[arg(long, value_delimiter = ',', value_name = "N,…")]
    connections: Vec<usize>,
    /// The list of peers
    #[arg(long, value_name = "FILE")]
    peers: Option<PathBuf>,
    /// llama.cpp's server
    #[arg(long, env = "GROAT_LLAMA_SERVER", value_name = "FILE")]
    llama_server: Option<PathBuf>,
    /// Its model
    #[arg(long, env = "GROAT_LLAMA_MODEL", value_name = "FILE")]
    llama_model: Option<PathBuf>,
    /// What `cargo bench --bench ledger -- --json` printed
    #[arg(long, value_name = "FILE")]
    ledger: Option<PathBuf>,
    /// Write latest.json, the table and the pictures into this folder; without it they go to the build's own
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Put the load and the null upstream into this process, for a debugger: figures mean nothing then
    #[arg(long)]
    here: bool,
    /// Cargo says so to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Put load on a server, as a job says
    #[command(hide = true)]
    Load { job: PathBuf },
    /// Be the null upstream
    Null,
    /// Be a proxy that only passes on
    #[command(hide = true)]
    Pass { upstream: SocketAddr },
}

#[tokio::main]
async fn main() -> ExitCode {
    match begin(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

async fn begin(arguments: Arguments) -> Outcome<()> {
    match &arguments.command {
        Some(Command::Load { job }) => {
            let job = serde_json::from_slice(&std::fs::read(job)?)?;
            say(&serde_json::to_string(&yard::load::run(job).await?)?);
            Ok(())
        }
        Some(Command::Null) => yard::null::serve(listener().await?).await,
        Some(Command::Pass { upstream }) => yard::pass::serve(listener().await?, *upstream).await,
        None => tokio::select! {
            measured = measure(&arguments) => measured,
            // What was started ends with what is dropped here.
            interrupted = interrupted() => {
                interrupted?;
                Err("interrupted; nothing was written".into())
            }
        },
    }
}

/// A port of its own, which is told.
async fn listener() -> std::io::Result<TcpListener> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    say(&format!("ready {}", listener.local_addr()?));
    Ok(listener)
}

/// Resolves at SIGINT or SIGTERM.
async fn interrupted() -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted,
        _ = terminate.recv() => Ok(()),
    }
}

async fn measure(arguments: &Arguments) -> Outcome<()> {
    let place = match arguments.here {
        true => Place::Here,
        false => Place::Processes(std::env::current_exe()?),
    };
    let binary = PathBuf::from(env!("CARGO_BIN_EXE_groat"));
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let mut machine = machine::Machine::look(folder);
    let wanted = wanted(arguments);
    let stage = Stage::set(place, binary, folder).await?;
    let mut session = Session::new(stage);
    let found = run(&mut session, &wanted).await?;
    machine.nginx = found.nginx.clone();
    machine.anvil = anvil();
    let results = results(arguments, &wanted, machine, session, found)?;
    let out = arguments.out.clone();
    let out = out.unwrap_or_else(|| folder.join("performance"));
    yard::report::write(&results, &out)?;
    say(&yard::report::table::table(&results));
    tell(&format!("written to {}", out.display()));
    Ok(())
}

fn wanted(arguments: &Arguments) -> Wanted {
    let mut plan = match arguments.quick {
        true => Plan::quick(),
        false => Plan::full(),
    };
    if let Some(seconds) = arguments.seconds {
        for times in [
            &mut plan.latency.0,
            &mut plan.saturation.0,
            &mut plan.bodies.0,
            &mut plan.gaps,
        ] {
            times.seconds = seconds;
        }
    }
    if let Some(minutes) = arguments.soak_minutes {
        plan.soak.1 = Duration::from_secs(minutes.saturating_mul(60));
    }
    if !arguments.connections.is_empty() {
        plan.saturation.1.clone_from(&arguments.connections);
    }
    let model = arguments.llama_server.clone();
    Wanted {
        plan,
        measures: arguments.measure.clone(),
        arms: arguments.arm.clone(),
        peers: arguments.peers.clone(),
        model: model.zip(arguments.llama_model.clone()),
    }
}

fn results(
    arguments: &Arguments,
    wanted: &Wanted,
    machine: machine::Machine,
    session: Session,
    found: Found,
) -> Outcome<Results> {
    let peers = match &arguments.peers {
        Some(list) => yard::peers::read(list)?,
        None => Vec::new(),
    };
    let ledger = arguments.ledger.as_ref().map(std::fs::read_to_string);
    Ok(Results {
        machine,
        plan: wanted.plan.name,
        peers: peers
            .into_iter()
            .map(|peer| Known {
                name: peer.name,
                note: peer.note,
            })
            .collect(),
        lines: session.lines,
        not_run: session.not_run,
        bare: found.bare,
        books: found.books,
        streams: found.streams,
        soak: found.soak,
        tokens: found.tokens,
        ledger_events: ledger
            .transpose()?
            .as_deref()
            .and_then(yard::report::ledger_events),
    })
}

fn anvil() -> String {
    let program = groat::chain::dev::locate_anvil().ok();
    let program = program.as_ref().and_then(|path| path.to_str());
    program
        .map(|path| machine::said(path, &["--version"]))
        .unwrap_or_default()
}

#[expect(clippy::print_stdout, reason = "what is asked for is what is printed")]
fn say(line: &str) {
    println!("{line}");
}
