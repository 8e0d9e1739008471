//! What must hold before payments are taken: the contracts are there and say what the configuration
//! says, and nothing is open that needs a key which is not here.

use super::Failure;
use crate::chain::bindings::ISettler;
use crate::chain::{ChainError, Rpc};
use crate::config::{Config, ContractsConfig, RailKind};
use crate::ledger::{Ledger, OpenItems};
use crate::payment::{Keys, stranded};
use crate::protocol::channel::Method;
use alloy::primitives::Address;
use alloy::sol_types::SolCall;
use std::collections::BTreeSet;

/// How many stranded items a refusal to start names.
const NAMED_MAX: usize = 20;

/// What this gateway will call must be there, or payments would be taken that cannot be settled.
pub(super) async fn contracts(config: &Config, rpc: &Rpc, relayer: Address) -> Result<(), Failure> {
    let called = called(config);
    let missing = rpc.missing_code(&called).await.map_err(unknown)?;
    if !missing.is_empty() {
        let lines: Vec<String> = missing
            .iter()
            .map(|(name, address)| format!("  {name}: {address}"))
            .collect();
        return Err(Failure::other(format!(
            "no contract stands at these addresses of chain {}; correct them, or leave the rail out of payment.rails:\n{}",
            config.chain.chain_id,
            lines.join("\n"),
        )));
    }
    match config.settler.address {
        Some(settler) => self::settler(config, rpc, settler, relayer).await,
        None => Ok(()),
    }
}

fn called(config: &Config) -> Vec<(&'static str, Address)> {
    let contracts = &config.contracts;
    let mut called = vec![("the asset (asset.address)", config.asset.address)];
    for rail in &config.payment.rails {
        match rail {
            RailKind::Exact | RailKind::TempoCharge => {}
            RailKind::TempoSession => called.extend(
                config
                    .tempo
                    .escrow
                    .map(|escrow| ("the contract of sessions (tempo.escrow)", escrow)),
            ),
            RailKind::ExactPermit2 => called.extend([
                ("Permit2 (contracts.permit2)", contracts.permit2),
                (
                    "the proxy of exact (contracts.exact_proxy)",
                    contracts.exact_proxy,
                ),
            ]),
            RailKind::Upto => called.extend([
                ("Permit2 (contracts.permit2)", contracts.permit2),
                (
                    "the proxy of upto (contracts.upto_proxy)",
                    contracts.upto_proxy,
                ),
            ]),
            RailKind::Channel => called.extend([
                (
                    "the contract of channels (contracts.batch_settlement)",
                    contracts.batch_settlement,
                ),
                match config.channels.deposit_by {
                    Method::Eip3009 => (
                        "the collector of EIP-3009 deposits (contracts.erc3009_collector)",
                        contracts.erc3009_collector,
                    ),
                    Method::Permit2 => (
                        "the collector of Permit2 deposits (contracts.permit2_collector)",
                        contracts.permit2_collector,
                    ),
                },
            ]),
        }
    }
    let settler = config.settler.address;
    called.extend(settler.map(|address| ("the settler (settler.address)", address)));
    called
}

/// The settler takes calls from this relayer, and passes them on to the contracts that are configured:
/// its own addresses are fixed, and a call for another proxy's payment would fail.
async fn settler(
    config: &Config,
    rpc: &Rpc,
    settler: Address,
    relayer: Address,
) -> Result<(), Failure> {
    if !takes_calls(rpc, settler, relayer).await? {
        return Err(Failure::other(format!(
            "the settler {settler} does not take calls from the relayer {relayer}; its operator must add it (setRelayer)"
        )));
    }
    let ContractsConfig {
        upto_proxy,
        exact_proxy,
        batch_settlement,
        ..
    } = config.contracts;
    let offered = |rail| config.payment.rails.contains(&rail);
    let mut differ = Vec::new();
    let upto = address_of(rpc, settler, ISettler::UPTO_PROXYCall {}).await?;
    if offered(RailKind::Upto) && upto != Some(upto_proxy) {
        differ.push(("contracts.upto_proxy", upto_proxy, "UPTO_PROXY", upto));
    }
    let exact = address_of(rpc, settler, ISettler::EXACT_PROXYCall {}).await?;
    if offered(RailKind::ExactPermit2) && exact != Some(exact_proxy) {
        differ.push(("contracts.exact_proxy", exact_proxy, "EXACT_PROXY", exact));
    }
    let batch = address_of(rpc, settler, ISettler::BATCH_SETTLEMENTCall {}).await?;
    // A settler may know none: channels are claimed without it.
    let another = batch.is_none_or(|known| known != batch_settlement && !known.is_zero());
    if offered(RailKind::Channel) && another {
        differ.push((
            "contracts.batch_settlement",
            batch_settlement,
            "BATCH_SETTLEMENT",
            batch,
        ));
    }
    if differ.is_empty() {
        return Ok(());
    }
    let line = |(key, configured, name, known): &(&str, Address, &str, Option<Address>)| {
        let known = known.map_or("unreadable".to_owned(), |known| known.to_string());
        format!("  {key} is {configured}, and the settler's {name} is {known}")
    };
    let lines: Vec<String> = differ.iter().map(line).collect();
    Err(Failure::other(format!(
        "the settler {settler} was made for other contracts; correct the addresses, or deploy a settler for these:\n{}",
        lines.join("\n"),
    )))
}

/// Those of these accounts that are settlers and take calls from the relayer.
pub(super) async fn settlers(
    rpc: &Rpc,
    quoted: BTreeSet<Address>,
    relayer: Address,
) -> Result<BTreeSet<Address>, Failure> {
    let mut settlers = BTreeSet::new();
    for account in quoted {
        if takes_calls(rpc, account, relayer).await? {
            settlers.insert(account);
        }
    }
    Ok(settlers)
}

/// Nothing may be open that needs another key than those here, but what needs one that is gone.
pub(super) async fn keys(
    config: &Config,
    ledger: &Ledger,
    open: &OpenItems,
    keys: &Keys,
) -> Result<(), Failure> {
    let channels = ledger.channels().await.map_err(Failure::other)?;
    let mut waiting = stranded(open, &channels, keys);
    waiting.retain(|stranded| !config.payment.relayers_gone.contains(&stranded.needs));
    if waiting.is_empty() {
        return Ok(());
    }
    let mut lines: Vec<String> = waiting
        .iter()
        .take(NAMED_MAX)
        .map(|stranded| format!("  {} needs {}", stranded.id, stranded.needs))
        .collect();
    if waiting.len() > NAMED_MAX {
        lines.push(format!("  and {} more", waiting.len() - NAMED_MAX));
    }
    Err(Failure::other(format!(
        "{} not settled yet, and only accounts can settle it that this gateway has no key of:\n{}\nStart once more with the old key (payment.relayer_key, payment.payout_key or channels.authorizer_key; \
         an old settler must still take calls from the relayer), and change it when nothing is open. If that key is gone for good, name its \
         account in payment.relayers_gone: then what needs it is given up.",
        match waiting.len() {
            1 => "this is".to_owned(),
            n => format!("these {n} are"),
        },
        lines.join("\n"),
    )))
}

async fn takes_calls(rpc: &Rpc, settler: Address, relayer: Address) -> Result<bool, Failure> {
    let ask = ISettler::isRelayerCall { account: relayer };
    Ok(asked(rpc, settler, &ask).await? == Some(true))
}

async fn address_of(
    rpc: &Rpc,
    settler: Address,
    ask: impl SolCall<Return = Address>,
) -> Result<Option<Address>, Failure> {
    asked(rpc, settler, &ask).await
}

/// What a contract answers; `None` when it does not know the question.
async fn asked<C: SolCall>(
    rpc: &Rpc,
    contract: Address,
    ask: &C,
) -> Result<Option<C::Return>, Failure> {
    match rpc.call(contract, &ask.abi_encode().into()).await {
        Ok(answer) => Ok(C::abi_decode_returns(&answer).ok()),
        Err(ChainError::Reverted(_)) => Ok(None),
        Err(error) => Err(unknown(error)),
    }
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "it stands where errors are mapped"
)]
fn unknown(error: ChainError) -> Failure {
    Failure::other(format!(
        "the chain cannot be asked for its contracts: {error}"
    ))
}
