//! The typed data as the contracts define it: the batch-settlement contract, the token for a
//! deposit by EIP-3009, Permit2 for a deposit by Permit2.

use crate::protocol::eip712::type_hash;
use alloy::primitives::B256;
use alloy::sol;
use std::sync::LazyLock;

/// The hashes of the types that every call's payment has.
pub(super) static CHANNEL_CONFIG: LazyLock<B256> = LazyLock::new(type_hash::<ChannelConfig>);
pub(super) static VOUCHER: LazyLock<B256> = LazyLock::new(type_hash::<Voucher>);

sol! {
    struct ChannelConfig {
        address payer;
        address payerAuthorizer;
        address receiver;
        address receiverAuthorizer;
        address token;
        uint40 withdrawDelay;
        bytes32 salt;
    }

    struct Voucher {
        bytes32 channelId;
        uint128 maxClaimableAmount;
    }

    struct Refund {
        bytes32 channelId;
        uint256 nonce;
        uint128 amount;
    }

    struct ClaimEntry {
        bytes32 channelId;
        uint128 maxClaimableAmount;
        uint128 totalClaimed;
    }

    struct ClaimBatch {
        ClaimEntry[] claims;
    }

    struct ReceiveWithAuthorization {
        address from;
        address to;
        uint256 value;
        uint256 validAfter;
        uint256 validBefore;
        bytes32 nonce;
    }

    struct TokenPermissions {
        address token;
        uint256 amount;
    }

    struct DepositWitness {
        bytes32 channelId;
    }

    struct PermitWitnessTransferFrom {
        TokenPermissions permitted;
        address spender;
        uint256 nonce;
        uint256 deadline;
        DepositWitness witness;
    }
}
