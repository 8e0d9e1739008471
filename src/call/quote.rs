//! What a request can cost at worst: a pure function of its bytes and the price table.

use super::Refusal;
use crate::config::PaymentConfig;
use crate::json::{Limits, Object, Splice};
use crate::ledger::RequestHash;
use crate::money::{AssetDecimals, Pusd, Units};
use crate::pricing::{Quote, QuoteTerms, RequestShape, quote};
use crate::router::{Endpoint, Router};
use bytes::Bytes;
use sha2::{Digest, Sha256};
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

/// A request with its worst price, ready to be paid for.
#[derive(Debug, Clone)]
pub struct QuotedCall {
    /// The endpoint that will answer.
    pub endpoint: Arc<Endpoint>,
    /// The most it can cost, in 10⁻¹² USD.
    pub ceiling_usd: Pusd,
    /// The most it can cost, in the asset's atomic units: what is offered and held.
    pub ceiling: Units,
    /// The quote behind the ceiling.
    pub quote: Quote,
    /// SHA-256 of the body as it came.
    pub request: RequestHash,
    /// Whether the answer is to be an event stream.
    pub stream: bool,
    /// Whether the caller asked for the usage chunk of a stream.
    pub usage_wanted: bool,
    /// Basis points added to the list price.
    pub markup_bps: u32,
    pub(super) body: Bytes,
    pub(super) prompt_bytes: u64,
}

impl QuotedCall {
    /// The name of the price row in offers: the beginning of its hash, in hexadecimal.
    pub fn price_row(&self) -> String {
        let hash = self.endpoint.model.price.sha256();
        hex::encode(hash.first_chunk::<8>().unwrap_or(&[0; 8]))
    }

    /// Prices a request body by one price table.
    pub(super) fn read(body: &Bytes, router: &Router, terms: &Terms) -> Result<Self, Refusal> {
        let limits = Limits {
            depth_max: REQUEST_DEPTH_MAX,
            bytes_max: body.len(),
        };
        let object = Object::parse(body, &limits).map_err(|error| Refusal::BadRequest {
            param: None,
            message: format!("The request body cannot be read: {error}."),
        })?;
        let model: Option<String> = object.get("model").ok().flatten();
        let model = model.ok_or_else(|| Refusal::BadRequest {
            param: Some("model".to_owned()),
            message: "`model` must be the text id of a model; GET /v1/models lists them."
                .to_owned(),
        })?;
        let endpoint = router
            .endpoint(&model)
            .cloned()
            .ok_or(Refusal::UnknownModel(model))?;
        let mut shape = RequestShape::read(&object)?;
        shape.count_text(endpoint.model.tokenizer, &object);
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
        Ok(Self {
            body: upstream_body(&object, &endpoint, &shape, &quote)?,
            request: RequestHash::from_bytes(Sha256::digest(body).into()),
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
}

/// The caller's body with only these members spliced (rule 10): the upstream's own model id, the
/// output cap that the quote relies on, and the usage chunk that the bill relies on.
fn upstream_body(
    object: &Object<'_>,
    endpoint: &Endpoint,
    shape: &RequestShape,
    quote: &Quote,
) -> Result<Bytes, Refusal> {
    let internal = |_| Refusal::Internal;
    let mut splice = Splice::new(object);
    if endpoint.upstream_id() != endpoint.model.id {
        let id = serde_json::to_string(endpoint.upstream_id()).map_err(internal)?;
        splice.set("model", id);
    }
    if let Some(cap) = quote.impose_max_tokens {
        splice.set("max_tokens", cap.to_string());
    }
    if shape.stream && !shape.include_usage {
        splice.set("stream_options", with_usage(object.raw("stream_options"))?);
    }
    Ok(splice.finish().into())
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
