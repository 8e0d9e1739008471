// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.28;

/// @notice EIP-3009: transfers that the payer signed, with a split signature, or, as FiatTokenV2_2 has it, a whole one.
/// @dev A payment is valid strictly after `validAfter` and strictly before `validBefore` (seconds since 1970).
interface IEip3009 {
    /// @notice Whether an authorizer's nonce is used or canceled.
    function authorizationState(address authorizer, bytes32 nonce) external view returns (bool);

    /// @notice Anyone carries out the transfer that `from` signed.
    function transferWithAuthorization(
        address from,
        address to,
        uint256 value,
        uint256 validAfter,
        uint256 validBefore,
        bytes32 nonce,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external;

    /// @notice Anyone carries out the transfer that `from` signed; the signature may be one that only `from`'s code can judge.
    function transferWithAuthorization(
        address from,
        address to,
        uint256 value,
        uint256 validAfter,
        uint256 validBefore,
        bytes32 nonce,
        bytes calldata signature
    ) external;

    /// @notice The payee, and no other, carries out the transfer that `from` signed.
    function receiveWithAuthorization(
        address from,
        address to,
        uint256 value,
        uint256 validAfter,
        uint256 validBefore,
        bytes32 nonce,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external;

    /// @notice The payee carries out the transfer that `from` signed; the signature may be one that only `from`'s code can judge.
    function receiveWithAuthorization(
        address from,
        address to,
        uint256 value,
        uint256 validAfter,
        uint256 validBefore,
        bytes32 nonce,
        bytes calldata signature
    ) external;
}
