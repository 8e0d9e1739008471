//! What callers are told of their payment beside the answer.

use super::Rails;
use crate::ledger::ChannelState;
use crate::money::Units;
use crate::payment::PaidByChannel;
use crate::protocol::x402::{BATCH_SETTLEMENT, Requirements, SettleResponse, Version};
use alloy::primitives::Address;

impl Rails {
    /// What the header of a paid answer says, or of a settlement that failed for a `reason`.
    pub fn settle_response(
        &self,
        payer: Address,
        outcome: Result<(Units, &str), &str>,
        version: Version,
    ) -> SettleResponse {
        let network = match (version, self.network().v1_name()) {
            (Version::V1, Some(name)) => name.to_owned(),
            _ => self.network().to_string(),
        };
        let (amount, transaction) = outcome.unwrap_or_default();
        SettleResponse {
            success: outcome.is_ok(),
            error_reason: outcome.err().map(str::to_owned),
            error_message: None,
            payer: Some(payer),
            transaction: transaction.to_owned(),
            network,
            amount: outcome.is_ok().then_some(amount),
            extensions: None,
            extra: None,
        }
    }

    /// What the header of an answer says that a channel paid for, of what is known as it leaves.
    pub fn paid_by_channel(
        &self,
        payer: Address,
        paid: &PaidByChannel,
        state: &ChannelState,
    ) -> SettleResponse {
        let paid = self.inner.channel.paid(paid, state);
        let (transaction, amount) = paid.deposit.unzip();
        let transaction = transaction.unwrap_or_default();
        let amount_known = Ok((amount.unwrap_or_default(), transaction.as_str()));
        SettleResponse {
            amount,
            extra: Some(paid.extra),
            ..self.settle_response(payer, amount_known, Version::V2)
        }
    }

    /// Puts what a channel's books say into its offer, so that its payer can sign anew.
    pub fn correct(&self, offers: &mut [Requirements], state: &ChannelState) {
        let of_channels = offers
            .iter_mut()
            .find(|offer| offer.scheme == BATCH_SETTLEMENT);
        if let Some(offer) = of_channels {
            self.inner.channel.corrective(offer, state);
        }
    }
}
