//! What is open about a channel is settled before anything more is signed for it.

use super::Wallet;
use super::chain::Chain;
use super::channel::{self, Channel, Distrust};
use super::error::WalletError;
use super::http::Stored;
use super::receipt::{Bought, check};
use super::state::PeerKey;
use super::store::Locked;
use crate::protocol::receipt::Receipt;
use alloy::primitives::Address;
use std::time::Duration;

/// How often a receipt is asked for that is not there yet, and the pause between.
const RECEIPT_TRIES: u32 = 20;
const RECEIPT_PAUSE: Duration = Duration::from_millis(250);

impl Wallet {
    /// Settles what is open about a channel before anything is signed: the last call's receipt, and
    /// with a node what the chain says.
    pub(super) async fn refresh(
        &self,
        locked: &mut Locked,
        peer: &PeerKey,
        channel: &mut Channel,
        chain: Option<&Chain>,
    ) -> Result<(), WalletError> {
        self.close_call(locked, peer, channel).await?;
        if let Some(chain) = self.look(chain, channel).await? {
            let observed = channel.observe(&chain);
            keep(locked, peer, channel)?;
            observed?;
        }
        Ok(())
    }

    /// Finds out what became of the open call, when there is one.
    pub(super) async fn close_call(
        &self,
        locked: &mut Locked,
        peer: &PeerKey,
        channel: &mut Channel,
    ) -> Result<Option<Receipt>, WalletError> {
        let Some(open) = channel.open_call.clone() else {
            return Ok(None);
        };
        let stored = match &open.call {
            None => Stored::Unknown,
            Some(call) => self.stored(call).await?,
        };
        match stored {
            Stored::Receipt(text) => {
                let bought = Bought {
                    payer: channel.config.payer,
                    payee: channel.config.receiver,
                    network: peer.network,
                    asset: channel.config.token,
                    model: open.model,
                    request: open.request,
                    amount: open.amount,
                    call: open.call,
                };
                return self
                    .receipted(locked, peer, channel, &text, &bought)
                    .map(Some);
            }
            Stored::Pending => return Err(Distrust::ReceiptMissing.into()),
            Stored::Voided => channel.voided(),
            Stored::Unknown => {
                (self.tell)("the answer of an earlier call was lost; it may have cost its ceiling");
                channel.lost()?;
            }
        }
        keep(locked, peer, channel)?;
        Ok(None)
    }

    pub(super) async fn stored(&self, call: &str) -> Result<Stored, WalletError> {
        for _ in 0..RECEIPT_TRIES {
            match self.gateway.receipt(call).await? {
                Stored::Pending => tokio::time::sleep(RECEIPT_PAUSE).await,
                found => return Ok(found),
            }
        }
        Ok(Stored::Pending)
    }

    /// Holds a channel's receipt against the purchase. Until it holds, the call stays open, so that
    /// no more is signed; the gateway is asked for it again then.
    pub(super) fn receipted(
        &self,
        locked: &mut Locked,
        peer: &PeerKey,
        channel: &mut Channel,
        text: &str,
        bought: &Bought,
    ) -> Result<Receipt, WalletError> {
        let receipt = match check(text, bought, self.signer(locked, peer)) {
            Ok(receipt) => receipt,
            Err(fault) => {
                if bought.call.is_none() {
                    channel.blocked = Some(fault.to_string());
                    keep(locked, peer, channel)?;
                }
                return Err(fault.into());
            }
        };
        let believed = channel.receipted(receipt.body.charged, &receipt.body.call);
        locked.state.pin_signer(peer, receipt.signer);
        keep(locked, peer, channel)?;
        believed?;
        Ok(receipt)
    }

    pub(super) async fn look(
        &self,
        chain: Option<&Chain>,
        channel: &Channel,
    ) -> Result<Option<channel::OnChain>, WalletError> {
        match chain {
            None => Ok(None),
            Some(chain) => Ok(Some(chain.channel(channel.id, &channel.config).await?)),
        }
    }

    /// Who signed this gateway's receipts so far; nobody when a new one is taken.
    pub(super) fn signer(&self, locked: &Locked, peer: &PeerKey) -> Option<Address> {
        let pinned = locked.state.peer(peer)?.receipt_signer;
        pinned.filter(|_| !self.limits.accept_payee)
    }
}

/// Writes a channel as it is now.
pub(super) fn keep(
    locked: &mut Locked,
    peer: &PeerKey,
    channel: &Channel,
) -> Result<(), WalletError> {
    locked.state.put_channel(peer, channel);
    Ok(locked.save()?)
}
