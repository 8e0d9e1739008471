//! What a wallet remembers from one run to the next; the key is not among it.

use super::channel::Channel;
use crate::protocol::Network;
use alloy::primitives::{Address, B256};
use serde::{Deserialize, Serialize};

/// The version of the file's form.
const VERSION: u32 = 1;

/// All that the file holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    version: u32,
    peers: Vec<Peer>,
}

/// Who has been paid, by whom, where.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PeerKey {
    /// The chain.
    pub network: Network,
    /// The wallet's address.
    pub payer: Address,
    /// The gateway: scheme, host and port.
    pub origin: String,
}

/// What is known of one gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// Which one.
    #[serde(flatten)]
    pub key: PeerKey,
    /// Whom it lets be paid.
    pub payee: Address,
    /// Who signs its receipts, once there was one.
    pub receipt_signer: Option<Address>,
    /// The channels with it.
    pub channels: Vec<Channel>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            version: VERSION,
            peers: Vec::new(),
        }
    }
}

impl State {
    /// Whether this is of the form that this program writes.
    pub fn is_current(&self) -> bool {
        self.version == VERSION
    }

    /// What is known of a gateway.
    pub fn peer(&self, key: &PeerKey) -> Option<&Peer> {
        self.peers.iter().find(|peer| peer.key == *key)
    }

    /// All gateways that this payer has paid.
    pub fn peers_of(&self, payer: Address) -> impl Iterator<Item = &Peer> {
        self.peers
            .iter()
            .filter(move |peer| peer.key.payer == payer)
    }

    /// A channel with a gateway.
    pub fn channel(&self, key: &PeerKey, id: B256) -> Option<&Channel> {
        self.peer(key)?.channels.iter().find(|c| c.id == id)
    }

    /// Remembers whom a gateway lets be paid.
    pub fn pin_payee(&mut self, key: &PeerKey, payee: Address) {
        self.peer_mut(key, payee).payee = payee;
    }

    /// Remembers who signs a gateway's receipts.
    pub fn pin_signer(&mut self, key: &PeerKey, signer: Address) {
        if let Some(peer) = self.peers.iter_mut().find(|peer| peer.key == *key) {
            peer.receipt_signer = Some(signer);
        }
    }

    /// Remembers a channel as it is now.
    pub fn put_channel(&mut self, key: &PeerKey, channel: &Channel) {
        let channels = &mut self.peer_mut(key, channel.config.receiver).channels;
        match channels.iter_mut().find(|known| known.id == channel.id) {
            Some(known) => known.clone_from(channel),
            None => channels.push(channel.clone()),
        }
    }

    fn peer_mut(&mut self, key: &PeerKey, payee: Address) -> &mut Peer {
        let at = match self.peers.iter().position(|peer| peer.key == *key) {
            Some(at) => at,
            None => {
                self.peers.push(Peer {
                    key: key.clone(),
                    payee,
                    receipt_signer: None,
                    channels: Vec::new(),
                });
                self.peers.len() - 1
            }
        };
        &mut self.peers[at]
    }
}
