//! One call bought: asked for, held against what may be paid, reserved, signed, sent; and its receipt.

use super::budget::{Account, NotReserved, Reserved};
use crate::config::{PayProtocol, RailKind, Secret};
use crate::money::{AssetDecimals, Pusd};
use crate::protocol::signature::Key;
use crate::router::{Bought, Order, Purchase, Receipted, UpstreamFailure};
use crate::stats::Metrics;
use crate::wallet::{
    Asset, Deposits, Due, Gateway, HttpError, Limits, Quote, Quoted, Store, Wallet, WalletError,
};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// How long a receipt is waited for that did not come along with its answer.
const RECEIPT_PATIENCE: Duration = Duration::from_secs(10);

/// Pays one upstream.
pub(super) struct Buyer {
    pub(super) upstream: String,
    pub(super) key: Key,
    pub(super) protocol: PayProtocol,
    pub(super) rail: RailKind,
    pub(super) rpc_url: Secret,
    pub(super) store: Store,
    /// The gateway's own asset, which is taken for dollars here as well.
    pub(super) own_asset: Asset,
    pub(super) account: Account,
    pub(super) metrics: Arc<Metrics>,
}

impl Buyer {
    /// Buys one call.
    pub(super) async fn buy(self: Arc<Self>, order: Order) -> Result<Bought, UpstreamFailure> {
        let until = Instant::now() + order.within;
        let budget = order.budget;
        let (wallet, purchase) = self.wallet(order);
        let asked = wallet.quote(&purchase.body, self.protocol, Some(self.rail));
        let quote = match timeout_at(until, asked).await {
            Err(_) => return Err(UpstreamFailure::TimedOut),
            Ok(Err(error)) => return Err(self.refused(&error)),
            // It asks for no payment: it answers, or says why it does not.
            Ok(Ok(Quoted::Answer(answer))) => {
                self.count("unpaid");
                let purchase = None;
                return Ok(Bought { answer, purchase });
            }
            Ok(Ok(Quoted::Quote(quote))) => quote,
        };
        let reserved = self.reserved(&wallet, &quote, budget).await?;
        let decimals = quote.choice.candidate.asset.decimals;
        // From here on the money counts as paid, whatever becomes of this.
        match timeout_at(until, wallet.pay_once(&quote, &purchase)).await {
            Ok(Ok(paid)) => {
                let due = Paid {
                    buyer: Arc::clone(&self),
                    wallet,
                    due: paid.due,
                    reserved,
                    decimals,
                };
                let close = |text| -> futures::future::BoxFuture<'static, Receipted> {
                    Box::pin(due.close(text))
                };
                Ok(Bought {
                    answer: paid.answer,
                    purchase: Some(Purchase::new(Box::new(close))),
                })
            }
            Err(_) => Err(self.in_vain(UpstreamFailure::TimedOut)),
            Ok(Err(WalletError::Http(HttpError::Pending))) => {
                Err(self.in_vain(UpstreamFailure::TimedOut))
            }
            Ok(Err(WalletError::Http(_))) => Err(self.in_vain(UpstreamFailure::Unreachable)),
            Ok(Err(error)) => {
                self.account.release(reserved);
                Err(self.refused(&error))
            }
        }
    }

    /// The wallet as it is for this order, and what is bought.
    fn wallet(&self, order: Order) -> (Wallet, crate::wallet::Purchase) {
        let at = (order.route, order.url);
        let wallet = Wallet {
            key: self.key.clone(),
            gateway: Gateway::at(order.client, at, order.receipts, order.headers),
            store: self.store.clone(),
            rpc_url: (self.rail != RailKind::Exact).then(|| self.rpc_url.reveal().to_owned()),
            limits: Limits {
                max: order.most,
                assets: vec![self.own_asset],
                accept_payee: false,
            },
            tell: |line| tracing::info!("{line}"),
        };
        let purchase = crate::wallet::Purchase {
            body: order.body,
            model: order.model,
            deposits: Deposits::None,
        };
        (wallet, purchase)
    }

    /// Reserves what an offer asks for, if that may be paid.
    async fn reserved(
        &self,
        wallet: &Wallet,
        quote: &Quote,
        budget: Pusd,
    ) -> Result<Reserved, UpstreamFailure> {
        let candidate = &quote.choice.candidate;
        let (amount, decimals) = (candidate.offer.amount, candidate.asset.decimals);
        let too_dear = || UpstreamFailure::TooDear(format!("{} USD", amount.asset_text(decimals)));
        let worth = amount.to_pusd_ceil(decimals).map_err(|_| too_dear())?;
        if wallet.affords(quote).is_err() {
            self.count("too_dear");
            return Err(too_dear());
        }
        let reserved = self.account.reserve(worth, budget).await;
        reserved.map_err(|why| match why {
            NotReserved::Spent => {
                self.count("budget_spent");
                UpstreamFailure::NotPaid("its budget is spent")
            }
            NotReserved::Ledger(error) => {
                tracing::error!(upstream = self.upstream, %error, "a payment cannot be remembered");
                UpstreamFailure::NotPaid("the payment cannot be remembered")
            }
        })
    }

    /// A failure before anything was signed.
    fn refused(&self, error: &WalletError) -> UpstreamFailure {
        if let WalletError::Http(HttpError::Unreachable(..)) = error {
            return UpstreamFailure::Unreachable;
        }
        self.count("refused");
        tracing::error!(upstream = self.upstream, %error, "an upstream cannot be paid");
        UpstreamFailure::NotPaid("none of its offers can be paid")
    }

    /// A failure after a payment was sent: it may have been taken.
    fn in_vain(&self, failure: UpstreamFailure) -> UpstreamFailure {
        self.count("unanswered");
        tracing::warn!(upstream = self.upstream, %failure, "a call was paid for, and had no answer");
        UpstreamFailure::Paid(Box::new(failure))
    }

    fn count(&self, outcome: &'static str) {
        self.metrics.bought().call(&self.upstream, outcome);
    }
}

/// A call that is paid for.
struct Paid {
    buyer: Arc<Buyer>,
    wallet: Wallet,
    due: Due,
    reserved: Reserved,
    decimals: AssetDecimals,
}

impl Paid {
    /// Takes its receipt in, and what that says into the budget; without one all of the payment stays paid.
    async fn close(self, text: Option<String>) -> Receipted {
        let Self {
            buyer,
            wallet,
            due,
            reserved,
            decimals,
        } = self;
        let taken = match text {
            Some(text) => wallet.take(due, Some(&text)).await,
            None => {
                let found = tokio::time::timeout(RECEIPT_PATIENCE, wallet.fetch(due)).await;
                found.unwrap_or(Err(WalletError::NoReceipt))
            }
        };
        match taken {
            Ok(receipt) => {
                let charged = receipt.body.charged.to_pusd_ceil(decimals);
                let charged = charged.unwrap_or(Pusd::ZERO);
                let moved = match buyer.rail {
                    RailKind::Upto => charged,
                    // The ceiling moves, and the change is owed.
                    _ => reserved.amount(),
                };
                buyer.account.paid(reserved, moved, charged);
                buyer.count("receipted");
                Receipted::Holds(Box::new(receipt))
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
        }
    }
}
