// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.28;

/// @notice EIP-2612: an ERC-20 allowance by signature.
interface IEip2612 {
    /// @notice Lets `spender` take `value` of `owner`'s tokens, as `owner` signed, until `deadline` (seconds since 1970).
    function permit(address owner, address spender, uint256 value, uint256 deadline, uint8 v, bytes32 r, bytes32 s)
        external;

    /// @notice The nonce of an owner's next permit.
    function nonces(address owner) external view returns (uint256);

    /// @notice The EIP-712 domain separator.
    function DOMAIN_SEPARATOR() external view returns (bytes32);
}
