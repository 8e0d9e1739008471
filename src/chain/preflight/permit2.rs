//! Will this payment by Permit2 settle? One JSON-RPC batch asks everything that decides it.

use super::{contract_agrees, decode, erc1271, simulated};
use crate::chain::bindings::{
    Eip2612Permit, ExactWitness, IEip2612, IEip3009Token, IErc20, IExactPermit2Proxy, IPermit2,
    IUptoPermit2Proxy, PermitTransferFrom, TokenPermissions, UptoWitness,
};
use crate::chain::channel::SignedDigest;
use crate::chain::rpc::{Answer, call_params};
use crate::chain::{ChainError, Head, RevertReason, Rpc};
use alloy::primitives::{Address, B256, Bytes, U256};
use alloy::sol_types::SolCall;

/// A signed payment by Permit2 (x402 `exact`, method `permit2`, and `upto`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PermitTransfer {
    /// Permit2.
    pub permit2: Address,
    /// The proxy of the scheme, which is the permit's spender.
    pub proxy: Address,
    /// The token contract.
    pub asset: Address,
    /// The payer.
    pub owner: Address,
    /// The payee.
    pub to: Address,
    /// The permitted amount in atomic units: what `exact` moves, and the most that `upto` does.
    pub amount: U256,
    /// The permit's nonce, in no order.
    pub nonce: U256,
    /// The last second of its validity, since 1970.
    pub deadline: U256,
    /// The first second of its validity, since 1970.
    pub valid_after: U256,
    /// Who alone may settle by `upto`; `None` is `exact`.
    pub facilitator: Option<Address>,
    /// The payer's signature as Permit2 takes it.
    pub signature: Bytes,
    /// The EIP-712 hash that was signed: what a contract payer is asked about (ERC-1271).
    pub digest: B256,
    /// An allowance for Permit2 that the payer signed with it (x402 `eip2612GasSponsoring`).
    pub permit2612: Option<Eip2612Permit>,
}

impl PermitTransfer {
    /// The proxy's call that moves `amount`, which for `exact` is the permitted amount whatever is said.
    pub fn calldata(&self, amount: U256) -> Bytes {
        let permit = PermitTransferFrom {
            permitted: TokenPermissions {
                token: self.asset,
                amount: self.amount,
            },
            nonce: self.nonce,
            deadline: self.deadline,
        };
        match self.facilitator {
            None => self.exact_call(permit),
            Some(facilitator) => self.upto_call(permit, facilitator, amount),
        }
        .into()
    }

    fn exact_call(&self, permit: PermitTransferFrom) -> Vec<u8> {
        let (owner, signature) = (self.owner, self.signature.clone());
        let witness = ExactWitness {
            to: self.to,
            validAfter: self.valid_after,
        };
        match self.permit2612.clone() {
            None => IExactPermit2Proxy::settleCall {
                permit,
                owner,
                witness,
                signature,
            }
            .abi_encode(),
            Some(permit2612) => IExactPermit2Proxy::settleWithPermitCall {
                permit2612,
                permit,
                owner,
                witness,
                signature,
            }
            .abi_encode(),
        }
    }

    fn upto_call(&self, permit: PermitTransferFrom, facilitator: Address, amount: U256) -> Vec<u8> {
        let (owner, signature) = (self.owner, self.signature.clone());
        let witness = UptoWitness {
            to: self.to,
            facilitator,
            validAfter: self.valid_after,
        };
        match self.permit2612.clone() {
            None => IUptoPermit2Proxy::settleCall {
                permit,
                amount,
                owner,
                witness,
                signature,
            }
            .abi_encode(),
            Some(permit2612) => IUptoPermit2Proxy::settleWithPermitCall {
                permit2612,
                permit,
                amount,
                owner,
                witness,
                signature,
            }
            .abi_encode(),
        }
    }
}

/// What the chain says of a [`PermitTransfer`] at its newest block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PermitPreflight {
    /// The newest block the node knew just before: the nonce was as it says after that.
    pub head: Head,
    /// Whether there is a contract at the asset's address; believed for 15 minutes.
    pub asset_has_code: bool,
    /// The same for the scheme's proxy.
    pub proxy_has_code: bool,
    /// The same for Permit2.
    pub permit2_has_code: bool,
    /// Whether the payer is a contract, or a key that delegates to one (EIP-7702).
    pub payer_has_code: bool,
    /// The payer contract's word on the signature (ERC-1271); `None` when the payer has no code.
    pub contract_signature_valid: Option<bool>,
    /// The payer's balance in atomic units; zero when the asset is no token.
    pub balance: U256,
    /// What Permit2 may take of the payer's tokens, in atomic units.
    pub allowance: U256,
    /// Whether the permit's nonce was spent or withdrawn.
    pub nonce_used: bool,
    /// The nonce of the payer's next EIP-2612 permit; `None` from a token without.
    pub eip2612_nonce: Option<U256>,
    /// Whether the whole permitted amount, settled now by the caller, would be moved.
    pub simulation: Result<(), RevertReason>,
}

/// Asks all at once: which answers count is decided after, so that there is one round trip.
pub(in crate::chain) async fn run(
    rpc: &Rpc,
    payment: &PermitTransfer,
    caller: Address,
) -> Result<PermitPreflight, ChainError> {
    let owner = payment.owner;
    let contracts = [payment.asset, payment.proxy, payment.permit2];
    let mut batch = rpc.batch();
    let head: Answer<Head> = batch.ask("eth_getBlockByNumber", &("latest", false))?;
    let payer_code: Answer<Bytes> = batch.ask("eth_getCode", &(owner, "latest"))?;
    let mut codes: Vec<Option<Answer<Bytes>>> = Vec::with_capacity(contracts.len());
    for contract in contracts {
        codes.push(match rpc.code_known(contract) {
            true => None,
            false => Some(batch.ask("eth_getCode", &(contract, "latest"))?),
        });
    }
    let mut call = |from: Option<Address>, to: Address, data: Vec<u8>| {
        batch.ask::<_, Bytes>("eth_call", &call_params(from, to, &data.into()))
    };
    let balance_of = IEip3009Token::balanceOfCall { account: owner };
    let balance = call(None, payment.asset, balance_of.abi_encode())?;
    let allowance = IErc20::allowanceCall {
        owner,
        spender: payment.permit2,
    };
    let allowance = call(None, payment.asset, allowance.abi_encode())?;
    let nonces = IEip2612::noncesCall { owner };
    let eip2612_nonce = call(None, payment.asset, nonces.abi_encode())?;
    let word = payment.nonce >> 8;
    let bitmap = IPermit2::nonceBitmapCall { owner, word };
    let bitmap = call(None, payment.permit2, bitmap.abi_encode())?;
    let signed = SignedDigest {
        digest: payment.digest,
        signature: payment.signature.clone(),
    };
    let contract_word = call(None, owner, erc1271(&signed).to_vec())?;
    let settle = payment.calldata(payment.amount).to_vec();
    let simulation = call(Some(caller), payment.proxy, settle)?;
    batch.send().await?;

    let mut has_code = [true; 3];
    for ((known, contract), answer) in has_code.iter_mut().zip(contracts).zip(codes) {
        if let Some(code) = answer {
            *known = !code.get().await?.is_empty();
        }
        if *known {
            rpc.remember_code(contract);
        }
    }
    let [asset_has_code, proxy_has_code, permit2_has_code] = has_code;
    let payer_has_code = !payer_code.get().await?.is_empty();
    let eip2612_nonce = match eip2612_nonce.get().await {
        Ok(answer) => decode::<IEip2612::noncesCall>(&answer).ok(),
        Err(ChainError::Reverted(_)) => None,
        Err(unknown) => return Err(unknown),
    };
    let (balance, allowance) = match asset_has_code {
        true => (
            decode::<IEip3009Token::balanceOfCall>(&balance.get().await?)?,
            decode::<IErc20::allowanceCall>(&allowance.get().await?)?,
        ),
        false => (U256::ZERO, U256::ZERO),
    };
    let nonce_used = match permit2_has_code {
        true => decode::<IPermit2::nonceBitmapCall>(&bitmap.get().await?)?
            .bit(usize::from(payment.nonce.byte(0))),
        false => false,
    };
    let missing = || Err(RevertReason::new("a contract has no code", Bytes::new()));
    Ok(PermitPreflight {
        head: head.get().await?,
        asset_has_code,
        proxy_has_code,
        permit2_has_code,
        payer_has_code,
        contract_signature_valid: match payer_has_code {
            true => Some(contract_agrees(contract_word.get().await)?),
            false => None,
        },
        balance,
        allowance,
        nonce_used,
        eip2612_nonce,
        // A call of nothing succeeds.
        simulation: match has_code.contains(&false) {
            true => missing(),
            false => simulated(simulation.get().await)?,
        },
    })
}
