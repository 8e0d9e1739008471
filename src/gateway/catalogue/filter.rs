//! What a caller wants listed, by OpenRouter's query parameters.

use super::App;
use super::model::{Listed, price};
use crate::clock::now_ms;
use crate::money::Rate;
use crate::router::Endpoint;
use crate::stats::{Percentiles, Tally, Window};
use std::cmp::Reverse;

/// The most models on one page that was asked for.
const LIMIT_MAX: usize = 1000;

const DAY_S: u64 = 86_400;

/// OpenRouter's filters of which nothing is known here: to pass over one would be to list what it was to
/// leave out.
const UNKNOWN: [&str; 12] = [
    "arch",
    "before_id",
    "category",
    "distillable",
    "max_agentic_index",
    "max_coding_index",
    "max_intelligence_index",
    "max_tool_success_rate",
    "min_agentic_index",
    "min_coding_index",
    "min_intelligence_index",
    "min_tool_success_rate",
];

/// What is listed, in which order, and how much of it.
#[derive(Debug, Default)]
pub(super) struct Filter {
    /// In an id, an alias or a name, in lower case.
    text: Option<String>,
    parameters: Vec<String>,
    inputs: Vec<String>,
    outputs: Vec<String>,
    authors: Vec<String>,
    providers: Vec<String>,
    region: Option<String>,
    zdr: bool,
    context_min: Option<u64>,
    prompt: Range<Rate>,
    completion: Range<Rate>,
    age_days: Range<u64>,
    sort: Option<Sort>,
    offset: usize,
    after: Option<String>,
    limit: Option<usize>,
}

#[derive(Debug, Default)]
struct Range<T> {
    min: Option<T>,
    max: Option<T>,
}

impl<T: PartialOrd> Range<T> {
    fn holds(&self, value: &T) -> bool {
        self.min.as_ref().is_none_or(|min| value >= min)
            && self.max.as_ref().is_none_or(|max| value <= max)
    }

    fn is_all(&self) -> bool {
        self.min.is_none() && self.max.is_none()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    Cheapest,
    Dearest,
    Context,
    Throughput,
    Latency,
    Newest,
}

const SORTS: [(&str, Sort); 6] = [
    ("pricing-low-to-high", Sort::Cheapest),
    ("pricing-high-to-low", Sort::Dearest),
    ("context-high-to-low", Sort::Context),
    ("throughput-high-to-low", Sort::Throughput),
    ("latency-low-to-high", Sort::Latency),
    ("newest", Sort::Newest),
];

/// A query parameter that cannot be obeyed.
#[derive(Debug)]
pub(super) struct NotUnderstood {
    pub(super) param: &'static str,
    pub(super) message: String,
}

impl Filter {
    /// Reads a query. Parameters that are not OpenRouter's ask for nothing, and neither do empty ones.
    pub(super) fn read(pairs: &[(String, String)]) -> Result<Self, NotUnderstood> {
        let mut filter = Self::default();
        for (name, value) in pairs.iter().filter(|(_, value)| !value.is_empty()) {
            filter.take(name, value)?;
        }
        Ok(filter)
    }

    fn take(&mut self, name: &str, value: &str) -> Result<(), NotUnderstood> {
        match name {
            "q" => self.text = Some(value.to_lowercase()),
            "supported_parameters" => self.parameters.extend(names(value)),
            "input_modalities" => self.inputs.extend(names(value)),
            "output_modalities" => {
                self.outputs
                    .extend(names(value).filter(|name| name != "all"));
            }
            "model_authors" => self.authors.extend(names(value)),
            "providers" => self.providers.extend(names(value)),
            "region" => self.region = Some(value.to_owned()),
            "zdr" => self.zdr = value == "true",
            "context" => self.context_min = Some(whole("context", value)?),
            "min_price" => self.prompt.min = Some(rate("min_price", value)?),
            "max_price" => self.prompt.max = Some(rate("max_price", value)?),
            "min_output_price" => self.completion.min = Some(rate("min_output_price", value)?),
            "max_output_price" => self.completion.max = Some(rate("max_output_price", value)?),
            "min_age_days" => self.age_days.min = Some(whole("min_age_days", value)?),
            "max_age_days" => self.age_days.max = Some(whole("max_age_days", value)?),
            "offset" => self.offset = whole("offset", value)?,
            "after_id" => self.after = Some(value.to_owned()),
            "limit" => {
                let limit = whole("limit", value)?;
                if !(1..=LIMIT_MAX).contains(&limit) {
                    let message = format!("`limit` must be from 1 to {LIMIT_MAX}.");
                    return Err(NotUnderstood {
                        param: "limit",
                        message,
                    });
                }
                self.limit = Some(limit);
            }
            "sort" => {
                let known = SORTS.iter().find(|(name, _)| *name == value);
                let (_, sort) = known.ok_or_else(|| NotUnderstood {
                    param: "sort",
                    message: format!(
                        "`sort` must be one of {}.",
                        SORTS.map(|(name, _)| name).join(", ")
                    ),
                })?;
                self.sort = Some(*sort);
            }
            other => {
                if let Some(param) = UNKNOWN.into_iter().find(|name| *name == other) {
                    let message = format!(
                        "Nothing is known here that `{param}` could go by; leave it out to see what there is."
                    );
                    return Err(NotUnderstood { param, message });
                }
            }
        }
        Ok(())
    }

    /// The models that are asked for, in that order, each by its endpoints that are.
    pub(super) fn listed(&self, app: &App, may: impl Fn(&Endpoint) -> bool) -> Vec<Listed> {
        let router = app.inner.desk.prices().current();
        let now_ms = now_ms();
        let models = router.models();
        let listed = models.filter_map(|model| {
            let listed = Listed::of(model, |endpoint| may(endpoint) && self.takes(endpoint))?;
            self.takes_model(&listed, now_ms).then_some(listed)
        });
        let mut listed: Vec<Listed> = listed.collect();
        match self.sort {
            None => {}
            Some(Sort::Cheapest) => listed.sort_by_key(cheapest),
            Some(Sort::Dearest) => listed.sort_by_key(|listed| Reverse(cheapest(listed))),
            Some(Sort::Context) => listed.sort_by_key(|listed| Reverse(listed.context_length())),
            Some(Sort::Newest) => listed.sort_by_key(|listed| Reverse(listed.created())),
            Some(Sort::Throughput) => listed.sort_by_cached_key(|listed| {
                let medians = medians(app, listed, now_ms, |tally| tally.speed.percentiles());
                Reverse(medians.max())
            }),
            Some(Sort::Latency) => listed.sort_by_cached_key(|listed| {
                let of = |tally: &Tally| tally.first_token.percentiles();
                medians(app, listed, now_ms, of).min().unwrap_or(u64::MAX)
            }),
        }
        listed
    }

    /// The part of a list that is told.
    pub(super) fn page<'a>(&self, listed: &'a [Listed]) -> &'a [Listed] {
        let start = self.start(listed);
        let end = match self.limit {
            Some(limit) => start.saturating_add(limit).min(listed.len()),
            None => listed.len(),
        };
        listed.get(start..end).unwrap_or_default()
    }

    /// Where the next part begins; `None` when there is none.
    pub(super) fn next(&self, listed: &[Listed]) -> Option<usize> {
        let next = self.start(listed).saturating_add(self.limit?);
        (next < listed.len()).then_some(next)
    }

    fn start(&self, listed: &[Listed]) -> usize {
        let after = self.after.as_ref();
        let after = after.and_then(|id| listed.iter().position(|one| one.model.id == *id));
        after.map_or(self.offset, |at| at.saturating_add(1))
    }

    fn takes(&self, endpoint: &Endpoint) -> bool {
        let (model, upstream) = (&endpoint.model, &endpoint.upstream);
        let obeyed = endpoint.parameters();
        let same = |a: &str, b: &str| a.eq_ignore_ascii_case(b);
        let region = |wanted: &String| {
            let there = upstream.region.as_deref();
            there.is_some_and(|there| same(there, wanted))
        };
        self.parameters
            .iter()
            .all(|name| obeyed.contains(name.as_str()))
            && (self.providers.is_empty()
                || self.providers.iter().any(|name| endpoint.is_named(name)))
            && self.region.iter().all(region)
            && (!self.zdr || upstream.zdr)
            && self
                .context_min
                .is_none_or(|min| model.context_tokens >= Some(min))
            && self.prompt.holds(&model.price.prompt)
            && self.completion.holds(&model.price.completion)
    }

    fn takes_model(&self, listed: &Listed, now_ms: u64) -> bool {
        let author = listed.model.id.split('/').next().unwrap_or_default();
        let some = |wanted: &[String], there: &[&str]| {
            wanted.is_empty() || wanted.iter().any(|name| there.contains(&name.as_str()))
        };
        let age = |created: u64| (now_ms / 1000).saturating_sub(created) / DAY_S;
        let old = listed.created().map(age);
        some(&self.inputs, &listed.inputs())
            && some(&self.outputs, &listed.outputs())
            && (self.authors.is_empty()
                || self
                    .authors
                    .iter()
                    .any(|name| name.eq_ignore_ascii_case(author)))
            && (self.age_days.is_all() || old.is_some_and(|old| self.age_days.holds(&old)))
            && self.text.as_ref().is_none_or(|text| listed.is_called(text))
    }
}

fn cheapest(listed: &Listed) -> u128 {
    listed.cheapest().map_or(0, |endpoint| price(endpoint))
}

/// What half of the calls of the last half hour met at each endpoint, in thousandths.
fn medians(
    app: &App,
    listed: &Listed,
    now_ms: u64,
    of: impl Fn(&Tally) -> Option<Percentiles>,
) -> impl Iterator<Item = u64> {
    let windows = app.inner.desk.windows();
    listed.endpoints.iter().filter_map(move |endpoint| {
        let seen = windows.seen(endpoint.id, Window::HalfHour, now_ms);
        Some((of(&seen)?.p50 * 1000.0) as u64)
    })
}

fn names(list: &str) -> impl Iterator<Item = String> {
    let names = list
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty());
    names.map(str::to_owned)
}

fn whole<T: std::str::FromStr>(param: &'static str, value: &str) -> Result<T, NotUnderstood> {
    value.parse().map_err(|_| NotUnderstood {
        param,
        message: format!("`{param}` must be a whole number."),
    })
}

fn rate(param: &'static str, value: &str) -> Result<Rate, NotUnderstood> {
    Rate::from_usd_per_million_text(value).map_err(|error| NotUnderstood {
        param,
        message: format!("`{param}` must be US dollars for a million tokens: {error}."),
    })
}
