// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.28;

import {IPermit2} from "../src/interfaces/IPermit2.sol";
import {IExactPermit2Proxy, IUptoPermit2Proxy} from "../src/interfaces/IPermit2Proxies.sol";
import {UsdcStandIn} from "../src/local/UsdcStandIn.sol";
import {Permit2Payer} from "./Permit2Payer.sol";
import {vm} from "./Vm.sol";

/// @notice What must hold for any payment through Permit2, whatever its words.
contract Permit2ProxiesFuzzTest is Permit2Payer {
    /// @dev A payment's words as the fuzzer makes them up.
    struct Words {
        address to;
        uint256 permitted;
        uint256 amount;
        uint256 nonce;
        uint256 deadline;
        uint256 validAfter;
        uint256 form;
    }

    UsdcStandIn internal token = new UsdcStandIn();
    uint256 internal constant KEY = 0xA11CE;
    address internal payer = vm.addr(KEY);
    address internal facilitator = address(0xFAC);
    uint128 internal constant FUNDS = type(uint128).max;

    function setUp() public {
        installPermit2();
        token.mint(payer, FUNDS);
        vm.prank(payer);
        token.approve(PERMIT2, type(uint256).max);
    }

    /// @dev A payment that must go through.
    function sound(Words memory w) private view returns (Words memory) {
        vm.assume(w.to != address(0) && w.to != payer);
        w.permitted = within(w.permitted, 1, FUNDS);
        w.amount = within(w.amount, 1, w.permitted);
        w.deadline = within(w.deadline, block.timestamp, type(uint256).max);
        w.validAfter = within(w.validAfter, 0, block.timestamp);
        w.form = within(w.form, 0, 2);
        return w;
    }

    function permitIn(Words memory w) private view returns (IPermit2.PermitTransferFrom memory) {
        return IPermit2.PermitTransferFrom(IPermit2.TokenPermissions(address(token), w.permitted), w.nonce, w.deadline);
    }

    function uptoIn(Words memory w) private view returns (IUptoPermit2Proxy.Witness memory) {
        return IUptoPermit2Proxy.Witness(w.to, facilitator, w.validAfter);
    }

    /// @dev Whole, compact, or with the other `s`.
    function signed(Words memory w, bytes32 digest) private pure returns (bytes memory signature) {
        signature = sign(KEY, digest);
        if (w.form % 3 == 1) signature = compact(signature);
        if (w.form % 3 == 2) signature = flipped(signature);
    }

    function exactSigned(Words memory w) private view returns (bytes memory) {
        return signed(w, exactDigest(permitIn(w), IExactPermit2Proxy.Witness(w.to, w.validAfter)));
    }

    function uptoSigned(Words memory w) private view returns (bytes memory) {
        return signed(w, uptoDigest(permitIn(w), uptoIn(w)));
    }

    function tryExact(Words memory w, bytes memory signature) private returns (bool) {
        try IExactPermit2Proxy(EXACT)
            .settle(permitIn(w), payer, IExactPermit2Proxy.Witness(w.to, w.validAfter), signature) {
            return true;
        } catch {
            return false;
        }
    }

    function tryUpto(address caller, Words memory w, bytes memory signature) private returns (bool) {
        IUptoPermit2Proxy.Witness memory witness = uptoIn(w);
        vm.prank(caller);
        try IUptoPermit2Proxy(UPTO).settle(permitIn(w), w.amount, payer, witness, signature) {
            return true;
        } catch {
            return false;
        }
    }

    function moved(address to, uint256 amount) private view {
        vm.assertEq(token.balanceOf(to), amount, "payee");
        vm.assertEq(token.balanceOf(payer), FUNDS - amount, "payer");
        vm.assertEq(token.totalSupply(), FUNDS, "supply");
    }

    function testFuzz_any_sound_exact_payment_moves_all_of_it_once(Words memory w) public {
        w = sound(w);
        bytes memory signature = exactSigned(w);
        vm.assertTrue(tryExact(w, signature), "refused");
        moved(w.to, w.permitted);
        vm.assertEq(IPermit2(PERMIT2).nonceBitmap(payer, w.nonce / 256), 1 << w.nonce % 256, "nonce");
        vm.assertFalse(tryExact(w, signature), "paid twice");
        w.form += 1;
        vm.assertFalse(tryExact(w, exactSigned(w)), "paid twice in another form");
        moved(w.to, w.permitted);
    }

    function testFuzz_any_sound_upto_payment_moves_what_is_captured_once(Words memory w, uint256 again) public {
        w = sound(w);
        bytes memory signature = uptoSigned(w);
        vm.assertTrue(tryUpto(facilitator, w, signature), "refused");
        moved(w.to, w.amount);
        uint256 captured = w.amount;
        uint256 rest = w.permitted - captured;
        w.amount = within(again, 1, rest == 0 ? 1 : rest);
        vm.assertFalse(tryUpto(facilitator, w, signature), "captured twice");
        moved(w.to, captured);
    }

    function testFuzz_more_than_permitted_moves_nothing(Words memory w, uint256 amount) public {
        w = sound(w);
        w.amount = within(amount, w.permitted + 1, type(uint256).max);
        vm.assertFalse(tryUpto(facilitator, w, uptoSigned(w)), "moved too much");
        moved(w.to, 0);
    }

    function testFuzz_only_the_signed_facilitator_settles(Words memory w, address caller) public {
        w = sound(w);
        vm.assume(caller != facilitator);
        bytes memory signature = uptoSigned(w);
        vm.assertFalse(tryUpto(caller, w, signature), "settled for another");
        // Naming oneself in the witness is no way round it.
        facilitator = caller;
        vm.assertFalse(tryUpto(caller, w, signature), "changed the facilitator");
        moved(w.to, 0);
    }

    function testFuzz_a_changed_word_moves_nothing(Words memory w, uint256 word, uint256 change) public {
        w = sound(w);
        bytes memory exact = exactSigned(w);
        bytes memory upto = uptoSigned(w);
        bytes32 before = keccak256(abi.encode(w));
        word = within(word, 0, 4);
        if (word == 0) w.to = address(uint160(within(change, 1, type(uint160).max)));
        if (word == 1) w.permitted = within(change, w.amount, FUNDS);
        if (word == 2) w.nonce = change;
        if (word == 3) w.deadline = within(change, block.timestamp, type(uint256).max);
        if (word == 4) w.validAfter = within(change, 0, block.timestamp);
        vm.assume(keccak256(abi.encode(w)) != before);
        refused(w, exact, upto);
    }

    function testFuzz_a_flipped_bit_of_the_signature_moves_nothing(Words memory w, uint256 bit) public {
        w = sound(w);
        refused(w, bent(exactSigned(w), bit), bent(uptoSigned(w), bit));
    }

    function testFuzz_bytes_that_nobody_signed_move_nothing(Words memory w, bytes memory signature) public {
        refused(sound(w), signature, signature);
    }

    function testFuzz_the_window_is_open_from_valid_after_to_the_deadline(Words memory w, uint64 at) public {
        w = sound(w);
        uint256 edge = uint256(at) + 1;
        w.validAfter = within(w.validAfter, edge - 1, edge + 1);
        w.deadline = within(w.deadline, edge - 1, edge + 1);
        vm.warp(edge);
        bool open = w.validAfter <= edge && edge <= w.deadline;
        vm.assertTrue(tryUpto(facilitator, w, uptoSigned(w)) == open, "upto");
        w.nonce ^= 1;
        vm.assertTrue(tryExact(w, exactSigned(w)) == (open && w.permitted <= FUNDS - w.amount), "exact");
    }

    function bent(bytes memory signature, uint256 bit) private pure returns (bytes memory) {
        bit = within(bit, 0, signature.length * 8 - 1);
        signature[bit / 8] ^= bytes1(uint8(1 << (bit % 8)));
        return signature;
    }

    function refused(Words memory w, bytes memory exact, bytes memory upto) private {
        vm.assertFalse(tryExact(w, exact), "exact took it");
        vm.assertFalse(tryUpto(facilitator, w, upto), "upto took it");
        vm.assertEq(token.balanceOf(payer), FUNDS);
        vm.assertEq(IPermit2(PERMIT2).nonceBitmap(payer, w.nonce / 256), 0);
    }
}
