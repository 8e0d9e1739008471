// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.28;

import {IPermit2} from "../interfaces/IPermit2.sol";
import {IUptoPermit2Proxy} from "../interfaces/IPermit2Proxies.sol";
import {Permit2Proxy} from "./Permit2Proxy.sol";

/// @notice LOCAL ONLY. Stands in for x402UptoPermit2Proxy on a development chain.
contract UptoPermit2Proxy is Permit2Proxy, IUptoPermit2Proxy {
    string public constant WITNESS_TYPE_STRING =
        "Witness witness)TokenPermissions(address token,uint256 amount)Witness(address to,address facilitator,uint256 validAfter)";
    bytes32 public constant WITNESS_TYPEHASH = keccak256("Witness(address to,address facilitator,uint256 validAfter)");

    /// @param permit2 The Permit2 that payers have approved.
    constructor(IPermit2 permit2) Permit2Proxy(permit2) {}

    /// @inheritdoc IUptoPermit2Proxy
    function settle(
        IPermit2.PermitTransferFrom calldata permit,
        uint256 amount,
        address owner,
        Witness calldata witness,
        bytes calldata signature
    ) external nonReentrant {
        _requireEntitled(permit.permitted.amount, amount, witness.facilitator);
        _settle(permit, amount, owner, witness, signature);
        emit Settled();
    }

    /// @inheritdoc IUptoPermit2Proxy
    function settleWithPermit(
        EIP2612Permit calldata permit2612,
        IPermit2.PermitTransferFrom calldata permit,
        uint256 amount,
        address owner,
        Witness calldata witness,
        bytes calldata signature
    ) external nonReentrant {
        _requireEntitled(permit.permitted.amount, amount, witness.facilitator);
        _tryPermit(permit2612, permit.permitted, owner);
        _settle(permit, amount, owner, witness, signature);
        emit SettledWithPermit();
    }

    function _requireEntitled(uint256 permitted, uint256 amount, address facilitator) private view {
        require(amount <= permitted, AmountExceedsPermitted());
        require(msg.sender == facilitator, UnauthorizedFacilitator());
    }

    function _settle(
        IPermit2.PermitTransferFrom calldata permit,
        uint256 amount,
        address owner,
        Witness calldata witness,
        bytes calldata signature
    ) private {
        _requireSound(amount, owner, witness.to, witness.validAfter);
        PERMIT2.permitWitnessTransferFrom(
            permit,
            IPermit2.SignatureTransferDetails(witness.to, amount),
            owner,
            keccak256(abi.encode(WITNESS_TYPEHASH, witness)),
            WITNESS_TYPE_STRING,
            signature
        );
    }
}
