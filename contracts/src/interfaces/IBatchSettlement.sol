// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.28;

/// @notice The x402 `batch-settlement` contract as its callers see it: channels that a payer fills, a receiver claims
/// from by the payer's vouchers, and either side empties again.
/// @dev All amounts are atomic units of the channel's token; sums of a channel's life never fall when it is claimed.
interface IBatchSettlement {
    /// @notice What a channel is; its id is the EIP-712 digest of these words, so no word of it can change.
    struct ChannelConfig {
        address payer;
        /// @dev Signs vouchers with a plain key; zero leaves them to the payer, who may then be a contract.
        address payerAuthorizer;
        address receiver;
        /// @dev Signs claim batches and refunds for the receiver, and may send them itself.
        address receiverAuthorizer;
        address token;
        /// @dev Seconds between the start of a withdrawal and its end.
        uint40 withdrawDelay;
        bytes32 salt;
    }

    /// @notice What the payer's side signs: all that this channel may be claimed for in its life.
    struct Voucher {
        ChannelConfig channel;
        uint128 maxClaimableAmount;
    }

    /// @notice A voucher with its signature, and the channel's claimed total that the receiver asks for.
    struct VoucherClaim {
        Voucher voucher;
        bytes signature;
        uint128 totalClaimed;
    }

    /// @notice A channel that is empty, and of which nothing was ever claimed, was filled.
    event ChannelCreated(bytes32 indexed channelId, ChannelConfig config);
    /// @notice A channel of which nothing was ever claimed is empty.
    event ChannelClosed(bytes32 indexed channelId, ChannelConfig config);
    /// @notice A channel was filled by `amount`.
    event Deposited(bytes32 indexed channelId, address indexed sender, uint128 amount, uint128 newBalance);
    /// @notice A channel's claimed total rose by `claimAmount`.
    event Claimed(bytes32 indexed channelId, address indexed sender, uint128 claimAmount, uint128 newTotalClaimed);
    /// @notice What was claimed for a receiver was paid to it.
    event Settled(address indexed receiver, address indexed token, address indexed sender, uint128 amount);
    /// @notice The receiver's side gave `amount` back to the payer.
    event Refunded(bytes32 indexed channelId, address indexed sender, uint128 amount);
    /// @notice The payer's side asked for `amount` back, and may take it from `finalizeAfter` on.
    event WithdrawInitiated(bytes32 indexed channelId, uint128 amount, uint40 finalizeAfter);
    /// @notice The payer's side took `amount` back.
    event WithdrawFinalized(bytes32 indexed channelId, address indexed sender, uint128 amount);

    /// @notice A deposit names no payer, receiver, receiver's authorizer or token; or a stranger begins a withdrawal.
    error InvalidChannel();
    /// @notice A deposit of nothing.
    error ZeroDeposit();
    /// @notice The channel's balance would pass 2^128 - 1.
    error DepositOverflow();
    /// @notice Someone else's signature, or one that is no answer to this digest.
    error InvalidSignature();
    /// @notice A row of a signed batch belongs to another receiver's authorizer than the first.
    error NotReceiverAuthorizer();
    /// @notice The caller is not on the receiver's side of the channel it claims from.
    error NotAuthorizedToClaim();
    /// @notice The caller is not on the receiver's side of the channel it refunds.
    error NotAuthorizedToRefund();
    /// @notice A claim above its voucher.
    error ClaimExceedsCeiling();
    /// @notice A claim above the channel's balance.
    error ClaimExceedsBalance();
    /// @notice A withdrawal is under way already.
    error WithdrawalAlreadyPending();
    /// @notice No withdrawal is under way.
    error WithdrawalNotPending();
    /// @notice The caller is not on the payer's side of the channel.
    error NotAuthorizedToFinalizeWithdraw();
    /// @notice The channel's delay has not passed yet.
    error WithdrawDelayNotElapsed();
    /// @notice A withdrawal of nothing.
    error NothingToWithdraw();
    /// @notice A withdrawal of more than the channel holds unclaimed.
    error WithdrawAmountExceedsAvailable();
    /// @notice A delay outside `MIN_WITHDRAW_DELAY` to `MAX_WITHDRAW_DELAY`.
    error WithdrawDelayOutOfRange();
    /// @notice A batch without rows.
    error EmptyBatch();
    /// @notice The collector did not bring exactly what it was asked for.
    error DepositCollectionFailed();
    /// @notice A deposit that names no collector.
    error InvalidCollector();
    /// @notice A refund signed for another place in the channel's sequence.
    error InvalidRefundNonce();
    /// @notice A refund of nothing.
    error ZeroRefund();

    // What the libraries under the public contract revert with.
    error ReentrancyGuardReentrantCall();
    error ECDSAInvalidSignature();
    error ECDSAInvalidSignatureLength(uint256 length);
    error ECDSAInvalidSignatureS(bytes32 s);
    error FailedCall();

    /// @notice Fills a channel through a collector, which moves the payer's tokens by what the payer signed.
    function deposit(ChannelConfig calldata config, uint128 amount, address collector, bytes calldata collectorData)
        external;

    /// @notice Claims rows of which the caller is receiver or receiver's authorizer; a total already claimed is passed over.
    function claim(VoucherClaim[] calldata voucherClaims) external;

    /// @notice `claim` by anyone, for rows of one receiver's authorizer, who signed the batch.
    function claimWithSignature(VoucherClaim[] calldata voucherClaims, bytes calldata authorizerSignature) external;

    /// @notice Pays a receiver what was claimed for it and is not paid yet, by anyone; if that is nothing, it does nothing.
    function settle(address receiver, address token) external;

    /// @notice The payer's side asks for unclaimed tokens; claims stay possible until they are taken.
    function initiateWithdraw(ChannelConfig calldata config, uint128 amount) external;

    /// @notice The payer's side takes what it asked for, or what is left of it unclaimed, once the delay has passed.
    function finalizeWithdraw(ChannelConfig calldata config) external;

    /// @notice The receiver's side gives unclaimed tokens back, at most what there are.
    function refund(ChannelConfig calldata config, uint128 amount) external;

    /// @notice `refund` by anyone, signed by the receiver's authorizer for the channel's present refund nonce.
    function refundWithSignature(
        ChannelConfig calldata config,
        uint128 amount,
        uint256 nonce,
        bytes calldata receiverAuthorizerSignature
    ) external;

    /// @notice Runs calls to this contract as the caller; all of them, or none.
    function multicall(bytes[] calldata data) external returns (bytes[] memory results);

    /// @notice Deposits less refunds and withdrawals, and what of it was claimed, both over the channel's life.
    function channels(bytes32 channelId) external view returns (uint128 balance, uint128 totalClaimed);

    /// @notice The withdrawal under way, and when it began, in seconds since 1970; zero if there is none.
    function pendingWithdrawals(bytes32 channelId) external view returns (uint128 amount, uint40 initiatedAt);

    /// @notice What was claimed for a receiver in one token, and what of it was paid, both since the beginning.
    function receivers(address receiver, address token)
        external
        view
        returns (uint128 totalClaimed, uint128 totalSettled);

    /// @notice How many refunds a channel has seen, those that moved nothing included.
    function refundNonce(bytes32 channelId) external view returns (uint256);

    /// @notice A channel's id: the EIP-712 digest of its configuration, on this chain and at this address.
    function getChannelId(ChannelConfig calldata config) external view returns (bytes32);

    /// @notice What the payer's side signs for a voucher.
    function getVoucherDigest(bytes32 channelId, uint128 maxClaimableAmount) external view returns (bytes32);

    /// @notice What the receiver's authorizer signs for a refund.
    function getRefundDigest(bytes32 channelId, uint256 nonce, uint128 amount) external view returns (bytes32);

    /// @notice What the receiver's authorizer signs for a batch of claims.
    function getClaimBatchDigest(VoucherClaim[] calldata voucherClaims) external view returns (bytes32);

    /// @notice EIP-5267: the words of the EIP-712 domain.
    function eip712Domain()
        external
        view
        returns (
            bytes1 fields,
            string memory name,
            string memory version,
            uint256 chainId,
            address verifyingContract,
            bytes32 salt,
            uint256[] memory extensions
        );

    /// @notice The shortest delay of a withdrawal, in seconds.
    function MIN_WITHDRAW_DELAY() external view returns (uint40);
    /// @notice The longest delay of a withdrawal, in seconds.
    function MAX_WITHDRAW_DELAY() external view returns (uint40);
    function CHANNEL_CONFIG_TYPEHASH() external view returns (bytes32);
    function VOUCHER_TYPEHASH() external view returns (bytes32);
    function REFUND_TYPEHASH() external view returns (bytes32);
    function CLAIM_ENTRY_TYPEHASH() external view returns (bytes32);
    function CLAIM_BATCH_TYPEHASH() external view returns (bytes32);
}
