//! Tokens, and accounts that are contracts.

use alloy::sol;

sol! {
    /// An EIP-3009 token as Circle's FiatToken v2.2 has it (x402 `exact`, method `eip3009`).
    #[derive(Debug, PartialEq, Eq)]
    interface IEip3009Token {
        /// Moved `value` from `from` to `to`.
        event Transfer(address indexed from, address indexed to, uint256 value);
        /// The authorization was executed.
        event AuthorizationUsed(address indexed authorizer, bytes32 indexed nonce);
        /// The authorization was called off by its signer.
        event AuthorizationCanceled(address indexed authorizer, bytes32 indexed nonce);

        /// Executes an authorization signed by a plain key.
        function transferWithAuthorization(address from, address to, uint256 value, uint256 validAfter, uint256 validBefore, bytes32 nonce, uint8 v, bytes32 r, bytes32 s) external;
        /// Executes an authorization signed by a key or, by ERC-1271, a contract.
        function transferWithAuthorization(address from, address to, uint256 value, uint256 validAfter, uint256 validBefore, bytes32 nonce, bytes signature) external;
        /// Whether the authorization was used or called off.
        function authorizationState(address authorizer, bytes32 nonce) external view returns (bool);
        /// The balance in atomic units.
        function balanceOf(address account) external view returns (uint256);
        /// Moves the caller's own tokens.
        function transfer(address to, uint256 value) external returns (bool);
        /// The name in the EIP-712 domain.
        function name() external view returns (string);
        /// The version in the EIP-712 domain.
        function version() external view returns (string);
        /// The EIP-712 domain separator.
        function DOMAIN_SEPARATOR() external view returns (bytes32);
    }

    /// What ERC-20 says of allowances.
    #[derive(Debug, PartialEq, Eq)]
    interface IErc20 {
        /// What `spender` may take of `owner`'s tokens, in atomic units.
        function allowance(address owner, address spender) external view returns (uint256);
        /// Lets `spender` take `value` of the caller's tokens.
        function approve(address spender, uint256 value) external returns (bool);
    }

    /// An allowance by signature (EIP-2612).
    #[derive(Debug, PartialEq, Eq)]
    interface IEip2612 {
        /// The nonce of an owner's next permit.
        function nonces(address owner) external view returns (uint256);
        /// Sets the allowance that `owner` signed.
        function permit(address owner, address spender, uint256 value, uint256 deadline, uint8 v, bytes32 r, bytes32 s) external;
    }

    /// A contract that signs (ERC-1271).
    #[derive(Debug, PartialEq, Eq)]
    interface IErc1271 {
        /// Answers `0x1626ba7e` when the signature is the contract's own.
        function isValidSignature(bytes32 hash, bytes signature) external view returns (bytes4);
    }

    /// What only the local stand-in of the token can do.
    #[derive(Debug, PartialEq, Eq)]
    interface IStandIn {
        /// Makes `value` new tokens for `to`.
        function mint(address to, uint256 value) external;
    }
}

/// What `isValidSignature` answers for a valid signature (ERC-1271).
pub const ERC1271_MAGIC: [u8; 4] = [0x16, 0x26, 0xba, 0x7e];
