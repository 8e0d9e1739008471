//! The typed data as the token contract defines it (EIP-3009).

use crate::protocol::eip712::type_hash;
use alloy::primitives::B256;
use alloy::sol;
use std::sync::LazyLock;

/// The type's hash.
pub(super) static TRANSFER_WITH_AUTHORIZATION: LazyLock<B256> =
    LazyLock::new(type_hash::<TransferWithAuthorization>);

sol! {
    struct TransferWithAuthorization {
        address from;
        address to;
        uint256 value;
        uint256 validAfter;
        uint256 validBefore;
        bytes32 nonce;
    }
}
