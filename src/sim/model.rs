//! Model names: configured ones, the built-in ones, and the options after `?` in a name.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use serde_json::{Map, Value};

use super::config::{Behaviour, SimConfig};
use super::dialect::Dialect;

/// Built-in models besides `sim/<dialect>` and `sim/fail-<status>`, told in the language of names.
const BUILT_IN: &[(&str, &str)] = &[
    ("sim/small", "dialect=openai"),
    ("sim/echo", "echo"),
    ("sim/tool", "tool_call"),
    ("sim/reasoning", "dialect=deepseek&think=16"),
    ("sim/slow", "delay=200&tps=50"),
    ("sim/slow-body", "slow=100"),
    ("sim/flaky", "fail=503&times=1&retry=1"),
    ("sim/402", "status_402"),
    ("sim/die", "die"),
    ("sim/hang", "hang"),
    ("sim/cut", "cut=3"),
    ("sim/error-event", "err=3"),
    ("sim/cookies", "cookies"),
    ("sim/no-usage", "no_usage"),
    ("sim/usage-twice", "usage_twice"),
    ("sim/usage-every-chunk", "usage_every_chunk"),
    ("sim/negative-usage", "negative_usage"),
    ("sim/absurd-usage", "absurd_usage"),
    ("sim/contradictory-usage", "contradictory_usage"),
    ("sim/no-cache", "cache=off"),
];

/// Short names of options, for use in model names.
const SHORT: &[(&str, &str)] = &[
    ("cut", "cut_after_chunks"),
    ("err", "error_event_after_chunks"),
    ("delay", "delay_first_token_ms"),
    ("head", "delay_headers_ms"),
    ("tps", "tokens_per_second"),
    ("out", "output_tokens"),
    ("think", "reasoning_tokens"),
    ("per", "tokens_per_chunk"),
    ("fail", "fail_status"),
    ("times", "fail_times"),
    ("percent", "fail_percent"),
    ("retry", "retry_after"),
    ("slow", "slow_body_ms_per_chunk"),
    ("on", "bills_on"),
    ("die", "die_before_headers"),
    ("hang", "hang_before_headers"),
    ("cookies", "set_cookie"),
    ("tool", "tool_call"),
    ("cached", "cached_spelling"),
];

/// Resolved names remembered; more are resolved anew each time.
const RESOLVED_MAX: usize = 4096;

/// Why a model's name names no behaviour.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModelNameError {
    /// Neither configured nor under `sim/`.
    #[error("the model {0:?} does not exist")]
    Unknown(String),
    /// The options after `?` say something that no behaviour has.
    #[error("the options of the model {name:?} are wrong: {why}")]
    Options {
        /// The name as asked.
        name: String,
        /// What is wrong with it.
        why: String,
    },
}

/// The models of one simulator.
#[derive(Debug)]
pub(super) struct Models {
    configured: HashMap<String, Behaviour>,
    any_model: bool,
    resolved: RwLock<HashMap<String, Arc<Model>>>,
}

/// A resolved name: the behaviour, and the same after its faults are used up.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) behaviour: Behaviour,
    pub(super) healed: Behaviour,
}

impl Models {
    pub(super) fn new(config: &SimConfig) -> Self {
        let configured = config.model.clone().into_iter().collect();
        Models {
            configured,
            any_model: config.any_model,
            resolved: RwLock::default(),
        }
    }

    pub(super) fn resolve(&self, name: &str) -> Result<Arc<Model>, ModelNameError> {
        let known = self.resolved.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(model) = known.get(name) {
            return Ok(model.clone());
        }
        drop(known);
        let behaviour = self.behaviour(name)?;
        let healed = behaviour.healed();
        let model = Arc::new(Model { behaviour, healed });
        let mut known = self
            .resolved
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if known.len() < RESOLVED_MAX {
            known.insert(name.to_owned(), model.clone());
        }
        Ok(model)
    }

    fn behaviour(&self, name: &str) -> Result<Behaviour, ModelNameError> {
        if let Some(behaviour) = self.configured.get(name) {
            return Ok(behaviour.clone());
        }
        let (base, options) = name.split_once('?').unwrap_or((name, ""));
        let plain = match self.configured.get(base) {
            Some(behaviour) => behaviour.clone(),
            None => self.built_in(base)?,
        };
        with_options(plain, options).map_err(|why| ModelNameError::Options {
            name: name.to_owned(),
            why,
        })
    }

    fn built_in(&self, base: &str) -> Result<Behaviour, ModelNameError> {
        let unknown = || ModelNameError::Unknown(base.to_owned());
        let Some(rest) = base.strip_prefix("sim/") else {
            return if self.any_model {
                Ok(Behaviour::default())
            } else {
                Err(unknown())
            };
        };
        let mut behaviour = Behaviour::default();
        if let Ok(dialect) = rest.parse::<Dialect>() {
            behaviour.dialect = dialect;
        } else if let Some(status) = rest.strip_prefix("fail-") {
            behaviour.fail_status = Some(status.parse().map_err(|_| unknown())?);
        } else if let Some((_, options)) = BUILT_IN.iter().find(|(name, _)| *name == base) {
            behaviour = with_options(behaviour, options).map_err(|_| unknown())?;
        }
        Ok(behaviour)
    }

    /// The names `GET /v1/models` lists: configured and built in.
    pub(super) fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.configured.keys().cloned().collect();
        names.extend(BUILT_IN.iter().map(|(name, _)| (*name).to_owned()));
        names.extend(Dialect::ALL.map(|dialect| format!("sim/{dialect}")));
        names.push("sim/fail-500".to_owned());
        names.sort_unstable();
        names.dedup();
        names
    }
}

/// The part of a name that owns the cache: all spellings with options share one.
pub(super) fn base_name(name: &str) -> &str {
    name.split_once('?').map_or(name, |(base, _)| base)
}

/// Lays `key=value&flag` options over a behaviour; the fields' own types judge the values.
fn with_options(behaviour: Behaviour, options: &str) -> Result<Behaviour, String> {
    if options.is_empty() {
        return Ok(behaviour);
    }
    let mut fields = match serde_json::to_value(behaviour) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    };
    for option in options.split('&') {
        let (key, value) = option.split_once('=').unwrap_or((option, "true"));
        let long = SHORT.iter().find(|(short, _)| *short == key);
        let value = match (value, value.parse::<u64>()) {
            ("true", _) => Value::Bool(true),
            ("false", _) => Value::Bool(false),
            (_, Ok(number)) => Value::from(number),
            _ => Value::from(value),
        };
        fields.insert(long.map_or(key, |(_, long)| *long).to_owned(), value);
    }
    let read: Behaviour =
        serde_json::from_value(Value::Object(fields)).map_err(|error| error.to_string())?;
    match read.fail_status {
        Some(status) if !(200..=599).contains(&status) => Err(format!("no status {status}")),
        _ => Ok(read),
    }
}
