use super::App;
use super::{pricing, relative};
use crate::config::ModelCard;
use crate::metering::Route;
use crate::pricing::Tokenizer;
use crate::router::{Endpoint, Model};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

/// A model and those of its endpoints that are listed.
#[derive(Debug)]
pub(super) struct Listed {
    pub(super) model: Arc<Model>,
    /// Never empty.
    pub(super) endpoints: Vec<Arc<Endpoint>>,
}

impl Listed {
    /// A model by its endpoints that `may` be listed; `None` where there is none.
    pub(super) fn of(model: &Arc<Model>, may: impl Fn(&Endpoint) -> bool) -> Option<Self> {
        let endpoints = model.endpoints.iter().filter(|endpoint| may(endpoint));
        let endpoints: Vec<Arc<Endpoint>> = endpoints.map(Arc::clone).collect();
        (!endpoints.is_empty()).then(|| Self {
            model: Arc::clone(model),
            endpoints,
        })
    }

    /// The endpoint of the lowest list price, by whose prices and limits the model is listed.
    pub(super) fn cheapest(&self) -> Option<&Arc<Endpoint>> {
        self.endpoints.iter().min_by_key(|endpoint| price(endpoint))
    }

    /// What people call it: its id where nobody said.
    pub(super) fn name(&self) -> &str {
        self.said(|card| card.name.as_deref())
            .unwrap_or(&self.model.id)
    }

    pub(super) fn description(&self) -> Option<&str> {
        self.said(|card| card.description.as_deref())
    }

    pub(super) fn created(&self) -> Option<u64> {
        self.said(|card| card.created)
    }

    pub(super) fn context_length(&self) -> Option<u64> {
        let lengths = self.endpoints.iter();
        lengths.filter_map(|by| by.model.context_tokens).max()
    }

    pub(super) fn inputs(&self) -> Vec<&str> {
        let said = self.said(|card| some(&card.input_modalities));
        said.map_or_else(
            || vec!["text"],
            |names| names.iter().map(String::as_str).collect(),
        )
    }

    pub(super) fn outputs(&self) -> Vec<&str> {
        let said = self.said(|card| some(&card.output_modalities));
        match said {
            Some(names) => names.iter().map(String::as_str).collect(),
            None => vec![if self.embeds() { "embeddings" } else { "text" }],
        }
    }

    /// Whether it answers with embeddings and nothing else.
    pub(super) fn embeds(&self) -> bool {
        self.endpoints.iter().all(|endpoint| embeds(endpoint))
    }

    pub(super) fn architecture(&self) -> Value {
        let (inputs, outputs) = (self.inputs(), self.outputs());
        let gpt = |by: &Arc<Endpoint>| by.model.tokenizer != Tokenizer::Bytes;
        json!({
            "modality": format!("{}->{}", inputs.join("+"), outputs.join("+")),
            "input_modalities": inputs,
            "output_modalities": outputs,
            "tokenizer": if self.endpoints.iter().any(gpt) { "GPT" } else { "Other" },
            "instruct_type": null,
        })
    }

    /// OpenRouter's object, with OpenAI's members beside it, and Anthropic's for its SDKs.
    pub(super) fn object(&self, app: &App, for_anthropic: bool) -> Value {
        let Some(top) = self.cheapest() else {
            return Value::Null;
        };
        let id = &self.model.id;
        let created = self.created().unwrap_or(0);
        let parameters: BTreeSet<&str> = self
            .endpoints
            .iter()
            .flat_map(|by| by.parameters())
            .collect();
        let details = relative(&format!("/v1/models/{id}/endpoints"));
        let mut object = json!({
            "id": id,
            "canonical_slug": id,
            "hugging_face_id": self.said(|card| card.hugging_face_id.as_deref()),
            "name": self.name(),
            "object": "model",
            "owned_by": top.upstream.name,
            "created": created,
            "context_length": self.context_length(),
            "architecture": self.architecture(),
            "pricing": pricing(&top.model.price),
            "price_row_sha256": hex::encode(top.price_row),
            "top_provider": {
                "context_length": top.model.context_tokens,
                "max_completion_tokens": top.model.output_max,
                "is_moderated": false,
            },
            "per_request_limits": null,
            "supported_parameters": parameters,
            "default_parameters": null,
            "supported_voices": null,
            "knowledge_cutoff": null,
            "expiration_date": null,
            "links": {"details": details.path()},
            "groat": {
                "aliases": self.aliases(),
                "endpoints": self.endpoints.len(),
                "markup_bps": app.inner.markup_bps,
                "routes": self.routes(),
            },
        });
        let mut set = |name: &str, value: Value| {
            if let Some(members) = object.as_object_mut() {
                members.insert(name.to_owned(), value);
            }
        };
        if let Some(description) = self.description() {
            set("description", description.into());
        }
        if for_anthropic {
            let at = jiff::Timestamp::from_second(i64::try_from(created).unwrap_or(0));
            set("type", "model".into());
            set("display_name", self.name().into());
            set("created_at", at.unwrap_or_default().to_string().into());
        }
        object
    }

    /// Whether a text in lower case stands in its id, its name or an alias.
    pub(super) fn is_called(&self, text: &str) -> bool {
        let names = [self.model.id.as_str(), self.name()];
        let mut names = names.into_iter().chain(self.aliases());
        names.any(|name| name.to_lowercase().contains(text))
    }

    fn aliases(&self) -> BTreeSet<&str> {
        let aliases = self.model.endpoints.iter().flat_map(|by| &by.model.aliases);
        aliases.map(String::as_str).collect()
    }

    fn routes(&self) -> Vec<&'static str> {
        let speaks = |route: &Route| self.endpoints.iter().any(|by| by.speaks(*route));
        let routes = Route::ALL.into_iter().filter(speaks);
        routes.map(Route::path).collect()
    }

    /// What the first endpoint that says something says; what a model is does not depend on who is listed.
    fn said<'a, T>(&'a self, of: impl Fn(&'a ModelCard) -> Option<T>) -> Option<T> {
        self.model
            .endpoints
            .iter()
            .find_map(|by| of(&by.model.card))
    }
}

fn some(names: &[String]) -> Option<&[String]> {
    (!names.is_empty()).then_some(names)
}

/// Whether an endpoint answers with embeddings and nothing else.
pub(super) fn embeds(endpoint: &Endpoint) -> bool {
    let mut routes = endpoint.model.routes.iter();
    routes.all(|route| *route == Route::Embeddings)
}

/// A prompt token and an output token together, in 10⁻¹² USD.
pub(super) fn price(endpoint: &Endpoint) -> u128 {
    let row = &endpoint.model.price;
    u128::from(row.prompt.pico()).saturating_add(row.completion.pico().into())
}
