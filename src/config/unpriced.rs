//! Models whose prices stand in their upstream's own catalogue, and not in the configuration.

use super::reader::{Mistake, Reader};
use super::upstream::Above;
use super::{ModelConfig, UpstreamConfig};
use crate::money::Rate;
use crate::pricing::PriceRow;
use crate::pricing::litellm::ImportedRow;
use crate::pricing::openrouter::Listing;
use toml::Table;

/// A model that can be sold once its upstream's catalogue says at what price.
#[derive(Debug, Clone)]
pub struct UnpricedModel {
    /// The id that callers ask for.
    pub id: String,
    /// Other names that callers may ask for it by.
    pub aliases: Vec<String>,
    /// The endpoint's slug.
    pub tag: String,
    /// The id that the upstream, and its catalogue, know it by.
    pub listed_as: String,
    /// All that the configuration says.
    table: Table,
    above: Above,
}

impl UnpricedModel {
    /// `None` for a model that no price would make a good one, as the mistakes then say.
    pub(super) fn read(r: Reader<'_>, above: &Above, mistakes: &mut Vec<Mistake>) -> Option<Self> {
        let table = r.copied();
        // Whatever its price will be, all else is known now.
        let any = PriceRow::new(Rate::from_pico(1), Rate::from_pico(1));
        let row = imported(any, None, None);
        let model = ModelConfig::read(r, above, Some(row), mistakes)?;
        Some(Self {
            listed_as: model.upstream_id.unwrap_or_else(|| model.id.clone()),
            id: model.id,
            aliases: model.aliases,
            tag: model.tag,
            table,
            above: above.clone(),
        })
    }

    /// The model as its catalogue lists it; what the configuration says goes before. `None` when the two
    /// exclude each other.
    fn at(&self, listing: &Listing) -> Option<ModelConfig> {
        let reader = Reader::new(self.table.clone(), "", &|_| None);
        let says_parameters = reader.has("supported_parameters");
        let row = imported(
            listing.row.clone(),
            listing.context_tokens,
            listing.output_max,
        );
        let mut mistakes = Vec::new();
        let mut model = ModelConfig::read(reader, &self.above, Some(row), &mut mistakes)?;
        if !says_parameters {
            model.parameters.clone_from(&listing.parameters);
        }
        mistakes.is_empty().then_some(model)
    }
}

impl UpstreamConfig {
    /// The same with those of its unpriced models that a catalogue lists.
    pub fn listed<'a>(&self, listing: impl Fn(&UnpricedModel) -> Option<&'a Listing>) -> Self {
        let listed = |model: &UnpricedModel| model.at(listing(model)?);
        let mut models = self.models.clone();
        models.extend(self.unpriced.iter().filter_map(listed));
        Self {
            models,
            ..self.clone()
        }
    }
}

fn imported(
    row: PriceRow,
    context_tokens: Option<u64>,
    max_output_tokens: Option<u64>,
) -> ImportedRow {
    ImportedRow {
        row,
        context_tokens,
        max_output_tokens,
        notes: Vec::new(),
    }
}
