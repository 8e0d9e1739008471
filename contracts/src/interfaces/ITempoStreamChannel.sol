// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.28;

/// @notice The escrow of MPP's `tempo/session`, first version: its calls, events and errors, as published clients and
/// servers use them.
interface ITempoStreamChannel {
    /// @dev One channel; `authorizedSigner` is zero where the payer signs, `closeRequestedAt` where nobody asked for it.
    struct Channel {
        bool finalized;
        uint64 closeRequestedAt;
        address payer;
        address payee;
        address token;
        address authorizedSigner;
        uint128 deposit;
        uint128 settled;
    }

    event ChannelOpened(
        bytes32 indexed channelId,
        address indexed payer,
        address indexed payee,
        address token,
        address authorizedSigner,
        bytes32 salt,
        uint256 deposit
    );
    event Settled(
        bytes32 indexed channelId,
        address indexed payer,
        address indexed payee,
        uint256 cumulativeAmount,
        uint256 deltaPaid,
        uint256 newSettled
    );
    event TopUp(
        bytes32 indexed channelId,
        address indexed payer,
        address indexed payee,
        uint256 additionalDeposit,
        uint256 newDeposit
    );
    event CloseRequested(
        bytes32 indexed channelId, address indexed payer, address indexed payee, uint256 closeGraceEnd
    );
    event CloseRequestCancelled(bytes32 indexed channelId, address indexed payer, address indexed payee);
    event ChannelClosed(
        bytes32 indexed channelId,
        address indexed payer,
        address indexed payee,
        uint256 settledToPayee,
        uint256 refundedToPayer
    );
    event ChannelExpired(bytes32 indexed channelId, address indexed payer, address indexed payee);

    error AmountExceedsDeposit();
    error AmountNotIncreasing();
    error ChannelAlreadyExists();
    error ChannelFinalized();
    error ChannelNotFound();
    error CloseNotReady();
    error DepositOverflow();
    error InvalidPayee();
    error InvalidSignature();
    error InvalidToken();
    error NotPayee();
    error NotPayer();
    error TransferFailed();
    error ZeroDeposit();

    /// @notice Opens a channel of the caller's and takes its deposit, which the caller has approved.
    function open(address payee, address token, uint128 deposit, bytes32 salt, address authorizedSigner)
        external
        returns (bytes32 channelId);

    /// @notice Pays the payee up to a voucher; the channel stays open.
    function settle(bytes32 channelId, uint128 cumulativeAmount, bytes calldata signature) external;

    /// @notice Adds to the deposit, and calls a requested close off.
    function topUp(bytes32 channelId, uint256 additionalDeposit) external;

    /// @notice Pays the payee up to a voucher, the payer the rest, and ends the channel.
    function close(bytes32 channelId, uint128 cumulativeAmount, bytes calldata signature) external;

    /// @notice Starts the time after which the payer may withdraw.
    function requestClose(bytes32 channelId) external;

    /// @notice Pays the payer what was not settled, and ends the channel.
    function withdraw(bytes32 channelId) external;

    function getChannel(bytes32 channelId) external view returns (Channel memory);

    function getChannelsBatch(bytes32[] calldata channelIds) external view returns (Channel[] memory channelStates);

    function computeChannelId(address payer, address payee, address token, bytes32 salt, address authorizedSigner)
        external
        view
        returns (bytes32);

    function getVoucherDigest(bytes32 channelId, uint128 cumulativeAmount) external view returns (bytes32);

    function domainSeparator() external view returns (bytes32);
}
