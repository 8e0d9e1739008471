//! The x402 extension `erc20ApprovalGasSponsoring`: with the payment comes the payer's own signed
//! `approve` transaction that lets Permit2 move its tokens, for whoever settles to broadcast, and
//! to pay the gas of if the payer cannot. It is for tokens without EIP-2612.

use super::{TokenPermissions, typed};
use crate::protocol::x402::Extensions;
use crate::protocol::{Network, fields};
use alloy::consensus::transaction::SignerRecoverable as _;
use alloy::consensus::{Transaction as _, TxEnvelope};
use alloy::eips::eip2718::Decodable2718 as _;
use alloy::primitives::{Address, B256, U256};
use alloy::sol_types::SolCall as _;
use serde_json::{Value, json};

/// The extension's key in `extensions`.
pub const KEY: &str = "erc20ApprovalGasSponsoring";

/// The longest transaction read, in bytes; an `approve` takes fewer than 200.
const TRANSACTION_BYTES_MAX: usize = 1 << 10;

/// Why an approval transaction was refused; [`Refused::reason`] is the string the x402 SDKs use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// A member is missing or not of its form.
    #[error(
        "The approval is not of its form. Send from, asset, spender, amount, signedTransaction and version."
    )]
    Format,
    /// The approval is another owner's.
    #[error("The approval is not the payer's. Send one with `from` = the payment's from.")]
    From,
    /// The approval is for another token.
    #[error("The approval is for another token than the payment. Approve the offer's asset.")]
    Asset,
    /// The approval does not name Permit2 as spender.
    #[error("The approval's spender is not Permit2. Approve the Permit2 contract.")]
    Spender,
    /// The transaction cannot be read, or is of a kind that an approval has no use for.
    #[error(
        "The approval transaction cannot be read. Send a signed transaction of type 2 (EIP-1559), 1 or 0."
    )]
    Parse,
    /// The transaction calls another contract than the token.
    #[error(
        "The approval transaction calls another contract than the token. Send it to the offer's asset."
    )]
    Target,
    /// The transaction does not call `approve`.
    #[error("The approval transaction does not call approve(address,uint256).")]
    Selector,
    /// The transaction approves another spender.
    #[error("The approval transaction approves another spender than Permit2.")]
    CalldataSpender,
    /// The call's arguments are not an address and an amount that suffices.
    #[error(
        "The approval transaction's call is not exactly approve(Permit2, amount) with at least the payment's amount."
    )]
    Calldata,
    /// The transaction sends coins along.
    #[error("The approval transaction sends coins along. Sign it with value 0.")]
    Value,
    /// The transaction is for another chain, or for every chain.
    #[error(
        "The approval transaction is not signed for the offer's chain. Sign it with its chain id."
    )]
    Chain,
    /// No key can have made the transaction's signature.
    #[error("The approval transaction's signature is not valid. Sign it anew.")]
    Signature,
    /// Another key than the payer's signed the transaction.
    #[error("The approval transaction is not signed by the payer.")]
    Signer,
    /// The transaction could not be broadcast.
    #[error(
        "The approval transaction could not be broadcast. Check its nonce and fees, and sign a new one."
    )]
    Broadcast,
    /// The transaction was mined and failed.
    #[error("The approval transaction failed on chain. Approve Permit2 yourself.")]
    Failed,
}

impl Refused {
    /// The machine-readable reason: the x402 SDKs' own, or the nearest of them.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Format => "invalid_erc20_approval_extension_format",
            Self::From => "erc20_approval_from_mismatch",
            Self::Asset => "erc20_approval_asset_mismatch",
            Self::Spender => "erc20_approval_spender_not_permit2",
            Self::Parse => "erc20_approval_tx_parse_failed",
            Self::Target => "erc20_approval_tx_wrong_target",
            Self::Selector => "erc20_approval_tx_wrong_selector",
            Self::CalldataSpender => "erc20_approval_tx_wrong_spender",
            Self::Calldata | Self::Value => "erc20_approval_tx_invalid_calldata",
            Self::Chain | Self::Signature => "erc20_approval_tx_invalid_signature",
            Self::Signer => "erc20_approval_tx_signer_mismatch",
            Self::Broadcast => "erc20_approval_broadcast_failed",
            Self::Failed => "erc20_approval_tx_failed",
        }
    }
}

/// An approval as the client sends it, decoded but not yet checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    /// The owner of the tokens.
    pub from: Address,
    /// The token contract.
    pub asset: Address,
    /// Who is approved: Permit2.
    pub spender: Address,
    /// The signed transaction's bytes (EIP-2718).
    pub transaction: Vec<u8>,
}

/// What a checked approval transaction is and may cost; it moves no coins but for its gas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transaction {
    /// The transaction's hash.
    pub hash: B256,
    /// The payer's account nonce.
    pub nonce: u64,
    /// The most gas it takes.
    pub gas_limit: u64,
    /// The most it pays for a unit of gas, in wei.
    pub max_fee_per_gas_wei: u128,
    /// How much Permit2 may move afterwards, in the token's atomic units.
    pub approved: U256,
}

impl Transaction {
    /// The most the transaction can cost its sender, in wei.
    pub fn cost_max_wei(&self) -> U256 {
        U256::from(self.gas_limit).saturating_mul(U256::from(self.max_fee_per_gas_wei))
    }
}

/// What a challenge advertises; clients echo all of it, so the schema is kept short.
pub fn advert() -> Value {
    json!({
        "info": {
            "description": "A signed approve transaction for Permit2 is taken with the payment and broadcast.",
            "version": "1",
        },
        "schema": {
            "type": "object",
            "required": ["from", "asset", "spender", "amount", "signedTransaction", "version"],
        },
    })
}

/// The approval in a payment's echoed extensions; none when the client only echoed what was
/// advertised, and an error when what it added is not of its form.
pub fn extract(extensions: &Extensions) -> Result<Option<Approval>, Refused> {
    let info = extensions.get(KEY).and_then(|e| e.get("info"));
    info.filter(|info| info.get("signedTransaction").is_some_and(|t| !t.is_null()))
        .map(|info| read(info).ok_or(Refused::Format))
        .transpose()
}

fn read(info: &Value) -> Option<Approval> {
    let text = |key: &str| info.get(key)?.as_str();
    let address = |key| fields::fixed(text(key)?, 42);
    text("version").filter(|v| fields::is_version(v))?;
    fields::decimal(text("amount")?)?;
    Some(Approval {
        from: address("from")?,
        asset: address("asset")?,
        spender: address("spender")?,
        transaction: fields::bytes(text("signedTransaction")?, TRANSACTION_BYTES_MAX)?,
    })
}

/// Holds the approval and its transaction against the payment it comes with; costs one recovery.
/// What its gas may cost is for the caller to cap.
pub fn check(
    approval: &Approval,
    owner: Address,
    permitted: &TokenPermissions,
    permit2: Address,
    network: Network,
) -> Result<Transaction, Refused> {
    if approval.from != owner {
        return Err(Refused::From);
    }
    if approval.asset != permitted.token {
        return Err(Refused::Asset);
    }
    if approval.spender != permit2 {
        return Err(Refused::Spender);
    }
    let transaction = TxEnvelope::decode_2718_exact(&approval.transaction)
        .ok()
        .filter(|tx| tx.is_legacy() || tx.is_eip2930() || tx.is_eip1559())
        .ok_or(Refused::Parse)?;
    if transaction.to() != Some(permitted.token) {
        return Err(Refused::Target);
    }
    let approved = approved(transaction.input(), permit2)?;
    if approved < permitted.amount {
        return Err(Refused::Calldata);
    }
    if !transaction.value().is_zero() {
        return Err(Refused::Value);
    }
    if transaction.chain_id() != Some(network.chain_id()) {
        return Err(Refused::Chain);
    }
    match transaction.recover_signer() {
        Ok(signer) if signer == owner => {}
        Ok(_) => return Err(Refused::Signer),
        Err(_) => return Err(Refused::Signature),
    }
    Ok(Transaction {
        hash: *transaction.tx_hash(),
        nonce: transaction.nonce(),
        gas_limit: transaction.gas_limit(),
        max_fee_per_gas_wei: transaction.max_fee_per_gas(),
        approved,
    })
}

/// The amount that `calldata` approves for Permit2.
fn approved(calldata: &[u8], permit2: Address) -> Result<U256, Refused> {
    use typed::token::approveCall as Approve;
    if !calldata.starts_with(&Approve::SELECTOR) {
        return Err(Refused::Selector);
    }
    let call = Approve::abi_decode_validate(calldata).map_err(|_| Refused::Calldata)?;
    if call.spender != permit2 {
        return Err(Refused::CalldataSpender);
    }
    // Nothing may stand behind the arguments either.
    let exact = call.abi_encode() == calldata;
    exact.then_some(call.amount).ok_or(Refused::Calldata)
}

#[cfg(test)]
mod tests;
