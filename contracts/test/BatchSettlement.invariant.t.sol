// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.28;

import {IBatchSettlement} from "../src/interfaces/IBatchSettlement.sol";
import {Channels} from "./Channels.sol";
import {vm} from "./Vm.sol";

/// @notice Payers, receivers and strangers who deposit, sign, claim, replay, steal, withdraw and give back at random, and
/// keep their own books of every channel.
contract ChannelCrowd is Channels {
    uint256 public constant CHANNELS = 4;

    /// @dev What the crowd says of a channel; `signed` is the most that its payer's side ever put its name to.
    struct Book {
        uint128 balance;
        uint128 claimed;
        uint128 signed;
        uint128 waiting;
        uint256 since;
        uint256 refunds;
        uint256 deposited;
        uint256 returned;
    }

    Book[4] internal books;
    mapping(address receiver => uint256 value) public paid;
    /// @dev Everything that was ever signed, to be brought again at any time.
    IBatchSettlement.VoucherClaim[] internal vouchers;
    uint256[] internal voucherOf;
    bytes[] internal refunds;
    uint256 internal salts;

    constructor() {
        placeAll();
    }

    /// @dev Two payers and two receivers in every pairing; the second payer signs vouchers itself.
    function channel(uint256 which) public pure returns (IBatchSettlement.ChannelConfig memory c) {
        which %= CHANNELS;
        c = channelOf(vm.addr(PAYER_KEY), which / 2);
        if (which % 2 == 1) c.receiver = address(0xCAFE);
        if (which >= 2) c.payerAuthorizer = address(0);
    }

    function book(uint256 which) external view returns (Book memory) {
        return books[which];
    }

    function deposit(uint256 which, uint64 amount, bool permit2) external {
        amount = uint64(within(amount, 1, 1e9));
        IBatchSettlement.ChannelConfig memory c = channel(which);
        token.mint(payer, amount);
        if (permit2) {
            vm.prank(payer);
            token.approve(PERMIT2, amount);
            batch.deposit(c, amount, BY_PERMIT2, byPermit2(PAYER_KEY, c, amount, ++salts, ""));
        } else {
            batch.deposit(c, amount, BY_EIP3009, byEip3009(PAYER_KEY, c, amount, ++salts));
        }
        Book storage b = books[which % CHANNELS];
        b.balance += amount;
        b.deposited += amount;
    }

    /// @dev The payer's side signs a little more than before, or less; the receiver asks for some of it, or too much.
    function sign_and_claim(uint256 which, uint64 more, uint64 ask, bool asBatch) external {
        which %= CHANNELS;
        Book storage b = books[which];
        uint128 most = uint128(within(more, b.claimed / 2, b.balance + 2));
        uint128 total = uint128(within(ask, most / 2, uint256(most) + 1));
        uint256 key = channel(which).payerAuthorizer == address(0) ? PAYER_KEY : VOUCHER_KEY;
        if (most > b.signed) b.signed = most;
        vouchers.push(rowBy(key, channel(which), most, total));
        voucherOf.push(which);
        attempt(vouchers.length - 1, asBatch);
    }

    /// @dev An old voucher, for another total than before: still never more than was signed.
    function replay(uint256 which, uint64 total, bool asBatch) external {
        if (vouchers.length == 0) return;
        which = within(which, 0, vouchers.length - 1);
        vouchers[which].totalClaimed =
            uint128(within(total, 0, uint256(vouchers[which].voucher.maxClaimableAmount) + 1));
        attempt(which, asBatch);
    }

    /// @dev One channel's voucher brought for another, or signed by the receiver's own side.
    function steal(uint256 which, uint256 from, bool forged) external {
        IBatchSettlement.ChannelConfig memory c = channel(which);
        Book storage b = books[which % CHANNELS];
        if (b.balance == b.claimed) return;
        IBatchSettlement.VoucherClaim memory stolen = rowBy(OPERATOR_KEY, c, b.balance, b.balance);
        if (!forged) {
            if (vouchers.length == 0) return;
            from = within(from, 0, vouchers.length - 1);
            if (voucherOf[from] == which % CHANNELS) return;
            stolen.signature = vouchers[from].signature;
            stolen.voucher.maxClaimableAmount = vouchers[from].voucher.maxClaimableAmount;
            if (stolen.voucher.maxClaimableAmount <= b.claimed) return;
            stolen.totalClaimed = b.claimed + 1;
        }
        vm.prank(c.receiver);
        (bool done,) = BATCH.call(abi.encodeCall(IBatchSettlement.claim, (one(stolen))));
        vm.assertFalse(done, "claimed by another's voucher");
    }

    function settle(uint256 which) external {
        address to = channel(which).receiver;
        uint256 before = token.balanceOf(to);
        batch.settle(to, USDC);
        paid[to] += token.balanceOf(to) - before;
    }

    function initiate(uint256 which, uint64 amount, bool stranger) external {
        which %= CHANNELS;
        Book storage b = books[which];
        amount = uint64(within(amount, 0, uint256(b.balance - b.claimed) + 1));
        bool sound = !stranger && amount > 0 && b.since == 0 && amount <= b.balance - b.claimed;
        vm.prank(stranger ? STRANGER : payer);
        (bool done,) = BATCH.call(abi.encodeCall(IBatchSettlement.initiateWithdraw, (channel(which), amount)));
        vm.assertTrue(done == sound, "initiate");
        if (done) (b.waiting, b.since) = (amount, block.timestamp);
    }

    function finalize(uint256 which, bool stranger) external {
        which %= CHANNELS;
        Book storage b = books[which];
        bool sound = !stranger && b.since != 0 && block.timestamp >= b.since + DELAY;
        vm.prank(stranger ? STRANGER : payer);
        (bool done,) = BATCH.call(abi.encodeCall(IBatchSettlement.finalizeWithdraw, (channel(which))));
        vm.assertTrue(done == sound, "finalize");
        if (!done) return;
        giveBack(b, b.waiting);
        (b.waiting, b.since) = (0, 0);
    }

    function refund(uint256 which, uint64 amount, bool stranger) external {
        which %= CHANNELS;
        vm.prank(stranger ? payer : channel(which).receiver);
        (bool done,) = BATCH.call(abi.encodeCall(IBatchSettlement.refund, (channel(which), amount)));
        vm.assertTrue(done == (!stranger && amount > 0), "refund");
        if (done) bookRefund(which, amount);
    }

    /// @dev The authorizer signs for the present nonce or one near it; anyone brings it, now and later again.
    function refund_signed(uint256 which, uint64 amount, uint8 ahead) external {
        which %= CHANNELS;
        uint256 nonce = books[which].refunds + ahead % 3;
        bytes memory signature = signRefund(idOf(channel(which)), nonce, amount);
        refunds.push(abi.encode(which, amount, nonce, signature));
        bring(refunds.length - 1);
    }

    function replay_refund(uint256 which) external {
        if (refunds.length > 0) bring(within(which, 0, refunds.length - 1));
    }

    function pass(uint32 time) external {
        vm.warp(block.timestamp + time % (2 * DELAY));
    }

    function attempt(uint256 voucher, bool asBatch) private {
        IBatchSettlement.VoucherClaim[] memory rows = one(vouchers[voucher]);
        Book storage b = books[voucherOf[voucher]];
        uint128 total = rows[0].totalClaimed;
        bool sound = total <= b.claimed || (total <= rows[0].voucher.maxClaimableAmount && total <= b.balance);
        bytes memory call = asBatch
            ? abi.encodeCall(IBatchSettlement.claimWithSignature, (rows, signBatch(rows)))
            : abi.encodeCall(IBatchSettlement.claim, (rows));
        vm.prank(asBatch ? STRANGER : rows[0].voucher.channel.receiver);
        (bool done,) = BATCH.call(call);
        vm.assertTrue(done == sound, "the contract and the books disagree on a claim");
        if (done && total > b.claimed) b.claimed = total;
    }

    function bring(uint256 which) private {
        (uint256 of_, uint128 amount, uint256 nonce, bytes memory signature) =
            abi.decode(refunds[which], (uint256, uint128, uint256, bytes));
        bool sound = nonce == books[of_].refunds && amount > 0;
        vm.prank(STRANGER);
        (bool done,) =
            BATCH.call(abi.encodeCall(IBatchSettlement.refundWithSignature, (channel(of_), amount, nonce, signature)));
        vm.assertTrue(done == sound, "the contract and the books disagree on a refund");
        if (done) bookRefund(of_, amount);
    }

    function bookRefund(uint256 which, uint128 amount) private {
        Book storage b = books[which];
        b.refunds += 1;
        uint128 back = giveBack(b, amount);
        if (back == 0) return;
        b.waiting = back < b.waiting ? b.waiting - back : 0;
        if (b.waiting == 0) b.since = 0;
    }

    function giveBack(Book storage b, uint128 amount) private returns (uint128 back) {
        uint128 available = b.balance - b.claimed;
        back = amount < available ? amount : available;
        b.balance -= back;
        b.returned += back;
    }
}

/// @notice What must hold of every channel after any sequence of the crowd's acts.
contract BatchSettlementInvariantTest is Channels {
    ChannelCrowd internal crowd = new ChannelCrowd();
    uint256 internal count = crowd.CHANNELS();

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(crowd);
    }

    function invariant_the_contract_holds_what_it_owes_and_no_more() external view {
        uint256 owed;
        address[2] memory receivers = [RECEIVER, address(0xCAFE)];
        for (uint256 i = 0; i < receivers.length; ++i) {
            (uint128 claimed, uint128 settled) = batch.receivers(receivers[i], USDC);
            vm.assertTrue(settled <= claimed, "paid more than was claimed");
            vm.assertEq(settled, crowd.paid(receivers[i]), "paid");
            vm.assertEq(token.balanceOf(receivers[i]), settled, "received");
            owed += claimed - settled;
        }
        for (uint256 i = 0; i < count; ++i) {
            (uint128 balance, uint128 claimed) = batch.channels(idOf(crowd.channel(i)));
            owed += balance - claimed;
        }
        vm.assertEq(token.balanceOf(BATCH), owed, "owed");
        vm.assertEq(token.balanceOf(BY_EIP3009) + token.balanceOf(BY_PERMIT2), 0, "collectors");
    }

    function invariant_each_channel_is_as_the_books_say_and_claimed_within_voucher_and_balance() external view {
        uint256[2] memory taken;
        for (uint256 i = 0; i < count; ++i) {
            ChannelCrowd.Book memory b = crowd.book(i);
            bytes32 id = idOf(crowd.channel(i));
            (uint128 balance, uint128 claimed) = batch.channels(id);
            vm.assertEq(balance, b.balance, "balance");
            vm.assertEq(b.deposited, b.returned + balance, "deposits");
            vm.assertEq(claimed, b.claimed, "claimed");
            vm.assertTrue(claimed <= b.signed, "above the voucher");
            vm.assertTrue(claimed <= balance, "above the balance");
            taken[i % 2] += claimed;
            (uint128 waiting, uint40 since) = batch.pendingWithdrawals(id);
            vm.assertEq(waiting, b.waiting, "waiting");
            vm.assertEq(since, b.since, "since");
            vm.assertEq(batch.refundNonce(id), b.refunds, "refunds");
        }
        (uint128 first,) = batch.receivers(RECEIVER, USDC);
        (uint128 second,) = batch.receivers(address(0xCAFE), USDC);
        vm.assertEq(first, taken[0], "claimed twice");
        vm.assertEq(second, taken[1], "claimed twice");
    }
}
