// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.28;

import {IBatchSettlement} from "../src/interfaces/IBatchSettlement.sol";
import {BatchSettlement} from "../src/local/BatchSettlement.sol";
import {Erc3009DepositCollector} from "../src/local/Erc3009DepositCollector.sol";
import {Permit2DepositCollector} from "../src/local/Permit2DepositCollector.sol";
import {UsdcStandIn} from "../src/local/UsdcStandIn.sol";
import {Payment} from "./Payer.sol";
import {Permit2Payer} from "./Permit2Payer.sol";
import {vm} from "./Vm.sol";

/// @notice Both sides of a channel, for tests: everything at its canonical address, and every digest spelled out from
/// the type strings rather than taken from the contract under test.
abstract contract Channels is Permit2Payer {
    address internal constant BATCH = 0x4020074e9dF2ce1deE5A9C1b5c3f541D02a10003;
    address internal constant BY_EIP3009 = 0x4020806089470a89826cB9fB1f4059150b550004;
    address internal constant BY_PERMIT2 = 0x4020425FAf3B746C082C2f942b4E5159887B0005;
    address internal constant RECEIVER = address(0xBEEF);
    address internal constant STRANGER = address(0xBAD);
    uint40 internal constant DELAY = 1 days;

    uint256 internal constant PAYER_KEY = 0xA11CE;
    /// @dev The payer's key for vouchers.
    uint256 internal constant VOUCHER_KEY = 0xC0FFEE;
    /// @dev The receiver's key for claims and refunds.
    uint256 internal constant OPERATOR_KEY = 0x0B0E;
    address internal payer = vm.addr(PAYER_KEY);
    address internal operator = vm.addr(OPERATOR_KEY);

    BatchSettlement internal batch = BatchSettlement(BATCH);
    UsdcStandIn internal token = UsdcStandIn(USDC);

    /// @dev As the local chain does it: collectors are built with the final addresses, and all code is copied.
    function placeAll() internal {
        vm.etch(USDC, address(new UsdcStandIn()).code);
        installPermit2();
        vm.etch(BATCH, address(new BatchSettlement()).code);
        vm.etch(BY_EIP3009, address(new Erc3009DepositCollector(BATCH)).code);
        vm.etch(BY_PERMIT2, address(new Permit2DepositCollector(BATCH, PERMIT2)).code);
    }

    function channelOf(address from, uint256 salt) internal pure returns (IBatchSettlement.ChannelConfig memory) {
        return IBatchSettlement.ChannelConfig(
            from, vm.addr(VOUCHER_KEY), RECEIVER, vm.addr(OPERATOR_KEY), USDC, DELAY, bytes32(salt)
        );
    }

    function channelDigest(uint256 chain, address settlement, bytes32 structHash) internal pure returns (bytes32) {
        bytes32 domain = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("x402 Batch Settlement"),
                keccak256("1"),
                chain,
                settlement
            )
        );
        return keccak256(abi.encodePacked("\x19\x01", domain, structHash));
    }

    function here(bytes32 structHash) internal view returns (bytes32) {
        return channelDigest(block.chainid, BATCH, structHash);
    }

    function channelHash(IBatchSettlement.ChannelConfig memory c) internal pure returns (bytes32) {
        bytes32 typehash = keccak256(
            "ChannelConfig(address payer,address payerAuthorizer,address receiver,address receiverAuthorizer,address token,uint40 withdrawDelay,bytes32 salt)"
        );
        return keccak256(
            abi.encode(
                typehash,
                c.payer,
                c.payerAuthorizer,
                c.receiver,
                c.receiverAuthorizer,
                c.token,
                uint256(c.withdrawDelay),
                c.salt
            )
        );
    }

    function idOf(IBatchSettlement.ChannelConfig memory c) internal view returns (bytes32) {
        return here(channelHash(c));
    }

    function voucherHash(bytes32 id, uint128 most) internal pure returns (bytes32) {
        return
            keccak256(abi.encode(keccak256("Voucher(bytes32 channelId,uint128 maxClaimableAmount)"), id, uint256(most)));
    }

    function refundHash(bytes32 id, uint256 nonce, uint128 amount) internal pure returns (bytes32) {
        bytes32 typehash = keccak256("Refund(bytes32 channelId,uint256 nonce,uint128 amount)");
        return keccak256(abi.encode(typehash, id, nonce, uint256(amount)));
    }

    function batchHash(IBatchSettlement.VoucherClaim[] memory rows) internal view returns (bytes32) {
        string memory entry = "ClaimEntry(bytes32 channelId,uint128 maxClaimableAmount,uint128 totalClaimed)";
        bytes memory list;
        for (uint256 i = 0; i < rows.length; ++i) {
            bytes32 id = idOf(rows[i].voucher.channel);
            uint256 most = rows[i].voucher.maxClaimableAmount;
            bytes32 hash = keccak256(abi.encode(keccak256(bytes(entry)), id, most, uint256(rows[i].totalClaimed)));
            list = abi.encodePacked(list, hash);
        }
        bytes32 typehash = keccak256(abi.encodePacked("ClaimBatch(ClaimEntry[] claims)", entry));
        return keccak256(abi.encode(typehash, keccak256(list)));
    }

    /// @dev A row signed with the payer's key for vouchers.
    function row(IBatchSettlement.ChannelConfig memory c, uint128 most, uint128 total)
        internal
        view
        returns (IBatchSettlement.VoucherClaim memory)
    {
        return rowBy(VOUCHER_KEY, c, most, total);
    }

    function rowBy(uint256 key, IBatchSettlement.ChannelConfig memory c, uint128 most, uint128 total)
        internal
        view
        returns (IBatchSettlement.VoucherClaim memory)
    {
        bytes memory signature = sign(key, here(voucherHash(idOf(c), most)));
        return IBatchSettlement.VoucherClaim(IBatchSettlement.Voucher(c, most), signature, total);
    }

    function one(IBatchSettlement.VoucherClaim memory only)
        internal
        pure
        returns (IBatchSettlement.VoucherClaim[] memory rows)
    {
        rows = new IBatchSettlement.VoucherClaim[](1);
        rows[0] = only;
    }

    function signBatch(IBatchSettlement.VoucherClaim[] memory rows) internal view returns (bytes memory) {
        return sign(OPERATOR_KEY, here(batchHash(rows)));
    }

    function signRefund(bytes32 id, uint256 nonce, uint128 amount) internal view returns (bytes memory) {
        return sign(OPERATOR_KEY, here(refundHash(id, nonce, amount)));
    }

    /// @dev What the EIP-3009 collector is handed: the payer authorizes the collector, with a nonce that binds the channel.
    function byEip3009(uint256 key, IBatchSettlement.ChannelConfig memory c, uint256 amount, uint256 salt)
        internal
        view
        returns (bytes memory)
    {
        uint256 end = block.timestamp + 60;
        bytes32 nonce = keccak256(abi.encode(idOf(c), salt));
        bytes32 signed = paymentDigest(c.token, RECEIVE, Payment(c.payer, BY_EIP3009, amount, 0, end, nonce));
        return abi.encode(uint256(0), end, salt, sign(key, signed));
    }

    /// @dev What the Permit2 collector is handed: the payer permits the collector, with the channel as witness.
    function byPermit2(
        uint256 key,
        IBatchSettlement.ChannelConfig memory c,
        uint256 amount,
        uint256 nonce,
        bytes memory eip2612Permit
    ) internal view returns (bytes memory) {
        uint256 deadline = block.timestamp + 60;
        return
            abi.encode(
                nonce, deadline, sign(key, depositDigest(idOf(c), c.token, amount, nonce, deadline)), eip2612Permit
            );
    }

    function depositDigest(bytes32 id, address asset, uint256 amount, uint256 nonce, uint256 deadline)
        internal
        view
        returns (bytes32)
    {
        bytes32 permitted =
            keccak256(abi.encode(keccak256("TokenPermissions(address token,uint256 amount)"), asset, amount));
        bytes32 witness = keccak256(abi.encode(keccak256("DepositWitness(bytes32 channelId)"), id));
        bytes32 typehash = keccak256(
            "PermitWitnessTransferFrom(TokenPermissions permitted,address spender,uint256 nonce,uint256 deadline,DepositWitness witness)DepositWitness(bytes32 channelId)TokenPermissions(address token,uint256 amount)"
        );
        return permit2Digest(keccak256(abi.encode(typehash, permitted, BY_PERMIT2, nonce, deadline, witness)));
    }

    /// @dev The payer's EIP-2612 permit for Permit2, as it goes into a deposit's data.
    function eip2612(uint256 key, uint256 value, uint256 nonce, uint256 deadline) internal view returns (bytes memory) {
        bytes32 signed = permitDigest(USDC, vm.addr(key), PERMIT2, value, nonce, deadline);
        (bytes32 r, bytes32 s, uint8 v) = split(sign(key, signed));
        return abi.encode(value, deadline, v, r, s);
    }

    /// @dev Gives the payer the money, and deposits it.
    function fill(IBatchSettlement.ChannelConfig memory c, uint128 amount, uint256 salt) internal {
        token.mint(c.payer, amount);
        batch.deposit(c, amount, BY_EIP3009, byEip3009(PAYER_KEY, c, amount, salt));
    }

    function balanceOf(IBatchSettlement.ChannelConfig memory c) internal view returns (uint128 balance) {
        (balance,) = batch.channels(idOf(c));
    }

    function claimedOf(IBatchSettlement.ChannelConfig memory c) internal view returns (uint128 claimed) {
        (, claimed) = batch.channels(idOf(c));
    }

    function claimAs(address caller, IBatchSettlement.VoucherClaim memory only) internal {
        vm.prank(caller);
        batch.claim(one(only));
    }

    /// @dev The next call must revert with an error that has no words.
    function refuses(bytes4 selector) internal {
        vm.expectRevert(abi.encodePacked(selector));
    }
}
