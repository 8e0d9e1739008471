// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.28;

/// @notice One way to bring a payer's tokens into a channel of the batch-settlement contract.
interface IDepositCollector {
    /// @notice The caller is not the batch-settlement contract that this collector serves.
    error OnlyX402BatchSettlement();
    /// @notice A collector was to serve the zero address.
    error InvalidX402BatchSettlementAddress();

    /// @notice The one contract that may call `collect`, and the one that receives the tokens.
    function x402BatchSettlement() external view returns (address);

    /// @notice Moves exactly `amount` of `payer`'s tokens to the caller, by what `payer` signed in `collectorData` for
    /// this channel.
    function collect(address payer, address token, uint256 amount, bytes32 channelId, bytes calldata collectorData)
        external;
}
