//! Approvals of Permit2 that are carried to the chain for payers who have no coin for gas (x402
//! `eip2612GasSponsoring`, which costs nothing but a longer settlement, and
//! `erc20ApprovalGasSponsoring`, which gives coin away and is therefore bounded on every side).
//!
//! What a payer can make of it: coin for one approval at the price of gas of the moment, a few times
//! a day, and all payers together a few dozen times an hour ([`Given`]). The coin for one approval is
//! given once: the operation's id follows from the approval's hash. Both hold over a restart.

use super::authorized::AuthorizeFailure;
use super::given::Given;
use super::settlement::sent_before;
use crate::chain::{
    Approval, ApprovalPreflight, Carried, ChainError, Expect, Job, LanePolicy, Outcome, Relayer,
    Rpc, Ticket,
};
use crate::clock::now_ms;
use crate::config::{Config, RailKind};
use crate::ledger::{Ledger, Operation, OperationId, OperationKind, OperationState, Settlement};
use crate::protocol::channel::Method;
use crate::protocol::permit2::erc20_approval::{self, Refused, Transaction};
use crate::protocol::permit2::{self, TokenPermissions, eip2612};
use crate::protocol::x402::Extensions;
use crate::protocol::{Network, Refusal};
use alloy::primitives::{Address, B256, Bytes, U256};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

/// How long the coin, and then the approval, may take to be mined before the payment is unknown.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the published client offers for a unit of gas when it is told no price, in wei.
const CLIENT_FEE_WEI: u128 = 1_000_000_000;

/// Why a gateway cannot tell what it may spare its payers.
#[derive(Debug, thiserror::Error)]
pub enum NoSponsoring {
    /// The chain did not say what the asset can do.
    #[error("the chain cannot be asked whether the asset takes permits: {0}")]
    Asset(#[from] ChainError),
    /// The count of the coin that was given cannot be read.
    #[error("the count of the coin given for approvals cannot be read: {0}")]
    Count(#[from] std::io::Error),
}

/// Which approvals of Permit2 this gateway spares its payers.
#[derive(Debug, Clone)]
pub struct Sponsoring {
    by_permit2: bool,
    eip2612: bool,
    approvals: Option<Approvals>,
}

impl Sponsoring {
    /// Finds out what the asset can do; `relayer` gives the coin.
    pub async fn of(
        config: &Config,
        rpc: &Rpc,
        ledger: &Ledger,
        relayer: &Relayer,
    ) -> Result<Self, NoSponsoring> {
        let by_permit2 = |kind: &RailKind| match kind {
            RailKind::Upto | RailKind::ExactPermit2 => true,
            RailKind::Channel => config.channels.deposit_by == Method::Permit2,
            RailKind::Exact | RailKind::TempoCharge | RailKind::TempoSession => false,
        };
        let by_permit2 = config.payment.rails.iter().any(by_permit2);
        // A client that is told of EIP-2612 signs by it, and fails with a token that has none.
        let eip2612 = by_permit2 && rpc.has_eip2612(config.asset.address).await?;
        let approvals = match config.contracts.approval_sponsoring {
            true => Some(Approvals(Arc::new(Inner {
                rpc: rpc.clone(),
                ledger: ledger.clone(),
                relayer: relayer.clone(),
                network: Network::from_chain_id(config.chain.chain_id),
                permit2: config.contracts.permit2,
                gas_max: config.contracts.approval_gas_max,
                turns: Turns::default(),
                given: Given::open(&config.gateway.data_dir)?,
            }))),
            false => None,
        };
        Ok(Self {
            by_permit2,
            eip2612,
            approvals,
        })
    }

    /// The extensions that are advertised.
    pub(super) fn advert(&self) -> Extensions {
        let mut extensions = Extensions::new();
        if self.eip2612 {
            extensions.insert(eip2612::KEY.to_owned(), eip2612::advert());
        }
        if self.by_permit2 && self.approvals.is_some() {
            extensions.insert(erc20_approval::KEY.to_owned(), erc20_approval::advert());
        }
        extensions
    }

    /// What carries approvals, when that is done here.
    pub(super) fn approvals(&self) -> Option<&Approvals> {
        self.approvals.as_ref()
    }

    /// Whether this payment brings an approval that may have to be carried.
    pub(super) fn carries(&self, extensions: &Extensions) -> bool {
        self.approvals.is_some() && matches!(erc20_approval::extract(extensions), Ok(Some(_)))
    }

    /// Looks on for the coin that was on its way when the last process stopped.
    pub(super) fn resume(&self, operations: &[OperationState]) {
        let Some(approvals) = &self.approvals else {
            return;
        };
        for state in operations {
            let sent = matches!(state.settlement, Settlement::Sent { .. });
            if state.operation.kind == OperationKind::Funding && sent {
                let (approvals, state) = (approvals.clone(), state.clone());
                tokio::spawn(async move { approvals.give(&state).await.map(drop) });
            }
        }
    }
}

/// Carries approvals to the chain; clones are the same.
#[derive(Debug, Clone)]
pub(super) struct Approvals(Arc<Inner>);

type Turns = Mutex<HashMap<Address, Arc<AsyncMutex<()>>>>;

#[derive(Debug)]
struct Inner {
    rpc: Rpc,
    ledger: Ledger,
    relayer: Relayer,
    network: Network,
    permit2: Address,
    gas_max: u64,
    turns: Turns,
    given: Given,
}

/// What is owed to an approval: coin for its sender.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct StoredFunding {
    to: Address,
    wei: U256,
    approval: B256,
}

impl Approvals {
    /// Waits until no other approval of this payer is being carried; what the chain said of it
    /// before may be wrong by then.
    pub(super) async fn turn(&self, payer: Address) -> OwnedMutexGuard<()> {
        let turn = {
            let mut turns = self.0.turns.lock().unwrap_or_else(PoisonError::into_inner);
            turns.retain(|_, turn| Arc::strong_count(turn) > 1);
            Arc::clone(turns.entry(payer).or_default())
        };
        turn.lock_owned().await
    }

    /// Brings a payer's approval on chain, and first the coin that its gas takes. The payment that it
    /// came with must be good but for its allowance, and the payer's turn must have come.
    pub(super) async fn carry(
        &self,
        approval: &erc20_approval::Approval,
        payer: Address,
        permitted: &TokenPermissions,
    ) -> Result<(), AuthorizeFailure> {
        let inner = &self.0;
        let transaction =
            erc20_approval::check(approval, payer, permitted, inner.permit2, inner.network)
                .map_err(refused)?;
        let question = Approval {
            transaction: transaction.hash,
            asset: permitted.token,
            owner: payer,
            spender: inner.permit2,
            value: transaction.approved,
        };
        let preflight = inner.rpc.approval_preflight(&question).await;
        let preflight = preflight.map_err(|error| unknown(&error))?;
        judge(&transaction, &preflight, inner.gas_max).map_err(refused)?;
        let wanted = with_margin(transaction.cost_max_wei());
        if let Some(missing) = wanted
            .checked_sub(preflight.balance_wei)
            .filter(|missing| !missing.is_zero())
        {
            self.fund(payer, &transaction, missing).await?;
        }
        let raw = Bytes::copy_from_slice(&approval.transaction);
        match inner.rpc.carry(transaction.hash, &raw, PATIENCE).await {
            Ok(Carried::Mined(receipt)) if receipt.is_success() => Ok(()),
            Ok(Carried::Mined(_)) => Err(refused(Refused::Failed)),
            Ok(Carried::Rejected) => Err(refused(Refused::Broadcast)),
            Err(error) => Err(unknown(&error)),
        }
    }

    /// Gives a payer the missing coin, once for each approval.
    async fn fund(
        &self,
        payer: Address,
        transaction: &Transaction,
        missing: U256,
    ) -> Result<(), AuthorizeFailure> {
        let ledger = &self.0.ledger;
        let id = funding_id(transaction.hash);
        let known = ledger
            .operation(&id)
            .await
            .map_err(|_| AuthorizeFailure::Unknown)?;
        let state = match known {
            Some(state) => state,
            None => {
                self.0.given.count(payer, now_ms()).map_err(|full| {
                    tracing::warn!(%payer, %full, "no coin is given for an approval");
                    Refusal::from(permit2::Refused::AllowanceRequired)
                })?;
                let stored = StoredFunding {
                    to: payer,
                    wei: missing,
                    approval: transaction.hash,
                };
                let operation = Operation {
                    id,
                    kind: OperationKind::Funding,
                    channels: Vec::new(),
                    calls: Vec::new(),
                    job: serde_json::json!(stored),
                    at_ms: now_ms(),
                };
                let requested = ledger.request_operation(operation).await;
                requested.map_err(|_| AuthorizeFailure::Unknown)?
            }
        };
        match &state.settlement {
            // The coin is there, or was spent on something else: the node will say.
            Settlement::Confirmed { .. } => return Ok(()),
            Settlement::Failed { .. } => return Err(refused(Refused::Broadcast)),
            Settlement::None | Settlement::Sent { .. } => {}
        }
        let ticket = self.give(&state).await?;
        match tokio::time::timeout(PATIENCE, ticket.outcome()).await {
            Ok(Ok(Outcome::Settled(_))) => Ok(()),
            Ok(Ok(Outcome::Failed(reason))) => {
                tracing::warn!(%payer, %reason, "coin for an approval could not be given");
                Err(refused(Refused::Broadcast))
            }
            Ok(Err(_)) | Err(_) => Err(AuthorizeFailure::Unknown),
        }
    }

    /// Hands a funding to the relayer's lane, with all that was ever sent for it.
    async fn give(&self, state: &OperationState) -> Result<Ticket, AuthorizeFailure> {
        let operation = &state.operation;
        let stored: StoredFunding =
            serde_json::from_value(operation.job.clone()).map_err(|_| AuthorizeFailure::Unknown)?;
        let job = Job {
            id: operation.id.to_string(),
            to: stored.to,
            calldata: Bytes::new(),
            expect: Expect::Coin { wei: stored.wei },
            authorization: None,
            // An account with code could make the coin's arrival as dear as it likes.
            gas_limit_max: Some(self.0.gas_max),
        };
        let previous = state.settlement.broadcast().map(sent_before);
        let lane = &self.0.relayer;
        let taken = match previous.unwrap_or_default() {
            none if none.is_empty() => lane.submit(job).await.map_err(|error| error.to_string()),
            previous => {
                let resumed = lane.resume(job, previous).await;
                resumed.map_err(|error| error.to_string())
            }
        };
        taken.map_err(|error| {
            tracing::error!(id = %operation.id, error, "coin for an approval was not taken up");
            AuthorizeFailure::Unknown
        })
    }
}

/// Whether an approval will be mined, succeed and cost no more than it must.
fn judge(
    transaction: &Transaction,
    preflight: &ApprovalPreflight,
    gas_max: u64,
) -> Result<(), Refused> {
    if let Some(receipt) = &preflight.receipt {
        // The allowance that it made is gone again, or it made none.
        return Err(match receipt.is_success() {
            true => Refused::Broadcast,
            false => Refused::Failed,
        });
    }
    if preflight.nonce != transaction.nonce {
        return Err(Refused::Broadcast);
    }
    if transaction.gas_limit > gas_max || transaction.max_fee_per_gas_wei > fee_max(preflight) {
        return Err(Refused::Broadcast);
    }
    match &preflight.gas {
        Ok(gas) if *gas <= transaction.gas_limit => Ok(()),
        Ok(_) => Err(Refused::Failed),
        Err(reason) => {
            tracing::info!(%reason, "an approval's simulation reverted");
            Err(Refused::Failed)
        }
    }
}

/// The most that an approval may offer for a unit of gas, in wei. What it does not use its payer
/// keeps, so that is little more than what is asked now.
fn fee_max(preflight: &ApprovalPreflight) -> u128 {
    let asked = preflight.fee_per_gas_wei.saturating_mul(3);
    asked
        .max(CLIENT_FEE_WEI)
        .min(LanePolicy::default().fee_per_gas_max)
}

/// A quarter more: rollups take a fee for the transaction's bytes on top of its gas.
fn with_margin(cost_max_wei: U256) -> U256 {
    cost_max_wei.saturating_add(cost_max_wei >> 2)
}

/// The funding of an approval, always the same for the same one.
fn funding_id(approval: B256) -> OperationId {
    let mut id = [0; 16];
    id.iter_mut()
        .zip(approval)
        .for_each(|(byte, of_hash)| *byte = of_hash);
    OperationId::from_bytes(id)
}

fn refused(refused: Refused) -> AuthorizeFailure {
    AuthorizeFailure::Refused(permit2::Refused::from(refused).into())
}

fn unknown(error: &ChainError) -> AuthorizeFailure {
    tracing::warn!(%error, "the chain cannot be asked about an approval");
    AuthorizeFailure::Unknown
}
