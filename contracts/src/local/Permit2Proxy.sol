// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.28;

import {IEip2612} from "../interfaces/IEip2612.sol";
import {IPermit2} from "../interfaces/IPermit2.sol";
import {IPermit2Proxy} from "../interfaces/IPermit2Proxies.sol";

/// @notice What the stand-ins for x402's proxies share: the spender that Permit2 sees, which moves only to a signed payee.
abstract contract Permit2Proxy is IPermit2Proxy {
    /// @inheritdoc IPermit2Proxy
    IPermit2 public immutable PERMIT2;

    bool private transient _entered;

    /// @param permit2 The Permit2 that payers have approved.
    constructor(IPermit2 permit2) {
        require(address(permit2) != address(0), InvalidPermit2Address());
        PERMIT2 = permit2;
    }

    /// @dev One lock for all entries of the proxy; it is gone with the transaction.
    modifier nonReentrant() {
        require(!_entered, ReentrancyGuardReentrantCall());
        _entered = true;
        _;
        _entered = false;
    }

    /// @dev A refused permit is told and passed over: the allowance may be there already, or someone may have used the permit first.
    function _tryPermit(EIP2612Permit calldata permit2612, IPermit2.TokenPermissions calldata permitted, address owner)
        internal
    {
        require(permit2612.value == permitted.amount, Permit2612AmountMismatch());
        address token = permitted.token;
        try IEip2612(token)
            .permit(
                owner, address(PERMIT2), permit2612.value, permit2612.deadline, permit2612.v, permit2612.r, permit2612.s
            ) {}
        catch Error(string memory reason) {
            emit EIP2612PermitFailedWithReason(token, owner, reason);
        } catch Panic(uint256 errorCode) {
            emit EIP2612PermitFailedWithPanic(token, owner, errorCode);
        } catch (bytes memory data) {
            emit EIP2612PermitFailedWithData(token, owner, data);
        }
    }

    /// @dev The order of the checks decides which error a payment with two faults is refused for.
    function _requireSound(uint256 amount, address owner, address to, uint256 validAfter) internal view {
        require(amount != 0, InvalidAmount());
        require(owner != address(0), InvalidOwner());
        require(to != address(0), InvalidDestination());
        require(block.timestamp >= validAfter, PaymentTooEarly());
    }
}
