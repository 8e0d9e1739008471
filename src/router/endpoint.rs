use super::upstream::{Upstream, stable_id};
use super::wanted::LISTED_EVERYWHERE;
use crate::config::ModelConfig;
use crate::metering::{Dialect, Route};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// One model at one upstream: what it costs, how it counts, who answers.
#[derive(Debug)]
pub struct Endpoint {
    /// The model as configured: ids, limits, price row.
    pub model: ModelConfig,
    /// Tells it from all others, after a restart as well.
    pub id: u64,
    /// SHA-256 of its price row.
    pub price_row: [u8; 32],
    /// Who answers.
    pub upstream: Arc<Upstream>,
    busy: AtomicUsize,
}

/// A call under way at an endpoint, until this is dropped.
#[derive(Debug)]
pub struct Busy(Arc<Endpoint>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.busy.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Endpoint {
    pub(super) fn new(upstream: &Arc<Upstream>, model: &ModelConfig) -> Self {
        Self {
            id: stable_id(&[&upstream.name, &model.tag, &model.id]),
            model: model.clone(),
            price_row: model.price.sha256(),
            upstream: Arc::clone(upstream),
            busy: AtomicUsize::new(0),
        }
    }

    /// The slug by which callers and receipts name it.
    pub fn tag(&self) -> &str {
        &self.model.tag
    }

    /// Whether the model answers on a route.
    pub fn speaks(&self, route: Route) -> bool {
        self.model.routes.contains(&route)
    }

    /// How many calls are under way.
    pub fn busy(&self) -> usize {
        self.busy.load(Ordering::Relaxed)
    }

    /// Counts a call that begins.
    pub fn begin(self: &Arc<Self>) -> Busy {
        self.busy.fetch_add(1, Ordering::Relaxed);
        Busy(Arc::clone(self))
    }

    /// Whether a slug names it: its own, that of a group of tags (`deepinfra` for `deepinfra/fp4`), its
    /// upstream's name, or that with the region behind it (`google-vertex/us-east5`).
    pub fn is_named(&self, slug: &str) -> bool {
        let is = |name: &str| name.eq_ignore_ascii_case(slug);
        let behind = |whole: &str, group: &str| {
            let head = whole.get(..group.len());
            head.is_some_and(|head| head.eq_ignore_ascii_case(group))
                && whole
                    .get(group.len()..)
                    .is_some_and(|rest| rest.starts_with('/'))
        };
        let upstream = &self.upstream;
        let in_region = || {
            let (name, place) = slug.rsplit_once('/').unwrap_or_default();
            let there = |region: &str| place.eq_ignore_ascii_case(region);
            name.eq_ignore_ascii_case(&upstream.name)
                && upstream.region.as_deref().is_some_and(there)
        };
        is(self.tag()) || is(&upstream.name) || behind(self.tag(), slug) || in_region()
    }

    /// The parameters that it is taken to obey, sorted.
    pub fn parameters(&self) -> BTreeSet<&str> {
        let own = self.model.parameters.iter().map(String::as_str);
        own.chain(LISTED_EVERYWHERE).collect()
    }

    /// Whether it is an OpenRouter, which chooses among providers itself.
    pub fn is_router(&self) -> bool {
        self.model.dialect == Dialect::OpenRouter
    }

    /// The id the upstream knows the model by.
    pub fn upstream_id(&self) -> &str {
        self.model.upstream_id.as_deref().unwrap_or(&self.model.id)
    }
}
