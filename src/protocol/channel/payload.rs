use super::config::ChannelConfig;
use super::deposit::{Authorization, Deposit};
use super::voucher::Voucher;
use crate::money::Units;
use alloy::primitives::B256;
use serde_json::{Value, json};

/// What a client sends (x402 scheme_batch_settlement_evm, `payload.type`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// Opens a channel or tops it up, and pays for a call.
    Deposit {
        /// The channel.
        config: ChannelConfig,
        /// What pays for the call.
        voucher: Voucher,
        /// What is brought in first.
        deposit: Box<Deposit>,
    },
    /// Pays for a call.
    Voucher {
        /// The channel.
        config: ChannelConfig,
        /// What pays for the call.
        voucher: Voucher,
    },
    /// Asks for what is left of a channel; buys nothing.
    Refund {
        /// The channel.
        config: ChannelConfig,
        /// A voucher for no more than what was charged, as proof of who asks.
        voucher: Voucher,
        /// How much; all that is left when absent.
        amount: Option<Units>,
    },
}

impl Payload {
    /// The channel.
    pub const fn config(&self) -> &ChannelConfig {
        match self {
            Self::Deposit { config, .. }
            | Self::Voucher { config, .. }
            | Self::Refund { config, .. } => config,
        }
    }

    /// The voucher.
    pub const fn voucher(&self) -> &Voucher {
        match self {
            Self::Deposit { voucher, .. }
            | Self::Voucher { voucher, .. }
            | Self::Refund { voucher, .. } => voucher,
        }
    }

    /// The deposit, when there is one.
    pub const fn deposit(&self) -> Option<&Deposit> {
        match self {
            Self::Deposit { deposit, .. } => Some(deposit),
            Self::Voucher { .. } | Self::Refund { .. } => None,
        }
    }

    /// The wire's `payload` (client side).
    pub fn to_json(&self) -> Value {
        let voucher = self.voucher();
        let mut payload = json!({
            "channelConfig": self.config(),
            "voucher": {
                "channelId": voucher.channel_id,
                "maxClaimableAmount": voucher.max_claimable,
                "signature": hexadecimal(&voucher.signature),
            },
        });
        let kind = match self {
            Self::Deposit { deposit, .. } => {
                put(&mut payload, "deposit", deposit_json(deposit));
                "deposit"
            }
            Self::Voucher { .. } => "voucher",
            Self::Refund { amount, .. } => {
                if let Some(amount) = amount {
                    put(&mut payload, "amount", json!(amount));
                }
                "refund"
            }
        };
        put(&mut payload, "type", json!(kind));
        payload
    }
}

fn deposit_json(deposit: &Deposit) -> Value {
    let authorization = match &deposit.authorization {
        Authorization::Erc3009(a) => json!({ "erc3009Authorization": {
            "validAfter": a.valid_after.to_string(),
            "validBefore": a.valid_before.to_string(),
            "salt": B256::from(a.salt),
            "signature": hexadecimal(&a.signature),
        }}),
        Authorization::Permit2(a) => json!({ "permit2Authorization": {
            "from": a.from.to_string(),
            "permitted": { "token": a.token.to_string(), "amount": a.amount.to_string() },
            "spender": a.spender.to_string(),
            "nonce": a.nonce.to_string(),
            "deadline": a.deadline.to_string(),
            "witness": { "channelId": a.channel_id },
            "signature": hexadecimal(&a.signature),
        }}),
    };
    json!({ "amount": deposit.amount, "authorization": authorization })
}

fn put(object: &mut Value, key: &str, value: Value) {
    if let Some(members) = object.as_object_mut() {
        members.insert(key.to_owned(), value);
    }
}

pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    format!("0x{}", hex::encode(bytes))
}
