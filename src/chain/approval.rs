//! A payer's own `approve` transaction, which is carried to the chain for it (x402
//! `erc20ApprovalGasSponsoring`): will it be mined, and was it?

use super::bindings::{IEip2612, IErc20};
use super::preflight::{decode, simulated};
use super::relayer::{Broadcast, broadcast};
use super::rpc::{Answer, call_params};
use super::{ChainError, Head, Receipt, RevertReason, Rpc};
use alloy::primitives::{Address, B256, Bytes, U64, U128, U256};
use alloy::sol_types::SolCall;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// First pause between two looks for the receipt; it doubles.
const LOOK_FIRST: Duration = Duration::from_millis(20);

/// Longest pause between two looks.
const LOOK_MAX: Duration = Duration::from_millis(500);

/// The approval that a signed transaction makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Approval {
    /// The signed transaction's hash.
    pub transaction: B256,
    /// The token contract.
    pub asset: Address,
    /// Who signed it.
    pub owner: Address,
    /// Who may take the tokens then.
    pub spender: Address,
    /// How much, in atomic units.
    pub value: U256,
}

/// What the chain says of an [`Approval`] and its signer at its newest block.
#[derive(Debug, Clone, PartialEq)]
pub struct ApprovalPreflight {
    /// Where the transaction is in the chain, when it is there.
    pub receipt: Option<Receipt>,
    /// The signer's next nonce.
    pub nonce: u64,
    /// The signer's coin, in wei.
    pub balance_wei: U256,
    /// The gas that the approval takes now, or why it would revert.
    pub gas: Result<u64, RevertReason>,
    /// What a transaction pays for a unit of gas now, tip included, in wei.
    pub fee_per_gas_wei: u128,
}

/// What became of a transaction that was handed to the node.
#[derive(Debug, Clone, PartialEq)]
pub enum Carried {
    /// It is in the chain, successful or not.
    Mined(Receipt),
    /// The node does not take it: its nonce is used, its fees are too low, or its signer cannot pay.
    Rejected,
}

impl Rpc {
    /// Whether the token takes permits by EIP-2612, as far as can be seen from outside.
    pub async fn has_eip2612(&self, asset: Address) -> Result<bool, ChainError> {
        let call = IEip2612::noncesCall { owner: asset };
        match self.call(asset, &call.abi_encode().into()).await {
            Ok(answer) => Ok(decode::<IEip2612::noncesCall>(&answer).is_ok()),
            Err(ChainError::Reverted(_)) => Ok(false),
            Err(unknown) => Err(unknown),
        }
    }

    /// Everything that decides whether a signed approval will be mined, asked in one batch.
    pub async fn approval_preflight(
        &self,
        approval: &Approval,
    ) -> Result<ApprovalPreflight, ChainError> {
        let (owner, spender) = (approval.owner, approval.spender);
        let approve = IErc20::approveCall {
            spender,
            value: approval.value,
        };
        let approve = call_params(Some(owner), approval.asset, &approve.abi_encode().into());
        let mut batch = self.batch();
        let head: Answer<Head> = batch.ask("eth_getBlockByNumber", &("latest", false))?;
        let receipt: Answer<Option<Receipt>> =
            batch.ask("eth_getTransactionReceipt", &(approval.transaction,))?;
        let nonce: Answer<U64> = batch.ask("eth_getTransactionCount", &(owner, "latest"))?;
        let balance: Answer<U256> = batch.ask("eth_getBalance", &(owner, "latest"))?;
        // An estimate may be limited by what its sender can pay; a call is not.
        let simulation: Answer<Bytes> = batch.ask("eth_call", &approve)?;
        let gas: Answer<U64> = batch.ask("eth_estimateGas", &approve)?;
        let tip: Answer<U128> = batch.ask("eth_maxPriorityFeePerGas", &())?;
        batch.send().await?;
        let tip = tip.get().await.map_or(0, |tip| tip.to::<u128>());
        let gas = match simulated(simulation.get().await)? {
            Ok(()) => match gas.get().await {
                Ok(gas) => Ok(gas.to()),
                Err(ChainError::Reverted(reason)) => Err(reason),
                Err(unknown) => return Err(unknown),
            },
            Err(reason) => Err(reason),
        };
        Ok(ApprovalPreflight {
            receipt: receipt.get().await?,
            nonce: nonce.get().await?.to(),
            balance_wei: balance.get().await?,
            gas,
            fee_per_gas_wei: head.get().await?.base_fee().saturating_add(tip),
        })
    }

    /// Hands a signed transaction to the node and waits for its receipt. Whatever the node answers to
    /// the broadcast, a receipt decides; after `patience` it is unknown what becomes of it.
    pub async fn carry(
        &self,
        transaction: B256,
        raw: &Bytes,
        patience: Duration,
    ) -> Result<Carried, ChainError> {
        let ends = Instant::now() + patience;
        let mut pause = LOOK_FIRST;
        loop {
            let answer = self
                .request::<_, B256>("eth_sendRawTransaction", (raw.clone(),))
                .await;
            let heard = broadcast(&answer);
            match self.receipt(transaction).await {
                Ok(Some(receipt)) => return Ok(Carried::Mined(receipt)),
                Ok(None) => {
                    let rejected = [
                        Broadcast::NonceTooLow,
                        Broadcast::Underpriced,
                        Broadcast::OutOfGas,
                    ];
                    // A node that is a block behind may not know yet what was just paid or mined.
                    if rejected.contains(&heard) && pause >= LOOK_MAX {
                        return Ok(Carried::Rejected);
                    }
                }
                Err(error) if !error.is_unknown() => return Err(error),
                Err(_) => {}
            }
            if Instant::now() >= ends {
                return Err(ChainError::TimedOut);
            }
            sleep(pause).await;
            pause = pause.saturating_mul(2).min(LOOK_MAX);
        }
    }
}
