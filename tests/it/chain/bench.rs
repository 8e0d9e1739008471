//! What the chain tests share: a local chain, an outbox in memory, and signed transfers.

use alloy::primitives::{Address, B256, Bytes, U256};
use alloy::signers::SignerSync;
use alloy::signers::local::PrivateKeySigner;
use alloy::sol_types::{Eip712Domain, SolStruct, eip712_domain};
use futures::future::BoxFuture;
use groat::chain::dev::DevChain;
use groat::chain::{
    Authorization, Expect, Job, LaneEvent, LaneEventKind, LanePolicy, Outbox, OutboxRefusal,
    Outcome, Receipt, Relayer, Rpc, Sent, Settled, Ticket, Transfer,
};
use serde_json::Value;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// Nothing in these tests takes long; a loaded machine might.
const PATIENCE: Duration = Duration::from_secs(30);

alloy::sol! {
    struct TransferWithAuthorization {
        address from;
        address to;
        uint256 value;
        uint256 validAfter;
        uint256 validBefore;
        bytes32 nonce;
    }

    struct CancelAuthorization {
        address authorizer;
        bytes32 nonce;
    }
}

/// Waits, but not for ever.
pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what)
        .await
        .expect("this should have happened by now")
}

/// Asks again and again until the answer is yes.
pub(crate) async fn until<F: Future<Output = bool>>(mut ask: impl FnMut() -> F) {
    soon(async {
        while !ask().await {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// A policy for a chain without block times: little doubt, quick looks.
pub(crate) fn quick() -> LanePolicy {
    LanePolicy {
        poll_max: Duration::from_millis(20),
        poll_idle: Duration::from_millis(50),
        doubt: Duration::from_millis(60),
        bump_after: Duration::from_secs(60),
        ..LanePolicy::default()
    }
}

pub(crate) struct Bench {
    pub(crate) chain: DevChain,
    pub(crate) outbox: Arc<MemoryOutbox>,
}

impl Bench {
    pub(crate) async fn start() -> Self {
        let chain = DevChain::start().await.expect("a local chain");
        let outbox = Arc::new(MemoryOutbox::new(chain.rpc.clone()));
        Self { chain, outbox }
    }

    pub(crate) fn rpc(&self) -> &Rpc {
        &self.chain.rpc
    }

    pub(crate) fn lane(&self, policy: LanePolicy) -> Lane {
        self.lane_over(self.chain.rpc.clone(), policy)
    }

    pub(crate) fn lane_over(&self, rpc: Rpc, policy: LanePolicy) -> Lane {
        let key = self.chain.relayer_key.clone();
        let (relayer, events) = Relayer::spawn(rpc, key, policy, self.outbox.clone());
        Lane { relayer, events }
    }

    /// A transfer the payer signed, each with another nonce.
    pub(crate) fn transfer(&self, value: u64) -> Transfer {
        self.transfer_by(&self.chain.payer_key, self.chain.asset, value)
    }

    pub(crate) fn transfer_by(
        &self,
        payer: &PrivateKeySigner,
        asset: Address,
        value: u64,
    ) -> Transfer {
        let message = TransferWithAuthorization {
            from: payer.address(),
            to: self.chain.pay_to_key.address(),
            value: U256::from(value),
            validAfter: U256::ZERO,
            validBefore: U256::from(u64::MAX),
            nonce: B256::from(rand::random::<[u8; 32]>()),
        };
        let digest = message.eip712_signing_hash(&self.domain(asset));
        let signature = payer.sign_hash_sync(&digest).expect("a signature");
        Transfer {
            asset,
            from: message.from,
            to: message.to,
            value: message.value,
            valid_after: message.validAfter,
            valid_before: message.validBefore,
            nonce: message.nonce,
            signature: signature.as_bytes().to_vec().into(),
            digest,
        }
    }

    /// The payer's signature over "this authorization is off", as `(v, r, s)`.
    pub(crate) fn cancellation(&self, transfer: &Transfer) -> (u8, B256, B256) {
        let message = CancelAuthorization {
            authorizer: transfer.from,
            nonce: transfer.nonce,
        };
        let digest = message.eip712_signing_hash(&self.domain(transfer.asset));
        let signed = self.chain.payer_key.sign_hash_sync(&digest);
        let signature = signed.expect("a signature");
        let v = 27 + u8::from(signature.v());
        (v, signature.r().into(), signature.s().into())
    }

    fn domain(&self, asset: Address) -> Eip712Domain {
        eip712_domain! {
            name: "USDC",
            version: "2",
            chain_id: self.chain.chain_id,
            verifying_contract: asset,
        }
    }

    pub(crate) async fn received(&self) -> U256 {
        let (asset, payee) = (self.chain.asset, self.chain.pay_to_key.address());
        let balance = self.chain.balance_of(asset, payee).await;
        balance.expect("a balance")
    }

    /// A JSON-RPC method of the node whose answer does not matter.
    pub(crate) async fn node<P: alloy::rpc::json_rpc::RpcSend>(
        &self,
        method: &'static str,
        params: P,
    ) -> Value {
        let answer = self.rpc().request(method, params).await;
        answer.unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    pub(crate) async fn automine(&self, on: bool) {
        self.node("evm_setAutomine", (on,)).await;
    }

    pub(crate) async fn mine(&self, blocks: u64) {
        self.node("anvil_mine", (U256::from(blocks),)).await;
    }

    /// Waits until the node holds this transaction, mined or not.
    pub(crate) async fn held(&self, transaction: B256) {
        until(|| async {
            !self
                .node("eth_getTransactionByHash", (transaction,))
                .await
                .is_null()
        })
        .await;
    }

    pub(crate) async fn receipt(&self, transaction: B256) -> Receipt {
        let receipt = self.rpc().receipt(transaction).await.expect("an answer");
        receipt.expect("a receipt")
    }
}

pub(crate) fn job(id: &str, transfer: &Transfer) -> Job {
    Job {
        id: id.to_owned(),
        to: transfer.asset,
        calldata: transfer.calldata(false),
        expect: Expect::Transfer {
            asset: transfer.asset,
            from: transfer.from,
            to: transfer.to,
            value: transfer.value,
        },
        authorization: Some(Authorization::Eip3009 {
            asset: transfer.asset,
            from: transfer.from,
            nonce: transfer.nonce,
        }),
        gas_limit_max: None,
    }
}

pub(crate) struct Lane {
    pub(crate) relayer: Relayer,
    pub(crate) events: mpsc::Receiver<LaneEvent>,
}

impl Lane {
    pub(crate) async fn submit(&self, job: Job) -> Ticket {
        soon(self.relayer.submit(job)).await.expect("a lane")
    }

    /// Submits, and waits for the settlement.
    pub(crate) async fn settle(&self, job: Job) -> Settled {
        settled(self.submit(job).await).await
    }

    pub(crate) async fn event(&mut self) -> LaneEventKind {
        soon(self.events.recv()).await.expect("an event").kind
    }

    /// The next event, which must be that something was sent.
    pub(crate) async fn sent(&mut self) -> Sent {
        match self.event().await {
            LaneEventKind::Sent(sent) => sent,
            other => panic!("{other:?}"),
        }
    }

    /// The next `Confirmed`; nothing but sends may come before it.
    pub(crate) async fn confirmed(&mut self) -> Settled {
        loop {
            match self.event().await {
                LaneEventKind::Sent(_) => {}
                LaneEventKind::Confirmed(settled) => return settled,
                other => panic!("{other:?}"),
            }
        }
    }
}

pub(crate) async fn settled(ticket: Ticket) -> Settled {
    match soon(ticket.outcome()).await.expect("a lane") {
        Outcome::Settled(settled) => settled,
        failed @ Outcome::Failed(_) => panic!("{failed:?}"),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OutboxMode {
    Records,
    /// Records, and never returns: the process dies between the intent and the broadcast.
    RecordsAndHangs,
    Refuses,
}

pub(crate) struct MemoryOutbox {
    rpc: Rpc,
    sent: Mutex<Vec<(String, Sent)>>,
    mode: watch::Sender<OutboxMode>,
}

impl MemoryOutbox {
    pub(crate) fn new(rpc: Rpc) -> Self {
        Self {
            rpc,
            sent: Mutex::default(),
            mode: watch::channel(OutboxMode::Records).0,
        }
    }

    pub(crate) fn turn(&self, mode: OutboxMode) {
        self.mode.send_replace(mode);
    }

    pub(crate) fn of(&self, id: &str) -> Vec<Sent> {
        let sent = self.sent.lock().expect("no panic before");
        sent.iter()
            .filter(|(job, _)| job == id)
            .map(|(_, sent)| sent.clone())
            .collect()
    }
}

impl Outbox for MemoryOutbox {
    fn sent<'a>(&'a self, job_id: &'a str, sent: Sent) -> BoxFuture<'a, Result<(), OutboxRefusal>> {
        Box::pin(async move {
            let mode = *self.mode.borrow();
            if mode == OutboxMode::Refuses {
                return Err(OutboxRefusal("disk full".to_owned()));
            }
            // Design rule 5: the world must not know the transaction before this is durable.
            let known: Value = self
                .rpc
                .request("eth_getTransactionByHash", (sent.transaction,))
                .await
                .expect("the node");
            assert!(known.is_null(), "sent before the intent was durable");
            self.sent
                .lock()
                .expect("no panic before")
                .push((job_id.to_owned(), sent));
            if mode == OutboxMode::RecordsAndHangs {
                std::future::pending::<()>().await;
            }
            Ok(())
        })
    }
}

/// Raw bytes that a node takes as a transaction.
pub(crate) async fn send_raw(rpc: &Rpc, raw: &Bytes) -> B256 {
    let hash = rpc.request("eth_sendRawTransaction", (raw.clone(),)).await;
    hash.expect("the node takes it")
}
