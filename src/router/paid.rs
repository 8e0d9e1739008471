//! Upstreams that are paid for each call. Who pays them is told from above: here is what they are asked
//! for, and what becomes of their answers.

use super::Upstream;
use super::upstream::UpstreamAnswer;
use super::{Fault, UpstreamFailure};
use crate::metering::Route;
use crate::money::Pusd;
use crate::protocol::receipt::Receipt;
use bytes::Bytes;
use futures::future::BoxFuture;
use http::HeaderMap;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;

/// A call to be bought.
#[derive(Debug)]
pub struct Order {
    /// What it is sent by.
    pub client: reqwest::Client,
    /// The route.
    pub route: Route,
    /// Where that is.
    pub url: reqwest::Url,
    /// Where receipts are, up to the last slash.
    pub receipts: reqwest::Url,
    /// What goes along.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// The model, as the upstream calls it.
    pub model: String,
    /// The most that may be signed for it.
    pub most: Pusd,
    /// The most that all calls of this upstream may have taken, this one included.
    pub budget: Pusd,
    /// How long the head of the answer may take.
    pub within: Duration,
}

/// Buys a call. A failure says whether anything was signed: what [`UpstreamFailure::Paid`] holds was paid for.
pub type Buy =
    Arc<dyn Fn(Order) -> BoxFuture<'static, Result<Bought, UpstreamFailure>> + Send + Sync>;

/// Who buys, by the names of the upstreams.
#[derive(Clone, Default)]
pub struct Buyers(BTreeMap<String, Buy>);

/// What an order was answered with.
#[derive(Debug)]
pub struct Bought {
    /// The answer, good or not.
    pub answer: reqwest::Response,
    /// What is still to be found out of it, where it was paid for.
    pub purchase: Option<Purchase>,
}

/// A paid call whose receipt is still due. Dropped without one, the upstream is asked for it in time.
pub struct Purchase(Option<Close>);

/// Takes a receipt, as its text, or finds one.
pub type Close = Box<dyn FnOnce(Option<String>) -> BoxFuture<'static, Receipted> + Send + Sync>;

/// What became of a receipt.
#[derive(Debug, Clone, PartialEq)]
pub enum Receipted {
    /// It holds, and is of this call.
    Holds(Box<Receipt>),
    /// It does not.
    Unsound,
    /// There is none.
    Missing,
}

impl Buyers {
    /// Enters who buys at an upstream.
    pub fn insert(&mut self, upstream: &str, buy: Buy) {
        self.0.insert(upstream.to_owned(), buy);
    }

    pub(super) fn of(&self, upstream: &str) -> Option<Buyer> {
        self.0.get(upstream).cloned().map(Buyer)
    }
}

impl fmt::Debug for Buyers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Purchase {
    /// A purchase that `close` ends.
    pub fn new(close: Close) -> Self {
        Self(Some(close))
    }

    /// Takes the receipt that came along with the answer; where none did, waits for what the upstream says.
    pub async fn close(mut self, receipt: Option<String>) -> Receipted {
        match self.0.take() {
            Some(close) => close(receipt).await,
            None => Receipted::Missing,
        }
    }
}

impl Drop for Purchase {
    fn drop(&mut self) {
        // At the very end of a process there is nobody left to do it.
        if let (Some(close), Ok(runtime)) = (self.0.take(), Handle::try_current()) {
            runtime.spawn(close(None));
        }
    }
}

impl fmt::Debug for Purchase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Purchase").finish_non_exhaustive()
    }
}

/// How an upstream is paid.
#[derive(Debug)]
pub(super) struct Paid {
    pub(super) call_max: Pusd,
    pub(super) budget: Pusd,
    /// Nobody, for one that was not there at the start.
    pub(super) buyer: Option<Buyer>,
    pub(super) receipts: Option<reqwest::Url>,
}

pub(super) struct Buyer(Buy);

impl fmt::Debug for Buyer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buyer").finish_non_exhaustive()
    }
}

impl Upstream {
    /// Whether its calls are bought.
    pub fn is_paid(&self) -> bool {
        self.paid.is_some()
    }

    /// Buys a call and waits for the head of the answer; our own payer pays at most `ceiling` for it.
    ///
    /// Fails with the reason when nothing usable came: then no byte has reached the caller.
    pub async fn buy(
        &self,
        route: Route,
        headers: HeaderMap,
        body: Bytes,
        (model, ceiling): (&str, Pusd),
    ) -> Result<UpstreamAnswer, UpstreamFailure> {
        let paid = self.paid.as_ref().ok_or(UpstreamFailure::Unreachable)?;
        let url = self.url(route).ok_or(UpstreamFailure::Unreachable)?;
        let receipts = paid.receipts.clone().ok_or(UpstreamFailure::Unreachable)?;
        let buyer = paid.buyer.as_ref();
        let buyer = buyer.ok_or(UpstreamFailure::NotPaid("its wallet is opened at a start"))?;
        let order = Order {
            client: self.client()?.clone(),
            route,
            url,
            receipts,
            headers: self.own_headers(route, headers),
            body,
            model: model.to_owned(),
            most: paid.call_max.min(ceiling),
            budget: paid.budget,
            within: self.first_byte_timeout,
        };
        let Bought { answer, purchase } = (buyer.0)(order).await?;
        let answered = self.answered(answer).await;
        match answered {
            Ok(answer) => Ok(UpstreamAnswer { purchase, ..answer }),
            // The same call is not bought twice; whose fault it is stays what it was.
            Err(failure) if purchase.is_some() && failure.fault() != Fault::Request => {
                Err(UpstreamFailure::Paid(Box::new(failure)))
            }
            Err(failure) => Err(failure),
        }
    }
}
