// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.28;

import {IBatchSettlement} from "../src/interfaces/IBatchSettlement.sol";
import {IExactPermit2Proxy, IPermit2Proxy, IUptoPermit2Proxy} from "../src/interfaces/IPermit2Proxies.sol";
import {IPermit2} from "../src/interfaces/IPermit2.sol";
import {BatchSettlement} from "../src/local/BatchSettlement.sol";
import {Erc3009DepositCollector} from "../src/local/Erc3009DepositCollector.sol";
import {UsdcStandIn} from "../src/local/UsdcStandIn.sol";
import {Settler} from "../src/Settler.sol";
import {Payment} from "./Payer.sol";
import {Permit2Payer} from "./Permit2Payer.sol";
import {Vm, vm} from "./Vm.sol";

/// @notice For tests: a settler among what it calls, and each kind of item, signed by a payer.
abstract contract Settling is Permit2Payer {
    address internal constant PAYEE = address(0xBEEF);
    address internal constant OPERATOR = address(0x0BE8);
    bytes32 internal constant BATCH = "batch";
    /// @dev The receiver's authorizer of channels.
    uint256 internal constant AUTHORIZER = 0xA07;
    uint256 internal constant GAS_LIMIT = 200_000;

    IUptoPermit2Proxy internal constant upto = IUptoPermit2Proxy(UPTO);
    IExactPermit2Proxy internal constant exact = IExactPermit2Proxy(EXACT);
    UsdcStandIn internal token;
    BatchSettlement internal channels = new BatchSettlement();
    Erc3009DepositCollector internal collector = new Erc3009DepositCollector(address(channels));
    address internal relayer = vm.addr(0x4E1);
    Settler internal settler;

    uint256 private payments;

    constructor() {
        installPermit2();
        vm.etch(USDC, address(new UsdcStandIn()).code);
        token = UsdcStandIn(USDC);
        address[] memory relayers = new address[](1);
        relayers[0] = relayer;
        settler = new Settler(OPERATOR, UPTO, EXACT, address(channels), relayers);
    }

    /// @dev What became of one item.
    struct Outcome {
        bool done;
        bytes reason;
    }

    /// @dev Gives a payer tokens that Permit2 may move.
    function fund(uint256 key, uint256 value) internal returns (address payer) {
        payer = vm.addr(key);
        token.mint(payer, value);
        vm.prank(payer);
        token.approve(PERMIT2, type(uint256).max);
    }

    /// @dev Settles as the relayer, and reads the receipt as a relayer does.
    function settle(Settler.Item[] memory items) internal returns (Outcome[] memory outcomes) {
        vm.recordLogs();
        vm.prank(relayer);
        settler.settle(BATCH, items);
        return outcomesIn(vm.getRecordedLogs(), items.length);
    }

    function outcomesIn(Vm.Log[] memory logs, uint256 items) internal view returns (Outcome[] memory outcomes) {
        outcomes = new Outcome[](items);
        for (uint256 i = 0; i < items; ++i) {
            outcomes[i].done = true;
        }
        uint256 told;
        bool ended;
        for (uint256 i = 0; i < logs.length; ++i) {
            if (logs[i].emitter != address(settler)) continue;
            vm.assertFalse(ended, "a log after the end");
            vm.assertEq(logs[i].topics[1], BATCH);
            if (logs[i].topics[0] == Settler.Failed.selector) {
                (uint256 index, bytes memory reason) = abi.decode(logs[i].data, (uint256, bytes));
                vm.assertTrue(outcomes[index].done, "told twice");
                outcomes[index] = Outcome(false, reason);
                ++told;
            } else {
                (uint256 tried, uint256 failed) = abi.decode(logs[i].data, (uint256, uint256));
                vm.assertEq(tried, items);
                vm.assertEq(failed, told);
                ended = true;
            }
        }
        vm.assertTrue(ended, "no end");
    }

    function one(Settler.Item memory item) internal pure returns (Settler.Item[] memory items) {
        items = new Settler.Item[](1);
        items[0] = item;
    }

    function settleOne(Settler.Item memory item) internal returns (Outcome memory) {
        return settle(one(item))[0];
    }

    // Items.

    function authorization(uint256 key, address to, uint256 value) internal returns (Settler.Item memory) {
        Payment memory p = Payment(vm.addr(key), to, value, 0, block.timestamp + 60, bytes32(freshNonce()));
        (bytes32 r, bytes32 s, uint8 v) = split(signPayment(key, USDC, p));
        return Settler.Item(
            USDC,
            GAS_LIMIT,
            abi.encodeWithSignature(
                "transferWithAuthorization(address,address,uint256,uint256,uint256,bytes32,uint8,bytes32,bytes32)",
                p.from,
                p.to,
                p.value,
                p.validAfter,
                p.validBefore,
                p.nonce,
                v,
                r,
                s
            )
        );
    }

    /// @dev `from` may be a contract that `key` speaks for.
    function wholeAuthorization(uint256 key, address from, address to, uint256 value)
        internal
        returns (Settler.Item memory)
    {
        Payment memory p = Payment(from, to, value, 0, block.timestamp + 60, bytes32(freshNonce()));
        return Settler.Item(
            USDC,
            GAS_LIMIT,
            abi.encodeWithSignature(
                "transferWithAuthorization(address,address,uint256,uint256,uint256,bytes32,bytes)",
                p.from,
                p.to,
                p.value,
                p.validAfter,
                p.validBefore,
                p.nonce,
                signPayment(key, USDC, p)
            )
        );
    }

    function capture(uint256 key, address to, uint256 ceiling, uint256 amount) internal returns (Settler.Item memory) {
        return capture(key, IUptoPermit2Proxy.Witness(to, address(settler), 0), ceiling, amount);
    }

    function capture(uint256 key, IUptoPermit2Proxy.Witness memory witness, uint256 ceiling, uint256 amount)
        internal
        returns (Settler.Item memory)
    {
        IPermit2.PermitTransferFrom memory permit = permitOf(USDC, ceiling, freshNonce());
        bytes memory signature = sign(key, uptoDigest(permit, witness));
        return fixedTarget(abi.encodeCall(upto.settle, (permit, amount, vm.addr(key), witness, signature)));
    }

    function captureWithPermit(uint256 key, address to, uint256 ceiling, uint256 amount)
        internal
        returns (Settler.Item memory)
    {
        IUptoPermit2Proxy.Witness memory witness = IUptoPermit2Proxy.Witness(to, address(settler), 0);
        IPermit2.PermitTransferFrom memory permit = permitOf(USDC, ceiling, freshNonce());
        bytes memory signature = sign(key, uptoDigest(permit, witness));
        return fixedTarget(
            abi.encodeCall(
                upto.settleWithPermit, (permit2612(key, ceiling), permit, amount, vm.addr(key), witness, signature)
            )
        );
    }

    function exactByPermit2(uint256 key, address to, uint256 value) internal returns (Settler.Item memory) {
        IExactPermit2Proxy.Witness memory witness = IExactPermit2Proxy.Witness(to, 0);
        IPermit2.PermitTransferFrom memory permit = permitOf(USDC, value, freshNonce());
        bytes memory signature = sign(key, exactDigest(permit, witness));
        return fixedTarget(abi.encodeCall(exact.settle, (permit, vm.addr(key), witness, signature)));
    }

    function exactWithPermit(uint256 key, address to, uint256 value) internal returns (Settler.Item memory) {
        IExactPermit2Proxy.Witness memory witness = IExactPermit2Proxy.Witness(to, 0);
        IPermit2.PermitTransferFrom memory permit = permitOf(USDC, value, freshNonce());
        bytes memory signature = sign(key, exactDigest(permit, witness));
        return fixedTarget(
            abi.encodeCall(exact.settleWithPermit, (permit2612(key, value), permit, vm.addr(key), witness, signature))
        );
    }

    function credit(address from, address to, uint256 value) internal view returns (Settler.Item memory) {
        return Settler.Item(USDC, GAS_LIMIT, abi.encodeCall(token.transferFrom, (from, to, value)));
    }

    function channelOf(uint256 key, address receiver) internal pure returns (IBatchSettlement.ChannelConfig memory) {
        return IBatchSettlement.ChannelConfig(
            vm.addr(key), vm.addr(key), receiver, vm.addr(AUTHORIZER), USDC, 1 days, bytes32(0)
        );
    }

    /// @dev Opens a channel of tokens made for it.
    function deposit(uint256 key, address receiver, uint128 value) internal {
        IBatchSettlement.ChannelConfig memory config = channelOf(key, receiver);
        token.mint(config.payer, value);
        bytes32 word = keccak256(abi.encode(channels.getChannelId(config), uint256(0)));
        Payment memory p = Payment(config.payer, address(collector), value, 0, block.timestamp + 60, word);
        bytes memory signature = sign(key, paymentDigest(USDC, RECEIVE, p));
        bytes memory data = abi.encode(p.validAfter, p.validBefore, uint256(0), signature);
        channels.deposit(config, value, address(collector), data);
    }

    function voucher(uint256 key, address receiver, uint128 ceiling, uint128 total)
        internal
        view
        returns (IBatchSettlement.VoucherClaim memory)
    {
        IBatchSettlement.ChannelConfig memory config = channelOf(key, receiver);
        bytes32 hash = channels.getVoucherDigest(channels.getChannelId(config), ceiling);
        return IBatchSettlement.VoucherClaim(IBatchSettlement.Voucher(config, ceiling), sign(key, hash), total);
    }

    function claims(IBatchSettlement.VoucherClaim[] memory rows) internal view returns (Settler.Item memory) {
        bytes memory signature = sign(AUTHORIZER, channels.getClaimBatchDigest(rows));
        Settler.Item memory item = fixedTarget(abi.encodeCall(channels.claimWithSignature, (rows, signature)));
        item.gasLimit = GAS_LIMIT + 50_000 * rows.length;
        return item;
    }

    function claim(uint256 key, address receiver, uint128 total) internal view returns (Settler.Item memory) {
        IBatchSettlement.VoucherClaim[] memory rows = new IBatchSettlement.VoucherClaim[](1);
        rows[0] = voucher(key, receiver, total, total);
        return claims(rows);
    }

    function channelSettlement(address receiver) internal view returns (Settler.Item memory) {
        return fixedTarget(abi.encodeCall(channels.settle, (receiver, USDC)));
    }

    function refund(uint256 key, address receiver, uint128 value) internal view returns (Settler.Item memory) {
        IBatchSettlement.ChannelConfig memory config = channelOf(key, receiver);
        bytes32 id = channels.getChannelId(config);
        uint256 place = channels.refundNonce(id);
        bytes memory signature = sign(AUTHORIZER, channels.getRefundDigest(id, place, value));
        return fixedTarget(abi.encodeCall(channels.refundWithSignature, (config, value, place, signature)));
    }

    /// @dev With the owner's next nonce, whatever it is.
    function permit2612(uint256 key, uint256 value) private view returns (IPermit2Proxy.EIP2612Permit memory) {
        uint256 deadline = block.timestamp + 60;
        address owner = vm.addr(key);
        bytes32 hash = permitDigest(USDC, owner, PERMIT2, value, token.nonces(owner), deadline);
        (bytes32 r, bytes32 s, uint8 v) = split(sign(key, hash));
        return IPermit2Proxy.EIP2612Permit(value, deadline, r, s, v);
    }

    /// @dev Strewn as clients strew them: no two of a payer's share a word of Permit2's bitmap.
    function freshNonce() private returns (uint256) {
        return uint256(keccak256(abi.encode(++payments)));
    }

    function fixedTarget(bytes memory data) private pure returns (Settler.Item memory) {
        return Settler.Item(address(0), GAS_LIMIT, data);
    }
}
