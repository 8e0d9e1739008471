// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.28;

import {IBatchSettlement} from "./interfaces/IBatchSettlement.sol";
import {IExactPermit2Proxy, IUptoPermit2Proxy} from "./interfaces/IPermit2Proxies.sol";

/// @notice FOR PRODUCTION. Settles many payments in one transaction: captures of `upto`, transfers of `exact` (EIP-3009 and
/// Permit2), claims, settlements and refunds of channels, and credits paid out. It is the `facilitatorAddress` of `upto` offers.
/// @dev It makes the calls listed in `_target` and no other; it cannot change.
///
/// - It holds nothing: tokens go from payer to payee, an item that would pay this contract is refused, coin is not taken.
///   What someone sends it by mistake is lost.
/// - Nobody approves it but a relayer, for credits; it spends a relayer's allowance only while that relayer calls.
/// - A relayer chooses when an `upto` payment is captured and how much of it; its payee and ceiling the payer signed. So a
///   stolen relayer key can capture what is open up to its ceilings, to the payees that were signed, and can spend that
///   relayer's own allowance. The operator adds and removes relayers, no more.
/// - It keeps no state during a call: a token that comes back in finds nothing halfway, and is no relayer besides.
///
/// What became of an item: its index and the relayer's word for the batch name it. A sound item adds no log of ours, since a
/// reference and an event for each would cost about 1,600 gas; a bad one adds `Failed`; the batch ends with `Settled`, which
/// counts. In a transaction that succeeded, every index without a `Failed` was carried out. The token's logs alone could not
/// tell, as two payments may agree in payer, payee and amount. Yet they have the last word on whether value moved: "carried
/// out" means that code took the call and did not answer `false`, and code with a fallback takes any call.
contract Settler {
    /// @dev One call to carry out.
    struct Item {
        /// @dev The token, for EIP-3009 transfers and credits; not read for the others, whose target is fixed.
        address token;
        /// @dev The most gas the call may use, and what is kept for it, so that no item can use up another's.
        uint256 gasLimit;
        /// @dev The call as the target takes it: a selector from the list in `_target`, and its arguments.
        bytes data;
    }

    /// @dev Gas kept for each item beside its `gasLimit`: a first touch of the target, the checks, a `Failed`.
    uint256 public constant ITEM_GAS = 10_000;
    /// @dev Bytes of revert data that `Failed` reports.
    uint256 public constant REASON_BYTES = 256;

    bytes4 private constant TRANSFER_WITH_AUTHORIZATION = bytes4(
        keccak256("transferWithAuthorization(address,address,uint256,uint256,uint256,bytes32,uint8,bytes32,bytes32)")
    );
    bytes4 private constant TRANSFER_WITH_AUTHORIZATION_WHOLE =
        bytes4(keccak256("transferWithAuthorization(address,address,uint256,uint256,uint256,bytes32,bytes)"));
    bytes4 private constant TRANSFER_FROM = bytes4(keccak256("transferFrom(address,address,uint256)"));

    /// @notice Who says which relayers may call; nobody if zero.
    address public immutable OPERATOR;
    /// @notice The proxy of the `upto` scheme.
    address public immutable UPTO_PROXY;
    /// @notice The proxy of the `exact` scheme by Permit2.
    address public immutable EXACT_PROXY;
    /// @notice The `batch-settlement` contract.
    address public immutable BATCH_SETTLEMENT;

    /// @notice Whether an account may settle.
    mapping(address account => bool allowed) public isRelayer;

    /// @notice The operator let an account settle, or no longer.
    event RelayerSet(address indexed account, bool allowed);
    /// @notice A batch was worked through: `items` were tried, `failed` of them in vain.
    event Settled(bytes32 indexed batch, uint256 items, uint256 failed);
    /// @notice The item at `index` (from 0) was not carried out. The reason is how the target's revert data begins (empty if it
    /// ran out of the item's gas or gave none), or one of `NotPermitted`, `NoCode` and `ReturnedFalse`.
    event Failed(bytes32 indexed batch, uint256 index, bytes reason);

    /// @notice The caller is not the operator.
    error NotOperator();
    /// @notice The caller is not a relayer.
    error NotRelayer();
    /// @notice There is too little gas to give each item its `gasLimit`: nothing was done.
    error NotEnoughGas(uint256 needed);
    /// @notice As a reason: not a call this contract makes, or one that pays it, or a credit out of another's pocket.
    error NotPermitted();
    /// @notice As a reason: nothing stands at the item's target.
    error NoCode(address target);
    /// @notice As a reason: the token answered, and not with `true`. It did not revert, so see its logs for what it did.
    error ReturnedFalse();

    /// @param operator Who may add and remove relayers; zero freezes `relayers`.
    /// @param uptoProxy The `upto` proxy; zero where there is none, as for the next two: such items fail.
    /// @param exactProxy The `exact` Permit2 proxy.
    /// @param batchSettlement The channels' contract.
    /// @param relayers The first relayers.
    constructor(
        address operator,
        address uptoProxy,
        address exactProxy,
        address batchSettlement,
        address[] memory relayers
    ) {
        OPERATOR = operator;
        UPTO_PROXY = uptoProxy;
        EXACT_PROXY = exactProxy;
        BATCH_SETTLEMENT = batchSettlement;
        for (uint256 i = 0; i < relayers.length; ++i) {
            _setRelayer(relayers[i], true);
        }
    }

    /// @notice Tries each item in turn; one that fails is reported and leaves the others be.
    /// @dev The gas is checked for all items at once, so that `eth_estimateGas` finds a limit at which none can starve the rest.
    /// @param batch The caller's own word for this batch, which the events repeat.
    function settle(bytes32 batch, Item[] calldata items) external {
        require(isRelayer[msg.sender], NotRelayer());
        uint256 kept = 0;
        for (uint256 i = 0; i < items.length; ++i) {
            kept += _gasOf(items[i]);
        }
        uint256 failed = 0;
        for (uint256 i = 0; i < items.length; ++i) {
            Item calldata item = items[i];
            bytes calldata data = item.data;
            uint256 gasLimit = item.gasLimit;
            // EIP-150 gives a call at most 63/64 of what is left. Given less than its limit, it would fail for our lack of gas.
            uint256 needed = kept + kept / 63 + 1;
            require(gasleft() >= needed, NotEnoughGas(needed));
            kept -= gasLimit + ITEM_GAS + data.length;
            (bool done, bytes memory reason) = _try(_target(item.token, data), gasLimit, data);
            if (done) continue;
            ++failed;
            emit Failed(batch, i, reason);
        }
        emit Settled(batch, items.length, failed);
    }

    /// @notice The operator lets an account settle, or no longer.
    function setRelayer(address account, bool allowed) external {
        require(msg.sender == OPERATOR, NotOperator());
        _setRelayer(account, allowed);
    }

    /// @dev Whom a call goes to, and every call this contract can make; zero for any other.
    function _target(address token, bytes calldata data) private view returns (address target) {
        if (data.length < 4) return address(0);
        bytes4 selector = bytes4(data); // forge-lint: disable-line(unsafe-typecast)
        // Which argument says who is paid. Structs of fixed size lie open in the call, a word for each member.
        uint256 payee;
        if (selector == IUptoPermit2Proxy.settle.selector) {
            (target, payee) = (UPTO_PROXY, 6);
        } else if (selector == IUptoPermit2Proxy.settleWithPermit.selector) {
            (target, payee) = (UPTO_PROXY, 11);
        } else if (selector == IExactPermit2Proxy.settle.selector) {
            (target, payee) = (EXACT_PROXY, 5);
        } else if (selector == IExactPermit2Proxy.settleWithPermit.selector) {
            (target, payee) = (EXACT_PROXY, 10);
        } else if (selector == TRANSFER_WITH_AUTHORIZATION || selector == TRANSFER_WITH_AUTHORIZATION_WHOLE) {
            (target, payee) = (token, 1);
        } else if (selector == TRANSFER_FROM) {
            (target, payee) = (token, 1);
        } else if (selector == IBatchSettlement.settle.selector) {
            (target, payee) = (BATCH_SETTLEMENT, 0);
        } else if (selector == IBatchSettlement.refundWithSignature.selector) {
            (target, payee) = (BATCH_SETTLEMENT, 0); // A channel begins with its payer.
        } else if (selector == IBatchSettlement.claimWithSignature.selector) {
            return BATCH_SETTLEMENT; // A claim pays nobody yet.
        }
        if (data.length < 4 + 32 * (payee + 1)) return address(0);
        if (_address(data, payee) == address(this)) return address(0);
        if (selector == TRANSFER_FROM && _address(data, 0) != msg.sender) return address(0);
    }

    /// @dev An argument's lower 20 bytes: the upper ones are left to the target, which may ignore them. It must be there:
    /// what lies behind the call belongs to another item.
    function _address(bytes calldata data, uint256 argument) private pure returns (address account) {
        uint256 word;
        assembly ("memory-safe") {
            word := calldataload(add(add(data.offset, 4), mul(argument, 0x20)))
        }
        return address(uint160(word)); // forge-lint: disable-line(unsafe-typecast)
    }

    function _try(address target, uint256 gasLimit, bytes calldata data) private returns (bool, bytes memory) {
        if (target == address(0)) return (false, abi.encodeWithSelector(NotPermitted.selector));
        (bool done, uint256 size, uint256 word) = _call(target, gasLimit, data);
        if (!done) return (false, _revertData());
        // A call to an address without code succeeds too, and says nothing.
        if (size == 0 && target.code.length == 0) return (false, abi.encodeWithSelector(NoCode.selector, target));
        if (size != 0 && (size < 32 || word != 1)) return (false, abi.encodeWithSelector(ReturnedFalse.selector));
        return (true, "");
    }

    /// @dev Written out because Solidity would copy all that comes back, at our cost. The call is laid into free memory without
    /// claiming it, so that the next item uses the same.
    function _call(address target, uint256 gasLimit, bytes calldata data)
        private
        returns (bool done, uint256 size, uint256 word)
    {
        assembly ("memory-safe") {
            let call_ := mload(0x40)
            calldatacopy(call_, data.offset, data.length)
            done := call(gasLimit, target, 0, call_, data.length, 0, 0x20)
            size := returndatasize()
            word := mload(0)
        }
    }

    /// @dev The beginning of what the last call reverted with.
    function _revertData() private pure returns (bytes memory reason) {
        uint256 most = REASON_BYTES;
        assembly ("memory-safe") {
            let size := returndatasize()
            if gt(size, most) { size := most }
            reason := mload(0x40)
            mstore(0x40, add(reason, add(0x20, most)))
            mstore(reason, size)
            returndatacopy(add(reason, 0x20), 0, size)
        }
    }

    /// @dev The last term covers copying the call.
    function _gasOf(Item calldata item) private pure returns (uint256) {
        return item.gasLimit + ITEM_GAS + item.data.length;
    }

    function _setRelayer(address account, bool allowed) private {
        isRelayer[account] = allowed;
        emit RelayerSet(account, allowed);
    }
}
