//! The method `tempo` with the intent `session`, version 1: a channel that its payer fills once, and
//! vouchers over all that was ever spent of it (draft-tempo-session, contract `TempoStreamChannel`).
//!
//! A stream is paid as it goes: when what was signed is used up it says so in an event of its own, and
//! goes on when another voucher has come.

use super::request::{self, LIMITS};
use super::{Credential, Receipt, Refused, tempo};
use crate::json::Object;
use crate::money::Units;
use crate::protocol::eip712::{Separator, struct_hash, type_hash};
use crate::protocol::signature::{EcdsaSignature, SignatureError};
use crate::protocol::{Network, Refusal, fields};
use alloy::primitives::{Address, B256, U256, keccak256};
use alloy::sol_types::{SolValue as _, eip712_domain};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::sync::LazyLock;

pub mod v2;

/// The intent's name.
pub const SESSION: &str = "session";

/// The typed data as the contract defines it.
mod typed {
    alloy::sol! {
        struct Voucher {
            bytes32 channelId;
            uint128 cumulativeAmount;
        }
    }
}

static VOUCHER: LazyLock<B256> = LazyLock::new(type_hash::<typed::Voucher>);

/// What a session asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The price of a unit, in the token's atomic units: what a voucher is raised by for a request.
    pub amount: Units,
    /// What a payer should fill a channel with, in atomic units.
    pub suggested_deposit: Units,
    /// The token contract.
    pub currency: Address,
    /// Who is paid.
    pub recipient: Address,
    /// The chain.
    pub network: Network,
    /// The contract that keeps channels.
    pub escrow: Address,
}

/// The request's JSON.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    amount: Units,
    suggested_deposit: Units,
    currency: Address,
    recipient: Address,
    method_details: WireDetails,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireDetails {
    chain_id: u64,
    escrow_contract: Address,
}

impl Session {
    /// The parameter `request`.
    pub fn to_request(&self) -> String {
        request::encode(&json!({
            "amount": self.amount,
            "unitType": "unit",
            "suggestedDeposit": self.suggested_deposit,
            "currency": self.currency.to_string(),
            "recipient": self.recipient.to_string(),
            "methodDetails": {
                "chainId": self.network.chain_id(),
                "escrowContract": self.escrow.to_string(),
                "sessionProtocol": "v1",
            },
        }))
    }

    /// Reads the parameter `request` of a challenge of our own.
    pub fn from_request(text: &str) -> Option<Self> {
        let wire: Wire = serde_json::from_str(&request::decode(text)?).ok()?;
        Some(Self {
            amount: wire.amount,
            suggested_deposit: wire.suggested_deposit,
            currency: wire.currency,
            recipient: wire.recipient,
            network: Network::from_chain_id(wire.method_details.chain_id),
            escrow: wire.method_details.escrow_contract,
        })
    }
}

/// A credential of a session, and who says to be its payer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// The whole credential.
    pub credential: Credential,
    /// The payer: who signed the transaction, or who is named.
    pub payer: Address,
    /// What is to be done.
    pub action: Action,
}

/// What a credential of a session does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Fills a new channel, and pays.
    Open {
        /// The payer's signed transaction.
        transaction: Vec<u8>,
        /// The first voucher.
        voucher: Voucher,
    },
    /// Adds to a channel.
    TopUp {
        /// The channel.
        channel: B256,
        /// The payer's signed transaction.
        transaction: Vec<u8>,
        /// How much, in atomic units.
        additional: Units,
    },
    /// Pays.
    Voucher(Voucher),
    /// Ends a channel: this is spent at most, the rest goes back.
    Close(Voucher),
}

impl Action {
    /// The channel that it is about.
    pub const fn channel(&self) -> B256 {
        match self {
            Self::Open { voucher, .. } | Self::Voucher(voucher) | Self::Close(voucher) => {
                voucher.channel
            }
            Self::TopUp { channel, .. } => *channel,
        }
    }

    /// The voucher that pays for a request, if it pays.
    pub const fn pays(&self) -> Option<&Voucher> {
        match self {
            Self::Open { voucher, .. } | Self::Voucher(voucher) => Some(voucher),
            Self::TopUp { .. } | Self::Close(_) => None,
        }
    }

    /// What tells one credential from another.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Open { voucher, .. } | Self::Voucher(voucher) | Self::Close(voucher) => {
                &voucher.signature
            }
            Self::TopUp { transaction, .. } => transaction,
        }
    }
}

/// A payer's leave to take so much of a channel in all.
#[derive(Clone, PartialEq, Eq)]
pub struct Voucher {
    /// The channel.
    pub channel: B256,
    /// All that may be taken, from the channel's first day on.
    pub cumulative: Units,
    /// The signature, in the one form that the contract takes: `r`, `s`, and 27 or 28.
    pub signature: [u8; 65],
}

impl std::fmt::Debug for Voucher {
    /// Leaves the signature out: it buys something.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Voucher")
            .field("channel", &self.channel)
            .field("cumulative", &self.cumulative)
            .finish_non_exhaustive()
    }
}

impl Voucher {
    /// Who signed it, for a contract's domain; costs one recovery.
    pub fn signer(&self, domain: Separator) -> Result<Address, SignatureError> {
        EcdsaSignature::from_bytes(&self.signature)?.recover(self.digest(domain))
    }

    /// What is signed.
    pub fn digest(&self, domain: Separator) -> B256 {
        let amount = U256::from(self.cumulative.atomic());
        domain.digest(struct_hash(*VOUCHER, [self.channel, amount.into()]))
    }
}

/// The contract's domain.
pub fn domain(network: Network, escrow: Address) -> Separator {
    Separator::of(&eip712_domain! {
        name: "Tempo Stream Channel",
        version: "1",
        chain_id: network.chain_id(),
        verifying_contract: escrow,
    })
}

/// What a channel is; its id is the digest of it and of where it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Terms {
    /// Who fills it.
    pub payer: Address,
    /// Who is paid out of it.
    pub payee: Address,
    /// The token.
    pub token: Address,
    /// The payer's own word, so that there can be several.
    pub salt: B256,
    /// Who signs vouchers; nobody stands for the payer.
    pub authorized_signer: Address,
}

impl Terms {
    /// The channel's id, as the contract computes it.
    pub fn id(&self, network: Network, escrow: Address) -> B256 {
        let words = (
            self.payer,
            self.payee,
            self.token,
            self.salt,
            self.authorized_signer,
            escrow,
            U256::from(network.chain_id()),
        );
        keccak256(words.abi_encode())
    }

    /// Who must have signed its vouchers.
    pub fn signer(&self) -> Address {
        match self.authorized_signer.is_zero() {
            true => self.payer,
            false => self.authorized_signer,
        }
    }
}

/// Reads what a credential does.
pub fn action(credential: &Credential) -> Result<Action, Refused> {
    let read = || -> Result<Action, Refusal> {
        let object = Object::of(&credential.payload, &LIMITS).map_err(fields::malformed)?;
        let channel = word(&object, "channelId")?;
        let voucher = || -> Result<Voucher, Refusal> {
            Ok(Voucher {
                channel,
                cumulative: amount(&object, "cumulativeAmount")?,
                signature: canonical(&fields::signature(&object)?)
                    .ok_or_else(|| fields::wrong("signature"))?,
            })
        };
        Ok(match fields::text(&object, "action")?.as_ref() {
            "open" => Action::Open {
                transaction: transaction(&object)?,
                voucher: voucher()?,
            },
            "topUp" => Action::TopUp {
                channel,
                transaction: transaction(&object)?,
                additional: amount(&object, "additionalDeposit")?,
            },
            "voucher" => Action::Voucher(voucher()?),
            "close" => Action::Close(voucher()?),
            _ => return Err(fields::wrong("action")),
        })
    };
    read().map_err(Refused::of_payload)
}

/// The signed transaction of a payload that fills a channel.
fn transaction(object: &Object<'_>) -> Result<Vec<u8>, Refusal> {
    match fields::text(object, "type")?.as_ref() {
        "transaction" => tempo::transaction(object, "transaction"),
        _ => Err(fields::wrong("type")),
    }
}

/// The member `key`, 32 bytes.
fn word(object: &Object<'_>, key: &str) -> Result<B256, Refusal> {
    let word = fields::fixed(&fields::text(object, key)?, 66);
    word.ok_or_else(|| fields::wrong(key))
}

fn amount(object: &Object<'_>, key: &str) -> Result<Units, Refusal> {
    let value = fields::integer(object, key)?;
    let value = u128::try_from(value).map_err(|_| fields::wrong(key))?;
    Ok(Units::from_atomic(value))
}

/// Both forms that the contract can be given, as one (EIP-2098's 64 bytes carry the parity in `s`).
fn canonical(signature: &[u8]) -> Option<[u8; 65]> {
    let whole: [u8; 65] = match <[u8; 64]>::try_from(signature) {
        Ok(compact) => {
            let mut whole = [0; 65];
            let (rs, v) = whole.split_at_mut(64);
            rs.copy_from_slice(&compact);
            let top = rs.get_mut(32)?;
            v.fill(27_u8.checked_add(*top >> 7)?);
            *top &= 0x7f;
            whole
        }
        Err(_) => signature.try_into().ok()?,
    };
    let of_form = matches!(whole.last(), Some(27 | 28));
    let read = EcdsaSignature::from_bytes(&whole).ok().filter(|_| of_form);
    read.map(EcdsaSignature::to_bytes)
}

/// A channel's account, as receipts and events tell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Account {
    /// The channel.
    pub channel: B256,
    /// The best voucher's cumulative amount.
    pub accepted: Units,
    /// What was spent in all.
    pub spent: Units,
    /// What the channel was filled with in all.
    pub deposit: Units,
}

impl Account {
    /// The receipt of it.
    pub fn receipt(&self, challenge: &str, at_s: u64, transaction: Option<&str>) -> Receipt {
        let seconds = i64::try_from(at_s).unwrap_or(i64::MAX);
        let mut more = Map::new();
        let mut say = |key: &str, value: Value| more.insert(key.to_owned(), value);
        say("intent", SESSION.into());
        say("challengeId", challenge.into());
        say("channelId", json!(self.channel));
        say("acceptedCumulative", json!(self.accepted));
        say("spent", json!(self.spent));
        say("deposit", json!(self.deposit));
        if let Some(transaction) = transaction {
            say("txHash", transaction.into());
        }
        Receipt {
            status: "success".to_owned(),
            method: tempo::METHOD.to_owned(),
            timestamp: Timestamp::from_second(seconds)
                .unwrap_or_default()
                .to_string(),
            reference: self.channel.to_string(),
            external_id: None,
            more,
        }
    }

    /// The same in a refusal, with what a voucher must reach to buy a request.
    pub fn members(&self) -> Map<String, Value> {
        let required = self.spent.plus(Units::from_atomic(1));
        let mut members = Map::new();
        let mut say = |key: &str, value: Value| members.insert(key.to_owned(), value);
        say("channelId", json!(self.channel));
        say("requiredCumulative", json!(required.unwrap_or(self.spent)));
        say("acceptedCumulative", json!(self.accepted));
        say("spent", json!(self.spent));
        say("deposit", json!(self.deposit));
        members
    }

    /// The event of a stream that goes on once a voucher over `required` has come.
    pub fn need_voucher(&self, required: Units) -> Vec<u8> {
        let told = json!({
            "channelId": self.channel,
            "requiredCumulative": required,
            "acceptedCumulative": self.accepted,
            "deposit": self.deposit,
        });
        event("payment-need-voucher", &told.to_string())
    }
}

/// The event of a stream that tells its receipt.
pub fn receipt_event(receipt: &Receipt) -> Vec<u8> {
    event("payment-receipt", &json!(receipt).to_string())
}

/// The event of a stream that carries a piece of the answer. A line may end in three ways there; however
/// a piece's end, they stay lines of this event.
pub fn message_event(data: &str) -> Vec<u8> {
    event("message", data)
}

fn event(name: &str, data: &str) -> Vec<u8> {
    let mut text = format!("event: {name}\n");
    let chunks = data.split("\r\n");
    for line in chunks.flat_map(|chunk| chunk.split(['\r', '\n'])) {
        text.push_str("data: ");
        text.push_str(line);
        text.push('\n');
    }
    text.push('\n');
    text.into_bytes()
}
