// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.28;

import {Settler} from "../src/Settler.sol";
import {Settling} from "./Settling.sol";
import {vm} from "./Vm.sol";

/// @notice Code at a token's or a wallet's address that does its worst, whatever it is called for.
contract Trap {
    enum Trick {
        RevertsSilently,
        RevertsWithAMegabyte,
        AnswersWithAMegabyte,
        BurnsAllGas,
        BurnsHalfAndReverts,
        Invalid,
        SaysFalse,
        SaysTwo,
        SaysTooLittle,
        CallsBack,
        SaysTrue,
        SaysNothing
    }

    Trick private immutable TRICK;
    Settler private immutable SETTLER;

    constructor(Trick trick, Settler settler) {
        TRICK = trick;
        SETTLER = settler;
    }

    fallback() external {
        if (TRICK == Trick.RevertsSilently) revert();
        if (TRICK == Trick.RevertsWithAMegabyte) {
            assembly ("memory-safe") {
                mstore(0, not(0))
                revert(0, 1000000)
            }
        }
        if (TRICK == Trick.AnswersWithAMegabyte) {
            assembly ("memory-safe") {
                mstore(0, 2)
                return(0, 1000000)
            }
        }
        if (TRICK == Trick.BurnsAllGas) while (true) {}
        if (TRICK == Trick.BurnsHalfAndReverts) {
            uint256 half = gasleft() / 2;
            while (gasleft() > half) {}
            revert("half");
        }
        if (TRICK == Trick.Invalid) {
            assembly ("memory-safe") {
                invalid()
            }
        }
        if (TRICK == Trick.CallsBack) SETTLER.settle("again", new Settler.Item[](0));
        if (TRICK == Trick.SaysNothing) return;
        uint256 word = TRICK == Trick.SaysTrue ? 1 : TRICK == Trick.SaysTwo ? 2 : 0;
        uint256 size = TRICK == Trick.SaysTooLittle ? 31 : 32;
        assembly ("memory-safe") {
            mstore(0, word)
            return(0, size)
        }
    }
}

/// @notice A relayer with code, which a token can call: it settles again from within a settlement.
contract RelayerWithCode {
    Settler private immutable SETTLER;
    bytes private again;

    constructor(Settler settler) {
        SETTLER = settler;
    }

    function settle(bytes32 batch, Settler.Item[] calldata items, Settler.Item[] calldata within) external {
        again = abi.encodeCall(Settler.settle, ("within", within));
        SETTLER.settle(batch, items);
    }

    /// @dev Stands in for the token as well: any call comes back in, once.
    fallback() external {
        bytes memory data = again;
        delete again;
        if (data.length == 0) return;
        (bool done,) = address(SETTLER).call(data);
        require(done, "again");
    }
}

/// @notice What hostile tokens and wallets can do to a batch: fail their own item, and nothing else.
contract SettlerHostileTest is Settling {
    uint256 internal constant KEY = 0xA11CE;
    uint256 internal constant LAST_FAILING_TRICK = uint256(Trap.Trick.CallsBack);

    function setUp() public {
        fund(KEY, 10e6);
    }

    function trapped(Trap.Trick trick) private returns (Settler.Item memory item) {
        item = authorization(KEY, PAYEE, 1);
        item.token = address(new Trap(trick, settler));
        item.gasLimit = 3_000_000;
    }

    function test_a_hostile_token_fails_its_own_item_in_any_place() public {
        for (uint256 trick = 0; trick <= LAST_FAILING_TRICK; ++trick) {
            for (uint256 place = 0; place < 3; ++place) {
                Settler.Item[] memory items = new Settler.Item[](3);
                for (uint256 i = 0; i < 3; ++i) {
                    items[i] = i == place ? trapped(Trap.Trick(trick)) : authorization(KEY, PAYEE, 1);
                }
                uint256 before = token.balanceOf(PAYEE);
                Outcome[] memory outcomes = settle(items);
                for (uint256 i = 0; i < 3; ++i) {
                    vm.assertTrue(outcomes[i].done == (i != place));
                }
                vm.assertTrue(outcomes[place].reason.length <= settler.REASON_BYTES(), "reason");
                vm.assertEq(token.balanceOf(PAYEE), before + 2);
            }
        }
    }

    function test_a_hostile_token_fails_a_credit_too() public {
        for (uint256 trick = 0; trick <= LAST_FAILING_TRICK; ++trick) {
            Settler.Item memory item = credit(relayer, PAYEE, 1);
            item.token = trapped(Trap.Trick(trick)).token;
            vm.assertFalse(settleOne(item).done);
        }
    }

    function test_reasons_say_what_happened() public {
        vm.assertEq(settleOne(trapped(Trap.Trick.RevertsSilently)).reason, "");
        vm.assertEq(settleOne(trapped(Trap.Trick.BurnsAllGas)).reason, "");
        vm.assertEq(settleOne(trapped(Trap.Trick.BurnsHalfAndReverts)).reason, reason("half"));
        vm.assertEq(
            settleOne(trapped(Trap.Trick.CallsBack)).reason, abi.encodeWithSelector(Settler.NotRelayer.selector)
        );
        bytes memory no = abi.encodeWithSelector(Settler.ReturnedFalse.selector);
        vm.assertEq(settleOne(trapped(Trap.Trick.SaysFalse)).reason, no);
        vm.assertEq(settleOne(trapped(Trap.Trick.SaysTwo)).reason, no);
        vm.assertEq(settleOne(trapped(Trap.Trick.SaysTooLittle)).reason, no);
        vm.assertEq(settleOne(trapped(Trap.Trick.AnswersWithAMegabyte)).reason, no);
        bytes memory long = settleOne(trapped(Trap.Trick.RevertsWithAMegabyte)).reason;
        vm.assertEq(long.length, settler.REASON_BYTES());
        vm.assertEq(uint256(bytes32(long)), type(uint256).max);
    }

    function test_true_and_nothing_are_both_yes() public {
        vm.assertTrue(settleOne(trapped(Trap.Trick.SaysTrue)).done);
        vm.assertTrue(settleOne(trapped(Trap.Trick.SaysNothing)).done);
    }

    /// @dev The whole of it costs its own limit and no more: a megabyte is never copied at the settler's cost.
    function test_a_megabyte_costs_only_the_items_own_gas() public {
        Settler.Item[] memory items = one(trapped(Trap.Trick.RevertsWithAMegabyte));
        uint256 gas = gasleft();
        settle(items);
        vm.assertTrue(gas - gasleft() < items[0].gasLimit + 100_000, "copied");
        items[0].gasLimit = 100_000; // too little for it to build its megabyte
        vm.assertEq(settle(items)[0].reason, "");
    }

    function test_a_wallet_that_burns_its_gas_fails_its_own_items() public {
        address wallet = address(new Trap(Trap.Trick.BurnsAllGas, settler));
        token.mint(wallet, 1e6);
        Settler.Item[] memory items = new Settler.Item[](3);
        items[0] = wholeAuthorization(KEY, wallet, PAYEE, 1);
        items[1] = items[0];
        items[2] = capture(KEY, PAYEE, 5, 1);
        Outcome[] memory outcomes = settle(items);
        vm.assertFalse(outcomes[0].done);
        vm.assertFalse(outcomes[1].done);
        vm.assertTrue(outcomes[2].done);
    }

    /// @dev Of relayers only one with code can be called back at all; nothing is halfway then, and nobody gains.
    function test_a_batch_within_a_batch_harms_neither() public {
        RelayerWithCode contractRelayer = new RelayerWithCode(settler);
        vm.prank(OPERATOR);
        settler.setRelayer(address(contractRelayer), true);
        Settler.Item[] memory items = new Settler.Item[](3);
        items[0] = authorization(KEY, PAYEE, 1);
        items[1] = authorization(KEY, PAYEE, 1);
        items[1].token = address(contractRelayer);
        items[1].gasLimit = 2_000_000;
        items[2] = authorization(KEY, PAYEE, 1);
        Settler.Item[] memory within = new Settler.Item[](2);
        within[0] = capture(KEY, PAYEE, 5, 1);
        within[1] = items[2];
        contractRelayer.settle(BATCH, items, within);
        vm.assertEq(token.balanceOf(PAYEE), 3);
        vm.assertEq(token.balanceOf(address(settler)), 0);
    }

    // Gas.

    /// @dev What the settler asks for before the first item: the formula that a relayer may rely on.
    function needed(Settler.Item[] memory items) private view returns (uint256 sum) {
        for (uint256 i = 0; i < items.length; ++i) {
            sum += items[i].gasLimit + settler.ITEM_GAS() + items[i].data.length;
        }
        sum += sum / 63 + 1;
    }

    /// @dev At whatever gas: refused before the first item, or every sound item done, however greedy the others are.
    function testFuzz_no_gas_makes_a_sound_item_fail(uint256 gas, uint256[12] calldata kinds) public {
        Settler.Item[] memory items = new Settler.Item[](kinds.length);
        bool[] memory sound = new bool[](kinds.length);
        for (uint256 i = 0; i < kinds.length; ++i) {
            uint256 kind = kinds[i] % (LAST_FAILING_TRICK + 3);
            sound[i] = kind > LAST_FAILING_TRICK;
            if (!sound[i]) items[i] = trapped(Trap.Trick(kind));
            else if (kind == LAST_FAILING_TRICK + 1) items[i] = authorization(KEY, PAYEE, 1);
            else items[i] = capture(KEY, PAYEE, 5, 1);
            items[i].gasLimit = within(kinds[i] >> 128, GAS_LIMIT, sound[i] ? GAS_LIMIT : 2_500_000);
        }
        uint256 enough = needed(items);
        gas = within(gas, enough - 20_000, enough + 20_000);
        vm.recordLogs();
        vm.prank(relayer);
        (bool done, bytes memory answer) =
            address(settler).call{gas: gas}(abi.encodeCall(settler.settle, (BATCH, items)));
        if (!done) {
            vm.assertEq(answer, abi.encodeWithSelector(Settler.NotEnoughGas.selector, enough));
            vm.assertEq(token.balanceOf(PAYEE), 0);
            return;
        }
        vm.assertTrue(gas >= enough);
        Outcome[] memory outcomes = outcomesIn(vm.getRecordedLogs(), items.length);
        for (uint256 i = 0; i < items.length; ++i) {
            vm.assertTrue(outcomes[i].done == sound[i], "starved");
        }
    }

    function test_asks_for_little_more_than_the_items_own_gas() public {
        Settler.Item[] memory items = new Settler.Item[](50);
        for (uint256 i = 0; i < items.length; ++i) {
            items[i] = trapped(Trap.Trick.BurnsAllGas);
            items[i].gasLimit = 60_000;
        }
        bytes memory data = abi.encodeCall(settler.settle, (BATCH, items));
        uint256 enough = needed(items);
        vm.prank(relayer);
        (bool done,) = address(settler).call{gas: enough}(data);
        vm.assertFalse(done);
        vm.prank(relayer);
        (done,) = address(settler).call{gas: enough + 50_000}(data);
        vm.assertTrue(done);
    }

    function test_a_limit_beyond_all_gas_stops_the_batch() public {
        Settler.Item[] memory items = one(authorization(KEY, PAYEE, 1));
        items[0].gasLimit = type(uint256).max;
        vm.expectRevert();
        vm.prank(relayer);
        settler.settle(BATCH, items);
    }
}
