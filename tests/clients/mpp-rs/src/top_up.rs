//! A channel's top-up. The client tops up channels of the newer protocol alone, so that this credential
//! is made of the crate's own types.

use crate::{Call, Failure, receipt};
use alloy::consensus::BlockHeader;
use alloy::eips::{BlockId, Encodable2718};
use alloy::primitives::{Address, Bytes, TxKind, U256};
use alloy::providers::{Provider, ProviderBuilder};
use alloy::signers::SignerSync;
use alloy::sol_types::SolCall;
use mpp::client::channel_ops::ChannelEntry;
use mpp::protocol::methods::tempo::SessionCredentialPayload;
use mpp::{PaymentCredential, format_authorization, parse_www_authenticate_all};
use serde_json::{Value, json};
use std::num::NonZeroU64;
use tempo_alloy::TempoNetwork;
use tempo_alloy::contracts::precompiles::tip20::ITIP20;
use tempo_alloy::primitives::TempoTransaction;
use tempo_alloy::primitives::transaction::Call as TransactionCall;

/// How long it can be mined, as the client's own transactions.
const VALID_SECONDS: u64 = 25;

alloy::sol! {
    function topUp(bytes32 channelId, uint256 additionalDeposit) external;
}

/// Signs a top-up of this many units and hands it to the gateway; what that answers.
pub(crate) async fn top_up(
    call: &Call,
    escrow: Address,
    channel: &ChannelEntry,
    units: u128,
) -> Result<Value, Failure> {
    let unpaid = call
        .request()
        .header("Accept-Payment", "tempo/session")
        .send()
        .await?;
    let offers = unpaid.headers().get_all("www-authenticate");
    let challenge =
        parse_www_authenticate_all(offers.iter().filter_map(|value| value.to_str().ok()))
            .into_iter()
            .flatten()
            .find(|offer| offer.method.as_str() == "tempo" && offer.intent.as_str() == "session")
            .ok_or("the gateway offers no session")?;
    let request: Value = challenge.request.decode()?;
    let currency: Address = request["currency"].as_str().unwrap_or_default().parse()?;

    let payer = call.key.address();
    let chain = ProviderBuilder::new_with_network::<TempoNetwork>().connect_http(call.rpc.parse()?);
    let gas_price = chain.get_gas_price().await?;
    let newest = chain.get_block(BlockId::latest()).await?;
    let now = newest.ok_or("the node knows no block")?.header.timestamp();
    let to = |to: Address, input: Vec<u8>| TransactionCall {
        to: TxKind::Call(to),
        value: U256::ZERO,
        input: Bytes::from(input),
    };
    let approve = ITIP20::approveCall::new((escrow, U256::from(units))).abi_encode();
    let add = topUpCall::new((channel.channel_id, U256::from(units))).abi_encode();
    let transaction = TempoTransaction {
        chain_id: channel.chain_id,
        nonce_key: U256::MAX,
        valid_before: NonZeroU64::new(now + VALID_SECONDS),
        gas_limit: 2_000_000,
        max_fee_per_gas: gas_price,
        max_priority_fee_per_gas: gas_price,
        fee_token: Some(currency),
        calls: vec![to(currency, approve), to(escrow, add)],
        ..TempoTransaction::default()
    };
    let signature = call.key.sign_hash_sync(&transaction.signature_hash())?;
    let transaction = transaction.into_signed(signature.into()).encoded_2718();
    let credential = PaymentCredential::with_source(
        challenge.to_echo(),
        PaymentCredential::evm_did(channel.chain_id, &payer.to_string()),
        SessionCredentialPayload::TopUp {
            payload_type: "transaction".to_owned(),
            channel_id: channel.channel_id.to_string(),
            transaction: alloy::hex::encode_prefixed(transaction),
            descriptor: None,
            settlement_route: None,
            additional_deposit: units.to_string(),
        },
    );
    let answer = call
        .client
        .post(&call.url)
        .header("authorization", format_authorization(&credential)?)
        .send()
        .await?;
    let status = answer.status();
    if !status.is_success() {
        return Err(format!("top-up: HTTP {status}: {}", answer.text().await?).into());
    }
    Ok(json!({ "status": status.as_u16(), "receipt": receipt(answer.headers())? }))
}
