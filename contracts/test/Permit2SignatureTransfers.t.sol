// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.28;

import {IPermit2} from "../src/interfaces/IPermit2.sol";
import {ContractWallet} from "../src/local/ContractWallet.sol";
import {UsdcStandIn} from "../src/local/UsdcStandIn.sol";
import {AnsweringToken} from "./OddTokens.sol";
import {Permit2Payer} from "./Permit2Payer.sol";
import {vm} from "./Vm.sol";

/// @notice Permits that are spent at once, at Permit2's own address; this contract is the spender.
contract Permit2SignatureTransfersTest is Permit2Payer {
    IPermit2 internal permit2 = IPermit2(PERMIT2);
    UsdcStandIn internal token;
    UsdcStandIn internal other;
    ContractWallet internal wallet;
    uint256 internal constant KEY = 0xA11CE;
    address internal payer = vm.addr(KEY);
    address internal payee = address(0xBEEF);
    string internal constant WITNESS = "Witness(uint256 word)";
    string internal constant WITNESS_REST =
        "Witness witness)TokenPermissions(address token,uint256 amount)Witness(uint256 word)";

    event UnorderedNonceInvalidation(address indexed owner, uint256 word, uint256 mask);

    function setUp() public {
        installPermit2();
        token = new UsdcStandIn();
        other = new UsdcStandIn();
        wallet = new ContractWallet(payer);
        fund(token, payer);
        fund(other, payer);
        fund(token, address(wallet));
    }

    function fund(UsdcStandIn money, address owner) private {
        money.mint(owner, 10e6);
        vm.prank(owner);
        money.approve(PERMIT2, type(uint256).max);
    }

    function usual() private view returns (IPermit2.PermitTransferFrom memory) {
        return permitOf(address(token), 1e6, 7);
    }

    function batch() private view returns (IPermit2.PermitBatchTransferFrom memory p) {
        p.permitted = new IPermit2.TokenPermissions[](2);
        p.permitted[0] = IPermit2.TokenPermissions(address(token), 1e6);
        p.permitted[1] = IPermit2.TokenPermissions(address(other), 2e6);
        p.nonce = 8;
        p.deadline = block.timestamp;
    }

    function wanted(uint256 first, uint256 second)
        private
        view
        returns (IPermit2.SignatureTransferDetails[] memory list)
    {
        list = new IPermit2.SignatureTransferDetails[](2);
        list[0] = IPermit2.SignatureTransferDetails(payee, first);
        list[1] = IPermit2.SignatureTransferDetails(address(this), second);
    }

    function spend(IPermit2.PermitTransferFrom memory p, uint256 amount, address owner, bytes memory signature)
        private
    {
        permit2.permitTransferFrom(p, IPermit2.SignatureTransferDetails(payee, amount), owner, signature);
    }

    /// @dev What Permit2 answers on Ethereum: what a payer signs for one, the other takes.
    function test_domain_is_that_of_permit2_on_ethereum() public {
        vm.chainId(1);
        vm.assertEq(
            permit2.DOMAIN_SEPARATOR(), bytes32(0x866a5aba21966af95d6c7ab78eb2b2fc913915c28be3b9aa07cc04ff903e3f28)
        );
    }

    function test_a_permit_moves_what_is_asked_for_and_spends_its_nonce() public {
        spend(usual(), 0.4e6, payer, sign(KEY, plainDigest(usual(), address(this))));
        vm.assertEq(token.balanceOf(payee), 0.4e6);
        vm.assertEq(token.balanceOf(payer), 9.6e6);
        vm.assertEq(permit2.nonceBitmap(payer, 0), 1 << 7);
    }

    function test_a_spent_nonce_is_refused_whatever_it_is_for() public {
        spend(usual(), 1, payer, sign(KEY, plainDigest(usual(), address(this))));
        IPermit2.PermitTransferFrom memory p = permitOf(address(other), 2, 7);
        bytes memory signature = sign(KEY, plainDigest(p, address(this)));
        vm.expectRevert(abi.encodeWithSelector(IPermit2.InvalidNonce.selector));
        spend(p, 1, payer, signature);
    }

    function test_a_nonce_is_refused_once_its_owner_withdrew_it() public {
        vm.expectEmit(PERMIT2);
        emit UnorderedNonceInvalidation(payer, 0, 0x81);
        vm.prank(payer);
        permit2.invalidateUnorderedNonces(0, 0x81);
        vm.assertEq(permit2.nonceBitmap(payer, 0), 0x81);
        bytes memory signature = sign(KEY, plainDigest(usual(), address(this)));
        vm.expectRevert(abi.encodeWithSelector(IPermit2.InvalidNonce.selector));
        spend(usual(), 1, payer, signature);
    }

    function test_a_permit_is_good_until_its_deadline() public {
        bytes memory signature = sign(KEY, plainDigest(usual(), address(this)));
        IPermit2.PermitTransferFrom memory p = usual();
        vm.warp(p.deadline + 1);
        vm.expectRevert(abi.encodeWithSelector(IPermit2.SignatureExpired.selector, p.deadline));
        spend(p, 1, payer, signature);
        vm.warp(p.deadline);
        spend(p, 1, payer, signature);
    }

    function test_more_than_permitted_is_refused() public {
        bytes memory signature = sign(KEY, plainDigest(usual(), address(this)));
        vm.expectRevert(abi.encodeWithSelector(IPermit2.InvalidAmount.selector, 1e6));
        spend(usual(), 1e6 + 1, payer, signature);
    }

    function test_a_permit_for_another_spender_is_refused() public {
        bytes memory signature = sign(KEY, plainDigest(usual(), address(0xBAD)));
        vm.expectRevert(abi.encodeWithSelector(IPermit2.InvalidSigner.selector));
        spend(usual(), 1, payer, signature);
    }

    function test_what_no_key_signed_is_refused() public {
        bytes memory signature = sign(KEY, plainDigest(usual(), address(this)));
        signature[64] = bytes1(uint8(1));
        vm.expectRevert(abi.encodeWithSelector(IPermit2.InvalidSignature.selector));
        spend(usual(), 1, payer, signature);
    }

    function test_a_signature_has_65_or_64_bytes() public {
        bytes memory whole = sign(KEY, plainDigest(usual(), address(this)));
        vm.expectRevert(abi.encodeWithSelector(IPermit2.InvalidSignatureLength.selector));
        spend(usual(), 1, payer, abi.encodePacked(whole, uint8(0)));
        vm.expectRevert(abi.encodeWithSelector(IPermit2.InvalidSignatureLength.selector));
        spend(usual(), 1, payer, "");
        spend(usual(), 1, payer, compact(whole));
        vm.assertEq(token.balanceOf(payee), 1);
    }

    function test_either_s_is_taken_but_only_once() public {
        bytes memory signature = sign(KEY, plainDigest(usual(), address(this)));
        spend(usual(), 1, payer, flipped(signature));
        vm.expectRevert(abi.encodeWithSelector(IPermit2.InvalidNonce.selector));
        spend(usual(), 1, payer, signature);
    }

    function test_a_wallet_answers_by_its_own_code() public {
        bytes memory signature = sign(KEY, plainDigest(usual(), address(this)));
        spend(usual(), 1e6, address(wallet), signature);
        vm.assertEq(token.balanceOf(address(wallet)), 9e6);
        IPermit2.PermitTransferFrom memory p = permitOf(address(token), 1, 9);
        vm.expectRevert(abi.encodeWithSelector(IPermit2.InvalidContractSignature.selector));
        spend(p, 1, address(wallet), signature);
    }

    function test_what_the_token_refuses_is_told_alike() public {
        IPermit2.PermitTransferFrom memory p = permitOf(address(token), 11e6, 7);
        bytes memory signature = sign(KEY, plainDigest(p, address(this)));
        vm.expectRevert(reason("TRANSFER_FROM_FAILED"));
        spend(p, 11e6, payer, signature);
    }

    /// @dev As Permit2 has it: no answer is as good as "true", and nothing else is.
    function test_a_token_answers_true_or_nothing() public {
        asked(new AnsweringToken("", false), true);
        asked(new AnsweringToken(abi.encode(true), false), true);
        asked(new AnsweringToken(abi.encode(true, 7), false), true);
        asked(new AnsweringToken(abi.encode(false), false), false);
        asked(new AnsweringToken(abi.encode(2), false), false);
        asked(new AnsweringToken(hex"01", false), false);
        asked(new AnsweringToken(abi.encode(true), true), false);
    }

    function asked(AnsweringToken odd, bool taken) private {
        IPermit2.PermitTransferFrom memory p = permitOf(address(odd), 1, uint160(address(odd)));
        bytes memory signature = sign(KEY, plainDigest(p, address(this)));
        if (!taken) vm.expectRevert(reason("TRANSFER_FROM_FAILED"));
        spend(p, 1, payer, signature);
    }

    function test_a_witness_is_signed_too() public {
        bytes memory signature = sign(KEY, witnessDigest(usual(), address(this), keccak256("word"), WITNESS));
        IPermit2.SignatureTransferDetails memory details = IPermit2.SignatureTransferDetails(payee, 1e6);
        vm.expectRevert(abi.encodeWithSelector(IPermit2.InvalidSigner.selector));
        permit2.permitWitnessTransferFrom(usual(), details, payer, keccak256("other"), WITNESS_REST, signature);
        permit2.permitWitnessTransferFrom(usual(), details, payer, keccak256("word"), WITNESS_REST, signature);
        vm.assertEq(token.balanceOf(payee), 1e6);
    }

    function test_a_batch_moves_each_token_under_one_nonce() public {
        permit2.permitTransferFrom(batch(), wanted(1e6, 1), payer, sign(KEY, batchDigest(batch(), address(this))));
        vm.assertEq(token.balanceOf(payee), 1e6);
        vm.assertEq(other.balanceOf(address(this)), 1);
        vm.assertEq(permit2.nonceBitmap(payer, 0), 1 << 8);
    }

    function test_a_batch_with_a_witness_is_signed_as_such() public {
        bytes memory signature = sign(KEY, batchWitnessDigest(batch(), address(this), keccak256("word"), WITNESS));
        permit2.permitWitnessTransferFrom(batch(), wanted(0, 2e6), payer, keccak256("word"), WITNESS_REST, signature);
        vm.assertEq(token.balanceOf(payee), 0);
        vm.assertEq(other.balanceOf(address(this)), 2e6);
    }

    function test_a_batch_is_refused_whole() public {
        bytes memory signature = sign(KEY, batchDigest(batch(), address(this)));
        vm.expectRevert(abi.encodeWithSelector(IPermit2.LengthMismatch.selector));
        permit2.permitTransferFrom(batch(), new IPermit2.SignatureTransferDetails[](1), payer, signature);
        vm.expectRevert(abi.encodeWithSelector(IPermit2.InvalidAmount.selector, 2e6));
        permit2.permitTransferFrom(batch(), wanted(1e6, 2e6 + 1), payer, signature);
        vm.assertEq(token.balanceOf(payee), 0);
        vm.assertEq(permit2.nonceBitmap(payer, 0), 0);
    }
}
