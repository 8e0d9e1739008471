// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.28;

import {Signatures} from "./Signatures.sol";
import {StandInErc20} from "./StandInErc20.sol";

/// @notice LOCAL ONLY. Stands in for USDC on a development chain: anyone may mint.
/// @dev It answers as FiatTokenV2_2 does (EIP-3009, EIP-2612, ERC-1271, revert reasons), without owner, pause and
/// blacklist. The domain is computed on each call, so that a copy of the code signs for the address it stands at.
contract UsdcStandIn is StandInErc20 {
    /// @dev The signed words of EIP-3009's transfer and receive, in the order of the EIP-712 struct.
    struct Authorization {
        address from;
        address to;
        uint256 value;
        uint256 validAfter;
        uint256 validBefore;
        bytes32 nonce;
    }

    bytes32 public constant TRANSFER_WITH_AUTHORIZATION_TYPEHASH = keccak256(
        "TransferWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)"
    );
    bytes32 public constant RECEIVE_WITH_AUTHORIZATION_TYPEHASH = keccak256(
        "ReceiveWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)"
    );
    bytes32 public constant CANCEL_AUTHORIZATION_TYPEHASH =
        keccak256("CancelAuthorization(address authorizer,bytes32 nonce)");
    bytes32 public constant PERMIT_TYPEHASH =
        keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)");
    bytes32 private constant DOMAIN_TYPEHASH =
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");

    /// @notice EIP-3009: an authorization was spent.
    event AuthorizationUsed(address indexed authorizer, bytes32 indexed nonce);
    /// @notice EIP-3009: an authorization was withdrawn before it was spent.
    event AuthorizationCanceled(address indexed authorizer, bytes32 indexed nonce);

    /// @notice EIP-3009: whether an authorizer's nonce is used or canceled.
    mapping(address authorizer => mapping(bytes32 nonce => bool used)) public authorizationState;
    /// @notice EIP-2612: the nonce of an owner's next permit.
    mapping(address owner => uint256 nonce) public nonces;

    /// @notice EIP-3009: anyone carries out the transfer that `from` signed.
    function transferWithAuthorization(
        address from,
        address to,
        uint256 value,
        uint256 validAfter,
        uint256 validBefore,
        bytes32 nonce,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external {
        Authorization memory signed = Authorization(from, to, value, validAfter, validBefore, nonce);
        _spend(TRANSFER_WITH_AUTHORIZATION_TYPEHASH, signed, abi.encodePacked(r, s, v));
    }

    /// @notice EIP-3009 as FiatTokenV2_2 widens it: the signature may be one that only `from`'s own code can judge.
    function transferWithAuthorization(
        address from,
        address to,
        uint256 value,
        uint256 validAfter,
        uint256 validBefore,
        bytes32 nonce,
        bytes memory signature
    ) external {
        Authorization memory signed = Authorization(from, to, value, validAfter, validBefore, nonce);
        _spend(TRANSFER_WITH_AUTHORIZATION_TYPEHASH, signed, signature);
    }

    /// @notice EIP-3009: the payee, and no other, carries out the transfer that `from` signed.
    function receiveWithAuthorization(
        address from,
        address to,
        uint256 value,
        uint256 validAfter,
        uint256 validBefore,
        bytes32 nonce,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external {
        Authorization memory signed = Authorization(from, to, value, validAfter, validBefore, nonce);
        _receive(signed, abi.encodePacked(r, s, v));
    }

    /// @notice EIP-3009's receive, with a signature that may be a contract's.
    function receiveWithAuthorization(
        address from,
        address to,
        uint256 value,
        uint256 validAfter,
        uint256 validBefore,
        bytes32 nonce,
        bytes memory signature
    ) external {
        _receive(Authorization(from, to, value, validAfter, validBefore, nonce), signature);
    }

    /// @notice EIP-3009: withdraws an authorization that is not spent yet.
    function cancelAuthorization(address authorizer, bytes32 nonce, uint8 v, bytes32 r, bytes32 s) external {
        _cancel(authorizer, nonce, abi.encodePacked(r, s, v));
    }

    /// @notice EIP-3009's cancel, with a signature that may be a contract's.
    function cancelAuthorization(address authorizer, bytes32 nonce, bytes memory signature) external {
        _cancel(authorizer, nonce, signature);
    }

    /// @notice EIP-2612: approves by signature; a `deadline` of 2^256-1 never passes.
    function permit(address owner, address spender, uint256 value, uint256 deadline, uint8 v, bytes32 r, bytes32 s)
        external
    {
        _permit(owner, spender, value, deadline, abi.encodePacked(r, s, v));
    }

    /// @notice EIP-2612's permit, with a signature that may be a contract's.
    function permit(address owner, address spender, uint256 value, uint256 deadline, bytes memory signature) external {
        _permit(owner, spender, value, deadline, signature);
    }

    /// @notice The version of the EIP-712 domain.
    function version() public pure returns (string memory) {
        return "2";
    }

    /// @notice The EIP-712 domain separator, of this address on this chain.
    function DOMAIN_SEPARATOR() public view returns (bytes32) {
        return keccak256(
            abi.encode(
                DOMAIN_TYPEHASH, keccak256(bytes(name())), keccak256(bytes(version())), block.chainid, address(this)
            )
        );
    }

    function _receive(Authorization memory signed, bytes memory signature) private {
        require(signed.to == msg.sender, "FiatTokenV2: caller must be the payee");
        _spend(RECEIVE_WITH_AUTHORIZATION_TYPEHASH, signed, signature);
    }

    /// @dev The order of the checks is USDC's: it decides which reason a payment with two faults is refused for.
    function _spend(bytes32 typehash, Authorization memory signed, bytes memory signature) internal virtual {
        require(block.timestamp > signed.validAfter, "FiatTokenV2: authorization is not yet valid");
        require(block.timestamp < signed.validBefore, "FiatTokenV2: authorization is expired");
        _requireUnused(signed.from, signed.nonce);
        _requireSigned(signed.from, keccak256(abi.encode(typehash, signed)), signature);

        authorizationState[signed.from][signed.nonce] = true;
        emit AuthorizationUsed(signed.from, signed.nonce);
        _transfer(signed.from, signed.to, signed.value);
    }

    function _cancel(address authorizer, bytes32 nonce, bytes memory signature) private {
        _requireUnused(authorizer, nonce);
        bytes32 structHash = keccak256(abi.encode(CANCEL_AUTHORIZATION_TYPEHASH, authorizer, nonce));
        _requireSigned(authorizer, structHash, signature);

        authorizationState[authorizer][nonce] = true;
        emit AuthorizationCanceled(authorizer, nonce);
    }

    function _permit(address owner, address spender, uint256 value, uint256 deadline, bytes memory signature) private {
        require(deadline == type(uint256).max || deadline >= block.timestamp, "FiatTokenV2: permit is expired");
        bytes32 structHash = keccak256(abi.encode(PERMIT_TYPEHASH, owner, spender, value, nonces[owner]++, deadline));
        require(Signatures.isSignedBy(owner, _digest(structHash), signature), "EIP2612: invalid signature");
        _approve(owner, spender, value);
    }

    function _requireUnused(address authorizer, bytes32 nonce) private view {
        require(!authorizationState[authorizer][nonce], "FiatTokenV2: authorization is used or canceled");
    }

    function _requireSigned(address signer, bytes32 structHash, bytes memory signature) private view {
        require(Signatures.isSignedBy(signer, _digest(structHash), signature), "FiatTokenV2: invalid signature");
    }

    function _digest(bytes32 structHash) private view returns (bytes32) {
        return keccak256(abi.encodePacked(hex"1901", DOMAIN_SEPARATOR(), structHash));
    }
}
