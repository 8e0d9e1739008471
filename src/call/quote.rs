//! What a request can cost at worst: a pure function of its bytes and the price table.

use super::Refusal;
use crate::config::PaymentConfig;
use crate::json::{Limits, Object, Splice};
use crate::ledger::RequestHash;
use crate::metering::Route;
use crate::money::{AssetDecimals, Pusd, Units};
use crate::pricing::{Quote, QuoteTerms, RequestShape, quote};
use crate::protocol::receipt;
use crate::router::{Endpoint, Router};
use bytes::Bytes;
use std::borrow::Cow;
use std::ops::Deref;
use std::sync::Arc;

/// How deep the JSON of a request may nest.
const REQUEST_DEPTH_MAX: usize = 64;

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

/// A request with its worst price: what offers are made of.
#[derive(Debug, Clone)]
pub struct Quoted {
    /// The route it was sent to.
    pub route: Route,
    /// The endpoint that will answer.
    pub endpoint: Arc<Endpoint>,
    /// The most it can cost, in 10⁻¹² USD.
    pub ceiling_usd: Pusd,
    /// The most it can cost, in the asset's atomic units: what is offered and held.
    pub ceiling: Units,
    /// The quote behind the ceiling.
    pub quote: Quote,
    /// Whether the answer is to be an event stream.
    pub stream: bool,
    /// Whether the caller asked for the usage chunk of a stream.
    pub usage_wanted: bool,
    /// Basis points added to the list price.
    pub markup_bps: u32,
    pub(super) prompt_bytes: u64,
}

impl Quoted {
    /// The name of the price row in offers, which names the route as well.
    pub fn price_row(&self) -> Cow<'_, str> {
        self.endpoint.price_row_on(self.route)
    }

    /// Whether it costs nothing, whatever it uses: that is priced so, as no missing price is.
    pub fn is_free(&self) -> bool {
        self.ceiling.is_zero()
    }
}

/// A quoted request that somebody pays for.
#[derive(Debug, Clone)]
pub struct QuotedCall {
    /// Its price.
    pub quoted: Quoted,
    /// The hash of the route and the body as it came.
    pub request: RequestHash,
    pub(super) body: Bytes,
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
    object: Object<'a>,
}

/// What a hold is bound to: the same body is another request on another route (rule 9).
pub(super) fn request_hash(route: Route, body: &[u8]) -> RequestHash {
    RequestHash::from_bytes(receipt::request_sha256(route, body))
}

impl<'a> Indexed<'a> {
    pub(super) fn read(route: Route, body: &'a [u8]) -> Result<Self, Refusal> {
        let limits = Limits {
            depth_max: REQUEST_DEPTH_MAX,
            bytes_max: body.len(),
        };
        let object = Object::parse(body, &limits).map_err(|error| Refusal::BadRequest {
            param: None,
            message: format!("The request body cannot be read: {error}."),
        })?;
        Ok(Self { route, object })
    }

    /// Prices the request by one price table.
    pub(super) fn quote(&self, router: &Router, terms: &Terms) -> Result<Quoted, Refusal> {
        let (route, object) = (self.route, &self.object);
        let model = object.text_of("model").ok().flatten();
        let model = model.ok_or_else(|| Refusal::BadRequest {
            param: Some("model".to_owned()),
            message: "`model` must be the text id of a model; GET /v1/models lists them."
                .to_owned(),
        })?;
        let endpoint = router
            .endpoint(&model)
            .cloned()
            .ok_or_else(|| Refusal::UnknownModel(model.into_owned()))?;
        if !endpoint.speaks(route) {
            return Err(elsewhere(route, &endpoint));
        }
        let mut shape = RequestShape::read(route, object)?;
        shape.count_text(endpoint.model.tokenizer, object);
        let quote = quote(
            &endpoint.model.price,
            &shape,
            &QuoteTerms {
                markup_bps: terms.markup_bps,
                output_cap: endpoint.model.output_cap,
                max_output_tokens: Some(endpoint.model.output_max),
                context_tokens: endpoint.model.context_tokens,
                tokenizer: endpoint.model.tokenizer,
            },
        )?;
        let ceiling = quote
            .ceiling
            .to_units_ceil(terms.decimals)
            .map_err(|_| Refusal::Internal)?;
        if ceiling > terms.ceiling_max {
            return Err(Refusal::TooDear {
                ceiling,
                ceiling_max: terms.ceiling_max,
            });
        }
        Ok(Quoted {
            route,
            ceiling_usd: quote.ceiling,
            ceiling,
            stream: shape.stream,
            usage_wanted: shape.include_usage,
            markup_bps: terms.markup_bps,
            prompt_bytes: shape.bytes,
            quote,
            endpoint,
        })
    }

    /// The call that is made when the quote is paid; `request` is the body's hash.
    pub(super) fn call(&self, quoted: Quoted, request: RequestHash) -> Result<QuotedCall, Refusal> {
        Ok(QuotedCall {
            body: self.upstream_body(&quoted)?,
            quoted,
            request,
        })
    }

    /// The caller's body with only these members spliced (rule 10): the upstream's own model id, the
    /// output cap that the quote relies on, and the usage chunk that the bill relies on.
    fn upstream_body(&self, quoted: &Quoted) -> Result<Bytes, Refusal> {
        let (object, endpoint) = (&self.object, &quoted.endpoint);
        let internal = |_| Refusal::Internal;
        let mut splice = Splice::new(object);
        if endpoint.upstream_id() != endpoint.model.id {
            let id = serde_json::to_string(endpoint.upstream_id()).map_err(internal)?;
            splice.set("model", id);
        }
        let limit = self.route.output_limit();
        if let (Some(member), Some(cap)) = (limit, quoted.quote.impose_max_tokens) {
            splice.set(member, cap.to_string());
        }
        if quoted.stream && !quoted.usage_wanted && self.route.asks_for_usage() {
            splice.set("stream_options", with_usage(object.raw("stream_options"))?);
        }
        Ok(splice.finish().into())
    }
}

/// The refusal of a model that answers, but not on this route.
fn elsewhere(route: Route, endpoint: &Endpoint) -> Refusal {
    let paths = endpoint.model.routes.iter().map(|route| route.path());
    let paths: Vec<&str> = paths.collect();
    Refusal::BadRequest {
        param: Some("model".to_owned()),
        message: format!(
            "The model {:?} does not answer on {} but on {}.",
            endpoint.model.id,
            route.path(),
            paths.join(", ")
        ),
    }
}

fn with_usage(options: Option<&str>) -> Result<String, Refusal> {
    let Some(options) = options.filter(|text| text.trim() != "null") else {
        return Ok(r#"{"include_usage":true}"#.to_owned());
    };
    let wrong = |error| Refusal::BadRequest {
        param: Some("stream_options".to_owned()),
        message: format!("`stream_options` cannot be read: {error}."),
    };
    let object = Object::parse(options.as_bytes(), &Limits::default()).map_err(wrong)?;
    let mut splice = Splice::new(&object);
    splice.set("include_usage", "true".to_owned());
    String::from_utf8(splice.finish()).map_err(|_| Refusal::Internal)
}
