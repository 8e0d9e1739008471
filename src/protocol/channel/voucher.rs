use super::config::{ChannelConfig, Domain};
use super::refused::Refused;
use super::typed;
use crate::money::Units;
use crate::protocol::eip712::struct_hash;
use crate::protocol::eip3009::Proof;
use crate::protocol::signature::{EcdsaSignature, Key, SignatureKind};
use alloy::primitives::{Address, B256, U256};
use alloy::sol_types::SolStruct;

/// The payer's word that up to `max_claimable` of a channel may be claimed, counted from the
/// channel's beginning. Each one stands for all before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Voucher {
    /// The channel.
    pub channel_id: B256,
    /// The ceiling of all claims together, in the token's atomic units (uint128).
    pub max_claimable: Units,
    /// The signature's bytes, of any length, as contracts take it.
    pub signature: Vec<u8>,
}

/// The EIP-712 digest that a voucher signs.
pub fn voucher_digest(channel_id: B256, max_claimable: Units, domain: Domain) -> B256 {
    let words = [channel_id, U256::from(max_claimable.atomic()).into()];
    domain.digest(struct_hash(*typed::VOUCHER, words))
}

/// Checks a voucher's signature as the contract does; costs one recovery.
///
/// A channel with a payer authorizer takes that key's signature and nothing else, whatever code
/// stands at the address. Without one the payer itself must have signed; then, as with any
/// [`Proof`], an account that has code must still be asked.
pub fn check_voucher(
    config: &ChannelConfig,
    voucher: &Voucher,
    domain: Domain,
) -> Result<Proof, Refused> {
    let digest = voucher_digest(voucher.channel_id, voucher.max_claimable, domain);
    let proof = prove(signer(config), digest, &voucher.signature).map_err(Refused::voucher)?;
    match proof {
        Proof::ContractOnly { .. } if !config.payer_authorizer.is_zero() => Err(
            Refused::VoucherSignature("another key than payerAuthorizer made it".to_owned()),
        ),
        proof => Ok(proof),
    }
}

/// Whose signature a voucher of this channel carries.
pub(super) fn signer(config: &ChannelConfig) -> Address {
    if config.payer_authorizer.is_zero() {
        config.payer
    } else {
        config.payer_authorizer
    }
}

/// Whether `account`'s own key made the signature, or only a contract could vouch for it.
pub(super) fn prove(
    account: Address,
    digest: B256,
    signature: &[u8],
) -> Result<Proof, crate::protocol::signature::SignatureError> {
    let by_key = match SignatureKind::of(signature)? {
        SignatureKind::Ecdsa65(signature) => signature.recover(digest)? == account,
        SignatureKind::Other(_) => false,
    };
    Ok(if by_key {
        Proof::Payer
    } else {
        Proof::ContractOnly { digest }
    })
}

/// A voucher by `key` (client side).
pub fn signed_voucher(
    key: &Key,
    channel_id: B256,
    max_claimable: Units,
    domain: Domain,
) -> Voucher {
    let signature = key.sign(voucher_digest(channel_id, max_claimable, domain));
    Voucher {
        channel_id,
        max_claimable,
        signature: bytes(signature),
    }
}

/// One row of a claim as the receiver's authorizer signs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClaimEntry {
    /// The channel.
    pub channel_id: B256,
    /// The ceiling of the voucher that the row carries.
    pub max_claimable: Units,
    /// The new total of all claims; at most the ceiling.
    pub total_claimed: Units,
}

/// The digest the receiver's authorizer signs for `claimWithSignature`, rows in the call's order.
pub fn claim_batch_digest(claims: &[ClaimEntry], domain: Domain) -> B256 {
    let claims = claims
        .iter()
        .map(|claim| typed::ClaimEntry {
            channelId: claim.channel_id,
            maxClaimableAmount: claim.max_claimable.atomic(),
            totalClaimed: claim.total_claimed.atomic(),
        })
        .collect();
    domain.digest(typed::ClaimBatch { claims }.eip712_hash_struct())
}

/// The digest the receiver's authorizer signs for `refundWithSignature`; `nonce` is the contract's
/// `refundNonce` of the channel.
pub fn refund_digest(channel_id: B256, nonce: U256, amount: Units, domain: Domain) -> B256 {
    let refund = typed::Refund {
        channelId: channel_id,
        nonce,
        amount: amount.atomic(),
    };
    domain.digest(refund.eip712_hash_struct())
}

pub(super) fn bytes(signature: EcdsaSignature) -> Vec<u8> {
    signature.to_bytes().to_vec()
}
