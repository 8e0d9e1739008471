// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.28;

import {IBatchSettlement} from "../src/interfaces/IBatchSettlement.sol";
import {Channels} from "./Channels.sol";
import {vm} from "./Vm.sol";

/// @notice What a channel costs from its first deposit to its last refund. Only the one call counts: signing and encoding
/// are not metered. A transaction's own 21,000 and its calldata come on top.
contract GasChannelsTest is Channels {
    uint256 internal constant MOST = 100;

    /// @dev An operator at work: every channel was claimed before and is not empty, the receiver was paid before and is owed
    /// again. Nothing is touched before it is metered, as in a transaction of its own.
    function setUp() public {
        placeAll();
        IBatchSettlement.VoucherClaim[] memory rows = new IBatchSettlement.VoucherClaim[](MOST);
        for (uint256 i = 0; i < MOST; ++i) {
            fill(channelOf(payer, i), 10e6, i);
            rows[i] = row(channelOf(payer, i), 1e6, 1e6);
        }
        vm.prank(operator);
        batch.claim(rows);
        batch.settle(RECEIVER, USDC);
        IBatchSettlement.ChannelConfig memory owed = channelOf(payer, MOST + 1);
        fill(owed, 10e6, MOST + 1);
        claimAs(operator, row(owed, 1e6, 1e6));
        token.mint(payer, 10e6);
        vm.prank(payer);
        token.approve(PERMIT2, 1e12);
    }

    function test_gas_first_deposit_by_eip3009() public {
        vm.pauseGasMetering();
        IBatchSettlement.ChannelConfig memory fresh = channelOf(payer, MOST);
        bytes memory data = byEip3009(PAYER_KEY, fresh, 5e6, 0);
        meter(abi.encodeCall(IBatchSettlement.deposit, (fresh, 5e6, BY_EIP3009, data)));
    }

    function test_gas_first_deposit_by_permit2() public {
        vm.pauseGasMetering();
        IBatchSettlement.ChannelConfig memory fresh = channelOf(payer, MOST);
        bytes memory data = byPermit2(PAYER_KEY, fresh, 5e6, 1, "");
        meter(abi.encodeCall(IBatchSettlement.deposit, (fresh, 5e6, BY_PERMIT2, data)));
    }

    function test_gas_first_deposit_by_permit2_with_a_permit_of_the_token() public {
        vm.pauseGasMetering();
        IBatchSettlement.ChannelConfig memory fresh = channelOf(payer, MOST);
        bytes memory approval = eip2612(PAYER_KEY, 5e6, 0, block.timestamp);
        bytes memory data = byPermit2(PAYER_KEY, fresh, 5e6, 1, approval);
        meter(abi.encodeCall(IBatchSettlement.deposit, (fresh, 5e6, BY_PERMIT2, data)));
    }

    function test_gas_top_up_by_eip3009() public {
        vm.pauseGasMetering();
        bytes memory data = byEip3009(PAYER_KEY, channelOf(payer, 0), 5e6, MOST);
        meter(abi.encodeCall(IBatchSettlement.deposit, (channelOf(payer, 0), 5e6, BY_EIP3009, data)));
    }

    function test_gas_top_up_by_permit2() public {
        vm.pauseGasMetering();
        bytes memory data = byPermit2(PAYER_KEY, channelOf(payer, 0), 5e6, 1, "");
        meter(abi.encodeCall(IBatchSettlement.deposit, (channelOf(payer, 0), 5e6, BY_PERMIT2, data)));
    }

    function test_gas_claim_of_1_channel() public {
        meterClaim(1);
    }

    function test_gas_claim_of_10_channels() public {
        meterClaim(10);
    }

    function test_gas_claim_of_50_channels() public {
        meterClaim(50);
    }

    function test_gas_claim_of_100_channels() public {
        meterClaim(100);
    }

    function test_gas_signed_claim_of_1_channel() public {
        meterSignedClaim(1);
    }

    function test_gas_signed_claim_of_100_channels() public {
        meterSignedClaim(100);
    }

    function test_gas_settle() public {
        vm.pauseGasMetering();
        meter(abi.encodeCall(IBatchSettlement.settle, (RECEIVER, USDC)));
    }

    function test_gas_claim_of_100_channels_and_settle() public {
        vm.pauseGasMetering();
        bytes[] memory calls = new bytes[](2);
        calls[0] = abi.encodeCall(IBatchSettlement.claim, (claims(100)));
        calls[1] = abi.encodeCall(IBatchSettlement.settle, (RECEIVER, USDC));
        meter(abi.encodeCall(IBatchSettlement.multicall, (calls)));
    }

    function test_gas_refund() public {
        vm.pauseGasMetering();
        meter(abi.encodeCall(IBatchSettlement.refund, (channelOf(payer, 0), 9e6)));
    }

    function test_gas_signed_refund() public {
        vm.pauseGasMetering();
        bytes memory signature = signRefund(idOf(channelOf(payer, 0)), 0, 9e6);
        meter(abi.encodeCall(IBatchSettlement.refundWithSignature, (channelOf(payer, 0), 9e6, 0, signature)));
    }

    /// @dev What a facilitator sends when a payer asks for its money back.
    function test_gas_signed_claim_and_refund() public {
        vm.pauseGasMetering();
        bytes[] memory calls = new bytes[](2);
        calls[0] = abi.encodeCall(IBatchSettlement.claimWithSignature, (claims(1), signBatch(claims(1))));
        bytes memory signature = signRefund(idOf(channelOf(payer, 0)), 0, 8e6);
        calls[1] = abi.encodeCall(IBatchSettlement.refundWithSignature, (channelOf(payer, 0), 8e6, 0, signature));
        meter(abi.encodeCall(IBatchSettlement.multicall, (calls)));
    }

    function meterClaim(uint256 count) private {
        vm.pauseGasMetering();
        meter(abi.encodeCall(IBatchSettlement.claim, (claims(count))));
    }

    function meterSignedClaim(uint256 count) private {
        vm.pauseGasMetering();
        IBatchSettlement.VoucherClaim[] memory rows = claims(count);
        meter(abi.encodeCall(IBatchSettlement.claimWithSignature, (rows, signBatch(rows))));
    }

    function claims(uint256 count) private view returns (IBatchSettlement.VoucherClaim[] memory rows) {
        rows = new IBatchSettlement.VoucherClaim[](count);
        for (uint256 i = 0; i < count; ++i) {
            rows[i] = row(channelOf(payer, i), 3e6, 2e6);
        }
    }

    function meter(bytes memory call) private {
        vm.prank(operator);
        vm.resumeGasMetering();
        (bool done,) = BATCH.call(call);
        vm.pauseGasMetering();
        vm.assertTrue(done, "refused");
        vm.resumeGasMetering();
    }
}
