//! What a wallet asks of a node, and the few transactions it sends on its own: each one costs gas,
//! so none is sent unless it was asked for by name.

use super::channel::OnChain;
use super::spends;
use crate::chain::bindings::ChannelConfig as OnChainConfig;
use crate::chain::bindings::{IBatchSettlement, IEip2612, IEip3009Token, IErc20, IPermit2};
use crate::chain::{ChainError, Rpc};
use crate::money::Units;
use crate::protocol::Network;
use crate::protocol::addresses::{BATCH_SETTLEMENT, PERMIT2};
use crate::protocol::channel::ChannelConfig;
use crate::protocol::signature::Key;
use alloy::consensus::{SignableTransaction, TxEip1559, TxEnvelope};
use alloy::eips::eip2718::Encodable2718;
use alloy::primitives::aliases::U40;
use alloy::primitives::{Address, B256, Bytes, Signature, TxKind, U64, U256};
use alloy::sol_types::SolCall;
use std::time::Duration;

/// How long a transaction may take to be mined.
const MINING_TIMEOUT: Duration = Duration::from_secs(180);

/// Pause between two looks for it.
const MINING_POLL: Duration = Duration::from_millis(500);

/// A tip in wei per gas that nodes take where they name none.
const TIP_WEI: u128 = 1_000_000;

/// Why a transaction of the wallet's own did not happen.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The node gave no answer, or a refusal.
    #[error("{0}")]
    Chain(#[from] ChainError),
    /// It is in a block, and reverted.
    #[error("the transaction {0} reverted")]
    Reverted(B256),
    /// It is not in a block yet.
    #[error("the transaction {0} was sent and is not mined yet")]
    Pending(B256),
}

/// A node of the chain that is paid on.
#[derive(Debug, Clone)]
pub struct Chain {
    rpc: Rpc,
}

impl Chain {
    /// Connects to a node, which must be of this chain.
    pub async fn connect(url: &str, network: Network) -> Result<Self, ChainError> {
        let rpc = Rpc::connect(url, network.chain_id()).await?;
        Ok(Self { rpc })
    }

    /// Connects to a node of whatever chain. None has the id 0, so the refusal tells the node's.
    pub async fn connect_any(url: &str) -> Result<Self, ChainError> {
        match Rpc::connect(url, 0).await {
            Err(ChainError::WrongChain { found, .. }) => {
                let rpc = Rpc::connect(url, found).await?;
                Ok(Self { rpc })
            }
            other => other.map(|rpc| Self { rpc }),
        }
    }

    /// The chain.
    pub fn network(&self) -> Network {
        Network::from_chain_id(self.rpc.chain_id())
    }

    /// What Permit2 may move of an owner's tokens.
    pub async fn allowance(&self, asset: Address, owner: Address) -> Result<U256, ChainError> {
        let spender = PERMIT2;
        self.read(asset, IErc20::allowanceCall { owner, spender })
            .await
    }

    /// The nonce of an owner's next EIP-2612 permit.
    pub async fn permit_nonce(&self, asset: Address, owner: Address) -> Result<U256, ChainError> {
        self.read(asset, IEip2612::noncesCall { owner }).await
    }

    /// Whether an EIP-3009 authorization was used, or cancelled.
    pub async fn authorization_used(
        &self,
        asset: Address,
        authorizer: Address,
        nonce: B256,
    ) -> Result<bool, ChainError> {
        let state = IEip3009Token::authorizationStateCall { authorizer, nonce };
        self.read(asset, state).await
    }

    /// Whether a nonce of Permit2 was used, or taken back.
    pub async fn permit2_used(&self, owner: Address, nonce: U256) -> Result<bool, ChainError> {
        let (word, bit) = spends::place(nonce);
        let bitmap = IPermit2::nonceBitmapCall { owner, word };
        Ok(self.read(PERMIT2, bitmap).await?.bit(bit))
    }

    /// An account's tokens.
    pub async fn tokens(&self, asset: Address, account: Address) -> Result<U256, ChainError> {
        self.read(asset, IEip3009Token::balanceOfCall { account })
            .await
    }

    /// An account's native coin, in wei.
    pub async fn native(&self, account: Address) -> Result<U256, ChainError> {
        self.rpc
            .request("eth_getBalance", (account, "latest"))
            .await
    }

    /// A channel as the contract has it.
    pub async fn channel(&self, id: B256, config: &ChannelConfig) -> Result<OnChain, ChainError> {
        let held = IBatchSettlement::channelsCall { channelId: id };
        let held = self.read(BATCH_SETTLEMENT, held).await?;
        let leaving = IBatchSettlement::pendingWithdrawalsCall { channelId: id };
        let leaving = self.read(BATCH_SETTLEMENT, leaving).await?;
        let since: u64 = leaving.initiatedAt.to();
        let from = since.saturating_add(config.withdraw_delay);
        Ok(OnChain {
            balance: Units::from_atomic(held.balance),
            claimed: Units::from_atomic(held.totalClaimed),
            withdrawal: (since > 0).then(|| (Units::from_atomic(leaving.amount), from)),
        })
    }

    /// The time of the newest block, in Unix seconds.
    pub async fn now_s(&self) -> Result<u64, ChainError> {
        Ok(self.rpc.latest_block().await?.timestamp())
    }

    /// Lets Permit2 move an owner's tokens, without end.
    pub async fn approve(&self, key: &Key, asset: Address) -> Result<B256, SendError> {
        let call = IErc20::approveCall {
            spender: PERMIT2,
            value: U256::MAX,
        };
        self.send(key, asset, call.abi_encode().into()).await
    }

    /// Announces a withdrawal from a channel.
    pub async fn withdraw(
        &self,
        key: &Key,
        config: &ChannelConfig,
        amount: Units,
    ) -> Result<B256, SendError> {
        let call = IBatchSettlement::initiateWithdrawCall {
            config: on_chain(config),
            amount: amount.atomic(),
        };
        self.send(key, BATCH_SETTLEMENT, call.abi_encode().into())
            .await
    }

    /// Takes a withdrawal whose time has come.
    pub async fn finalize(&self, key: &Key, config: &ChannelConfig) -> Result<B256, SendError> {
        let call = IBatchSettlement::finalizeWithdrawCall {
            config: on_chain(config),
        };
        self.send(key, BATCH_SETTLEMENT, call.abi_encode().into())
            .await
    }

    async fn read<C: SolCall>(&self, to: Address, call: C) -> Result<C::Return, ChainError> {
        let answer = self.rpc.call(to, &call.abi_encode().into()).await?;
        C::abi_decode_returns(&answer).map_err(|_| {
            ChainError::Malformed(format!("{to} does not answer as its interface says"))
        })
    }

    /// Sends one transaction and waits for its block.
    async fn send(&self, key: &Key, to: Address, input: Bytes) -> Result<B256, SendError> {
        let from = key.address();
        let call = serde_json::json!({ "from": from, "to": to, "data": input });
        let gas: U64 = self.rpc.request("eth_estimateGas", (call,)).await?;
        let gas: u64 = gas.to();
        let nonce: U64 = self
            .rpc
            .request("eth_getTransactionCount", (from, "pending"))
            .await?;
        let tip: Result<U256, _> = self.rpc.request("eth_maxPriorityFeePerGas", ()).await;
        let tip = tip.map_or(TIP_WEI, |tip| tip.saturating_to::<u128>());
        let base = self.rpc.latest_block().await?.base_fee();
        let transaction = TxEip1559 {
            chain_id: self.rpc.chain_id(),
            nonce: nonce.to(),
            gas_limit: gas.saturating_add(gas / 3),
            max_fee_per_gas: base.saturating_mul(2).saturating_add(tip),
            max_priority_fee_per_gas: tip,
            to: TxKind::Call(to),
            value: U256::ZERO,
            access_list: Default::default(),
            input,
        };
        let signed = key.sign(transaction.signature_hash());
        let (r, s) = (
            U256::from_be_bytes(signed.r().0),
            U256::from_be_bytes(signed.s().0),
        );
        let signature = Signature::new(r, s, signed.v() == 28);
        let envelope = TxEnvelope::from(transaction.into_signed(signature));
        let raw = Bytes::from(envelope.encoded_2718());
        let hash: B256 = self.rpc.request("eth_sendRawTransaction", (raw,)).await?;
        let mined = tokio::time::timeout(MINING_TIMEOUT, self.mined(hash)).await;
        match mined {
            Ok(succeeded) => succeeded?.then_some(hash).ok_or(SendError::Reverted(hash)),
            Err(_) => Err(SendError::Pending(hash)),
        }
    }

    /// Whether a transaction succeeded, once it is in a block.
    async fn mined(&self, transaction: B256) -> Result<bool, ChainError> {
        loop {
            if let Some(receipt) = self.rpc.receipt(transaction).await? {
                return Ok(receipt.is_success());
            }
            tokio::time::sleep(MINING_POLL).await;
        }
    }
}

fn on_chain(config: &ChannelConfig) -> OnChainConfig {
    OnChainConfig {
        payer: config.payer,
        payerAuthorizer: config.payer_authorizer,
        receiver: config.receiver,
        receiverAuthorizer: config.receiver_authorizer,
        token: config.token,
        withdrawDelay: U40::saturating_from(config.withdraw_delay),
        salt: config.salt,
    }
}
