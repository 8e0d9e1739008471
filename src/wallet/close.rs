//! Gets back what is left of a channel: from the gateway when it will, else from the chain, which
//! takes a delay and gas.

use super::Wallet;
use super::chain::Chain;
use super::channel::{self, Channel, Distrust};
use super::error::WalletError;
use super::http::{challenge, complaint, settled};
use super::payment::{self, Moment};
use super::refresh::keep;
use super::state::PeerKey;
use super::store::Locked;
use super::voucher::correction;
use crate::money::Units;
use crate::protocol::channel::{Domain, Payload};
use crate::protocol::x402::{PAYMENT_SIGNATURE, PaymentRequired, Requirements};
use alloy::primitives::B256;

/// A channel that was emptied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refunded {
    /// The channel.
    pub id: B256,
    /// What came back, in the token's atomic units, as the gateway says.
    pub amount: Option<Units>,
    /// The transaction.
    pub transaction: String,
}

impl Wallet {
    /// Asks the gateway to pay back what is left of a channel.
    pub async fn close(&self, id: Option<B256>) -> Result<Refunded, WalletError> {
        let mut locked = self.lock()?;
        let (peer, mut channel) = self.which(&locked, id)?;
        let chain = self.chain(peer.network).await?;
        if !matches!(channel.ready(), Err(Distrust::Blocked(_))) {
            let open = self.refresh(&mut locked, &peer, &mut channel, chain.as_ref());
            // What receipts show so far is a base to ask on, whatever else is open.
            if let Err(error) = open.await {
                (self.tell)(&error.to_string());
            }
        }
        let (required, offer) = self.offer_of(&channel).await?;
        let domain = domain(&peer);
        for first in [true, false] {
            let refund = channel.sign_refund(&self.key, domain);
            let header = self.refund_header(&required, &offer, &refund)?;
            let answer = self
                .gateway
                .pay(None, (PAYMENT_SIGNATURE, &header), |s| self.wait(s))
                .await?;
            if let Some(extra) = correction(&answer).filter(|_| first) {
                let found = self.look(chain.as_ref(), &channel).await?;
                let corrected = channel.correct(&extra, domain, found.as_ref());
                keep(&mut locked, &peer, &channel)?;
                corrected?;
                continue;
            }
            let response = settled(&answer).filter(|response| response.success);
            let Some(response) = response.filter(|_| answer.status().is_success()) else {
                return Err(WalletError::Refused(complaint(answer).await));
            };
            channel.refunded();
            keep(&mut locked, &peer, &channel)?;
            return Ok(Refunded {
                id: channel.id,
                amount: response.amount,
                transaction: response.transaction,
            });
        }
        Err(Distrust::Unproven.into())
    }

    /// Announces on chain that what was not charged is taken back; says when it may be.
    pub async fn withdraw(&self, id: Option<B256>) -> Result<(B256, u64), WalletError> {
        let mut locked = self.lock()?;
        let (peer, mut channel) = self.which(&locked, id)?;
        let chain = self.needed_chain(&peer).await?;
        let found = chain.channel(channel.id, &channel.config).await?;
        let owed = channel.book.charged.max(found.claimed);
        let left = found.balance.minus(owed).unwrap_or_default();
        if left.is_zero() {
            return Err(WalletError::WhichChannel("nothing is left in this channel"));
        }
        let transaction = chain.withdraw(&self.key, &channel.config, left).await?;
        let from = self
            .look_again(&chain, &mut locked, &peer, &mut channel)
            .await?;
        Ok((transaction, from.unwrap_or_default()))
    }

    /// Takes a withdrawal that was announced, once its time has come.
    pub async fn finalize(&self, id: Option<B256>) -> Result<B256, WalletError> {
        let mut locked = self.lock()?;
        let (peer, mut channel) = self.which(&locked, id)?;
        let chain = self.needed_chain(&peer).await?;
        let transaction = chain.finalize(&self.key, &channel.config).await?;
        self.look_again(&chain, &mut locked, &peer, &mut channel)
            .await?;
        Ok(transaction)
    }

    async fn look_again(
        &self,
        chain: &Chain,
        locked: &mut Locked,
        peer: &PeerKey,
        channel: &mut Channel,
    ) -> Result<Option<u64>, WalletError> {
        let found = chain.channel(channel.id, &channel.config).await?;
        // A channel that is given up stays so; it is emptied all the same.
        let _ = channel.observe(&found);
        keep(locked, peer, channel)?;
        Ok(channel.withdrawal_from)
    }

    async fn needed_chain(&self, peer: &PeerKey) -> Result<Chain, WalletError> {
        let chain = self.chain(peer.network).await?;
        chain.ok_or(WalletError::WhichChannel(
            "this is a transaction of the wallet's own: say --rpc-url",
        ))
    }

    /// The channel that is meant: the one of this id, or the only one with this gateway that holds
    /// anything.
    fn which(&self, locked: &Locked, id: Option<B256>) -> Result<(PeerKey, Channel), WalletError> {
        let origin = self.gateway.origin();
        let peers = locked.state.peers_of(self.key.address());
        let mut found = peers
            .filter(|peer| id.is_some() || peer.key.origin == origin)
            .flat_map(|peer| peer.channels.iter().map(|channel| (&peer.key, channel)))
            .filter(|(_, channel)| match id {
                Some(id) => channel.id == id,
                None => !channel.left().is_zero() || channel.withdrawal_from.is_some(),
            });
        match (found.next(), found.next()) {
            (Some((peer, channel)), None) => Ok((peer.clone(), channel.clone())),
            (None, _) => Err(WalletError::WhichChannel(
                "the wallet's file knows no such channel with this gateway",
            )),
            (Some(_), Some(_)) => Err(WalletError::WhichChannel(
                "there are several channels with this gateway: say which by --channel",
            )),
        }
    }

    /// The gateway's offer that this channel is of, from an unpaid look at the paid URL.
    async fn offer_of(
        &self,
        channel: &Channel,
    ) -> Result<(PaymentRequired, Requirements), WalletError> {
        let answer = self
            .gateway
            .ask(None, Some(crate::config::RailKind::Channel.name()))
            .await?;
        let required = challenge(&answer)?;
        let ours = required.accepts.iter().find(|offer| {
            channel::terms(offer).is_some_and(|terms| {
                channel::config(self.key.address(), &terms).id(terms.domain()) == channel.id
            })
        });
        let offer = ours.cloned().ok_or(WalletError::WhichChannel(
            "the gateway no longer offers this channel: --withdraw takes it back on chain",
        ))?;
        Ok((required, offer))
    }

    fn refund_header(
        &self,
        required: &PaymentRequired,
        offer: &Requirements,
        refund: &Payload,
    ) -> Result<String, WalletError> {
        let id = Moment::now()?.id;
        Ok(payment::header(
            required,
            offer,
            refund.to_json(),
            &id,
            None,
        )?)
    }
}

fn domain(peer: &PeerKey) -> Domain {
    Domain::new(peer.network, crate::protocol::addresses::BATCH_SETTLEMENT)
}
