//! The contract that holds the channels of x402's `batch-settlement`.

use alloy::sol;

sol! {
    /// What a channel is; its id is the EIP-712 digest of these words.
    #[derive(Debug, PartialEq, Eq)]
    struct ChannelConfig {
        /// Whose tokens fill it.
        address payer;
        /// The key that signs vouchers; zero leaves them to the payer, who may then be a contract.
        address payerAuthorizer;
        /// Who is paid.
        address receiver;
        /// Who signs claim batches and refunds for the receiver.
        address receiverAuthorizer;
        /// The token.
        address token;
        /// Seconds between the start of a withdrawal and its end.
        uint40 withdrawDelay;
        /// Tells apart channels that are otherwise the same.
        bytes32 salt;
    }

    /// What the payer's side signs: all that this channel may be claimed for in its life.
    #[derive(Debug, PartialEq, Eq)]
    struct Voucher {
        /// The channel.
        ChannelConfig channel;
        /// The most that may be claimed, cumulative, in atomic units.
        uint128 maxClaimableAmount;
    }

    /// A voucher with its signature, and the claimed total that the receiver asks for.
    #[derive(Debug, PartialEq, Eq)]
    struct VoucherClaim {
        /// The voucher.
        Voucher voucher;
        /// The signature of the payer's side.
        bytes signature;
        /// The new claimed total, cumulative, in atomic units.
        uint128 totalClaimed;
    }

    /// The batch-settlement contract; amounts are atomic units of the channel's token.
    #[derive(Debug, PartialEq, Eq)]
    interface IBatchSettlement {
        /// A channel received its first deposit.
        event ChannelCreated(bytes32 indexed channelId, ChannelConfig config);
        /// A channel of which nothing was ever claimed is empty.
        event ChannelClosed(bytes32 indexed channelId, ChannelConfig config);
        /// A channel was filled by `amount`.
        event Deposited(bytes32 indexed channelId, address indexed sender, uint128 amount, uint128 newBalance);
        /// A channel's claimed total rose by `claimAmount`.
        event Claimed(bytes32 indexed channelId, address indexed sender, uint128 claimAmount, uint128 newTotalClaimed);
        /// What was claimed for a receiver was paid to it.
        event Settled(address indexed receiver, address indexed token, address indexed sender, uint128 amount);
        /// The receiver's side gave `amount` back to the payer.
        event Refunded(bytes32 indexed channelId, address indexed sender, uint128 amount);
        /// The payer's side asked for `amount` back, and may take it from `finalizeAfter` on.
        event WithdrawInitiated(bytes32 indexed channelId, uint128 amount, uint40 finalizeAfter);
        /// The payer's side took `amount` back.
        event WithdrawFinalized(bytes32 indexed channelId, address indexed sender, uint128 amount);

        /// A deposit names no payer, receiver, receiver's authorizer or token; or a stranger begins a withdrawal.
        error InvalidChannel();
        /// A deposit of nothing.
        error ZeroDeposit();
        /// The channel's balance would pass 2^128 - 1.
        error DepositOverflow();
        /// Someone else's signature, or one that is no answer to this digest.
        error InvalidSignature();
        /// A row of a signed batch belongs to another receiver's authorizer than the first.
        error NotReceiverAuthorizer();
        /// The caller is not on the receiver's side of the channel it claims from.
        error NotAuthorizedToClaim();
        /// The caller is not on the receiver's side of the channel it refunds.
        error NotAuthorizedToRefund();
        /// A claim above its voucher.
        error ClaimExceedsCeiling();
        /// A claim above the channel's balance.
        error ClaimExceedsBalance();
        /// A withdrawal is under way already.
        error WithdrawalAlreadyPending();
        /// No withdrawal is under way.
        error WithdrawalNotPending();
        /// The caller is not on the payer's side of the channel.
        error NotAuthorizedToFinalizeWithdraw();
        /// The channel's delay has not passed yet.
        error WithdrawDelayNotElapsed();
        /// A withdrawal of nothing.
        error NothingToWithdraw();
        /// A withdrawal of more than the channel holds unclaimed.
        error WithdrawAmountExceedsAvailable();
        /// A delay that the contract does not take.
        error WithdrawDelayOutOfRange();
        /// A batch without rows.
        error EmptyBatch();
        /// The collector did not bring exactly what it was asked for.
        error DepositCollectionFailed();
        /// A deposit that names no collector.
        error InvalidCollector();
        /// A refund signed for another place in the channel's sequence.
        error InvalidRefundNonce();
        /// A refund of nothing.
        error ZeroRefund();
        /// A token tried to come back in.
        error ReentrancyGuardReentrantCall();
        /// The token did not move.
        error SafeERC20FailedOperation(address token);

        /// Fills a channel through a collector, by what the payer signed.
        function deposit(ChannelConfig config, uint128 amount, address collector, bytes collectorData) external;
        /// Claims rows of which the caller is receiver or receiver's authorizer; a total already claimed is passed over.
        function claim(VoucherClaim[] voucherClaims) external;
        /// `claim` by anyone, for rows of one receiver's authorizer, who signed the batch.
        function claimWithSignature(VoucherClaim[] voucherClaims, bytes authorizerSignature) external;
        /// Pays a receiver what was claimed for it and is not paid yet; if that is nothing, it does nothing.
        function settle(address receiver, address token) external;
        /// The payer's side asks for unclaimed tokens.
        function initiateWithdraw(ChannelConfig config, uint128 amount) external;
        /// The payer's side takes what it asked for, once the delay has passed.
        function finalizeWithdraw(ChannelConfig config) external;
        /// The receiver's side gives unclaimed tokens back, at most what there are.
        function refund(ChannelConfig config, uint128 amount) external;
        /// `refund` by anyone, signed by the receiver's authorizer for the channel's present refund nonce.
        function refundWithSignature(ChannelConfig config, uint128 amount, uint256 nonce, bytes receiverAuthorizerSignature) external;
        /// Runs calls to this contract as the caller; all of them, or none.
        function multicall(bytes[] data) external returns (bytes[] results);

        /// Deposits less refunds and withdrawals, and what of it was claimed, both over the channel's life.
        function channels(bytes32 channelId) external view returns (uint128 balance, uint128 totalClaimed);
        /// The withdrawal under way, and when it began, in seconds since 1970; zero if there is none.
        function pendingWithdrawals(bytes32 channelId) external view returns (uint128 amount, uint40 initiatedAt);
        /// What was claimed for a receiver in one token, and what of it was paid, both since the beginning.
        function receivers(address receiver, address token) external view returns (uint128 totalClaimed, uint128 totalSettled);
        /// How many refunds a channel has seen, those that moved nothing included.
        function refundNonce(bytes32 channelId) external view returns (uint256);
        /// A channel's id.
        function getChannelId(ChannelConfig config) external view returns (bytes32);
    }

    /// What a deposit collector may refuse with.
    #[derive(Debug, PartialEq, Eq)]
    interface IDepositCollector {
        /// The caller is not the batch-settlement contract that this collector serves.
        error OnlyX402BatchSettlement();
        /// The EIP-2612 permit is for another amount than the deposit.
        error Permit2612AmountMismatch();
    }
}
