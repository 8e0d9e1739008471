//! Will this signed transfer settle? One JSON-RPC batch asks everything that decides it.

pub(super) mod permit2;

use super::bindings::{ERC1271_MAGIC, IEip3009Token, IErc1271};
use super::channel::SignedDigest;
use super::rpc::{Answer, Rpc, call_params};
use super::{ChainError, RevertReason};
use alloy::primitives::{Address, B256, Bytes, FixedBytes, U256};
use alloy::sol_types::SolCall;

/// A signed EIP-3009 transfer (x402 `exact`, method `eip3009`; EIP-3009 `TransferWithAuthorization`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transfer {
    /// The token contract.
    pub asset: Address,
    /// The payer.
    pub from: Address,
    /// The payee.
    pub to: Address,
    /// The amount in atomic units.
    pub value: U256,
    /// The authorization is valid after this time, in seconds since 1970.
    pub valid_after: U256,
    /// The authorization is valid before this time, in seconds since 1970.
    pub valid_before: U256,
    /// The authorization's own nonce.
    pub nonce: B256,
    /// The payer's signature: 65 bytes by a key, any length by a contract.
    pub signature: Bytes,
    /// The EIP-712 hash that was signed: what a contract payer is asked about (ERC-1271).
    pub digest: B256,
}

impl Transfer {
    /// The settling call: the `v, r, s` form for a key's 65 bytes, else the bytes form.
    pub fn calldata(&self, payer_has_code: bool) -> Bytes {
        match split_signature(&self.signature) {
            Some(parts) if !payer_has_code => self.key_form(parts),
            _ => self.bytes_form(),
        }
    }

    fn key_form(&self, (v, r, s): (u8, B256, B256)) -> Bytes {
        IEip3009Token::transferWithAuthorization_0Call {
            from: self.from,
            to: self.to,
            value: self.value,
            validAfter: self.valid_after,
            validBefore: self.valid_before,
            nonce: self.nonce,
            v,
            r,
            s,
        }
        .abi_encode()
        .into()
    }

    fn bytes_form(&self) -> Bytes {
        IEip3009Token::transferWithAuthorization_1Call {
            from: self.from,
            to: self.to,
            value: self.value,
            validAfter: self.valid_after,
            validBefore: self.valid_before,
            nonce: self.nonce,
            signature: self.signature.clone(),
        }
        .abi_encode()
        .into()
    }
}

/// What the chain says of a [`Transfer`] at its newest block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preflight {
    /// Whether the payer is a contract, or a key that delegates to one (EIP-7702).
    pub payer_has_code: bool,
    /// The payer's balance in atomic units; zero when the asset is no token.
    pub balance: U256,
    /// Whether the authorization's nonce was used or called off.
    pub nonce_used: bool,
    /// Whether there is a contract at the asset's address; believed for 15 minutes.
    pub asset_has_code: bool,
    /// The payer contract's word on the signature (ERC-1271); `None` when the payer has no code.
    pub contract_signature_valid: Option<bool>,
    /// Whether the transfer, sent now by the caller, would succeed.
    pub simulation: Result<(), RevertReason>,
}

/// Asks all at once: which answers count is decided after, so that there is one round trip.
pub(super) async fn run(
    rpc: &Rpc,
    transfer: &Transfer,
    caller: Address,
) -> Result<Preflight, ChainError> {
    let asset = transfer.asset;
    let balance_of = IEip3009Token::balanceOfCall {
        account: transfer.from,
    };
    let state = IEip3009Token::authorizationStateCall {
        authorizer: transfer.from,
        nonce: transfer.nonce,
    };
    let is_valid = erc1271(&SignedDigest {
        digest: transfer.digest,
        signature: transfer.signature.clone(),
    });
    let key_form = split_signature(&transfer.signature).map(|parts| transfer.key_form(parts));

    let mut batch = rpc.batch();
    let payer_code: Answer<Bytes> = batch.ask("eth_getCode", &(transfer.from, "latest"))?;
    let asset_code: Option<Answer<Bytes>> = if rpc.code_known(asset) {
        None
    } else {
        Some(batch.ask("eth_getCode", &(asset, "latest"))?)
    };
    let mut call = |from: Option<Address>, to: Address, data: Vec<u8>| {
        batch.ask::<_, Bytes>("eth_call", &call_params(from, to, &data.into()))
    };
    let balance = call(None, asset, balance_of.abi_encode())?;
    let used = call(None, asset, state.abi_encode())?;
    let contract_word = call(None, transfer.from, is_valid.to_vec())?;
    let bytes_form = call(Some(caller), asset, transfer.bytes_form().to_vec())?;
    let key_form = match key_form {
        Some(data) => Some(call(Some(caller), asset, data.to_vec())?),
        None => None,
    };
    batch.send().await?;

    let payer_has_code = !payer_code.get().await?.is_empty();
    let asset_has_code = match asset_code {
        Some(code) => !code.get().await?.is_empty(),
        None => true,
    };
    if !asset_has_code {
        return Ok(Preflight {
            payer_has_code,
            balance: U256::ZERO,
            nonce_used: false,
            asset_has_code,
            contract_signature_valid: None,
            simulation: Err(RevertReason::new("the asset has no code", Bytes::new())),
        });
    }
    rpc.remember_code(asset);
    let simulation = match key_form {
        Some(answer) if !payer_has_code => answer.get().await,
        _ => bytes_form.get().await,
    };
    Ok(Preflight {
        payer_has_code,
        balance: decode::<IEip3009Token::balanceOfCall>(&balance.get().await?)?,
        nonce_used: decode::<IEip3009Token::authorizationStateCall>(&used.get().await?)?,
        asset_has_code,
        contract_signature_valid: if payer_has_code {
            Some(contract_agrees(contract_word.get().await)?)
        } else {
            None
        },
        simulation: simulated(simulation)?,
    })
}

/// Reads a contract's answer; one that does not decode is no answer.
pub(super) fn decode<C: SolCall>(answer: &Bytes) -> Result<C::Return, ChainError> {
    C::abi_decode_returns(answer).map_err(ChainError::malformed)
}

/// The question whether a contract signed this.
pub(super) fn erc1271(signed: &SignedDigest) -> Bytes {
    IErc1271::isValidSignatureCall {
        hash: signed.digest,
        signature: signed.signature.clone(),
    }
    .abi_encode()
    .into()
}

/// A simulation's result; an answer that is neither is unknown.
pub(super) fn simulated(
    answer: Result<Bytes, ChainError>,
) -> Result<Result<(), RevertReason>, ChainError> {
    match answer {
        Ok(_) => Ok(Ok(())),
        Err(ChainError::Reverted(reason)) => Ok(Err(reason)),
        Err(unknown) => Err(unknown),
    }
}

/// A payer contract without ERC-1271, or one that reverts, has not signed: there is no fallback.
pub(super) fn contract_agrees(answer: Result<Bytes, ChainError>) -> Result<bool, ChainError> {
    match answer {
        Ok(word) => Ok(decode::<IErc1271::isValidSignatureCall>(&word)
            .is_ok_and(|magic| magic == FixedBytes(ERC1271_MAGIC))),
        Err(ChainError::Reverted(_)) => Ok(false),
        Err(unknown) => Err(unknown),
    }
}

/// The `(v, r, s)` of a 65-byte signature; `v` of 0 and 1 becomes 27 and 28, as the tokens want it.
fn split_signature(signature: &[u8]) -> Option<(u8, B256, B256)> {
    let (r, rest) = signature.split_first_chunk::<32>()?;
    let (s, rest) = rest.split_first_chunk::<32>()?;
    match rest {
        [v @ (0 | 1)] => Some((v + 27, B256::from(r), B256::from(s))),
        [v] => Some((*v, B256::from(r), B256::from(s))),
        _ => None,
    }
}
