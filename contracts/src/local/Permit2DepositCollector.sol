// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.28;

import {IEip2612} from "../interfaces/IEip2612.sol";
import {IPermit2} from "../interfaces/IPermit2.sol";
import {DepositCollector} from "./DepositCollector.sol";

/// @notice Stands in for x402's collector of deposits by Permit2 on a development chain.
contract Permit2DepositCollector is DepositCollector {
    /// @notice The EIP-712 type hash of the witness: the channel that the payer fills.
    bytes32 public constant DEPOSIT_WITNESS_TYPEHASH = keccak256("DepositWitness(bytes32 channelId)");
    /// @notice What Permit2 appends to its own type to check the witness.
    string public constant DEPOSIT_WITNESS_TYPE_STRING =
        "DepositWitness witness)DepositWitness(bytes32 channelId)TokenPermissions(address token,uint256 amount)";

    /// @notice The token refused the EIP-2612 permit with a reason; the deposit may still go through.
    event EIP2612PermitFailedWithReason(address indexed token, address indexed owner, string reason);
    /// @notice The token's EIP-2612 permit panicked; the deposit may still go through.
    event EIP2612PermitFailedWithPanic(address indexed token, address indexed owner, uint256 errorCode);
    /// @notice The token refused the EIP-2612 permit in its own words; the deposit may still go through.
    event EIP2612PermitFailedWithData(address indexed token, address indexed owner, bytes data);

    /// @notice The constructor was given no Permit2.
    error InvalidPermit2Address();
    /// @notice The EIP-2612 permit is for another amount than the deposit.
    error Permit2612AmountMismatch();

    /// @notice The Permit2 that moves the tokens; a payer approves it, not the collector.
    IPermit2 public immutable PERMIT2;

    /// @param batchSettlement The batch-settlement contract's final address.
    /// @param permit2 Permit2's final address.
    constructor(address batchSettlement, address permit2) DepositCollector(batchSettlement) {
        if (permit2 == address(0)) revert InvalidPermit2Address();
        PERMIT2 = IPermit2(permit2);
    }

    /// @notice `collectorData` = abi.encode(nonce, deadline, permit2Signature, eip2612Permit), where the last is empty or
    /// abi.encode(value, deadline, v, r, s) of a permit for Permit2.
    function collect(address payer, address token, uint256 amount, bytes32 channelId, bytes calldata collectorData)
        external
        onlyBatchSettlement
    {
        (uint256 nonce, uint256 deadline, bytes memory signature, bytes memory eip2612Permit) =
            abi.decode(collectorData, (uint256, uint256, bytes, bytes));
        if (eip2612Permit.length > 0) _tryPermit(payer, token, amount, eip2612Permit);
        PERMIT2.permitWitnessTransferFrom(
            IPermit2.PermitTransferFrom(IPermit2.TokenPermissions(token, amount), nonce, deadline),
            IPermit2.SignatureTransferDetails(x402BatchSettlement, amount),
            payer,
            keccak256(abi.encode(DEPOSIT_WITNESS_TYPEHASH, channelId)),
            DEPOSIT_WITNESS_TYPE_STRING,
            signature
        );
    }

    /// @dev A permit that fails may have been used by someone else already, so the transfer has the last word.
    function _tryPermit(address payer, address token, uint256 amount, bytes memory eip2612Permit) private {
        (uint256 value, uint256 deadline, uint8 v, bytes32 r, bytes32 s) =
            abi.decode(eip2612Permit, (uint256, uint256, uint8, bytes32, bytes32));
        if (value != amount) revert Permit2612AmountMismatch();
        try IEip2612(token).permit(payer, address(PERMIT2), value, deadline, v, r, s) {}
        catch Error(string memory reason) {
            emit EIP2612PermitFailedWithReason(token, payer, reason);
        } catch Panic(uint256 code) {
            emit EIP2612PermitFailedWithPanic(token, payer, code);
        } catch (bytes memory data) {
            emit EIP2612PermitFailedWithData(token, payer, data);
        }
    }
}
