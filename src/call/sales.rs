//! What was sold, read from the log, and the app that a caller says it is.

use crate::ledger::{EntityId, Event, Hold, LogEntry};
use crate::metering::Usage;
use crate::stats::rankings::{Of, Sale, Sums};
use http::HeaderMap;
use std::collections::HashMap;
use std::sync::Arc;

/// The longest name of an app that is kept, in characters.
const APP_CHARS_MAX: usize = 80;

/// Reads sales from the entries of a log, in their order.
#[derive(Debug, Default)]
pub struct SalesReader {
    /// The calls that are held and not over.
    held: HashMap<EntityId, Arc<Hold>>,
}

impl SalesReader {
    /// The sale that this entry completes, if it does.
    ///
    /// Fails on an entry that no version of this program wrote.
    pub fn read(&mut self, entry: &LogEntry) -> Result<Option<Sale>, serde_json::Error> {
        let mut sale = None;
        for event in entry.events()? {
            sale = self.take(entry.id, event)?.or(sale);
        }
        Ok(sale)
    }

    fn take(&mut self, id: EntityId, event: Event) -> Result<Option<Sale>, serde_json::Error> {
        match event {
            Event::Held(hold) => {
                self.held.insert(id, hold);
            }
            Event::Voided { .. } => {
                self.held.remove(&id);
            }
            Event::Captured(capture) => {
                let usage: Usage = serde_json::from_value(capture.usage.clone())?;
                let by = capture.answered_by.as_deref();
                return Ok(self.held.remove(&id).map(|hold| Sale {
                    at_ms: capture.at_ms,
                    of: Of {
                        model: hold.model.clone(),
                        endpoint: by.map_or(&hold.endpoint, |by| &by.endpoint).clone(),
                        app: hold.app.clone().unwrap_or_default(),
                    },
                    sums: Sums {
                        calls: 1,
                        prompt_tokens: usage.prompt_total().unwrap_or(0),
                        cached_tokens: usage.cache_read,
                        completion_tokens: usage.output_total().unwrap_or(0),
                        spend_pusd: capture.total,
                    },
                }));
            }
            _ => {}
        }
        Ok(None)
    }
}

/// The app that a request says it is from: its title (`X-OpenRouter-Title`, `X-Title`) and the host of its
/// `HTTP-Referer`, never more of that, which could name a person.
pub(super) fn app(headers: &HeaderMap) -> Option<String> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let title = text("x-openrouter-title").or_else(|| text("x-title"));
    let title = title.filter(|title| !title.is_empty());
    let site = text("http-referer").and_then(|url| reqwest::Url::parse(url).ok());
    let site = site.as_ref().and_then(|url| url.host_str());
    let app = match (title, site) {
        (Some(title), Some(site)) => format!("{title} ({site})"),
        (one, other) => one.or(other)?.to_owned(),
    };
    Some(
        app.chars()
            .filter(|c| !c.is_control())
            .take(APP_CHARS_MAX)
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    #[test]
    fn an_app_is_its_title_and_the_host_of_its_page() {
        let named = |headers: &[(&'static str, &'static str)]| {
            let header = |(name, value): &(&'static str, &'static str)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            };
            app(&headers.iter().map(header).collect())
        };
        let page = ("http-referer", "https://app.example/users/ann?token=1");
        assert_eq!(named(&[]), None);
        assert_eq!(named(&[page]).as_deref(), Some("app.example"));
        let both = [page, ("x-title", " Notes ")];
        assert_eq!(named(&both).as_deref(), Some("Notes (app.example)"));
        let newer = [("x-title", "old"), ("x-openrouter-title", "new")];
        assert_eq!(named(&newer).as_deref(), Some("new"));
        assert_eq!(named(&[("x-title", ""), ("http-referer", "nothing")]), None);
    }
}
