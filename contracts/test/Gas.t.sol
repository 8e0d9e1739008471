// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.28;

import {ContractWallet} from "../src/local/ContractWallet.sol";
import {Multicall3} from "../src/local/Multicall3.sol";
import {UsdcStandIn} from "../src/local/UsdcStandIn.sol";
import {Payer, Payment} from "./Payer.sol";
import {vm} from "./Vm.sol";

/// @notice The calls a settlement makes, with fixed words: their gas is compared with the committed `.gas-snapshot`.
contract GasTest is Payer {
    UsdcStandIn internal token;
    uint256 internal constant KEY = 0xA11CE;
    ContractWallet internal wallet = new ContractWallet(vm.addr(KEY));
    Multicall3 internal multicall = new Multicall3();

    function setUp() public {
        vm.etch(USDC, address(new UsdcStandIn()).code);
        token = UsdcStandIn(USDC);
        token.mint(vm.addr(KEY), 10e6);
        token.mint(address(wallet), 10e6);
        token.mint(address(0xBEEF), 1);
    }

    function payment(address from) internal view returns (Payment memory) {
        return Payment(from, address(0xBEEF), 1e6, 0, block.timestamp + 60, keccak256("nonce"));
    }

    function test_gas_transfer_with_authorization() public {
        Payment memory p = payment(vm.addr(KEY));
        submitSplit(token, p, signPayment(KEY, USDC, p));
    }

    function test_gas_transfer_with_authorization_of_a_wallet() public {
        Payment memory p = payment(address(wallet));
        submit(token, p, signPayment(KEY, USDC, p));
    }

    function test_gas_permit() public {
        bytes memory signature = sign(KEY, permitDigest(USDC, vm.addr(KEY), address(0xBEEF), 1e6, 0, block.timestamp));
        token.permit(vm.addr(KEY), address(0xBEEF), 1e6, block.timestamp, signature);
    }

    function test_gas_transfer() public {
        vm.prank(vm.addr(KEY));
        token.transfer(address(0xBEEF), 1e6);
    }

    function test_gas_multicall_of_four_reads() public {
        Multicall3.Call3[] memory list = new Multicall3.Call3[](4);
        list[0] = Multicall3.Call3(USDC, true, abi.encodeCall(token.balanceOf, (vm.addr(KEY))));
        list[1] = Multicall3.Call3(USDC, true, abi.encodeCall(token.name, ()));
        list[2] = Multicall3.Call3(USDC, true, abi.encodeCall(token.version, ()));
        list[3] = Multicall3.Call3(USDC, true, abi.encodeCall(token.authorizationState, (vm.addr(KEY), bytes32(0))));
        multicall.aggregate3(list);
    }
}
