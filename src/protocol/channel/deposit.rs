use super::config::{ChannelConfig, Domain, Method, Terms};
use super::refused::Refused;
use super::typed;
use super::voucher::{bytes, prove};
use crate::money::Units;
use crate::protocol::eip3009::{Proof, VALIDITY_LEFT_SECONDS, VALIDITY_MAX_SECONDS};
use crate::protocol::permit2::{TokenPermissions, eip2612};
use crate::protocol::signature::Key;
use alloy::primitives::{Address, B256, Bytes, U256, keccak256};
use alloy::sol_types::{Eip712Domain, SolStruct, SolValue, eip712_domain};

/// Tokens brought into a channel: the first time, or as a top-up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deposit {
    /// How much, in the token's atomic units (uint128).
    pub amount: Units,
    /// What the payer signed so that a collector may take it.
    pub authorization: Authorization,
}

/// What the payer signed for a deposit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Authorization {
    /// The token's `ReceiveWithAuthorization`.
    Erc3009(Erc3009),
    /// Permit2's witness transfer.
    Permit2(Permit2),
}

/// A `ReceiveWithAuthorization` (EIP-3009): from the payer to the collector, the deposit's amount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Erc3009 {
    /// Unix seconds after which it is valid.
    pub valid_after: U256,
    /// Unix seconds before which it is valid.
    pub valid_before: U256,
    /// The payer's random number; the nonce is its hash with the channel's id.
    pub salt: U256,
    /// The signature's bytes, of any length, as contracts take it.
    pub signature: Vec<u8>,
}

/// A `PermitWitnessTransferFrom` (Permit2) whose witness is the channel's id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permit2 {
    /// The payer, as the wire repeats it.
    pub from: Address,
    /// The token, as the wire repeats it.
    pub token: Address,
    /// The amount, as the wire repeats it.
    pub amount: U256,
    /// Who may move the tokens: the Permit2 collector.
    pub spender: Address,
    /// The payer's random number that makes it good for one transfer.
    pub nonce: U256,
    /// Unix seconds until which it is valid.
    pub deadline: U256,
    /// The channel, as the wire repeats it.
    pub channel_id: B256,
    /// The signature's bytes, of any length, as contracts take it.
    pub signature: Vec<u8>,
}

impl Deposit {
    /// How the tokens are brought in.
    pub const fn method(&self) -> Method {
        match self.authorization {
            Authorization::Erc3009(_) => Method::Eip3009,
            Authorization::Permit2(_) => Method::Permit2,
        }
    }

    /// The `collectorData` argument of the contract's `deposit`. With a permit, the Permit2
    /// collector first lets Permit2 move the tokens, so that the payer need not have approved it.
    pub fn collector_data(&self, permit: Option<&eip2612::Signed>) -> Vec<u8> {
        match &self.authorization {
            Authorization::Erc3009(a) => {
                let signature = Bytes::copy_from_slice(&a.signature);
                (a.valid_after, a.valid_before, a.salt, signature).abi_encode_params()
            }
            Authorization::Permit2(a) => {
                let signature = Bytes::copy_from_slice(&a.signature);
                let permit = Bytes::from(permit.map(permit_data).unwrap_or_default());
                (a.nonce, a.deadline, signature, permit).abi_encode_params()
            }
        }
    }
}

/// The nonce of a deposit by EIP-3009: `keccak256(abi.encode(channelId, salt))`, so that the
/// authorization is good for this channel only.
pub fn erc3009_nonce(channel_id: B256, salt: U256) -> B256 {
    keccak256((channel_id, salt).abi_encode_params())
}

/// The EIP-712 digest that the payer signs for the deposit.
pub fn deposit_digest(config: &ChannelConfig, deposit: &Deposit, terms: &Terms) -> B256 {
    let channel_id = config.id(terms.domain());
    let value = U256::from(deposit.amount.atomic());
    match &deposit.authorization {
        Authorization::Erc3009(a) => typed::ReceiveWithAuthorization {
            from: config.payer,
            to: terms.erc3009_collector,
            value,
            validAfter: a.valid_after,
            validBefore: a.valid_before,
            nonce: erc3009_nonce(channel_id, a.salt),
        }
        .eip712_signing_hash(&terms.token_domain()),
        Authorization::Permit2(a) => typed::PermitWitnessTransferFrom {
            permitted: typed::TokenPermissions {
                token: config.token,
                amount: value,
            },
            spender: terms.permit2_collector,
            nonce: a.nonce,
            deadline: a.deadline,
            witness: typed::DepositWitness {
                channelId: channel_id,
            },
        }
        .eip712_signing_hash(&permit2_domain(terms.permit2, terms.domain())),
    }
}

/// Holds a deposit against the terms at `now` (Unix seconds), but for its signature: method,
/// amount, spender, token, window. The channel must have passed
/// [`check_config`](super::check_config). It costs no recovery.
pub fn check_deposit(
    config: &ChannelConfig,
    deposit: &Deposit,
    terms: &Terms,
    now: u64,
) -> Result<(), Refused> {
    if deposit.amount.is_zero() {
        return Err(Refused::DepositBelowMin);
    }
    match (&deposit.authorization, terms.method) {
        (Authorization::Erc3009(_), Method::Permit2) => Err(Refused::Permit2Required),
        (Authorization::Permit2(_), Method::Eip3009) => Err(Refused::Erc3009Required),
        (Authorization::Erc3009(a), Method::Eip3009) => check_window(a, now),
        (Authorization::Permit2(a), Method::Permit2) => {
            let amount = U256::from(deposit.amount.atomic());
            if a.from != config.payer {
                return Err(Refused::Permit2Signature(
                    "`from` is not the channel's payer".to_owned(),
                ));
            }
            if a.spender != terms.permit2_collector {
                return Err(Refused::Permit2Spender);
            }
            if a.token != terms.asset {
                return Err(Refused::Token);
            }
            if a.amount != amount {
                return Err(Refused::Permit2Amount);
            }
            if a.channel_id != config.id(terms.domain()) {
                return Err(Refused::ChannelIdMismatch);
            }
            if a.deadline < left(now) || a.deadline > longest(now) {
                return Err(Refused::Permit2Deadline);
            }
            Ok(())
        }
    }
}

fn check_window(authorization: &Erc3009, now: u64) -> Result<(), Refused> {
    if authorization.valid_before < left(now) || authorization.valid_before > longest(now) {
        return Err(Refused::ValidBefore);
    }
    if authorization.valid_after > U256::from(now) {
        return Err(Refused::ValidAfter);
    }
    Ok(())
}

fn left(now: u64) -> U256 {
    U256::from(now.saturating_add(VALIDITY_LEFT_SECONDS))
}

fn longest(now: u64) -> U256 {
    U256::from(now.saturating_add(VALIDITY_MAX_SECONDS))
}

/// Checks the deposit's signature alone; costs one recovery.
pub fn check_deposit_signature(
    config: &ChannelConfig,
    deposit: &Deposit,
    terms: &Terms,
) -> Result<Proof, Refused> {
    let digest = deposit_digest(config, deposit, terms);
    match &deposit.authorization {
        Authorization::Erc3009(a) => {
            prove(config.payer, digest, &a.signature).map_err(Refused::receive)
        }
        Authorization::Permit2(a) => {
            prove(config.payer, digest, &a.signature).map_err(Refused::permit2)
        }
    }
}

/// Checks the EIP-2612 permit that comes with a deposit by Permit2: its members against the
/// deposit at `now` (Unix seconds), then its signature. It costs one recovery.
pub fn check_permit(
    config: &ChannelConfig,
    deposit: &Deposit,
    permit: &eip2612::Signed,
    terms: &Terms,
    now: u64,
) -> Result<(), Refused> {
    let permitted = TokenPermissions {
        token: config.token,
        amount: U256::from(deposit.amount.atomic()),
    };
    let token = eip2612::TokenDomain {
        network: terms.domain.network(),
        asset: terms.asset,
        name: terms.token_name.clone(),
        version: terms.token_version.clone(),
    };
    eip2612::check_terms(&permit.permit, config.payer, &permitted, terms.permit2, now)?;
    Ok(eip2612::check_signature(permit, &token)?)
}

/// A deposit by EIP-3009, signed by the payer's `key` (client side).
pub fn signed_erc3009(
    key: &Key,
    config: &ChannelConfig,
    terms: &Terms,
    amount: Units,
    (valid_after, valid_before): (u64, u64),
    salt: B256,
) -> Deposit {
    let unsigned = Erc3009 {
        valid_after: U256::from(valid_after),
        valid_before: U256::from(valid_before),
        salt: salt.into(),
        signature: Vec::new(),
    };
    let mut deposit = Deposit {
        amount,
        authorization: Authorization::Erc3009(unsigned.clone()),
    };
    let signature = bytes(key.sign(deposit_digest(config, &deposit, terms)));
    deposit.authorization = Authorization::Erc3009(Erc3009 {
        signature,
        ..unsigned
    });
    deposit
}

/// A deposit by Permit2, signed by the payer's `key` (client side).
pub fn signed_permit2(
    key: &Key,
    config: &ChannelConfig,
    terms: &Terms,
    amount: Units,
    deadline: u64,
    nonce: U256,
) -> Deposit {
    let unsigned = Permit2 {
        from: config.payer,
        token: config.token,
        amount: U256::from(amount.atomic()),
        spender: terms.permit2_collector,
        nonce,
        deadline: U256::from(deadline),
        channel_id: config.id(terms.domain()),
        signature: Vec::new(),
    };
    let mut deposit = Deposit {
        amount,
        authorization: Authorization::Permit2(unsigned.clone()),
    };
    let signature = bytes(key.sign(deposit_digest(config, &deposit, terms)));
    deposit.authorization = Authorization::Permit2(Permit2 {
        signature,
        ..unsigned
    });
    deposit
}

/// The Permit2 collector's `eip2612Data`: `abi.encode(value, deadline, v, r, s)`.
fn permit_data(permit: &eip2612::Signed) -> Vec<u8> {
    let (terms, signature) = (&permit.permit, &permit.signature);
    let v = U256::from(signature.v());
    (
        terms.amount,
        terms.deadline,
        v,
        signature.r(),
        signature.s(),
    )
        .abi_encode_params()
}

/// Permit2's domain, which has no version.
fn permit2_domain(permit2: Address, domain: Domain) -> Eip712Domain {
    eip712_domain! {
        name: "Permit2",
        chain_id: domain.network().chain_id(),
        verifying_contract: permit2,
    }
}
