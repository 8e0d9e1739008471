//! The rails as MPP's callers see them.

use super::{Rails, Wish};
use crate::config::RailKind;
use crate::money::Units;
use crate::payment::mpp::{Method, MppPayment, Takes};
use crate::protocol::mpp::session::SESSION;
use crate::protocol::mpp::{evm, tempo};
use crate::protocol::{Refusal, mpp};
use sha2::{Digest, Sha256};

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
        let Some(mpp) = &self.inner.mpp else {
            return Vec::new();
        };
        let asked = self
            .offered(wish)
            .filter_map(|kind| self.asked(kind, amount));
        asked
            .map(|(names, request)| mpp.challenge(names, request, price_row, bound, now_s))
            .collect()
    }

    /// A challenge for what a session does beside paying, which is for no body.
    pub fn session_challenge(&self, route: &str, now_s: u64) -> Option<mpp::Challenge> {
        let (names, request) = self.asked(RailKind::TempoSession, Units::ZERO)?;
        let bound = mpp::Bound {
            route,
            body: &Sha256::digest([]).into(),
        };
        let mpp = self.inner.mpp.as_ref()?;
        Some(mpp.challenge(names, request, "", &bound, now_s))
    }

    /// The methods that MPP's challenges of such offers would name.
    pub fn methods(&self, wish: Wish) -> Vec<Method> {
        if self.inner.mpp.is_none() {
            return Vec::new();
        }
        let asked = self
            .offered(wish)
            .filter_map(|kind| self.asked(kind, Units::ZERO));
        let currency = self.asset().address;
        asked
            .map(|((method, intent), _)| Method {
                method,
                intent,
                currency,
            })
            .collect()
    }

    /// What a rail asks for, if it can be asked for by MPP: the names of its method and its intent, and
    /// its request.
    fn asked(
        &self,
        kind: RailKind,
        amount: Units,
    ) -> Option<((&'static str, &'static str), String)> {
        match kind {
            RailKind::Exact => {
                let charge = self.inner.exact.charge(amount);
                Some(((evm::METHOD, evm::CHARGE), charge.to_request()))
            }
            RailKind::TempoCharge => {
                let charge = self.inner.tempo.as_ref()?.charge(amount);
                Some(((tempo::METHOD, tempo::CHARGE), charge.to_request()))
            }
            RailKind::TempoSession => {
                let session = self.inner.session.as_ref()?.session();
                Some(((tempo::METHOD, SESSION), session.to_request()))
            }
            RailKind::ExactPermit2 | RailKind::Upto | RailKind::Channel => None,
        }
    }

    /// Reads a credential of MPP whose challenge was made here; it may have been made for another request.
    pub fn read_mpp(
        &self,
        credential: &mpp::Credential,
        idempotency_key: Option<&str>,
    ) -> Result<MppPayment, Refusal> {
        let mpp = self.inner.mpp.as_ref().ok_or(mpp::Refused::NotTaken)?;
        let takes = Takes {
            exact: &self.inner.exact,
            tempo: self.inner.tempo.as_ref(),
            session: self.inner.session.as_ref(),
        };
        mpp.read(credential, &takes, idempotency_key)
    }
}
