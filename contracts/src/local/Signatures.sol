// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.28;

/// @notice The signature rules of USDC: a payer with code answers by ERC-1271 alone, any other by ECDSA alone.
library Signatures {
    /// @dev `isValidSignature(bytes32,bytes)`: the selector that is also ERC-1271's word for "yes".
    bytes4 internal constant ERC1271_MAGIC = 0x1626ba7e;

    /// @dev Half the order of secp256k1: of the two `s` that fit one signature, only the lower is taken (EIP-2).
    uint256 internal constant HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0;

    /// @notice Whether `signer` signed `digest`; a malformed ECDSA signature reverts with its reason.
    /// @dev A delegated account (EIP-7702) has code, so it must answer by ERC-1271 too.
    function isSignedBy(address signer, bytes32 digest, bytes memory signature) internal view returns (bool) {
        if (signer.code.length == 0) return recover(digest, signature) == signer;

        (bool answered, bytes memory word) = signer.staticcall(abi.encodeWithSelector(ERC1271_MAGIC, digest, signature));
        return answered && word.length >= 32 && abi.decode(word, (bytes32)) == bytes32(ERC1271_MAGIC);
    }

    /// @notice The account whose key made the 65-byte `signature` (r, s, v) over `digest`.
    function recover(bytes32 digest, bytes memory signature) internal pure returns (address signer) {
        require(signature.length == 65, "ECRecover: invalid signature length");
        (bytes32 r, bytes32 s, uint8 v) = split(signature);
        require(uint256(s) <= HALF_ORDER, "ECRecover: invalid signature 's' value");
        require(v == 27 || v == 28, "ECRecover: invalid signature 'v' value");
        signer = ecrecover(digest, v, r, s);
        require(signer != address(0), "ECRecover: invalid signature");
    }

    /// @notice The parts of a 65-byte signature; the caller has checked the length.
    function split(bytes memory signature) internal pure returns (bytes32 r, bytes32 s, uint8 v) {
        assembly ("memory-safe") {
            r := mload(add(signature, 0x20))
            s := mload(add(signature, 0x40))
            v := byte(0, mload(add(signature, 0x60)))
        }
    }
}
