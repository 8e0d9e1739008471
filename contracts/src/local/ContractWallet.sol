// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.28;

import {Signatures} from "./Signatures.sol";

/// @notice LOCAL ONLY. The least smart wallet that can pay: one owner, ERC-1271, and `execute`.
/// @dev It takes the digest as it comes. A wallet for real money binds its own address into what its owner signs, or
/// one signature speaks for all wallets of that owner.
contract ContractWallet {
    /// @notice The account whose key speaks for this wallet.
    address public owner;

    /// @param firstOwner The owner; zero leaves the wallet to the first `init`.
    constructor(address firstOwner) {
        owner = firstOwner;
    }

    /// @notice The wallet accepts the chain's own coin.
    receive() external payable {}

    /// @notice Gives an ownerless wallet its owner: code that was copied, or delegated to (EIP-7702), had no constructor.
    function init(address firstOwner) external {
        require(owner == address(0), "ContractWallet: already owned");
        owner = firstOwner;
    }

    /// @notice Calls `target` as this wallet, and hands on its answer or its revert.
    function execute(address target, uint256 value, bytes calldata data) external payable returns (bytes memory) {
        // An account delegated to this code calls itself: it holds the key already.
        require(msg.sender == owner || msg.sender == address(this), "ContractWallet: caller is not the owner");
        (bool done, bytes memory answer) = target.call{value: value}(data);
        if (!done) {
            assembly ("memory-safe") {
                revert(add(answer, 0x20), mload(answer))
            }
        }
        return answer;
    }

    /// @notice ERC-1271: `0x1626ba7e` if the owner's key signed `hash`, else `0xffffffff`; it never reverts.
    function isValidSignature(bytes32 hash, bytes memory signature) external view returns (bytes4) {
        if (signature.length != 65) return 0xffffffff;
        (bytes32 r, bytes32 s, uint8 v) = Signatures.split(signature);
        if (uint256(s) > Signatures.HALF_ORDER) return 0xffffffff;
        address signer = ecrecover(hash, v, r, s);
        return signer != address(0) && signer == owner ? Signatures.ERC1271_MAGIC : bytes4(0xffffffff);
    }
}
