//! The gateway as a payer (`docs/relay.md`): upstreams that are paid for each call, each out of a budget.

mod budget;
mod buyer;
mod paid;

use crate::config::{Config, PayConfig};
use crate::ledger::{Ledger, LedgerError};
use crate::protocol::signature::{Key, SignatureError};
use crate::router::{Buy, Buyers};
use crate::stats::Metrics;
use crate::wallet::{Asset, Store};
use budget::Account;
use buyer::Buyer;
use std::sync::Arc;

/// The file in the data folder in which whom upstreams let be paid, and who signs their receipts, is kept.
const FILE: &str = "wallet.json";

/// Why upstreams cannot be paid.
#[derive(Debug, thiserror::Error)]
pub enum BuyingError {
    /// What was paid already cannot be read.
    #[error("what was paid to upstreams cannot be read: {0}")]
    Ledger(#[from] LedgerError),
    /// A key is none.
    #[error("an upstream's pay.key is no private key: {0}")]
    Key(#[from] SignatureError),
}

/// Who pays the upstreams of a configuration that are paid for each call.
pub fn buyers(
    config: &Config,
    ledger: &Ledger,
    metrics: &Arc<Metrics>,
) -> Result<Buyers, BuyingError> {
    let mut buyers = Buyers::default();
    for upstream in &config.upstreams {
        let Some(pay) = &upstream.pay else { continue };
        let buyer = buyer(config, &upstream.name, pay, (ledger, metrics))?;
        buyers.insert(&upstream.name, buyer);
    }
    Ok(buyers)
}

fn buyer(
    config: &Config,
    upstream: &str,
    pay: &PayConfig,
    (ledger, metrics): (&Ledger, &Arc<Metrics>),
) -> Result<Buy, BuyingError> {
    let rpc_url = pay.rpc_url.as_ref().unwrap_or(&config.chain.rpc_url);
    let account = Account::open(upstream, pay.budget, ledger, metrics)?;
    let buyer = Arc::new(Buyer {
        upstream: upstream.to_owned(),
        key: Key::from_hex(pay.key.reveal())?,
        protocol: pay.protocol,
        rail: pay.rail,
        rpc_url: rpc_url.clone(),
        store: Store::new(config.gateway.data_dir.join(FILE)),
        own_asset: Asset {
            address: config.asset.address,
            symbol: "tokens",
            decimals: config.asset.decimals,
        },
        account,
        metrics: Arc::clone(metrics),
    });
    Ok(Arc::new(move |order| {
        let buyer = Arc::clone(&buyer);
        Box::pin(buyer.buy(order))
    }))
}
