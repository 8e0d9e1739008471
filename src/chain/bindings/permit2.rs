//! Permit2, and the proxies of x402's `exact` and `upto` through it.

use alloy::sol;

sol! {
    /// What the owner permits of one token.
    #[derive(Debug, PartialEq, Eq)]
    struct TokenPermissions {
        /// The token.
        address token;
        /// The most that may be moved, in atomic units.
        uint256 amount;
    }

    /// A signed transfer of one token.
    #[derive(Debug, PartialEq, Eq)]
    struct PermitTransferFrom {
        /// What is permitted.
        TokenPermissions permitted;
        /// Spent with the transfer, in no order.
        uint256 nonce;
        /// The last second of its validity, since 1970.
        uint256 deadline;
    }

    /// An EIP-2612 permit for Permit2 to take the token.
    #[derive(Debug, PartialEq, Eq)]
    struct Eip2612Permit {
        /// The allowance; it must be what Permit2 is permitted to move.
        uint256 value;
        /// The last second of its validity, since 1970.
        uint256 deadline;
        /// The signature's `r`.
        bytes32 r;
        /// The signature's `s`.
        bytes32 s;
        /// The signature's `v`, 27 or 28.
        uint8 v;
    }

    /// What a payer signs beside Permit2's own words for `exact`.
    #[derive(Debug, PartialEq, Eq)]
    struct ExactWitness {
        /// The payee.
        address to;
        /// The first second of its validity, since 1970.
        uint256 validAfter;
    }

    /// What a payer signs beside Permit2's own words for `upto`.
    #[derive(Debug, PartialEq, Eq)]
    struct UptoWitness {
        /// The payee.
        address to;
        /// The only account that may settle.
        address facilitator;
        /// The first second of its validity, since 1970.
        uint256 validAfter;
    }

    /// Permit2, as far as it is read, and why it refuses.
    #[derive(Debug, PartialEq, Eq)]
    interface IPermit2 {
        /// The owner withdrew the nonces of `word` whose bits are set in `mask`.
        event UnorderedNonceInvalidation(address indexed owner, uint256 word, uint256 mask);

        /// The signature's deadline has passed.
        error SignatureExpired(uint256 signatureDeadline);
        /// The nonce was spent or withdrawn.
        error InvalidNonce();
        /// More was asked for than was permitted.
        error InvalidAmount(uint256 maxAmount);
        /// The signature of an account without code has neither 65 nor 64 bytes.
        error InvalidSignatureLength();
        /// No key made this signature.
        error InvalidSignature();
        /// Another account's key made this signature.
        error InvalidSigner();
        /// The owner's code did not own up to this signature.
        error InvalidContractSignature();

        /// 256 of an owner's nonces: bit `nonce % 256` of word `nonce / 256` is set once it is spent.
        function nonceBitmap(address owner, uint256 word) external view returns (uint256);
        /// Withdraws the caller's nonces whose bits are set in `mask`.
        function invalidateUnorderedNonces(uint256 wordPos, uint256 mask) external;
    }

    /// The proxy of `exact`: it moves what was signed to whom it was signed, whoever asks.
    #[derive(Debug, PartialEq, Eq)]
    interface IExactPermit2Proxy {
        /// A payment was moved.
        event Settled();
        /// A payment was moved after an EIP-2612 permit was tried.
        event SettledWithPermit();

        /// The permitted amount is zero.
        error InvalidAmount();
        /// The witness names no payee.
        error InvalidDestination();
        /// The payer is the zero address.
        error InvalidOwner();
        /// The payment is not valid yet.
        error PaymentTooEarly();
        /// The EIP-2612 permit is for another amount than Permit2 is permitted to move.
        error Permit2612AmountMismatch();
        /// A token tried to settle from within a settlement.
        error ReentrancyGuardReentrantCall();

        /// Moves the whole permitted amount to the witness's payee.
        function settle(PermitTransferFrom permit, address owner, ExactWitness witness, bytes signature) external;
        /// Tries an EIP-2612 permit for Permit2 first, then settles.
        function settleWithPermit(Eip2612Permit permit2612, PermitTransferFrom permit, address owner, ExactWitness witness, bytes signature) external;
    }

    /// The proxy of `upto`: the facilitator that was signed moves up to what was signed.
    #[derive(Debug, PartialEq, Eq)]
    interface IUptoPermit2Proxy {
        /// A payment was moved.
        event Settled();
        /// A payment was moved after an EIP-2612 permit was tried.
        event SettledWithPermit();

        /// The amount to move is zero.
        error InvalidAmount();
        /// The witness names no payee.
        error InvalidDestination();
        /// The payer is the zero address.
        error InvalidOwner();
        /// The payment is not valid yet.
        error PaymentTooEarly();
        /// The EIP-2612 permit is for another amount than Permit2 is permitted to move.
        error Permit2612AmountMismatch();
        /// A token tried to settle from within a settlement.
        error ReentrancyGuardReentrantCall();
        /// The amount to move is more than was permitted.
        error AmountExceedsPermitted();
        /// The caller is not the facilitator that was signed.
        error UnauthorizedFacilitator();

        /// Moves `amount` of the permitted amount to the witness's payee.
        function settle(PermitTransferFrom permit, uint256 amount, address owner, UptoWitness witness, bytes signature) external;
        /// Tries an EIP-2612 permit for Permit2 first, then settles.
        function settleWithPermit(Eip2612Permit permit2612, PermitTransferFrom permit, uint256 amount, address owner, UptoWitness witness, bytes signature) external;
    }
}
