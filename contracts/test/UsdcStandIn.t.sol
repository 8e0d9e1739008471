// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.28;

import {StandInErc20} from "../src/local/StandInErc20.sol";
import {UsdcStandIn} from "../src/local/UsdcStandIn.sol";
import {Payer, Payment} from "./Payer.sol";
import {vm} from "./Vm.sol";

/// @notice The stand-in as the local chain has it: its code copied to USDC's address.
contract UsdcStandInTest is Payer {
    UsdcStandIn internal token;
    uint256 internal constant KEY = 0xA11CE;
    address internal payer = vm.addr(KEY);
    address internal payee = address(0xBEEF);

    function setUp() public {
        vm.etch(USDC, address(new UsdcStandIn()).code);
        token = UsdcStandIn(USDC);
        token.mint(payer, 10e6);
    }

    function payment() internal view returns (Payment memory) {
        return Payment(payer, payee, 1e6, 0, block.timestamp + 60, keccak256("nonce"));
    }

    function test_describes_itself_as_usdc() public view {
        vm.assertEq(token.name(), "USDC");
        vm.assertEq(token.symbol(), "USDC");
        vm.assertEq(token.version(), "2");
        vm.assertEq(token.decimals(), 6);
        vm.assertEq(token.totalSupply(), 10e6);
    }

    function test_type_hashes_are_the_published_ones() public view {
        vm.assertEq(
            token.TRANSFER_WITH_AUTHORIZATION_TYPEHASH(),
            bytes32(0x7c7c6cdb67a18743f49ec6fa9b35f50d52ed05cbed4cc592e13b44501c1a2267)
        );
        vm.assertEq(
            token.RECEIVE_WITH_AUTHORIZATION_TYPEHASH(),
            bytes32(0xd099cc98ef71107a616c4f0f941f04c322d8e254fe26b3c6668db87aae413de8)
        );
        vm.assertEq(
            token.CANCEL_AUTHORIZATION_TYPEHASH(),
            bytes32(0x158b0a9edf7a828aad02f63cd515c68ef2f50ba807396f6d12842833a1597429)
        );
        vm.assertEq(
            token.PERMIT_TYPEHASH(), bytes32(0x6e71edae12b1b97f4d1f60370fef10105fa2faae0126114a169c64845d6126c9)
        );
    }

    /// @dev The word that USDC itself answers on Base Sepolia: what a payer signs for one, the other takes.
    function test_domain_is_that_of_usdc_on_base_sepolia() public view {
        vm.assertEq(
            token.DOMAIN_SEPARATOR(), bytes32(0x71f17a3b2ff373b803d70a5a07c046c1a2bc8e89c09ef722fcb047abe94c9818)
        );
    }

    function test_domain_follows_the_address_and_the_chain() public {
        bytes32 here = token.DOMAIN_SEPARATOR();
        vm.assertTrue(here != new UsdcStandIn().DOMAIN_SEPARATOR());
        vm.chainId(8453);
        vm.assertTrue(here != token.DOMAIN_SEPARATOR());
        vm.chainId(84_532);
        vm.assertEq(here, token.DOMAIN_SEPARATOR());
    }

    function test_pays_with_a_split_signature() public {
        Payment memory p = payment();
        bytes memory signature = signPayment(KEY, USDC, p);
        vm.expectEmit(USDC);
        emit UsdcStandIn.AuthorizationUsed(payer, p.nonce);
        vm.expectEmit(USDC);
        emit StandInErc20.Transfer(payer, payee, 1e6);
        submitSplit(token, p, signature);
        vm.assertEq(token.balanceOf(payee), 1e6);
        vm.assertEq(token.balanceOf(payer), 9e6);
        vm.assertTrue(token.authorizationState(payer, p.nonce));
    }

    function test_pays_with_a_whole_signature() public {
        submit(token, payment(), signPayment(KEY, USDC, payment()));
        vm.assertEq(token.balanceOf(payee), 1e6);
    }

    function test_refuses_a_used_authorization_in_either_form() public {
        bytes memory signature = signPayment(KEY, USDC, payment());
        submit(token, payment(), signature);
        vm.expectRevert(reason("FiatTokenV2: authorization is used or canceled"));
        submit(token, payment(), signature);
        vm.expectRevert(reason("FiatTokenV2: authorization is used or canceled"));
        submitSplit(token, payment(), signature);
        vm.assertEq(token.balanceOf(payee), 1e6);
    }

    function test_refuses_outside_the_window() public {
        Payment memory p = payment();
        p.validAfter = block.timestamp;
        vm.expectRevert(reason("FiatTokenV2: authorization is not yet valid"));
        submit(token, p, signPayment(KEY, USDC, p));
        p.validAfter = 0;
        p.validBefore = block.timestamp;
        vm.expectRevert(reason("FiatTokenV2: authorization is expired"));
        submit(token, p, signPayment(KEY, USDC, p));
    }

    function test_refuses_anothers_signature_and_broken_ones() public {
        Payment memory p = payment();
        vm.expectRevert(reason("FiatTokenV2: invalid signature"));
        submit(token, p, signPayment(KEY + 1, USDC, p));

        (bytes32 r, bytes32 s, uint8 v) = split(signPayment(KEY, USDC, p));
        vm.expectRevert(reason("ECRecover: invalid signature 's' value"));
        submit(token, p, abi.encodePacked(r, ORDER - uint256(s), v == 27 ? uint8(28) : uint8(27)));
        vm.expectRevert(reason("ECRecover: invalid signature 'v' value"));
        submit(token, p, abi.encodePacked(r, s, v - 27));
        vm.expectRevert(reason("ECRecover: invalid signature"));
        submit(token, p, abi.encodePacked(bytes32(0), s, v));
        vm.expectRevert(reason("ECRecover: invalid signature length"));
        submit(token, p, abi.encodePacked(r, s));
    }

    function test_refuses_a_signature_for_another_chain_or_token() public {
        Payment memory p = payment();
        bytes memory elsewhere = signPayment(KEY, address(0xDEAD), p);
        vm.expectRevert(reason("FiatTokenV2: invalid signature"));
        submit(token, p, elsewhere);
        bytes memory here = signPayment(KEY, USDC, p);
        vm.chainId(1);
        vm.expectRevert(reason("FiatTokenV2: invalid signature"));
        submit(token, p, here);
    }

    function test_refuses_more_than_the_balance_and_keeps_the_nonce() public {
        Payment memory p = payment();
        p.value = 10e6 + 1;
        bytes memory signature = signPayment(KEY, USDC, p);
        vm.expectRevert(reason("ERC20: transfer amount exceeds balance"));
        submit(token, p, signature);
        vm.assertFalse(token.authorizationState(payer, p.nonce));
        token.mint(payer, 1);
        submit(token, p, signature);
        vm.assertEq(token.balanceOf(payee), p.value);
    }

    function test_only_the_payee_receives() public {
        Payment memory p = payment();
        bytes memory signature = sign(KEY, paymentDigest(USDC, RECEIVE, p));
        vm.expectRevert(reason("FiatTokenV2: caller must be the payee"));
        token.receiveWithAuthorization(p.from, p.to, p.value, p.validAfter, p.validBefore, p.nonce, signature);
        vm.expectRevert(reason("FiatTokenV2: invalid signature"));
        submit(token, p, signature);
        vm.prank(payee);
        token.receiveWithAuthorization(p.from, p.to, p.value, p.validAfter, p.validBefore, p.nonce, signature);
        vm.assertEq(token.balanceOf(payee), 1e6);

        p.nonce = keccak256("another");
        (bytes32 r, bytes32 s, uint8 v) = split(sign(KEY, paymentDigest(USDC, RECEIVE, p)));
        vm.prank(payee);
        token.receiveWithAuthorization(p.from, p.to, p.value, p.validAfter, p.validBefore, p.nonce, v, r, s);
        vm.assertEq(token.balanceOf(payee), 2e6);
    }

    function test_a_canceled_authorization_pays_nothing() public {
        Payment memory p = payment();
        bytes memory cancel = sign(KEY, cancelDigest(USDC, payer, p.nonce));
        vm.expectEmit(USDC);
        emit UsdcStandIn.AuthorizationCanceled(payer, p.nonce);
        token.cancelAuthorization(payer, p.nonce, cancel);
        bytes memory signature = signPayment(KEY, USDC, p);
        vm.expectRevert(reason("FiatTokenV2: authorization is used or canceled"));
        submit(token, p, signature);
        vm.expectRevert(reason("FiatTokenV2: authorization is used or canceled"));
        token.cancelAuthorization(payer, p.nonce, cancel);

        bytes32 other = keccak256("another");
        (bytes32 r, bytes32 s, uint8 v) = split(cancel);
        vm.expectRevert(reason("FiatTokenV2: invalid signature"));
        token.cancelAuthorization(payer, other, v, r, s);
        (r, s, v) = split(sign(KEY, cancelDigest(USDC, payer, other)));
        token.cancelAuthorization(payer, other, v, r, s);
        vm.assertTrue(token.authorizationState(payer, other));
    }

    function test_permits_in_either_form_once() public {
        bytes memory first = sign(KEY, permitDigest(USDC, payer, payee, 5e6, 0, block.timestamp));
        token.permit(payer, payee, 5e6, block.timestamp, first);
        vm.assertEq(token.allowance(payer, payee), 5e6);
        vm.expectRevert(reason("EIP2612: invalid signature"));
        token.permit(payer, payee, 5e6, block.timestamp, first);

        uint256 never = type(uint256).max;
        (bytes32 r, bytes32 s, uint8 v) = split(sign(KEY, permitDigest(USDC, payer, payee, 7e6, 1, never)));
        token.permit(payer, payee, 7e6, never, v, r, s);
        vm.assertEq(token.allowance(payer, payee), 7e6);
        vm.assertEq(token.nonces(payer), 2);
        vm.expectRevert(reason("FiatTokenV2: permit is expired"));
        token.permit(payer, payee, 7e6, block.timestamp - 1, v, r, s);
    }

    function test_takes_only_what_is_allowed() public {
        vm.prank(payer);
        token.approve(payee, 3e6);
        vm.prank(payee);
        token.transferFrom(payer, payee, 2e6);
        vm.assertEq(token.allowance(payer, payee), 1e6);
        vm.expectRevert(reason("ERC20: transfer amount exceeds allowance"));
        vm.prank(payee);
        token.transferFrom(payer, payee, 1e6 + 1);
        vm.expectRevert(reason("ERC20: transfer to the zero address"));
        vm.prank(payer);
        token.transfer(address(0), 1);
        vm.expectRevert(reason("ERC20: transfer amount exceeds balance"));
        token.transfer(payee, 1);
    }
}
