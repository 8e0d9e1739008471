// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.28;

import {IBatchSettlement} from "../src/interfaces/IBatchSettlement.sol";
import {BatchSettlement} from "../src/local/BatchSettlement.sol";
import {Channels} from "./Channels.sol";
import {vm} from "./Vm.sol";

/// @notice The digests, the settlement of receivers, and many calls in one.
contract BatchSettlementTest is Channels {
    IBatchSettlement.ChannelConfig internal channel = channelOf(vm.addr(PAYER_KEY), 7);
    bytes32 internal id;

    function setUp() public {
        placeAll();
        fill(channel, 10e6, 0);
        id = idOf(channel);
    }

    /// @dev The words are the answers of the published TypeScript client for this channel.
    function test_digests_are_those_of_the_published_client() public view {
        IBatchSettlement.ChannelConfig memory c = IBatchSettlement.ChannelConfig(
            0xe05fcC23807536bEe418f142D19fa0d21BB0cfF7,
            0x1111111111111111111111111111111111111111,
            0x000000000000000000000000000000000000bEEF,
            0x2222222222222222222222222222222222222222,
            USDC,
            86_400,
            0x0707070707070707070707070707070707070707070707070707070707070707
        );
        bytes32 known = 0xc2747c74ff1e8771ded89ff7751fd4b3520657bd7e69fb0b6859a99306b79915;
        vm.assertEq(batch.getChannelId(c), known);
        vm.assertEq(
            batch.getVoucherDigest(known, 123_456),
            bytes32(0x040f5506cc7abf867383f03022546fdbd924c04e5fc63e8b176a0ee7ce11490c)
        );
        vm.assertEq(
            batch.getRefundDigest(known, 3, 1000),
            bytes32(0x980181206b325996104e7c204ab0373b4ac02b19a61506c39898f83992d645b8)
        );
        IBatchSettlement.VoucherClaim[] memory rows = new IBatchSettlement.VoucherClaim[](2);
        rows[0] = IBatchSettlement.VoucherClaim(IBatchSettlement.Voucher(c, 123_456), "", 1000);
        rows[1] = IBatchSettlement.VoucherClaim(IBatchSettlement.Voucher(c, type(uint128).max), hex"00", 2000);
        vm.assertEq(
            batch.getClaimBatchDigest(rows), bytes32(0xae896ca326dcb015c276fbcd55eb33d45705a2876349fd3733ac7dff93bc15f6)
        );
    }

    function test_digests_are_as_the_types_spell_them_here_and_on_another_chain() public {
        assertDigests();
        vm.chainId(8453);
        assertDigests();
    }

    function assertDigests() private view {
        vm.assertEq(batch.getChannelId(channel), idOf(channel));
        vm.assertEq(batch.getVoucherDigest(id, 5), here(voucherHash(id, 5)));
        vm.assertEq(batch.getRefundDigest(id, 2, 5), here(refundHash(id, 2, 5)));
        IBatchSettlement.VoucherClaim[] memory rows = new IBatchSettlement.VoucherClaim[](2);
        vm.assertEq(batch.getClaimBatchDigest(rows), here(batchHash(rows)));
        rows[0] = row(channel, 9, 4);
        rows[1] = row(channelOf(STRANGER, 3), 7, 7);
        vm.assertEq(batch.getClaimBatchDigest(rows), here(batchHash(rows)));
        rows = new IBatchSettlement.VoucherClaim[](0);
        vm.assertEq(batch.getClaimBatchDigest(rows), here(batchHash(rows)));
    }

    function test_domain_follows_the_address() public {
        BatchSettlement elsewhere = new BatchSettlement();
        vm.assertEq(
            elsewhere.getChannelId(channel), channelDigest(block.chainid, address(elsewhere), channelHash(channel))
        );
        (
            bytes1 fields,
            string memory name,
            string memory version,
            uint256 chain,
            address at,
            bytes32 salt,
            uint256[] memory extensions
        ) = batch.eip712Domain();
        vm.assertTrue(fields == 0x0f && salt == 0 && extensions.length == 0);
        vm.assertEq(name, "x402 Batch Settlement");
        vm.assertEq(version, "1");
        vm.assertEq(chain, 84_532);
        vm.assertEq(at, BATCH);
    }

    function test_constants_are_the_published_ones() public view {
        vm.assertEq(batch.MIN_WITHDRAW_DELAY(), 900);
        vm.assertEq(batch.MAX_WITHDRAW_DELAY(), 2_592_000);
        vm.assertEq(
            batch.CHANNEL_CONFIG_TYPEHASH(),
            keccak256(
                "ChannelConfig(address payer,address payerAuthorizer,address receiver,address receiverAuthorizer,address token,uint40 withdrawDelay,bytes32 salt)"
            )
        );
        vm.assertEq(batch.VOUCHER_TYPEHASH(), keccak256("Voucher(bytes32 channelId,uint128 maxClaimableAmount)"));
        vm.assertEq(batch.REFUND_TYPEHASH(), keccak256("Refund(bytes32 channelId,uint256 nonce,uint128 amount)"));
        vm.assertEq(
            batch.CLAIM_ENTRY_TYPEHASH(),
            keccak256("ClaimEntry(bytes32 channelId,uint128 maxClaimableAmount,uint128 totalClaimed)")
        );
        vm.assertEq(
            batch.CLAIM_BATCH_TYPEHASH(),
            keccak256(
                "ClaimBatch(ClaimEntry[] claims)ClaimEntry(bytes32 channelId,uint128 maxClaimableAmount,uint128 totalClaimed)"
            )
        );
    }

    function test_anyone_settles_what_was_claimed_once() public {
        claimAs(RECEIVER, row(channel, 5e6, 3e6));
        vm.expectEmit(BATCH);
        emit IBatchSettlement.Settled(RECEIVER, USDC, STRANGER, 3e6);
        vm.prank(STRANGER);
        batch.settle(RECEIVER, USDC);
        vm.assertEq(token.balanceOf(RECEIVER), 3e6);
        assertAccount(3e6, 3e6);

        vm.recordLogs();
        batch.settle(RECEIVER, USDC);
        vm.assertEq(vm.getRecordedLogs().length, 0);
        vm.assertEq(token.balanceOf(RECEIVER), 3e6);

        claimAs(RECEIVER, row(channel, 5e6, 5e6));
        assertAccount(5e6, 3e6);
        batch.settle(RECEIVER, USDC);
        vm.assertEq(token.balanceOf(RECEIVER), 5e6);
        assertAccount(5e6, 5e6);
    }

    function test_settles_the_sum_of_a_receivers_channels_and_no_others() public {
        IBatchSettlement.ChannelConfig memory second = channelOf(payer, 8);
        IBatchSettlement.ChannelConfig memory anothers = channelOf(payer, 9);
        anothers.receiver = STRANGER;
        fill(second, 10e6, 1);
        fill(anothers, 10e6, 2);
        IBatchSettlement.VoucherClaim[] memory rows = new IBatchSettlement.VoucherClaim[](3);
        (rows[0], rows[1], rows[2]) = (row(channel, 1e6, 1e6), row(second, 2e6, 2e6), row(anothers, 4e6, 4e6));
        vm.prank(operator);
        batch.claim(rows);
        batch.settle(RECEIVER, USDC);
        vm.assertEq(token.balanceOf(RECEIVER), 3e6);
        vm.assertEq(token.balanceOf(STRANGER), 0);
        batch.settle(RECEIVER, address(0xDEAD));
        vm.assertEq(token.balanceOf(BATCH), 27e6);
    }

    /// @dev The way facilitators refund: claim what the last voucher covers, give the rest back, and, here, pay out.
    function test_many_calls_in_one_act_as_the_caller() public {
        IBatchSettlement.VoucherClaim[] memory rows = one(row(channel, 4e6, 4e6));
        bytes[] memory calls = new bytes[](4);
        calls[0] = abi.encodeCall(IBatchSettlement.claimWithSignature, (rows, signBatch(rows)));
        calls[1] = abi.encodeCall(IBatchSettlement.refundWithSignature, (channel, 9e6, 0, signRefund(id, 0, 9e6)));
        calls[2] = abi.encodeCall(IBatchSettlement.settle, (RECEIVER, USDC));
        calls[3] = abi.encodeCall(IBatchSettlement.channels, (id));
        vm.expectEmit(BATCH);
        emit IBatchSettlement.Settled(RECEIVER, USDC, STRANGER, 4e6);
        vm.prank(STRANGER);
        bytes[] memory answers = batch.multicall(calls);
        vm.assertEq(answers.length, 4);
        vm.assertEq(answers[0].length, 0);
        (uint128 balance, uint128 claimed) = abi.decode(answers[3], (uint128, uint128));
        vm.assertTrue(balance == 4e6 && claimed == 4e6);
        vm.assertEq(token.balanceOf(payer), 6e6);
        vm.assertEq(token.balanceOf(RECEIVER), 4e6);
    }

    function test_many_calls_in_one_are_all_or_none() public {
        bytes[] memory calls = new bytes[](2);
        calls[0] = abi.encodeCall(IBatchSettlement.refund, (channel, 1e6));
        calls[1] = abi.encodeCall(IBatchSettlement.refund, (channel, 0));
        vm.prank(RECEIVER);
        refuses(IBatchSettlement.ZeroRefund.selector);
        batch.multicall(calls);
        vm.assertEq(balanceOf(channel), 10e6);
        vm.assertEq(batch.refundNonce(id), 0);

        vm.prank(STRANGER);
        refuses(IBatchSettlement.NotAuthorizedToRefund.selector);
        batch.multicall(calls);
        calls[0] = hex"12345678";
        refuses(IBatchSettlement.FailedCall.selector);
        batch.multicall(calls);
        vm.assertEq(batch.multicall(new bytes[](0)).length, 0);
    }

    function assertAccount(uint128 claimed, uint128 settled) private view {
        (uint128 totalClaimed, uint128 totalSettled) = batch.receivers(RECEIVER, USDC);
        vm.assertEq(totalClaimed, claimed);
        vm.assertEq(totalSettled, settled);
    }
}
