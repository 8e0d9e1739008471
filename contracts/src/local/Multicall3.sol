// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.28;

/// @notice Many calls in one, with the public interface of Multicall3; on a public chain use the one deployed there.
/// @dev It holds nothing and trusts nobody: every call goes out as this contract, so never approve it for a token.
contract Multicall3 {
    /// @dev A call that must, or need not, succeed: the function it is given to says which.
    struct Call {
        address target;
        bytes callData;
    }

    /// @dev A call that says itself whether it may fail.
    struct Call3 {
        address target;
        bool allowFailure;
        bytes callData;
    }

    /// @dev A call that also carries the chain's own coin, in wei.
    struct Call3Value {
        address target;
        bool allowFailure;
        uint256 value;
        bytes callData;
    }

    /// @dev What came back from one call.
    struct Result {
        bool success;
        bytes returnData;
    }

    /// @notice Runs calls that must all succeed, and names the block.
    function aggregate(Call[] calldata calls)
        external
        payable
        returns (uint256 blockNumber, bytes[] memory returnData)
    {
        blockNumber = block.number;
        returnData = new bytes[](calls.length);
        for (uint256 i = 0; i < calls.length; ++i) {
            returnData[i] = _call(calls[i].target, 0, calls[i].callData, true).returnData;
        }
    }

    /// @notice Runs calls that must all succeed if `requireSuccess` says so.
    function tryAggregate(bool requireSuccess, Call[] calldata calls)
        public
        payable
        returns (Result[] memory returnData)
    {
        returnData = new Result[](calls.length);
        for (uint256 i = 0; i < calls.length; ++i) {
            returnData[i] = _call(calls[i].target, 0, calls[i].callData, requireSuccess);
        }
    }

    /// @notice `tryAggregate`, and names the block.
    function tryBlockAndAggregate(bool requireSuccess, Call[] calldata calls)
        public
        payable
        returns (uint256 blockNumber, bytes32 blockHash, Result[] memory returnData)
    {
        blockNumber = block.number;
        // A block's own hash is not known inside it, so this is zero, here as in the deployed contract.
        blockHash = blockhash(block.number);
        returnData = tryAggregate(requireSuccess, calls);
    }

    /// @notice `tryBlockAndAggregate` with calls that must all succeed.
    function blockAndAggregate(Call[] calldata calls)
        external
        payable
        returns (uint256 blockNumber, bytes32 blockHash, Result[] memory returnData)
    {
        return tryBlockAndAggregate(true, calls);
    }

    /// @notice Runs calls of which each says whether it may fail.
    function aggregate3(Call3[] calldata calls) external payable returns (Result[] memory returnData) {
        returnData = new Result[](calls.length);
        for (uint256 i = 0; i < calls.length; ++i) {
            returnData[i] = _call(calls[i].target, 0, calls[i].callData, !calls[i].allowFailure);
        }
    }

    /// @notice `aggregate3` with coin; the values must add up to what was sent, in wei.
    function aggregate3Value(Call3Value[] calldata calls) external payable returns (Result[] memory returnData) {
        returnData = new Result[](calls.length);
        uint256 spent;
        for (uint256 i = 0; i < calls.length; ++i) {
            spent += calls[i].value;
            returnData[i] = _call(calls[i].target, calls[i].value, calls[i].callData, !calls[i].allowFailure);
        }
        require(msg.value == spent, "Multicall3: value mismatch");
    }

    /// @notice The hash of one of the last 256 blocks, else zero.
    function getBlockHash(uint256 blockNumber) external view returns (bytes32) {
        return blockhash(blockNumber);
    }

    /// @notice The hash of the block before this one.
    function getLastBlockHash() external view returns (bytes32) {
        return blockhash(block.number - 1);
    }

    /// @notice The number of this block.
    function getBlockNumber() external view returns (uint256) {
        return block.number;
    }

    /// @notice The coinbase of this block.
    function getCurrentBlockCoinbase() external view returns (address) {
        return block.coinbase;
    }

    /// @notice The randomness of this block, in the place where its difficulty once stood.
    function getCurrentBlockDifficulty() external view returns (uint256) {
        return block.prevrandao;
    }

    /// @notice The gas limit of this block.
    function getCurrentBlockGasLimit() external view returns (uint256) {
        return block.gaslimit;
    }

    /// @notice The time of this block, in seconds since 1970.
    function getCurrentBlockTimestamp() external view returns (uint256) {
        return block.timestamp;
    }

    /// @notice The base fee of this block, in wei per gas.
    function getBasefee() external view returns (uint256) {
        return block.basefee;
    }

    /// @notice The chain's id.
    function getChainId() external view returns (uint256) {
        return block.chainid;
    }

    /// @notice An account's coin, in wei.
    function getEthBalance(address account) external view returns (uint256) {
        return account.balance;
    }

    function _call(address target, uint256 value, bytes calldata data, bool mustSucceed)
        private
        returns (Result memory result)
    {
        (result.success, result.returnData) = target.call{value: value}(data);
        require(result.success || !mustSucceed, "Multicall3: call failed");
    }
}
