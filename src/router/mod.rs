//! Upstreams: which endpoints may answer a model, and how a body reaches one and comes back.
//!
//! The body that goes up is the caller's, byte for byte but for the spliced members; what comes back
//! is a stream of bytes with its failures named, never an upstream's challenge.

mod catalogue;
mod choose;
mod client;
mod conversation;
mod effective;
mod endpoint;
mod failure;
mod headers;
mod health;
mod paid;
mod pins;
mod upstream;
mod wanted;

pub use catalogue::{Catalogue, Unread};
pub use choose::{Choice, drawn, misses, ranked};
pub use conversation::{Conversation, Namer};
pub use effective::{
    Outlook, WHOLE, Warmth, conversation as conversation_cost, list as list_cost, next_call,
};
pub use endpoint::{Busy, Endpoint};
pub use failure::{Fault, UpstreamFailure};
pub use headers::forwardable_request_headers;
pub use health::Health;
pub use paid::{Bought, Buy, Buyers, Close, Order, Purchase, Receipted};
pub use pins::{Pin, Pins};
pub use upstream::{Account, Upstream, UpstreamAnswer};
pub use wanted::{Bounds, Elsewhere, Sort, Suffix, Wanted, WantedMistake};

use crate::config::UpstreamConfig;
use std::collections::BTreeMap;
use std::sync::Arc;

/// All endpoints, by the model id that callers ask for.
#[derive(Debug, Clone, Default)]
pub struct Router {
    models: BTreeMap<String, Arc<Model>>,
    aliases: BTreeMap<String, String>,
}

/// A model and the endpoints that can answer it.
#[derive(Debug)]
pub struct Model {
    /// The id that callers ask for.
    pub id: String,
    /// Its endpoints in the order of the configuration; never empty.
    pub endpoints: Vec<Arc<Endpoint>>,
}

impl Router {
    /// Builds the endpoints of a configuration, with who buys at those that are paid for each call; fails
    /// when an HTTP client cannot be built.
    pub fn new(upstreams: &[UpstreamConfig], buyers: &Buyers) -> Result<Self, reqwest::Error> {
        let mut models: BTreeMap<String, Vec<Arc<Endpoint>>> = BTreeMap::new();
        let mut aliases = BTreeMap::new();
        for config in upstreams {
            let upstream = Arc::new(Upstream::new(config, buyers)?);
            for model in &config.models {
                let endpoint = Arc::new(Endpoint::new(&upstream, model));
                models.entry(model.id.clone()).or_default().push(endpoint);
                let named = model.aliases.iter();
                aliases.extend(named.map(|alias| (alias.clone(), model.id.clone())));
            }
        }
        let models = models.into_iter().map(|(id, endpoints)| {
            let model = Model {
                id: id.clone(),
                endpoints,
            };
            (id, Arc::new(model))
        });
        Ok(Self {
            models: models.collect(),
            aliases,
        })
    }

    /// The model of an id or an alias.
    pub fn model(&self, name: &str) -> Option<&Arc<Model>> {
        let id = self.aliases.get(name).map_or(name, String::as_str);
        self.models.get(id)
    }

    /// The model that a caller's name stands for, and what its suffix asks for beside that.
    pub fn asked(&self, name: &str) -> Option<(&Arc<Model>, Option<Suffix>)> {
        if let Some(model) = self.model(name) {
            return Some((model, None));
        }
        let (id, suffix) = Suffix::split(name);
        Some((self.model(id)?, Some(suffix?)))
    }

    /// All endpoints, ordered by their models' ids.
    pub fn endpoints(&self) -> impl Iterator<Item = &Arc<Endpoint>> {
        self.models.values().flat_map(|model| &model.endpoints)
    }

    /// All models, ordered by id.
    pub fn models(&self) -> impl Iterator<Item = &Arc<Model>> {
        self.models.values()
    }
}
