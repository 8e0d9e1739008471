//! The typed data as Permit2 and the x402 proxies define it (the two schemes' witnesses have one
//! name and other members, so each scheme has its own structs), and what a token takes (EIP-2612,
//! ERC-20).

pub(super) mod exact {
    use alloy::sol;

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
    use alloy::sol;

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
