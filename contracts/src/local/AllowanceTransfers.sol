// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.28;

import {IPermit2} from "../interfaces/IPermit2.sol";
import {Permit2Domain} from "./Permit2Domain.sol";

/// @notice The half of the Permit2 stand-in that keeps allowances, each with a nonce that counts up.
abstract contract AllowanceTransfers is Permit2Domain {
    struct Allowance {
        uint160 amount;
        uint48 expiration;
        uint48 nonce;
    }

    bytes32 private constant DETAILS_TYPEHASH =
        keccak256("PermitDetails(address token,uint160 amount,uint48 expiration,uint48 nonce)");
    bytes32 private constant SINGLE_TYPEHASH = keccak256(
        "PermitSingle(PermitDetails details,address spender,uint256 sigDeadline)"
        "PermitDetails(address token,uint160 amount,uint48 expiration,uint48 nonce)"
    );
    bytes32 private constant BATCH_TYPEHASH = keccak256(
        "PermitBatch(PermitDetails[] details,address spender,uint256 sigDeadline)"
        "PermitDetails(address token,uint160 amount,uint48 expiration,uint48 nonce)"
    );

    /// @inheritdoc IPermit2
    mapping(address owner => mapping(address token => mapping(address spender => Allowance))) public allowance;

    /// @inheritdoc IPermit2
    function approve(address token, address spender, uint160 amount, uint48 expiration) external {
        _set(allowance[msg.sender][token][spender], amount, expiration);
        emit Approval(msg.sender, token, spender, amount, expiration);
    }

    /// @inheritdoc IPermit2
    function permit(address owner, PermitSingle calldata permitSingle, bytes calldata signature) external {
        bytes32 structHash = keccak256(
            abi.encode(SINGLE_TYPEHASH, _hash(permitSingle.details), permitSingle.spender, permitSingle.sigDeadline)
        );
        _requireNotExpired(permitSingle.sigDeadline);
        _requireSigned(owner, structHash, signature);
        _permit(owner, permitSingle.spender, permitSingle.details);
    }

    /// @inheritdoc IPermit2
    function permit(address owner, PermitBatch calldata permitBatch, bytes calldata signature) external {
        bytes32[] memory hashes = new bytes32[](permitBatch.details.length);
        for (uint256 i = 0; i < hashes.length; i++) {
            hashes[i] = _hash(permitBatch.details[i]);
        }
        bytes32 structHash = keccak256(
            abi.encode(
                BATCH_TYPEHASH, keccak256(abi.encodePacked(hashes)), permitBatch.spender, permitBatch.sigDeadline
            )
        );
        _requireNotExpired(permitBatch.sigDeadline);
        _requireSigned(owner, structHash, signature);
        for (uint256 i = 0; i < hashes.length; i++) {
            _permit(owner, permitBatch.spender, permitBatch.details[i]);
        }
    }

    /// @inheritdoc IPermit2
    function transferFrom(address from, address to, uint160 amount, address token) external {
        _take(from, to, amount, token);
    }

    /// @inheritdoc IPermit2
    function transferFrom(AllowanceTransferDetails[] calldata transferDetails) external {
        for (uint256 i = 0; i < transferDetails.length; i++) {
            AllowanceTransferDetails calldata one = transferDetails[i];
            _take(one.from, one.to, one.amount, one.token);
        }
    }

    /// @inheritdoc IPermit2
    function lockdown(TokenSpenderPair[] calldata approvals) external {
        for (uint256 i = 0; i < approvals.length; i++) {
            TokenSpenderPair calldata pair = approvals[i];
            allowance[msg.sender][pair.token][pair.spender].amount = 0;
            emit Lockdown(msg.sender, pair.token, pair.spender);
        }
    }

    /// @inheritdoc IPermit2
    function invalidateNonces(address token, address spender, uint48 newNonce) external {
        Allowance storage allowed = allowance[msg.sender][token][spender];
        uint48 oldNonce = allowed.nonce;
        require(newNonce > oldNonce, InvalidNonce());
        require(newNonce - oldNonce <= type(uint16).max, ExcessiveInvalidation());
        allowed.nonce = newNonce;
        emit NonceInvalidation(msg.sender, token, spender, newNonce, oldNonce);
    }

    function _permit(address owner, address spender, PermitDetails calldata details) private {
        Allowance storage allowed = allowance[owner][details.token][spender];
        require(allowed.nonce == details.nonce, InvalidNonce());
        unchecked {
            allowed.nonce = details.nonce + 1; // the last nonce is followed by the first, as in Permit2
        }
        _set(allowed, details.amount, details.expiration);
        emit Permit(owner, details.token, spender, details.amount, details.expiration, details.nonce);
    }

    function _set(Allowance storage allowed, uint160 amount, uint48 expiration) private {
        allowed.amount = amount;
        allowed.expiration = expiration == 0 ? uint48(block.timestamp) : expiration;
    }

    /// @dev An allowance of 2^160-1 does not shrink.
    function _take(address from, address to, uint160 amount, address token) private {
        Allowance storage allowed = allowance[from][token][msg.sender];
        require(block.timestamp <= allowed.expiration, AllowanceExpired(allowed.expiration));
        uint160 most = allowed.amount;
        require(amount <= most, InsufficientAllowance(most));
        if (most != type(uint160).max) allowed.amount = most - amount;
        _move(token, from, to, amount);
    }

    function _hash(PermitDetails calldata details) private pure returns (bytes32) {
        return keccak256(abi.encode(DETAILS_TYPEHASH, details));
    }
}
