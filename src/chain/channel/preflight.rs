//! Will a channel carry this payment? One JSON-RPC batch asks everything that decides it.

use super::{ChannelState, reads, states_in};
use crate::chain::bindings::{IEip3009Token, IErc20};
use crate::chain::preflight::{contract_agrees, decode, erc1271, simulated};
use crate::chain::relayer::{is_spent, spent_query};
use crate::chain::rpc::{Answer, call_params};
use crate::chain::{Authorization, ChainError, Head, RevertReason, Rpc};
use alloy::primitives::{Address, B256, Bytes, U256};
use alloy::sol_types::SolCall;

/// What is asked about one channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelQuestion {
    /// The batch-settlement contract.
    pub contract: Address,
    /// The channel.
    pub channel: B256,
    /// Whose tokens fill it.
    pub payer: Address,
    /// Its token.
    pub token: Address,
    /// A voucher that the payer itself signed, who may be a contract (ERC-1271).
    pub voucher: Option<SignedDigest>,
    /// A deposit to come first.
    pub deposit: Option<DepositCall>,
}

/// A hash and a signature of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedDigest {
    /// The EIP-712 hash.
    pub digest: B256,
    /// The signature.
    pub signature: Bytes,
}

/// A signed deposit as the batch-settlement contract takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DepositCall {
    /// The contract's `deposit` call.
    pub calldata: Bytes,
    /// What keeps it once.
    pub authorization: Authorization,
    /// What the payer signed for the token or Permit2.
    pub signed: SignedDigest,
    /// Permit2, where it moves the tokens: its allowance is asked for.
    pub permit2: Option<Address>,
}

/// What the chain says of a channel at its newest block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelPreflight {
    /// The newest block the node knew just before.
    pub head: Head,
    /// The channel's state.
    pub state: ChannelState,
    /// Whether the payer is a contract, or a key that delegates to one (EIP-7702).
    pub payer_has_code: bool,
    /// The payer contract's word on the voucher; `None` without code or voucher.
    pub voucher_valid: Option<bool>,
    /// The payer's own balance of the token in atomic units.
    pub balance: U256,
    /// What is known of the deposit, when there is one.
    pub deposit: Option<DepositPreflight>,
}

/// What the chain says of a deposit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DepositPreflight {
    /// Whether its authorization is spent.
    pub spent: bool,
    /// The payer contract's word on its signature; `None` when the payer has no code.
    pub contract_signature_valid: Option<bool>,
    /// What Permit2 may take of the payer's tokens, in atomic units; `None` by EIP-3009.
    pub allowance: Option<U256>,
    /// Whether it, sent now by the caller, would succeed.
    pub simulation: Result<(), RevertReason>,
}

struct Asked {
    spent: Answer<Bytes>,
    word: Answer<Bytes>,
    allowance: Option<Answer<Bytes>>,
    simulation: Answer<Bytes>,
}

/// Asks all at once: which answers count is decided after, so that there is one round trip.
pub(in crate::chain) async fn run(
    rpc: &Rpc,
    question: &ChannelQuestion,
    caller: Address,
) -> Result<ChannelPreflight, ChainError> {
    let mut batch = rpc.batch();
    let head: Answer<Head> = batch.ask("eth_getBlockByNumber", &("latest", false))?;
    let payer_code: Answer<Bytes> = batch.ask("eth_getCode", &(question.payer, "latest"))?;
    let mut call = |from: Option<Address>, to: Address, data: &Bytes| {
        batch.ask::<_, Bytes>("eth_call", &call_params(from, to, data))
    };
    let state = call(None, question.contract, &reads(&[question.channel]))?;
    let balance_of = IEip3009Token::balanceOfCall {
        account: question.payer,
    };
    let balance = call(None, question.token, &balance_of.abi_encode().into())?;
    let voucher = match &question.voucher {
        Some(signed) => Some(call(None, question.payer, &erc1271(signed))?),
        None => None,
    };
    let deposit = match &question.deposit {
        None => None,
        Some(deposit) => {
            let allowance = deposit.permit2.map(|permit2| {
                let allowance = IErc20::allowanceCall {
                    owner: question.payer,
                    spender: permit2,
                };
                call(None, question.token, &allowance.abi_encode().into())
            });
            let (to, query) = spent_query(deposit.authorization).ok_or_else(|| {
                ChainError::malformed("a deposit whose authorization has no state")
            })?;
            Some(Asked {
                allowance: allowance.transpose()?,
                spent: call(None, to, &query)?,
                word: call(None, question.payer, &erc1271(&deposit.signed))?,
                simulation: call(Some(caller), question.contract, &deposit.calldata)?,
            })
        }
    };
    batch.send().await?;

    let payer_has_code = !payer_code.get().await?.is_empty();
    let state = states_in(&state.get().await?, 1)?;
    let voucher_valid = match voucher {
        Some(word) if payer_has_code => Some(contract_agrees(word.get().await)?),
        _ => None,
    };
    Ok(ChannelPreflight {
        head: head.get().await?,
        state: state.first().copied().unwrap_or_default(),
        payer_has_code,
        voucher_valid,
        balance: decode::<IEip3009Token::balanceOfCall>(&balance.get().await?)?,
        deposit: match (deposit, &question.deposit) {
            (Some(asked), Some(deposit)) => {
                Some(asked.read(deposit.authorization, payer_has_code).await?)
            }
            _ => None,
        },
    })
}

impl Asked {
    async fn read(
        self,
        authorization: Authorization,
        payer_has_code: bool,
    ) -> Result<DepositPreflight, ChainError> {
        let contract_signature_valid = match payer_has_code {
            true => Some(contract_agrees(self.word.get().await)?),
            false => None,
        };
        let allowance = match self.allowance {
            Some(answer) => Some(decode::<IErc20::allowanceCall>(&answer.get().await?)?),
            None => None,
        };
        Ok(DepositPreflight {
            spent: is_spent(authorization, &self.spent.get().await?)?,
            contract_signature_valid,
            allowance,
            simulation: simulated(self.simulation.get().await)?,
        })
    }
}
