//! The challenges that were printed: each kind once, as long as its price is in force.

use crate::call::Quoted;
use crate::metering::Route;
use crate::payment::Wish;
use crate::protocol::HeaderError;
use crate::protocol::x402::Blank;
use crate::router::Model;
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, Weak};

/// Blanks by kind; there are as many kinds as models, times their routes, times the wishes, times two.
#[derive(Debug, Default)]
pub(super) struct Blanks(RwLock<HashMap<Kind, Kept>>);

/// Everything that a challenge depends on beside the ceiling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Kind {
    /// The model's place in memory: another price is another model there.
    model: usize,
    route: Route,
    stream: bool,
    wish: Wish,
}

#[derive(Debug)]
struct Kept {
    blank: Arc<Blank>,
    /// Nothing else comes to stand in the model's place while this is kept.
    model: Weak<Model>,
}

impl Blanks {
    /// The blank for a call without a payment, which `print` makes the first time.
    pub(super) fn of(
        &self,
        call: &Quoted,
        wish: Wish,
        print: impl FnOnce() -> Result<Blank, HeaderError>,
    ) -> Result<Arc<Blank>, HeaderError> {
        // Of the sets of endpoints that callers choose there is no end.
        if !call.is_plain() {
            return Ok(Arc::new(print()?));
        }
        let kind = Kind {
            model: Arc::as_ptr(&call.model).addr(),
            route: call.route,
            stream: call.stream,
            wish,
        };
        let blanks = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = blanks.get(&kind) {
            return Ok(Arc::clone(&kept.blank));
        }
        drop(blanks);
        let blank = Arc::new(print()?);
        let kept = Kept {
            blank: Arc::clone(&blank),
            model: Arc::downgrade(&call.model),
        };
        let mut blanks = self.0.write().unwrap_or_else(PoisonError::into_inner);
        blanks.retain(|_, kept| kept.model.strong_count() > 0);
        blanks.insert(kind, kept);
        Ok(blank)
    }
}
