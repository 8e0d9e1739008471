//! What the rails stand on: the chain starts, funds, and its escrow answers as clients compute.

use crate::chain::bench::soon;
use alloy::primitives::{Address, B256, U256, keccak256};
use alloy::signers::SignerSync;
use alloy::sol_types::{SolCall, SolEvent, SolStruct, SolValue, eip712_domain};
use groat::chain::dev::{PATH_USD, PAYER_FUNDS, TEMPO_CHAIN_ID, TEMPO_ESCROW, TempoChain};
use groat::chain::{Receipt, bindings::IErc20};

alloy::sol! {
    struct Voucher {
        bytes32 channelId;
        uint128 cumulativeAmount;
    }

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

    event ChannelClosed(bytes32 indexed channelId, address indexed payer, address indexed payee, uint256 settledToPayee, uint256 refundedToPayer);

    function open(address payee, address token, uint128 deposit, bytes32 salt, address authorizedSigner) external returns (bytes32);
    function settle(bytes32 channelId, uint128 cumulativeAmount, bytes signature) external;
    function topUp(bytes32 channelId, uint256 additionalDeposit) external;
    function close(bytes32 channelId, uint128 cumulativeAmount, bytes signature) external;
    function getChannel(bytes32 channelId) external view returns (Channel);
    function domainSeparator() external view returns (bytes32);
}

async fn start() -> TempoChain {
    soon(TempoChain::start()).await.expect("a local Tempo")
}

async fn read<C: SolCall>(chain: &TempoChain, call: C) -> C::Return {
    let calldata = call.abi_encode().into();
    let answer = chain.rpc.call(chain.escrow, &calldata).await;
    let answer = answer.expect("an answer");
    C::abi_decode_returns(&answer).expect("what the interface says")
}

async fn channel(chain: &TempoChain, id: B256) -> Channel {
    read(chain, getChannelCall { channelId: id }).await
}

/// Makes a call of the escrow, or of the token.
async fn act<C: SolCall>(chain: &TempoChain, from: Address, to: Address, call: C) -> Receipt {
    let sent = chain.send_as(from, to, call.abi_encode().into());
    soon(sent).await.expect("it succeeds")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tempo_starts_with_everyone_funded() {
    let chain = start().await;
    assert_eq!(chain.chain_id, TEMPO_CHAIN_ID);
    assert_eq!(chain.rpc.chain_id(), TEMPO_CHAIN_ID);
    assert_eq!((chain.asset, chain.escrow), (PATH_USD, TEMPO_ESCROW));
    let funds = U256::from(PAYER_FUNDS);
    for key in [&chain.payer_key, &chain.pay_to_key, &chain.relayer_key] {
        let balance = chain.balance_of(key.address()).await.expect("a balance");
        assert_eq!(balance, funds);
    }
    let stranger = Address::repeat_byte(0x77);
    let gifts = [3_u64, 4].map(|units| chain.give(stranger, U256::from(units)));
    for given in soon(futures::future::join_all(gifts)).await {
        given.expect("mined");
    }
    let balance = chain.balance_of(stranger).await.expect("a balance");
    assert_eq!(balance, U256::from(7));
    chain.stop().await.expect("anvil ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tempo_takes_its_gas_in_its_token() {
    let chain = start().await;
    let payer = chain.payer_key.address();
    let spender = TEMPO_ESCROW;
    let value = U256::from(1);
    act(
        &chain,
        payer,
        chain.asset,
        IErc20::approveCall { spender, value },
    )
    .await;
    let left = chain.balance_of(payer).await.expect("a balance");
    assert!(left < U256::from(PAYER_FUNDS), "{left}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_escrow_pays_by_voucher_what_clients_sign() {
    let chain = start().await;
    let (payer, payee) = (chain.payer_key.address(), chain.pay_to_key.address());
    let domain = eip712_domain! {
        name: "Tempo Stream Channel",
        version: "1",
        chain_id: chain.chain_id,
        verifying_contract: chain.escrow,
    };
    assert_eq!(
        read(&chain, domainSeparatorCall {}).await,
        domain.separator()
    );

    let spender = chain.escrow;
    let value = U256::from(900);
    let approve = IErc20::approveCall { spender, value };
    act(&chain, payer, chain.asset, approve).await;
    let salt = B256::repeat_byte(5);
    let (token, signer) = (chain.asset, payer);
    act(
        &chain,
        payer,
        chain.escrow,
        openCall {
            payee,
            token,
            deposit: 600,
            salt,
            authorizedSigner: signer,
        },
    )
    .await;
    // As the published client derives it.
    let words = (
        payer,
        payee,
        token,
        salt,
        signer,
        chain.escrow,
        U256::from(chain.chain_id),
    );
    let channel_id = keccak256(words.abi_encode());
    let sign = |amount: u128| {
        let voucher = Voucher {
            channelId: channel_id,
            cumulativeAmount: amount,
        };
        let digest = voucher.eip712_signing_hash(&domain);
        let signature = chain.payer_key.sign_hash_sync(&digest);
        signature.expect("a signature").as_bytes().to_vec().into()
    };
    act(
        &chain,
        payer,
        chain.escrow,
        topUpCall {
            channelId: channel_id,
            additionalDeposit: U256::from(300),
        },
    )
    .await;
    let settle = settleCall {
        channelId: channel_id,
        cumulativeAmount: 250,
        signature: sign(250),
    };
    act(&chain, payee, chain.escrow, settle).await;
    let open = channel(&chain, channel_id).await;
    assert_eq!((open.payer, open.payee), (payer, payee));
    assert_eq!((open.deposit, open.settled), (900, 250));

    let close = closeCall {
        channelId: channel_id,
        cumulativeAmount: 700,
        signature: sign(700),
    };
    let receipt = act(&chain, payee, chain.escrow, close).await;
    let logs = receipt.logs().iter();
    let closed: Vec<ChannelClosed> = logs
        .filter(|log| log.address() == chain.escrow)
        .filter_map(|log| ChannelClosed::decode_log_data(log.data()).ok())
        .collect();
    let [closed] = closed.as_slice() else {
        panic!("{} closes", closed.len());
    };
    assert_eq!(closed.settledToPayee, U256::from(700));
    assert_eq!(closed.refundedToPayer, U256::from(200));
    let held = chain.balance_of(chain.escrow).await.expect("a balance");
    assert_eq!(held, U256::ZERO);
    let ended = channel(&chain, channel_id).await;
    assert!(ended.finalized);
    assert_eq!(ended.payer, Address::ZERO, "nothing else is kept of it");
}
