// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.28;

/// @notice The ERC-20 part of the USDC stand-in, with USDC's own revert reasons and an open `mint`.
/// @dev No constructor and no immutable: the runtime code works wherever it is copied.
abstract contract StandInErc20 {
    /// @notice Tokens moved; a zero `from` is a mint.
    event Transfer(address indexed from, address indexed to, uint256 value);
    /// @notice `spender` may now take `value` of `owner`'s tokens.
    event Approval(address indexed owner, address indexed spender, uint256 value);
    /// @notice Tokens came into being.
    event Mint(address indexed minter, address indexed to, uint256 amount);

    /// @notice ERC-20: all tokens there are, in atomic units.
    uint256 public totalSupply;
    /// @notice ERC-20: an account's tokens, in atomic units.
    mapping(address account => uint256 value) public balanceOf;
    /// @notice ERC-20: what a spender may still take of an owner's tokens.
    mapping(address owner => mapping(address spender => uint256 value)) public allowance;

    /// @notice Makes tokens out of nothing, for anyone: this is why the stand-in must never leave a local chain.
    function mint(address to, uint256 amount) external returns (bool) {
        require(to != address(0), "FiatToken: mint to the zero address");
        totalSupply += amount;
        balanceOf[to] += amount;
        emit Mint(msg.sender, to, amount);
        emit Transfer(address(0), to, amount);
        return true;
    }

    /// @notice ERC-20: moves the caller's tokens.
    function transfer(address to, uint256 value) external returns (bool) {
        _transfer(msg.sender, to, value);
        return true;
    }

    /// @notice ERC-20: moves `from`'s tokens within the caller's allowance, which always shrinks, as USDC's does.
    function transferFrom(address from, address to, uint256 value) external virtual returns (bool) {
        uint256 allowed = allowance[from][msg.sender];
        require(value <= allowed, "ERC20: transfer amount exceeds allowance");
        _transfer(from, to, value);
        allowance[from][msg.sender] = allowed - value;
        return true;
    }

    /// @notice ERC-20: sets what `spender` may take of the caller's tokens.
    function approve(address spender, uint256 value) external returns (bool) {
        _approve(msg.sender, spender, value);
        return true;
    }

    /// @notice The token's name, which is also its EIP-712 domain's.
    function name() public pure returns (string memory) {
        return "USDC";
    }

    /// @notice The token's symbol.
    function symbol() external pure returns (string memory) {
        return "USDC";
    }

    /// @notice The token's decimals: one USDC is 10^6 atomic units.
    function decimals() external pure returns (uint8) {
        return 6;
    }

    function _transfer(address from, address to, uint256 value) internal virtual {
        require(from != address(0), "ERC20: transfer from the zero address");
        require(to != address(0), "ERC20: transfer to the zero address");
        uint256 balance = balanceOf[from];
        require(value <= balance, "ERC20: transfer amount exceeds balance");
        balanceOf[from] = balance - value;
        balanceOf[to] += value;
        emit Transfer(from, to, value);
    }

    function _approve(address owner, address spender, uint256 value) internal {
        require(owner != address(0), "ERC20: approve from the zero address");
        require(spender != address(0), "ERC20: approve to the zero address");
        allowance[owner][spender] = value;
        emit Approval(owner, spender, value);
    }
}
