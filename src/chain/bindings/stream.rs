use alloy::sol;

sol! {
    /// Channels of MPP's sessions on Tempo, version 1 (`TempoStreamChannel`).
    #[derive(Debug, PartialEq, Eq)]
    interface IStreamChannel {
        /// A channel was opened and filled.
        event ChannelOpened(bytes32 indexed channelId, address indexed payer, address indexed payee, address token, address authorizedSigner, bytes32 salt, uint256 deposit);
        /// More was put into a channel.
        event TopUp(bytes32 indexed channelId, address indexed payer, address indexed payee, uint256 additionalDeposit, uint256 newDeposit);
        /// A voucher was paid; the channel stays open.
        event Settled(bytes32 indexed channelId, address indexed payer, address indexed payee, uint256 cumulativeAmount, uint256 deltaPaid, uint256 newSettled);
        /// A payer took back what its payee had not settled in time.
        event ChannelExpired(bytes32 indexed channelId, address indexed payer, address indexed payee);
        /// A channel was closed: this was paid, and that went back.
        event ChannelClosed(bytes32 indexed channelId, address indexed payer, address indexed payee, uint256 settledToPayee, uint256 refundedToPayer);
        /// Opens a channel and fills it with `deposit` of the caller's tokens.
        function open(address payee, address token, uint128 deposit, bytes32 salt, address authorizedSigner) external returns (bytes32 channelId);
        /// Adds to a channel of the caller's.
        function topUp(bytes32 channelId, uint256 additionalDeposit) external;
        /// Pays the caller what a voucher says, gives the rest back to the payer, and ends the channel.
        function close(bytes32 channelId, uint128 cumulativeAmount, bytes signature) external;
        /// What a channel holds and what was paid out of it.
        function getChannel(bytes32 channelId) external view returns (bool finalized, uint64 closeRequestedAt, address payer, address payee, address token, address authorizedSigner, uint128 deposit, uint128 settled);
    }
}
