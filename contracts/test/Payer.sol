// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.28;

import {UsdcStandIn} from "../src/local/UsdcStandIn.sol";
import {vm} from "./Vm.sol";

/// @dev What a payer signs, spelled out from the EIPs rather than taken from the token under test.
struct Payment {
    address from;
    address to;
    uint256 value;
    uint256 validAfter;
    uint256 validBefore;
    bytes32 nonce;
}

/// @notice A payer's side of EIP-3009 and EIP-2612, for tests: digests, signatures, submissions.
abstract contract Payer {
    /// @dev Where USDC stands on Base Sepolia, and our stand-in on the local chain.
    address internal constant USDC = 0x036CbD53842c5426634e7929541eC2318f3dCF7e;
    uint256 internal constant ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141;
    string internal constant TRANSFER = "TransferWithAuthorization";
    string internal constant RECEIVE = "ReceiveWithAuthorization";

    function digest(address token, bytes32 structHash) internal view returns (bytes32) {
        bytes32 domain = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("USDC"),
                keccak256("2"),
                block.chainid,
                token
            )
        );
        return keccak256(abi.encodePacked("\x19\x01", domain, structHash));
    }

    function paymentDigest(address token, string memory verb, Payment memory p) internal view returns (bytes32) {
        bytes32 typehash = keccak256(
            abi.encodePacked(
                verb, "(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)"
            )
        );
        bytes32 structHash =
            keccak256(abi.encode(typehash, p.from, p.to, p.value, p.validAfter, p.validBefore, p.nonce));
        return digest(token, structHash);
    }

    function cancelDigest(address token, address authorizer, bytes32 nonce) internal view returns (bytes32) {
        return digest(
            token,
            keccak256(abi.encode(keccak256("CancelAuthorization(address authorizer,bytes32 nonce)"), authorizer, nonce))
        );
    }

    function permitDigest(address token, address owner, address spender, uint256 value, uint256 nonce, uint256 deadline)
        internal
        view
        returns (bytes32)
    {
        bytes32 typehash =
            keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)");
        return digest(token, keccak256(abi.encode(typehash, owner, spender, value, nonce, deadline)));
    }

    function sign(uint256 key, bytes32 hash) internal pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, hash);
        return abi.encodePacked(r, s, v);
    }

    function signPayment(uint256 key, address token, Payment memory p) internal view returns (bytes memory) {
        return sign(key, paymentDigest(token, TRANSFER, p));
    }

    function submit(UsdcStandIn token, Payment memory p, bytes memory signature) internal {
        token.transferWithAuthorization(p.from, p.to, p.value, p.validAfter, p.validBefore, p.nonce, signature);
    }

    function submitSplit(UsdcStandIn token, Payment memory p, bytes memory signature) internal {
        (bytes32 r, bytes32 s, uint8 v) = split(signature);
        token.transferWithAuthorization(p.from, p.to, p.value, p.validAfter, p.validBefore, p.nonce, v, r, s);
    }

    /// @dev For tests that go on after a refusal: whether the submission went through.
    function trySubmit(UsdcStandIn token, Payment memory p, bytes memory signature) internal returns (bool) {
        try token.transferWithAuthorization(p.from, p.to, p.value, p.validAfter, p.validBefore, p.nonce, signature) {
            return true;
        } catch {
            return false;
        }
    }

    function split(bytes memory signature) internal pure returns (bytes32 r, bytes32 s, uint8 v) {
        (r, s) = abi.decode(signature, (bytes32, bytes32));
        v = uint8(signature[64]);
    }

    function within(uint256 word, uint256 low, uint256 high) internal pure returns (uint256) {
        uint256 size = high - low + 1;
        return size == 0 ? word : low + word % size;
    }

    function reason(string memory text) internal pure returns (bytes memory) {
        return abi.encodeWithSignature("Error(string)", text);
    }
}
