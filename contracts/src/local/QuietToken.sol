// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.28;

import {UsdcStandIn} from "./UsdcStandIn.sol";

/// @notice LOCAL ONLY. A token that stays quiet where USDC reverts: it says it paid, and moves nothing.
/// @dev A simulation and a receipt's status both look like success here; only the missing `Transfer` log tells. It is
/// how the tests know that a settlement is believed for its log, not for its status. A bad signature still reverts.
contract QuietToken is UsdcStandIn {
    /// @notice ERC-20: as the stand-in's, but taking more than the allowance does nothing and says true.
    function transferFrom(address from, address to, uint256 value) external override returns (bool) {
        uint256 allowed = allowance[from][msg.sender];
        if (value > allowed || value > balanceOf[from]) return true;
        _transfer(from, to, value);
        allowance[from][msg.sender] = allowed - value;
        return true;
    }

    /// @dev A used nonce does nothing; a fresh one without the money is spent for nothing.
    function _spend(bytes32 typehash, Authorization memory signed, bytes memory signature) internal override {
        if (authorizationState[signed.from][signed.nonce]) return;
        super._spend(typehash, signed, signature);
    }

    function _transfer(address from, address to, uint256 value) internal override {
        if (value > balanceOf[from]) return;
        super._transfer(from, to, value);
    }
}
