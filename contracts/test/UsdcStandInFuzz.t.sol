// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.28;

import {UsdcStandIn} from "../src/local/UsdcStandIn.sol";
import {Payer, Payment} from "./Payer.sol";
import {vm} from "./Vm.sol";

/// @notice What must hold for any payment, whatever its words.
contract UsdcStandInFuzzTest is Payer {
    UsdcStandIn internal token = new UsdcStandIn();
    uint256 internal constant KEY = 0xA11CE;
    address internal payer = vm.addr(KEY);
    uint128 internal constant FUNDS = type(uint128).max;

    function setUp() public {
        token.mint(payer, FUNDS);
    }

    /// @dev A payment that must go through, made of the fuzzer's words.
    function sound(Payment memory p) internal view returns (Payment memory) {
        p.from = payer;
        vm.assume(p.to != address(0) && p.to != payer);
        p.value = within(p.value, 0, FUNDS);
        p.validAfter = within(p.validAfter, 0, block.timestamp - 1);
        p.validBefore = within(p.validBefore, block.timestamp + 1, type(uint256).max);
        return p;
    }

    function testFuzz_any_sound_payment_moves_its_value_once(Payment memory p, bool asWhole) public {
        p = sound(p);
        bytes memory signature = signPayment(KEY, address(token), p);
        if (asWhole) submit(token, p, signature);
        else submitSplit(token, p, signature);
        vm.assertEq(token.balanceOf(p.to), p.value);
        vm.assertEq(token.balanceOf(payer), FUNDS - p.value);
        vm.assertFalse(trySubmit(token, p, signature), "paid twice");
        vm.assertEq(token.balanceOf(p.to), p.value);
    }

    function testFuzz_a_flipped_bit_of_the_signature_moves_nothing(Payment memory p, uint256 bit) public {
        p = sound(p);
        bytes memory signature = signPayment(KEY, address(token), p);
        bit = within(bit, 0, signature.length * 8 - 1);
        signature[bit / 8] ^= bytes1(uint8(1 << (bit % 8)));
        refused(p, signature);
    }

    function testFuzz_a_changed_word_of_the_payment_moves_nothing(Payment memory p, uint256 word, uint256 change)
        public
    {
        p = sound(p);
        bytes memory signature = signPayment(KEY, address(token), p);
        word = within(word, 0, 3);
        if (word == 0) p.to = address(uint160(p.to) ^ uint160(within(change, 1, type(uint160).max)));
        if (word == 1) p.value ^= within(change, 1, type(uint256).max);
        if (word == 2) p.nonce ^= bytes32(within(change, 1, type(uint256).max));
        if (word == 3) {
            uint256 before = p.validBefore;
            p.validBefore = within(change, block.timestamp + 1, type(uint256).max);
            vm.assume(p.validBefore != before);
        }
        refused(p, signature);
    }

    function testFuzz_bytes_that_nobody_signed_move_nothing(Payment memory p, bytes memory signature) public {
        refused(sound(p), signature);
    }

    function testFuzz_the_other_s_moves_nothing(Payment memory p) public {
        p = sound(p);
        (bytes32 r, bytes32 s, uint8 v) = split(signPayment(KEY, address(token), p));
        refused(p, abi.encodePacked(r, ORDER - uint256(s), v ^ 7)); // 27 ^ 7 = 28
    }

    function testFuzz_the_window_is_open_strictly_between_its_ends(uint256 validAfter, uint256 validBefore, uint64 at)
        public
    {
        uint256 edge = uint256(at) + 1;
        // Half of the runs stand right at an edge, where a wrong comparison would show.
        if (validAfter % 2 == 0) validAfter = within(validAfter / 2, edge - 1, edge + 1);
        if (validBefore % 2 == 0) validBefore = within(validBefore / 2, edge - 1, edge + 1);
        Payment memory p = Payment(payer, address(0xBEEF), 1, validAfter, validBefore, bytes32(0));
        vm.warp(edge);
        bool open = validAfter < edge && edge < validBefore;
        vm.assertTrue(trySubmit(token, p, signPayment(KEY, address(token), p)) == open, "window");
        vm.assertEq(token.balanceOf(address(0xBEEF)), open ? 1 : 0);
    }

    function testFuzz_a_permit_sets_what_was_signed(address spender, uint256 value, uint256 deadline, uint64 at)
        public
    {
        vm.assume(spender != address(0));
        vm.warp(at);
        bytes memory signature = sign(KEY, permitDigest(address(token), payer, spender, value, 0, deadline));
        if (deadline < at) vm.expectRevert(reason("FiatTokenV2: permit is expired"));
        token.permit(payer, spender, value, deadline, signature);
        vm.assertEq(token.allowance(payer, spender), deadline < at ? 0 : value);
    }

    function refused(Payment memory p, bytes memory signature) private {
        vm.assertFalse(trySubmit(token, p, signature), "took it");
        vm.assertEq(token.balanceOf(payer), FUNDS);
        vm.assertFalse(token.authorizationState(payer, p.nonce), "spent the nonce");
    }
}
