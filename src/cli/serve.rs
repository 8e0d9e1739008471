use super::signals::Shutdown;
use super::start::Gateway;
use super::{Failure, logging};
use crate::config::Config;
use std::path::PathBuf;
use tokio::signal::unix::{SignalKind, signal};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "SIGTERM drains: calls under way finish or are billed. SIGHUP reads the prices anew.\nGROAT_LOG sets the log filter, GROAT_LOG_FORMAT=json its form."
)]
pub(super) struct Args {
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value = "groat.toml")]
    config: PathBuf,
}

pub(super) async fn run(args: Args) -> Result<(), Failure> {
    let config = Config::load(&args.config)?;
    logging::start("info");
    let mut shutdown = Shutdown::listen()?;
    let mut reload = signal(SignalKind::hangup()).map_err(Failure::other)?;
    let mut gateway = Gateway::start(&config).await?;
    loop {
        tokio::select! {
            () = shutdown.asked() => break,
            failure = gateway.ended() => return Err(failure),
            _ = reload.recv() => match Config::load(&args.config) {
                Ok(config) => {
                    gateway.reprice(&config)?;
                    tracing::info!("the prices were read anew");
                }
                Err(error) => tracing::error!(%error, "the configuration was not taken; the old prices stay"),
            },
        }
    }
    gateway.stop().await;
    Ok(())
}
