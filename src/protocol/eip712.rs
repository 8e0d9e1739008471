//! EIP-712 digests. What is the same for all messages of a kind is hashed once: a domain where its
//! terms are made, a type where it is first used.

use super::Network;
use alloy::primitives::{Address, B256, Keccak256, keccak256};
use alloy::sol_types::{Eip712Domain, SolStruct, eip712_domain};

/// The hash of a typed-data domain (EIP-712, "Definition of domainSeparator").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Separator(B256);

impl Separator {
    /// A token's domain, as its contract states it.
    pub fn of_token(network: Network, asset: Address, name: &str, version: &str) -> Self {
        Self::of(&eip712_domain! {
            name: name.to_owned(),
            version: version.to_owned(),
            chain_id: network.chain_id(),
            verifying_contract: asset,
        })
    }

    /// Permit2's domain, which has no version.
    pub fn of_permit2(network: Network, permit2: Address) -> Self {
        Self::of(&eip712_domain! {
            name: "Permit2",
            chain_id: network.chain_id(),
            verifying_contract: permit2,
        })
    }

    pub(super) fn of(domain: &Eip712Domain) -> Self {
        Self(domain.separator())
    }

    /// A domain by its type's hash and its members' words.
    pub(super) fn of_words<const N: usize>(type_hash: B256, words: [B256; N]) -> Self {
        Self(struct_hash(type_hash, words))
    }

    /// What is signed of a message whose hash is this.
    pub(super) fn digest(self, message: B256) -> B256 {
        let mut hash = Keccak256::new();
        hash.update([0x19, 0x01]);
        hash.update(self.0);
        hash.update(message);
        hash.finalize()
    }
}

/// The hash of a type with the types of its members (EIP-712, "Rationale for typeHash").
pub(super) fn type_hash<S: SolStruct>() -> B256 {
    keccak256(S::eip712_encode_type().as_bytes())
}

/// The hash of a message: its type, and a word for each member.
pub(super) fn struct_hash(type_hash: B256, words: impl IntoIterator<Item = B256>) -> B256 {
    let mut hash = Keccak256::new();
    hash.update(type_hash);
    for word in words {
        hash.update(word);
    }
    hash.finalize()
}
