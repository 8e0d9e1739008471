//! Payments that are settled afterwards, of payers who have not left one unpaid.

use super::Rails;
use crate::ledger::{CreditKey, SettleWhen};
use crate::payment::authorized::{AuthorizeFailure, Authorized};
use crate::protocol::Refusal;
use alloy::primitives::Address;

impl Rails {
    /// Has a payment authorized that is settled when the operator wants it; of a payer who left a call
    /// unpaid, only beforehand.
    pub(super) async fn within_standing<
        F: Future<Output = Result<Authorized, AuthorizeFailure>>,
    >(
        &self,
        payer: Address,
        wanted: SettleWhen,
        can_prepay: bool,
        authorize: impl Fn(SettleWhen) -> F,
    ) -> Result<Authorized, AuthorizeFailure> {
        if wanted != SettleWhen::After {
            return authorize(wanted).await;
        }
        if !self.left_unpaid(payer).await? {
            let authorized = authorize(SettleWhen::After).await?;
            // The room that was counted may be that of a call left unpaid since that look.
            let afterwards = authorized.settle_when == SettleWhen::After;
            if !afterwards || !self.left_unpaid(payer).await? {
                return Ok(authorized);
            }
        }
        match can_prepay {
            true => authorize(SettleWhen::Before).await,
            false => Err(AuthorizeFailure::Refused(Refusal::PrepaidOnly)),
        }
    }

    /// Whether a settlement of this payer failed after its call was answered.
    async fn left_unpaid(&self, payer: Address) -> Result<bool, AuthorizeFailure> {
        let payee = &self.inner.payee;
        let (payer, asset) = (format!("{payer:#x}"), format!("{:#x}", payee.asset.address));
        let key = CreditKey::of(&payer, &payee.network.to_string(), &asset)
            .map_err(|_| AuthorizeFailure::Unknown)?;
        let standing = self.inner.ledger.standing(&key).await;
        standing
            .map(|standing| standing.unpaid_calls > 0)
            .map_err(|_| AuthorizeFailure::Unknown)
    }
}
