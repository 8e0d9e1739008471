// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.28;

import {ContractWallet} from "../src/local/ContractWallet.sol";
import {UsdcStandIn} from "../src/local/UsdcStandIn.sol";
import {Payer, Payment} from "./Payer.sol";
import {vm} from "./Vm.sol";

/// @notice Code that has no ERC-1271: any account that holds it can no longer sign.
contract Mute {}

/// @notice Code that answers any call with a word too short, too long, or wrong.
contract Babbler {
    bytes internal answer;

    constructor(bytes memory text) {
        answer = text;
    }

    fallback(bytes calldata) external returns (bytes memory) {
        return answer;
    }
}

contract ContractWalletTest is Payer {
    UsdcStandIn internal token = new UsdcStandIn();
    uint256 internal constant KEY = 0xA11CE;
    address internal owner = vm.addr(KEY);
    ContractWallet internal wallet = new ContractWallet(owner);

    function setUp() public {
        token.mint(address(wallet), 10e6);
        token.mint(owner, 10e6);
    }

    function payment(address from) internal view returns (Payment memory) {
        return Payment(from, address(0xBEEF), 1e6, 0, block.timestamp + 60, keccak256("nonce"));
    }

    function test_a_wallet_pays_by_its_owners_signature() public {
        Payment memory p = payment(address(wallet));
        submit(token, p, signPayment(KEY, address(token), p));
        vm.assertEq(token.balanceOf(address(0xBEEF)), 1e6);
        vm.assertEq(token.balanceOf(owner), 10e6);
        p.nonce = keccak256("another");
        submitSplit(token, p, signPayment(KEY, address(token), p));
        vm.assertEq(token.balanceOf(address(wallet)), 8e6);
    }

    function test_a_wallet_permits_and_cancels_by_its_owners_signature() public {
        bytes memory permit = sign(KEY, permitDigest(address(token), address(wallet), owner, 5, 0, block.timestamp));
        token.permit(address(wallet), owner, 5, block.timestamp, permit);
        vm.assertEq(token.allowance(address(wallet), owner), 5);
        token.cancelAuthorization(
            address(wallet), bytes32(0), sign(KEY, cancelDigest(address(token), address(wallet), bytes32(0)))
        );
        vm.assertTrue(token.authorizationState(address(wallet), bytes32(0)));
    }

    function test_a_payer_with_code_is_never_asked_for_ecdsa() public {
        Payment memory p = payment(owner);
        bytes memory signature = signPayment(KEY, address(token), p);
        vm.etch(owner, address(new Mute()).code);
        vm.expectRevert(reason("FiatTokenV2: invalid signature"));
        submit(token, p, signature);
        vm.expectRevert(reason("FiatTokenV2: invalid signature"));
        submitSplit(token, p, signature);
    }

    function test_only_the_exact_magic_word_is_a_yes() public {
        bytes4 magic = 0x1626ba7e;
        vm.assertFalse(believed(abi.encodePacked(magic)), "short");
        vm.assertFalse(believed(abi.encodePacked(magic, bytes28(uint224(1)))), "dirty");
        vm.assertFalse(believed(abi.encode(true)), "true");
        vm.assertFalse(believed(abi.encode(bytes4(0xffffffff))), "no");
        vm.assertTrue(believed(abi.encode(magic)), "yes");
    }

    function test_a_delegated_account_takes_its_owner_once() public {
        address account = address(0xACC);
        vm.etch(account, address(wallet).code);
        ContractWallet(payable(account)).init(owner);
        vm.expectRevert(reason("ContractWallet: already owned"));
        ContractWallet(payable(account)).init(address(0xBAD));
        token.mint(account, 1e6);
        Payment memory p = payment(account);
        submit(token, p, signPayment(KEY, address(token), p));
        vm.assertEq(token.balanceOf(account), 0);
    }

    function test_only_the_owner_executes() public {
        bytes memory transfer = abi.encodeCall(token.transfer, (owner, 4e6));
        vm.expectRevert(reason("ContractWallet: caller is not the owner"));
        wallet.execute(address(token), 0, transfer);
        vm.prank(owner);
        vm.assertEq(wallet.execute(address(token), 0, transfer), abi.encode(true));
        vm.assertEq(token.balanceOf(owner), 14e6);
        vm.expectRevert(reason("ERC20: transfer amount exceeds balance"));
        vm.prank(owner);
        wallet.execute(address(token), 0, abi.encodeCall(token.transfer, (owner, 7e6)));
    }

    function test_sends_coin() public {
        vm.deal(owner, 3);
        vm.prank(owner);
        wallet.execute{value: 3}(address(0xBEEF), 2, "");
        vm.assertEq(address(0xBEEF).balance, 2);
        vm.assertEq(address(wallet).balance, 1);
    }

    function testFuzz_says_yes_to_its_owner_alone_and_never_reverts(uint256 key, bytes32 hash, bytes memory junk)
        public
        view
    {
        key = within(key, 1, ORDER - 1);
        vm.assertTrue(wallet.isValidSignature(hash, sign(KEY, hash)) == 0x1626ba7e);
        if (key != KEY) vm.assertTrue(wallet.isValidSignature(hash, sign(key, hash)) == 0xffffffff);
        vm.assertTrue(wallet.isValidSignature(hash, junk) == 0xffffffff);
        (bytes32 r, bytes32 s, uint8 v) = split(sign(KEY, hash));
        bytes memory high = abi.encodePacked(r, ORDER - uint256(s), v ^ 7);
        vm.assertTrue(wallet.isValidSignature(hash, high) == 0xffffffff);
    }

    function testFuzz_an_ownerless_wallet_says_yes_to_nobody(bytes32 hash, bytes32 r, bytes32 s, uint8 v) public {
        ContractWallet ownerless = new ContractWallet(address(0));
        vm.assertTrue(ownerless.isValidSignature(hash, abi.encodePacked(r, s, v)) == 0xffffffff);
    }

    function believed(bytes memory answer) private returns (bool) {
        address babbler = address(new Babbler(answer));
        token.mint(babbler, 1e6);
        return trySubmit(token, payment(babbler), "whatever");
    }
}
