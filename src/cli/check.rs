use super::Failure;
use crate::config::Config;
use crate::pricing::lint;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value = "groat.toml")]
    config: PathBuf,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let config = Config::load(&args.config)?;
    let models: Vec<_> = config
        .upstreams
        .iter()
        .flat_map(|upstream| &upstream.models)
        .collect();
    for model in &models {
        for remark in lint(&model.price) {
            println!("note: {}: {remark}", model.id);
        }
    }
    println!(
        "{} is good: {} models at {} upstreams",
        args.config.display(),
        models.len(),
        config.upstreams.len()
    );
    Ok(())
}
