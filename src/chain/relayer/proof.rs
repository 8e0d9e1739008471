//! What proves that a job was done, and what keeps it from being done twice.

use super::job::FailReason;
use crate::chain::bindings::{IBatchSettlement, IEip3009Token, IPermit2};
use crate::chain::preflight::decode;
use crate::chain::{ChainError, Receipt};
use alloy::primitives::{Address, B256, Bytes, U256};
use alloy::rpc::types::Log;
use alloy::sol_types::{SolCall, SolEvent};

/// What must be in the receipt: a success status alone proves nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expect {
    /// The token's own `Transfer` event with exactly these parties and value.
    Transfer {
        /// The token that must emit it.
        asset: Address,
        /// The payer.
        from: Address,
        /// The payee.
        to: Address,
        /// The amount in atomic units.
        value: U256,
    },
    /// Every one of these logs; an empty list is never there.
    Logs(Vec<ExpectedLog>),
    /// That so much of the chain's own coin was sent along: it leaves no log, so success is all
    /// there is to see.
    Coin {
        /// The amount in wei.
        wei: U256,
    },
}

/// A log by its emitter and its first topics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpectedLog {
    /// The contract that must emit it.
    pub emitter: Address,
    /// The event's signature hash, and as many of its indexed words as matter.
    pub topics: Vec<B256>,
}

/// What was signed, or is otherwise true, that keeps a job from happening twice.
///
/// A job without one is kept to once only by the nonce of the key that sends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authorization {
    /// An EIP-3009 authorization: the token executes it once, and logs by its nonce whoever does so.
    Eip3009 {
        /// The token.
        asset: Address,
        /// Its signer.
        from: Address,
        /// Its nonce, unrelated to any transaction's.
        nonce: B256,
    },
    /// A Permit2 signature transfer: Permit2 spends its nonce once, and logs nothing.
    ///
    /// A stranger's execution is a direct call of the job's contract that spends the job's permit and
    /// emitted what the job expects. A nonce that was spent without one paid nothing.
    Permit2 {
        /// Permit2.
        permit2: Address,
        /// Its signer.
        owner: Address,
        /// Its nonce, in no order.
        nonce: U256,
        /// A block at which the nonce was not spent.
        after_block: u64,
    },
    /// Nothing was signed for once only, but the contract's own state makes a second time harmless:
    /// a claim up to a total, a settlement of what is due, a refund by its nonce.
    ///
    /// Sent anew under any nonce of ours. Whoever brought the expected logs about in a later block
    /// than this did the job.
    Repeatable {
        /// A block at which the job was still to be done.
        after_block: u64,
    },
}

impl Expect {
    /// That a channel was filled; the transaction's call says by how much.
    pub fn deposited(contract: Address, channel: B256) -> Self {
        Self::Logs(vec![ExpectedLog::of::<IBatchSettlement::Deposited>(
            contract,
            [channel],
        )])
    }

    /// That the claimed total of each of these channels rose, all in one transaction.
    ///
    /// A row whose total is claimed already emits nothing: leave it out.
    pub fn claimed(contract: Address, channels: impl IntoIterator<Item = B256>) -> Self {
        let logs = channels
            .into_iter()
            .map(|channel| ExpectedLog::of::<IBatchSettlement::Claimed>(contract, [channel]));
        Self::Logs(logs.collect())
    }

    /// That what was claimed for a receiver was paid to it.
    pub fn settled(contract: Address, receiver: Address, token: Address) -> Self {
        Self::Logs(vec![ExpectedLog::of::<IBatchSettlement::Settled>(
            contract,
            [receiver.into_word(), token.into_word()],
        )])
    }

    /// That a channel was refunded.
    pub fn refunded(contract: Address, channel: B256) -> Self {
        Self::Logs(vec![ExpectedLog::of::<IBatchSettlement::Refunded>(
            contract,
            [channel],
        )])
    }

    /// Whether these logs hold all that is expected.
    pub fn is_met(&self, logs: &[Log]) -> bool {
        match self {
            Self::Transfer { .. } => logs.iter().any(|log| self.is_met_by(log)),
            Self::Logs(expected) => {
                let there = |e: &ExpectedLog| logs.iter().any(|log| e.is(log));
                !expected.is_empty() && expected.iter().all(there)
            }
            Self::Coin { .. } => true,
        }
    }

    /// Why a job failed whose transaction succeeded without this.
    pub(super) fn missing(&self) -> FailReason {
        match self {
            Self::Transfer { .. } => FailReason::TransferEventMismatch,
            Self::Logs(_) | Self::Coin { .. } => FailReason::EventMissing,
        }
    }

    /// How much of the chain's own coin goes along, in wei.
    pub(super) fn coin(&self) -> U256 {
        match self {
            Self::Coin { wei } => *wei,
            Self::Transfer { .. } | Self::Logs(_) => U256::ZERO,
        }
    }

    /// The contract and topics by which a transaction that did the job is searched; none for an
    /// empty list.
    pub(super) fn trail(&self) -> Option<(Address, Vec<Vec<B256>>)> {
        match self {
            Self::Transfer {
                asset, from, to, ..
            } => {
                let event = IEip3009Token::Transfer::SIGNATURE_HASH;
                let topics = [event, from.into_word(), to.into_word()];
                Some((
                    *asset,
                    topics.into_iter().map(|topic| vec![topic]).collect(),
                ))
            }
            Self::Logs(expected) => {
                let first = expected.first()?;
                let topics = first.topics.iter().map(|topic| vec![*topic]).collect();
                Some((first.emitter, topics))
            }
            Self::Coin { .. } => None,
        }
    }

    /// Whether a log on the trail may belong to the job.
    pub(super) fn is_met_by(&self, log: &Log) -> bool {
        match self {
            Self::Transfer {
                asset,
                from,
                to,
                value,
            } => {
                log.address() == *asset
                    && IEip3009Token::Transfer::decode_log(&log.inner).is_ok_and(|event| {
                        event.from == *from && event.to == *to && event.value == *value
                    })
            }
            Self::Logs(expected) => expected.first().is_some_and(|first| first.is(log)),
            Self::Coin { .. } => false,
        }
    }
}

impl ExpectedLog {
    /// An event of a contract with these first indexed words.
    pub fn of<E: SolEvent>(emitter: Address, indexed: impl IntoIterator<Item = B256>) -> Self {
        let topics = [E::SIGNATURE_HASH].into_iter().chain(indexed).collect();
        Self { emitter, topics }
    }

    fn is(&self, log: &Log) -> bool {
        log.address() == self.emitter && log.topics().starts_with(&self.topics)
    }
}

/// What a mined transaction did for a job. Ordered: the later counts when several are mined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verdict {
    /// It reverted: nothing happened by it.
    Reverted,
    /// It succeeded, but what it was sent for is not in its logs.
    Quiet,
    /// It did the job.
    Done,
}

/// Success is the status *and* the contracts' own events.
pub(super) fn judge(receipt: &Receipt, expect: &Expect) -> Verdict {
    if !receipt.is_success() {
        Verdict::Reverted
    } else if expect.is_met(receipt.logs()) {
        Verdict::Done
    } else {
        Verdict::Quiet
    }
}

/// The read that says whether an authorization is spent; none for one without a state of its own.
pub(in crate::chain) fn spent_query(authorization: Authorization) -> Option<(Address, Bytes)> {
    match authorization {
        Authorization::Eip3009 { asset, from, nonce } => {
            let call = IEip3009Token::authorizationStateCall {
                authorizer: from,
                nonce,
            };
            Some((asset, call.abi_encode().into()))
        }
        Authorization::Permit2 {
            permit2,
            owner,
            nonce,
            ..
        } => {
            let word = nonce >> 8;
            let call = IPermit2::nonceBitmapCall { owner, word };
            Some((permit2, call.abi_encode().into()))
        }
        Authorization::Repeatable { .. } => None,
    }
}

/// What the answer to [`spent_query`] says.
pub(in crate::chain) fn is_spent(
    authorization: Authorization,
    answer: &Bytes,
) -> Result<bool, ChainError> {
    match authorization {
        Authorization::Eip3009 { .. } => decode::<IEip3009Token::authorizationStateCall>(answer),
        Authorization::Permit2 { nonce, .. } => {
            let bits = decode::<IPermit2::nonceBitmapCall>(answer)?;
            Ok(bits.bit(usize::from(nonce.byte(0))))
        }
        Authorization::Repeatable { .. } => Ok(false),
    }
}
