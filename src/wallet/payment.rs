//! What is signed for an offer, and the header it goes in.

use super::choose::Candidate;
use crate::config::RailKind;
use crate::money::{AmountError, Units};
use crate::protocol::addresses::PERMIT2;
use crate::protocol::channel::{
    ChannelConfig, Deposit, Method, Terms, signed_erc3009, signed_permit2,
};
use crate::protocol::payment_identifier::{self, PaymentId};
use crate::protocol::permit2::eip2612::{self, TokenDomain};
use crate::protocol::signature::Key;
use crate::protocol::x402::{Extensions, PaymentPayload, PaymentRequired, Requirements};
use crate::protocol::{HeaderError, Refusal, eip3009, permit2};
use alloy::primitives::{B256, U256};
use serde_json::Value;

/// How many calls' amounts a deposit holds unless said, as with the published clients.
const DEPOSIT_CALLS: u128 = 5;

/// When a payment is made, and what makes it the only one of its kind.
#[derive(Debug, Clone)]
pub(super) struct Moment {
    /// Now, in Unix seconds.
    pub now_s: u64,
    /// A random number.
    pub nonce: B256,
    /// The wallet's own name for the payment.
    pub id: PaymentId,
}

impl Moment {
    /// This moment.
    pub(super) fn now() -> Result<Self, Refusal> {
        let id = format!("pay_{}", hex::encode(rand::random::<[u8; 16]>()));
        Ok(Self {
            now_s: crate::clock::now_ms() / 1000,
            nonce: B256::from(rand::random::<[u8; 32]>()),
            id: id.parse()?,
        })
    }

    /// Until when what is signed for this offer is good, in Unix seconds.
    pub(super) fn until(&self, offer: &Requirements) -> u64 {
        self.now_s.saturating_add(offer.max_timeout_seconds)
    }
}

/// The signed payload of an offer that needs no channel; `None` for one that does.
pub(super) fn payload(key: &Key, candidate: &Candidate, moment: &Moment) -> Option<Value> {
    let offer = &candidate.offer;
    let until = moment.until(offer);
    match candidate.rail {
        RailKind::Exact => {
            let terms = eip3009::Terms::of(offer)?;
            let authorization = eip3009::Authorization {
                from: key.address(),
                to: offer.pay_to,
                value: U256::from(offer.amount.atomic()),
                valid_after: U256::ZERO,
                valid_before: U256::from(until),
                nonce: moment.nonce,
            };
            Some(eip3009::signed_payload(key, &authorization, &terms))
        }
        RailKind::ExactPermit2 | RailKind::Upto => {
            let terms = permit2::Terms::of(offer)?;
            let authorization = terms.authorization(key.address(), moment.nonce.into(), until);
            Some(permit2::signed_payload(key, &authorization, &terms))
        }
        RailKind::Channel | RailKind::TempoCharge | RailKind::TempoSession => None,
    }
}

/// A deposit of this size, signed the way the offer wants it.
pub(super) fn deposit(
    key: &Key,
    config: &ChannelConfig,
    offer: &Requirements,
    terms: &Terms,
    amount: Units,
    moment: &Moment,
) -> Deposit {
    let until = moment.until(offer);
    match terms.method {
        Method::Eip3009 => signed_erc3009(key, config, terms, amount, (0, until), moment.nonce),
        Method::Permit2 => signed_permit2(key, config, terms, amount, until, moment.nonce.into()),
    }
}

/// How much to deposit: what was asked for, or enough for a few calls and the server's own hint,
/// as far as the limit allows. `None` when that does not cover what the channel lacks, or is above
/// the limit.
pub(super) fn deposit_size(
    terms: &Terms,
    lacks: Units,
    wanted: Option<Units>,
    limit: Units,
) -> Result<Option<Units>, AmountError> {
    let few = terms
        .amount
        .atomic()
        .checked_mul(DEPOSIT_CALLS)
        .map(Units::from_atomic)
        .ok_or(AmountError::Overflow)?;
    let usual = few.max(terms.min_deposit.unwrap_or_default()).min(limit);
    let size = wanted.unwrap_or_else(|| usual.max(lacks));
    Ok(Some(size).filter(|size| *size >= lacks && *size <= limit && !size.is_zero()))
}

/// A permit that lets Permit2 move `amount`, for an offer whose token has such permits.
pub(super) fn permit(
    key: &Key,
    offer: &Requirements,
    amount: Units,
    token_nonce: U256,
    moment: &Moment,
) -> Option<eip2612::Signed> {
    let permit = eip2612::Permit {
        from: key.address(),
        asset: offer.asset,
        spender: PERMIT2,
        amount: U256::from(amount.atomic()),
        nonce: token_nonce,
        deadline: U256::from(moment.until(offer)),
    };
    Some(eip2612::sign(key, permit, &TokenDomain::of(offer)?))
}

/// The header `PAYMENT-SIGNATURE`: the offer and the advertised extensions echoed, the wallet's
/// name for the payment and a permit, where there is one, put in.
pub(super) fn header(
    required: &PaymentRequired,
    offer: &Requirements,
    payload: Value,
    id: &PaymentId,
    permit: Option<&eip2612::Signed>,
) -> Result<String, HeaderError> {
    let payment = PaymentPayload {
        x402_version: 2,
        resource: Some(required.resource.clone()),
        accepted: serde_json::to_value(offer).unwrap_or_default(),
        payload,
        extensions: required
            .extensions
            .clone()
            .map(|extensions| echoed(extensions, id, permit)),
    };
    payment.to_header()
}

fn echoed(
    mut extensions: Extensions,
    id: &PaymentId,
    permit: Option<&eip2612::Signed>,
) -> Extensions {
    if let Some(advert) = extensions.get_mut(payment_identifier::KEY) {
        *advert = payment_identifier::echo_with_id(advert, id);
    }
    if let (Some(advert), Some(permit)) = (extensions.get_mut(eip2612::KEY), permit) {
        *advert = eip2612::echo_with_permit(advert, permit);
    }
    extensions
}
