//! What a run found: as JSON, as a table, as pictures.

pub(crate) mod figures;
pub(crate) mod goals;
pub(crate) mod json;
pub(crate) mod machine;
pub(crate) mod plot;
pub(crate) mod table;

use super::Outcome;
use super::bare::Bare;
use super::books::Books;
use super::memory::{Soak, Streams};
use super::model::Tokens;
use super::session::{Line, NotRun};
use machine::Machine;
use std::path::Path;

/// All that a run found.
#[derive(Debug)]
pub(crate) struct Results {
    pub(crate) machine: Machine,
    /// `quick` or `full`.
    pub(crate) plan: &'static str,
    pub(crate) peers: Vec<Known>,
    pub(crate) lines: Vec<Line>,
    pub(crate) not_run: Vec<NotRun>,
    pub(crate) bare: Option<Bare>,
    pub(crate) books: Option<Books>,
    pub(crate) streams: Option<Streams>,
    pub(crate) soak: Option<Soak>,
    pub(crate) tokens: Option<Tokens>,
    /// Durable events a second with 64 writers.
    pub(crate) ledger_events: Option<f64>,
}

/// A peer that was looked for.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) name: String,
    pub(crate) note: String,
}

/// Where the table stands in the page; the rest of it is somebody else's.
const BEGIN: &str = "<!-- scripts/bench writes from here -->";
const END: &str = "<!-- to here -->";

/// Writes `latest.json`, the pictures, and the table in `README.md`.
pub(crate) fn write(results: &Results, folder: &Path) -> Outcome<()> {
    std::fs::create_dir_all(folder)?;
    let json = serde_json::to_string_pretty(&json::json(results))?;
    std::fs::write(folder.join("latest.json"), json + "\n")?;
    plot::plot(&results.lines, folder)?;
    let page = folder.join("README.md");
    let text = std::fs::read_to_string(&page).unwrap_or_default();
    std::fs::write(page, replaced(&text, &table::table(results)))?;
    Ok(())
}

/// The page with a new table, at its end if it has none yet.
pub(crate) fn replaced(page: &str, table: &str) -> String {
    let table = format!("{BEGIN}\n\n{}\n\n{END}", table.trim());
    let old = page.split_once(BEGIN).and_then(|(before, rest)| {
        let (_, after) = rest.split_once(END)?;
        Some((before, after))
    });
    match old {
        Some((before, after)) => format!("{before}{table}{after}"),
        None if page.trim().is_empty() => format!("{table}\n"),
        None => format!("{}\n\n{table}\n", page.trim_end()),
    }
}

/// Durable events a second of whole calls by 64 writers, out of what the ledger's own benchmark printed.
pub(crate) fn ledger_events(printed: &str) -> Option<f64> {
    let lines = printed.lines();
    let mut lines = lines.filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let found = lines.find(|line| line["what"] == "calls" && line["writers"] == 64)?;
    found["per_second"].as_f64()
}
