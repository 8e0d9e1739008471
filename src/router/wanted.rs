//! What a caller wants of the endpoint that answers: OpenRouter's `provider` object and the suffixes of
//! model names. Pure.

use super::Endpoint;
use crate::config::QUANTIZATIONS;
use crate::json::{Limits, Object};
use crate::money::Rate;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;

/// The most entries in a list of a `provider` object.
const LIST_MAX: usize = 64;

/// The request members that every endpoint is taken to obey, or that are not for it.
const EVERYWHERE: [&str; 18] = [
    "max_completion_tokens",
    "max_tokens",
    "messages",
    "metadata",
    "model",
    "models",
    "n",
    "prompt_cache_key",
    "provider",
    "route",
    "session_id",
    "stop",
    "stream",
    "stream_options",
    "temperature",
    "top_p",
    "trace",
    "user",
];

/// Those of them that OpenRouter lists as parameters of a model.
pub(super) const LISTED_EVERYWHERE: [&str; 5] = [
    "max_completion_tokens",
    "max_tokens",
    "stop",
    "temperature",
    "top_p",
];

/// What the endpoint that answers must be, and what is better.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Wanted {
    /// Slugs in the order to try them in; empty where there is none.
    pub order: Vec<String>,
    /// Whether only the first choice may answer, or only what `order` names.
    pub no_fallbacks: bool,
    /// Slugs of those that may answer; empty: all.
    pub only: Vec<String>,
    /// Slugs of those that may not.
    pub ignore: Vec<String>,
    /// The slugs that name no endpoint here, for an OpenRouter behind this gateway.
    elsewhere: Elsewhere,
    quantizations: Vec<String>,
    /// Every member of the request must be known to be obeyed.
    pub require_parameters: bool,
    collects_nothing: bool,
    retains_nothing: bool,
    costs_nothing: bool,
    max_price: MaxPrice,
    /// What comes first.
    pub sort: Option<Sort>,
    /// Whether endpoints of all asked models are ranked together.
    pub across_models: bool,
    /// Tokens a second: who is slower comes last.
    pub min_throughput: Bounds,
    /// Seconds to the first token: who takes longer comes last.
    pub max_latency: Bounds,
}

/// The slugs of each list that name providers behind an OpenRouter.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Elsewhere {
    /// Of `order`.
    pub order: Vec<String>,
    /// Of `only`.
    pub only: Vec<String>,
    /// Of `ignore`.
    pub ignore: Vec<String>,
}

/// What endpoints are ranked by, in place of what the call will cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// The list price.
    Price,
    /// Tokens a second.
    Throughput,
    /// Time to the first token.
    Latency,
}

/// Bounds by percentile.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Bounds {
    /// Of the median.
    pub p50: Option<f64>,
    /// Of the third quartile.
    pub p75: Option<f64>,
    /// Of the ninth decile.
    pub p90: Option<f64>,
    /// Of the ninety-ninth percentile.
    pub p99: Option<f64>,
}

/// The most that a token, or the call itself, may cost by the list.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct MaxPrice {
    prompt: Option<Rate>,
    completion: Option<Rate>,
    request: Option<Rate>,
}

/// What is wrong with a `provider` object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{param}: {message}")]
pub struct WantedMistake {
    /// The member at fault, such as `provider.sort`.
    pub param: String,
    /// What is wrong with it.
    pub message: String,
}

/// A suffix of a model's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suffix {
    /// `:floor`: the lowest list price first.
    Floor,
    /// `:nitro`: the highest throughput first.
    Nitro,
    /// `:free`: only what is priced at nothing.
    Free,
}

impl Suffix {
    /// Takes a known suffix off a name, behind its last colon: ids may hold colons of their own.
    pub fn split(name: &str) -> (&str, Option<Self>) {
        let known = name.rsplit_once(':').and_then(|(id, suffix)| {
            let suffix = match suffix {
                "floor" => Self::Floor,
                "nitro" => Self::Nitro,
                "free" => Self::Free,
                _ => return None,
            };
            Some((id, suffix))
        });
        known.map_or((name, None), |(id, suffix)| (id, Some(suffix)))
    }
}

impl Wanted {
    /// Reads a `provider` object; members that are not known ask for nothing here.
    pub fn read(provider: &str) -> Result<Self, WantedMistake> {
        let object = object("provider", provider)?;
        let read = Members(&object);
        let quantizations = read.list("quantizations")?;
        if let Some(odd) = quantizations
            .iter()
            .find(|q| !QUANTIZATIONS.contains(&q.as_str()))
        {
            return Err(mistake("quantizations", &format!("{odd:?} is not known")));
        }
        let (sort, across_models) = read.sort()?;
        Ok(Self {
            order: read.list("order")?,
            no_fallbacks: read.flag("allow_fallbacks")? == Some(false),
            only: read.list("only")?,
            ignore: read.list("ignore")?,
            elsewhere: Elsewhere::default(),
            quantizations,
            require_parameters: read.flag("require_parameters")?.unwrap_or(false),
            collects_nothing: match read.text("data_collection")?.as_deref() {
                None | Some("allow") => false,
                Some("deny") => true,
                Some(_) => {
                    return Err(mistake("data_collection", "must be \"allow\" or \"deny\""));
                }
            },
            retains_nothing: read.flag("zdr")?.unwrap_or(false),
            costs_nothing: false,
            max_price: read.max_price()?,
            sort,
            across_models,
            min_throughput: read.bounds("preferred_min_throughput")?,
            max_latency: read.bounds("preferred_max_latency")?,
        })
    }

    /// Adds what a model's suffix asks for; what the `provider` object says of the order stands.
    pub fn and(&mut self, suffix: Suffix) {
        match suffix {
            Suffix::Floor => self.sort = self.sort.or(Some(Sort::Price)),
            Suffix::Nitro => self.sort = self.sort.or(Some(Sort::Throughput)),
            Suffix::Free => self.costs_nothing = true,
        }
    }

    /// Tells the slugs that name one of these endpoints from those that name none: the latter are for an
    /// OpenRouter among them to obey.
    pub fn among(mut self, endpoints: &[Arc<Endpoint>]) -> Self {
        let strange = |slugs: &[String]| -> Vec<String> {
            let known = |slug: &String| endpoints.iter().any(|e| e.is_named(slug));
            slugs.iter().filter(|slug| !known(slug)).cloned().collect()
        };
        self.elsewhere = Elsewhere {
            order: strange(&self.order),
            only: strange(&self.only),
            ignore: strange(&self.ignore),
        };
        self
    }

    /// The slugs for an OpenRouter to obey.
    pub fn elsewhere(&self) -> &Elsewhere {
        &self.elsewhere
    }

    /// Why an endpoint may not answer a request of these members; `None` when it may.
    pub fn excludes<'m>(
        &self,
        endpoint: &Endpoint,
        mut members: impl Iterator<Item = &'m str>,
    ) -> Option<&'static str> {
        if *self == Self::default() {
            return None;
        }
        let known = &endpoint.model.parameters;
        let obeyed = |member: &str| EVERYWHERE.contains(&member) || known.contains(member);
        let named = |slugs: &[String]| slugs.iter().any(|slug| endpoint.is_named(slug));
        let router = endpoint.is_router();
        let reached = |slugs: &[String], strange: &[String]| {
            slugs.is_empty() || named(slugs) || (router && !strange.is_empty())
        };
        let price = &endpoint.model.price;
        let (upstream, max) = (&endpoint.upstream, &self.max_price);
        let dearer = |max: Option<Rate>, rate: Rate| max.is_some_and(|max| rate > max);
        let excluded = [
            ("provider.only", !reached(&self.only, &self.elsewhere.only)),
            ("provider.ignore", named(&self.ignore)),
            (
                "provider.order without fallbacks",
                self.no_fallbacks && !reached(&self.order, &self.elsewhere.order),
            ),
            (
                "provider.quantizations",
                !self.quantizations.is_empty()
                    && !self.quantizations.contains(&endpoint.model.quantization),
            ),
            (
                "provider.data_collection",
                self.collects_nothing && upstream.collects_data,
            ),
            ("provider.zdr", self.retains_nothing && !upstream.zdr),
            (
                "provider.max_price",
                // An OpenRouter picks among its endpoints by it, and is priced as the dearest of them.
                !router
                    && (dearer(max.prompt, price.prompt)
                        || dearer(max.completion, price.completion)
                        || dearer(max.request, price.request.unwrap_or(Rate::FREE))),
            ),
            (
                "provider.require_parameters",
                self.require_parameters && !members.all(obeyed),
            ),
            (":free", self.costs_nothing && !price.is_free()),
        ];
        excluded.into_iter().find_map(|(by, is)| is.then_some(by))
    }

    /// An endpoint's place in `order`.
    pub fn place(&self, endpoint: &Endpoint) -> Option<usize> {
        let strange = |slug: &String| endpoint.is_router() && self.elsewhere.order.contains(slug);
        let named = |slug: &String| endpoint.is_named(slug) || strange(slug);
        self.order.iter().position(named)
    }
}

/// The members of a `provider` object.
struct Members<'a>(&'a Object<'a>);

impl Members<'_> {
    fn get<T: DeserializeOwned>(&self, key: &str, form: &str) -> Result<Option<T>, WantedMistake> {
        self.0
            .get(key)
            .map_err(|_| mistake(key, &format!("must be {form}")))
    }

    fn flag(&self, key: &str) -> Result<Option<bool>, WantedMistake> {
        self.get(key, "true or false")
    }

    fn text(&self, key: &str) -> Result<Option<String>, WantedMistake> {
        self.get(key, "a text")
    }

    fn list(&self, key: &str) -> Result<Vec<String>, WantedMistake> {
        let list: Vec<String> = self.get(key, "a list of texts")?.unwrap_or_default();
        if list.len() > LIST_MAX {
            return Err(mistake(
                key,
                &format!("must have at most {LIST_MAX} entries"),
            ));
        }
        Ok(list)
    }

    fn sort(&self) -> Result<(Option<Sort>, bool), WantedMistake> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            By(String),
            Parted {
                by: Option<String>,
                partition: Option<String>,
            },
        }
        let form =
            "\"price\", \"throughput\" or \"latency\", or an object with `by` and `partition`";
        let (by, partition) = match self.get("sort", form)? {
            None => return Ok((None, false)),
            Some(Written::By(by)) => (Some(by), None),
            Some(Written::Parted { by, partition }) => (by, partition),
        };
        let sort = match by.as_deref() {
            Some("price") => Some(Sort::Price),
            Some("throughput") => Some(Sort::Throughput),
            Some("latency") => Some(Sort::Latency),
            // Quality is measured by nobody here, so the usual order stands for it.
            None | Some("exacto") => None,
            Some(_) => return Err(mistake("sort", &format!("must be {form}"))),
        };
        match partition.as_deref() {
            None | Some("model") => Ok((sort, false)),
            Some("none") => Ok((sort, true)),
            Some(_) => Err(mistake("sort.partition", "must be \"model\" or \"none\"")),
        }
    }

    /// US dollars: per million tokens, and per call.
    fn max_price(&self) -> Result<MaxPrice, WantedMistake> {
        let Some(raw) = self.0.raw("max_price").filter(|raw| *raw != "null") else {
            return Ok(MaxPrice::default());
        };
        let prices = object("provider.max_price", raw)?;
        type Read = fn(&str) -> Result<Rate, crate::money::DecimalError>;
        let rate = |key: &str, read: Read| {
            let raw = prices.raw(key).filter(|raw| *raw != "null");
            let rate = raw.map(|raw| read(raw.trim_matches('"'))).transpose();
            rate.map_err(|error| mistake("max_price", &error.to_string()))
        };
        Ok(MaxPrice {
            prompt: rate("prompt", Rate::from_usd_per_million_text)?,
            completion: rate("completion", Rate::from_usd_per_million_text)?,
            request: rate("request", Rate::from_usd_per_token_text)?,
        })
    }

    /// A number bounds the median.
    fn bounds(&self, key: &str) -> Result<Bounds, WantedMistake> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Median(f64),
            Each(Bounds),
        }
        let form = "a number, or an object with p50, p75, p90 and p99";
        Ok(match self.get(key, form)? {
            None => Bounds::default(),
            Some(Written::Median(median)) => Bounds {
                p50: Some(median),
                ..Bounds::default()
            },
            Some(Written::Each(bounds)) => bounds,
        })
    }
}

fn object<'a>(param: &str, raw: &'a str) -> Result<Object<'a>, WantedMistake> {
    Object::of(raw, &Limits::default()).map_err(|error| WantedMistake {
        param: param.to_owned(),
        message: format!("must be an object: {error}"),
    })
}

fn mistake(key: &str, message: &str) -> WantedMistake {
    WantedMistake {
        param: format!("provider.{key}"),
        message: message.to_owned(),
    }
}

#[cfg(test)]
mod tests;
