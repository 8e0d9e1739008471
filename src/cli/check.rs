use super::Failure;
use crate::config::Config;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value = "groat.toml")]
    config: PathBuf,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let config = Config::load(&args.config)?;
    for remark in config.remarks() {
        println!("note: {remark}");
    }
    let models = config
        .upstreams
        .iter()
        .map(|upstream| upstream.models.len() + upstream.unpriced.len());
    println!(
        "{} is good: {} models at {} upstreams",
        args.config.display(),
        models.sum::<usize>(),
        config.upstreams.len()
    );
    Ok(())
}
