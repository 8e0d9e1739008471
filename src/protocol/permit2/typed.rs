//! The typed data as Permit2 and the x402 proxies define it (the two schemes' witnesses have one
//! name and other members, so each scheme has its own structs), and what a token takes (EIP-2612,
//! ERC-20).

use crate::protocol::eip712::type_hash;
use alloy::primitives::B256;
use std::sync::LazyLock;

/// The hash of the type that both schemes' transfers have a member of.
pub(super) static TOKEN_PERMISSIONS: LazyLock<B256> =
    LazyLock::new(type_hash::<exact::TokenPermissions>);

pub(super) mod exact {
    use crate::protocol::eip712::type_hash;
    use alloy::primitives::B256;
    use alloy::sol;
    use std::sync::LazyLock;

    pub(crate) static TRANSFER: LazyLock<B256> =
        LazyLock::new(type_hash::<PermitWitnessTransferFrom>);
    pub(crate) static WITNESS: LazyLock<B256> = LazyLock::new(type_hash::<Witness>);

    sol! {
        struct TokenPermissions {
            address token;
            uint256 amount;
        }
        struct Witness {
            address to;
            uint256 validAfter;
        }
        struct PermitWitnessTransferFrom {
            TokenPermissions permitted;
            address spender;
            uint256 nonce;
            uint256 deadline;
            Witness witness;
        }
    }
}

pub(super) mod upto {
    use crate::protocol::eip712::type_hash;
    use alloy::primitives::B256;
    use alloy::sol;
    use std::sync::LazyLock;

    pub(crate) static TRANSFER: LazyLock<B256> =
        LazyLock::new(type_hash::<PermitWitnessTransferFrom>);
    pub(crate) static WITNESS: LazyLock<B256> = LazyLock::new(type_hash::<Witness>);

    sol! {
        struct TokenPermissions {
            address token;
            uint256 amount;
        }
        struct Witness {
            address to;
            address facilitator;
            uint256 validAfter;
        }
        struct PermitWitnessTransferFrom {
            TokenPermissions permitted;
            address spender;
            uint256 nonce;
            uint256 deadline;
            Witness witness;
        }
    }
}

pub(super) mod token {
    use alloy::sol;

    sol! {
        struct Permit {
            address owner;
            address spender;
            uint256 value;
            uint256 nonce;
            uint256 deadline;
        }

        function approve(address spender, uint256 amount) external returns (bool);
    }
}
