//! The transactions about channels, and what the ledger keeps of them so that they can be built again
//! after a restart.

use super::{ChannelRail, chain_id, config_of};
use crate::chain::bindings::{self, IBatchSettlement, VoucherClaim};
use crate::chain::{Authorization, Expect, Job};
use crate::ledger::{ChannelId, Operation};
use crate::money::Units;
use crate::protocol::channel::{ChannelConfig, ClaimEntry, claim_batch_digest, refund_digest};
use alloy::primitives::aliases::U40;
use alloy::primitives::{Address, B256, Bytes, U256};
use alloy::sol_types::SolCall;
use serde::{Deserialize, Serialize};

/// The most gas for what every transaction needs, and for each row of a claim; a wallet that judges
/// vouchers itself takes most of a row.
const GAS: u64 = 300_000;
const GAS_PER_ROW: u64 = 120_000;

/// What an operation's record says of its transaction; the channels are the operation's own.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub(super) enum StoredJob {
    /// Fills the channel.
    Deposit { calldata: Bytes, once: Once },
    /// Claims on each channel by its row.
    Claim { rows: Vec<Row>, after_block: u64 },
    /// Pays the receiver what was claimed.
    Settle {
        receiver: Address,
        token: Address,
        after_block: u64,
    },
    /// Claims what was charged, if there is a row, and gives the amount back.
    Refund {
        row: Option<Row>,
        amount: Units,
        nonce: u64,
        after_block: u64,
    },
}

/// A voucher's ceiling, the total to claim by it, and its signature; short, because there are many.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Row(pub(super) Units, pub(super) Units, pub(super) Bytes);

/// What keeps a deposit once.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "snake_case")]
pub(super) enum Once {
    Eip3009 {
        asset: Address,
        from: Address,
        nonce: B256,
    },
    Permit2 {
        permit2: Address,
        owner: Address,
        nonce: U256,
        after_block: u64,
    },
    Nothing {
        after_block: u64,
    },
}

impl Once {
    /// `block` is one at which the authorization was not spent.
    pub(super) const fn of(authorization: Authorization, block: u64) -> Self {
        match authorization {
            Authorization::Eip3009 { asset, from, nonce } => Self::Eip3009 { asset, from, nonce },
            Authorization::Permit2 {
                permit2,
                owner,
                nonce,
                ..
            } => Self::Permit2 {
                permit2,
                owner,
                nonce,
                after_block: block,
            },
            Authorization::Repeatable { .. } => Self::Nothing { after_block: block },
        }
    }

    const fn authorization(self) -> Authorization {
        match self {
            Self::Eip3009 { asset, from, nonce } => Authorization::Eip3009 { asset, from, nonce },
            Self::Permit2 {
                permit2,
                owner,
                nonce,
                after_block,
            } => Authorization::Permit2 {
                permit2,
                owner,
                nonce,
                after_block,
            },
            Self::Nothing { after_block } => Authorization::Repeatable { after_block },
        }
    }
}

impl ChannelRail {
    /// The lane's job of an operation; `None` for a record that cannot be read.
    pub(super) async fn job(&self, operation: &Operation) -> Option<Job> {
        let stored: StoredJob = serde_json::from_value(operation.job.clone()).ok()?;
        let channels = &operation.channels;
        let rows = match &stored {
            StoredJob::Claim { rows, .. } => rows.len(),
            _ => 1,
        };
        let (calldata, expect, authorization) = match stored {
            StoredJob::Deposit { calldata, once } => {
                let filled = chain_id(channels.first()?);
                let expect = Expect::deposited(self.contract(), filled);
                (calldata, expect, once.authorization())
            }
            StoredJob::Claim { rows, after_block } => {
                let ids = channels.iter().map(chain_id);
                let expect = Expect::claimed(self.contract(), ids);
                let calldata = self.claim_call(channels, &rows).await?;
                (calldata, expect, Authorization::Repeatable { after_block })
            }
            StoredJob::Settle {
                receiver,
                token,
                after_block,
            } => {
                let expect = Expect::settled(self.contract(), receiver, token);
                let call = IBatchSettlement::settleCall { receiver, token };
                let calldata = call.abi_encode().into();
                (calldata, expect, Authorization::Repeatable { after_block })
            }
            StoredJob::Refund {
                row,
                amount,
                nonce,
                after_block,
            } => {
                let channel = *channels.first()?;
                let expect = Expect::refunded(self.contract(), chain_id(&channel));
                let calldata = self.refund_call(channel, row, amount, nonce).await?;
                (calldata, expect, Authorization::Repeatable { after_block })
            }
        };
        let (to, calldata) = self.to_contract(calldata);
        let rows = u64::try_from(rows).unwrap_or(u64::MAX);
        Some(Job {
            id: operation.id.to_string(),
            to,
            calldata,
            expect,
            authorization: Some(authorization),
            gas_limit_max: Some(GAS.saturating_add(GAS_PER_ROW.saturating_mul(rows))),
        })
    }

    /// Where a call of the contract is sent, and as what.
    fn to_contract(&self, calldata: Bytes) -> (Address, Bytes) {
        (self.contract(), calldata)
    }

    /// The claim of these rows: by the sender's own right where it is the authorizer, else signed.
    async fn claim_call(&self, channels: &[ChannelId], rows: &[Row]) -> Option<Bytes> {
        let mut claims = Vec::with_capacity(rows.len());
        let mut entries = Vec::with_capacity(rows.len());
        for (channel, Row(max_claimable, total_claimed, signature)) in channels.iter().zip(rows) {
            claims.push(VoucherClaim {
                voucher: bindings::Voucher {
                    channel: bound(&self.config(channel).await?),
                    maxClaimableAmount: max_claimable.atomic(),
                },
                signature: signature.clone(),
                totalClaimed: total_claimed.atomic(),
            });
            entries.push(ClaimEntry {
                channel_id: chain_id(channel),
                max_claimable: *max_claimable,
                total_claimed: *total_claimed,
            });
        }
        let authorizer = &self.inner.authorizer;
        let call = if authorizer.address() == self.inner.operations.sender() {
            IBatchSettlement::claimCall {
                voucherClaims: claims,
            }
            .abi_encode()
        } else {
            let domain = self.terms(Units::ZERO).domain();
            let signature = authorizer.sign(claim_batch_digest(&entries, domain));
            IBatchSettlement::claimWithSignatureCall {
                voucherClaims: claims,
                authorizerSignature: signature.to_bytes().into(),
            }
            .abi_encode()
        };
        Some(call.into())
    }

    /// The claim and the refund in one, so that nobody comes between. The refund is signed for the
    /// channel's present refund nonce, even by the sender itself: that keeps it once.
    async fn refund_call(
        &self,
        channel: ChannelId,
        row: Option<Row>,
        amount: Units,
        nonce: u64,
    ) -> Option<Bytes> {
        let domain = self.terms(Units::ZERO).domain();
        let nonce = U256::from(nonce);
        let digest = refund_digest(chain_id(&channel), nonce, amount, domain);
        let refund = IBatchSettlement::refundWithSignatureCall {
            config: bound(&self.config(&channel).await?),
            amount: amount.atomic(),
            nonce,
            receiverAuthorizerSignature: self.inner.authorizer.sign(digest).to_bytes().into(),
        };
        let refund: Bytes = refund.abi_encode().into();
        let Some(row) = row else {
            return Some(refund);
        };
        let claim = self.claim_call(&[channel], &[row]).await?;
        let both = IBatchSettlement::multicallCall {
            data: vec![claim, refund],
        };
        Some(both.abi_encode().into())
    }

    async fn config(&self, channel: &ChannelId) -> Option<ChannelConfig> {
        let state = self.inner.ledger.channel(channel).await.ok()??;
        config_of(&state.opening)
    }
}

/// A channel's configuration as the contract takes it.
pub(super) fn bound(config: &ChannelConfig) -> bindings::ChannelConfig {
    bindings::ChannelConfig {
        payer: config.payer,
        payerAuthorizer: config.payer_authorizer,
        receiver: config.receiver,
        receiverAuthorizer: config.receiver_authorizer,
        token: config.token,
        withdrawDelay: U40::saturating_from(config.withdraw_delay),
        salt: config.salt,
    }
}
