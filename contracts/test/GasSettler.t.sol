// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.28;

import {IBatchSettlement} from "../src/interfaces/IBatchSettlement.sol";
import {IUptoPermit2Proxy} from "../src/interfaces/IPermit2Proxies.sol";
import {Settler} from "../src/Settler.sol";
import {Settling} from "./Settling.sol";
import {vm} from "./Vm.sol";

/// @notice What payments cost alone and through the settler: their gas is compared with the committed `.gas-snapshot`.
/// @dev Each payment has a payer of its own, who has paid before by other nonces; payee and token are as in use. A call is made ready
/// in `setUp` and kept as code, so that a test spends next to nothing but the call's own gas. To add what a transaction pays
/// for itself and its data, run them with `--isolate`.
contract GasSettlerTest is Settling {
    uint256 private constant FIRST_KEY = 0xA11CE;
    uint256 private constant MOST = 100;

    struct Ready {
        address target;
        /// @dev Where the call's data lie as code.
        address data;
    }

    mapping(bytes32 name => Ready) private calls;

    function setUp() public {
        relayer = address(this);
        vm.prank(OPERATOR);
        settler.setRelayer(relayer, true);
        token.mint(PAYEE, 1);
        token.mint(relayer, 100e6);
        token.approve(address(settler), type(uint256).max);
        for (uint256 i = 0; i < MOST; ++i) {
            fund(FIRST_KEY + i, 10e6);
        }
        readyPayments();
        readyChannels();
    }

    function readyPayments() private {
        ready("authorization", USDC, authorization(FIRST_KEY, PAYEE, 1e6).data);
        readyBatch("authorizations 1", authorizations(1));
        readyBatch("authorizations 50", authorizations(50));

        IUptoPermit2Proxy.Witness memory byMe = IUptoPermit2Proxy.Witness(PAYEE, address(this), 0);
        ready("capture", UPTO, capture(FIRST_KEY, byMe, 1e6, 0.3e6).data);
        readyBatch("captures 1", captures(1));
        readyBatch("captures 50", captures(50));

        Settler.Item[] memory credits = new Settler.Item[](50);
        for (uint256 i = 0; i < credits.length; ++i) {
            credits[i] = credit(relayer, vm.addr(FIRST_KEY + i), 1e6);
        }
        readyBatch("credits 50", credits);

        Settler.Item[] memory failing = authorizations(50);
        for (uint256 i = 0; i < failing.length; ++i) {
            failing[i].data[4 + 31] ^= 0x01;
        }
        readyBatch("failing 50", failing);
    }

    function readyChannels() private {
        for (uint256 i = 0; i < MOST; ++i) {
            deposit(FIRST_KEY + i, PAYEE, 5e6);
        }
        // Each channel was claimed once before.
        settle(one(claims(vouchers(MOST, 1e6))));
        readyBatch("channels 1", claimed(1));
        readyBatch("channels 10", claimed(10));
        readyBatch("channels 100", claimed(100));
    }

    function test_gas_authorization_alone() public {
        make("authorization");
    }

    function test_gas_authorization_through_the_settler() public {
        make("authorizations 1");
    }

    function test_gas_50_authorizations_through_the_settler() public {
        make("authorizations 50");
    }

    function test_gas_capture_alone() public {
        make("capture");
    }

    function test_gas_capture_through_the_settler() public {
        make("captures 1");
    }

    function test_gas_50_captures_through_the_settler() public {
        make("captures 50");
    }

    function test_gas_50_credits_through_the_settler() public {
        make("credits 50");
    }

    function test_gas_50_bad_authorizations_through_the_settler() public {
        make("failing 50");
    }

    function test_gas_a_channel_claimed_and_settled() public {
        make("channels 1");
    }

    function test_gas_10_channels_claimed_and_settled() public {
        make("channels 10");
    }

    function test_gas_100_channels_claimed_and_settled() public {
        make("channels 100");
    }

    function make(bytes32 name) private {
        (bool done,) = calls[name].target.call(calls[name].data.code);
        vm.assertTrue(done);
    }

    function ready(bytes32 name, address target, bytes memory data) private {
        address place = address(bytes20(keccak256(abi.encode(name))));
        vm.etch(place, data);
        calls[name] = Ready(target, place);
    }

    function readyBatch(bytes32 name, Settler.Item[] memory items) private {
        ready(name, address(settler), abi.encodeCall(settler.settle, (BATCH, items)));
    }

    function authorizations(uint256 count) private returns (Settler.Item[] memory items) {
        items = new Settler.Item[](count);
        for (uint256 i = 0; i < count; ++i) {
            items[i] = authorization(FIRST_KEY + i, PAYEE, 1e6);
        }
    }

    function captures(uint256 count) private returns (Settler.Item[] memory items) {
        items = new Settler.Item[](count);
        for (uint256 i = 0; i < count; ++i) {
            items[i] = capture(FIRST_KEY + i, PAYEE, 1e6, 0.3e6);
        }
    }

    function claimed(uint256 count) private view returns (Settler.Item[] memory items) {
        items = new Settler.Item[](2);
        items[0] = claims(vouchers(count, 2e6));
        items[1] = channelSettlement(PAYEE);
    }

    function vouchers(uint256 count, uint128 total) private view returns (IBatchSettlement.VoucherClaim[] memory rows) {
        rows = new IBatchSettlement.VoucherClaim[](count);
        for (uint256 i = 0; i < count; ++i) {
            rows[i] = voucher(FIRST_KEY + i, PAYEE, total, total);
        }
    }
}
