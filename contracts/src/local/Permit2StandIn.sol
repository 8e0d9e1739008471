// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.28;

import {AllowanceTransfers} from "./AllowanceTransfers.sol";
import {SignatureTransfers} from "./SignatureTransfers.sol";

/// @notice LOCAL ONLY. Stands in for Permit2 on a development chain, and answers as it does, reverts included.
/// @dev No constructor and no immutable: the runtime code works wherever it is copied.
contract Permit2StandIn is SignatureTransfers, AllowanceTransfers {}
