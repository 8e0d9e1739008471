//! One call bought: asked for, held against what may be paid, reserved, signed, sent; and its receipt.

use super::budget::{Account, NotReserved, Reserved};
use super::paid::Paid;
use crate::config::{PayProtocol, RailKind, Secret};
use crate::money::Pusd;
use crate::protocol::signature::Key;
use crate::router::{Bought, Order, Purchase, UpstreamFailure};
use crate::stats::Metrics;
use crate::wallet::{
    Asset, Deposits, Gateway, HttpError, Limits, Quote, Quoted, Signed, Store, Wallet, WalletError,
    call_id,
};
use std::sync::{Arc, OnceLock};
use tokio::time::{Instant, timeout_at};

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
        let Signed {
            payment,
            due,
            spends,
        } = match wallet.sign(&quote, &purchase).await {
            Ok(signed) => signed,
            Err(error) => {
                self.account.release(reserved);
                return Err(self.refused(&error));
            }
        };
        // From here on the money counts as paid, whatever becomes of this call and of this future.
        let call = Arc::<OnceLock<String>>::default();
        let candidate = &quote.choice.candidate;
        let paid = Paid {
            buyer: Arc::clone(&self),
            wallet: wallet.clone(),
            due,
            spends,
            reserved,
            network: candidate.offer.network,
            asset: candidate.offer.asset,
            decimals: candidate.asset.decimals,
            call: Arc::clone(&call),
        };
        let due = Purchase::new(Box::new(move |text| Box::pin(paid.close(text))));
        match timeout_at(until, wallet.send(&payment, &purchase)).await {
            Ok(Ok(answer)) => {
                if let Some(id) = call_id(&answer) {
                    // Nobody else sets it.
                    let _ = call.set(id);
                }
                Ok(Bought {
                    answer,
                    purchase: Some(due),
                })
            }
            Err(_) | Ok(Err(HttpError::Pending)) => Err(self.in_vain(UpstreamFailure::TimedOut)),
            Ok(Err(_)) => Err(self.in_vain(UpstreamFailure::Unreachable)),
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

    pub(super) fn count(&self, outcome: &'static str) {
        self.metrics.bought().call(&self.upstream, outcome);
    }
}
