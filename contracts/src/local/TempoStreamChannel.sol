// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.28;

import {ITempoStreamChannel} from "../interfaces/ITempoStreamChannel.sol";

/// @notice Stands in for the escrow of MPP's `tempo/session`, first version, on a development chain; on a public chain
/// use the one there.
/// @dev Same calls, events, errors and order of checks. No constructor and no immutable: a copy of the code works
/// wherever it stands. For TIP-20 tokens alone, which call nobody back and take no fee.
contract TempoStreamChannel is ITempoStreamChannel {
    bytes32 public constant VOUCHER_TYPEHASH = keccak256("Voucher(bytes32 channelId,uint128 cumulativeAmount)");
    uint64 public constant CLOSE_GRACE_PERIOD = 15 minutes;
    bytes32 private constant DOMAIN_TYPEHASH =
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
    string private constant NAME = "Tempo Stream Channel";
    string private constant VERSION = "1";

    /// @dev How the address of each TIP-20 token begins.
    bytes12 private constant TIP20 = 0x20c000000000000000000000;

    mapping(bytes32 channelId => Channel) public channels;

    function open(address payee, address token, uint128 deposit, bytes32 salt, address authorizedSigner)
        external
        returns (bytes32 channelId)
    {
        if (payee == address(0)) revert InvalidPayee();
        if (bytes12(bytes20(token)) != TIP20 || token.code.length == 0) revert InvalidToken();
        if (deposit == 0) revert ZeroDeposit();
        channelId = computeChannelId(msg.sender, payee, token, salt, authorizedSigner);
        Channel storage channel = channels[channelId];
        // One that ended is not opened anew: its vouchers must never meet another deposit.
        if (channel.payer != address(0) || channel.finalized) revert ChannelAlreadyExists();
        channel.payer = msg.sender;
        channel.payee = payee;
        channel.token = token;
        channel.authorizedSigner = authorizedSigner;
        channel.deposit = deposit;
        _take(token, deposit);
        emit ChannelOpened(channelId, msg.sender, payee, token, authorizedSigner, salt, deposit);
    }

    function settle(bytes32 channelId, uint128 cumulativeAmount, bytes calldata signature) external {
        Channel storage channel = _live(channelId);
        if (msg.sender != channel.payee) revert NotPayee();
        if (cumulativeAmount > channel.deposit) revert AmountExceedsDeposit();
        if (cumulativeAmount <= channel.settled) revert AmountNotIncreasing();
        _requireVoucher(channel, channelId, cumulativeAmount, signature);

        uint128 delta = cumulativeAmount - channel.settled;
        channel.settled = cumulativeAmount;
        _give(channel.token, channel.payee, delta);
        emit Settled(channelId, channel.payer, channel.payee, cumulativeAmount, delta, cumulativeAmount);
    }

    function topUp(bytes32 channelId, uint256 additionalDeposit) external {
        Channel storage channel = _live(channelId);
        if (msg.sender != channel.payer) revert NotPayer();
        if (additionalDeposit == 0) revert ZeroDeposit();
        if (additionalDeposit > type(uint128).max - channel.deposit) revert DepositOverflow();
        // It fits: it was compared with the room that is left.
        // forge-lint: disable-next-line(unsafe-typecast)
        channel.deposit += uint128(additionalDeposit);
        _take(channel.token, additionalDeposit);
        if (channel.closeRequestedAt != 0) {
            channel.closeRequestedAt = 0;
            emit CloseRequestCancelled(channelId, channel.payer, channel.payee);
        }
        emit TopUp(channelId, channel.payer, channel.payee, additionalDeposit, channel.deposit);
    }

    function close(bytes32 channelId, uint128 cumulativeAmount, bytes calldata signature) external {
        Channel memory channel = _live(channelId);
        if (msg.sender != channel.payee) revert NotPayee();
        uint128 paid = channel.settled;
        // Up to what is settled there is nothing to prove: the payee may end the channel and leave the payer the rest.
        if (cumulativeAmount > paid) {
            if (cumulativeAmount > channel.deposit) revert AmountExceedsDeposit();
            _requireVoucher(channel, channelId, cumulativeAmount, signature);
            paid = cumulativeAmount;
        }
        _end(channelId);
        if (paid > channel.settled) _give(channel.token, channel.payee, paid - channel.settled);
        uint128 refund = channel.deposit - paid;
        if (refund > 0) _give(channel.token, channel.payer, refund);
        emit ChannelClosed(channelId, channel.payer, channel.payee, paid, refund);
    }

    function requestClose(bytes32 channelId) external {
        Channel storage channel = _live(channelId);
        if (msg.sender != channel.payer) revert NotPayer();
        // Asking again does not start the payee's time anew.
        if (channel.closeRequestedAt != 0) return;
        channel.closeRequestedAt = uint64(block.timestamp);
        emit CloseRequested(channelId, channel.payer, channel.payee, block.timestamp + CLOSE_GRACE_PERIOD);
    }

    function withdraw(bytes32 channelId) external {
        Channel memory channel = _live(channelId);
        if (msg.sender != channel.payer) revert NotPayer();
        if (channel.closeRequestedAt == 0 || block.timestamp < channel.closeRequestedAt + CLOSE_GRACE_PERIOD) {
            revert CloseNotReady();
        }
        _end(channelId);
        uint128 refund = channel.deposit - channel.settled;
        if (refund > 0) _give(channel.token, channel.payer, refund);
        emit ChannelExpired(channelId, channel.payer, channel.payee);
        emit ChannelClosed(channelId, channel.payer, channel.payee, channel.settled, refund);
    }

    function getChannel(bytes32 channelId) external view returns (Channel memory) {
        return channels[channelId];
    }

    function getChannelsBatch(bytes32[] calldata channelIds) external view returns (Channel[] memory channelStates) {
        channelStates = new Channel[](channelIds.length);
        for (uint256 i = 0; i < channelIds.length; ++i) {
            channelStates[i] = channels[channelIds[i]];
        }
    }

    function computeChannelId(address payer, address payee, address token, bytes32 salt, address authorizedSigner)
        public
        view
        returns (bytes32)
    {
        return keccak256(abi.encode(payer, payee, token, salt, authorizedSigner, address(this), block.chainid));
    }

    function getVoucherDigest(bytes32 channelId, uint128 cumulativeAmount) public view returns (bytes32) {
        bytes32 voucher = keccak256(abi.encode(VOUCHER_TYPEHASH, channelId, cumulativeAmount));
        return keccak256(abi.encodePacked(hex"1901", domainSeparator(), voucher));
    }

    /// @dev Hashed on each call, so that a copy of the code signs for the address it stands at.
    function domainSeparator() public view returns (bytes32) {
        return keccak256(
            abi.encode(DOMAIN_TYPEHASH, keccak256(bytes(NAME)), keccak256(bytes(VERSION)), block.chainid, address(this))
        );
    }

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
        )
    {
        // The lowest four bits: name, version, chain and contract are part of the domain; salt and extensions are not.
        return (hex"0f", NAME, VERSION, block.chainid, address(this), bytes32(0), new uint256[](0));
    }

    /// @dev The channel, if it is there and has not ended.
    function _live(bytes32 channelId) private view returns (Channel storage channel) {
        channel = channels[channelId];
        if (channel.finalized) revert ChannelFinalized();
        if (channel.payer == address(0)) revert ChannelNotFound();
    }

    /// @dev Of a channel that ended nothing is kept but that it did.
    function _end(bytes32 channelId) private {
        delete channels[channelId];
        channels[channelId].finalized = true;
    }

    function _requireVoucher(
        Channel memory channel,
        bytes32 channelId,
        uint128 cumulativeAmount,
        bytes calldata signature
    ) private view {
        address expected = channel.authorizedSigner == address(0) ? channel.payer : channel.authorizedSigner;
        (bytes32 r, bytes32 s, uint8 v) = _split(signature);
        address signer = ecrecover(getVoucherDigest(channelId, cumulativeAmount), v, r, s);
        if (signer == address(0) || signer != expected) revert InvalidSignature();
    }

    /// @dev 65 bytes, or the 64 of EIP-2098. Either `s` will do: a voucher says a sum, and paying it twice pays nothing more.
    function _split(bytes calldata signature) private pure returns (bytes32 r, bytes32 s, uint8 v) {
        if (signature.length == 65) return (bytes32(signature[:32]), bytes32(signature[32:64]), uint8(signature[64]));
        if (signature.length != 64) revert InvalidSignature();
        uint256 parityAndS = uint256(bytes32(signature[32:]));
        return
            (bytes32(signature[:32]), bytes32(parityAndS & (type(uint256).max >> 1)), uint8(27 + (parityAndS >> 255)));
    }

    function _take(address token, uint256 amount) private {
        if (!ITip20(token).transferFrom(msg.sender, address(this), amount)) revert TransferFailed();
    }

    function _give(address token, address to, uint256 amount) private {
        if (!ITip20(token).transfer(to, amount)) revert TransferFailed();
    }
}

/// @dev What is asked of a token.
interface ITip20 {
    function transfer(address to, uint256 amount) external returns (bool);
    function transferFrom(address from, address to, uint256 amount) external returns (bool);
}
