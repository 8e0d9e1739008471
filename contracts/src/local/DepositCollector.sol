// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.28;

import {IDepositCollector} from "../interfaces/IDepositCollector.sol";

/// @notice A deposit collector serves one batch-settlement contract, named for good when it is made.
/// @dev A payer's signature does not bind the channel's contract, only this collector: it must hand on to no other.
abstract contract DepositCollector is IDepositCollector {
    address public immutable x402BatchSettlement;

    constructor(address batchSettlement) {
        if (batchSettlement == address(0)) revert InvalidX402BatchSettlementAddress();
        x402BatchSettlement = batchSettlement;
    }

    modifier onlyBatchSettlement() {
        if (msg.sender != x402BatchSettlement) revert OnlyX402BatchSettlement();
        _;
    }
}
