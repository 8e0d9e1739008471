//! What upstreams' catalogues say of the models that are sold here: read now and then, believed with care,
//! and written down beside the ledger's books, so that a start without a network has the last good ones.

use super::Desk;
use crate::config::UpstreamConfig;
use crate::ledger::{Ledger, Note};
use crate::pricing::openrouter::{Listing, listing};
use crate::router::{Catalogue, Endpoint, Router};
use crate::stats::Hearsay;
use futures::StreamExt;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::sleep;

/// The kind of the notes.
const NOTES: &str = "listing";

/// The most notes in one write.
const NOTES_MAX: usize = 500;

/// The longest reason that is logged, in characters: it may quote what came.
const WHY_MAX: usize = 300;

/// How soon a catalogue is read again while a model lacks a price.
const LACKING_EVERY: Duration = Duration::from_secs(10);

/// Requests on their way at once.
const AT_ONCE: usize = 4;

/// An upstream's name, and the id by which its catalogue lists a model.
type Of = (String, String);

/// The listings of all models, for the configuration that is in force.
#[derive(Debug)]
pub struct Listings {
    ledger: Ledger,
    upstreams: Mutex<Vec<UpstreamConfig>>,
    known: Mutex<BTreeMap<Of, Known>>,
    /// A new configuration may ask for what was never read.
    configured: Notify,
}

/// What is known of a model.
#[derive(Debug, Default)]
struct Known {
    /// The last that was believed.
    good: Option<Good>,
    /// A newer one that is odd, until it is read a second time.
    doubted: Option<Listing>,
}

/// What is believed of a model, and remembered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Good {
    listing: Listing,
    heard: Hearsay,
}

impl Listings {
    /// Those that were written down before.
    pub fn remembered(ledger: &Ledger, upstreams: &[UpstreamConfig]) -> Self {
        let notes = ledger.notes(NOTES).unwrap_or_else(|error| {
            tracing::warn!(%error, "the last catalogues cannot be read");
            Vec::new()
        });
        let known = notes.into_iter().filter_map(|(name, note)| {
            let of = serde_json::from_slice(&name).ok()?;
            let good = serde_json::from_slice(&note).ok();
            let doubted = None;
            Some((of, Known { good, doubted }))
        });
        Self {
            ledger: ledger.clone(),
            upstreams: Mutex::new(upstreams.to_vec()),
            known: Mutex::new(known.collect()),
            configured: Notify::new(),
        }
    }

    /// Takes another configuration.
    pub fn configure(&self, upstreams: &[UpstreamConfig]) {
        *self.upstreams() = upstreams.to_vec();
        self.configured.notify_one();
    }

    /// The configuration with all models that have a price now.
    pub fn priced(&self) -> Vec<UpstreamConfig> {
        let known = self.known();
        let priced = |upstream: &UpstreamConfig| {
            upstream.listed(|model| {
                let of = (upstream.name.clone(), model.listed_as.clone());
                Some(&known.get(&of)?.good.as_ref()?.listing)
            })
        };
        self.upstreams().iter().map(priced).collect()
    }

    /// The models that cannot be sold, as no good price of theirs was ever read.
    pub fn lacking(&self) -> Vec<String> {
        let priced = self.priced();
        let unsold = priced.iter().flat_map(|upstream| {
            let sold = |id: &str| upstream.models.iter().any(|model| model.id == id);
            let unsold = upstream
                .unpriced
                .iter()
                .filter(move |model| !sold(&model.id));
            unsold.map(|model| model.id.clone())
        });
        unsold.collect()
    }

    /// How fast they say that these endpoints are.
    fn speeds(&self, router: &Router) -> Vec<(u64, Hearsay)> {
        let known = self.known();
        let heard = |endpoint: &Arc<Endpoint>| {
            let of = (
                endpoint.upstream.name.clone(),
                endpoint.upstream_id().to_owned(),
            );
            Some((endpoint.id, known.get(&of)?.good.as_ref()?.heard))
        };
        router.endpoints().filter_map(heard).collect()
    }

    /// Reads all catalogues; whether what is sold, or for how much, has changed.
    pub async fn read(&self) -> bool {
        let asked = self.asked();
        let read = asked.into_iter().map(|(catalogue, of)| async move {
            let read = catalogue.read(&of.1).await;
            let read = read.map_err(|error| error.to_string());
            (of, read.and_then(|text| good(&text)))
        });
        let read: Vec<_> = futures::stream::iter(read)
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        let mut notes: Vec<Note> = Vec::new();
        let mut changed = false;
        {
            let mut known = self.known();
            for (of, read) in read {
                let before = known.entry(of.clone()).or_default();
                match read.and_then(|newer| before.take(newer)) {
                    Ok(news) => {
                        changed |= news;
                        notes.extend(note(&of, before));
                    }
                    Err(why) => tracing::warn!(
                        upstream = of.0,
                        model = of.1,
                        why = why.chars().take(WHY_MAX).collect::<String>(),
                        known = before.good.is_some(),
                        "what the catalogue says of a model is not taken; what was known of it stays"
                    ),
                }
            }
        }
        for page in notes.chunks(NOTES_MAX) {
            if let Err(error) = self.ledger.take_notes(NOTES, page.to_vec()).await {
                tracing::warn!(%error, "the catalogues are not remembered for the next start");
            }
        }
        changed
    }

    /// Every model that a catalogue can be asked for: those with a price of their own too, for their speed.
    fn asked(&self) -> Vec<(Catalogue, Of)> {
        let mut asked = BTreeMap::new();
        for upstream in self.upstreams().iter() {
            let Some(catalogue) = Catalogue::of(upstream) else {
                continue;
            };
            let priced = upstream.models.iter();
            let priced = priced.map(|model| model.upstream_id.as_ref().unwrap_or(&model.id));
            let unpriced = upstream.unpriced.iter().map(|model| &model.listed_as);
            for listed_as in priced.chain(unpriced) {
                let of = (upstream.name.clone(), listed_as.clone());
                asked.insert(of, catalogue.clone());
            }
        }
        asked
            .into_iter()
            .map(|(of, catalogue)| (catalogue, of))
            .collect()
    }

    fn upstreams(&self) -> MutexGuard<'_, Vec<UpstreamConfig>> {
        self.upstreams
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<Of, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Desk {
    /// Reads the catalogues so often, from now until the desk is closed, and sooner while a model cannot be
    /// sold for want of a price; puts what they say in force: new prices as at a reload, speeds where
    /// endpoints have not shown their own.
    pub fn keep_prices(&self, listings: Arc<Listings>, every: Duration) {
        let desk = self.clone();
        tokio::spawn(async move {
            let closing = &desk.shared().closing;
            let mut pause = Duration::ZERO;
            loop {
                let read = async {
                    tokio::select! {
                        () = sleep(pause) => {}
                        () = listings.configured.notified() => {}
                    }
                    listings.read().await
                };
                let changed = tokio::select! {
                    () = closing.cancelled() => return,
                    changed = read => changed,
                };
                if changed {
                    match desk.prices().reprice(&listings.priced()) {
                        Ok(()) => tracing::info!("the prices of catalogues were read anew"),
                        Err(error) => tracing::error!(%error, "the HTTP client cannot start"),
                    }
                }
                let speeds = listings.speeds(&desk.prices().current());
                desk.shared().routing.measured.hear(speeds);
                pause = match listings.lacking().is_empty() {
                    true => every,
                    false => every.min(LACKING_EVERY),
                };
            }
        });
    }
}

impl Known {
    /// Takes a newer listing; whether it sells otherwise than the one before. One that is odd is taken when it
    /// was read twice, one time after the other.
    fn take(&mut self, newer: Good) -> Result<bool, String> {
        let before = self.good.as_ref().map(|good| &good.listing);
        let doubt = before.and_then(|before| before.doubts(&newer.listing));
        let again = self.doubted.take().as_ref() == Some(&newer.listing);
        if let Some(doubt) = doubt.filter(|_| !again) {
            self.doubted = Some(newer.listing);
            return Err(format!("{doubt}; it is believed when it is read once more"));
        }
        let same = before == Some(&newer.listing);
        self.good = Some(newer);
        Ok(!same)
    }
}

/// Reads a catalogue's answer.
fn good(text: &str) -> Result<Good, String> {
    Ok(Good {
        listing: listing(text).map_err(|error| error.to_string())?,
        heard: Hearsay::of(text),
    })
}

fn note(of: &Of, known: &Known) -> Option<Note> {
    let text = serde_json::to_vec(known.good.as_ref()?).ok()?;
    Some((serde_json::to_vec(of).ok()?, Some(text)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::money::Rate;
    use crate::pricing::PriceRow;
    use std::collections::BTreeSet;

    fn listed(endpoints: usize, prompt: u64) -> Good {
        let listing = Listing {
            row: PriceRow::new(Rate::from_pico(prompt), Rate::from_pico(1)),
            context_tokens: None,
            output_max: None,
            parameters: BTreeSet::new(),
            endpoints,
        };
        let heard = Hearsay::default();
        Good { listing, heard }
    }

    #[test]
    fn what_is_odd_is_believed_when_it_is_read_twice_running() {
        let mut known = Known::default();
        assert_eq!(known.take(listed(8, 100)), Ok(true), "the first of all");
        let mut faster = listed(8, 100);
        faster.heard.speed = Some(90.0);
        assert_eq!(known.take(faster), Ok(false), "sold as before");
        assert_eq!(
            known.good.as_ref().and_then(|good| good.heard.speed),
            Some(90.0)
        );
        assert_eq!(known.take(listed(4, 200)), Ok(true));
        assert!(known.take(listed(1, 200)).is_err());
        assert_eq!(known.take(listed(4, 200)), Ok(false), "a slip");
        assert!(known.take(listed(1, 200)).is_err(), "not twice running");
        assert!(known.take(listed(4, 20_000)).is_err(), "odd in another way");
        assert_eq!(known.good, Some(listed(4, 200)), "the last good one stays");
        assert_eq!(known.take(listed(4, 20_000)), Ok(true));
    }
}
