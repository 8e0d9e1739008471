//! What a call may cost, and which of its offers is taken.

use super::Wallet;
use super::chain::Chain;
use super::channel;
use super::choose::{Allowance, Candidate, Choice, Means, choose, screen};
use super::error::WalletError;
use super::http::challenge;
use super::mpp;
use super::state::State;
use crate::config::{PayProtocol, RailKind};
use crate::protocol::channel::Method;
use crate::protocol::mpp::Challenge;
use crate::protocol::permit2::eip2612;
use crate::protocol::x402::PaymentRequired;
use alloy::primitives::U256;
use bytes::Bytes;
use reqwest::{Response, StatusCode};

/// What an unpaid request was answered with.
#[derive(Debug)]
pub enum Quoted {
    /// Something else than a challenge.
    Answer(Response),
    /// A challenge, and the choice among its offers.
    Quote(Box<Quote>),
}

/// A challenge with the offer that is to be paid; nothing is signed yet.
#[derive(Debug)]
pub struct Quote {
    /// The challenge.
    pub required: PaymentRequired,
    /// The offer, and why this one.
    pub choice: Choice,
    pub(super) chain: Option<Chain>,
    /// The challenge behind the offer, when it was made by MPP.
    pub(super) challenge: Option<Challenge>,
}

impl Wallet {
    /// Asks for a call without paying, and chooses among the offers.
    pub async fn quote(
        &self,
        body: &Bytes,
        protocol: PayProtocol,
        wish: Option<RailKind>,
    ) -> Result<Quoted, WalletError> {
        let rail = wish.map(RailKind::name);
        let answer = self.gateway.ask(Some(body), rail).await?;
        if answer.status() != StatusCode::PAYMENT_REQUIRED {
            return Ok(Quoted::Answer(answer));
        }
        let (required, challenges) = match protocol {
            PayProtocol::X402 => (challenge(&answer)?, Vec::new()),
            PayProtocol::Mpp => mpp::offers(&answer)?,
        };
        let state = self.store.read()?;
        let (fit, unfit) = self.fit(&required, &state);
        let Some(first) = fit.first() else {
            return Err(WalletError::Unfit(unfit));
        };
        let chain = self.chain(first.offer.network).await?;
        let mut candidates = Vec::new();
        for candidate in fit {
            let means = self
                .means(&candidate, &required, &state, chain.as_ref())
                .await?;
            candidates.push((candidate, means));
        }
        let choice = choose(&candidates, wish, self.limits.max);
        let choice = choice.ok_or_else(|| WalletError::NoMeans {
            offered: candidates.iter().map(|(c, _)| c.rail).collect(),
            wish,
        })?;
        let offer = &choice.candidate.offer;
        let at = required.accepts.iter().position(|other| other == offer);
        let challenge = at.and_then(|at| challenges.get(at).cloned());
        Ok(Quoted::Quote(Box::new(Quote {
            required,
            choice,
            chain,
            challenge,
        })))
    }

    fn fit(
        &self,
        required: &PaymentRequired,
        state: &State,
    ) -> (Vec<Candidate>, Vec<super::Unfit>) {
        let (mut fit, mut unfit) = (Vec::new(), Vec::new());
        for offer in &required.accepts {
            let peer = state.peer(&self.peer_key(offer.network));
            match screen(offer, &self.limits, peer.map(|peer| peer.payee)) {
                Ok(candidate) => fit.push(candidate),
                Err(why) => unfit.push(why),
            }
        }
        (fit, unfit)
    }

    async fn means(
        &self,
        candidate: &Candidate,
        required: &PaymentRequired,
        state: &State,
        chain: Option<&Chain>,
    ) -> Result<Means, WalletError> {
        let offer = &candidate.offer;
        let terms = channel::terms(offer);
        let room = terms.as_ref().is_some_and(|terms| {
            let id = channel::config(self.key.address(), terms).id(terms.domain());
            let channel = state.channel(&self.peer_key(offer.network), id);
            channel.is_some_and(|channel| channel.has_room(offer.amount))
        });
        let by_permit2 = match candidate.rail {
            RailKind::Exact | RailKind::TempoCharge | RailKind::TempoSession => false,
            RailKind::ExactPermit2 | RailKind::Upto => true,
            RailKind::Channel => terms.is_some_and(|terms| terms.method == Method::Permit2),
        };
        let chain = chain.filter(|chain| by_permit2 && chain.network() == offer.network);
        let allowance = match chain {
            None => Allowance::Unknown,
            Some(chain) => {
                let allowed = chain.allowance(offer.asset, self.key.address()).await?;
                let extensions = required.extensions.as_ref();
                let permits = extensions.is_some_and(|e| e.contains_key(eip2612::KEY))
                    && eip2612::TokenDomain::of(offer).is_some();
                if allowed >= U256::from(offer.amount.atomic()) {
                    Allowance::Approved
                } else if permits {
                    Allowance::ByPermit
                } else {
                    Allowance::Missing
                }
            }
        };
        Ok(Means {
            channel_has_room: room,
            allowance,
        })
    }
}
