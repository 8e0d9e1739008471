//! Pays for a call and takes the answer in: the file is written before anything is sent, and the
//! receipt is held against the purchase before anything more is signed.

use super::Wallet;
use super::channel::Channel;
use super::choose::{Allowance, Candidate, within};
use super::error::WalletError;
use super::http::{HttpError, Stored, call_id, complaint};
use super::mpp;
use super::payment::{self, Moment};
use super::quote::Quote;
use super::receipt::{Bought, check, check_unpaid};
use super::spends::Spends;
use super::state::PeerKey;
use super::store::Locked;
use crate::config::RailKind;
use crate::money::{Pusd, Units};
use crate::protocol::permit2::eip2612;
use crate::protocol::receipt::Receipt;
use crate::protocol::x402::{PAYMENT_SIGNATURE, Requirements};
use bytes::Bytes;
use reqwest::Response;

/// The header that a credential of MPP goes in.
const AUTHORIZATION: &str = "authorization";

/// What is bought.
#[derive(Debug, Clone)]
pub struct Purchase {
    /// The request's body.
    pub body: Bytes,
    /// The model it asks for.
    pub model: String,
    /// What may be brought into a channel along with it.
    pub deposits: Deposits,
}

/// What may be brought into a channel along with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deposits {
    /// Nothing: the channel has what the call needs, or the call is not made.
    None,
    /// Enough for a few calls, when the channel lacks something.
    AsNeeded,
    /// This much, in any case.
    Of(Pusd),
}

/// What a payment was answered with.
#[derive(Debug)]
pub struct Paid {
    /// The answer, its body not read yet.
    pub answer: Response,
    /// The receipt that is due for it.
    pub due: Due,
}

/// A payment that has not left yet.
pub struct Signed {
    /// The header that it goes in, and the payment.
    pub payment: (&'static str, String),
    /// The receipt that will be due for it.
    pub due: Due,
    /// What it can move, and until when.
    pub spends: Spends,
}

/// A signature that still buys something must not reach a log, so it is left out here.
impl std::fmt::Debug for Signed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signed")
            .field("due", &self.due)
            .finish_non_exhaustive()
    }
}

/// What a receipt must say that has yet to come.
#[derive(Debug)]
pub struct Due {
    pub(super) bought: Bought,
    pub(super) peer: PeerKey,
    /// The channel that paid, and the file that no other process changes until its receipt is here.
    pub(super) channel: Option<(Locked, Channel)>,
}

impl Due {
    /// Takes the call's id in, where the answer to the payment tells one.
    pub fn of(mut self, call: Option<String>) -> Self {
        self.bought.call = call;
        self
    }
}

impl Wallet {
    /// Signs for the chosen offer and sends the payment. The answer is a success, or an error.
    pub async fn pay(&self, quote: &Quote, purchase: &Purchase) -> Result<Paid, WalletError> {
        self.affords(quote)?;
        let paid = match quote.choice.candidate.rail {
            RailKind::Channel => self.pay_by_channel(quote, purchase).await?,
            _ => self.pay_once(quote, purchase).await?,
        };
        if paid.answer.status().is_success() {
            return Ok(paid);
        }
        self.refused(paid).await
    }

    /// Fails for an offer that is above the limit.
    pub fn affords(&self, quote: &Quote) -> Result<(), WalletError> {
        let Candidate { offer, asset, .. } = &quote.choice.candidate;
        match within(offer.amount, *asset, self.limits.max) {
            true => Ok(()),
            false => Err(WalletError::AboveMax(self.limits.max.usd_text())),
        }
    }

    /// Takes the answer's receipt in, as its text. A channel whose receipt did not come along asks
    /// the gateway for it.
    pub async fn take(&self, due: Due, receipt: Option<&str>) -> Result<Receipt, WalletError> {
        let Due {
            bought,
            peer,
            channel,
        } = due;
        match (channel, receipt) {
            (None, None) => Err(WalletError::NoReceipt),
            (None, Some(text)) => {
                let known = self.store.read()?;
                if let Some(peer) = known.peer(&peer).filter(|peer| peer.payee == bought.payee)
                    && let Some(signer) = peer.receipt_signer
                    && let Ok(receipt) = check(text, &bought, Some(signer))
                {
                    // Nothing new is to be remembered.
                    return Ok(receipt);
                }
                let mut locked = self.lock()?;
                let receipt = check(text, &bought, self.signer(&locked, &peer))?;
                locked.state.pin_payee(&peer, bought.payee);
                locked.state.pin_signer(&peer, receipt.signer);
                locked.save()?;
                Ok(receipt)
            }
            (Some((mut locked, mut channel)), Some(text)) => {
                self.receipted(&mut locked, &peer, &mut channel, text, &bought)
            }
            (Some((mut locked, mut channel)), None) => {
                let found = self.close_call(&mut locked, &peer, &mut channel).await?;
                found.ok_or(WalletError::NoReceipt)
            }
        }
    }

    /// Takes in the receipt of a call that no channel paid for and whose answer did not bring it: the
    /// gateway is asked for it.
    pub async fn fetch(&self, due: Due) -> Result<Receipt, WalletError> {
        let call = due.bought.call.as_deref().ok_or(WalletError::NoReceipt)?;
        match self.stored(call).await? {
            Stored::Receipt(text) => self.take(due, Some(&text)).await,
            Stored::Pending | Stored::Voided | Stored::Unknown => Err(WalletError::NoReceipt),
        }
    }

    /// Takes in the receipt of an answer that no payment was asked for, as its text.
    pub fn take_unpaid(
        &self,
        purchase: &Purchase,
        receipt: Option<&str>,
    ) -> Result<Receipt, WalletError> {
        let receipt = receipt.ok_or(WalletError::NoReceipt)?;
        let request = self.gateway.request_hash(&purchase.body);
        Ok(check_unpaid(receipt, &purchase.model, request)?)
    }

    async fn pay_once(&self, quote: &Quote, purchase: &Purchase) -> Result<Paid, WalletError> {
        let Signed {
            payment, mut due, ..
        } = self.sign(quote, purchase).await?;
        let answer = self.send(&payment, purchase).await?;
        due.bought.call = call_id(&answer);
        Ok(Paid { answer, due })
    }

    /// Signs for a call by a rail that needs no channel; nothing leaves by this.
    pub async fn sign(&self, quote: &Quote, purchase: &Purchase) -> Result<Signed, WalletError> {
        let candidate = &quote.choice.candidate;
        let offer = &candidate.offer;
        let moment = Moment::now()?;
        let permit = match quote.choice.means.allowance {
            Allowance::Missing => return Err(WalletError::NotApproved),
            Allowance::ByPermit => self.permit(quote, offer.amount, &moment).await?,
            Allowance::Approved | Allowance::Unknown => None,
        };
        let no_means = || WalletError::NoMeans {
            offered: vec![],
            wish: Some(candidate.rail),
        };
        let (payment, spends) = match &quote.challenge {
            Some(challenge) => {
                let signed = mpp::credential(&self.key, offer, challenge);
                let (credential, spends) = signed.ok_or_else(no_means)?;
                ((AUTHORIZATION, credential), spends)
            }
            None => {
                let payload =
                    payment::payload(&self.key, candidate, &moment).ok_or_else(no_means)?;
                let (required, id) = (&quote.required, &moment.id);
                let header = payment::header(required, offer, payload, id, permit.as_ref())?;
                let spends = Spends {
                    by_permit2: candidate.rail != RailKind::Exact,
                    nonce: moment.nonce,
                    until_s: moment.until(offer),
                };
                ((PAYMENT_SIGNATURE, header), spends)
            }
        };
        let due = Due {
            bought: self.bought(offer, purchase, None),
            peer: self.peer_key(offer.network),
            channel: None,
        };
        Ok(Signed {
            payment,
            due,
            spends,
        })
    }

    /// Sends what was signed, and the same again for as long as the gateway asks for that.
    pub async fn send(
        &self,
        (name, header): &(&'static str, String),
        purchase: &Purchase,
    ) -> Result<Response, HttpError> {
        let body = Some(&purchase.body);
        self.gateway
            .pay(body, (name, header), |s| self.wait(s))
            .await
    }

    /// What an answer that is no success leaves behind.
    async fn refused(&self, paid: Paid) -> Result<Paid, WalletError> {
        let said = complaint(paid.answer).await;
        let Due { peer, channel, .. } = paid.due;
        if let Some((mut locked, mut channel)) = channel {
            // What it cost, if anything, is found out now or before the next voucher.
            let _ = self.close_call(&mut locked, &peer, &mut channel).await;
        }
        Err(WalletError::Refused(said))
    }

    pub(super) async fn permit(
        &self,
        quote: &Quote,
        amount: Units,
        moment: &Moment,
    ) -> Result<Option<eip2612::Signed>, WalletError> {
        let Some(chain) = &quote.chain else {
            return Ok(None);
        };
        let offer = &quote.choice.candidate.offer;
        let nonce = chain.permit_nonce(offer.asset, self.key.address()).await?;
        Ok(payment::permit(&self.key, offer, amount, nonce, moment))
    }

    pub(super) fn bought(
        &self,
        offer: &Requirements,
        purchase: &Purchase,
        call: Option<String>,
    ) -> Bought {
        Bought {
            payer: self.key.address(),
            payee: offer.pay_to,
            network: offer.network,
            asset: offer.asset,
            model: purchase.model.clone(),
            request: self.gateway.request_hash(&purchase.body),
            amount: offer.amount,
            call,
        }
    }

    pub(super) fn wait(&self, seconds: u64) {
        (self.tell)(&format!(
            "the gateway asks to come back with the same payment in {seconds} s"
        ));
    }
}
