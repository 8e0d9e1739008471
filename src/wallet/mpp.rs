//! MPP's `evm/charge` as this wallet sees it: an offer of `exact` among others, and the credential that
//! answers its challenge.

use super::asset::Asset;
use super::http::{HttpError, challenges};
use super::spends::Spends;
use crate::protocol::eip3009::{self, Authorization, Terms};
use crate::protocol::mpp::evm::{self, Charge};
use crate::protocol::mpp::{Challenge, Credential};
use crate::protocol::signature::Key;
use crate::protocol::x402::{EXACT, PaymentRequired, Requirements, ResourceInfo};
use alloy::primitives::U256;
use reqwest::Response;
use serde_json::{Map, Value};

/// The charges that an answer asks for, as offers, and the challenge of each.
pub(super) fn offers(answer: &Response) -> Result<(PaymentRequired, Vec<Challenge>), HttpError> {
    let now_s = crate::clock::now_ms() / 1000;
    let host = answer.url().host_str().unwrap_or_default();
    let offered = challenges(answer)?
        .into_iter()
        .filter(|challenge| is_of(&challenge.realm, host))
        .filter_map(|challenge| Some((offer(&challenge, now_s)?, challenge)));
    let (accepts, challenges) = offered.unzip();
    let resource = ResourceInfo {
        url: answer.url().to_string(),
        description: None,
        mime_type: None,
        service_name: None,
    };
    let required = PaymentRequired {
        x402_version: 2,
        error: None,
        resource,
        accepts,
        extensions: None,
    };
    Ok((required, challenges))
}

/// Whether a realm is this host, or a domain that it is in. Another's challenge, passed on, would have the
/// wallet pay for what the other is asked for.
fn is_of(realm: &str, host: &str) -> bool {
    let within = host.strip_suffix(realm).map(|rest| rest.ends_with('.'));
    host == realm || (realm.contains('.') && within == Some(true))
}

/// `None` for a challenge that is no charge by EIP-3009, or that is not alive any more.
fn offer(challenge: &Challenge, now_s: u64) -> Option<Requirements> {
    if challenge.method != evm::METHOD || challenge.intent != evm::CHARGE {
        return None;
    }
    let charge = Charge::from_request(&challenge.request)?;
    let left = ends(challenge)?
        .checked_sub(now_s)
        .filter(|left| *left > 0)?;
    let extra: Option<Map<String, Value>> =
        Asset::domain(charge.network, charge.currency).map(|(name, version)| {
            let members = [("name", name), ("version", version)];
            let members = members.map(|(key, text)| (key.to_owned(), Value::from(text)));
            members.into_iter().collect()
        });
    Some(Requirements {
        scheme: EXACT.to_owned(),
        network: charge.network,
        amount: charge.amount,
        asset: charge.currency,
        pay_to: charge.recipient,
        max_timeout_seconds: left,
        extra,
    })
}

/// The header that answers a challenge, and what it spends; `None` for an offer that lacks something.
pub(super) fn credential(
    key: &Key,
    offer: &Requirements,
    challenge: &Challenge,
) -> Option<(String, Spends)> {
    let terms = Terms::of(offer)?;
    let [nonce, _] = evm::nonces(challenge);
    let until_s = ends(challenge)?;
    let authorization = Authorization {
        from: key.address(),
        to: offer.pay_to,
        value: U256::from(offer.amount.atomic()),
        valid_after: U256::ZERO,
        valid_before: U256::from(until_s),
        nonce,
    };
    let signature = key.sign(eip3009::digest(&authorization, &terms)).to_bytes();
    let credential = Credential {
        challenge: challenge.clone(),
        source: Some(evm::source(offer.network, key.address())),
        payload: evm::payload_of(&authorization, &signature).to_string(),
    };
    let spends = Spends {
        by_permit2: false,
        nonce,
        until_s,
    };
    Some((credential.to_header()?, spends))
}

fn ends(challenge: &Challenge) -> Option<u64> {
    evm::unix_seconds(challenge.expires.as_deref()?)
}
