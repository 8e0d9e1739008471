// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.28;

import {IDepositCollector} from "../interfaces/IDepositCollector.sol";
import {ChannelDigests} from "./ChannelDigests.sol";
import {ChannelSignatures} from "./ChannelSignatures.sol";
import {SafeTransfer} from "./SafeTransfer.sol";
import {StandInErc20} from "./StandInErc20.sol";

/// @notice Stands in for x402's batch-settlement contract on a development chain; on a public chain use the one there.
/// @dev Same calls, events, errors and order of checks. No constructor and no immutable: a copy of the code works
/// wherever it stands. Not for tokens that take a fee or change balances by themselves.
contract BatchSettlement is ChannelDigests, ChannelSignatures, SafeTransfer {
    /// @dev A channel's money: what it was given less what went back, and what of it was claimed.
    struct Channel {
        uint128 balance;
        uint128 totalClaimed;
    }

    /// @dev A withdrawal under way; `initiatedAt` is zero if there is none.
    struct Withdrawal {
        uint128 amount;
        uint40 initiatedAt;
    }

    /// @dev A receiver's money in one token.
    struct Account {
        uint128 totalClaimed;
        uint128 totalSettled;
    }

    uint40 public constant MIN_WITHDRAW_DELAY = 15 minutes;
    uint40 public constant MAX_WITHDRAW_DELAY = 30 days;

    mapping(bytes32 channelId => Channel) public channels;
    mapping(bytes32 channelId => Withdrawal) public pendingWithdrawals;
    mapping(bytes32 channelId => uint256) public refundNonce;
    mapping(address receiver => mapping(address token => Account)) public receivers;

    bool private transient entered;

    /// @dev Tokens, collectors and payers are other people's code: none of them may come back in.
    modifier nonReentrant() {
        if (entered) revert ReentrancyGuardReentrantCall();
        entered = true;
        _;
        entered = false;
    }

    function deposit(ChannelConfig calldata config, uint128 amount, address collector, bytes calldata collectorData)
        external
        nonReentrant
    {
        if (
            config.payer == address(0) || config.receiver == address(0) || config.receiverAuthorizer == address(0)
                || config.token == address(0)
        ) revert InvalidChannel();
        if (config.withdrawDelay < MIN_WITHDRAW_DELAY || config.withdrawDelay > MAX_WITHDRAW_DELAY) {
            revert WithdrawDelayOutOfRange();
        }
        if (amount == 0) revert ZeroDeposit();
        if (collector == address(0)) revert InvalidCollector();

        bytes32 channelId = getChannelId(config);
        Channel storage channel = channels[channelId];
        if (amount > type(uint128).max - channel.balance) revert DepositOverflow();
        channel.balance += amount;

        StandInErc20 token = StandInErc20(config.token);
        uint256 before = token.balanceOf(address(this));
        IDepositCollector(collector).collect(config.payer, config.token, amount, channelId, collectorData);
        // Anyone may name any collector: only what really arrived counts.
        if (token.balanceOf(address(this)) != before + amount) revert DepositCollectionFailed();

        if (channel.balance == amount && channel.totalClaimed == 0) emit ChannelCreated(channelId, config);
        emit Deposited(channelId, msg.sender, amount, channel.balance);
    }

    function claim(VoucherClaim[] calldata voucherClaims) external nonReentrant {
        if (voucherClaims.length == 0) revert EmptyBatch();
        bytes32 domain = _domainSeparator();
        for (uint256 i = 0; i < voucherClaims.length; ++i) {
            if (!_isReceiverSide(voucherClaims[i].voucher.channel)) revert NotAuthorizedToClaim();
            _claim(domain, voucherClaims[i]);
        }
    }

    function claimWithSignature(VoucherClaim[] calldata voucherClaims, bytes calldata authorizerSignature)
        external
        nonReentrant
    {
        if (voucherClaims.length == 0) revert EmptyBatch();
        address authorizer = voucherClaims[0].voucher.channel.receiverAuthorizer;
        if (!_isSignedBy(authorizer, getClaimBatchDigest(voucherClaims), authorizerSignature)) {
            revert InvalidSignature();
        }
        bytes32 domain = _domainSeparator();
        for (uint256 i = 0; i < voucherClaims.length; ++i) {
            if (voucherClaims[i].voucher.channel.receiverAuthorizer != authorizer) revert NotReceiverAuthorizer();
            _claim(domain, voucherClaims[i]);
        }
    }

    function settle(address receiver, address token) external nonReentrant {
        Account storage account = receivers[receiver][token];
        uint128 amount = account.totalClaimed - account.totalSettled;
        if (amount == 0) return;
        account.totalSettled = account.totalClaimed;
        _safeTransfer(token, receiver, amount);
        emit Settled(receiver, token, msg.sender, amount);
    }

    function initiateWithdraw(ChannelConfig calldata config, uint128 amount) external nonReentrant {
        if (!_isPayerSide(config)) revert InvalidChannel();
        if (amount == 0) revert NothingToWithdraw();
        bytes32 channelId = getChannelId(config);
        Withdrawal storage withdrawal = pendingWithdrawals[channelId];
        if (withdrawal.initiatedAt != 0) revert WithdrawalAlreadyPending();
        if (amount > _available(channels[channelId])) revert WithdrawAmountExceedsAvailable();

        withdrawal.amount = amount;
        withdrawal.initiatedAt = uint40(block.timestamp);
        emit WithdrawInitiated(channelId, amount, uint40(block.timestamp) + config.withdrawDelay);
    }

    function finalizeWithdraw(ChannelConfig calldata config) external nonReentrant {
        if (!_isPayerSide(config)) revert NotAuthorizedToFinalizeWithdraw();
        bytes32 channelId = getChannelId(config);
        Withdrawal storage withdrawal = pendingWithdrawals[channelId];
        if (withdrawal.initiatedAt == 0) revert WithdrawalNotPending();
        if (block.timestamp < uint256(withdrawal.initiatedAt) + config.withdrawDelay) revert WithdrawDelayNotElapsed();

        // Claims that came in meanwhile go first.
        Channel storage channel = channels[channelId];
        uint128 amount = _least(withdrawal.amount, _available(channel));
        withdrawal.amount = 0;
        withdrawal.initiatedAt = 0;
        channel.balance -= amount;
        emit WithdrawFinalized(channelId, msg.sender, amount);
        _announceIfClosed(channelId, channel, config);
        if (amount > 0) _safeTransfer(config.token, config.payer, amount);
    }

    function refund(ChannelConfig calldata config, uint128 amount) external nonReentrant {
        if (!_isReceiverSide(config)) revert NotAuthorizedToRefund();
        _refund(getChannelId(config), config, amount);
    }

    function refundWithSignature(
        ChannelConfig calldata config,
        uint128 amount,
        uint256 nonce,
        bytes calldata receiverAuthorizerSignature
    ) external nonReentrant {
        bytes32 channelId = getChannelId(config);
        if (nonce != refundNonce[channelId]) revert InvalidRefundNonce();
        bytes32 digest = getRefundDigest(channelId, nonce, amount);
        if (!_isSignedBy(config.receiverAuthorizer, digest, receiverAuthorizerSignature)) revert InvalidSignature();
        _refund(channelId, config, amount);
    }

    function multicall(bytes[] calldata data) external returns (bytes[] memory results) {
        results = new bytes[](data.length);
        for (uint256 i = 0; i < data.length; ++i) {
            (bool done, bytes memory answer) = address(this).delegatecall(data[i]);
            if (!done) {
                if (answer.length == 0) revert FailedCall();
                assembly ("memory-safe") {
                    revert(add(answer, 0x20), mload(answer))
                }
            }
            results[i] = answer;
        }
    }

    /// @dev A row at or below what was claimed is passed over, so that a batch may be sent twice.
    function _claim(bytes32 domain, VoucherClaim calldata row) private {
        ChannelConfig calldata config = row.voucher.channel;
        bytes32 channelId = _channelId(domain, config);
        Channel storage channel = channels[channelId];
        uint128 claimed = channel.totalClaimed;
        if (row.totalClaimed <= claimed) return;
        if (row.totalClaimed > row.voucher.maxClaimableAmount) revert ClaimExceedsCeiling();
        if (row.totalClaimed > channel.balance) revert ClaimExceedsBalance();

        bytes32 digest = _voucherDigest(domain, channelId, row.voucher.maxClaimableAmount);
        bool signed = config.payerAuthorizer == address(0)
            ? _isSignedBy(config.payer, digest, row.signature)
            : _recover(digest, row.signature) == config.payerAuthorizer;
        if (!signed) revert InvalidSignature();

        channel.totalClaimed = row.totalClaimed;
        receivers[config.receiver][config.token].totalClaimed += row.totalClaimed - claimed;
        emit Claimed(channelId, msg.sender, row.totalClaimed - claimed, row.totalClaimed);
    }

    /// @dev The nonce rises even if nothing moves: it says that a signed refund was spent, not that it paid.
    function _refund(bytes32 channelId, ChannelConfig calldata config, uint128 amount) private {
        if (amount == 0) revert ZeroRefund();
        refundNonce[channelId] += 1;
        Channel storage channel = channels[channelId];
        amount = _least(amount, _available(channel));
        if (amount == 0) return;
        channel.balance -= amount;

        // What the payer waits for has in part come back this way.
        Withdrawal storage withdrawal = pendingWithdrawals[channelId];
        if (withdrawal.amount > amount) withdrawal.amount -= amount;
        else if (withdrawal.initiatedAt != 0) delete pendingWithdrawals[channelId];

        emit Refunded(channelId, msg.sender, amount);
        _announceIfClosed(channelId, channel, config);
        _safeTransfer(config.token, config.payer, amount);
    }

    function _announceIfClosed(bytes32 channelId, Channel storage channel, ChannelConfig calldata config) private {
        if (channel.balance == 0 && channel.totalClaimed == 0) emit ChannelClosed(channelId, config);
    }

    function _isReceiverSide(ChannelConfig calldata config) private view returns (bool) {
        return msg.sender == config.receiverAuthorizer || msg.sender == config.receiver;
    }

    function _isPayerSide(ChannelConfig calldata config) private view returns (bool) {
        return msg.sender == config.payer || msg.sender == config.payerAuthorizer;
    }

    function _available(Channel storage channel) private view returns (uint128) {
        return channel.balance - channel.totalClaimed;
    }

    function _least(uint128 left, uint128 right) private pure returns (uint128) {
        return left < right ? left : right;
    }
}
