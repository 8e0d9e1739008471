//! What is paid for: its receipt, and what becomes of the money when there is none.

use super::budget::Reserved;
use super::buyer::Buyer;
use crate::config::RailKind;
use crate::money::{AssetDecimals, Pusd};
use crate::protocol::Network;
use crate::router::Receipted;
use crate::wallet::{Chain, Due, Spends, Standing, Wallet, WalletError};
use alloy::primitives::Address;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// How long a receipt is waited for that did not come along with its answer.
const RECEIPT_PATIENCE: Duration = Duration::from_secs(10);

/// How often the chain is asked whether a payment is dead.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// A call that is paid for, or may be.
pub(super) struct Paid {
    pub(super) buyer: Arc<Buyer>,
    pub(super) wallet: Wallet,
    pub(super) due: Due,
    pub(super) spends: Spends,
    pub(super) reserved: Reserved,
    pub(super) network: Network,
    pub(super) asset: Address,
    pub(super) decimals: AssetDecimals,
    /// The upstream's id for it, once an answer told that.
    pub(super) call: Arc<OnceLock<String>>,
}

impl Paid {
    /// Takes its receipt in, and what that says into the budget. Without one all of the payment stays paid,
    /// until the chain says that it never will be.
    pub(super) async fn close(self, text: Option<String>) -> Receipted {
        let due = self.due.of(self.call.get().cloned());
        let (buyer, wallet) = (self.buyer, self.wallet);
        let taken = match text {
            Some(text) => wallet.take(due, Some(&text)).await,
            None => {
                let found = tokio::time::timeout(RECEIPT_PATIENCE, wallet.fetch(due)).await;
                found.unwrap_or(Err(WalletError::NoReceipt))
            }
        };
        let receipted = match taken {
            Ok(receipt) => {
                let charged = receipt.body.charged.to_pusd_ceil(self.decimals);
                let charged = charged.unwrap_or(Pusd::ZERO);
                let moved = match buyer.rail {
                    RailKind::Upto => charged,
                    // The ceiling moves, and the change is owed.
                    _ => self.reserved.amount(),
                };
                buyer.account.paid(self.reserved, moved, charged);
                buyer.count("receipted");
                return Receipted::Holds(Box::new(receipt));
            }
            Err(WalletError::Receipt(fault)) => {
                buyer.count("unsound");
                tracing::error!(upstream = buyer.upstream, %fault, "an upstream's receipt does not hold");
                Receipted::Unsound
            }
            Err(error) => {
                buyer.count("no_receipt");
                tracing::warn!(upstream = buyer.upstream, %error, "a paid call has no receipt");
                Receipted::Missing
            }
        };
        let payment = Unreceipted {
            payer: wallet.key.address(),
            buyer,
            spends: self.spends,
            reserved: self.reserved,
            network: self.network,
            asset: self.asset,
        };
        tokio::spawn(payment.end());
        receipted
    }
}

/// A payment that nobody has accounted for. It is forgotten at a stop, and then stays paid.
struct Unreceipted {
    buyer: Arc<Buyer>,
    payer: Address,
    spends: Spends,
    reserved: Reserved,
    network: Network,
    asset: Address,
}

impl Unreceipted {
    /// Waits until it was used, or cannot be any more; then it is given back to the budget.
    async fn end(self) {
        let now_s = crate::clock::now_ms() / 1000;
        let alive = self.spends.until_s.saturating_sub(now_s);
        tokio::time::sleep(Duration::from_secs(alive)).await;
        loop {
            match self.standing().await {
                Ok(Standing::Dead) => break,
                Ok(Standing::Used) => return,
                Ok(Standing::Alive) => {}
                Err(error) => tracing::warn!(%error, "whether a payment is dead is not known"),
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        self.buyer.account.release(self.reserved);
        self.buyer.count("given_back");
    }

    async fn standing(&self) -> Result<Standing, crate::chain::ChainError> {
        let chain = Chain::connect(self.buyer.rpc_url.reveal(), self.network).await?;
        self.spends.standing(&chain, self.payer, self.asset).await
    }
}
