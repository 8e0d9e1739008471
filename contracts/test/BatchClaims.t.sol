// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.28;

import {IBatchSettlement} from "../src/interfaces/IBatchSettlement.sol";
import {ContractWallet} from "../src/local/ContractWallet.sol";
import {Channels} from "./Channels.sol";
import {vm} from "./Vm.sol";

/// @notice What a receiver may claim, with whose word.
contract BatchClaimsTest is Channels {
    IBatchSettlement.ChannelConfig internal channel = channelOf(vm.addr(PAYER_KEY), 7);
    bytes32 internal id;

    function setUp() public {
        placeAll();
        fill(channel, 10e6, 0);
        id = idOf(channel);
    }

    function test_both_of_the_receivers_side_claim_and_no_other() public {
        IBatchSettlement.VoucherClaim memory first = row(channel, 3e6, 2e6);
        vm.expectEmit(BATCH);
        emit IBatchSettlement.Claimed(id, RECEIVER, 2e6, 2e6);
        claimAs(RECEIVER, first);
        IBatchSettlement.VoucherClaim memory second = row(channel, 3e6, 3e6);
        vm.expectEmit(BATCH);
        emit IBatchSettlement.Claimed(id, operator, 1e6, 3e6);
        claimAs(operator, second);

        IBatchSettlement.VoucherClaim[] memory third = one(row(channel, 5e6, 5e6));
        refuses(IBatchSettlement.NotAuthorizedToClaim.selector);
        vm.prank(payer);
        batch.claim(third);
        vm.assertEq(claimedOf(channel), 3e6);
        vm.assertEq(balanceOf(channel), 10e6);
    }

    function test_a_row_at_or_below_what_was_claimed_is_passed_over_unread() public {
        claimAs(RECEIVER, row(channel, 3e6, 3e6));
        vm.recordLogs();
        claimAs(RECEIVER, row(channel, 3e6, 3e6));
        claimAs(RECEIVER, row(channel, 3e6, 1e6));
        claimAs(RECEIVER, rowBy(OPERATOR_KEY, channel, 1e6, 2e6));
        vm.assertEq(vm.getRecordedLogs().length, 0);
        vm.assertEq(claimedOf(channel), 3e6);
    }

    function test_claims_neither_more_than_signed_nor_more_than_there_is() public {
        refusesClaim(row(channel, 3e6, 3e6 + 1), IBatchSettlement.ClaimExceedsCeiling.selector);
        refusesClaim(row(channel, 10e6 + 1, 10e6 + 1), IBatchSettlement.ClaimExceedsBalance.selector);
        // A voucher may cover more than the channel holds; what it holds can be claimed.
        claimAs(RECEIVER, row(channel, type(uint128).max, 10e6));
        vm.assertEq(claimedOf(channel), 10e6);
    }

    function test_refuses_signatures_that_the_payers_side_did_not_make() public {
        refusesClaim(rowBy(PAYER_KEY, channel, 3e6, 3e6), IBatchSettlement.InvalidSignature.selector);
        refusesClaim(rowBy(OPERATOR_KEY, channel, 3e6, 3e6), IBatchSettlement.InvalidSignature.selector);
        IBatchSettlement.VoucherClaim memory stretched = row(channel, 3e6, 3e6);
        stretched.voucher.maxClaimableAmount = 4e6;
        refusesClaim(stretched, IBatchSettlement.InvalidSignature.selector);
    }

    function test_refuses_what_no_key_can_have_signed_by_name() public {
        IBatchSettlement.VoucherClaim memory broken = row(channel, 3e6, 3e6);
        (bytes32 r, bytes32 s, uint8 v) = split(broken.signature);
        broken.signature = abi.encodePacked(r, s);
        vm.expectRevert(abi.encodeWithSelector(IBatchSettlement.ECDSAInvalidSignatureLength.selector, 64));
        claimAs(RECEIVER, broken);
        bytes32 other = bytes32(ORDER - uint256(s));
        broken.signature = abi.encodePacked(r, other, v ^ 7);
        vm.expectRevert(abi.encodeWithSelector(IBatchSettlement.ECDSAInvalidSignatureS.selector, other));
        claimAs(RECEIVER, broken);
        broken.signature = abi.encodePacked(r, s, v - 27);
        refusesClaim(broken, IBatchSettlement.ECDSAInvalidSignature.selector);
    }

    function test_a_voucher_speaks_for_its_channel_alone() public {
        IBatchSettlement.ChannelConfig memory second = channelOf(payer, 8);
        fill(second, 10e6, 1);
        IBatchSettlement.VoucherClaim memory moved = row(channel, 3e6, 3e6);
        moved.voucher.channel = second;
        refusesClaim(moved, IBatchSettlement.InvalidSignature.selector);

        // Another receiver with the same words is another channel, and an empty one.
        IBatchSettlement.VoucherClaim memory stolen = row(channel, 3e6, 3e6);
        stolen.voucher.channel.receiver = STRANGER;
        refuses(IBatchSettlement.ClaimExceedsBalance.selector);
        claimAs(STRANGER, stolen);
    }

    function test_a_voucher_speaks_for_its_chain_and_its_contract_alone() public {
        IBatchSettlement.VoucherClaim memory foreign = row(channel, 3e6, 3e6);
        bytes32 there = channelDigest(8453, BATCH, channelHash(channel));
        foreign.signature = sign(VOUCHER_KEY, channelDigest(8453, BATCH, voucherHash(there, 3e6)));
        refusesClaim(foreign, IBatchSettlement.InvalidSignature.selector);
        foreign.signature = sign(VOUCHER_KEY, channelDigest(8453, BATCH, voucherHash(id, 3e6)));
        refusesClaim(foreign, IBatchSettlement.InvalidSignature.selector);
        foreign.signature = sign(VOUCHER_KEY, channelDigest(block.chainid, STRANGER, voucherHash(id, 3e6)));
        refusesClaim(foreign, IBatchSettlement.InvalidSignature.selector);

        IBatchSettlement.VoucherClaim memory ours = row(channel, 3e6, 3e6);
        vm.chainId(8453);
        refusesClaim(ours, IBatchSettlement.ClaimExceedsBalance.selector);
    }

    function test_a_payer_with_code_signs_vouchers_by_its_code() public {
        ContractWallet wallet = new ContractWallet(payer);
        IBatchSettlement.ChannelConfig memory c = channelOf(address(wallet), 1);
        c.payerAuthorizer = address(0);
        fill(c, 5e6, 1);
        refusesClaim(rowBy(VOUCHER_KEY, c, 5e6, 5e6), IBatchSettlement.InvalidSignature.selector);
        claimAs(RECEIVER, rowBy(PAYER_KEY, c, 5e6, 5e6));
        vm.assertEq(claimedOf(c), 5e6);
    }

    function test_a_payer_without_code_signs_vouchers_itself() public {
        IBatchSettlement.ChannelConfig memory c = channelOf(payer, 1);
        c.payerAuthorizer = address(0);
        fill(c, 5e6, 1);
        refusesClaim(rowBy(VOUCHER_KEY, c, 5e6, 5e6), IBatchSettlement.InvalidSignature.selector);
        IBatchSettlement.VoucherClaim memory broken = rowBy(PAYER_KEY, c, 5e6, 5e6);
        broken.signature = hex"1234";
        refusesClaim(broken, IBatchSettlement.InvalidSignature.selector);
        claimAs(RECEIVER, rowBy(PAYER_KEY, c, 5e6, 5e6));
        vm.assertEq(claimedOf(c), 5e6);
    }

    /// @dev A delegated account (EIP-7702) has code, so its own key no longer speaks for it.
    function test_a_delegated_payer_answers_by_its_code_alone() public {
        IBatchSettlement.ChannelConfig memory c = channelOf(payer, 1);
        c.payerAuthorizer = address(0);
        fill(c, 5e6, 1);
        IBatchSettlement.VoucherClaim memory own = rowBy(PAYER_KEY, c, 5e6, 5e6);
        vm.etch(payer, address(new ContractWallet(address(0))).code);
        refusesClaim(own, IBatchSettlement.InvalidSignature.selector);
        ContractWallet(payable(payer)).init(vm.addr(VOUCHER_KEY));
        claimAs(RECEIVER, row(c, 5e6, 5e6));
        vm.assertEq(claimedOf(c), 5e6);
    }

    /// @dev The payer's authorizer is asked for its key even where it has code.
    function test_a_payers_authorizer_is_a_key_and_never_a_contract() public {
        IBatchSettlement.ChannelConfig memory c = channelOf(payer, 1);
        c.payerAuthorizer = address(new ContractWallet(payer));
        fill(c, 5e6, 1);
        refusesClaim(rowBy(PAYER_KEY, c, 5e6, 5e6), IBatchSettlement.InvalidSignature.selector);
    }

    function test_anyone_brings_a_batch_that_the_authorizer_signed() public {
        IBatchSettlement.ChannelConfig memory second = channelOf(payer, 8);
        fill(second, 10e6, 1);
        IBatchSettlement.VoucherClaim[] memory rows = new IBatchSettlement.VoucherClaim[](2);
        (rows[0], rows[1]) = (row(channel, 3e6, 2e6), row(second, 4e6, 4e6));
        bytes memory signature = signBatch(rows);
        vm.expectEmit(BATCH);
        emit IBatchSettlement.Claimed(id, STRANGER, 2e6, 2e6);
        vm.expectEmit(BATCH);
        emit IBatchSettlement.Claimed(idOf(second), STRANGER, 4e6, 4e6);
        vm.prank(STRANGER);
        batch.claimWithSignature(rows, signature);
        batch.claimWithSignature(rows, signature);
        vm.assertEq(claimedOf(channel), 2e6);
        vm.assertEq(claimedOf(second), 4e6);
    }

    function test_a_signed_batch_takes_no_other_rows() public {
        IBatchSettlement.VoucherClaim[] memory rows = one(row(channel, 3e6, 2e6));
        bytes memory signature = signBatch(rows);
        rows[0].totalClaimed = 3e6;
        refuses(IBatchSettlement.InvalidSignature.selector);
        batch.claimWithSignature(rows, signature);
        rows = one(row(channel, 4e6, 2e6));
        refuses(IBatchSettlement.InvalidSignature.selector);
        batch.claimWithSignature(rows, signature);
        refuses(IBatchSettlement.InvalidSignature.selector);
        batch.claimWithSignature(rows, "");
        rows = one(row(channel, 3e6, 2e6));
        signature = sign(VOUCHER_KEY, here(batchHash(rows)));
        refuses(IBatchSettlement.InvalidSignature.selector);
        batch.claimWithSignature(rows, signature);
    }

    function test_a_signed_batch_is_of_one_authorizer() public {
        IBatchSettlement.ChannelConfig memory anothers = channelOf(payer, 8);
        anothers.receiverAuthorizer = STRANGER;
        fill(anothers, 10e6, 1);
        IBatchSettlement.VoucherClaim[] memory rows = new IBatchSettlement.VoucherClaim[](2);
        (rows[0], rows[1]) = (row(channel, 3e6, 2e6), row(anothers, 4e6, 4e6));
        bytes memory signature = signBatch(rows);
        refuses(IBatchSettlement.NotReceiverAuthorizer.selector);
        batch.claimWithSignature(rows, signature);
        // With the receiver's own call it is the same: one bad row, and none is claimed.
        vm.prank(operator);
        refuses(IBatchSettlement.NotAuthorizedToClaim.selector);
        batch.claim(rows);
        vm.assertEq(claimedOf(channel), 0);
    }

    function test_an_authorizer_with_code_signs_batches_by_its_code() public {
        IBatchSettlement.ChannelConfig memory c = channelOf(payer, 8);
        c.receiverAuthorizer = address(new ContractWallet(operator));
        fill(c, 10e6, 1);
        IBatchSettlement.VoucherClaim[] memory rows = one(row(c, 3e6, 3e6));
        batch.claimWithSignature(rows, signBatch(rows));
        vm.assertEq(claimedOf(c), 3e6);
    }

    function test_refuses_a_batch_without_rows() public {
        refuses(IBatchSettlement.EmptyBatch.selector);
        batch.claim(new IBatchSettlement.VoucherClaim[](0));
        refuses(IBatchSettlement.EmptyBatch.selector);
        batch.claimWithSignature(new IBatchSettlement.VoucherClaim[](0), "");
    }

    function refusesClaim(IBatchSettlement.VoucherClaim memory only, bytes4 selector) private {
        refuses(selector);
        claimAs(RECEIVER, only);
    }
}
