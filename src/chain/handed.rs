//! A transaction that its payer signed whole: handed over to be sent, or sent already. Nothing of it can
//! be changed, and there is nothing to raise: it comes to be, or its time runs out.

use super::relayer::{Expect, FailReason, Settled};
use super::{ChainError, Receipt, Rpc};
use alloy::primitives::{B256, Bytes};
use std::time::Duration;
use tokio::time::sleep;

/// First pause between two looks for the receipt; it doubles.
const LOOK_FIRST: Duration = Duration::from_millis(20);

/// Longest pause between two looks.
const LOOK_MAX: Duration = Duration::from_millis(500);

/// Looks that must find nothing once its time is over: a node may be some blocks behind another.
const LOOKS_AFTER_MIN: u32 = 4;

/// What is known of such a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handed {
    /// Its hash.
    pub transaction: B256,
    /// The transaction, if it may be sent by us.
    pub raw: Option<Bytes>,
    /// The time of a block that it can no longer be in, in Unix seconds.
    pub valid_before: Option<u64>,
    /// What it must have brought about.
    pub expect: Expect,
}

impl Rpc {
    /// Sends such a transaction, if that is ours to do, and waits until the chain has decided, however
    /// long that takes: a node that does not answer has decided nothing.
    pub async fn settle_handed(
        &self,
        handed: &Handed,
        confirmations: u64,
    ) -> Result<Settled, FailReason> {
        let mut pause = LOOK_FIRST;
        let mut looks_after = 0;
        loop {
            if let Some(raw) = &handed.raw {
                // Whatever it answers, only a receipt decides.
                let answer = self
                    .request::<_, B256>("eth_sendRawTransaction", (raw.clone(),))
                    .await;
                if let Err(error) = answer {
                    tracing::debug!(%error, "a payer's transaction was not taken now");
                }
            }
            match self.look(handed, confirmations).await {
                Ok(Look::Decided(outcome)) => return outcome,
                Ok(Look::Pending) => looks_after = 0,
                Ok(Look::TooLate) if looks_after >= LOOKS_AFTER_MIN => {
                    return Err(FailReason::Expired);
                }
                Ok(Look::TooLate) => looks_after += 1,
                Err(error) => tracing::warn!(%error, "a transaction cannot be looked for"),
            }
            sleep(pause).await;
            pause = pause.saturating_mul(2).min(LOOK_MAX);
        }
    }

    async fn look(&self, handed: &Handed, confirmations: u64) -> Result<Look, ChainError> {
        // The block first: what is not there by then cannot come into it later.
        let head = self.latest_block().await?;
        let Some(receipt) = self.receipt(handed.transaction).await? else {
            let over = handed
                .valid_before
                .is_some_and(|end| head.timestamp() >= end);
            return Ok(if over { Look::TooLate } else { Look::Pending });
        };
        let depth = head.number().saturating_sub(receipt.block());
        if depth.saturating_add(1) < confirmations {
            return Ok(Look::Pending);
        }
        Ok(Look::Decided(judge(&receipt, &handed.expect)))
    }
}

/// What one look found.
enum Look {
    Pending,
    TooLate,
    Decided(Result<Settled, FailReason>),
}

fn judge(receipt: &Receipt, expect: &Expect) -> Result<Settled, FailReason> {
    if !receipt.is_success() {
        return Err(FailReason::Reverted);
    }
    match expect.is_met(receipt.logs()) {
        true => Ok(Settled {
            transaction: receipt.transaction(),
            block: receipt.block(),
            block_hash: receipt.block_hash(),
        }),
        false => Err(FailReason::TransferEventMismatch),
    }
}
