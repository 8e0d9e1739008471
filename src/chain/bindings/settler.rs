//! Groat's own settler (`contracts/src/Settler.sol`).

use alloy::sol;

sol! {
    /// Settles many payments in one transaction; one that fails leaves the others be.
    #[derive(Debug, PartialEq, Eq)]
    interface ISettler {
        /// One call to carry out.
        struct Item {
            /// The token, for EIP-3009 transfers and credits; not read for the others.
            address token;
            /// The most gas the call may use.
            uint256 gasLimit;
            /// The call as its target takes it.
            bytes data;
        }

        /// The operator let an account settle, or no longer.
        event RelayerSet(address indexed account, bool allowed);
        /// A batch was worked through: `items` were tried, `failed` of them in vain.
        event Settled(bytes32 indexed batch, uint256 items, uint256 failed);
        /// The item at `index`, from 0, was not carried out.
        event Failed(bytes32 indexed batch, uint256 index, bytes reason);

        /// The caller is not the operator.
        error NotOperator();
        /// The caller is not a relayer.
        error NotRelayer();
        /// There is too little gas to give each item its limit.
        error NotEnoughGas(uint256 needed);
        /// Not a call the settler makes, or one that pays it, or a credit out of another's pocket.
        error NotPermitted();
        /// Nothing stands at the item's target.
        error NoCode(address target);
        /// The token answered, and not with `true`.
        error ReturnedFalse();

        /// Tries each item in turn; `batch` is the caller's own word, which the events repeat.
        function settle(bytes32 batch, Item[] items) external;
        /// The operator lets an account settle, or no longer.
        function setRelayer(address account, bool allowed) external;
        /// Whether an account may settle.
        function isRelayer(address account) external view returns (bool);
        /// Who says which relayers may call.
        function OPERATOR() external view returns (address);
        /// The proxy of the `upto` scheme.
        function UPTO_PROXY() external view returns (address);
        /// The proxy of the `exact` scheme by Permit2.
        function EXACT_PROXY() external view returns (address);
        /// The `batch-settlement` contract.
        function BATCH_SETTLEMENT() external view returns (address);
    }
}
