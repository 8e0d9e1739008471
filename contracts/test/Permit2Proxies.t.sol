// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.28;

import {IPermit2} from "../src/interfaces/IPermit2.sol";
import {IExactPermit2Proxy, IPermit2Proxy, IUptoPermit2Proxy} from "../src/interfaces/IPermit2Proxies.sol";
import {ExactPermit2Proxy} from "../src/local/ExactPermit2Proxy.sol";
import {UsdcStandIn} from "../src/local/UsdcStandIn.sol";
import {CallingToken, StubbornToken} from "./OddTokens.sol";
import {Permit2Payer} from "./Permit2Payer.sol";
import {vm} from "./Vm.sol";

/// @notice Both proxies at the addresses that clients sign for; this contract is the facilitator.
contract Permit2ProxiesTest is Permit2Payer {
    IExactPermit2Proxy internal exact = IExactPermit2Proxy(EXACT);
    IUptoPermit2Proxy internal upto = IUptoPermit2Proxy(UPTO);
    UsdcStandIn internal token;
    uint256 internal constant KEY = 0xA11CE;
    address internal payer = vm.addr(KEY);
    address internal payee = address(0xBEEF);

    event Settled();
    event SettledWithPermit();
    event EIP2612PermitFailedWithReason(address indexed token, address indexed owner, string reason);
    event EIP2612PermitFailedWithPanic(address indexed token, address indexed owner, uint256 errorCode);
    event EIP2612PermitFailedWithData(address indexed token, address indexed owner, bytes data);

    function setUp() public {
        installPermit2();
        vm.etch(USDC, address(new UsdcStandIn()).code);
        token = UsdcStandIn(USDC);
        token.mint(payer, 10e6);
    }

    modifier approved() {
        vm.prank(payer);
        token.approve(PERMIT2, type(uint256).max);
        _;
    }

    function usual() private view returns (IPermit2.PermitTransferFrom memory) {
        return permitOf(USDC, 1e6, 7);
    }

    function toPayee() private view returns (IExactPermit2Proxy.Witness memory) {
        return IExactPermit2Proxy.Witness(payee, block.timestamp);
    }

    function byMe() private view returns (IUptoPermit2Proxy.Witness memory) {
        return IUptoPermit2Proxy.Witness(payee, address(this), block.timestamp);
    }

    function signExact(IPermit2.PermitTransferFrom memory p) private view returns (bytes memory) {
        return sign(KEY, exactDigest(p, toPayee()));
    }

    function signUpto(IPermit2.PermitTransferFrom memory p) private view returns (bytes memory) {
        return sign(KEY, uptoDigest(p, byMe()));
    }

    function refusal(bytes4 selector) private {
        vm.expectRevert(abi.encodeWithSelector(selector));
    }

    function test_the_witness_types_are_what_clients_sign() public view {
        vm.assertEq(address(exact.PERMIT2()), PERMIT2);
        vm.assertEq(exact.WITNESS_TYPEHASH(), keccak256("Witness(address to,uint256 validAfter)"));
        vm.assertEq(upto.WITNESS_TYPEHASH(), keccak256("Witness(address to,address facilitator,uint256 validAfter)"));
        vm.assertEq(
            exact.WITNESS_TYPE_STRING(),
            "Witness witness)TokenPermissions(address token,uint256 amount)Witness(address to,uint256 validAfter)"
        );
        vm.assertEq(
            upto.WITNESS_TYPE_STRING(),
            "Witness witness)TokenPermissions(address token,uint256 amount)Witness(address to,address facilitator,uint256 validAfter)"
        );
    }

    function test_a_proxy_needs_a_permit2() public {
        refusal(IPermit2Proxy.InvalidPermit2Address.selector);
        new ExactPermit2Proxy(IPermit2(address(0)));
    }

    function test_exact_moves_all_of_it_to_the_payee_whoever_settles() public approved {
        bytes memory signature = signExact(usual());
        vm.expectEmit(EXACT);
        emit Settled();
        vm.prank(address(0xBAD));
        exact.settle(usual(), payer, toPayee(), signature);
        vm.assertEq(token.balanceOf(payee), 1e6);
        vm.assertEq(token.balanceOf(payer), 9e6);
        refusal(IPermit2.InvalidNonce.selector);
        exact.settle(usual(), payer, toPayee(), signature);
    }

    function test_exact_refuses_by_name() public approved {
        refusal(IPermit2Proxy.InvalidAmount.selector);
        exact.settle(permitOf(USDC, 0, 7), payer, toPayee(), "");
        refusal(IPermit2Proxy.InvalidOwner.selector);
        exact.settle(usual(), address(0), toPayee(), "");
        refusal(IPermit2Proxy.InvalidDestination.selector);
        exact.settle(usual(), payer, IExactPermit2Proxy.Witness(address(0), 0), "");
        refusal(IPermit2Proxy.PaymentTooEarly.selector);
        exact.settle(usual(), payer, IExactPermit2Proxy.Witness(payee, block.timestamp + 1), "");
    }

    function test_exact_pays_nobody_else() public approved {
        bytes memory signature = signExact(usual());
        refusal(IPermit2.InvalidSigner.selector);
        exact.settle(usual(), payer, IExactPermit2Proxy.Witness(address(0xBAD), block.timestamp), signature);
    }

    function test_upto_moves_what_was_used_once() public approved {
        bytes memory signature = signUpto(usual());
        vm.expectEmit(UPTO);
        emit Settled();
        upto.settle(usual(), 0.3e6, payer, byMe(), signature);
        vm.assertEq(token.balanceOf(payee), 0.3e6);
        refusal(IPermit2.InvalidNonce.selector);
        upto.settle(usual(), 0.3e6, payer, byMe(), signature);
    }

    function test_upto_refuses_by_name() public approved {
        refusal(IUptoPermit2Proxy.AmountExceedsPermitted.selector);
        upto.settle(usual(), 1e6 + 1, payer, byMe(), "");
        refusal(IPermit2Proxy.InvalidAmount.selector);
        upto.settle(usual(), 0, payer, byMe(), "");
        refusal(IPermit2Proxy.InvalidOwner.selector);
        upto.settle(usual(), 1, address(0), byMe(), "");
        refusal(IPermit2Proxy.InvalidDestination.selector);
        upto.settle(usual(), 1, payer, IUptoPermit2Proxy.Witness(address(0), address(this), 0), "");
        refusal(IPermit2Proxy.PaymentTooEarly.selector);
        upto.settle(usual(), 1, payer, IUptoPermit2Proxy.Witness(payee, address(this), block.timestamp + 1), "");
    }

    function test_upto_is_settled_by_the_signed_facilitator_alone() public approved {
        bytes memory signature = signUpto(usual());
        IUptoPermit2Proxy.Witness memory other = IUptoPermit2Proxy.Witness(payee, address(0xBAD), block.timestamp);
        refusal(IUptoPermit2Proxy.UnauthorizedFacilitator.selector);
        vm.prank(address(0xBAD));
        upto.settle(usual(), 1, payer, byMe(), signature);
        refusal(IPermit2.InvalidSigner.selector);
        vm.prank(address(0xBAD));
        upto.settle(usual(), 1, payer, other, signature);
    }

    function test_a_payment_for_one_proxy_is_none_for_the_other() public approved {
        bytes memory signature = signUpto(usual());
        refusal(IPermit2.InvalidSigner.selector);
        exact.settle(usual(), payer, toPayee(), signature);
    }

    function test_without_an_approval_nothing_moves() public {
        bytes memory signature = signExact(usual());
        vm.expectRevert(reason("TRANSFER_FROM_FAILED"));
        exact.settle(usual(), payer, toPayee(), signature);
    }

    function test_an_eip2612_permit_takes_the_place_of_an_approval() public {
        bytes memory signature = signExact(usual());
        vm.expectEmit(EXACT);
        emit SettledWithPermit();
        exact.settleWithPermit(sponsored(KEY, 1e6), usual(), payer, toPayee(), signature);
        vm.assertEq(token.balanceOf(payee), 1e6);
        vm.assertEq(token.allowance(payer, PERMIT2), 0);
    }

    function test_upto_with_a_permit_leaves_the_rest_allowed() public {
        bytes memory signature = signUpto(usual());
        vm.expectEmit(UPTO);
        emit SettledWithPermit();
        upto.settleWithPermit(sponsored(KEY, 1e6), usual(), 0.3e6, payer, byMe(), signature);
        vm.assertEq(token.balanceOf(payee), 0.3e6);
        vm.assertEq(token.allowance(payer, PERMIT2), 0.7e6);
    }

    function test_a_permit_for_another_amount_is_refused() public {
        IPermit2Proxy.EIP2612Permit memory more = sponsored(KEY, 1e6 + 1);
        bytes memory signature = signExact(usual());
        refusal(IPermit2Proxy.Permit2612AmountMismatch.selector);
        exact.settleWithPermit(more, usual(), payer, toPayee(), signature);
        signature = signUpto(usual());
        refusal(IPermit2Proxy.Permit2612AmountMismatch.selector);
        upto.settleWithPermit(more, usual(), 1, payer, byMe(), signature);
        refusal(IUptoPermit2Proxy.UnauthorizedFacilitator.selector);
        vm.prank(address(0xBAD));
        upto.settleWithPermit(more, usual(), 1, payer, byMe(), signature);
        refusal(IUptoPermit2Proxy.AmountExceedsPermitted.selector);
        upto.settleWithPermit(more, usual(), 1e6 + 1, payer, byMe(), signature);
    }

    /// @dev Someone may put the permit on chain first: the payment must not fail for it.
    function test_a_permit_that_was_used_already_is_told_and_passed_over() public {
        IPermit2Proxy.EIP2612Permit memory used = sponsored(KEY, 1e6);
        token.permit(payer, PERMIT2, used.value, used.deadline, used.v, used.r, used.s);
        bytes memory signature = signUpto(usual());
        vm.expectEmit(UPTO);
        emit EIP2612PermitFailedWithReason(USDC, payer, "EIP2612: invalid signature");
        upto.settleWithPermit(used, usual(), 1e6, payer, byMe(), signature);
        vm.assertEq(token.balanceOf(payee), 1e6);
    }

    function test_a_failed_permit_without_an_approval_moves_nothing() public {
        IPermit2Proxy.EIP2612Permit memory bad = sponsored(0xBAD, 1e6);
        bytes memory signature = signExact(usual());
        vm.expectRevert(reason("TRANSFER_FROM_FAILED"));
        exact.settleWithPermit(bad, usual(), payer, toPayee(), signature);
    }

    function test_a_permit_that_fails_in_another_way_is_told_as_it_failed() public {
        for (uint256 mood = 0; mood < 3; ++mood) {
            address odd = address(new StubbornToken(StubbornToken.Mood(mood), payer));
            IPermit2Proxy.EIP2612Permit memory p = sponsored(KEY, 1e6);
            IPermit2.PermitTransferFrom memory permit = permitOf(odd, 1e6, mood);
            bytes memory signature = signExact(permit);
            vm.expectEmit(EXACT);
            if (mood == 0) emit EIP2612PermitFailedWithPanic(odd, payer, 1);
            bytes memory data =
                mood == 1 ? abi.encodeWithSelector(StubbornToken.Stubborn.selector, p.deadline) : bytes("");
            if (mood != 0) emit EIP2612PermitFailedWithData(odd, payer, data);
            exact.settleWithPermit(p, permit, payer, toPayee(), signature);
            vm.assertEq(StubbornToken(odd).balanceOf(payee), 1e6);
        }
    }

    /// @dev The inner payment is good in itself: only the lock refuses it.
    function test_a_token_that_calls_back_settles_nothing_more() public {
        CallingToken odd = new CallingToken();
        odd.mint(payer, 10e6);
        vm.prank(payer);
        odd.approve(PERMIT2, type(uint256).max);
        IPermit2.PermitTransferFrom memory outer = permitOf(address(odd), 1e6, 1);
        IPermit2.PermitTransferFrom memory inner = permitOf(address(odd), 2e6, 2);
        bytes memory signature = signExact(inner);
        odd.arm(EXACT, abi.encodeCall(exact.settle, (inner, payer, toPayee(), signature)));

        exact.settle(outer, payer, toPayee(), signExact(outer));
        vm.assertFalse(odd.called());
        vm.assertEq(odd.answer(), abi.encodeWithSelector(IPermit2Proxy.ReentrancyGuardReentrantCall.selector));
        vm.assertEq(odd.balanceOf(payee), 1e6);

        odd.arm(address(0), "");
        exact.settle(inner, payer, toPayee(), signature);
        vm.assertEq(odd.balanceOf(payee), 3e6);
    }

    /// @dev The facilitator is the token itself, so that nothing but the lock is in its way.
    function test_a_facilitator_that_is_called_back_settles_nothing_more() public {
        CallingToken odd = new CallingToken();
        odd.mint(payer, 10e6);
        vm.prank(payer);
        odd.approve(PERMIT2, type(uint256).max);
        IUptoPermit2Proxy.Witness memory w = IUptoPermit2Proxy.Witness(payee, address(odd), 0);
        IPermit2.PermitTransferFrom memory outer = permitOf(address(odd), 1e6, 1);
        IPermit2.PermitTransferFrom memory inner = permitOf(address(odd), 2e6, 2);
        bytes memory signature = sign(KEY, uptoDigest(inner, w));
        odd.arm(UPTO, abi.encodeCall(upto.settle, (inner, 2e6, payer, w, signature)));

        signature = sign(KEY, uptoDigest(outer, w));
        vm.prank(address(odd));
        upto.settle(outer, 1e6, payer, w, signature);
        vm.assertFalse(odd.called());
        vm.assertEq(odd.answer(), abi.encodeWithSelector(IPermit2Proxy.ReentrancyGuardReentrantCall.selector));
        vm.assertEq(odd.balanceOf(payee), 1e6);
    }
}
