// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.28;

import {IPermit2} from "../interfaces/IPermit2.sol";
import {IExactPermit2Proxy} from "../interfaces/IPermit2Proxies.sol";
import {Permit2Proxy} from "./Permit2Proxy.sol";

/// @notice LOCAL ONLY. Stands in for x402ExactPermit2Proxy on a development chain.
contract ExactPermit2Proxy is Permit2Proxy, IExactPermit2Proxy {
    string public constant WITNESS_TYPE_STRING =
        "Witness witness)TokenPermissions(address token,uint256 amount)Witness(address to,uint256 validAfter)";
    bytes32 public constant WITNESS_TYPEHASH = keccak256("Witness(address to,uint256 validAfter)");

    /// @param permit2 The Permit2 that payers have approved.
    constructor(IPermit2 permit2) Permit2Proxy(permit2) {}

    /// @inheritdoc IExactPermit2Proxy
    function settle(
        IPermit2.PermitTransferFrom calldata permit,
        address owner,
        Witness calldata witness,
        bytes calldata signature
    ) external nonReentrant {
        _settle(permit, owner, witness, signature);
        emit Settled();
    }

    /// @inheritdoc IExactPermit2Proxy
    function settleWithPermit(
        EIP2612Permit calldata permit2612,
        IPermit2.PermitTransferFrom calldata permit,
        address owner,
        Witness calldata witness,
        bytes calldata signature
    ) external nonReentrant {
        _tryPermit(permit2612, permit.permitted, owner);
        _settle(permit, owner, witness, signature);
        emit SettledWithPermit();
    }

    function _settle(
        IPermit2.PermitTransferFrom calldata permit,
        address owner,
        Witness calldata witness,
        bytes calldata signature
    ) private {
        uint256 amount = permit.permitted.amount;
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
