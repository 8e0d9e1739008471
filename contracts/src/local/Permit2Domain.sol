// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.28;

import {IPermit2} from "../interfaces/IPermit2.sol";
import {Signatures} from "./Signatures.sol";

/// @notice What both halves of the Permit2 stand-in need: the domain, whose signature it is, and the move itself.
/// @dev Nothing is cached: Permit2 itself keeps a separator that holds the address of its deployment, ours is copied.
abstract contract Permit2Domain is IPermit2 {
    bytes32 private constant DOMAIN_TYPEHASH =
        keccak256("EIP712Domain(string name,uint256 chainId,address verifyingContract)");

    /// @inheritdoc IPermit2
    function DOMAIN_SEPARATOR() public view returns (bytes32) {
        return keccak256(abi.encode(DOMAIN_TYPEHASH, keccak256("Permit2"), block.chainid, address(this)));
    }

    function _requireNotExpired(uint256 deadline) internal view {
        require(block.timestamp <= deadline, SignatureExpired(deadline));
    }

    /// @dev Unlike USDC, Permit2 takes either `s` of a signature and the compact form (EIP-2098): only a nonce stops replays.
    function _requireSigned(address owner, bytes32 structHash, bytes calldata signature) internal view {
        bytes32 digest = keccak256(abi.encodePacked(hex"1901", DOMAIN_SEPARATOR(), structHash));
        if (owner.code.length != 0) {
            // What the wallet reverts with is what the caller sees.
            bytes4 answer = IErc1271(owner).isValidSignature(digest, signature);
            require(answer == Signatures.ERC1271_MAGIC, InvalidContractSignature());
            return;
        }
        (bytes32 r, bytes32 s, uint8 v) = _split(signature);
        address signer = ecrecover(digest, v, r, s);
        require(signer != address(0), InvalidSignature());
        require(signer == owner, InvalidSigner());
    }

    function _split(bytes calldata signature) private pure returns (bytes32 r, bytes32 s, uint8 v) {
        if (signature.length == 65) return (bytes32(signature[:32]), bytes32(signature[32:64]), uint8(signature[64]));
        require(signature.length == 64, InvalidSignatureLength());
        uint256 parityAndS = uint256(bytes32(signature[32:]));
        return
            (bytes32(signature[:32]), bytes32(parityAndS & (type(uint256).max >> 1)), uint8(27 + (parityAndS >> 255)));
    }

    /// @dev As Permit2 sees it, a token may answer nothing or "true"; an address without code answers nothing.
    function _move(address token, address from, address to, uint256 amount) internal {
        (bool done, bytes memory answer) = token.call(abi.encodeCall(IErc20.transferFrom, (from, to, amount)));
        bool agreed = answer.length == 0 || (answer.length >= 32 && abi.decode(answer, (uint256)) == 1);
        require(done && agreed, "TRANSFER_FROM_FAILED");
    }
}

interface IErc20 {
    function transferFrom(address from, address to, uint256 amount) external returns (bool);
}

interface IErc1271 {
    function isValidSignature(bytes32 hash, bytes calldata signature) external view returns (bytes4);
}
