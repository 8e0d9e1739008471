// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.28;

import {IBatchSettlement} from "../src/interfaces/IBatchSettlement.sol";
import {IDepositCollector} from "../src/interfaces/IDepositCollector.sol";
import {SafeTransfer} from "../src/local/SafeTransfer.sol";
import {UsdcStandIn} from "../src/local/UsdcStandIn.sol";
import {Channels} from "./Channels.sol";
import {vm} from "./Vm.sol";

/// @notice A token that makes one call of its own whenever it moves, and can be told to misbehave.
contract Malice is UsdcStandIn {
    enum Manner {
        Honest,
        Fee,
        Silent,
        No,
        Two
    }

    address public target;
    bytes public data;
    Manner public manner;
    /// @dev What the call came back with.
    bool public done;
    bytes public answer;

    function plot(address to, bytes calldata call) external {
        (target, data) = (to, call);
    }

    function behave(Manner how) external {
        manner = how;
    }

    function _transfer(address from, address to, uint256 value) internal override {
        if (manner == Manner.Fee) super._transfer(from, address(0xFEE), 1);
        super._transfer(from, to, manner == Manner.Fee ? value - 1 : value);
        if (target != address(0)) (done, answer) = target.call(data);
        if (manner == Manner.Honest || manner == Manner.Fee) return;
        if (manner == Manner.Silent) {
            assembly {
                return(0, 0)
            }
        }
        uint256 word = manner == Manner.No ? 0 : 2;
        assembly {
            mstore(0, word)
            return(0, 32)
        }
    }
}

/// @notice A collector that brings what it likes, from its own pocket.
contract OddCollector is IDepositCollector {
    address public immutable x402BatchSettlement;

    constructor(address batchSettlement) {
        x402BatchSettlement = batchSettlement;
    }

    function collect(address, address token, uint256, bytes32, bytes calldata data) external {
        UsdcStandIn(token).transfer(x402BatchSettlement, abi.decode(data, (uint256)));
    }
}

/// @notice Hostile tokens and collectors: nobody comes back in, and nothing counts that did not arrive.
contract BatchHostileTest is Channels {
    Malice internal malice;
    IBatchSettlement.ChannelConfig internal channel;
    bytes32 internal id;

    function setUp() public {
        placeAll();
        vm.etch(USDC, address(new Malice()).code);
        malice = Malice(USDC);
        channel = channelOf(payer, 7);
        // The token itself is on both sides, so that no call of its fails for want of a right.
        channel.payerAuthorizer = USDC;
        channel.receiverAuthorizer = USDC;
        id = idOf(channel);
        fill(channel, 10e6, 0);
    }

    function entries() private view returns (bytes[] memory calls) {
        calls = new bytes[](9);
        calls[0] = abi.encodeCall(IBatchSettlement.deposit, (channel, 1, BY_EIP3009, ""));
        calls[1] = abi.encodeCall(IBatchSettlement.claim, (new IBatchSettlement.VoucherClaim[](0)));
        calls[2] =
            abi.encodeCall(IBatchSettlement.claimWithSignature, (new IBatchSettlement.VoucherClaim[](0), bytes("")));
        calls[3] = abi.encodeCall(IBatchSettlement.settle, (RECEIVER, USDC));
        calls[4] = abi.encodeCall(IBatchSettlement.initiateWithdraw, (channel, 1));
        calls[5] = abi.encodeCall(IBatchSettlement.finalizeWithdraw, (channel));
        calls[6] = abi.encodeCall(IBatchSettlement.refund, (channel, 1));
        calls[7] = abi.encodeCall(IBatchSettlement.refundWithSignature, (channel, 1, 0, bytes("")));
        bytes[] memory many = new bytes[](1);
        many[0] = calls[6];
        calls[8] = abi.encodeCall(IBatchSettlement.multicall, (many));
    }

    function assertLockedOut() private view {
        vm.assertFalse(malice.done(), "came back in");
        vm.assertEq(malice.answer(), abi.encodePacked(IBatchSettlement.ReentrancyGuardReentrantCall.selector));
    }

    function test_nobody_comes_back_in_while_tokens_are_collected() public {
        bytes[] memory calls = entries();
        for (uint256 i = 0; i < calls.length; ++i) {
            malice.plot(BATCH, calls[i]);
            // The token acts twice here: on the way to the collector, and on the way on to the contract.
            fillMalice(i + 1);
            assertLockedOut();
        }
    }

    function test_nobody_comes_back_in_while_tokens_are_given_back() public {
        bytes[] memory calls = entries();
        for (uint256 i = 0; i < calls.length; ++i) {
            malice.plot(BATCH, calls[i]);
            vm.prank(RECEIVER);
            batch.refund(channel, 1);
            assertLockedOut();
        }
        vm.assertEq(malice.balanceOf(payer), calls.length);
    }

    function test_nobody_comes_back_in_while_a_receiver_is_paid() public {
        IBatchSettlement.ChannelConfig memory c = channelOf(payer, 8);
        fill(c, 10e6, 99);
        bytes[] memory calls = entries();
        for (uint128 i = 0; i < calls.length; ++i) {
            claimAs(RECEIVER, row(c, i + 1, i + 1));
            malice.plot(BATCH, calls[i]);
            batch.settle(RECEIVER, USDC);
            assertLockedOut();
        }
        vm.assertEq(malice.balanceOf(RECEIVER), calls.length);
    }

    function test_nobody_comes_back_in_while_a_withdrawal_is_paid() public {
        vm.prank(payer);
        batch.initiateWithdraw(channel, 10e6);
        vm.warp(block.timestamp + DELAY);
        malice.plot(BATCH, abi.encodeCall(IBatchSettlement.finalizeWithdraw, (channel)));
        vm.prank(payer);
        batch.finalizeWithdraw(channel);
        assertLockedOut();
        vm.assertEq(malice.balanceOf(payer), 10e6);
    }

    function test_the_next_call_of_the_same_transaction_is_let_in() public {
        vm.startPrank(RECEIVER);
        batch.refund(channel, 1);
        batch.refund(channel, 1);
        vm.stopPrank();
        vm.assertEq(malice.balanceOf(payer), 2);
    }

    function test_a_token_that_takes_a_fee_fills_nothing() public {
        malice.mint(payer, 5);
        vm.prank(payer);
        malice.approve(PERMIT2, 5);
        bytes memory data = byPermit2(PAYER_KEY, channel, 5, 1, "");
        malice.behave(Malice.Manner.Fee);
        refuses(IBatchSettlement.DepositCollectionFailed.selector);
        batch.deposit(channel, 5, BY_PERMIT2, data);
        vm.assertEq(balanceOf(channel), 10e6);
    }

    function test_only_exactly_what_was_announced_counts() public {
        address odd = address(new OddCollector(BATCH));
        malice.mint(odd, 100);
        refuses(IBatchSettlement.DepositCollectionFailed.selector);
        batch.deposit(channel, 5, odd, abi.encode(4));
        refuses(IBatchSettlement.DepositCollectionFailed.selector);
        batch.deposit(channel, 5, odd, abi.encode(6));
        batch.deposit(channel, 5, odd, abi.encode(5));
        vm.assertEq(balanceOf(channel), 10e6 + 5);
    }

    /// @dev A collector cannot pass off another channel's deposit as its own: the lock keeps that one out.
    function test_one_transfer_fills_one_channel() public {
        IBatchSettlement.ChannelConfig memory second = channelOf(payer, 8);
        malice.mint(payer, 5);
        malice.plot(
            BATCH, abi.encodeCall(IBatchSettlement.deposit, (second, 5, BY_EIP3009, byEip3009(PAYER_KEY, second, 5, 2)))
        );
        address odd = address(new OddCollector(BATCH));
        malice.mint(odd, 5);
        batch.deposit(channel, 5, odd, abi.encode(5));
        assertLockedOut();
        vm.assertEq(balanceOf(channel), 10e6 + 5);
        vm.assertEq(balanceOf(second), 0);
    }

    function test_a_token_that_says_nothing_is_believed_and_one_that_says_no_is_not() public {
        malice.behave(Malice.Manner.Silent);
        giveBackOne();
        vm.assertEq(malice.balanceOf(payer), 1);
        bytes memory no = abi.encodeWithSelector(SafeTransfer.SafeERC20FailedOperation.selector, USDC);
        malice.behave(Malice.Manner.No);
        vm.expectRevert(no);
        giveBackOne();
        malice.behave(Malice.Manner.Two);
        vm.expectRevert(no);
        giveBackOne();
        vm.etch(USDC, "");
        vm.expectRevert(no);
        giveBackOne();
        vm.assertEq(batch.refundNonce(id), 1);
    }

    function test_a_token_that_reverts_is_heard() public {
        vm.prank(BATCH);
        malice.transfer(STRANGER, 10e6);
        vm.expectRevert(reason("ERC20: transfer amount exceeds balance"));
        giveBackOne();
    }

    function giveBackOne() private {
        vm.prank(RECEIVER);
        batch.refund(channel, 1);
    }

    function fillMalice(uint256 salt) private {
        malice.mint(payer, 1);
        batch.deposit(channel, 1, BY_EIP3009, byEip3009(PAYER_KEY, channel, 1, salt));
    }
}
