use super::signals::Shutdown;
use super::{Failure, logging};
use crate::sim::{SimConfig, serve};
use std::net::SocketAddr;
use std::path::PathBuf;
use tokio::net::TcpListener;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Models are named sim/small, sim/<dialect>, or scripted in the name: sim/gpt?out=20&delay=50&cut=3.\ndocs/sim.md has the whole language."
)]
pub(super) struct Args {
    /// Where to listen
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4022")]
    listen: SocketAddr,
    /// Behaviour by model, in TOML
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub(super) async fn run(args: Args) -> Result<(), Failure> {
    logging::start("info");
    let config = match &args.config {
        Some(path) => {
            let table = crate::config::read_table(path)?;
            table
                .try_into()
                .map_err(|error| Failure::other(format!("{}: {error}", path.display())))?
        }
        None => SimConfig::default(),
    };
    let mut shutdown = Shutdown::listen()?;
    let listener = TcpListener::bind(args.listen)
        .await
        .map_err(|error| Failure::other(format!("cannot listen on {}: {error}", args.listen)))?;
    let address = listener.local_addr().map_err(Failure::other)?;
    println!("the simulator answers at http://{address}/v1");
    serve(listener, config, async move { shutdown.asked().await })
        .await
        .map_err(Failure::other)
}
