// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.28;

/// @notice Permit2's public interface: transfers by a signature that is spent at once, and allowances set by signature.
/// @dev EIP-712 domain: name "Permit2", chain id, verifying contract; it has no version. Every amount is in the token's atomic units.
interface IPermit2 {
    /// @dev What the owner permits of one token; part of the EIP-712 struct that is signed.
    struct TokenPermissions {
        address token;
        uint256 amount;
    }

    /// @dev A signed transfer of one token. The spender is signed too, but is always the caller.
    struct PermitTransferFrom {
        TokenPermissions permitted;
        uint256 nonce;
        uint256 deadline;
    }

    /// @dev A signed transfer of many tokens.
    struct PermitBatchTransferFrom {
        TokenPermissions[] permitted;
        uint256 nonce;
        uint256 deadline;
    }

    /// @dev What the spender makes of a permit: it is not signed, so a witness must bind what matters.
    struct SignatureTransferDetails {
        address to;
        uint256 requestedAmount;
    }

    /// @dev An allowance as it is signed; `nonce` must be the next of (owner, token, spender).
    struct PermitDetails {
        address token;
        uint160 amount;
        uint48 expiration;
        uint48 nonce;
    }

    /// @dev A signed allowance for one token.
    struct PermitSingle {
        PermitDetails details;
        address spender;
        uint256 sigDeadline;
    }

    /// @dev Signed allowances for many tokens and one spender.
    struct PermitBatch {
        PermitDetails[] details;
        address spender;
        uint256 sigDeadline;
    }

    /// @dev One of many transfers out of the caller's allowances.
    struct AllowanceTransferDetails {
        address from;
        address to;
        uint160 amount;
        address token;
    }

    /// @dev An allowance to withdraw.
    struct TokenSpenderPair {
        address token;
        address spender;
    }

    /// @notice The signature's deadline has passed.
    error SignatureExpired(uint256 signatureDeadline);
    /// @notice The nonce was spent or withdrawn, or is not the next one.
    error InvalidNonce();
    /// @notice More was asked for than was permitted.
    error InvalidAmount(uint256 maxAmount);
    /// @notice There are not as many transfers as permissions.
    error LengthMismatch();
    /// @notice The signature of an account without code has neither 65 nor 64 bytes.
    error InvalidSignatureLength();
    /// @notice No key made this signature.
    error InvalidSignature();
    /// @notice Another account's key made this signature.
    error InvalidSigner();
    /// @notice The owner's code did not own up to this signature.
    error InvalidContractSignature();
    /// @notice The allowance has expired.
    error AllowanceExpired(uint256 deadline);
    /// @notice The allowance is smaller than what was asked for.
    error InsufficientAllowance(uint256 amount);
    /// @notice Too many nonces would be skipped at once.
    error ExcessiveInvalidation();

    event UnorderedNonceInvalidation(address indexed owner, uint256 word, uint256 mask);
    event NonceInvalidation(
        address indexed owner, address indexed token, address indexed spender, uint48 newNonce, uint48 oldNonce
    );
    event Approval(
        address indexed owner, address indexed token, address indexed spender, uint160 amount, uint48 expiration
    );
    event Permit(
        address indexed owner,
        address indexed token,
        address indexed spender,
        uint160 amount,
        uint48 expiration,
        uint48 nonce
    );
    event Lockdown(address indexed owner, address token, address spender);

    /// @notice The EIP-712 domain separator.
    function DOMAIN_SEPARATOR() external view returns (bytes32);

    /// @notice 256 of an owner's unordered nonces: bit `nonce % 256` of word `nonce / 256` is set once it is spent.
    function nonceBitmap(address owner, uint256 word) external view returns (uint256);

    /// @notice Moves what `owner` permitted to the caller, once.
    function permitTransferFrom(
        PermitTransferFrom calldata permit,
        SignatureTransferDetails calldata transferDetails,
        address owner,
        bytes calldata signature
    ) external;

    /// @notice Moves what `owner` permitted to the caller, token by token, once.
    function permitTransferFrom(
        PermitBatchTransferFrom calldata permit,
        SignatureTransferDetails[] calldata transferDetails,
        address owner,
        bytes calldata signature
    ) external;

    /// @notice The same, with a word of the caller's own that was signed too.
    /// @param witnessTypeString The rest of the EIP-712 type after "uint256 deadline,": the witness's member, ")", and the types in order.
    function permitWitnessTransferFrom(
        PermitTransferFrom calldata permit,
        SignatureTransferDetails calldata transferDetails,
        address owner,
        bytes32 witness,
        string calldata witnessTypeString,
        bytes calldata signature
    ) external;

    /// @notice The same for many tokens.
    function permitWitnessTransferFrom(
        PermitBatchTransferFrom calldata permit,
        SignatureTransferDetails[] calldata transferDetails,
        address owner,
        bytes32 witness,
        string calldata witnessTypeString,
        bytes calldata signature
    ) external;

    /// @notice Withdraws the caller's unordered nonces whose bits are set in `mask`.
    function invalidateUnorderedNonces(uint256 wordPos, uint256 mask) external;

    /// @notice What `spender` may take of `owner`'s tokens, until when (seconds since 1970), and the next permit's nonce.
    function allowance(address owner, address token, address spender)
        external
        view
        returns (uint160 amount, uint48 expiration, uint48 nonce);

    /// @notice Sets what `spender` may take of the caller's tokens; an `expiration` of zero means within this block.
    function approve(address token, address spender, uint160 amount, uint48 expiration) external;

    /// @notice Sets the allowance that `owner` signed.
    function permit(address owner, PermitSingle calldata permitSingle, bytes calldata signature) external;

    /// @notice Sets the allowances that `owner` signed.
    function permit(address owner, PermitBatch calldata permitBatch, bytes calldata signature) external;

    /// @notice Moves tokens out of the caller's allowance.
    function transferFrom(address from, address to, uint160 amount, address token) external;

    /// @notice Moves tokens out of the caller's allowances, all or none.
    function transferFrom(AllowanceTransferDetails[] calldata transferDetails) external;

    /// @notice Sets the caller's named allowances to nothing.
    function lockdown(TokenSpenderPair[] calldata approvals) external;

    /// @notice Skips nonces of permits that the caller may have signed.
    function invalidateNonces(address token, address spender, uint48 newNonce) external;
}
