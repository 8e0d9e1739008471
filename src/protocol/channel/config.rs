use super::refused::Refused;
use super::typed;
use crate::money::Units;
use crate::protocol::eip712::{Separator, struct_hash};
use crate::protocol::{Network, decimal};
use alloy::primitives::aliases::U40;
use alloy::primitives::{Address, B256, U256};
use alloy::sol_types::{Eip712Domain, eip712_domain};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// The shortest withdraw delay the contract takes, in seconds.
pub const WITHDRAW_DELAY_SECONDS_MIN: u64 = 900;

/// The longest withdraw delay the contract takes, in seconds.
pub const WITHDRAW_DELAY_SECONDS_MAX: u64 = 2_592_000;

/// Where channels live: every id, voucher, claim and refund is signed for this contract alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Domain {
    network: Network,
    separator: Separator,
}

impl Domain {
    /// That of the batch-settlement contract at this address of this chain.
    pub fn new(network: Network, contract: Address) -> Self {
        let separator = Separator::of(&eip712_domain! {
            name: "x402 Batch Settlement",
            version: "1",
            chain_id: network.chain_id(),
            verifying_contract: contract,
        });
        Self { network, separator }
    }

    /// The chain.
    pub const fn network(self) -> Network {
        self.network
    }

    /// What is signed of a message whose hash is this.
    pub(super) fn digest(self, message: B256) -> B256 {
        self.separator.digest(message)
    }
}

/// What a channel is: who pays whom in which token. Nothing of it ever changes; its digest is the
/// channel's id (x402 scheme_batch_settlement_evm, `ChannelConfig`).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChannelConfig {
    /// Who deposits, and who gets back what is left.
    #[serde(serialize_with = "decimal::checksummed")]
    pub payer: Address,
    /// Whose key signs vouchers; zero when the payer is a contract that judges them (ERC-1271).
    #[serde(serialize_with = "decimal::checksummed")]
    pub payer_authorizer: Address,
    /// Who is paid.
    #[serde(serialize_with = "decimal::checksummed")]
    pub receiver: Address,
    /// Whose key signs claims and refunds.
    #[serde(serialize_with = "decimal::checksummed")]
    pub receiver_authorizer: Address,
    /// The token contract.
    #[serde(serialize_with = "decimal::checksummed")]
    pub token: Address,
    /// The seconds between announcing a withdrawal and taking it.
    pub withdraw_delay: u64,
    /// What tells apart channels that are otherwise the same.
    pub salt: B256,
}

impl ChannelConfig {
    /// The channel's id: the EIP-712 digest, bound to the chain and the contract.
    pub fn id(&self, domain: Domain) -> B256 {
        let words = [
            self.payer.into_word(),
            self.payer_authorizer.into_word(),
            self.receiver.into_word(),
            self.receiver_authorizer.into_word(),
            self.token.into_word(),
            U256::from(U40::saturating_from(self.withdraw_delay)).into(),
            self.salt,
        ];
        domain.digest(struct_hash(*typed::CHANNEL_CONFIG, words))
    }
}

/// How a deposit brings the tokens in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// The token's `receiveWithAuthorization` (EIP-3009).
    Eip3009,
    /// Permit2's `permitWitnessTransferFrom`.
    Permit2,
}

/// What a channel payment is held against: one offer, and the contracts it goes through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// Where the channels live.
    pub domain: Domain,
    /// The token contract.
    pub asset: Address,
    /// Who is paid.
    pub pay_to: Address,
    /// Whose key signs claims and refunds; never zero.
    pub receiver_authorizer: Address,
    /// The withdraw delay every channel must have, in seconds.
    pub withdraw_delay: u64,
    /// The offer's amount in the token's atomic units: the most that one call may raise a voucher by.
    pub amount: Units,
    /// The least first deposit asked for, in the token's atomic units; clients take it as a hint.
    pub min_deposit: Option<Units>,
    /// How deposits are to be made.
    pub method: Method,
    /// The `name` of the token's EIP-712 domain.
    pub token_name: String,
    /// The `version` of the token's EIP-712 domain.
    pub token_version: String,
    /// What brings in a deposit by EIP-3009.
    pub erc3009_collector: Address,
    /// What brings in a deposit by Permit2.
    pub permit2_collector: Address,
    /// The Permit2 contract.
    pub permit2: Address,
}

impl Terms {
    /// Where the channels live.
    pub const fn domain(&self) -> Domain {
        self.domain
    }

    pub(super) fn token_domain(&self) -> Eip712Domain {
        eip712_domain! {
            name: self.token_name.clone(),
            version: self.token_version.clone(),
            chain_id: self.domain.network.chain_id(),
            verifying_contract: self.asset,
        }
    }

    /// The collector that brings a deposit in.
    pub const fn collector(&self, method: Method) -> Address {
        match method {
            Method::Eip3009 => self.erc3009_collector,
            Method::Permit2 => self.permit2_collector,
        }
    }
}

/// The `extra` of a `batch-settlement` offer (x402 scheme_batch_settlement_evm,
/// `PaymentRequirements`): the same each time, since clients echo it.
///
/// `withdrawDelay` is a number (as text, clients take 900 instead) and `minDeposit` text (as a
/// number, clients ignore it).
pub fn offer_extra(terms: &Terms) -> Map<String, Value> {
    let mut extra = Map::new();
    let mut put = |key: &str, value: Value| extra.insert(key.to_owned(), value);
    put(
        "receiverAuthorizer",
        json!(terms.receiver_authorizer.to_string()),
    );
    put("withdrawDelay", json!(terms.withdraw_delay));
    put("name", json!(terms.token_name));
    put("version", json!(terms.token_version));
    if terms.method == Method::Permit2 {
        put("assetTransferMethod", json!("permit2"));
    }
    if let Some(min) = terms.min_deposit {
        put("minDeposit", json!(min));
    }
    extra
}

/// Holds a channel against the terms: the id the client claims, the parties, the token, the delay.
/// It costs two hashes.
pub fn check_config(config: &ChannelConfig, id: B256, terms: &Terms) -> Result<(), Refused> {
    if config.id(terms.domain()) != id {
        return Err(Refused::ChannelIdMismatch);
    }
    if config.receiver != terms.pay_to {
        return Err(Refused::Receiver);
    }
    if terms.receiver_authorizer.is_zero()
        || config.receiver_authorizer != terms.receiver_authorizer
    {
        return Err(Refused::ReceiverAuthorizer);
    }
    if config.token != terms.asset {
        return Err(Refused::Token);
    }
    if config.withdraw_delay != terms.withdraw_delay {
        return Err(Refused::WithdrawDelay);
    }
    if !(WITHDRAW_DELAY_SECONDS_MIN..=WITHDRAW_DELAY_SECONDS_MAX).contains(&config.withdraw_delay) {
        return Err(Refused::WithdrawDelayRange);
    }
    Ok(())
}
