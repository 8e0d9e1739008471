//! What the lane sends, and how anything of it gets out: signed, durable, broadcast.

use super::broadcast::{Broadcast, broadcast};
use super::fees::{Fees, gas_limit};
use super::job::{FailReason, LaneEventKind, Outcome, Sent};
use super::lane::Lane;
use super::look::Sky;
use super::policy::Unhealthy;
use super::search::Trace;

use super::work::{Flight, Stage, Try, Work};
use crate::chain::ChainError;
use crate::chain::rpc::call_params;
use alloy::consensus::{SignableTransaction, TxEip1559, TxEnvelope};
use alloy::eips::eip2718::Encodable2718;
use alloy::primitives::{B256, Bytes, TxKind, U64, U256};
use alloy::signers::SignerSync;
use futures::future::join_all;
use tokio::time::Instant;

/// Most jobs simulated again in one round after the chain said no to them.
const DOUBTED_MAX: usize = 32;

/// A signed transaction on its way through the outbox to the node.
pub(super) struct Draft {
    pub(super) seq: u64,
    pub(super) attempt: Try,
}

impl Lane {
    /// Sends jobs that have no live transaction, as many as may fly.
    pub(super) async fn launch(&mut self, sky: &Sky) -> Result<(), ChainError> {
        let room = self
            .policy
            .in_flight_max
            .saturating_sub(self.flying().count());
        // What the chain said no to waits behind the rest: a payer who makes payments fail must not
        // hold up those of others.
        let (sure, doubted): (Vec<_>, Vec<_>) = self
            .works
            .iter()
            .filter(|(_, work)| work.is_fresh())
            .partition(|(_, work)| work.doubted_since.is_none());
        let fresh: Vec<u64> = sure
            .into_iter()
            .take(room)
            .chain(doubted.into_iter().take(room.min(DOUBTED_MAX)))
            .map(|(seq, _)| *seq)
            .collect();
        if fresh.is_empty() {
            return Ok(());
        }
        let mut ready = Vec::new();
        for (seq, estimate) in self.estimates(&fresh).await? {
            if let Some(gas) = self.admit(seq, estimate).await? {
                ready.push((seq, gas));
            }
        }
        let Some(fees) = self.fees(sky) else {
            return Ok(());
        };
        let mut committed: U256 = self
            .flying()
            .filter_map(|(_, work, _)| work.live(self.relayer))
            .map(Try::cost_max)
            .sum();
        let mut nonce = self.next_nonce(sky);
        let mut drafts = Vec::new();
        for (seq, gas) in ready {
            let Some(attempt) = self.sign(seq, nonce, gas, fees) else {
                continue;
            };
            committed = committed.saturating_add(attempt.cost_max());
            if committed > sky.balance {
                self.out_of_gas(sky.balance, committed);
                break;
            }
            drafts.push(Draft { seq, attempt });
            nonce += 1;
        }
        self.send(drafts).await
    }

    /// Simulates the calls of many jobs at once.
    async fn estimates(
        &self,
        seqs: &[u64],
    ) -> Result<Vec<(u64, Result<U64, ChainError>)>, ChainError> {
        let calls: Vec<_> = seqs
            .iter()
            .filter_map(|seq| {
                let job = self.works.get(seq)?.job()?;
                let mut call = call_params(Some(self.relayer), job.to, &job.calldata);
                let coin = job.expect.coin();
                if !coin.is_zero() {
                    call.0["value"] = serde_json::json!(coin);
                }
                Some((*seq, call))
            })
            .collect();
        let params: Vec<_> = calls.iter().map(|(_, params)| params.clone()).collect();
        let answers = self.rpc.many("eth_estimateGas", &params).await?;
        Ok(calls.into_iter().map(|(seq, _)| seq).zip(answers).collect())
    }

    /// The gas limit of a job that may be sent; one that must not be is decided or left waiting.
    async fn admit(
        &mut self,
        seq: u64,
        estimate: Result<U64, ChainError>,
    ) -> Result<Option<u64>, ChainError> {
        let Some(work) = self.works.get(&seq) else {
            return Ok(None);
        };
        let reason = match estimate {
            Ok(estimate) => {
                let gas = gas_limit(estimate.to());
                if gas <= work.gas_limit_max(&self.policy) {
                    return Ok(Some(gas));
                }
                FailReason::GasAboveCap
            }
            Err(ChainError::Reverted(reason)) => FailReason::Simulation(reason),
            Err(unknown) => {
                self.caution = Some(Unhealthy::Node(unknown));
                return Ok(None);
            }
        };
        let Some(job) = work.job().filter(|_| work.is_fresh()).cloned() else {
            return Ok(None);
        };
        let doubted_long = self.is_doubted_long(seq);
        if self.trace(seq, &job).await? != Trace::None {
            return Ok(None);
        }
        // A transaction of another key of ours may still be mined: that is unknown, not failed.
        let foreign = self
            .works
            .get(&seq)
            .is_some_and(|w| w.tries.iter().any(|t| t.sent.relayer != self.relayer));
        if doubted_long && !foreign {
            self.tell(seq, Outcome::Failed(reason)).await;
            self.remove(seq);
        }
        Ok(None)
    }

    /// Makes each draft durable, then broadcasts those that are.
    pub(super) async fn send(&mut self, drafts: Vec<Draft>) -> Result<(), ChainError> {
        if drafts.is_empty() {
            return Ok(());
        }
        let durable = join_all(drafts.iter().map(|draft| {
            let job = self.works.get(&draft.seq).and_then(Work::job);
            let outbox = &self.outbox;
            async move {
                match job {
                    Some(job) => outbox.sent(&job.id, draft.attempt.sent.clone()).await,
                    // A filler moves no money: losing its record loses nothing.
                    None => Ok(()),
                }
            }
        }))
        .await;
        let mut out = Vec::new();
        for (Draft { seq, attempt }, durable) in drafts.into_iter().zip(durable) {
            if let Err(refusal) = durable {
                tracing::error!(relayer = %self.relayer, %refusal, "an intent to send is not durable");
                self.caution = Some(Unhealthy::Outbox);
                continue;
            }
            let Some(work) = self.works.get_mut(&seq) else {
                continue;
            };
            let sent = attempt.sent.clone();
            out.push((seq, attempt.raw().clone()));
            work.stage = Stage::Flying(Flight::new(sent.lane_nonce, self.policy.bump_after));
            work.doubted_since = None;
            work.tries.push(attempt);
            self.moved = true;
            self.emit(seq, LaneEventKind::Sent(sent)).await;
        }
        self.broadcast(out).await
    }

    /// Hands signed transactions to the node; whatever it answers, only the chain decides.
    pub(super) async fn broadcast(&mut self, raws: Vec<(u64, Bytes)>) -> Result<(), ChainError> {
        if raws.is_empty() {
            return Ok(());
        }
        let params: Vec<_> = raws.iter().map(|(_, raw)| (raw.clone(),)).collect();
        let answers = match self
            .rpc
            .many::<_, B256>("eth_sendRawTransaction", &params)
            .await
        {
            Ok(answers) => answers,
            Err(error) => {
                for (seq, _) in raws {
                    if let Some(flight) = self.works.get_mut(&seq).and_then(Work::flight_mut) {
                        flight.resend.hurry();
                    }
                }
                return Err(error);
            }
        };
        for ((seq, _), answer) in raws.into_iter().zip(answers) {
            self.heard(seq, &answer);
        }
        Ok(())
    }

    fn heard(&mut self, seq: u64, answer: &Result<B256, ChainError>) {
        let Some(work) = self.works.get_mut(&seq) else {
            return;
        };
        let cost = work.live(self.relayer).map(Try::cost_max);
        let Some(flight) = work.flight_mut() else {
            return;
        };
        match broadcast(answer) {
            Broadcast::Known => {}
            Broadcast::NonceTooLow => {
                flight.too_low = true;
                let used = flight.nonce.saturating_add(1);
                self.nonce_floor = Some(self.nonce_floor.map_or(used, |floor| floor.max(used)));
            }
            Broadcast::Underpriced => flight.bump_at = Instant::now(),
            Broadcast::OutOfGas => {
                let needed = cost.unwrap_or_default();
                self.out_of_gas(self.balance, needed);
            }
            Broadcast::Unknown => {
                if let Err(error) = answer {
                    tracing::warn!(relayer = %self.relayer, %error, "a broadcast is unanswered");
                }
            }
        }
    }

    /// The next nonce: above everything the chain counts and everything of ours that is not decided.
    fn next_nonce(&self, sky: &Sky) -> u64 {
        let above_flights = self.flying().map(|(.., nonce)| nonce.saturating_add(1));
        above_flights
            .chain([sky.mined, self.nonce_floor.unwrap_or(0)])
            .max()
            .unwrap_or(sky.mined)
    }

    pub(super) fn fees(&mut self, sky: &Sky) -> Option<Fees> {
        let cap = self.policy.fee_per_gas_max;
        match Fees::suggest(sky.head.base_fee(), sky.tip, cap) {
            Ok(fees) => Some(fees),
            Err(asked) => {
                self.fee_above_cap(asked);
                None
            }
        }
    }

    pub(super) fn sign(&self, seq: u64, nonce: u64, gas: u64, fees: Fees) -> Option<Try> {
        let (to, input, value) = match self.works.get(&seq)?.job() {
            Some(job) => (job.to, job.calldata.clone(), job.expect.coin()),
            None => (self.relayer, Bytes::new(), U256::ZERO),
        };
        let transaction = TxEip1559 {
            chain_id: self.rpc.chain_id(),
            nonce,
            gas_limit: gas,
            max_fee_per_gas: fees.max_fee,
            max_priority_fee_per_gas: fees.tip,
            to: TxKind::Call(to),
            value,
            input,
            ..TxEip1559::default()
        };
        // A key in memory does not fail to sign; if it ever did, the job would wait.
        let signature = self
            .key
            .sign_hash_sync(&transaction.signature_hash())
            .ok()?;
        let envelope = TxEnvelope::from(transaction.into_signed(signature));
        let sent = Sent {
            relayer: self.relayer,
            lane_nonce: nonce,
            transaction: *envelope.tx_hash(),
            raw_transaction: envelope.encoded_2718().into(),
        };
        Some(Try {
            sent,
            fees,
            gas,
            value,
        })
    }

    fn out_of_gas(&mut self, balance: U256, needed: U256) {
        self.caution = Some(Unhealthy::OutOfGas {
            relayer: self.relayer,
            balance,
            needed,
        });
    }

    pub(super) fn fee_above_cap(&mut self, asked: u128) {
        self.caution = Some(Unhealthy::FeeAboveCap {
            asked,
            allowed: self.policy.fee_per_gas_max,
        });
    }
}
