// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.28;

import {IPermit2} from "./IPermit2.sol";

/// @notice What the proxies of x402's `exact` and `upto` schemes have in common.
/// @dev Clients tell the errors apart by name; the order of the members is that of the EIP-712 structs and the ABI.
interface IPermit2Proxy {
    /// @dev An EIP-2612 permit for Permit2 to take the token; `value` must be what Permit2 is permitted to move.
    struct EIP2612Permit {
        uint256 value;
        uint256 deadline;
        bytes32 r;
        bytes32 s;
        uint8 v;
    }

    /// @notice A payment was moved.
    event Settled();
    /// @notice A payment was moved after an EIP-2612 permit was tried.
    event SettledWithPermit();
    /// @notice The token refused the EIP-2612 permit with a reason; the payment may still go through.
    event EIP2612PermitFailedWithReason(address indexed token, address indexed owner, string reason);
    /// @notice The token's EIP-2612 permit panicked; the payment may still go through.
    event EIP2612PermitFailedWithPanic(address indexed token, address indexed owner, uint256 errorCode);
    /// @notice The token refused the EIP-2612 permit in its own words; the payment may still go through.
    event EIP2612PermitFailedWithData(address indexed token, address indexed owner, bytes data);

    /// @notice The constructor was given no Permit2.
    error InvalidPermit2Address();
    /// @notice The amount to move is zero.
    error InvalidAmount();
    /// @notice The witness names no payee.
    error InvalidDestination();
    /// @notice The payer is the zero address.
    error InvalidOwner();
    /// @notice The payment is not valid yet.
    error PaymentTooEarly();
    /// @notice The EIP-2612 permit is for another amount than Permit2 is permitted to move.
    error Permit2612AmountMismatch();
    /// @notice A token tried to settle from within a settlement.
    error ReentrancyGuardReentrantCall();

    /// @notice The Permit2 that moves the tokens; a payer approves it, not the proxy.
    function PERMIT2() external view returns (IPermit2);

    /// @notice The EIP-712 type hash of the witness.
    function WITNESS_TYPEHASH() external view returns (bytes32);

    /// @notice What Permit2 appends to its own type to check the witness.
    function WITNESS_TYPE_STRING() external view returns (string memory);
}

/// @notice The proxy of the `exact` scheme: it moves what was signed to whom it was signed, whoever asks.
interface IExactPermit2Proxy is IPermit2Proxy {
    /// @dev What the payer signs beside Permit2's own words: the payee, and since when (seconds since 1970).
    struct Witness {
        address to;
        uint256 validAfter;
    }

    /// @notice Moves the whole permitted amount to the witness's payee.
    function settle(
        IPermit2.PermitTransferFrom calldata permit,
        address owner,
        Witness calldata witness,
        bytes calldata signature
    ) external;

    /// @notice Tries an EIP-2612 permit for Permit2 first, then settles.
    function settleWithPermit(
        EIP2612Permit calldata permit2612,
        IPermit2.PermitTransferFrom calldata permit,
        address owner,
        Witness calldata witness,
        bytes calldata signature
    ) external;
}

/// @notice The proxy of the `upto` scheme: the facilitator that was signed moves up to what was signed.
interface IUptoPermit2Proxy is IPermit2Proxy {
    /// @dev What the payer signs beside Permit2's own words: the payee, who may settle, and since when (seconds since 1970).
    struct Witness {
        address to;
        address facilitator;
        uint256 validAfter;
    }

    /// @notice The amount to move is more than was permitted.
    error AmountExceedsPermitted();
    /// @notice The caller is not the facilitator that was signed.
    error UnauthorizedFacilitator();

    /// @notice Moves `amount` of the permitted amount to the witness's payee.
    function settle(
        IPermit2.PermitTransferFrom calldata permit,
        uint256 amount,
        address owner,
        Witness calldata witness,
        bytes calldata signature
    ) external;

    /// @notice Tries an EIP-2612 permit for Permit2 first, then settles.
    function settleWithPermit(
        EIP2612Permit calldata permit2612,
        IPermit2.PermitTransferFrom calldata permit,
        uint256 amount,
        address owner,
        Witness calldata witness,
        bytes calldata signature
    ) external;
}
