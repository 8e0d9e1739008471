use super::{Failure, emit};
use crate::pricing::PriceText;
use crate::pricing::litellm::{ImportedRow, PINNED, PriceMap};
use serde::Serialize;
use std::path::PathBuf;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Print a model's entry for the configuration, from LiteLLM's price map
    Import {
        /// The map's key, such as deepseek/deepseek-chat
        key: String,
        #[command(flatten)]
        map: Map,
    },
    /// List the map's chat models, those that cannot be priced with the reason
    List {
        /// Only keys that contain this
        #[arg(default_value = "")]
        contains: String,
        #[command(flatten)]
        map: Map,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct Map {
    /// A newer model_prices_and_context_window.json than the one that is built in
    #[arg(long, value_name = "FILE")]
    map: Option<PathBuf>,
}

#[derive(Serialize)]
struct Upstream {
    upstream: [Models; 1],
}

#[derive(Serialize)]
struct Models {
    model: [Model; 1],
}

#[derive(Serialize)]
struct Model {
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    context_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_max: Option<u64>,
    price: PriceText,
}

pub(super) fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::Import { key, map } => {
            let text = map.text()?;
            let map = PriceMap::parse(&text).map_err(Failure::other)?;
            let row = map
                .import(key)
                .map_err(|error| Failure::other(format!("{key}: {error}")))?;
            emit(&entry(key, &row)?)?;
        }
        Command::List { contains, map } => {
            let text = map.text()?;
            let map = PriceMap::parse(&text).map_err(Failure::other)?;
            let lines = map
                .keys()
                .filter(|key| key.contains(contains.as_str()))
                .map(|key| match map.import(key) {
                    Ok(_) => format!("{key}\n"),
                    Err(error) => format!("{key}: not taken: {error}\n"),
                });
            emit(&lines.collect::<String>())?;
        }
    }
    Ok(())
}

/// The entry as it goes below an `[[upstream]]`, with what is to be known of it as comments.
fn entry(key: &str, row: &ImportedRow) -> Result<String, Failure> {
    let upstream = Upstream {
        upstream: [Models {
            model: [Model {
                id: key.to_owned(),
                context_tokens: row.context_tokens,
                output_max: row.max_output_tokens,
                price: PriceText::of(&row.row),
            }],
        }],
    };
    let text = toml::to_string(&upstream).map_err(Failure::other)?;
    let body = text.replacen("[[upstream]]\n", "", 1);
    let notes: String = row.notes.iter().map(|note| format!("# {note}\n")).collect();
    Ok(format!(
        "# from LiteLLM's price map; check it against what you pay\n{notes}{}",
        body.trim_start()
    ))
}

impl Map {
    fn text(&self) -> Result<String, Failure> {
        match &self.map {
            None => Ok(PINNED.to_owned()),
            Some(path) => std::fs::read_to_string(path)
                .map_err(|error| Failure::other(format!("{}: {error}", path.display()))),
        }
    }
}
