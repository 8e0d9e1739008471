//! `groat rankings`: what was sold each day, from the ledger's log.

use super::ledger::Source;
use super::{Failure, emit, logging};
use crate::call::SalesReader;
use crate::clock::now_ms;
use crate::stats::rankings::Rankings;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    source: Source,
    /// The first day, such as 2026-11-01
    #[arg(long, default_value = "")]
    from: String,
    /// The last day
    #[arg(long, default_value = "9999-12-31")]
    to: String,
    /// How it is printed
    #[arg(long, value_enum, default_value = "json")]
    format: Format,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Format {
    Json,
    Csv,
}

pub(super) async fn run(arguments: &Arguments) -> Result<(), Failure> {
    logging::start("warn");
    let export = arguments.source.export().await?;
    let mut reader = SalesReader::default();
    let mut rankings = Rankings::default();
    for line in export.lines() {
        let entry = serde_json::from_str(line).map_err(|error| unreadable(&error))?;
        if let Some(sale) = reader.read(&entry).map_err(|error| unreadable(&error))? {
            rankings.add(sale);
        }
    }
    let dataset = rankings.dataset(&arguments.from, &arguments.to, now_ms());
    match arguments.format {
        Format::Json => {
            let text = serde_json::to_string_pretty(&dataset).map_err(Failure::other)?;
            emit(&format!("{text}\n"))
        }
        Format::Csv => emit(&dataset.csv()),
    }
}

fn unreadable(error: &serde_json::Error) -> Failure {
    Failure::other(format!("the export cannot be read: {error}"))
}
