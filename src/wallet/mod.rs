//! The paying side: which offer to take, what to sign for it, and what to believe of the answer.
//!
//! It signs for no more than its owner allows, in no asset it does not know, to no payee that was
//! another one before, and of a channel no voucher before the receipt of the call before it holds.
//! What it must remember stands in a file that is on the disk before the voucher leaves; the key is
//! not in it.

mod asset;
mod chain;
mod channel;
mod choose;
mod close;
mod error;
mod http;
mod mpp;
mod payment;
mod purchase;
mod quote;
mod receipt;
mod refresh;
mod spends;
mod state;
mod store;
mod voucher;

pub use asset::Asset;
pub use chain::{Chain, SendError};
pub use channel::{Channel, Distrust, OnChain, OpenCall};
pub use choose::{Allowance, Candidate, Choice, Limits, Means, Unfit};
pub use close::Refunded;
pub use error::WalletError;
pub use http::call_id;
pub use http::{Gateway, HttpError, complaint};
pub use purchase::{Deposits, Due, Paid, Purchase, Signed};
pub use quote::{Quote, Quoted};
pub use receipt::{Bought, Fault};
pub use spends::{Spends, Standing};
pub use state::{Peer, PeerKey, State};
pub use store::{Locked, Store, StoreError};

use crate::protocol::Network;
use crate::protocol::signature::Key;

/// A key, what its owner allows, and one gateway to pay.
#[derive(Debug, Clone)]
pub struct Wallet {
    /// The key.
    pub key: Key,
    /// Whom to pay.
    pub gateway: Gateway,
    /// What is remembered.
    pub store: Store,
    /// A node to ask, where there is one.
    pub rpc_url: Option<String>,
    /// What is allowed.
    pub limits: Limits,
    /// Takes a line for the owner about what is under way.
    pub tell: fn(&str),
}

impl Wallet {
    fn peer_key(&self, network: Network) -> PeerKey {
        PeerKey {
            network,
            payer: self.key.address(),
            origin: self.gateway.origin(),
        }
    }

    fn lock(&self) -> Result<Locked, StoreError> {
        self.store
            .lock(|| (self.tell)("waiting for another call of this wallet to end"))
    }

    /// The node, when there is one; it must be of this chain.
    async fn chain(&self, network: Network) -> Result<Option<Chain>, WalletError> {
        match &self.rpc_url {
            None => Ok(None),
            Some(url) => Ok(Some(Chain::connect(url, network).await?)),
        }
    }
}
