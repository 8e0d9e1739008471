// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.28;

import {IBatchSettlement} from "../src/interfaces/IBatchSettlement.sol";
import {Channels} from "./Channels.sol";
import {vm} from "./Vm.sol";

/// @notice What must hold for any channel and any voucher, whatever their words.
contract BatchSettlementFuzzTest is Channels {
    IBatchSettlement.ChannelConfig internal channel = channelOf(vm.addr(PAYER_KEY), 7);
    bytes32 internal id;
    uint128 internal constant FUNDS = 1e12;

    function setUp() public {
        placeAll();
        fill(channel, FUNDS, 0);
        id = idOf(channel);
    }

    function testFuzz_any_channel_has_the_id_that_its_words_spell(
        IBatchSettlement.ChannelConfig memory c,
        uint128 most,
        uint256 nonce,
        uint64 chain
    ) public {
        vm.chainId(within(chain, 1, type(uint64).max - 1));
        vm.assertEq(batch.getChannelId(c), idOf(c));
        vm.assertEq(batch.getVoucherDigest(id, most), here(voucherHash(id, most)));
        vm.assertEq(batch.getRefundDigest(id, nonce, most), here(refundHash(id, nonce, most)));
    }

    function testFuzz_any_batch_has_the_digest_that_its_rows_spell(IBatchSettlement.VoucherClaim[] memory rows)
        public
        view
    {
        vm.assertEq(batch.getClaimBatchDigest(rows), here(batchHash(rows)));
    }

    function testFuzz_a_deposit_of_any_size_counts_in_full(uint128 amount, uint256 salt, bool permit2) public {
        amount = uint128(within(amount, 1, type(uint128).max - FUNDS));
        token.mint(payer, amount);
        if (permit2) {
            vm.prank(payer);
            token.approve(PERMIT2, amount);
            batch.deposit(channel, amount, BY_PERMIT2, byPermit2(PAYER_KEY, channel, amount, salt, ""));
        } else {
            vm.assume(salt != 0);
            batch.deposit(channel, amount, BY_EIP3009, byEip3009(PAYER_KEY, channel, amount, salt));
        }
        vm.assertEq(balanceOf(channel), FUNDS + amount);
        vm.assertEq(token.balanceOf(BATCH), uint256(FUNDS) + amount);
    }

    function testFuzz_a_claim_takes_what_voucher_and_balance_allow(uint128 most, uint128 total, bool asBatch) public {
        most = uint128(within(most, 1, 2 * FUNDS));
        // Two runs of three stand right at an edge, where a wrong comparison would show.
        if (total % 3 == 0) total = uint128(within(total, 0, 2 * FUNDS));
        else total = uint128(within(total, 0, 2)) + (total % 3 == 1 ? most : FUNDS) - 1;
        bool sound = total <= most && total <= FUNDS;
        vm.assertTrue(tryClaim(row(channel, most, total), asBatch) == sound, "claim");
        vm.assertEq(claimedOf(channel), sound ? total : 0);
        (uint128 claimed,) = batch.receivers(RECEIVER, USDC);
        vm.assertEq(claimed, sound ? total : 0);
    }

    function testFuzz_a_flipped_bit_of_a_signature_claims_nothing(uint128 most, uint256 bit, bool asBatch) public {
        most = uint128(within(most, 1, FUNDS));
        IBatchSettlement.VoucherClaim memory only = row(channel, most, most);
        bit = within(bit, 0, 65 * 8 - 1);
        only.signature[bit / 8] ^= bytes1(uint8(1 << (bit % 8)));
        vm.assertFalse(tryClaim(only, asBatch), "took it");
        vm.assertEq(claimedOf(channel), 0);
    }

    function testFuzz_bytes_that_nobody_signed_claim_nothing(uint128 most, bytes memory signature, bool byCode) public {
        most = uint128(within(most, 1, FUNDS));
        IBatchSettlement.ChannelConfig memory c = channel;
        if (byCode) {
            c.payerAuthorizer = address(0);
            fill(c, FUNDS, 1);
        }
        IBatchSettlement.Voucher memory voucher = IBatchSettlement.Voucher(c, most);
        vm.assertFalse(tryClaim(IBatchSettlement.VoucherClaim(voucher, signature, most), false), "took it");
    }

    /// @dev Whatever word of the channel is another, its voucher claims nothing there.
    function testFuzz_a_voucher_claims_nothing_of_another_channel(uint256 word, uint256 change) public {
        IBatchSettlement.VoucherClaim memory moved = row(channel, FUNDS, FUNDS);
        IBatchSettlement.ChannelConfig memory c = moved.voucher.channel;
        word = within(word, 0, 3);
        uint256 difference = within(change, 1, type(uint128).max);
        if (word == 0) c.salt ^= bytes32(difference);
        if (word == 1) c.receiver = address(uint160(c.receiver) ^ uint160(difference));
        if (word == 2) c.receiverAuthorizer = address(uint160(c.receiverAuthorizer) ^ uint160(difference));
        if (word == 3) c.withdrawDelay = uint40(within(change, 900, uint256(DELAY) - 1));
        vm.assume(c.receiver != address(0) && c.receiverAuthorizer != address(0));
        fill(c, FUNDS, 1);
        vm.expectRevert(abi.encodePacked(IBatchSettlement.InvalidSignature.selector));
        vm.prank(c.receiver);
        batch.claim(one(moved));
        vm.assertEq(claimedOf(c), 0);
    }

    function testFuzz_a_withdrawal_ends_at_its_hour_and_not_before(uint40 delay, uint256 after_, uint128 amount)
        public
    {
        IBatchSettlement.ChannelConfig memory c = channel;
        c.withdrawDelay = uint40(within(delay, 900, 2_592_000));
        fill(c, FUNDS, 1);
        amount = uint128(within(amount, 1, FUNDS));
        vm.startPrank(payer);
        batch.initiateWithdraw(c, amount);
        after_ = within(after_, uint256(c.withdrawDelay) - 2, uint256(c.withdrawDelay) + 2);
        vm.warp(block.timestamp + after_);
        bool ripe = after_ >= c.withdrawDelay;
        if (!ripe) refuses(IBatchSettlement.WithdrawDelayNotElapsed.selector);
        batch.finalizeWithdraw(c);
        vm.stopPrank();
        vm.assertEq(token.balanceOf(payer), ripe ? amount : 0);
    }

    function testFuzz_a_refund_gives_back_what_is_there(uint128 claimed, uint128 amount, uint128 waiting, bool signed)
        public
    {
        claimed = uint128(within(claimed, 0, FUNDS));
        amount = uint128(within(amount, 1, 2 * FUNDS));
        uint128 available = FUNDS - claimed;
        claimAs(RECEIVER, row(channel, claimed, claimed));
        waiting = uint128(within(waiting, 0, available));
        if (waiting > 0) {
            vm.prank(payer);
            batch.initiateWithdraw(channel, waiting);
        }
        if (signed) {
            batch.refundWithSignature(channel, amount, 0, signRefund(id, 0, amount));
        } else {
            vm.prank(operator);
            batch.refund(channel, amount);
        }
        uint128 back = amount < available ? amount : available;
        vm.assertEq(token.balanceOf(payer), back);
        vm.assertEq(balanceOf(channel), FUNDS - back);
        vm.assertEq(batch.refundNonce(id), 1);
        (uint128 pending, uint40 since) = batch.pendingWithdrawals(id);
        vm.assertEq(pending, back >= waiting ? 0 : waiting - back);
        vm.assertTrue((since == 0) == (back >= waiting), "pending");
    }

    function tryClaim(IBatchSettlement.VoucherClaim memory only, bool asBatch) private returns (bool done) {
        IBatchSettlement.VoucherClaim[] memory rows = one(only);
        bytes memory call = asBatch
            ? abi.encodeCall(IBatchSettlement.claimWithSignature, (rows, signBatch(rows)))
            : abi.encodeCall(IBatchSettlement.claim, (rows));
        vm.prank(RECEIVER);
        (done,) = BATCH.call(call);
    }
}
