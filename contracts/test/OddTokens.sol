// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.28;

import {UsdcStandIn} from "../src/local/UsdcStandIn.sol";

/// @notice A token that calls back in the middle of a transfer, and remembers what came of it.
contract CallingToken is UsdcStandIn {
    address internal target;
    bytes internal call;
    bool public called;
    bytes public answer;

    function arm(address callTarget, bytes calldata callData) external {
        target = callTarget;
        call = callData;
    }

    function transferFrom(address from, address to, uint256 value) external override returns (bool) {
        if (target != address(0)) {
            (called, answer) = target.call(call);
        }
        allowance[from][msg.sender] -= value;
        _transfer(from, to, value);
        return true;
    }
}

/// @notice A token whose EIP-2612 permit always fails, as it is told.
contract StubbornToken {
    error Stubborn(uint256 word);

    enum Mood {
        Panics,
        Custom,
        Silent
    }

    Mood internal mood;
    mapping(address owner => uint256 value) public balanceOf;

    constructor(Mood first, address holder) {
        mood = first;
        balanceOf[holder] = 10e6;
    }

    function permit(address, address, uint256, uint256 deadline, uint8, bytes32, bytes32) external view {
        if (mood == Mood.Panics) assert(deadline == 0);
        if (mood == Mood.Custom) revert Stubborn(deadline);
        revert();
    }

    /// @dev Anyone may: what is tested is that a proxy goes on.
    function transferFrom(address from, address to, uint256 value) external returns (bool) {
        balanceOf[from] -= value;
        balanceOf[to] += value;
        return true;
    }
}

/// @notice A token whose transfers answer as they are told, and move nothing.
contract AnsweringToken {
    bytes internal answer;
    bool internal reverting;

    constructor(bytes memory first, bool reverts) {
        answer = first;
        reverting = reverts;
    }

    function transferFrom(address, address, uint256) external view {
        bytes memory words = answer;
        bool failing = reverting;
        assembly ("memory-safe") {
            if failing { revert(add(words, 0x20), mload(words)) }
            return(add(words, 0x20), mload(words))
        }
    }
}
