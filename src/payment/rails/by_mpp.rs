//! The rails as MPP's callers see them.

use super::{Rails, Wish};
use crate::config::RailKind;
use crate::money::Units;
use crate::payment::mpp::{Method, MppPayment};
use crate::protocol::{Refusal, mpp};

impl Rails {
    /// The same offers as MPP makes them: challenges for this very request, alive from now on.
    pub fn challenges(
        &self,
        amount: Units,
        price_row: &str,
        wish: Wish,
        bound: &mpp::Bound<'_>,
        now_s: u64,
    ) -> Vec<mpp::Challenge> {
        let by_exact = self.offered(wish).any(|kind| kind == RailKind::Exact);
        let mpp = self.inner.mpp.as_ref().filter(|_| by_exact);
        let offer = self.inner.exact.offer(amount, price_row);
        let decimals = self.asset().decimals.get();
        mpp.map(|mpp| mpp.challenge(&offer, decimals, bound, now_s))
            .into_iter()
            .collect()
    }

    /// The methods that MPP's challenges of such offers would name.
    pub fn methods(&self, wish: Wish) -> Vec<Method> {
        let by_exact = self.offered(wish).any(|kind| kind == RailKind::Exact);
        let mpp = self.inner.mpp.as_ref().filter(|_| by_exact);
        let currency = self.asset().address;
        mpp.map(|_| Method::charge(currency)).into_iter().collect()
    }

    /// Reads a credential of MPP whose challenge was made here; it may have been made for another request.
    pub fn read_mpp(
        &self,
        credential: &mpp::Credential,
        idempotency_key: Option<&str>,
    ) -> Result<MppPayment, Refusal> {
        let mpp = self.inner.mpp.as_ref().ok_or(mpp::Refused::NotTaken)?;
        mpp.read(credential, &self.inner.exact, idempotency_key)
    }
}
