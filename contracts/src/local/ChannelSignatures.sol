// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.28;

import {IBatchSettlement} from "../interfaces/IBatchSettlement.sol";
import {Signatures} from "./Signatures.sol";

/// @notice The signature rules of the batch-settlement contract; the errors are those of the library under it.
abstract contract ChannelSignatures is IBatchSettlement {
    /// @dev Whether `signer` signed: an account with code answers by ERC-1271 alone, any other by its key alone. It
    /// never reverts for what the signature holds.
    function _isSignedBy(address signer, bytes32 digest, bytes memory signature) internal view returns (bool) {
        if (signer.code.length > 0) return Signatures.isSignedBy(signer, digest, signature);
        if (signature.length != 65) return false;
        (bytes32 r, bytes32 s, uint8 v) = Signatures.split(signature);
        if (uint256(s) > Signatures.HALF_ORDER) return false;
        address recovered = ecrecover(digest, v, r, s);
        return recovered != address(0) && recovered == signer;
    }

    /// @dev The account whose key signed; what no key can have signed reverts by name.
    function _recover(bytes32 digest, bytes memory signature) internal pure returns (address signer) {
        if (signature.length != 65) revert ECDSAInvalidSignatureLength(signature.length);
        (bytes32 r, bytes32 s, uint8 v) = Signatures.split(signature);
        if (uint256(s) > Signatures.HALF_ORDER) revert ECDSAInvalidSignatureS(s);
        signer = ecrecover(digest, v, r, s);
        if (signer == address(0)) revert ECDSAInvalidSignature();
    }
}
