//! What every credential says, whatever its form.

use crate::config::RailKind;
use crate::money::Units;
use crate::protocol::mpp::tempo::Charge;
use crate::protocol::x402::{Credential, Payload};
use alloy::primitives::Address;

/// The rails that take a payload of this form.
pub(super) fn kinds(payload: &Payload) -> &'static [RailKind] {
    match payload {
        Payload::Eip3009(_) => &[RailKind::Exact],
        Payload::Channel(_) => &[RailKind::Channel],
        Payload::Tempo(_) => &[RailKind::TempoCharge],
        Payload::Session(_) => &[RailKind::TempoSession],
        Payload::Permit2(signed) => match signed.authorization.witness.facilitator {
            Some(_) => &[RailKind::Upto],
            None => &[RailKind::ExactPermit2],
        },
    }
}

/// Who a credential says is paying.
pub fn payer(credential: &Credential) -> Address {
    match &credential.payload {
        Payload::Eip3009(signed) => signed.authorization.from,
        Payload::Permit2(signed) => signed.authorization.from,
        Payload::Channel(payload) => payload.config().payer,
        Payload::Tempo(signed) => signed.payer,
        Payload::Session(signed) => signed.payer,
    }
}

/// The signature of a credential, as it came.
pub fn signature(credential: &Credential) -> &[u8] {
    match &credential.payload {
        Payload::Eip3009(signed) => &signed.signature,
        Payload::Permit2(signed) => &signed.signature,
        Payload::Channel(payload) => &payload.voucher().signature,
        Payload::Tempo(signed) => signed.means.bytes(),
        Payload::Session(signed) => signed.action.bytes(),
    }
}

/// The amount a credential was signed for; `None` for one that no asset has.
pub(super) fn signed_amount(credential: &Credential) -> Option<Units> {
    let value = match &credential.payload {
        Payload::Eip3009(signed) => signed.authorization.value,
        Payload::Permit2(signed) => signed.authorization.permitted.amount,
        Payload::Tempo(signed) => {
            let charge = Charge::from_request(&signed.credential.challenge.request);
            return charge.map(|charge| charge.amount);
        }
        Payload::Channel(_) | Payload::Session(_) => return None,
    };
    u128::try_from(value).ok().map(Units::from_atomic)
}
