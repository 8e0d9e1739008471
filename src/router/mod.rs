//! Upstreams: which endpoint answers a model, and how a body reaches it and comes back.
//!
//! The body that goes up is the caller's, byte for byte but for the spliced members; what comes back
//! is a stream of bytes with its failures named, never an upstream's challenge.

mod endpoint;
mod failure;
mod headers;

pub use endpoint::{Endpoint, UpstreamAnswer};
pub use failure::UpstreamFailure;
pub use headers::forwardable_request_headers;

use crate::config::UpstreamConfig;
use std::collections::BTreeMap;
use std::sync::Arc;

/// All endpoints, by the model id that callers ask for.
#[derive(Debug, Clone, Default)]
pub struct Router {
    endpoints: BTreeMap<String, Arc<Endpoint>>,
}

impl Router {
    /// Builds the endpoints of a configuration; fails when the HTTP client cannot be built.
    pub fn new(upstreams: &[UpstreamConfig]) -> Result<Self, reqwest::Error> {
        let mut endpoints = BTreeMap::new();
        for upstream in upstreams {
            let client = endpoint::client(upstream)?;
            for model in &upstream.models {
                let endpoint = Endpoint::new(client.clone(), upstream, model);
                endpoints.insert(model.id.clone(), Arc::new(endpoint));
            }
        }
        Ok(Self { endpoints })
    }

    /// The endpoint that answers a model.
    pub fn endpoint(&self, model: &str) -> Option<&Arc<Endpoint>> {
        self.endpoints.get(model)
    }

    /// All endpoints, ordered by model id.
    pub fn endpoints(&self) -> impl Iterator<Item = &Arc<Endpoint>> {
        self.endpoints.values()
    }
}
