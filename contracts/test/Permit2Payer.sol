// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.28;

import {IPermit2} from "../src/interfaces/IPermit2.sol";
import {IExactPermit2Proxy, IPermit2Proxy, IUptoPermit2Proxy} from "../src/interfaces/IPermit2Proxies.sol";
import {ExactPermit2Proxy} from "../src/local/ExactPermit2Proxy.sol";
import {Permit2StandIn} from "../src/local/Permit2StandIn.sol";
import {UptoPermit2Proxy} from "../src/local/UptoPermit2Proxy.sol";
import {Payer} from "./Payer.sol";
import {vm} from "./Vm.sol";

/// @notice A payer's side of Permit2 and of the x402 proxies, spelled out from their types rather than taken from the code under test.
abstract contract Permit2Payer is Payer {
    address internal constant PERMIT2 = 0x000000000022D473030F116dDEE9F6B43aC78BA3;
    address internal constant EXACT = 0x402085c248EeA27D92E8b30b2C58ed07f9E20001;
    address internal constant UPTO = 0x4020A4f3b7b90ccA423B9fabCc0CE57C6C240002;

    bytes32 private constant PERMISSIONS = keccak256("TokenPermissions(address token,uint256 amount)");
    bytes32 private constant DETAILS =
        keccak256("PermitDetails(address token,uint160 amount,uint48 expiration,uint48 nonce)");

    /// @dev Puts the stand-ins where clients know them, as the local chain does.
    function installPermit2() internal {
        vm.etch(PERMIT2, address(new Permit2StandIn()).code);
        vm.etch(EXACT, address(new ExactPermit2Proxy(IPermit2(PERMIT2))).code);
        vm.etch(UPTO, address(new UptoPermit2Proxy(IPermit2(PERMIT2))).code);
    }

    function permitOf(address token, uint256 amount, uint256 nonce)
        internal
        view
        returns (IPermit2.PermitTransferFrom memory)
    {
        return IPermit2.PermitTransferFrom(IPermit2.TokenPermissions(token, amount), nonce, block.timestamp + 60);
    }

    function permit2Digest(bytes32 structHash) internal view returns (bytes32) {
        bytes32 domain = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,uint256 chainId,address verifyingContract)"),
                keccak256("Permit2"),
                block.chainid,
                PERMIT2
            )
        );
        return keccak256(abi.encodePacked("\x19\x01", domain, structHash));
    }

    function plainDigest(IPermit2.PermitTransferFrom memory p, address spender) internal view returns (bytes32) {
        bytes32 typehash = keccak256(
            "PermitTransferFrom(TokenPermissions permitted,address spender,uint256 nonce,uint256 deadline)TokenPermissions(address token,uint256 amount)"
        );
        return permit2Digest(keccak256(abi.encode(typehash, hashOf(p.permitted), spender, p.nonce, p.deadline)));
    }

    function batchDigest(IPermit2.PermitBatchTransferFrom memory p, address spender) internal view returns (bytes32) {
        bytes32 typehash = keccak256(
            "PermitBatchTransferFrom(TokenPermissions[] permitted,address spender,uint256 nonce,uint256 deadline)TokenPermissions(address token,uint256 amount)"
        );
        return permit2Digest(keccak256(abi.encode(typehash, hashOf(p.permitted), spender, p.nonce, p.deadline)));
    }

    /// @param witnessType The witness's own type, such as "Witness(address to)".
    function witnessDigest(
        IPermit2.PermitTransferFrom memory p,
        address spender,
        bytes32 witness,
        string memory witnessType
    ) internal view returns (bytes32) {
        bytes32 typehash = keccak256(
            abi.encodePacked(
                "PermitWitnessTransferFrom(TokenPermissions permitted,address spender,uint256 nonce,uint256 deadline,Witness witness)TokenPermissions(address token,uint256 amount)",
                witnessType
            )
        );
        return
            permit2Digest(keccak256(abi.encode(typehash, hashOf(p.permitted), spender, p.nonce, p.deadline, witness)));
    }

    function batchWitnessDigest(
        IPermit2.PermitBatchTransferFrom memory p,
        address spender,
        bytes32 witness,
        string memory witnessType
    ) internal view returns (bytes32) {
        bytes32 typehash = keccak256(
            abi.encodePacked(
                "PermitBatchWitnessTransferFrom(TokenPermissions[] permitted,address spender,uint256 nonce,uint256 deadline,Witness witness)TokenPermissions(address token,uint256 amount)",
                witnessType
            )
        );
        return
            permit2Digest(keccak256(abi.encode(typehash, hashOf(p.permitted), spender, p.nonce, p.deadline, witness)));
    }

    function exactDigest(IPermit2.PermitTransferFrom memory p, IExactPermit2Proxy.Witness memory w)
        internal
        view
        returns (bytes32)
    {
        string memory witnessType = "Witness(address to,uint256 validAfter)";
        bytes32 witness = keccak256(abi.encode(keccak256(bytes(witnessType)), w.to, w.validAfter));
        return witnessDigest(p, EXACT, witness, witnessType);
    }

    function uptoDigest(IPermit2.PermitTransferFrom memory p, IUptoPermit2Proxy.Witness memory w)
        internal
        view
        returns (bytes32)
    {
        string memory witnessType = "Witness(address to,address facilitator,uint256 validAfter)";
        bytes32 witness = keccak256(abi.encode(keccak256(bytes(witnessType)), w.to, w.facilitator, w.validAfter));
        return witnessDigest(p, UPTO, witness, witnessType);
    }

    function singleDigest(IPermit2.PermitSingle memory p) internal view returns (bytes32) {
        bytes32 typehash = keccak256(
            "PermitSingle(PermitDetails details,address spender,uint256 sigDeadline)PermitDetails(address token,uint160 amount,uint48 expiration,uint48 nonce)"
        );
        return permit2Digest(keccak256(abi.encode(typehash, hashOf(p.details), p.spender, p.sigDeadline)));
    }

    function allowancesDigest(IPermit2.PermitBatch memory p) internal view returns (bytes32) {
        bytes32 typehash = keccak256(
            "PermitBatch(PermitDetails[] details,address spender,uint256 sigDeadline)PermitDetails(address token,uint160 amount,uint48 expiration,uint48 nonce)"
        );
        bytes memory hashes;
        for (uint256 i = 0; i < p.details.length; ++i) {
            hashes = abi.encodePacked(hashes, hashOf(p.details[i]));
        }
        return permit2Digest(keccak256(abi.encode(typehash, keccak256(hashes), p.spender, p.sigDeadline)));
    }

    /// @dev An EIP-2612 permit of the USDC stand-in for Permit2, with the owner's next nonce zero.
    function sponsored(uint256 key, uint256 value) internal view returns (IPermit2Proxy.EIP2612Permit memory) {
        uint256 deadline = block.timestamp + 60;
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, permitDigest(USDC, vm.addr(key), PERMIT2, value, 0, deadline));
        return IPermit2Proxy.EIP2612Permit(value, deadline, r, s, v);
    }

    /// @dev EIP-2098: the parity of `v` in the highest bit of `s`.
    function compact(bytes memory signature) internal pure returns (bytes memory) {
        (bytes32 r, bytes32 s, uint8 v) = split(signature);
        return abi.encodePacked(r, bytes32(uint256(s) | uint256(v - 27) << 255));
    }

    /// @dev The other signature that the same key makes good.
    function flipped(bytes memory signature) internal pure returns (bytes memory) {
        (bytes32 r, bytes32 s, uint8 v) = split(signature);
        return abi.encodePacked(r, ORDER - uint256(s), v ^ 7); // 27 ^ 7 = 28
    }

    function hashOf(IPermit2.TokenPermissions memory permitted) private pure returns (bytes32) {
        return keccak256(abi.encode(PERMISSIONS, permitted.token, permitted.amount));
    }

    function hashOf(IPermit2.TokenPermissions[] memory permitted) private pure returns (bytes32) {
        bytes memory hashes;
        for (uint256 i = 0; i < permitted.length; ++i) {
            hashes = abi.encodePacked(hashes, hashOf(permitted[i]));
        }
        return keccak256(hashes);
    }

    function hashOf(IPermit2.PermitDetails memory d) private pure returns (bytes32) {
        return keccak256(abi.encode(DETAILS, d.token, d.amount, d.expiration, d.nonce));
    }
}
