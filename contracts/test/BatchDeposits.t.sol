// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.28;

import {IBatchSettlement} from "../src/interfaces/IBatchSettlement.sol";
import {IDepositCollector} from "../src/interfaces/IDepositCollector.sol";
import {IPermit2} from "../src/interfaces/IPermit2.sol";
import {ContractWallet} from "../src/local/ContractWallet.sol";
import {Erc3009DepositCollector} from "../src/local/Erc3009DepositCollector.sol";
import {Permit2DepositCollector} from "../src/local/Permit2DepositCollector.sol";
import {Channels} from "./Channels.sol";
import {vm} from "./Vm.sol";

/// @notice How channels are filled: by EIP-3009, by Permit2, and not otherwise.
contract BatchDepositsTest is Channels {
    IBatchSettlement.ChannelConfig internal channel = channelOf(vm.addr(PAYER_KEY), 7);
    bytes32 internal id;

    function setUp() public {
        placeAll();
        token.mint(payer, 10e6);
        id = idOf(channel);
    }

    function test_a_first_deposit_creates_the_channel_and_later_ones_add_to_it() public {
        bytes memory first = byEip3009(PAYER_KEY, channel, 3e6, 0);
        vm.expectEmit(BATCH);
        emit IBatchSettlement.ChannelCreated(id, channel);
        vm.expectEmit(BATCH);
        emit IBatchSettlement.Deposited(id, STRANGER, 3e6, 3e6);
        vm.prank(STRANGER);
        batch.deposit(channel, 3e6, BY_EIP3009, first);

        bytes memory second = byEip3009(PAYER_KEY, channel, 4e6, 1);
        vm.recordLogs();
        batch.deposit(channel, 4e6, BY_EIP3009, second);
        // AuthorizationUsed, twice Transfer, Deposited: the channel is not created again.
        vm.assertEq(vm.getRecordedLogs().length, 4);
        vm.assertEq(balanceOf(channel), 7e6);
        vm.assertEq(token.balanceOf(BATCH), 7e6);
        vm.assertEq(token.balanceOf(BY_EIP3009), 0);
        vm.assertEq(token.balanceOf(payer), 3e6);
    }

    function test_refuses_a_channel_that_lacks_a_party() public {
        IBatchSettlement.ChannelConfig memory c = channelOf(payer, 1);
        c.payer = address(0);
        refusesDeposit(c, 1, BY_EIP3009, IBatchSettlement.InvalidChannel.selector);
        c = channelOf(payer, 1);
        c.receiver = address(0);
        refusesDeposit(c, 1, BY_EIP3009, IBatchSettlement.InvalidChannel.selector);
        c = channelOf(payer, 1);
        c.receiverAuthorizer = address(0);
        refusesDeposit(c, 1, BY_EIP3009, IBatchSettlement.InvalidChannel.selector);
        c = channelOf(payer, 1);
        c.token = address(0);
        refusesDeposit(c, 1, BY_EIP3009, IBatchSettlement.InvalidChannel.selector);
    }

    function test_bounds_the_delay_of_a_withdrawal() public {
        IBatchSettlement.ChannelConfig memory c = channelOf(payer, 1);
        c.withdrawDelay = 899;
        refusesDeposit(c, 1, BY_EIP3009, IBatchSettlement.WithdrawDelayOutOfRange.selector);
        c.withdrawDelay = 2_592_001;
        refusesDeposit(c, 1, BY_EIP3009, IBatchSettlement.WithdrawDelayOutOfRange.selector);
        c.withdrawDelay = 900;
        fill(c, 1, 0);
        c.withdrawDelay = 2_592_000;
        fill(c, 1, 0);
    }

    function test_refuses_nothing_too_much_and_no_collector() public {
        refusesDeposit(channel, 0, BY_EIP3009, IBatchSettlement.ZeroDeposit.selector);
        refusesDeposit(channel, 1, address(0), IBatchSettlement.InvalidCollector.selector);
        fill(channel, 1, 0);
        refusesDeposit(channel, type(uint128).max, BY_EIP3009, IBatchSettlement.DepositOverflow.selector);
        vm.expectRevert(bytes(""));
        batch.deposit(channel, 1, STRANGER, "");
    }

    function refusesDeposit(IBatchSettlement.ChannelConfig memory c, uint128 amount, address collector, bytes4 selector)
        private
    {
        refuses(selector);
        batch.deposit(c, amount, collector, "");
    }

    function test_an_authorization_fills_one_channel_with_one_amount_once() public {
        bytes memory data = byEip3009(PAYER_KEY, channel, 3e6, 0);
        vm.expectRevert(reason("FiatTokenV2: invalid signature"));
        batch.deposit(channelOf(payer, 8), 3e6, BY_EIP3009, data);
        vm.expectRevert(reason("FiatTokenV2: invalid signature"));
        batch.deposit(channel, 3e6 + 1, BY_EIP3009, data);
        batch.deposit(channel, 3e6, BY_EIP3009, data);
        vm.expectRevert(reason("FiatTokenV2: authorization is used or canceled"));
        batch.deposit(channel, 3e6, BY_EIP3009, data);
        vm.assertEq(balanceOf(channel), 3e6);
    }

    function test_nobody_but_the_contract_collects() public {
        bytes memory data = byEip3009(PAYER_KEY, channel, 3e6, 0);
        refuses(IDepositCollector.OnlyX402BatchSettlement.selector);
        IDepositCollector(BY_EIP3009).collect(payer, USDC, 3e6, id, data);
        refuses(IDepositCollector.OnlyX402BatchSettlement.selector);
        IDepositCollector(BY_PERMIT2).collect(payer, USDC, 3e6, id, "");
        vm.assertEq(IDepositCollector(BY_EIP3009).x402BatchSettlement(), BATCH);
        vm.assertEq(IDepositCollector(BY_PERMIT2).x402BatchSettlement(), BATCH);
        vm.assertEq(address(Permit2DepositCollector(BY_PERMIT2).PERMIT2()), PERMIT2);
    }

    function test_collectors_are_built_for_someone() public {
        refuses(IDepositCollector.InvalidX402BatchSettlementAddress.selector);
        new Erc3009DepositCollector(address(0));
        refuses(IDepositCollector.InvalidX402BatchSettlementAddress.selector);
        new Permit2DepositCollector(address(0), PERMIT2);
        refuses(Permit2DepositCollector.InvalidPermit2Address.selector);
        new Permit2DepositCollector(BATCH, address(0));
    }

    function test_a_wallet_with_code_fills_its_channel_by_eip3009() public {
        ContractWallet wallet = new ContractWallet(payer);
        IBatchSettlement.ChannelConfig memory c = channelOf(address(wallet), 1);
        fill(c, 2e6, 0);
        vm.assertEq(balanceOf(c), 2e6);
        token.mint(address(wallet), 1);
        bytes memory forged = byEip3009(OPERATOR_KEY, c, 1, 1);
        vm.expectRevert(reason("FiatTokenV2: invalid signature"));
        batch.deposit(c, 1, BY_EIP3009, forged);
    }

    function test_permit2_fills_a_channel_of_a_payer_who_approved_it() public {
        vm.prank(payer);
        token.approve(PERMIT2, 5e6);
        bytes memory data = byPermit2(PAYER_KEY, channel, 5e6, 3, "");
        vm.expectEmit(BATCH);
        emit IBatchSettlement.ChannelCreated(id, channel);
        vm.expectEmit(BATCH);
        emit IBatchSettlement.Deposited(id, address(this), 5e6, 5e6);
        batch.deposit(channel, 5e6, BY_PERMIT2, data);
        vm.assertEq(balanceOf(channel), 5e6);
        vm.assertEq(token.balanceOf(BATCH), 5e6);
        refuses(IPermit2.InvalidNonce.selector);
        batch.deposit(channel, 5e6, BY_PERMIT2, data);
    }

    function test_a_permit_fills_one_channel_with_one_amount() public {
        vm.prank(payer);
        token.approve(PERMIT2, 5e6);
        bytes memory data = byPermit2(PAYER_KEY, channel, 3e6, 3, "");
        refuses(IPermit2.InvalidSigner.selector);
        batch.deposit(channelOf(payer, 8), 3e6, BY_PERMIT2, data);
        refuses(IPermit2.InvalidSigner.selector);
        batch.deposit(channel, 3e6 - 1, BY_PERMIT2, data);
        vm.warp(block.timestamp + 61);
        vm.expectRevert(abi.encodeWithSelector(IPermit2.SignatureExpired.selector, block.timestamp - 1));
        batch.deposit(channel, 3e6, BY_PERMIT2, data);
        vm.assertEq(token.balanceOf(payer), 10e6);
    }

    function test_a_permit_of_the_token_saves_the_approval() public {
        bytes memory approval = eip2612(PAYER_KEY, 4e6, 0, block.timestamp);
        batch.deposit(channel, 4e6, BY_PERMIT2, byPermit2(PAYER_KEY, channel, 4e6, 1, approval));
        vm.assertEq(balanceOf(channel), 4e6);
        vm.assertEq(token.allowance(payer, PERMIT2), 0);
    }

    function test_a_permit_of_the_token_for_another_amount_is_refused() public {
        bytes memory approval = eip2612(PAYER_KEY, 4e6 + 1, 0, block.timestamp);
        bytes memory data = byPermit2(PAYER_KEY, channel, 4e6, 1, approval);
        refuses(Permit2DepositCollector.Permit2612AmountMismatch.selector);
        batch.deposit(channel, 4e6, BY_PERMIT2, data);
    }

    /// @dev Anyone may have used the permit before: then the allowance is there, and the deposit goes through.
    function test_a_permit_that_was_used_before_is_told_and_passed_over() public {
        bytes memory approval = eip2612(PAYER_KEY, 4e6, 0, block.timestamp);
        (uint256 value, uint256 deadline, uint8 v, bytes32 r, bytes32 s) =
            abi.decode(approval, (uint256, uint256, uint8, bytes32, bytes32));
        token.permit(payer, PERMIT2, value, deadline, v, r, s);
        bytes memory data = byPermit2(PAYER_KEY, channel, 4e6, 1, approval);
        vm.expectEmit(BY_PERMIT2);
        emit Permit2DepositCollector.EIP2612PermitFailedWithReason(USDC, payer, "EIP2612: invalid signature");
        batch.deposit(channel, 4e6, BY_PERMIT2, data);
        vm.assertEq(balanceOf(channel), 4e6);
    }

    function test_a_refused_permit_of_the_token_leaves_the_last_word_to_permit2() public {
        bytes memory approval = eip2612(OPERATOR_KEY, 4e6, 0, block.timestamp);
        bytes memory data = byPermit2(PAYER_KEY, channel, 4e6, 1, approval);
        vm.expectRevert();
        batch.deposit(channel, 4e6, BY_PERMIT2, data);
        vm.assertEq(balanceOf(channel), 0);
    }
}
