// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.28;

import {StandInErc20} from "./StandInErc20.sol";

/// @notice Sends tokens, whatever the token makes of ERC-20's answer.
abstract contract SafeTransfer {
    /// @notice The token said no, or there is no token.
    error SafeERC20FailedOperation(address token);

    /// @dev A revert is handed on; no answer at all means yes, as older tokens have it, but only where there is code.
    function _safeTransfer(address token, address to, uint256 amount) internal {
        (bool done, bytes memory answer) = token.call(abi.encodeCall(StandInErc20.transfer, (to, amount)));
        if (!done) {
            assembly ("memory-safe") {
                revert(add(answer, 0x20), mload(answer))
            }
        }
        bool yes = answer.length < 32 ? answer.length == 0 && token.code.length > 0 : abi.decode(answer, (uint256)) == 1;
        if (!yes) revert SafeERC20FailedOperation(token);
    }
}
