//! The one typed configuration: TOML plus named environment variables, every mistake told at once.
//!
//! Reading opens no port and starts nothing, so that `groat check` can say what is wrong safely.

mod affinity;
mod card;
mod merge;
mod pay;
mod rails;
mod reader;
mod remarks;
mod secret;
mod sections;
mod template;
mod tempo;
mod unpriced;
mod upstream;

pub use affinity::Affinity;
pub use card::{ModelCard, ProviderCard};
pub use merge::overlay;
pub use pay::{PayConfig, PayProtocol};
pub use rails::{
    ChannelsConfig, ContractsConfig, ExposureConfig, MppConfig, RailKind, SettlerConfig,
};
pub use reader::{Environment, Mistake};
pub use secret::Secret;
pub use sections::{AssetConfig, ChainConfig, GatewayConfig, PaymentConfig};
pub use tempo::TempoConfig;
pub use unpriced::UnpricedModel;
#[cfg(test)]
pub(crate) use upstream::upstreams_of;
pub use upstream::{ModelConfig, QUANTIZATIONS, UpstreamConfig, UpstreamKey};

use reader::Reader;
use std::path::Path;
use toml::Table;

/// Everything `groat serve` needs to know.
#[derive(Debug, Clone)]
pub struct Config {
    /// How Groat itself listens, stores and stops.
    pub gateway: GatewayConfig,
    /// The chain that payments settle on.
    pub chain: ChainConfig,
    /// The stablecoin that is taken.
    pub asset: AssetConfig,
    /// Who is paid, when settlements are sent, and with which keys.
    pub payment: PaymentConfig,
    /// What may be owed before it is settled.
    pub exposure: ExposureConfig,
    /// How the same is asked for by MPP.
    pub mpp: MppConfig,
    /// What the rails of Tempo need.
    pub tempo: TempoConfig,
    /// How channels are offered and looked after.
    pub channels: ChannelsConfig,
    /// The contract that settles many payments in one transaction.
    pub settler: SettlerConfig,
    /// Where the x402 contracts stand.
    pub contracts: ContractsConfig,
    /// The providers and routers that calls are forwarded to.
    pub upstreams: Vec<UpstreamConfig>,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{0} cannot be read: {1}")]
    Unreadable(String, std::io::Error),
    /// The text is not TOML.
    #[error("{0} is not valid TOML: {1}")]
    NotToml(String, String),
    /// The configuration has mistakes; all of them are listed.
    #[error("{} in the configuration:\n{}", count(.0.len()), list(.0))]
    Mistakes(Vec<Mistake>),
}

impl Config {
    /// Reads a configuration file, with secrets from the process environment.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        Self::from_table(read_table(path)?, &from_environment)
    }

    /// Reads a configuration from a parsed TOML table.
    pub fn from_table(table: Table, environment: Environment<'_>) -> Result<Self, ConfigError> {
        let mut root = Reader::new(table, "", environment);
        let mut mistakes = Vec::new();
        let gateway = GatewayConfig::read(root.table("gateway"), &mut mistakes);
        let chain = ChainConfig::read(root.table("chain"), &mut mistakes);
        let asset = AssetConfig::read(root.table("asset"), &mut mistakes);
        let payment = PaymentConfig::read(root.table("payment"), asset.decimals, &mut mistakes);
        let exposure = ExposureConfig::read(root.table("exposure"), asset.decimals, &mut mistakes);
        let mpp = MppConfig::read(
            root.table("mpp"),
            payment.max_timeout_seconds,
            &mut mistakes,
        );
        let tempo = TempoConfig::read(
            root.table("tempo"),
            (chain.chain_id, asset.decimals),
            &payment.rails,
            &mut mistakes,
        );
        if !mpp.enabled && payment.rails.iter().any(|rail| !rail.is_x402()) {
            root.wrong(
                "mpp.enabled",
                "must be true: the rails of Tempo are MPP's alone",
            );
        }
        let channels = ChannelsConfig::read(root.table("channels"), asset.decimals, &mut mistakes);
        let settler = SettlerConfig::read(root.table("settler"), &mut mistakes);
        let contracts = ContractsConfig::read(root.table("contracts"), &mut mistakes);
        let upstreams = UpstreamConfig::read_all(root.tables("upstream"), &mut mistakes);
        if upstreams.is_empty() {
            root.wrong(
                "upstream",
                "at least one [[upstream]] with one [[upstream.model]] is required",
            );
        }
        for mistake in upstream::clashes(&upstreams) {
            root.wrong("upstream", mistake);
        }
        root.absorb(mistakes);
        let mistakes = root.finish();
        if mistakes.is_empty() {
            Ok(Self {
                gateway,
                chain,
                asset,
                payment,
                exposure,
                mpp,
                tempo,
                channels,
                settler,
                contracts,
                upstreams,
            })
        } else {
            Err(ConfigError::Mistakes(mistakes))
        }
    }
}

/// A setting of the process environment; the one place that reads it.
#[expect(clippy::disallowed_methods, reason = "this is where settings are read")]
pub fn from_environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Reads a file as a TOML table.
pub fn read_table(path: &Path) -> Result<Table, ConfigError> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path)
        .map_err(|error| ConfigError::Unreadable(name.clone(), error))?;
    text.parse()
        .map_err(|error: toml::de::Error| ConfigError::NotToml(name, error.to_string()))
}

fn count(n: usize) -> String {
    if n == 1 {
        "1 mistake".to_owned()
    } else {
        format!("{n} mistakes")
    }
}

fn list(mistakes: &[Mistake]) -> String {
    let lines: Vec<String> = mistakes
        .iter()
        .map(|mistake| format!("  {mistake}"))
        .collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests;
