// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.28;

import {IBatchSettlement} from "../src/interfaces/IBatchSettlement.sol";
import {IUptoPermit2Proxy} from "../src/interfaces/IPermit2Proxies.sol";
import {ContractWallet} from "../src/local/ContractWallet.sol";
import {Settler} from "../src/Settler.sol";
import {Settling} from "./Settling.sol";
import {vm} from "./Vm.sol";

/// @notice Each kind of item, alone and mixed, and who may do what.
contract SettlerTest is Settling {
    uint256 internal constant KEY = 0xA11CE;
    uint256 private constant KINDS = 8;
    address internal payer;

    function setUp() public {
        payer = fund(KEY, 10e6);
    }

    function assertDone(Outcome memory outcome, uint256 paid) internal view {
        vm.assertEq(outcome.reason, "");
        vm.assertTrue(outcome.done);
        vm.assertEq(token.balanceOf(PAYEE), paid);
        vm.assertEq(token.balanceOf(address(settler)), 0);
    }

    function assertFailed(Outcome memory outcome, bytes memory why) internal pure {
        vm.assertFalse(outcome.done);
        vm.assertEq(outcome.reason, why);
    }

    function test_moves_an_authorization() public {
        assertDone(settleOne(authorization(KEY, PAYEE, 1e6)), 1e6);
        vm.assertEq(token.balanceOf(payer), 9e6);
    }

    function test_moves_a_wallets_authorization() public {
        address wallet = address(new ContractWallet(payer));
        token.mint(wallet, 2e6);
        assertDone(settleOne(wholeAuthorization(KEY, wallet, PAYEE, 1e6)), 1e6);
        vm.assertEq(token.balanceOf(wallet), 1e6);
    }

    function test_captures_what_was_used_and_no_more() public {
        assertDone(settleOne(capture(KEY, PAYEE, 5e6, 1e6)), 1e6);
        vm.assertEq(token.balanceOf(payer), 9e6);
        assertFailed(
            settleOne(capture(KEY, PAYEE, 1e6, 1e6 + 1)),
            abi.encodeWithSelector(IUptoPermit2Proxy.AmountExceedsPermitted.selector)
        );
    }

    function test_captures_only_what_names_the_settler() public {
        IUptoPermit2Proxy.Witness memory witness = IUptoPermit2Proxy.Witness(PAYEE, relayer, 0);
        assertFailed(
            settleOne(capture(KEY, witness, 1e6, 1e6)),
            abi.encodeWithSelector(IUptoPermit2Proxy.UnauthorizedFacilitator.selector)
        );
    }

    function test_nobody_captures_beside_the_settler() public {
        Settler.Item memory item = capture(KEY, PAYEE, 1e6, 1e6);
        vm.prank(relayer);
        (bool done, bytes memory answer) = UPTO.call(item.data);
        vm.assertFalse(done);
        vm.assertEq(answer, abi.encodeWithSelector(IUptoPermit2Proxy.UnauthorizedFacilitator.selector));
    }

    function test_captures_with_a_permit_where_nothing_was_approved() public {
        vm.prank(payer);
        token.approve(PERMIT2, 0);
        assertDone(settleOne(captureWithPermit(KEY, PAYEE, 5e6, 1e6)), 1e6);
    }

    function test_moves_exact_by_permit2() public {
        assertDone(settleOne(exactByPermit2(KEY, PAYEE, 1e6)), 1e6);
    }

    function test_moves_exact_with_a_permit_where_nothing_was_approved() public {
        vm.prank(payer);
        token.approve(PERMIT2, 0);
        assertDone(settleOne(exactWithPermit(KEY, PAYEE, 1e6)), 1e6);
    }

    function test_pays_a_credit_out_of_the_relayers_pocket() public {
        token.mint(relayer, 3e6);
        vm.prank(relayer);
        token.approve(address(settler), 2e6);
        assertDone(settleOne(credit(relayer, PAYEE, 2e6)), 2e6);
        vm.assertEq(token.balanceOf(relayer), 1e6);
        assertFailed(settleOne(credit(relayer, PAYEE, 1)), reason("ERC20: transfer amount exceeds allowance"));
    }

    function test_claims_settles_and_refunds_channels() public {
        deposit(KEY, PAYEE, 5e6);
        Settler.Item[] memory items = new Settler.Item[](3);
        items[0] = claim(KEY, PAYEE, 2e6);
        items[1] = channelSettlement(PAYEE);
        items[2] = refund(KEY, PAYEE, 3e6);
        Outcome[] memory outcomes = settle(items);
        assertDone(outcomes[0], 2e6);
        assertDone(outcomes[1], 2e6);
        assertDone(outcomes[2], 2e6);
        vm.assertEq(token.balanceOf(payer), 13e6);
        vm.assertEq(token.balanceOf(address(channels)), 0);
    }

    function test_a_used_authorization_is_told_and_leaves_the_others_be() public {
        Settler.Item[] memory items = new Settler.Item[](3);
        items[0] = authorization(KEY, PAYEE, 1e6);
        items[1] = items[0];
        items[2] = authorization(KEY, PAYEE, 1e6);
        Outcome[] memory outcomes = settle(items);
        vm.assertTrue(outcomes[0].done);
        assertFailed(outcomes[1], reason("FiatTokenV2: authorization is used or canceled"));
        assertDone(outcomes[2], 2e6);
    }

    /// @dev One of each kind, in each order of a ring; each is spoilt in turn, and the others must not notice.
    function test_a_bad_item_of_any_kind_in_any_place_leaves_the_others_be() public {
        fund(KEY + 1, 1e6);
        fund(KEY + 2, 1e6);
        token.mint(relayer, 1e6);
        vm.prank(relayer);
        token.approve(address(settler), 1e6);
        deposit(KEY, PAYEE, 1e6);
        for (uint256 bad = 0; bad < KINDS; ++bad) {
            for (uint256 place = 0; place < KINDS; ++place) {
                for (uint256 how = 0; how < 3; ++how) {
                    mixWithOneBad(bad, place, how);
                }
            }
        }
        vm.assertEq(token.balanceOf(address(settler)), 0);
    }

    function mixWithOneBad(uint256 bad, uint256 place, uint256 how) private {
        Settler.Item[] memory items = new Settler.Item[](KINDS);
        for (uint256 kind = 0; kind < KINDS; ++kind) {
            items[(kind + place) % KINDS] = oneUnit(kind);
        }
        uint256 at = (bad + place) % KINDS;
        if (how == 0) items[at].data[3] ^= 0x01; // another selector
        if (how == 1) items[at].data[4 + 31] ^= 0x01; // another first argument: payer, token, value, or a broken offset
        if (how == 2) items[at].gasLimit = 1000;
        uint256 before = received();
        Outcome[] memory outcomes = settle(items);
        for (uint256 i = 0; i < KINDS; ++i) {
            vm.assertTrue(outcomes[i].done == (i != at), "a bad item spoilt another");
        }
        vm.assertEq(received(), before + KINDS - 1);
    }

    function received() private view returns (uint256) {
        (uint128 claimed,) = channels.receivers(PAYEE, USDC);
        return token.balanceOf(PAYEE) + claimed;
    }

    function oneUnit(uint256 kind) private returns (Settler.Item memory) {
        if (kind == 0) return authorization(KEY, PAYEE, 1);
        if (kind == 1) return wholeAuthorization(KEY, payer, PAYEE, 1);
        if (kind == 2) return capture(KEY, PAYEE, 5, 1);
        if (kind == 3) return captureWithPermit(KEY + 1, PAYEE, 5, 1);
        if (kind == 4) return exactByPermit2(KEY, PAYEE, 1);
        if (kind == 5) return exactWithPermit(KEY + 2, PAYEE, 1);
        if (kind == 6) return credit(relayer, PAYEE, 1);
        (uint128 claimed,) = channels.receivers(PAYEE, USDC);
        return claim(KEY, PAYEE, claimed + 1);
    }

    function test_only_relayers_settle() public {
        Settler.Item[] memory items = one(authorization(KEY, PAYEE, 1e6));
        vm.expectRevert(abi.encodeWithSelector(Settler.NotRelayer.selector));
        settler.settle(BATCH, items);
        vm.prank(OPERATOR);
        vm.expectRevert(abi.encodeWithSelector(Settler.NotRelayer.selector));
        settler.settle(BATCH, items);
    }

    function test_the_operator_adds_and_removes_relayers() public {
        vm.expectEmit(address(settler));
        emit Settler.RelayerSet(address(this), true);
        vm.prank(OPERATOR);
        settler.setRelayer(address(this), true);
        settler.settle(BATCH, one(authorization(KEY, PAYEE, 1e6)));
        vm.assertEq(token.balanceOf(PAYEE), 1e6);

        vm.expectEmit(address(settler));
        emit Settler.RelayerSet(relayer, false);
        vm.prank(OPERATOR);
        settler.setRelayer(relayer, false);
        vm.expectRevert(abi.encodeWithSelector(Settler.NotRelayer.selector));
        vm.prank(relayer);
        settler.settle(BATCH, new Settler.Item[](0));
    }

    function test_nobody_else_adds_relayers() public {
        vm.expectRevert(abi.encodeWithSelector(Settler.NotOperator.selector));
        settler.setRelayer(address(this), true);
        vm.prank(relayer);
        vm.expectRevert(abi.encodeWithSelector(Settler.NotOperator.selector));
        settler.setRelayer(address(this), true);
    }

    function test_is_what_it_was_constructed_to_be() public view {
        vm.assertEq(settler.OPERATOR(), OPERATOR);
        vm.assertEq(settler.UPTO_PROXY(), UPTO);
        vm.assertEq(settler.EXACT_PROXY(), EXACT);
        vm.assertEq(settler.BATCH_SETTLEMENT(), address(channels));
        vm.assertTrue(settler.isRelayer(relayer));
    }

    function test_an_empty_batch_is_reported_too() public {
        vm.assertEq(settle(new Settler.Item[](0)).length, 0);
    }

    function test_takes_no_coin() public {
        vm.deal(relayer, 2);
        vm.prank(relayer);
        (bool done,) = address(settler).call{value: 1}(abi.encodeCall(settler.settle, (BATCH, new Settler.Item[](0))));
        vm.assertFalse(done);
        vm.prank(relayer);
        (done,) = address(settler).call{value: 1}("");
        vm.assertFalse(done);
    }

    function test_no_item_pays_the_settler() public {
        address self = address(settler);
        token.mint(relayer, 1e6);
        vm.prank(relayer);
        token.approve(self, 1e6);
        deposit(KEY, self, 1e6);
        Settler.Item[] memory items = new Settler.Item[](9);
        items[0] = authorization(KEY, self, 1);
        items[1] = wholeAuthorization(KEY, payer, self, 1);
        items[2] = capture(KEY, self, 5, 1);
        items[3] = captureWithPermit(KEY, self, 5, 1);
        items[4] = exactByPermit2(KEY, self, 1);
        items[5] = exactWithPermit(KEY, self, 1);
        items[6] = credit(relayer, self, 1);
        items[7] = claim(KEY, self, 1); // alone this moves nothing
        items[8] = channelSettlement(self);
        Outcome[] memory outcomes = settle(items);
        for (uint256 i = 0; i < items.length; ++i) {
            if (i == 7) continue;
            assertFailed(outcomes[i], refused());
        }
        vm.assertEq(token.balanceOf(self), 0);
    }

    function test_upper_bits_of_an_address_hide_nothing() public {
        Settler.Item memory item = authorization(KEY, address(settler), 1);
        item.data[4 + 32] = 0xFF;
        assertFailed(settleOne(item), refused());
    }

    function test_makes_no_call_but_those_it_lists() public {
        token.mint(address(settler), 5);
        deposit(KEY, PAYEE, 5);
        IBatchSettlement.ChannelConfig memory config = channelOf(KEY, PAYEE);
        bytes[] memory calls = new bytes[](8);
        calls[0] = abi.encodeCall(token.transfer, (relayer, 1));
        calls[1] = abi.encodeCall(token.approve, (relayer, 1));
        calls[2] = abi.encodeCall(channels.claim, (new IBatchSettlement.VoucherClaim[](0)));
        calls[3] = abi.encodeCall(channels.refund, (config, 1));
        calls[4] = abi.encodeCall(channels.multicall, (new bytes[](0)));
        calls[5] = abi.encodeCall(settler.setRelayer, (payer, true));
        calls[6] = "";
        calls[7] = hex"23b872";
        for (uint256 i = 0; i < calls.length; ++i) {
            assertFailed(settleOne(Settler.Item(USDC, GAS_LIMIT, calls[i])), refused());
        }
    }

    function test_cut_off_arguments_are_refused() public {
        Settler.Item memory item = authorization(KEY, PAYEE, 1);
        bytes memory data = item.data;
        for (uint256 length = 0; length < 4 + 64; ++length) {
            item.data = data;
            assembly ("memory-safe") {
                mstore(data, length)
            }
            assertFailed(settleOne(item), refused());
        }
        assembly ("memory-safe") {
            mstore(data, 68)
        }
        vm.assertFalse(settleOne(item).done);
    }

    function test_a_relayer_spends_no_ones_allowance_but_its_own() public {
        token.mint(payer, 1e6);
        vm.prank(payer);
        token.approve(address(settler), 1e6);
        assertFailed(settleOne(credit(payer, PAYEE, 1)), refused());
        vm.prank(OPERATOR);
        settler.setRelayer(payer, true);
        assertFailed(settleOne(credit(payer, PAYEE, 1)), refused());
        vm.prank(payer);
        settler.settle(BATCH, one(credit(payer, PAYEE, 1)));
        vm.assertEq(token.balanceOf(PAYEE), 1);
    }

    function test_no_code_is_no_success() public {
        Settler.Item memory item = authorization(KEY, PAYEE, 1);
        item.token = address(0xDEAD);
        assertFailed(settleOne(item), abi.encodeWithSelector(Settler.NoCode.selector, address(0xDEAD)));
        item = authorization(KEY, PAYEE, 1);
        item.token = address(0);
        assertFailed(settleOne(item), refused());
        item = capture(KEY, PAYEE, 1, 1);
        vm.etch(UPTO, "");
        assertFailed(settleOne(item), abi.encodeWithSelector(Settler.NoCode.selector, UPTO));
    }

    function test_without_a_proxy_its_items_fail() public {
        address[] memory relayers = new address[](1);
        relayers[0] = relayer;
        settler = new Settler(address(0), address(0), address(0), address(0), relayers);
        assertFailed(settleOne(capture(KEY, PAYEE, 1, 1)), refused());
        assertDone(settleOne(authorization(KEY, PAYEE, 1)), 1);
        vm.expectRevert(abi.encodeWithSelector(Settler.NotOperator.selector));
        settler.setRelayer(relayer, false);
    }

    function refused() private pure returns (bytes memory) {
        return abi.encodeWithSelector(Settler.NotPermitted.selector);
    }
}
