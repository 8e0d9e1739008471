// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.28;

import {IPermit2} from "../src/interfaces/IPermit2.sol";
import {IExactPermit2Proxy, IUptoPermit2Proxy} from "../src/interfaces/IPermit2Proxies.sol";
import {UsdcStandIn} from "../src/local/UsdcStandIn.sol";
import {Permit2Payer} from "./Permit2Payer.sol";
import {vm} from "./Vm.sol";

/// @notice A crowd that pays by `exact` and `upto`, replays, forges, withdraws nonces and approvals at random, and keeps its own books.
contract Permit2Crowd is Permit2Payer {
    /// @dev One signed payment. A `facilitator` of zero makes it an `exact` one.
    struct Promise {
        uint256 who;
        address to;
        address facilitator;
        uint256 permitted;
        uint256 nonce;
        uint256 deadline;
        bytes signature;
    }

    uint256 public constant MEMBERS = 4;
    uint256 public constant NONCES = 8;
    UsdcStandIn public immutable token = new UsdcStandIn();

    /// @dev The books, kept without the contracts.
    mapping(address member => uint256 value) public owned;
    mapping(address member => uint256 value) public allowed;
    mapping(address member => uint256 value) public promised;
    mapping(address member => uint256 value) public captured;
    mapping(address member => mapping(uint256 nonce => uint256 times)) public spent;
    mapping(address member => mapping(uint256 nonce => bool)) public withdrawn;

    Promise[] internal promises;

    constructor() {
        installPermit2();
    }

    function mint(uint256 who, uint64 value) external {
        token.mint(member(who), value);
        owned[member(who)] += value;
    }

    /// @dev Often enough for most payments, at times too little or nothing.
    function approve(uint256 who, uint64 value, uint8 mood) external {
        uint256 allowance = mood % 4 == 0 ? value : type(uint128).max;
        vm.prank(member(who));
        token.approve(PERMIT2, allowance);
        allowed[member(who)] = allowance;
    }

    function payExact(uint256 who, uint256 to, uint64 value, uint256 nonce, uint256 window, uint256 caller) external {
        Promise memory p = promiseOf(who, member(to), address(0), value, nonce, window);
        p.signature = sign(key(who), exactDigest(permitIn(p), IExactPermit2Proxy.Witness(p.to, 0)));
        keep(p);
        attempt(p, value, member(caller));
    }

    function payUpto(uint256 who, uint256 to, uint64 value, uint64 amount, uint256 nonce, uint256 window, uint256 by)
        external
    {
        Promise memory p = promiseOf(who, member(to), member(by), value, nonce, window);
        p.signature = sign(key(who), uptoDigest(permitIn(p), IUptoPermit2Proxy.Witness(p.to, p.facilitator, 0)));
        keep(p);
        attempt(p, within(amount, 0, uint256(value) + 1), member(by));
    }

    /// @dev Any promise again, for any amount, by anyone: it may have been refused before, and be good now.
    function replay(uint256 which, uint64 amount, uint256 caller) external {
        if (promises.length == 0) return;
        Promise memory p = promises[within(which, 0, promises.length - 1)];
        attempt(p, p.facilitator == address(0) ? p.permitted : within(amount, 0, p.permitted + 1), member(caller));
    }

    /// @dev One member signs another's payment, or changes the payee of a signed one; it must never move a unit.
    function forge(uint256 which, uint256 forger, bool bends) external {
        if (promises.length == 0) return;
        Promise memory p = promises[within(which, 0, promises.length - 1)];
        if (bends) {
            p.to = address(uint160(p.to) ^ 1);
        } else {
            if (key(forger) == key(p.who)) return;
            p.signature = p.facilitator == address(0)
                ? sign(key(forger), exactDigest(permitIn(p), IExactPermit2Proxy.Witness(p.to, 0)))
                : sign(key(forger), uptoDigest(permitIn(p), IUptoPermit2Proxy.Witness(p.to, p.facilitator, 0)));
        }
        address caller = p.facilitator == address(0) ? member(forger) : p.facilitator;
        vm.assertFalse(settle(p, p.permitted, caller), "took a forgery");
    }

    /// @dev A promise to a proxy is none to whoever calls Permit2 itself.
    function bypass(uint256 which, uint256 caller) external {
        if (promises.length == 0) return;
        Promise memory p = promises[within(which, 0, promises.length - 1)];
        IPermit2.SignatureTransferDetails memory wanted = IPermit2.SignatureTransferDetails(member(caller), 1);
        vm.prank(member(caller));
        try IPermit2(PERMIT2).permitTransferFrom(permitIn(p), wanted, member(p.who), p.signature) {
            vm.assertTrue(false, "took a promise made to a proxy");
        } catch {}
        vm.prank(member(caller));
        try IPermit2(PERMIT2).transferFrom(member(p.who), member(caller), 1, address(token)) {
            vm.assertTrue(false, "took without an allowance");
        } catch {}
    }

    function withdraw(uint256 who, uint256 nonce) external {
        nonce %= NONCES;
        vm.prank(member(who));
        IPermit2(PERMIT2).invalidateUnorderedNonces(0, 1 << nonce);
        if (spent[member(who)][nonce] == 0) withdrawn[member(who)][nonce] = true;
    }

    function pass(uint8 time) external {
        vm.warp(block.timestamp + time % 8);
    }

    function member(uint256 who) public pure returns (address) {
        return vm.addr(key(who));
    }

    function key(uint256 who) private pure returns (uint256) {
        return who % MEMBERS + 1;
    }

    /// @dev Few nonces on purpose: fresh ones, used ones and withdrawn ones all come up.
    function promiseOf(uint256 who, address to, address facilitator, uint64 value, uint256 nonce, uint256 window)
        private
        view
        returns (Promise memory p)
    {
        p.who = who % MEMBERS;
        p.to = to;
        p.facilitator = facilitator;
        p.permitted = value;
        p.nonce = nonce % NONCES;
        p.deadline = within(window, block.timestamp, block.timestamp + 16);
    }

    function permitIn(Promise memory p) private view returns (IPermit2.PermitTransferFrom memory) {
        return IPermit2.PermitTransferFrom(IPermit2.TokenPermissions(address(token), p.permitted), p.nonce, p.deadline);
    }

    function keep(Promise memory p) private {
        promises.push(p);
        promised[member(p.who)] += p.permitted;
    }

    function attempt(Promise memory p, uint256 amount, address caller) private {
        address payer = member(p.who);
        bool good = amount != 0 && amount <= p.permitted && block.timestamp <= p.deadline
            && (p.facilitator == address(0) || caller == p.facilitator) && spent[payer][p.nonce] == 0
            && !withdrawn[payer][p.nonce] && amount <= owned[payer] && amount <= allowed[payer];
        vm.assertTrue(settle(p, amount, caller) == good, "the contracts and the books disagree on a payment");
        if (!good) return;
        spent[payer][p.nonce] += 1;
        captured[payer] += amount;
        allowed[payer] -= amount;
        owned[payer] -= amount;
        owned[p.to] += amount;
    }

    function settle(Promise memory p, uint256 amount, address caller) private returns (bool) {
        IPermit2.PermitTransferFrom memory permit = permitIn(p);
        address payer = member(p.who);
        vm.prank(caller);
        if (p.facilitator == address(0)) {
            IExactPermit2Proxy.Witness memory exact = IExactPermit2Proxy.Witness(p.to, 0);
            try IExactPermit2Proxy(EXACT).settle(permit, payer, exact, p.signature) {
                return true;
            } catch {
                return false;
            }
        }
        IUptoPermit2Proxy.Witness memory upto = IUptoPermit2Proxy.Witness(p.to, p.facilitator, 0);
        try IUptoPermit2Proxy(UPTO).settle(permit, amount, payer, upto, p.signature) {
            return true;
        } catch {
            return false;
        }
    }
}

/// @notice Conservation, and each promise kept at most once, after any sequence of the crowd's acts.
contract Permit2InvariantTest is Permit2Payer {
    Permit2Crowd internal crowd = new Permit2Crowd();
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

    function invariant_funds_are_conserved_and_each_balance_is_as_the_books_say() external view {
        uint256 sum;
        for (uint256 i = 0; i < members.length; ++i) {
            uint256 balance = token.balanceOf(members[i]);
            vm.assertEq(balance, crowd.owned(members[i]), "balance");
            vm.assertEq(token.allowance(members[i], PERMIT2), crowd.allowed(members[i]), "allowance");
            sum += balance;
        }
        vm.assertEq(sum, token.totalSupply(), "supply");
    }

    function invariant_the_contracts_on_the_way_hold_nothing() external view {
        vm.assertEq(token.balanceOf(PERMIT2) + token.balanceOf(EXACT) + token.balanceOf(UPTO), 0);
    }

    function invariant_a_nonce_pays_at_most_once_and_never_when_withdrawn() external view {
        for (uint256 i = 0; i < members.length; ++i) {
            uint256 bits = IPermit2(PERMIT2).nonceBitmap(members[i], 0);
            for (uint256 nonce = 0; nonce < nonces; ++nonce) {
                uint256 closed = crowd.spent(members[i], nonce) + (crowd.withdrawn(members[i], nonce) ? 1 : 0);
                vm.assertEq(closed, bits >> nonce & 1, "nonce");
            }
            vm.assertEq(bits >> nonces, 0, "a nonce nobody used");
        }
    }

    function invariant_nobody_pays_more_than_was_signed() external view {
        for (uint256 i = 0; i < members.length; ++i) {
            vm.assertTrue(crowd.captured(members[i]) <= crowd.promised(members[i]), "captured more than signed");
        }
    }
}
