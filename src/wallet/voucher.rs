//! Pays for a call out of a channel: the file is on the disk before the voucher leaves.

use super::Wallet;
use super::channel::{self, Channel, Distrust, OpenCall, SCHEME};
use super::choose::Allowance;
use super::error::WalletError;
use super::http::{call_id, challenge, settled};
use super::payment::{self, Moment};
use super::purchase::{Deposits, Due, Paid, Purchase};
use super::quote::Quote;
use super::refresh::keep;
use super::state::PeerKey;
use super::store::Locked;
use crate::config::RailKind;
use crate::money::Units;
use crate::protocol::channel::{Method, Terms};
use crate::protocol::permit2::eip2612;
use crate::protocol::x402::{PAYMENT_SIGNATURE, PaymentRequired, Requirements};
use alloy::primitives::U256;
use reqwest::{Response, StatusCode};
use serde_json::{Map, Value};

/// The errors of a 402 that says how the client's books differ.
const CORRECTIVE: [&str; 2] = [
    "invalid_batch_settlement_evm_cumulative_amount_mismatch",
    "invalid_batch_settlement_evm_cumulative_below_claimed",
];

impl Wallet {
    pub(super) async fn pay_by_channel(
        &self,
        quote: &Quote,
        purchase: &Purchase,
    ) -> Result<Paid, WalletError> {
        let offer = &quote.choice.candidate.offer;
        let terms = terms_of(offer)?;
        let config = channel::config(self.key.address(), &terms);
        let id = config.id(terms.domain());
        let peer = self.peer_key(offer.network);
        let chain = quote.chain.as_ref();
        let mut locked = self.lock()?;
        locked.state.pin_payee(&peer, offer.pay_to);
        let mut channel = match locked.state.channel(&peer, id) {
            Some(known) => known.clone(),
            None => {
                let found = match chain {
                    Some(chain) => Some(chain.channel(id, &config).await?),
                    None => None,
                };
                Channel::new(config, terms.domain(), found.as_ref())
            }
        };
        self.refresh(&mut locked, &peer, &mut channel, chain)
            .await?;
        let answer = match self
            .send_voucher(&mut locked, &peer, &mut channel, quote, purchase)
            .await?
        {
            Sent::Answer(answer) => answer,
            Sent::Correction(extra) => {
                let chain = self.look(chain, &channel).await?;
                let corrected = channel.correct(&extra, terms.domain(), chain.as_ref());
                keep(&mut locked, &peer, &channel)?;
                corrected?;
                (self.tell)("the gateway counts differently, and proved it; signing anew");
                let again = self.send_voucher(&mut locked, &peer, &mut channel, quote, purchase);
                match again.await? {
                    Sent::Answer(answer) => answer,
                    Sent::Correction(_) => return Err(Distrust::Unproven.into()),
                }
            }
        };
        let bought = self.bought(offer, purchase, call_id(&answer));
        let due = Due {
            bought,
            peer,
            channel: Some((locked, channel)),
        };
        Ok(Paid { answer, due })
    }

    /// Signs the next voucher, writes the file, sends the voucher, and takes the headers in.
    async fn send_voucher(
        &self,
        locked: &mut Locked,
        peer: &PeerKey,
        channel: &mut Channel,
        quote: &Quote,
        purchase: &Purchase,
    ) -> Result<Sent, WalletError> {
        let offer = &quote.choice.candidate.offer;
        let terms = terms_of(offer)?;
        let moment = Moment::now()?;
        let size = self.deposit_size(channel, quote, &terms, purchase)?;
        let deposit = size
            .map(|size| payment::deposit(&self.key, &channel.config, offer, &terms, size, &moment));
        let permit = match size.filter(|_| terms.method == Method::Permit2) {
            Some(size) => self.permit_for_deposit(quote, size, &moment).await?,
            None => None,
        };
        let open = OpenCall {
            amount: offer.amount,
            deposit: Units::ZERO,
            model: purchase.model.clone(),
            request: self.gateway.request_hash(&purchase.body),
            call: None,
            reported: None,
        };
        let payload = channel.sign(&self.key, terms.domain(), open, deposit)?;
        let required = &quote.required;
        let payload = payload.to_json();
        let header = payment::header(required, offer, payload, &moment.id, permit.as_ref())?;
        keep(locked, peer, channel)?;
        let body = Some(&purchase.body);
        let answer = self
            .gateway
            .pay(body, (PAYMENT_SIGNATURE, &header), |s| self.wait(s))
            .await?;
        let settled = settled(&answer);
        let taken = settled.as_ref().is_some_and(|response| response.success);
        let status = answer.status();
        if !taken && (status == StatusCode::PAYMENT_REQUIRED || nothing_taken(&answer)) {
            channel.refused();
            keep(locked, peer, channel)?;
            return Ok(match correction(&answer) {
                Some(extra) => Sent::Correction(extra),
                None => Sent::Answer(answer),
            });
        }
        let believed = channel.answered(call_id(&answer), settled.as_ref());
        keep(locked, peer, channel)?;
        if let Err(distrust) = believed {
            (self.tell)(&format!("no more is signed for this channel: {distrust}"));
        }
        Ok(Sent::Answer(answer))
    }

    fn deposit_size(
        &self,
        channel: &Channel,
        quote: &Quote,
        terms: &Terms,
        purchase: &Purchase,
    ) -> Result<Option<Units>, WalletError> {
        let decimals = quote.choice.candidate.asset.decimals;
        let lacks = channel.book.next(terms.amount)?.lacks;
        let wanted = match purchase.deposits {
            Deposits::Of(amount) => Some(amount.to_units_ceil(decimals)?),
            Deposits::AsNeeded if !lacks.is_zero() => None,
            Deposits::AsNeeded | Deposits::None => return Ok(None),
        };
        let limit = self.limits.max.to_units_ceil(decimals)?;
        let size = payment::deposit_size(terms, lacks, wanted, limit)?;
        size.map(Some).ok_or_else(|| WalletError::Deposit {
            needed: lacks.asset_text(decimals),
            max: self.limits.max.usd_text(),
        })
    }

    async fn permit_for_deposit(
        &self,
        quote: &Quote,
        size: Units,
        moment: &Moment,
    ) -> Result<Option<eip2612::Signed>, WalletError> {
        let Some(chain) = &quote.chain else {
            return Ok(None);
        };
        let asset = quote.choice.candidate.offer.asset;
        let allowed = chain.allowance(asset, self.key.address()).await?;
        if allowed >= U256::from(size.atomic()) {
            return Ok(None);
        }
        match quote.choice.means.allowance {
            Allowance::Missing => Err(WalletError::NotApproved),
            _ => self.permit(quote, size, moment).await,
        }
    }
}

/// What a voucher was answered with.
enum Sent {
    Answer(Response),
    /// The gateway's books differ; the `extra` of its offer says how.
    Correction(Map<String, Value>),
}

fn terms_of(offer: &Requirements) -> Result<Terms, WalletError> {
    channel::terms(offer).ok_or(WalletError::NoMeans {
        offered: vec![],
        wish: Some(RailKind::Channel),
    })
}

/// The `extra` of the offer in a corrective 402: the first of the scheme, as clients read it.
pub(super) fn correction(answer: &Response) -> Option<Map<String, Value>> {
    if answer.status() != StatusCode::PAYMENT_REQUIRED {
        return None;
    }
    let required: PaymentRequired = challenge(answer).ok()?;
    let error = required.error.as_deref().unwrap_or_default();
    let offers = required.accepts.into_iter();
    let extra = offers
        .filter(|offer| offer.scheme == SCHEME)
        .find_map(|o| o.extra)?;
    (CORRECTIVE.contains(&error) && extra.contains_key("channelState")).then_some(extra)
}

/// Whether an answer names no call and says itself that it is the caller's fault, or that it is too
/// busy: then no call was begun.
fn nothing_taken(answer: &Response) -> bool {
    let status = answer.status();
    let begun = call_id(answer).is_some() || status.is_success();
    !begun && (status.is_client_error() || status == StatusCode::SERVICE_UNAVAILABLE)
}
