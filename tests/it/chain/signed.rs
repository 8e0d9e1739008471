//! What payers and receivers of the later schemes sign, spelled out from their specifications.

use super::bench::Bench;
use alloy::primitives::{Address, B256, Bytes, U256};
use alloy::signers::SignerSync;
use alloy::sol_types::{Eip712Domain, SolCall, SolStruct, eip712_domain};
use groat::chain::PermitTransfer;
use groat::chain::bindings::IErc20;
use groat::protocol::addresses::{BATCH_SETTLEMENT, EXACT_PROXY, PERMIT2, UPTO_PROXY};

mod exact {
    alloy::sol! {
        struct TokenPermissions { address token; uint256 amount; }
        struct Witness { address to; uint256 validAfter; }
        struct PermitWitnessTransferFrom {
            TokenPermissions permitted;
            address spender;
            uint256 nonce;
            uint256 deadline;
            Witness witness;
        }
    }
}

mod upto {
    alloy::sol! {
        struct TokenPermissions { address token; uint256 amount; }
        struct Witness { address to; address facilitator; uint256 validAfter; }
        struct PermitWitnessTransferFrom {
            TokenPermissions permitted;
            address spender;
            uint256 nonce;
            uint256 deadline;
            Witness witness;
        }
    }
}

alloy::sol! {
    struct ReceiveWithAuthorization {
        address from;
        address to;
        uint256 value;
        uint256 validAfter;
        uint256 validBefore;
        bytes32 nonce;
    }

    struct Voucher { bytes32 channelId; uint128 maxClaimableAmount; }

    struct Refund { bytes32 channelId; uint256 nonce; uint128 amount; }

    struct ClaimEntry { bytes32 channelId; uint128 maxClaimableAmount; uint128 totalClaimed; }

    struct ClaimBatch { ClaimEntry[] claims; }
}

/// The payer lets Permit2 take everything.
pub(crate) async fn permits(bench: &Bench) {
    let approve = IErc20::approveCall {
        spender: PERMIT2,
        value: U256::MAX,
    };
    let payer = bench.chain.payer_key.address();
    let approve: Bytes = approve.abi_encode().into();
    let done = bench.chain.send_as(payer, bench.chain.asset, approve);
    done.await.expect("an approval");
}

/// A payment by Permit2 that the payer signed, each with another nonce: `upto` with a facilitator.
pub(crate) fn permit_transfer(
    bench: &Bench,
    amount: u64,
    facilitator: Option<Address>,
) -> PermitTransfer {
    let unsigned = PermitTransfer {
        permit2: PERMIT2,
        proxy: facilitator.map_or(EXACT_PROXY, |_| UPTO_PROXY),
        asset: bench.chain.asset,
        owner: bench.chain.payer_key.address(),
        to: bench.chain.pay_to_key.address(),
        amount: U256::from(amount),
        nonce: U256::from_be_bytes(rand::random::<[u8; 32]>()),
        deadline: U256::from(u64::MAX),
        valid_after: U256::ZERO,
        facilitator,
        signature: Bytes::new(),
        digest: B256::ZERO,
        permit2612: None,
    };
    permit_by(bench, unsigned)
}

/// The payment as the payer signs it.
pub(crate) fn permit_by(bench: &Bench, mut payment: PermitTransfer) -> PermitTransfer {
    let domain = eip712_domain! {
        name: "Permit2",
        chain_id: bench.chain.chain_id,
        verifying_contract: PERMIT2,
    };
    payment.digest = match payment.facilitator {
        None => exact::PermitWitnessTransferFrom {
            permitted: exact::TokenPermissions {
                token: payment.asset,
                amount: payment.amount,
            },
            spender: payment.proxy,
            nonce: payment.nonce,
            deadline: payment.deadline,
            witness: exact::Witness {
                to: payment.to,
                validAfter: payment.valid_after,
            },
        }
        .eip712_signing_hash(&domain),
        Some(facilitator) => upto::PermitWitnessTransferFrom {
            permitted: upto::TokenPermissions {
                token: payment.asset,
                amount: payment.amount,
            },
            spender: payment.proxy,
            nonce: payment.nonce,
            deadline: payment.deadline,
            witness: upto::Witness {
                to: payment.to,
                facilitator,
                validAfter: payment.valid_after,
            },
        }
        .eip712_signing_hash(&domain),
    };
    let signature = bench.chain.payer_key.sign_hash_sync(&payment.digest);
    payment.signature = signature.expect("a signature").as_bytes().to_vec().into();
    payment
}

/// The batch-settlement contract's own domain.
pub(crate) fn channel_domain(bench: &Bench) -> Eip712Domain {
    eip712_domain! {
        name: "x402 Batch Settlement",
        version: "1",
        chain_id: bench.chain.chain_id,
        verifying_contract: BATCH_SETTLEMENT,
    }
}
