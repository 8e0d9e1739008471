// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.28;

import {IBatchSettlement} from "../src/interfaces/IBatchSettlement.sol";
import {ContractWallet} from "../src/local/ContractWallet.sol";
import {Channels} from "./Channels.sol";
import {vm} from "./Vm.sol";

/// @notice How a payer gets back what was not claimed: by waiting, or from the receiver's hand.
contract BatchReturnsTest is Channels {
    IBatchSettlement.ChannelConfig internal channel = channelOf(vm.addr(PAYER_KEY), 7);
    bytes32 internal id;

    function setUp() public {
        placeAll();
        fill(channel, 10e6, 0);
        id = idOf(channel);
    }

    function test_a_withdrawal_takes_its_time() public {
        vm.expectEmit(BATCH);
        emit IBatchSettlement.WithdrawInitiated(id, 4e6, uint40(block.timestamp) + DELAY);
        initiate(payer, 4e6);
        assertPending(4e6, block.timestamp);
        vm.warp(block.timestamp + DELAY - 1);
        refuses(IBatchSettlement.WithdrawDelayNotElapsed.selector);
        finalize(payer);
        vm.warp(block.timestamp + 1);
        vm.expectEmit(BATCH);
        emit IBatchSettlement.WithdrawFinalized(id, payer, 4e6);
        finalize(payer);
        vm.assertEq(token.balanceOf(payer), 4e6);
        vm.assertEq(balanceOf(channel), 6e6);
        assertPending(0, 0);
        refuses(IBatchSettlement.WithdrawalNotPending.selector);
        finalize(payer);
    }

    function test_both_of_the_payers_side_withdraw_to_the_payer_and_no_other() public {
        address voucherSigner = vm.addr(VOUCHER_KEY);
        refuses(IBatchSettlement.InvalidChannel.selector);
        initiate(RECEIVER, 1e6);
        initiate(voucherSigner, 1e6);
        vm.warp(block.timestamp + DELAY);
        refuses(IBatchSettlement.NotAuthorizedToFinalizeWithdraw.selector);
        finalize(operator);
        finalize(voucherSigner);
        vm.assertEq(token.balanceOf(payer), 1e6);
        vm.assertEq(token.balanceOf(voucherSigner), 0);
    }

    function test_refuses_withdrawals_of_nothing_of_too_much_and_a_second() public {
        refuses(IBatchSettlement.NothingToWithdraw.selector);
        initiate(payer, 0);
        refuses(IBatchSettlement.WithdrawAmountExceedsAvailable.selector);
        initiate(payer, 10e6 + 1);
        claimAs(RECEIVER, row(channel, 3e6, 3e6));
        refuses(IBatchSettlement.WithdrawAmountExceedsAvailable.selector);
        initiate(payer, 7e6 + 1);
        initiate(payer, 7e6);
        refuses(IBatchSettlement.WithdrawalAlreadyPending.selector);
        initiate(payer, 1);
        refuses(IBatchSettlement.WithdrawalNotPending.selector);
        vm.prank(payer);
        batch.finalizeWithdraw(channelOf(payer, 8));
    }

    function test_claims_that_come_in_while_it_waits_go_first() public {
        initiate(payer, 9e6);
        claimAs(RECEIVER, row(channel, 4e6, 4e6));
        vm.warp(block.timestamp + DELAY);
        vm.expectEmit(BATCH);
        emit IBatchSettlement.WithdrawFinalized(id, payer, 6e6);
        finalize(payer);
        vm.assertEq(token.balanceOf(payer), 6e6);
        vm.assertEq(balanceOf(channel), 4e6);
        batch.settle(RECEIVER, USDC);
        vm.assertEq(token.balanceOf(RECEIVER), 4e6);
        vm.assertEq(token.balanceOf(BATCH), 0);
    }

    function test_a_withdrawal_of_which_all_was_claimed_moves_nothing_and_ends() public {
        initiate(payer, 10e6);
        claimAs(RECEIVER, row(channel, 10e6, 10e6));
        vm.warp(block.timestamp + DELAY);
        finalize(payer);
        vm.assertEq(token.balanceOf(payer), 0);
        assertPending(0, 0);
    }

    /// @dev Vouchers reserve nothing: what was not claimed in time is gone.
    function test_a_voucher_held_too_long_is_worth_what_is_left() public {
        initiate(payer, 8e6);
        vm.warp(block.timestamp + DELAY);
        finalize(payer);
        IBatchSettlement.VoucherClaim memory late = row(channel, 5e6, 5e6);
        refuses(IBatchSettlement.ClaimExceedsBalance.selector);
        claimAs(RECEIVER, late);
        late.totalClaimed = 2e6;
        claimAs(RECEIVER, late);
    }

    function test_a_channel_emptied_unclaimed_is_closed_and_may_be_filled_anew() public {
        initiate(payer, 10e6);
        vm.warp(block.timestamp + DELAY);
        vm.expectEmit(BATCH);
        emit IBatchSettlement.ChannelClosed(id, channel);
        finalize(payer);
        token.mint(payer, 1e6);
        bytes memory data = byEip3009(PAYER_KEY, channel, 1e6, 1);
        vm.expectEmit(BATCH);
        emit IBatchSettlement.ChannelCreated(id, channel);
        batch.deposit(channel, 1e6, BY_EIP3009, data);
    }

    function test_the_receivers_side_gives_back_at_once() public {
        vm.expectEmit(BATCH);
        emit IBatchSettlement.Refunded(id, RECEIVER, 3e6);
        giveBack(RECEIVER, 3e6);
        giveBack(operator, 1e6);
        vm.assertEq(token.balanceOf(payer), 4e6);
        vm.assertEq(balanceOf(channel), 6e6);
        vm.assertEq(batch.refundNonce(id), 2);
        refuses(IBatchSettlement.NotAuthorizedToRefund.selector);
        giveBack(payer, 1e6);
        refuses(IBatchSettlement.ZeroRefund.selector);
        giveBack(RECEIVER, 0);
        vm.assertEq(batch.refundNonce(id), 2);
    }

    function test_gives_back_at_most_what_was_not_claimed() public {
        claimAs(RECEIVER, row(channel, 4e6, 4e6));
        giveBack(RECEIVER, type(uint128).max);
        vm.assertEq(token.balanceOf(payer), 6e6);
        vm.assertEq(balanceOf(channel), 4e6);
        vm.assertEq(claimedOf(channel), 4e6);
    }

    function test_an_empty_refund_moves_nothing_but_the_nonce() public {
        giveBack(RECEIVER, 10e6);
        vm.recordLogs();
        giveBack(RECEIVER, 1);
        batch.refundWithSignature(channel, 5, 2, signRefund(id, 2, 5));
        vm.assertEq(vm.getRecordedLogs().length, 0);
        vm.assertEq(batch.refundNonce(id), 3);
    }

    function test_a_channel_given_back_unclaimed_is_closed() public {
        vm.expectEmit(BATCH);
        emit IBatchSettlement.Refunded(id, RECEIVER, 10e6);
        vm.expectEmit(BATCH);
        emit IBatchSettlement.ChannelClosed(id, channel);
        giveBack(RECEIVER, 10e6);

        IBatchSettlement.ChannelConfig memory claimed = channelOf(payer, 8);
        fill(claimed, 10e6, 1);
        claimAs(RECEIVER, row(claimed, 1e6, 1e6));
        vm.recordLogs();
        vm.prank(RECEIVER);
        batch.refund(claimed, 9e6);
        // Refunded and Transfer: a channel of which something was claimed never closes.
        vm.assertEq(vm.getRecordedLogs().length, 2);
    }

    function test_a_refund_takes_from_the_withdrawal_under_way() public {
        uint256 since = block.timestamp;
        initiate(payer, 8e6);
        vm.warp(since + 60);
        giveBack(RECEIVER, 3e6);
        assertPending(5e6, since);
        giveBack(RECEIVER, 5e6);
        assertPending(0, 0);
        vm.warp(since + DELAY);
        refuses(IBatchSettlement.WithdrawalNotPending.selector);
        finalize(payer);
        vm.assertEq(token.balanceOf(payer), 8e6);
    }

    function test_anyone_brings_a_refund_that_the_authorizer_signed_once() public {
        bytes memory signature = signRefund(id, 0, 3e6);
        vm.expectEmit(BATCH);
        emit IBatchSettlement.Refunded(id, STRANGER, 3e6);
        vm.prank(STRANGER);
        batch.refundWithSignature(channel, 3e6, 0, signature);
        refuses(IBatchSettlement.InvalidRefundNonce.selector);
        batch.refundWithSignature(channel, 3e6, 0, signature);
        refuses(IBatchSettlement.InvalidSignature.selector);
        batch.refundWithSignature(channel, 3e6, 1, signature);
        vm.assertEq(token.balanceOf(payer), 3e6);
        vm.assertEq(batch.refundNonce(id), 1);
    }

    function test_a_direct_refund_outdates_a_signed_one() public {
        bytes memory signature = signRefund(id, 0, 3e6);
        giveBack(RECEIVER, 1);
        refuses(IBatchSettlement.InvalidRefundNonce.selector);
        batch.refundWithSignature(channel, 3e6, 0, signature);
    }

    function test_a_signed_refund_is_of_one_amount_channel_and_chain() public {
        bytes memory signature = signRefund(id, 0, 3e6);
        refuses(IBatchSettlement.InvalidSignature.selector);
        batch.refundWithSignature(channel, 3e6 + 1, 0, signature);
        refuses(IBatchSettlement.InvalidSignature.selector);
        batch.refundWithSignature(channelOf(payer, 8), 3e6, 0, signature);
        bytes memory byReceiver = sign(VOUCHER_KEY, here(refundHash(id, 0, 3e6)));
        refuses(IBatchSettlement.InvalidSignature.selector);
        batch.refundWithSignature(channel, 3e6, 0, byReceiver);
        bytes memory ofNothing = signRefund(id, 0, 0);
        refuses(IBatchSettlement.ZeroRefund.selector);
        batch.refundWithSignature(channel, 0, 0, ofNothing);
        vm.chainId(8453);
        refuses(IBatchSettlement.InvalidSignature.selector);
        batch.refundWithSignature(channel, 3e6, 0, signature);
    }

    function test_an_authorizer_with_code_signs_refunds_by_its_code() public {
        IBatchSettlement.ChannelConfig memory c = channelOf(payer, 8);
        c.receiverAuthorizer = address(new ContractWallet(operator));
        fill(c, 10e6, 1);
        batch.refundWithSignature(c, 3e6, 0, signRefund(idOf(c), 0, 3e6));
        vm.assertEq(balanceOf(c), 7e6);
    }

    function initiate(address caller, uint128 amount) private {
        vm.prank(caller);
        batch.initiateWithdraw(channel, amount);
    }

    function finalize(address caller) private {
        vm.prank(caller);
        batch.finalizeWithdraw(channel);
    }

    function giveBack(address caller, uint128 amount) private {
        vm.prank(caller);
        batch.refund(channel, amount);
    }

    function assertPending(uint256 amount, uint256 since) private view {
        (uint128 pending, uint40 initiatedAt) = batch.pendingWithdrawals(id);
        vm.assertEq(pending, amount);
        vm.assertEq(initiatedAt, since);
    }
}
