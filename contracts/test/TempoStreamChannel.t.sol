// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.28;

import {ITempoStreamChannel} from "../src/interfaces/ITempoStreamChannel.sol";
import {TempoStreamChannel} from "../src/local/TempoStreamChannel.sol";
import {UsdcStandIn} from "../src/local/UsdcStandIn.sol";
import {Vm, vm} from "./Vm.sol";

/// @notice Each function and revert of the escrow's stand-in, with its own book of what everyone has.
contract TempoStreamChannelTest {
    address internal constant TOKEN = 0x20C0000000000000000000000000000000000000;
    address internal constant ESCROW = 0xe5C2030000000000000000000000000000000001;
    uint256 internal constant PAYER_KEY = 0xA11CE;
    uint256 internal constant SIGNER_KEY = 0x516;
    bytes32 internal constant SALT = keccak256("salt");
    uint128 internal constant DEPOSIT = 10e6;
    uint256 internal constant ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141;

    address internal payer = vm.addr(PAYER_KEY);
    address internal payee = address(0xBEEF);
    TempoStreamChannel internal escrow = TempoStreamChannel(ESCROW);
    UsdcStandIn internal token = UsdcStandIn(TOKEN);

    function setUp() public {
        vm.chainId(1337);
        vm.etch(TOKEN, type(UsdcStandIn).runtimeCode);
        vm.etch(ESCROW, type(TempoStreamChannel).runtimeCode);
        token.mint(payer, 100e6);
        vm.prank(payer);
        token.approve(ESCROW, 100e6);
    }

    function open() internal returns (bytes32) {
        return openFor(address(0));
    }

    function openFor(address signer) internal returns (bytes32) {
        vm.prank(payer);
        return escrow.open(payee, TOKEN, DEPOSIT, SALT, signer);
    }

    /// @dev The digest as EIP-712 spells it, so that the contract is not held to itself.
    function digest(bytes32 channelId, uint128 amount) internal pure returns (bytes32) {
        bytes32 domain = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("Tempo Stream Channel"),
                keccak256("1"),
                uint256(1337),
                ESCROW
            )
        );
        bytes32 voucher =
            keccak256(abi.encode(keccak256("Voucher(bytes32 channelId,uint128 cumulativeAmount)"), channelId, amount));
        return keccak256(abi.encodePacked(hex"1901", domain, voucher));
    }

    function sign(uint256 key, bytes32 channelId, uint128 amount) internal pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, digest(channelId, amount));
        return abi.encodePacked(r, s, v);
    }

    function settle(bytes32 channelId, uint128 amount) internal {
        bytes memory signature = sign(PAYER_KEY, channelId, amount);
        vm.prank(payee);
        escrow.settle(channelId, amount, signature);
    }

    function close(bytes32 channelId, uint128 amount) internal {
        bytes memory signature = sign(PAYER_KEY, channelId, amount);
        vm.prank(payee);
        escrow.close(channelId, amount, signature);
    }

    function refuse(bytes4 reason) internal {
        vm.expectRevert(abi.encodePacked(reason));
    }

    function has(uint256 payers, uint256 payees, uint256 held) internal view {
        vm.assertEq(token.balanceOf(payer), payers, "payer");
        vm.assertEq(token.balanceOf(payee), payees, "payee");
        vm.assertEq(token.balanceOf(ESCROW), held, "escrow");
    }

    function test_opens_a_channel_under_the_id_that_clients_compute() public {
        bytes32 expected = keccak256(abi.encode(payer, payee, TOKEN, SALT, address(0), ESCROW, uint256(1337)));
        vm.expectEmit(ESCROW);
        emit ITempoStreamChannel.ChannelOpened(expected, payer, payee, TOKEN, address(0), SALT, DEPOSIT);
        vm.assertEq(open(), expected);
        vm.assertEq(escrow.computeChannelId(payer, payee, TOKEN, SALT, address(0)), expected);
        ITempoStreamChannel.Channel memory channel = escrow.getChannel(expected);
        vm.assertEq(channel.payer, payer);
        vm.assertEq(channel.payee, payee);
        vm.assertEq(channel.token, TOKEN);
        vm.assertEq(channel.authorizedSigner, address(0));
        vm.assertEq(channel.deposit, DEPOSIT);
        vm.assertEq(channel.settled, 0);
        vm.assertEq(channel.closeRequestedAt, 0);
        vm.assertFalse(channel.finalized);
        has(90e6, 0, 10e6);
    }

    function test_hashes_vouchers_as_clients_do() public view {
        vm.assertEq(escrow.getVoucherDigest(SALT, 7), digest(SALT, 7));
        (bytes1 fields, string memory name, string memory version, uint256 chain, address at,,) = escrow.eip712Domain();
        vm.assertEq(bytes32(fields), bytes32(bytes1(0x0f)));
        vm.assertEq(name, "Tempo Stream Channel");
        vm.assertEq(version, "1");
        vm.assertEq(chain, 1337);
        vm.assertEq(at, ESCROW);
        vm.assertEq(escrow.CLOSE_GRACE_PERIOD(), 900);
    }

    /// @dev From `tests/data/mpp/tempo/session-mpp-rs.json`: a channel that a published client opened, and its last voucher.
    function test_agrees_with_a_published_client() public view {
        address theirPayer = 0xe5a9F003EB17578561f580Ad04BC81fC0e136712;
        bytes32 channelId = 0x338dd820fcd051cbdac6118bb15b70bd0524a851375d45ed9cecf901300534ee;
        bytes32 salt = 0x81f1c21117cb3af245c44ea08f690f4efa3ccbc35c02a99bde64cbda1258009f;
        address theirPayee = 0x322Ce9d018A50d98d063d333354b2EB8BCb6f1D3;
        vm.assertEq(escrow.computeChannelId(theirPayer, theirPayee, TOKEN, salt, theirPayer), channelId);
        bytes32 r = 0xd33f15ecfb8606110bf53f5f93322fe1196525578c68a26fc1bbf01c4d748d6f;
        bytes32 s = 0x7dff947ce86ad62b2091a514990cdb10acc09045e15fb8087f8b2ba63aedefc9;
        vm.assertEq(ecrecover(escrow.getVoucherDigest(channelId, 1200), 0x1b, r, s), theirPayer);
    }

    function test_refuses_to_open_what_could_not_be_closed() public {
        refuse(ITempoStreamChannel.InvalidPayee.selector);
        escrow.open(address(0), TOKEN, 1, SALT, address(0));
        refuse(ITempoStreamChannel.InvalidToken.selector);
        escrow.open(payee, address(0x1234), 1, SALT, address(0));
        refuse(ITempoStreamChannel.InvalidToken.selector);
        escrow.open(payee, address(uint160(TOKEN) + 1), 1, SALT, address(0));
        refuse(ITempoStreamChannel.ZeroDeposit.selector);
        escrow.open(payee, TOKEN, 0, SALT, address(0));
        vm.expectRevert("ERC20: transfer amount exceeds allowance");
        escrow.open(payee, TOKEN, 1, SALT, address(0));
    }

    function test_opens_one_channel_once() public {
        bytes32 channelId = open();
        refuse(ITempoStreamChannel.ChannelAlreadyExists.selector);
        open();
        close(channelId, 1e6);
        refuse(ITempoStreamChannel.ChannelAlreadyExists.selector);
        open();
    }

    function test_settles_what_a_voucher_adds() public {
        bytes32 channelId = open();
        settle(channelId, 2e6);
        vm.expectEmit(ESCROW);
        emit ITempoStreamChannel.Settled(channelId, payer, payee, 3e6, 1e6, 3e6);
        settle(channelId, 3e6);
        vm.assertEq(escrow.getChannel(channelId).settled, 3e6);
        has(90e6, 3e6, 7e6);
    }

    function test_settles_for_the_payee_alone_and_within_the_deposit() public {
        bytes32 channelId = open();
        bytes memory signature = sign(PAYER_KEY, channelId, 2e6);
        refuse(ITempoStreamChannel.NotPayee.selector);
        escrow.settle(channelId, 2e6, signature);
        refuse(ITempoStreamChannel.AmountExceedsDeposit.selector);
        settle(channelId, DEPOSIT + 1);
        settle(channelId, 2e6);
        refuse(ITempoStreamChannel.AmountNotIncreasing.selector);
        settle(channelId, 2e6);
        has(90e6, 2e6, 8e6);
    }

    function test_takes_the_signature_of_the_signer_that_was_named() public {
        bytes32 channelId = openFor(vm.addr(SIGNER_KEY));
        refuse(ITempoStreamChannel.InvalidSignature.selector);
        settle(channelId, 1e6);
        bytes memory signature = sign(SIGNER_KEY, channelId, 1e6);
        vm.prank(payee);
        escrow.settle(channelId, 1e6, signature);
        has(90e6, 1e6, 9e6);
    }

    function test_takes_the_compact_form_and_no_other_length() public {
        bytes32 channelId = open();
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(PAYER_KEY, digest(channelId, 1e6));
        bytes memory compact = abi.encodePacked(r, bytes32(uint256(s) | (uint256(v - 27) << 255)));
        vm.prank(payee);
        escrow.settle(channelId, 1e6, compact);
        // Either `s` is taken, as the escrow on public chains has it.
        (v, r, s) = vm.sign(PAYER_KEY, digest(channelId, 2e6));
        vm.prank(payee);
        escrow.settle(channelId, 2e6, abi.encodePacked(r, bytes32(ORDER - uint256(s)), 55 - v));
        (v, r, s) = vm.sign(PAYER_KEY, digest(channelId, 3e6));
        bytes[3] memory bad = [abi.encodePacked(r, s, v - 27), abi.encodePacked(r, s, v, uint8(0)), new bytes(0)];
        for (uint256 i = 0; i < bad.length; ++i) {
            refuse(ITempoStreamChannel.InvalidSignature.selector);
            vm.prank(payee);
            escrow.settle(channelId, 3e6, bad[i]);
        }
    }

    function testFuzz_a_voucher_pays_what_it_says_and_nothing_else(uint128 amount, uint128 signed, uint256 bit) public {
        bytes32 channelId = open();
        amount = 1 + amount % DEPOSIT;
        vm.assume(signed != amount);
        bytes memory other = sign(PAYER_KEY, channelId, signed);
        refuse(ITempoStreamChannel.InvalidSignature.selector);
        vm.prank(payee);
        escrow.settle(channelId, amount, other);
        bytes memory flipped = sign(PAYER_KEY, channelId, amount);
        bit = bit % (64 * 8);
        flipped[bit / 8] ^= bytes1(uint8(1 << (bit % 8)));
        refuse(ITempoStreamChannel.InvalidSignature.selector);
        vm.prank(payee);
        escrow.settle(channelId, amount, flipped);
        settle(channelId, amount);
        has(90e6, amount, DEPOSIT - amount);
    }

    function test_adds_to_the_deposit_and_calls_a_close_off() public {
        bytes32 channelId = open();
        vm.prank(payer);
        escrow.requestClose(channelId);
        vm.expectEmit(ESCROW);
        emit ITempoStreamChannel.CloseRequestCancelled(channelId, payer, payee);
        vm.expectEmit(ESCROW);
        emit ITempoStreamChannel.TopUp(channelId, payer, payee, 5e6, 15e6);
        vm.prank(payer);
        escrow.topUp(channelId, 5e6);
        vm.assertEq(escrow.getChannel(channelId).deposit, 15e6);
        vm.assertEq(escrow.getChannel(channelId).closeRequestedAt, 0);
        has(85e6, 0, 15e6);
        settle(channelId, 12e6);
    }

    function test_refuses_a_top_up_of_others_of_nothing_and_of_too_much() public {
        bytes32 channelId = open();
        refuse(ITempoStreamChannel.NotPayer.selector);
        escrow.topUp(channelId, 1);
        vm.startPrank(payer);
        refuse(ITempoStreamChannel.ZeroDeposit.selector);
        escrow.topUp(channelId, 0);
        refuse(ITempoStreamChannel.DepositOverflow.selector);
        escrow.topUp(channelId, uint256(type(uint128).max) - DEPOSIT + 1);
        refuse(ITempoStreamChannel.DepositOverflow.selector);
        escrow.topUp(channelId, uint256(1) << 128);
    }

    function test_closes_with_the_last_voucher_and_gives_the_rest_back() public {
        bytes32 channelId = open();
        settle(channelId, 2e6);
        vm.expectEmit(ESCROW);
        emit ITempoStreamChannel.ChannelClosed(channelId, payer, payee, 3e6, 7e6);
        close(channelId, 3e6);
        has(97e6, 3e6, 0);
        ITempoStreamChannel.Channel memory channel = escrow.getChannel(channelId);
        vm.assertTrue(channel.finalized);
        vm.assertEq(channel.payer, address(0));
        vm.assertEq(channel.deposit, 0);
        vm.assertEq(channel.settled, 0);
    }

    function test_closes_at_what_is_settled_without_a_voucher() public {
        bytes32 channelId = open();
        settle(channelId, 2e6);
        vm.prank(payee);
        escrow.close(channelId, 0, "");
        has(98e6, 2e6, 0);
    }

    function test_closes_a_channel_that_is_used_up() public {
        bytes32 channelId = open();
        settle(channelId, DEPOSIT);
        vm.recordLogs();
        close(channelId, DEPOSIT);
        vm.assertEq(vm.getRecordedLogs().length, 1, "there was nothing left to move");
        has(90e6, 10e6, 0);
    }

    function test_closes_for_the_payee_alone_and_within_the_deposit() public {
        bytes32 channelId = open();
        bytes memory signature = sign(PAYER_KEY, channelId, 2e6);
        refuse(ITempoStreamChannel.NotPayee.selector);
        vm.prank(payer);
        escrow.close(channelId, 2e6, signature);
        refuse(ITempoStreamChannel.AmountExceedsDeposit.selector);
        close(channelId, DEPOSIT + 1);
        refuse(ITempoStreamChannel.InvalidSignature.selector);
        vm.prank(payee);
        escrow.close(channelId, 3e6, signature);
    }

    function test_gives_the_deposit_back_when_the_payee_let_its_time_pass() public {
        bytes32 channelId = open();
        settle(channelId, 1e6);
        refuse(ITempoStreamChannel.NotPayer.selector);
        escrow.requestClose(channelId);
        vm.startPrank(payer);
        refuse(ITempoStreamChannel.CloseNotReady.selector);
        escrow.withdraw(channelId);
        vm.expectEmit(ESCROW);
        emit ITempoStreamChannel.CloseRequested(channelId, payer, payee, block.timestamp + 900);
        escrow.requestClose(channelId);
        uint256 asked = block.timestamp;
        vm.assertEq(escrow.getChannel(channelId).closeRequestedAt, asked);
        vm.warp(asked + 899);
        vm.recordLogs();
        escrow.requestClose(channelId);
        vm.assertEq(vm.getRecordedLogs().length, 0, "asking again starts nothing anew");
        refuse(ITempoStreamChannel.CloseNotReady.selector);
        escrow.withdraw(channelId);
        vm.stopPrank();
        vm.warp(asked + 900);
        refuse(ITempoStreamChannel.NotPayer.selector);
        escrow.withdraw(channelId);
        vm.expectEmit(ESCROW);
        emit ITempoStreamChannel.ChannelExpired(channelId, payer, payee);
        vm.expectEmit(ESCROW);
        emit ITempoStreamChannel.ChannelClosed(channelId, payer, payee, 1e6, 9e6);
        vm.prank(payer);
        escrow.withdraw(channelId);
        has(99e6, 1e6, 0);
        vm.assertTrue(escrow.getChannel(channelId).finalized);
    }

    function test_pays_the_payee_also_while_a_close_is_asked_for() public {
        bytes32 channelId = open();
        vm.prank(payer);
        escrow.requestClose(channelId);
        settle(channelId, 1e6);
        vm.warp(block.timestamp + 1000);
        close(channelId, 4e6);
        has(96e6, 4e6, 0);
    }

    function test_knows_a_channel_that_never_was_from_one_that_ended() public {
        everythingFails(SALT, ITempoStreamChannel.ChannelNotFound.selector);
        bytes32 channelId = open();
        close(channelId, 1e6);
        everythingFails(channelId, ITempoStreamChannel.ChannelFinalized.selector);
    }

    function everythingFails(bytes32 channelId, bytes4 reason) private {
        refuse(reason);
        escrow.settle(channelId, 2e6, "");
        refuse(reason);
        escrow.close(channelId, 2e6, "");
        refuse(reason);
        escrow.topUp(channelId, 1);
        refuse(reason);
        escrow.requestClose(channelId);
        refuse(reason);
        escrow.withdraw(channelId);
    }

    function test_reads_many_channels_at_once() public {
        bytes32[] memory ids = new bytes32[](3);
        ids[0] = open();
        ids[2] = openFor(vm.addr(SIGNER_KEY));
        ITempoStreamChannel.Channel[] memory channels = escrow.getChannelsBatch(ids);
        vm.assertEq(channels.length, 3);
        vm.assertEq(channels[0].deposit, DEPOSIT);
        vm.assertEq(channels[1].payer, address(0));
        vm.assertEq(channels[2].authorizedSigner, vm.addr(SIGNER_KEY));
        vm.assertEq(escrow.getChannelsBatch(new bytes32[](0)).length, 0);
    }
}
