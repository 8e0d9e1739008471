// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.28;

import {UsdcStandIn} from "../src/local/UsdcStandIn.sol";
import {Payer, Payment} from "./Payer.sol";
import {vm} from "./Vm.sol";

/// @notice A crowd that mints, pays, replays, cancels and takes at random, and keeps its own books.
contract Crowd is Payer {
    uint256 public constant MEMBERS = 4;
    uint256 public constant NONCES = 8;
    UsdcStandIn public immutable token = new UsdcStandIn();

    /// @dev The books, kept without the token.
    mapping(address member => uint256 value) public owned;
    mapping(address member => mapping(bytes32 nonce => uint256 times)) public spent;
    mapping(address member => mapping(bytes32 nonce => bool)) public canceled;
    uint256 public minted;

    Payment[] internal payments;
    bytes[] internal signatures;

    function mint(uint256 who, uint64 value) external {
        token.mint(member(who), value);
        owned[member(who)] += value;
        minted += value;
    }

    /// @dev Few nonces on purpose: fresh ones, used ones and canceled ones all come up.
    function pay(uint256 who, uint256 to, uint64 value, uint256 nonce, uint256 window, bool asWhole) external {
        Payment memory p;
        p.from = member(who);
        p.to = member(to);
        p.value = value;
        p.validBefore = within(window, block.timestamp, block.timestamp + 8);
        p.nonce = bytes32(nonce % NONCES);
        bytes memory signature = signPayment(key(who), address(token), p);
        payments.push(p);
        signatures.push(signature);
        attempt(p, signature, asWhole);
    }

    function replay(uint256 which, bool asWhole) external {
        if (payments.length == 0) return;
        which = within(which, 0, payments.length - 1);
        attempt(payments[which], signatures[which], asWhole);
    }

    /// @dev One member signs another's payment; it must never move a unit.
    function forge(uint256 who, uint256 forger, uint64 value, uint256 nonce) external {
        if (member(who) == member(forger)) return;
        Payment memory p = Payment(member(who), member(forger), value, 0, block.timestamp + 1, bytes32(nonce));
        vm.assertFalse(trySubmit(token, p, signPayment(key(forger), address(token), p)), "took a forgery");
    }

    function cancel(uint256 who, uint256 nonce) external {
        bytes32 word = bytes32(nonce % NONCES);
        bool free = spent[member(who)][word] == 0 && !canceled[member(who)][word];
        bytes memory signature = sign(key(who), cancelDigest(address(token), member(who), word));
        try token.cancelAuthorization(member(who), word, signature) {
            vm.assertTrue(free, "canceled what was spent");
            canceled[member(who)][word] = true;
        } catch {
            vm.assertFalse(free, "did not cancel");
        }
    }

    function send(uint256 who, uint256 to, uint64 value) external {
        value = uint64(within(value, 0, owned[member(who)]));
        vm.prank(member(who));
        token.transfer(member(to), value);
        book(member(who), member(to), value);
    }

    function take(uint256 who, uint256 from, uint64 value) external {
        value = uint64(within(value, 0, owned[member(from)]));
        vm.prank(member(from));
        token.approve(member(who), value);
        vm.prank(member(who));
        token.transferFrom(member(from), member(who), value);
        book(member(from), member(who), value);
    }

    function pass(uint8 time) external {
        vm.warp(block.timestamp + time % 8);
    }

    function member(uint256 who) public pure returns (address) {
        return vm.addr(key(who));
    }

    function key(uint256 who) internal pure returns (uint256) {
        return who % MEMBERS + 1;
    }

    function attempt(Payment memory p, bytes memory signature, bool asWhole) private {
        bool sound = p.validAfter < block.timestamp && block.timestamp < p.validBefore && spent[p.from][p.nonce] == 0
            && !canceled[p.from][p.nonce] && p.value <= owned[p.from];
        bool done;
        if (asWhole) {
            done = trySubmit(token, p, signature);
        } else {
            (bytes32 r, bytes32 s, uint8 v) = split(signature);
            try token.transferWithAuthorization(p.from, p.to, p.value, p.validAfter, p.validBefore, p.nonce, v, r, s) {
                done = true;
            } catch {}
        }
        vm.assertTrue(done == sound, "the token and the books disagree on a payment");
        if (!done) return;
        spent[p.from][p.nonce] += 1;
        book(p.from, p.to, p.value);
    }

    function book(address from, address to, uint256 value) private {
        owned[from] -= value;
        owned[to] += value;
    }
}

/// @notice Conservation, and each nonce at most once, after any sequence of the crowd's acts.
contract UsdcStandInInvariantTest {
    Crowd internal crowd = new Crowd();
    UsdcStandIn internal token = crowd.token();
    uint256 internal nonces = crowd.NONCES();
    address[] internal members;

    function setUp() public {
        for (uint256 i = 0; i < crowd.MEMBERS(); ++i) {
            members.push(crowd.member(i));
        }
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(crowd);
    }

    function invariant_supply_is_what_was_minted_and_each_balance_is_as_the_books_say() external view {
        uint256 sum;
        for (uint256 i = 0; i < members.length; ++i) {
            uint256 balance = token.balanceOf(members[i]);
            vm.assertEq(balance, crowd.owned(members[i]), "balance");
            sum += balance;
        }
        vm.assertEq(sum, crowd.minted(), "balances");
        vm.assertEq(token.totalSupply(), crowd.minted(), "supply");
    }

    function invariant_a_nonce_pays_at_most_once_and_never_when_canceled() external view {
        for (uint256 i = 0; i < members.length; ++i) {
            for (uint256 nonce = 0; nonce < nonces; ++nonce) {
                uint256 times = crowd.spent(members[i], bytes32(nonce));
                bool canceled = crowd.canceled(members[i], bytes32(nonce));
                bool closed = token.authorizationState(members[i], bytes32(nonce));
                vm.assertTrue(times + (canceled ? 1 : 0) == (closed ? 1 : 0), "nonce");
            }
        }
    }
}
