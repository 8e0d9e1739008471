// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.28;

import {IPermit2} from "../src/interfaces/IPermit2.sol";
import {IExactPermit2Proxy, IUptoPermit2Proxy} from "../src/interfaces/IPermit2Proxies.sol";
import {ContractWallet} from "../src/local/ContractWallet.sol";
import {UsdcStandIn} from "../src/local/UsdcStandIn.sol";
import {Permit2Payer} from "./Permit2Payer.sol";
import {vm} from "./Vm.sol";

/// @notice Settlements by Permit2, with fixed words: their gas is compared with the committed `.gas-snapshot`.
contract GasPermit2Test is Permit2Payer {
    IExactPermit2Proxy internal exact = IExactPermit2Proxy(EXACT);
    IUptoPermit2Proxy internal upto = IUptoPermit2Proxy(UPTO);
    uint256 internal constant KEY = 0xA11CE;
    uint256 internal constant FRESH = 0xF4E54;
    address internal payer = vm.addr(KEY);
    ContractWallet internal wallet = new ContractWallet(vm.addr(KEY));
    address internal payee = address(0xBEEF);

    function setUp() public {
        installPermit2();
        vm.etch(USDC, address(new UsdcStandIn()).code);
        UsdcStandIn token = UsdcStandIn(USDC);
        token.mint(payee, 1);
        token.mint(payer, 10e6);
        token.mint(address(wallet), 10e6);
        token.mint(vm.addr(FRESH), 10e6);
        vm.prank(payer);
        token.approve(PERMIT2, type(uint256).max);
        vm.prank(address(wallet));
        token.approve(PERMIT2, type(uint256).max);
        // A payer's first nonce opens a word of the bitmap; 255 more of its payments find it open.
        vm.prank(payer);
        IPermit2(PERMIT2).invalidateUnorderedNonces(0, 1);
    }

    function byMe() private view returns (IUptoPermit2Proxy.Witness memory) {
        return IUptoPermit2Proxy.Witness(payee, address(this), 0);
    }

    function settleUpto(address owner, uint256 nonce) private {
        IPermit2.PermitTransferFrom memory p = permitOf(USDC, 1e6, nonce);
        upto.settle(p, 0.3e6, owner, byMe(), sign(KEY, uptoDigest(p, byMe())));
    }

    function test_gas_exact_settle() public {
        IPermit2.PermitTransferFrom memory p = permitOf(USDC, 1e6, 7);
        IExactPermit2Proxy.Witness memory w = IExactPermit2Proxy.Witness(payee, 0);
        exact.settle(p, payer, w, sign(KEY, exactDigest(p, w)));
    }

    function test_gas_upto_settle() public {
        settleUpto(payer, 7);
    }

    /// @dev Clients choose nonces at random, so this is the usual case.
    function test_gas_upto_settle_in_a_fresh_word_of_nonces() public {
        settleUpto(payer, 1 << 64);
    }

    function test_gas_upto_settle_of_a_wallet() public {
        settleUpto(address(wallet), 7);
    }

    function test_gas_upto_settle_with_permit() public {
        IPermit2.PermitTransferFrom memory p = permitOf(USDC, 1e6, 7);
        bytes memory signature = sign(FRESH, uptoDigest(p, byMe()));
        upto.settleWithPermit(sponsored(FRESH, 1e6), p, 0.3e6, vm.addr(FRESH), byMe(), signature);
    }
}
