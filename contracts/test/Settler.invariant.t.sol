// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.28;

import {Settler} from "../src/Settler.sol";
import {Settling} from "./Settling.sol";
import {vm} from "./Vm.sol";

/// @notice Signs payments, settles them in batches, again and spoilt, lets strangers go first, and keeps the books.
contract Till is Settling {
    uint256 private constant PAYERS = 3;
    uint256 private constant MOST = 6;

    /// @dev What was signed, and what it may still move; zero once it has moved.
    struct Signed {
        Settler.Item item;
        uint256 owed;
    }

    Signed[] private signed;

    /// @dev What the books say the payee has received.
    uint256 public received;
    uint256 public paidOut;
    uint256 public minted;

    constructor() {
        for (uint256 who = 0; who < PAYERS; ++who) {
            fund(key(who), 1e6);
        }
        token.mint(relayer, 1e6);
        minted = (PAYERS + 1) * 1e6;
        vm.prank(relayer);
        token.approve(address(settler), type(uint256).max);
    }

    function signAuthorization(uint256 who, uint8 value) external {
        signed.push(Signed(authorization(key(who), PAYEE, value), value));
    }

    function signExact(uint256 who, uint8 value) external {
        uint256 owed = within(value, 1, 255);
        signed.push(Signed(exactByPermit2(key(who), PAYEE, owed), owed));
    }

    function signUpto(uint256 who, uint8 ceiling, uint8 amount) external {
        uint256 most = within(ceiling, 1, 255);
        uint256 owed = within(amount, 1, most);
        signed.push(Signed(capture(key(who), PAYEE, most, owed), owed));
    }

    /// @dev A batch of anything signed so far, some of it twice, with a spoilt item, a credit and one for the settler itself.
    function settleSome(uint256[MOST] calldata which, uint256 spoilt, uint8 value) external {
        Settler.Item[] memory items = new Settler.Item[](MOST + 2);
        uint256[MOST] memory owed;
        for (uint256 i = 0; i < MOST; ++i) {
            if (signed.length == 0) return;
            Signed storage one = signed[which[i] % signed.length];
            items[i] = one.item;
            if (i == spoilt % (MOST + 1)) items[i].data[4 + 31] ^= 0x01;
            else (owed[i], one.owed) = (one.owed, 0);
        }
        items[MOST] = credit(relayer, PAYEE, value);
        items[MOST + 1] = credit(relayer, address(settler), value);
        uint256 before = token.balanceOf(PAYEE);
        Outcome[] memory outcomes = settle(items);
        uint256 moved;
        for (uint256 i = 0; i < MOST; ++i) {
            // A payment of zero moves nothing, and may be carried out.
            vm.assertTrue(outcomes[i].done || owed[i] == 0, "a sound item failed");
            moved += owed[i];
        }
        vm.assertTrue(outcomes[MOST].done, "credit");
        vm.assertFalse(outcomes[MOST + 1].done, "credit to the settler");
        received += moved;
        paidOut += value;
        vm.assertEq(token.balanceOf(PAYEE), before + moved + value, "moved");
    }

    /// @dev EIP-3009 and exact payments are anyone's to carry out; an `upto` payment is not.
    function strangerGoesFirst(uint256 which) external {
        if (signed.length == 0) return;
        Signed storage one = signed[which % signed.length];
        address target =
            one.item.token == USDC ? USDC : one.item.data[0] == bytes4(exact.settle.selector)[0] ? EXACT : UPTO;
        (bool done,) = target.call(one.item.data);
        if (!done) return;
        vm.assertTrue(target != UPTO, "captured beside the settler");
        received += one.owed;
        one.owed = 0;
    }

    function key(uint256 who) private pure returns (uint256) {
        return who % PAYERS + 1;
    }

    function payers() external view returns (uint256 sum) {
        for (uint256 who = 0; who < PAYERS; ++who) {
            sum += token.balanceOf(vm.addr(key(who)));
        }
    }

    function balances() external view returns (uint256 payee, uint256 relayers, uint256 settlers) {
        return (token.balanceOf(PAYEE), token.balanceOf(relayer), token.balanceOf(address(settler)));
    }
}

/// @notice After any sequence of batches: each payment moved at most once, and nothing stayed with the settler.
contract SettlerInvariantTest {
    Till internal till = new Till();

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(till);
    }

    function invariant_payments_move_once_from_payer_to_payee_and_nothing_stays() external view {
        (uint256 payee, uint256 relayers, uint256 settlers) = till.balances();
        vm.assertEq(settlers, 0, "the settler holds funds");
        vm.assertEq(payee, till.received() + till.paidOut(), "payee");
        vm.assertEq(relayers, 1e6 - till.paidOut(), "relayer");
        vm.assertEq(till.payers() + payee + relayers, till.minted(), "conserved");
    }
}
