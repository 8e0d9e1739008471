//! The price tables in force: the current one, and older ones in their grace time.
//!
//! Offers are recomputed from the request, so a payment signed before a price change is only
//! recognised while the old table is remembered; across a restart the data folder remembers it.

use crate::config::UpstreamConfig;
use crate::pricing::PriceRow;
use crate::router::{Buyers, Router};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

/// The file in the data folder that holds the rows last in force.
const FILE: &str = "prices.json";

/// The price tables in force, newest first; never empty.
#[derive(Debug)]
pub struct PriceBook {
    buyers: Buyers,
    grace: Duration,
    file: PathBuf,
    tables: RwLock<Vec<PriceTable>>,
}

#[derive(Debug)]
struct PriceTable {
    router: Arc<Router>,
    until: Option<Instant>,
}

impl PriceBook {
    /// Puts the prices of a configuration in force, and those remembered in `folder` in their grace
    /// time where they differ; `buyers` buy at the upstreams that are paid. Fails when an HTTP client cannot be built.
    pub fn open(
        upstreams: &[UpstreamConfig],
        buyers: Buyers,
        grace: Duration,
        folder: &Path,
    ) -> Result<Self, reqwest::Error> {
        let file = folder.join(FILE);
        let mut tables = vec![PriceTable {
            router: Arc::new(Router::new(upstreams, &buyers)?),
            until: None,
        }];
        if let Some(older) = remembered(&file).and_then(|rows| repriced(upstreams, &rows)) {
            tables.push(PriceTable {
                router: Arc::new(Router::new(&older, &buyers)?),
                until: Instant::now().checked_add(grace),
            });
        }
        remember(&file, upstreams);
        Ok(Self {
            buyers,
            grace,
            file,
            tables: RwLock::new(tables),
        })
    }

    /// The current table.
    pub fn current(&self) -> Arc<Router> {
        let tables = self.tables.read().unwrap_or_else(PoisonError::into_inner);
        let current = tables.first().map(|table| Arc::clone(&table.router));
        current.unwrap_or_default()
    }

    /// All tables that are still taken, the current one first.
    pub fn live(&self) -> Vec<Arc<Router>> {
        let now = Instant::now();
        let tables = self.tables.read().unwrap_or_else(PoisonError::into_inner);
        let live = tables.iter().filter(|table| table.is_live(now));
        live.map(|table| Arc::clone(&table.router)).collect()
    }

    /// Puts new prices in force; those before are taken for the grace time.
    pub fn reprice(&self, upstreams: &[UpstreamConfig]) -> Result<(), reqwest::Error> {
        let router = Arc::new(Router::new(upstreams, &self.buyers)?);
        let now = Instant::now();
        let mut tables = self.tables.write().unwrap_or_else(PoisonError::into_inner);
        tables.retain(|table| table.is_live(now));
        for table in tables.iter_mut() {
            table.until = table.until.or(now.checked_add(self.grace));
        }
        tables.insert(
            0,
            PriceTable {
                router,
                until: None,
            },
        );
        drop(tables);
        remember(&self.file, upstreams);
        Ok(())
    }
}

impl PriceTable {
    fn is_live(&self, now: Instant) -> bool {
        self.until.is_none_or(|until| until > now)
    }
}

/// The rows last in force, by model and endpoint.
type Rows = BTreeMap<String, BTreeMap<String, PriceRow>>;

fn remembered(file: &Path) -> Option<Rows> {
    serde_json::from_slice(&std::fs::read(file).ok()?).ok()
}

/// A folder that cannot be written costs the grace time across a restart and nothing else.
fn remember(file: &Path, upstreams: &[UpstreamConfig]) {
    let mut rows = Rows::new();
    for model in upstreams.iter().flat_map(|upstream| &upstream.models) {
        let endpoints = rows.entry(model.id.clone()).or_default();
        endpoints.insert(model.tag.clone(), model.price.clone());
    }
    let anew = file.with_extension("new");
    let written = serde_json::to_vec(&rows)
        .map_err(std::io::Error::other)
        .and_then(|text| std::fs::write(&anew, text))
        .and_then(|()| std::fs::rename(&anew, file));
    if let Err(error) = written {
        tracing::warn!(%error, "the prices in force are not remembered for the next start");
    }
}

/// The upstreams at remembered prices, and without the endpoints that are new; `None` when these are
/// the same.
fn repriced(upstreams: &[UpstreamConfig], rows: &Rows) -> Option<Vec<UpstreamConfig>> {
    let mut older = upstreams.to_vec();
    let mut changed = false;
    for upstream in &mut older {
        upstream.models.retain_mut(|model| {
            let row = rows.get(&model.id).and_then(|rows| rows.get(&model.tag));
            let Some(row) = row else {
                changed = true;
                return false;
            };
            if *row != model.price {
                model.price = row.clone();
                changed = true;
            }
            true
        });
    }
    changed.then_some(older)
}
