// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.28;

import {IPermit2} from "../src/interfaces/IPermit2.sol";
import {UsdcStandIn} from "../src/local/UsdcStandIn.sol";
import {Permit2Payer} from "./Permit2Payer.sol";
import {vm} from "./Vm.sol";

/// @notice Permit2's allowances; this contract is the spender.
contract Permit2AllowancesTest is Permit2Payer {
    IPermit2 internal permit2 = IPermit2(PERMIT2);
    UsdcStandIn internal token;
    UsdcStandIn internal other;
    uint256 internal constant KEY = 0xA11CE;
    address internal payer = vm.addr(KEY);
    address internal payee = address(0xBEEF);

    event Approval(
        address indexed owner, address indexed token, address indexed spender, uint160 amount, uint48 expiration
    );
    event Permit(
        address indexed owner,
        address indexed token,
        address indexed spender,
        uint160 amount,
        uint48 expiration,
        uint48 nonce
    );
    event Lockdown(address indexed owner, address token, address spender);
    event NonceInvalidation(
        address indexed owner, address indexed token, address indexed spender, uint48 newNonce, uint48 oldNonce
    );

    function setUp() public {
        installPermit2();
        token = new UsdcStandIn();
        other = new UsdcStandIn();
        for (uint256 i = 0; i < 2; ++i) {
            UsdcStandIn money = i == 0 ? token : other;
            money.mint(payer, 10e6);
            vm.prank(payer);
            money.approve(PERMIT2, type(uint256).max);
        }
    }

    function usual() private view returns (IPermit2.PermitSingle memory) {
        IPermit2.PermitDetails memory details =
            IPermit2.PermitDetails(address(token), 1e6, uint48(block.timestamp + 60), 0);
        return IPermit2.PermitSingle(details, address(this), block.timestamp);
    }

    function isAllowed(UsdcStandIn money, uint160 amount, uint256 expiration, uint48 nonce) private view {
        (uint160 amountIs, uint48 expirationIs, uint48 nonceIs) =
            permit2.allowance(payer, address(money), address(this));
        vm.assertEq(amountIs, amount, "amount");
        vm.assertEq(expirationIs, expiration, "expiration");
        vm.assertEq(nonceIs, nonce, "nonce");
    }

    function test_an_approval_lets_its_spender_take_until_it_expires() public {
        uint48 end = uint48(block.timestamp + 60);
        vm.expectEmit(PERMIT2);
        emit Approval(payer, address(token), address(this), 5, end);
        vm.prank(payer);
        permit2.approve(address(token), address(this), 5, end);
        vm.warp(end);
        permit2.transferFrom(payer, payee, 3, address(token));
        isAllowed(token, 2, end, 0);
        vm.expectRevert(abi.encodeWithSelector(IPermit2.InsufficientAllowance.selector, 2));
        permit2.transferFrom(payer, payee, 3, address(token));
        vm.warp(end + 1);
        vm.expectRevert(abi.encodeWithSelector(IPermit2.AllowanceExpired.selector, end));
        permit2.transferFrom(payer, payee, 1, address(token));
        vm.assertEq(token.balanceOf(payee), 3);
    }

    function test_an_approval_without_end_is_for_this_block() public {
        vm.prank(payer);
        permit2.approve(address(token), address(this), 5, 0);
        isAllowed(token, 5, block.timestamp, 0);
    }

    function test_the_greatest_allowance_does_not_shrink() public {
        vm.prank(payer);
        permit2.approve(address(token), address(this), type(uint160).max, type(uint48).max);
        permit2.transferFrom(payer, payee, 3, address(token));
        isAllowed(token, type(uint160).max, type(uint48).max, 0);
    }

    function test_a_signed_allowance_is_set_once() public {
        bytes memory signature = sign(KEY, singleDigest(usual()));
        vm.expectEmit(PERMIT2);
        emit Permit(payer, address(token), address(this), 1e6, uint48(block.timestamp + 60), 0);
        permit2.permit(payer, usual(), signature);
        isAllowed(token, 1e6, block.timestamp + 60, 1);
        vm.expectRevert(abi.encodeWithSelector(IPermit2.InvalidNonce.selector));
        permit2.permit(payer, usual(), signature);
    }

    function test_a_signed_allowance_is_refused_late_or_from_another() public {
        IPermit2.PermitSingle memory p = usual();
        bytes memory foreign = sign(0xBAD, singleDigest(p));
        vm.expectRevert(abi.encodeWithSelector(IPermit2.InvalidSigner.selector));
        permit2.permit(payer, p, foreign);
        bytes memory signature = sign(KEY, singleDigest(p));
        vm.warp(p.sigDeadline + 1);
        vm.expectRevert(abi.encodeWithSelector(IPermit2.SignatureExpired.selector, p.sigDeadline));
        permit2.permit(payer, p, signature);
    }

    function test_many_allowances_are_signed_at_once_and_taken_at_once() public {
        IPermit2.PermitBatch memory p;
        p.details = new IPermit2.PermitDetails[](2);
        p.details[0] = usual().details;
        p.details[1] = IPermit2.PermitDetails(address(other), 7, type(uint48).max, 0);
        p.spender = address(this);
        p.sigDeadline = block.timestamp;
        permit2.permit(payer, p, sign(KEY, allowancesDigest(p)));
        isAllowed(token, 1e6, block.timestamp + 60, 1);
        isAllowed(other, 7, type(uint48).max, 1);

        IPermit2.AllowanceTransferDetails[] memory list = new IPermit2.AllowanceTransferDetails[](2);
        list[0] = IPermit2.AllowanceTransferDetails(payer, payee, 5, address(token));
        list[1] = IPermit2.AllowanceTransferDetails(payer, payee, 8, address(other));
        vm.expectRevert(abi.encodeWithSelector(IPermit2.InsufficientAllowance.selector, 7));
        permit2.transferFrom(list);
        vm.assertEq(token.balanceOf(payee), 0);
        list[1].amount = 7;
        permit2.transferFrom(list);
        vm.assertEq(token.balanceOf(payee), 5);
        vm.assertEq(other.balanceOf(payee), 7);
    }

    function test_a_lockdown_leaves_nothing_to_take() public {
        permit2.permit(payer, usual(), sign(KEY, singleDigest(usual())));
        IPermit2.TokenSpenderPair[] memory pairs = new IPermit2.TokenSpenderPair[](1);
        pairs[0] = IPermit2.TokenSpenderPair(address(token), address(this));
        vm.expectEmit(PERMIT2);
        emit Lockdown(payer, address(token), address(this));
        vm.prank(payer);
        permit2.lockdown(pairs);
        isAllowed(token, 0, block.timestamp + 60, 1);
        vm.expectRevert(abi.encodeWithSelector(IPermit2.InsufficientAllowance.selector, 0));
        permit2.transferFrom(payer, payee, 1, address(token));
    }

    function test_nonces_are_skipped_forward_and_not_too_far() public {
        vm.expectEmit(PERMIT2);
        emit NonceInvalidation(payer, address(token), address(this), 65_535, 0);
        vm.prank(payer);
        permit2.invalidateNonces(address(token), address(this), 65_535);
        bytes memory signature = sign(KEY, singleDigest(usual()));
        vm.expectRevert(abi.encodeWithSelector(IPermit2.InvalidNonce.selector));
        permit2.permit(payer, usual(), signature);
        vm.expectRevert(abi.encodeWithSelector(IPermit2.InvalidNonce.selector));
        vm.prank(payer);
        permit2.invalidateNonces(address(token), address(this), 65_535);
        vm.expectRevert(abi.encodeWithSelector(IPermit2.ExcessiveInvalidation.selector));
        vm.prank(payer);
        permit2.invalidateNonces(address(token), address(this), 131_071);
    }
}
