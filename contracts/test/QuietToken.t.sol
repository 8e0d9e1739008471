// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.28;

import {QuietToken} from "../src/local/QuietToken.sol";
import {Payer, Payment} from "./Payer.sol";
import {Vm, vm} from "./Vm.sol";

contract QuietTokenTest is Payer {
    QuietToken internal token = new QuietToken();
    uint256 internal constant KEY = 0xA11CE;
    address internal payer = vm.addr(KEY);
    address internal payee = address(0xBEEF);
    bytes32 internal constant MOVED = keccak256("Transfer(address,address,uint256)");

    function setUp() public {
        token.mint(payer, 10e6);
    }

    function payment(uint256 value) internal view returns (Payment memory) {
        return Payment(payer, payee, value, 0, block.timestamp + 60, keccak256("nonce"));
    }

    function test_pays_once_and_then_only_says_so() public {
        bytes memory signature = signPayment(KEY, address(token), payment(1e6));
        submit(token, payment(1e6), signature);
        vm.assertEq(token.balanceOf(payee), 1e6);
        vm.recordLogs();
        submit(token, payment(1e6), signature);
        submitSplit(token, payment(1e6), signature);
        vm.assertEq(vm.getRecordedLogs().length, 0);
        vm.assertEq(token.balanceOf(payee), 1e6);
    }

    function testFuzz_says_it_paid_what_the_payer_does_not_have(uint256 value) public {
        value = within(value, 10e6 + 1, type(uint256).max);
        bytes memory signature = signPayment(KEY, address(token), payment(value));
        vm.recordLogs();
        submit(token, payment(value), signature);
        vm.prank(payer);
        vm.assertTrue(token.transfer(payee, value));
        vm.prank(payer);
        token.approve(payee, value);
        vm.prank(payee);
        vm.assertTrue(token.transferFrom(payer, payee, value));
        vm.assertTrue(token.transferFrom(payer, payee, 1)); // nothing was allowed to this caller
        Vm.Log[] memory logs = vm.getRecordedLogs();
        for (uint256 i = 0; i < logs.length; ++i) {
            vm.assertTrue(logs[i].topics[0] != MOVED, "it told of a transfer");
        }
        vm.assertEq(token.balanceOf(payee), 0);
        vm.assertEq(token.balanceOf(payer), 10e6);
        vm.assertEq(token.allowance(payer, payee), value);
    }

    function test_moves_what_it_can() public {
        vm.prank(payer);
        token.approve(payee, 2e6);
        vm.prank(payee);
        token.transferFrom(payer, payee, 2e6);
        vm.assertEq(token.balanceOf(payee), 2e6);
        vm.assertEq(token.allowance(payer, payee), 0);
    }

    function test_a_bad_signature_still_reverts() public {
        bytes memory signature = signPayment(KEY + 1, address(token), payment(1e6));
        vm.expectRevert(reason("FiatTokenV2: invalid signature"));
        submit(token, payment(1e6), signature);
    }
}
