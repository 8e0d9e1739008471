// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.28;

import {IPermit2} from "../interfaces/IPermit2.sol";
import {Permit2Domain} from "./Permit2Domain.sol";

/// @notice The half of the Permit2 stand-in whose permits are spent at once, each with an unordered nonce.
abstract contract SignatureTransfers is Permit2Domain {
    bytes32 private constant TOKEN_PERMISSIONS_TYPEHASH = keccak256("TokenPermissions(address token,uint256 amount)");
    bytes32 private constant PERMIT_TYPEHASH = keccak256(
        "PermitTransferFrom(TokenPermissions permitted,address spender,uint256 nonce,uint256 deadline)"
        "TokenPermissions(address token,uint256 amount)"
    );
    bytes32 private constant BATCH_TYPEHASH = keccak256(
        "PermitBatchTransferFrom(TokenPermissions[] permitted,address spender,uint256 nonce,uint256 deadline)"
        "TokenPermissions(address token,uint256 amount)"
    );
    /// @dev The caller's string goes on from here.
    string private constant WITNESS_TYPE =
        "PermitWitnessTransferFrom(TokenPermissions permitted,address spender,uint256 nonce,uint256 deadline,";
    string private constant BATCH_WITNESS_TYPE =
        "PermitBatchWitnessTransferFrom(TokenPermissions[] permitted,address spender,uint256 nonce,uint256 deadline,";

    /// @inheritdoc IPermit2
    mapping(address owner => mapping(uint256 word => uint256 bits)) public nonceBitmap;

    /// @inheritdoc IPermit2
    function permitTransferFrom(
        PermitTransferFrom calldata permit,
        SignatureTransferDetails calldata transferDetails,
        address owner,
        bytes calldata signature
    ) external {
        bytes32 structHash = keccak256(
            abi.encode(PERMIT_TYPEHASH, _hash(permit.permitted), msg.sender, permit.nonce, permit.deadline)
        );
        _spend(permit, transferDetails, owner, structHash, signature);
    }

    /// @inheritdoc IPermit2
    function permitTransferFrom(
        PermitBatchTransferFrom calldata permit,
        SignatureTransferDetails[] calldata transferDetails,
        address owner,
        bytes calldata signature
    ) external {
        bytes32 structHash = keccak256(
            abi.encode(BATCH_TYPEHASH, _hash(permit.permitted), msg.sender, permit.nonce, permit.deadline)
        );
        _spend(permit, transferDetails, owner, structHash, signature);
    }

    /// @inheritdoc IPermit2
    function permitWitnessTransferFrom(
        PermitTransferFrom calldata permit,
        SignatureTransferDetails calldata transferDetails,
        address owner,
        bytes32 witness,
        string calldata witnessTypeString,
        bytes calldata signature
    ) external {
        bytes32 typehash = keccak256(abi.encodePacked(WITNESS_TYPE, witnessTypeString));
        bytes32 structHash = keccak256(
            abi.encode(typehash, _hash(permit.permitted), msg.sender, permit.nonce, permit.deadline, witness)
        );
        _spend(permit, transferDetails, owner, structHash, signature);
    }

    /// @inheritdoc IPermit2
    function permitWitnessTransferFrom(
        PermitBatchTransferFrom calldata permit,
        SignatureTransferDetails[] calldata transferDetails,
        address owner,
        bytes32 witness,
        string calldata witnessTypeString,
        bytes calldata signature
    ) external {
        bytes32 typehash = keccak256(abi.encodePacked(BATCH_WITNESS_TYPE, witnessTypeString));
        bytes32 structHash = keccak256(
            abi.encode(typehash, _hash(permit.permitted), msg.sender, permit.nonce, permit.deadline, witness)
        );
        _spend(permit, transferDetails, owner, structHash, signature);
    }

    /// @inheritdoc IPermit2
    function invalidateUnorderedNonces(uint256 wordPos, uint256 mask) external {
        nonceBitmap[msg.sender][wordPos] |= mask;
        emit UnorderedNonceInvalidation(msg.sender, wordPos, mask);
    }

    /// @dev The order of the checks is Permit2's: it decides which reason a permit with two faults is refused for.
    function _spend(
        PermitTransferFrom calldata permit,
        SignatureTransferDetails calldata wanted,
        address owner,
        bytes32 structHash,
        bytes calldata signature
    ) private {
        _requireNotExpired(permit.deadline);
        require(wanted.requestedAmount <= permit.permitted.amount, InvalidAmount(permit.permitted.amount));
        _useNonce(owner, permit.nonce);
        _requireSigned(owner, structHash, signature);
        _move(permit.permitted.token, owner, wanted.to, wanted.requestedAmount);
    }

    /// @dev A batch checks each amount as it comes to it, and asks no token to move nothing.
    function _spend(
        PermitBatchTransferFrom calldata permit,
        SignatureTransferDetails[] calldata wanted,
        address owner,
        bytes32 structHash,
        bytes calldata signature
    ) private {
        _requireNotExpired(permit.deadline);
        require(permit.permitted.length == wanted.length, LengthMismatch());
        _useNonce(owner, permit.nonce);
        _requireSigned(owner, structHash, signature);
        for (uint256 i = 0; i < wanted.length; i++) {
            TokenPermissions calldata permitted = permit.permitted[i];
            uint256 amount = wanted[i].requestedAmount;
            require(amount <= permitted.amount, InvalidAmount(permitted.amount));
            if (amount != 0) _move(permitted.token, owner, wanted[i].to, amount);
        }
    }

    function _useNonce(address owner, uint256 nonce) private {
        uint256 bit = uint256(1) << (nonce % 256);
        uint256 spent = nonceBitmap[owner][nonce / 256];
        require(spent & bit == 0, InvalidNonce());
        nonceBitmap[owner][nonce / 256] = spent | bit;
    }

    function _hash(TokenPermissions calldata permitted) private pure returns (bytes32) {
        return keccak256(abi.encode(TOKEN_PERMISSIONS_TYPEHASH, permitted));
    }

    function _hash(TokenPermissions[] calldata permitted) private pure returns (bytes32) {
        bytes32[] memory hashes = new bytes32[](permitted.length);
        for (uint256 i = 0; i < permitted.length; i++) {
            hashes[i] = _hash(permitted[i]);
        }
        return keccak256(abi.encodePacked(hashes));
    }
}
