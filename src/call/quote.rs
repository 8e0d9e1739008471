//! What a request can cost at worst: a pure function of its bytes and the price table.

use super::Refusal;
use super::body;
use crate::config::PaymentConfig;
use crate::json::{Index, Limits, Object};
use crate::ledger::RequestHash;
use crate::metering::Route;
use crate::money::{AssetDecimals, Units};
use crate::pricing::{Quote, QuoteTerms, RequestShape, quote};
use crate::protocol::receipt;
use crate::router::{Conversation, Endpoint, Model, Namer, Router, Wanted};
use alloy::primitives::Address;
use bytes::Bytes;
use http::HeaderMap;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::ops::Deref;
use std::sync::Arc;

/// How deep the JSON of a request may nest.
const REQUEST_DEPTH_MAX: usize = 64;

/// The most models that a request may name beside the first.
const MODELS_MAX: usize = 8;

/// The most endpoints that one call is quoted for.
const CANDIDATES_MAX: usize = 16;

/// What every quote of this gateway has in common.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    pub(super) decimals: AssetDecimals,
    pub(super) ceiling_max: Units,
    pub(super) markup_bps: u32,
}

impl Terms {
    pub(super) fn new(payment: &PaymentConfig, decimals: AssetDecimals) -> Self {
        Self {
            decimals,
            ceiling_max: payment.ceiling_max,
            markup_bps: payment.markup_bps,
        }
    }
}

/// An endpoint that may answer a request, and what it can cost there at worst.
#[derive(Debug)]
pub struct Candidate {
    /// The endpoint.
    pub endpoint: Arc<Endpoint>,
    /// Its quote.
    pub quote: Quote,
    /// The place of its model among those that were asked for.
    pub(super) rank: usize,
    /// What the caller wants of who answers.
    pub(super) wanted: Arc<Wanted>,
}

/// A request with its worst price: what offers are made of.
#[derive(Debug, Clone)]
pub struct Quoted {
    /// The route it was sent to.
    pub route: Route,
    /// The model that was asked for.
    pub model: Arc<Model>,
    /// The endpoints that may answer; never empty.
    pub candidates: Vec<Arc<Candidate>>,
    /// The most it can cost, in the asset's atomic units, whoever answers: what is offered and held.
    pub ceiling: Units,
    /// Whether the answer is to be an event stream.
    pub stream: bool,
    /// Whether the caller asked for the usage chunk of a stream.
    pub usage_wanted: bool,
    /// Basis points added to the list price.
    pub markup_bps: u32,
    pub(super) prompt_bytes: u64,
    /// What the caller wants of who answers.
    pub(super) wanted: Arc<Wanted>,
    plain: bool,
    price_rows: String,
}

impl Quoted {
    /// The name of the price rows in offers: the beginning of the hash of the one row, or of the
    /// different rows of all that may answer. It names the route as well.
    pub fn price_rows(&self) -> &str {
        &self.price_rows
    }

    /// Whether all endpoints of the one model may answer, as without any wish.
    pub fn is_plain(&self) -> bool {
        self.plain
    }

    /// Whether it costs nothing, whatever it uses: that is priced so, as no missing price is.
    pub fn is_free(&self) -> bool {
        self.ceiling.is_zero()
    }

    /// Whether this is another than the endpoint that a hold names first.
    pub(super) fn stands_in(&self, by: &Candidate) -> bool {
        let first = self.candidates.first();
        first.is_none_or(|first| !Arc::ptr_eq(&first.endpoint, &by.endpoint))
    }

    /// The most prompt tokens, and the most output tokens, that a quote allows for.
    pub(super) fn tokens_max(&self) -> (u64, u64) {
        let quotes = || self.candidates.iter().map(|candidate| candidate.quote);
        let prompt = quotes().map(|quote| quote.prompt_tokens_max).max();
        let output = quotes().map(|quote| quote.output_tokens_max).max();
        (prompt.unwrap_or(0), output.unwrap_or(0))
    }
}

/// A quoted request that somebody pays for.
#[derive(Debug, Clone)]
pub struct QuotedCall {
    /// Its price.
    pub quoted: Quoted,
    /// The hash of the route and the body as it came.
    pub request: RequestHash,
    body: Bytes,
    index: Index,
    /// `stream_options` with the usage chunk, where the caller did not ask for that.
    stream_options: Option<String>,
}

impl QuotedCall {
    /// What goes to an endpoint, in this conversation.
    pub(super) fn body_for(
        &self,
        candidate: &Candidate,
        conversation: &Conversation,
    ) -> Result<Bytes, Refusal> {
        let object = self.object()?;
        let options = self.stream_options.as_deref();
        let edited = body::edited(self.route, &object, candidate, options, conversation)?;
        Ok(edited.map_or_else(|| self.body.clone(), Bytes::from))
    }

    /// The conversation that a payer has with these headers.
    pub(super) fn conversation(
        &self,
        namer: &Namer,
        payer: &Address,
        headers: &HeaderMap,
    ) -> Result<Conversation, Refusal> {
        let payer = format!("{payer:#x}");
        Ok(namer.name(&payer, &self.model.id, headers, &self.object()?))
    }

    /// The body as it came.
    pub(super) fn body(&self) -> &[u8] {
        &self.body
    }

    fn object(&self) -> Result<Object<'_>, Refusal> {
        let text = std::str::from_utf8(&self.body).map_err(|_| Refusal::Internal)?;
        Ok(Object::again(text, &self.index))
    }
}

impl Deref for QuotedCall {
    type Target = Quoted;

    fn deref(&self) -> &Quoted {
        &self.quoted
    }
}

/// A request's body, read as far as its price and its way upstream depend on it.
#[derive(Debug)]
pub(super) struct Indexed<'a> {
    route: Route,
    body: &'a Bytes,
    object: Object<'a>,
}

/// What a hold is bound to: the same body is another request on another route (rule 9).
pub(super) fn request_hash(route: Route, body: &[u8]) -> RequestHash {
    RequestHash::from_bytes(receipt::request_sha256(route, body))
}

impl<'a> Indexed<'a> {
    pub(super) fn read(route: Route, body: &'a Bytes) -> Result<Self, Refusal> {
        let limits = Limits {
            depth_max: REQUEST_DEPTH_MAX,
            bytes_max: body.len(),
        };
        let object = Object::parse(body, &limits).map_err(|error| Refusal::BadRequest {
            param: None,
            message: format!("The request body cannot be read: {error}."),
        })?;
        Ok(Self {
            route,
            body,
            object,
        })
    }

    /// Prices the request by one price table: all endpoints that may answer it, however things stand
    /// with them now, so that the same request is offered the same again.
    pub(super) fn quote(&self, router: &Router, terms: &Terms) -> Result<Quoted, Refusal> {
        let (route, object) = (self.route, &self.object);
        let asked = Asked::read(object, router)?;
        if let [(model, _)] = asked.models.as_slice()
            && !model.endpoints.iter().any(|e| e.speaks(route))
        {
            return Err(elsewhere(route, model));
        }
        let mut shape = RequestShape::read(route, object)?;
        let mut candidates = Vec::new();
        let mut refused = None;
        let mut dearest = Units::ZERO;
        let mut excluded = BTreeSet::new();
        for (rank, (model, wanted)) in asked.models.iter().enumerate() {
            for endpoint in model.endpoints.iter().filter(|e| e.speaks(route)) {
                if let Some(by) = wanted.excludes(endpoint, object.keys()) {
                    excluded.insert(by);
                    continue;
                }
                if candidates.len() == CANDIDATES_MAX {
                    break;
                }
                shape.count_text(endpoint.model.tokenizer, object);
                match quoted_at(endpoint, &shape, terms) {
                    Ok((quote, ceiling)) => {
                        candidates.push(Arc::new(Candidate {
                            endpoint: Arc::clone(endpoint),
                            quote,
                            rank,
                            wanted: Arc::clone(wanted),
                        }));
                        dearest = dearest.max(ceiling);
                    }
                    Err(refusal) => refused = refused.or(Some(refusal)),
                }
            }
        }
        let whole = |(model, _): &(Arc<Model>, _)| {
            let speaking = model.endpoints.iter().filter(|e| e.speaks(route));
            speaking.count() == candidates.len()
        };
        let plain = asked.models.len() == 1 && asked.models.iter().all(whole);
        let (model, wanted) = asked.models.into_iter().next().ok_or(Refusal::Internal)?;
        if candidates.is_empty() {
            return Err(refused.unwrap_or_else(|| Refusal::NoEndpoint {
                model: model.id.clone(),
                excluded_by: excluded.into_iter().collect(),
            }));
        }
        Ok(Quoted {
            price_rows: name_of_rows(route, &candidates),
            route,
            model,
            wanted,
            plain,
            candidates,
            ceiling: dearest,
            stream: shape.stream,
            usage_wanted: shape.include_usage,
            markup_bps: terms.markup_bps,
            prompt_bytes: shape.bytes,
        })
    }

    /// The call that is made when the quote is paid; `request` is the body's hash.
    pub(super) fn call(&self, quoted: Quoted, request: RequestHash) -> Result<QuotedCall, Refusal> {
        let asks = quoted.stream && !quoted.usage_wanted && self.route.asks_for_usage();
        let options = asks.then(|| body::with_usage(self.object.raw("stream_options")));
        Ok(QuotedCall {
            quoted,
            request,
            body: self.body.clone(),
            index: self.object.index(),
            stream_options: options.transpose()?,
        })
    }
}

/// The models that a request names, in the caller's order, with what is wanted of each one's endpoints.
struct Asked {
    models: Vec<(Arc<Model>, Arc<Wanted>)>,
}

impl Asked {
    fn read(object: &Object<'_>, router: &Router) -> Result<Self, Refusal> {
        let wrong = |param: &str, message: &str| Refusal::BadRequest {
            param: Some(param.to_owned()),
            message: message.to_owned(),
        };
        let first = object.text_of("model").ok().flatten().ok_or_else(|| {
            wrong(
                "model",
                "`model` must be the text id of a model; GET /v1/models lists them.",
            )
        })?;
        let others: Option<Vec<String>> = object
            .get("models")
            .map_err(|_| wrong("models", "`models` must be a list of model ids."))?;
        let others = others.unwrap_or_default();
        if others.len() > MODELS_MAX {
            let message = format!("`models` must have at most {MODELS_MAX} entries.");
            return Err(wrong("models", &message));
        }
        let provider = object.raw("provider").filter(|raw| *raw != "null");
        let wanted = provider.map(Wanted::read).transpose()?.unwrap_or_default();
        let mut models: Vec<(Arc<Model>, Arc<Wanted>)> = Vec::new();
        let names = std::iter::once(&*first).chain(others.iter().map(String::as_str));
        for (model, suffix) in names.filter_map(|name| router.asked(name)) {
            if models.iter().any(|(known, _)| known.id == model.id) {
                continue;
            }
            let mut wanted = wanted.clone().among(&model.endpoints);
            if let Some(suffix) = suffix {
                wanted.and(suffix);
            }
            models.push((Arc::clone(model), Arc::new(wanted)));
        }
        if models.is_empty() {
            return Err(Refusal::UnknownModel(first.into_owned()));
        }
        Ok(Self { models })
    }
}

/// The refusal of a model that answers, but not on this route.
fn elsewhere(route: Route, model: &Model) -> Refusal {
    let routes: BTreeSet<Route> = model
        .endpoints
        .iter()
        .flat_map(|endpoint| endpoint.model.routes.iter().copied())
        .collect();
    let paths: Vec<&str> = routes.into_iter().map(Route::path).collect();
    Refusal::BadRequest {
        param: Some("model".to_owned()),
        message: format!(
            "The model {:?} does not answer on {} but on {}.",
            model.id,
            route.path(),
            paths.join(", ")
        ),
    }
}

/// An endpoint's quote, unless it cannot answer this or not for what one call may cost.
fn quoted_at(
    endpoint: &Endpoint,
    shape: &RequestShape,
    terms: &Terms,
) -> Result<(Quote, Units), Refusal> {
    let quote = quote(
        &endpoint.model.price,
        shape,
        &QuoteTerms {
            markup_bps: terms.markup_bps,
            output_cap: endpoint.model.output_cap,
            max_output_tokens: Some(endpoint.model.output_max),
            context_tokens: endpoint.model.context_tokens,
            tokenizer: endpoint.model.tokenizer,
        },
    )?;
    let ceiling = quote.ceiling.to_units_ceil(terms.decimals);
    let ceiling = ceiling.map_err(|_| Refusal::Internal)?;
    if ceiling > terms.ceiling_max {
        return Err(Refusal::TooDear {
            ceiling,
            ceiling_max: terms.ceiling_max,
        });
    }
    Ok((quote, ceiling))
}

/// Names the rows that a bill may be made from: two sets of rows never have the same name.
fn name_of_rows(route: Route, candidates: &[Arc<Candidate>]) -> String {
    let mut rows: Vec<[u8; 32]> = candidates.iter().map(|c| c.endpoint.price_row).collect();
    rows.sort_unstable();
    rows.dedup();
    let name: [u8; 32] = match rows.as_slice() {
        [one] => *one,
        all => Sha256::digest(all.concat()).into(),
    };
    let name = hex::encode(name.first_chunk::<8>().unwrap_or(&[0; 8]));
    match route {
        Route::Chat => name,
        _ => format!("{name}.{route}"),
    }
}
