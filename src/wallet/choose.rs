//! Which offer to take: first those that may be paid at all, then the cheapest of them that will
//! do. Pure, so that every refusal can be held to its rule.

use super::asset::Asset;
use super::channel;
use crate::config::RailKind;
use crate::money::{Pusd, Units};
use crate::protocol::x402::{EXACT, Requirements};
use crate::protocol::{Network, eip3009, permit2};
use alloy::primitives::Address;

/// What the wallet's owner allows.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The most that is signed for at once, for a call or a deposit.
    pub max: Pusd,
    /// Assets besides the known ones.
    pub assets: Vec<Asset>,
    /// Whether a payee that is not the one of last time is taken.
    pub accept_payee: bool,
}

/// An offer that may be paid, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The offer.
    pub offer: Requirements,
    /// Its rail.
    pub rail: RailKind,
    /// What it is paid in.
    pub asset: Asset,
}

/// Why an offer is not paid, whatever it costs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// The scheme is unknown, or the offer lacks what the scheme needs.
    #[error("this wallet cannot pay by {0}, or the offer of it lacks something")]
    Scheme(String),
    /// The money would move in an order that this wallet does not know.
    #[error("the payment flow {0:?} is not known")]
    Flow(String),
    /// The asset is no stablecoin that this wallet knows.
    #[error("the asset {asset} on {network} is not one this wallet knows (--asset allows it)")]
    Asset {
        /// The chain.
        network: Network,
        /// The token contract.
        asset: Address,
    },
    /// The payee is not the one of last time.
    #[error("the payee is {now}, but was {before} so far (--accept-payee takes the new one)")]
    Payee {
        /// Who is to be paid now.
        now: Address,
        /// Who was paid before.
        before: Address,
    },
    /// There is no payee, or no chain for it to be on.
    #[error("the offer names nobody to pay")]
    Nobody,
}

/// Whether an offer may be paid; `paid_before` is the payee that this origin had so far.
pub(super) fn screen(
    offer: &Requirements,
    limits: &Limits,
    paid_before: Option<Address>,
) -> Result<Candidate, Unfit> {
    let rail = rail(offer).ok_or_else(|| Unfit::Scheme(short(&offer.scheme)))?;
    match (offer.extra_text("paymentFlow"), rail) {
        (None | Some("authorization"), _)
        | (Some("upfront"), RailKind::Exact | RailKind::ExactPermit2) => {}
        (Some(flow), _) => return Err(Unfit::Flow(short(flow))),
    }
    if offer.pay_to.is_zero() {
        return Err(Unfit::Nobody);
    }
    let allowed = limits.assets.iter().copied();
    let asset = Asset::known(offer.network, offer.asset)
        .or_else(|| {
            allowed
                .into_iter()
                .find(|asset| asset.address == offer.asset)
        })
        .ok_or(Unfit::Asset {
            network: offer.network,
            asset: offer.asset,
        })?;
    match paid_before {
        Some(before) if before != offer.pay_to && !limits.accept_payee => Err(Unfit::Payee {
            now: offer.pay_to,
            before,
        }),
        _ => Ok(Candidate {
            offer: offer.clone(),
            rail,
            asset,
        }),
    }
}

/// The rail of an offer that can be signed for: one of a scheme that this wallet knows, with all
/// that the scheme needs.
fn rail(offer: &Requirements) -> Option<RailKind> {
    let method = offer.extra_text("assetTransferMethod");
    match (offer.scheme.as_str(), method) {
        (EXACT, None | Some("eip3009")) => eip3009::Terms::of(offer).map(|_| RailKind::Exact),
        (EXACT, Some(permit2::METHOD)) => permit2::Terms::of(offer).map(|_| RailKind::ExactPermit2),
        (permit2::UPTO, None | Some(permit2::METHOD)) => {
            permit2::Terms::of(offer).map(|_| RailKind::Upto)
        }
        (channel::SCHEME, _) => channel::terms(offer).map(|_| RailKind::Channel),
        _ => None,
    }
}

/// How Permit2 comes to move the payer's tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allowance {
    /// Nobody was asked: there is no node to ask.
    Unknown,
    /// It was approved for enough.
    Approved,
    /// A permit that comes with the payment will do it.
    ByPermit,
    /// Not without a transaction first.
    Missing,
}

/// What a wallet has for an offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Means {
    /// Whether an open channel has room for it.
    pub channel_has_room: bool,
    /// Whether Permit2 may move the tokens.
    pub allowance: Allowance,
}

/// The offer to pay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The offer.
    pub candidate: Candidate,
    /// What the wallet has for it.
    pub means: Means,
    /// Why this one, for people.
    pub why: &'static str,
}

/// The cheapest offer that will do, or the one of the rail that is wished for. What is above `max`
/// is chosen only if all is, and refused when it comes to signing.
///
/// An open channel comes first, since it needs no transaction; then `upto`, which takes only the
/// bill; then `exact`, which takes the ceiling and owes the change. A channel is opened only when
/// it is wished for, because that locks money.
pub(super) fn choose(
    candidates: &[(Candidate, Means)],
    wish: Option<RailKind>,
    max: Pusd,
) -> Option<Choice> {
    let ranked = candidates.iter().filter_map(|(candidate, means)| {
        let (rank, why) = match wish {
            Some(wish) => (wish == candidate.rail).then_some((0, "it was asked for"))?,
            None => rank(candidate.rail, *means)?,
        };
        Some((above(candidate, max), rank, candidate, means, why))
    });
    let best = ranked.min_by_key(|(above, rank, ..)| (*above, *rank))?;
    let (_, _, candidate, means, why) = best;
    Some(Choice {
        candidate: candidate.clone(),
        means: *means,
        why,
    })
}

fn rank(rail: RailKind, means: Means) -> Option<(u8, &'static str)> {
    let by_permit2 = |rank, approved, permitted| match means.allowance {
        Allowance::Approved => Some((rank, approved)),
        Allowance::ByPermit => Some((rank, permitted)),
        Allowance::Unknown | Allowance::Missing => None,
    };
    match rail {
        RailKind::Channel => means
            .channel_has_room
            .then_some((0, "an open channel has room for it")),
        RailKind::Upto => by_permit2(
            1,
            "only the bill is taken, and Permit2 is approved",
            "only the bill is taken, and a permit for Permit2 can be signed along",
        ),
        RailKind::Exact => Some((
            2,
            "it needs nothing but the tokens; the change becomes credit",
        )),
        RailKind::ExactPermit2 => by_permit2(
            3,
            "nothing else is offered, and Permit2 is approved",
            "nothing else is offered, and a permit for Permit2 can be signed along",
        ),
        RailKind::TempoCharge | RailKind::TempoSession => None,
    }
}

/// Whether the offer's amount is above `max`; what does not fit is.
fn above(candidate: &Candidate, max: Pusd) -> bool {
    !within(candidate.offer.amount, candidate.asset, max)
}

/// Whether an amount of an asset is at most `max`.
pub(super) fn within(amount: Units, asset: Asset, max: Pusd) -> bool {
    max.to_units_ceil(asset.decimals)
        .is_ok_and(|limit| amount <= limit)
}

fn short(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(40).collect()
}

#[cfg(test)]
mod tests;
