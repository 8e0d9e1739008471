// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.28;

import {Multicall3} from "../src/local/Multicall3.sol";
import {UsdcStandIn} from "../src/local/UsdcStandIn.sol";
import {Payer} from "./Payer.sol";
import {vm} from "./Vm.sol";

contract Multicall3Test is Payer {
    Multicall3 internal multicall = new Multicall3();
    UsdcStandIn internal token = new UsdcStandIn();
    bytes internal good = abi.encodeCall(token.totalSupply, ());
    bytes internal bad = abi.encodeCall(token.transfer, (address(1), 1));
    bytes internal refusal = reason("ERC20: transfer amount exceeds balance");

    function setUp() public {
        token.mint(address(this), 42);
    }

    function calls(bytes memory first, bytes memory second) internal view returns (Multicall3.Call[] memory list) {
        list = new Multicall3.Call[](2);
        list[0] = Multicall3.Call(address(token), first);
        list[1] = Multicall3.Call(address(token), second);
    }

    function test_selectors_are_the_public_ones() public pure {
        vm.assertEq(bytes32(Multicall3.aggregate.selector), bytes32(bytes4(0x252dba42)));
        vm.assertEq(bytes32(Multicall3.tryAggregate.selector), bytes32(bytes4(0xbce38bd7)));
        vm.assertEq(bytes32(Multicall3.aggregate3.selector), bytes32(bytes4(0x82ad56cb)));
        vm.assertEq(bytes32(Multicall3.aggregate3Value.selector), bytes32(bytes4(0x174dea71)));
        vm.assertEq(bytes32(Multicall3.tryBlockAndAggregate.selector), bytes32(bytes4(0x399542e9)));
        vm.assertEq(bytes32(Multicall3.blockAndAggregate.selector), bytes32(bytes4(0xc3077fa9)));
        vm.assertEq(bytes32(Multicall3.getEthBalance.selector), bytes32(bytes4(0x4d2301cc)));
    }

    function test_aggregate_wants_them_all() public {
        vm.roll(77);
        (uint256 number, bytes[] memory data) = multicall.aggregate(calls(good, good));
        vm.assertEq(number, 77);
        vm.assertEq(data[1], abi.encode(42));
        vm.expectRevert(reason("Multicall3: call failed"));
        multicall.aggregate(calls(good, bad));
        vm.expectRevert(reason("Multicall3: call failed"));
        multicall.blockAndAggregate(calls(bad, good));
    }

    function test_try_aggregate_reports_what_failed() public {
        Multicall3.Result[] memory results = multicall.tryAggregate(false, calls(bad, good));
        vm.assertFalse(results[0].success);
        vm.assertEq(results[0].returnData, refusal);
        vm.assertTrue(results[1].success);
        vm.assertEq(results[1].returnData, abi.encode(42));
        vm.expectRevert(reason("Multicall3: call failed"));
        multicall.tryAggregate(true, calls(good, bad));
        (uint256 number, bytes32 hash,) = multicall.tryBlockAndAggregate(false, calls(bad, good));
        vm.assertEq(number, block.number);
        vm.assertEq(hash, bytes32(0));
    }

    function test_aggregate3_asks_each_call() public {
        Multicall3.Call3[] memory list = new Multicall3.Call3[](2);
        list[0] = Multicall3.Call3(address(token), true, bad);
        list[1] = Multicall3.Call3(address(token), false, good);
        Multicall3.Result[] memory results = multicall.aggregate3(list);
        vm.assertFalse(results[0].success);
        vm.assertEq(results[0].returnData, refusal);
        vm.assertEq(results[1].returnData, abi.encode(42));
        list[0].allowFailure = false;
        vm.expectRevert(reason("Multicall3: call failed"));
        multicall.aggregate3(list);
    }

    function testFuzz_aggregate3_value_spends_what_it_was_sent(uint64 first, uint64 second, uint64 sent) public {
        vm.deal(address(this), type(uint128).max);
        Multicall3.Call3Value[] memory list = new Multicall3.Call3Value[](2);
        list[0] = Multicall3.Call3Value(address(0xBEEF), false, first, "");
        list[1] = Multicall3.Call3Value(address(0xCAFE), true, second, "");
        uint256 total = uint256(first) + second;
        if (sent % 2 == 0 || sent == total) {
            multicall.aggregate3Value{value: total}(list);
            vm.assertEq(multicall.getEthBalance(address(0xBEEF)), first);
            vm.assertEq(multicall.getEthBalance(address(0xCAFE)), second);
        } else {
            vm.expectRevert();
            multicall.aggregate3Value{value: sent}(list);
        }
        vm.assertEq(address(multicall).balance, 0);
    }

    function test_a_surplus_of_coin_is_refused() public {
        vm.deal(address(this), 2);
        vm.expectRevert(reason("Multicall3: value mismatch"));
        multicall.aggregate3Value{value: 2}(new Multicall3.Call3Value[](0));
    }

    function test_tells_of_the_block() public {
        vm.roll(500);
        vm.assertEq(multicall.getBlockNumber(), 500);
        vm.assertEq(multicall.getBlockHash(400), blockhash(400));
        vm.assertEq(multicall.getLastBlockHash(), blockhash(499));
        vm.assertEq(multicall.getCurrentBlockTimestamp(), block.timestamp);
        vm.assertEq(multicall.getCurrentBlockGasLimit(), block.gaslimit);
        vm.assertEq(multicall.getCurrentBlockCoinbase(), block.coinbase);
        vm.assertEq(multicall.getCurrentBlockDifficulty(), block.prevrandao);
        vm.assertEq(multicall.getBasefee(), block.basefee);
        vm.assertEq(multicall.getChainId(), 84_532);
    }
}
