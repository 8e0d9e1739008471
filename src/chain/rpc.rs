//! A thin client of one node: bounded requests, typed errors, one batch for what belongs together.

use super::transport::Http;
use super::{
    ChainError, ChannelEvent, ChannelPreflight, ChannelQuestion, ChannelsRead, Due,
    PermitPreflight, PermitTransfer, Preflight, Transfer,
};
use alloy::primitives::{Address, B256, Bytes, U64, U256};
use alloy::rpc::client::{BatchRequest, RpcClient, Waiter};
use alloy::rpc::json_rpc::{RpcRecv, RpcSend};
use alloy::rpc::types::Log;
use serde::Deserialize;
use serde_json::json;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long one request may take, unless said otherwise.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// How long "this contract has code" is believed (x402 reference facilitators: 15 minutes).
const CODE_TTL: Duration = Duration::from_secs(15 * 60);

/// Most calls put into one JSON-RPC batch; public nodes refuse batches beyond 100.
pub(super) const BATCH_CALLS_MAX: usize = 100;

/// A client of one node of one chain; clones share connections and caches.
#[derive(Clone)]
pub struct Rpc {
    client: RpcClient,
    chain_id: u64,
    code: Arc<Mutex<HashMap<Address, Instant>>>,
}

impl Rpc {
    /// Connects, and checks that the node serves the expected chain; requests time out after 5 s.
    pub async fn connect(url: &str, expected_chain_id: u64) -> Result<Self, ChainError> {
        Self::connect_within(url, expected_chain_id, REQUEST_TIMEOUT).await
    }

    /// As [`Rpc::connect`], with a time-out of the caller's for each request.
    pub async fn connect_within(
        url: &str,
        expected_chain_id: u64,
        request_timeout: Duration,
    ) -> Result<Self, ChainError> {
        let rpc = Self::reach(url, request_timeout).await?;
        if rpc.chain_id != expected_chain_id {
            return Err(ChainError::WrongChain {
                expected: expected_chain_id,
                found: rpc.chain_id,
            });
        }
        Ok(rpc)
    }

    /// Connects to whatever chain the node serves; [`Rpc::chain_id`] says which.
    pub async fn connect_to_any(url: &str) -> Result<Self, ChainError> {
        Self::reach(url, REQUEST_TIMEOUT).await
    }

    async fn reach(url: &str, request_timeout: Duration) -> Result<Self, ChainError> {
        let http = Http::new(url, request_timeout)?;
        let mut rpc = Self {
            client: RpcClient::new(http, false),
            chain_id: 0,
            code: Arc::default(),
        };
        let found: U64 = rpc.request("eth_chainId", ()).await?;
        rpc.chain_id = found.to();
        Ok(rpc)
    }

    /// The chain id that the node said at start.
    pub fn chain_id(&self) -> u64 {
        self.chain_id
    }

    /// The newest block the node knows.
    pub async fn latest_block(&self) -> Result<Head, ChainError> {
        self.request("eth_getBlockByNumber", ("latest", false))
            .await
    }

    /// Everything that decides whether a signed transfer will settle, asked in one batch.
    ///
    /// `caller` is the address that would send the transfer (the relayer's).
    pub async fn preflight(
        &self,
        transfer: &Transfer,
        caller: Address,
    ) -> Result<Preflight, ChainError> {
        super::preflight::run(self, transfer, caller).await
    }

    /// The same for a payment by Permit2; `caller` is the proxy's (the relayer, or the settler).
    pub async fn permit_preflight(
        &self,
        payment: &PermitTransfer,
        caller: Address,
    ) -> Result<PermitPreflight, ChainError> {
        super::preflight::permit2::run(self, payment, caller).await
    }

    /// The same for a payment through a channel; `caller` is who would send its deposit.
    pub async fn channel_preflight(
        &self,
        question: &ChannelQuestion,
        caller: Address,
    ) -> Result<ChannelPreflight, ChainError> {
        super::channel::preflight(self, question, caller).await
    }

    /// The states of any number of channels.
    pub async fn channels(
        &self,
        contract: Address,
        channels: &[B256],
    ) -> Result<ChannelsRead, ChainError> {
        super::channel::read(self, contract, channels).await
    }

    /// What happened to these channels (to all when none are named) in a closed block range.
    ///
    /// Blocks that do not exist yet are left out. What is read of the newest blocks a reorg may take
    /// back: ask for those again until they are final, and tell events apart by their place.
    pub async fn channel_events(
        &self,
        contract: Address,
        channels: &[B256],
        from_block: u64,
        to_block: u64,
    ) -> Result<Vec<ChannelEvent>, ChainError> {
        super::channel::events(self, contract, channels, from_block, to_block).await
    }

    /// What a receiver has claimed through the batch-settlement contract and not been paid yet.
    pub async fn due(
        &self,
        contract: Address,
        receiver: Address,
        token: Address,
    ) -> Result<Due, ChainError> {
        super::channel::due(self, contract, receiver, token).await
    }

    /// Those of these contracts, by name and address, that have no code.
    pub async fn missing_code(
        &self,
        contracts: &[(&'static str, Address)],
    ) -> Result<Vec<(&'static str, Address)>, ChainError> {
        let params: Vec<_> = contracts.iter().map(|(_, at)| (*at, "latest")).collect();
        let answers = self.many::<_, Bytes>("eth_getCode", &params).await?;
        let mut missing = Vec::new();
        for (contract, code) in contracts.iter().zip(answers) {
            if code?.is_empty() {
                missing.push(*contract);
            } else {
                self.remember_code(contract.1);
            }
        }
        Ok(missing)
    }

    /// The receipt of a transaction, when it is mined.
    pub async fn receipt(&self, transaction: B256) -> Result<Option<Receipt>, ChainError> {
        self.request("eth_getTransactionReceipt", (transaction,))
            .await
    }

    /// Logs of `address` in a closed block range: each topic one of those given, none given is any.
    pub async fn logs(
        &self,
        address: Address,
        topics: &[Vec<B256>],
        from_block: u64,
        to_block: u64,
    ) -> Result<Vec<Log>, ChainError> {
        let topics: Vec<_> = topics
            .iter()
            .map(|any_of| (!any_of.is_empty()).then_some(any_of))
            .collect();
        let filter = json!({
            "address": address,
            "topics": topics,
            "fromBlock": U64::from(from_block),
            "toBlock": U64::from(to_block),
        });
        self.request("eth_getLogs", (filter,)).await
    }

    /// The answer of a read-only contract call at the newest block.
    pub async fn call(&self, to: Address, calldata: &Bytes) -> Result<Bytes, ChainError> {
        self.request("eth_call", call_params(None, to, calldata))
            .await
    }

    /// The same, as somebody's call.
    pub async fn call_as(
        &self,
        from: Address,
        to: Address,
        calldata: &Bytes,
    ) -> Result<Bytes, ChainError> {
        self.request("eth_call", call_params(Some(from), to, calldata))
            .await
    }

    /// Any one JSON-RPC method.
    pub async fn request<P: RpcSend, R: RpcRecv>(
        &self,
        method: &'static str,
        params: P,
    ) -> Result<R, ChainError> {
        Ok(self.client.request(method, params).await?)
    }

    pub(super) fn batch(&self) -> Batch<'_> {
        Batch(self.client.new_batch())
    }

    /// Sends any number of calls of one method in as few batches as allowed; one result per call.
    pub(super) async fn many<P: RpcSend, R: RpcRecv>(
        &self,
        method: &'static str,
        params: &[P],
    ) -> Result<Vec<Result<R, ChainError>>, ChainError> {
        let mut results = Vec::with_capacity(params.len());
        for chunk in params.chunks(BATCH_CALLS_MAX) {
            let mut batch = self.batch();
            let asked: Vec<_> = chunk
                .iter()
                .map(|params| batch.ask::<P, R>(method, params))
                .collect::<Result<_, _>>()?;
            batch.send().await?;
            for answer in asked {
                results.push(answer.get().await);
            }
        }
        Ok(results)
    }

    pub(super) fn code_known(&self, contract: Address) -> bool {
        let seen = self.code.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(&contract)
            .is_some_and(|at| at.elapsed() < CODE_TTL)
    }

    pub(super) fn remember_code(&self, contract: Address) {
        let mut seen = self.code.lock().unwrap_or_else(PoisonError::into_inner);
        seen.insert(contract, Instant::now());
    }
}

impl fmt::Debug for Rpc {
    /// Says the chain only: the node's URL holds credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rpc")
            .field("chain_id", &self.chain_id)
            .finish_non_exhaustive()
    }
}

/// Calls of different types in one JSON-RPC batch.
pub(super) struct Batch<'a>(BatchRequest<'a>);

/// One answer of a [`Batch`], to be read after it was sent.
pub(super) struct Answer<R>(Waiter<R>);

impl Batch<'_> {
    pub(super) fn ask<P: RpcSend, R: RpcRecv>(
        &mut self,
        method: &'static str,
        params: &P,
    ) -> Result<Answer<R>, ChainError> {
        Ok(Answer(self.0.add_call(method, params)?))
    }

    pub(super) async fn send(self) -> Result<(), ChainError> {
        Ok(self.0.send().await?)
    }
}

impl<R: RpcRecv> Answer<R> {
    pub(super) async fn get(self) -> Result<R, ChainError> {
        Ok(self.0.await?)
    }
}

/// The parameters of `eth_call` and `eth_estimateGas` at the newest block.
pub(super) fn call_params(
    from: Option<Address>,
    to: Address,
    calldata: &Bytes,
) -> (serde_json::Value, &'static str) {
    let mut call = json!({ "to": to, "data": calldata });
    if let Some(from) = from {
        call["from"] = json!(from);
    }
    (call, "latest")
}

/// A block's header, as far as it is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Head {
    number: U64,
    hash: B256,
    timestamp: U64,
    #[serde(default)]
    base_fee_per_gas: Option<U256>,
}

impl Head {
    /// The block number.
    pub fn number(&self) -> u64 {
        self.number.to()
    }

    /// The block hash.
    pub fn hash(&self) -> B256 {
        self.hash
    }

    /// The block's time in seconds since 1970.
    pub fn timestamp(&self) -> u64 {
        self.timestamp.to()
    }

    /// The base fee in wei per gas (EIP-1559); zero on a chain without one.
    pub fn base_fee(&self) -> u128 {
        self.base_fee_per_gas
            .map_or(0, |fee| fee.saturating_to::<u128>())
    }
}

/// A mined transaction's receipt, as far as it is needed: it reads any transaction type.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Receipt {
    transaction_hash: B256,
    block_hash: B256,
    block_number: U64,
    status: U64,
    logs: Vec<Log>,
}

impl Receipt {
    /// The transaction's hash.
    pub fn transaction(&self) -> B256 {
        self.transaction_hash
    }

    /// The number of the block the transaction is in.
    pub fn block(&self) -> u64 {
        self.block_number.to()
    }

    /// The hash of that block.
    pub fn block_hash(&self) -> B256 {
        self.block_hash
    }

    /// Whether the execution succeeded; without the expected event that proves nothing yet.
    pub fn is_success(&self) -> bool {
        self.status == U64::from(1)
    }

    /// The events emitted.
    pub fn logs(&self) -> &[Log] {
        &self.logs
    }
}
