//! A stream that is paid while it runs.

use super::SessionRail;
use super::close::session_account;
use crate::ledger::{ChannelId, ChannelState};
use crate::money::Units;
use crate::payment::channel::Working;
use crate::protocol::mpp::session::Account;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How long a payer is still waited for when the gateway stops.
const PATIENCE_AT_STOP: Duration = Duration::from_secs(5);

/// A call's channel, while it is metered.
#[derive(Debug, Clone)]
pub struct Metered {
    rail: SessionRail,
    channel: ChannelId,
    closing: CancellationToken,
}

/// A channel that has been signed for all that it was charged and will be by a bill; until this is
/// dropped, no other call's bill comes between.
#[derive(Debug)]
pub struct SettledUp {
    /// Its account, with the bill in it.
    pub account: Account,
    /// Whether the payer signed for all of it in time.
    pub signed: bool,
    _working: Working,
}

impl SessionRail {
    /// A call's channel; once `closing` is cancelled no payer is waited for long.
    pub fn metered(&self, channel: ChannelId, closing: CancellationToken) -> Metered {
        Metered {
            rail: self.clone(),
            channel,
            closing,
        }
    }
}

impl Metered {
    /// Waits until the payer has signed for so much beyond what the channel was charged; `tell` is given
    /// the event that asks for it. False when no such voucher came in time.
    pub async fn covers(&self, cost: Units, tell: impl Fn(Vec<u8>)) -> bool {
        let before = self.state().await;
        let required = before.and_then(|state| state.charged.plus(cost).ok());
        match required {
            Some(required) => self.signed_for(required, tell).await,
            None => false,
        }
    }

    /// The same for a bill, which is then charged by whoever asked; `None` when the books cannot be read.
    pub async fn settle_up(&self, bill: Units, tell: impl Fn(Vec<u8>)) -> Option<SettledUp> {
        let working = self.rail.inner.gate.work_next(self.channel).await;
        let required = self.state().await?.charged.plus(bill).ok()?;
        let signed = self.signed_for(required, tell).await;
        let account = Account {
            spent: required,
            ..session_account(&self.state().await?)
        };
        Some(SettledUp {
            account,
            signed,
            _working: working,
        })
    }

    async fn signed_for(&self, required: Units, tell: impl Fn(Vec<u8>)) -> bool {
        let mut ends = Instant::now() + self.rail.inner.patience;
        let (mut told, mut closing) = (false, false);
        loop {
            let came = self.rail.inner.signed.notified();
            tokio::pin!(came);
            came.as_mut().enable();
            let Some(state) = self.state().await else {
                return false;
            };
            let account = session_account(&state);
            if account.accepted >= required {
                return true;
            }
            if !std::mem::replace(&mut told, true) {
                tell(account.need_voucher(required));
            }
            tokio::select! {
                () = came => {}
                () = tokio::time::sleep_until(ends) => return false,
                () = self.closing.cancelled(), if !closing => {
                    closing = true;
                    ends = ends.min(Instant::now() + PATIENCE_AT_STOP);
                }
            }
        }
    }

    async fn state(&self) -> Option<ChannelState> {
        self.rail.inner.ledger.channel(&self.channel).await.ok()?
    }
}
