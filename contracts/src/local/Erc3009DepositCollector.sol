// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.28;

import {IEip3009} from "../interfaces/IEip3009.sol";
import {DepositCollector} from "./DepositCollector.sol";
import {SafeTransfer} from "./SafeTransfer.sol";

/// @notice Stands in for x402's collector of deposits by EIP-3009 on a development chain.
contract Erc3009DepositCollector is DepositCollector, SafeTransfer {
    /// @param batchSettlement The batch-settlement contract's final address.
    constructor(address batchSettlement) DepositCollector(batchSettlement) {}

    /// @notice `collectorData` = abi.encode(validAfter, validBefore, salt, signature) of a `ReceiveWithAuthorization` to this
    /// collector, whose nonce binds the channel.
    function collect(address payer, address token, uint256 amount, bytes32 channelId, bytes calldata collectorData)
        external
        onlyBatchSettlement
    {
        (uint256 validAfter, uint256 validBefore, uint256 salt, bytes memory signature) =
            abi.decode(collectorData, (uint256, uint256, uint256, bytes));
        bytes32 nonce = keccak256(abi.encode(channelId, salt));
        // EIP-3009 pays none but the caller, so the tokens come here first.
        IEip3009(token)
            .receiveWithAuthorization(payer, address(this), amount, validAfter, validBefore, nonce, signature);
        _safeTransfer(token, x402BatchSettlement, amount);
    }
}
