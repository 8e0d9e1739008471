//! The method `tempo` with the intent `charge`: one transfer of a TIP-20 token whose memo names the
//! challenge that it pays (draft-tempo-charge).
//!
//! Its payer signs the whole transaction: either it is handed over to be sent (`pull`), its gas paid by
//! the payer or by us, or it was sent before and is named by its hash (`push`).

use super::evm::is_source;
use super::request::{self, LIMITS};
use super::{Credential, Refused};
use crate::json::Object;
use crate::money::Units;
use crate::protocol::{Network, Refusal, fields};
use alloy::primitives::{Address, B256};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::fmt;

/// The method's name.
pub const METHOD: &str = "tempo";
/// The intent's name.
pub const CHARGE: &str = "charge";

/// The longest signed transaction that is read, in bytes: a passkey's signature takes a few hundred.
const TRANSACTION_BYTES_MAX: usize = 8 << 10;

/// What a charge asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charge {
    /// The amount in the token's atomic units.
    pub amount: Units,
    /// The token contract.
    pub currency: Address,
    /// Who is paid.
    pub recipient: Address,
    /// The chain.
    pub network: Network,
    /// Whether the payee pays for gas.
    pub fee_payer: bool,
}

/// The request's JSON.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    amount: Units,
    currency: Address,
    recipient: Address,
    method_details: WireDetails,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireDetails {
    chain_id: u64,
    #[serde(default)]
    fee_payer: bool,
}

impl Charge {
    /// The parameter `request`.
    pub fn to_request(&self) -> String {
        request::encode(&self.to_json())
    }

    /// What the parameter holds. Where gas is paid for, a payment must be handed over to be sent.
    pub fn to_json(&self) -> Value {
        let mut details = json!({ "chainId": self.network.chain_id() });
        if self.fee_payer
            && let Some(details) = details.as_object_mut()
        {
            details.insert("feePayer".to_owned(), Value::from(true));
            details.insert("supportedModes".to_owned(), json!(["pull"]));
        }
        json!({
            "amount": self.amount,
            "currency": self.currency.to_string(),
            "recipient": self.recipient.to_string(),
            "methodDetails": details,
        })
    }

    /// Reads the parameter `request` of a challenge of our own.
    pub fn from_request(text: &str) -> Option<Self> {
        let wire: Wire = serde_json::from_str(&request::decode(text)?).ok()?;
        Some(Self {
            amount: wire.amount,
            currency: wire.currency,
            recipient: wire.recipient,
            network: Network::from_chain_id(wire.method_details.chain_id),
            fee_payer: wire.method_details.fee_payer,
        })
    }
}

/// A payment as it came in, and who says to have signed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// The whole credential.
    pub credential: Credential,
    /// The payer: who signed the transaction, or who is named as having sent it.
    pub payer: Address,
    /// How it pays.
    pub means: Means,
}

/// How a transaction comes to the chain.
#[derive(Clone, PartialEq, Eq)]
pub enum Means {
    /// It is handed over, signed, to be sent: a Tempo transaction, or its sender's half of one whose gas
    /// is paid for.
    Pull(Vec<u8>),
    /// It was sent, and has this hash.
    Push(B256),
}

impl Signed {
    /// Why it is not taken. What its payer has sent already is not asked for again.
    pub fn refused(&self, why: Refusal) -> Refusal {
        match (&self.means, why) {
            (_, Refusal::Mpp(why @ Refused::Elsewhere(_))) => why.into(),
            (Means::Push(_), why) => Refused::Elsewhere(why.to_string()).into(),
            (Means::Pull(_), why) => why,
        }
    }
}

impl fmt::Debug for Means {
    /// Leaves the transaction out: it holds the payer's signature.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pull(transaction) => write!(f, "Pull({} bytes)", transaction.len()),
            Self::Push(hash) => write!(f, "Push({hash})"),
        }
    }
}

impl Means {
    /// What tells one payment from another.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Pull(transaction) => transaction,
            Self::Push(hash) => hash.as_slice(),
        }
    }
}

/// Reads how a credential pays.
pub fn means(credential: &Credential) -> Result<Means, Refused> {
    let read = || -> Result<Means, Refusal> {
        let object = Object::of(&credential.payload, &LIMITS).map_err(fields::malformed)?;
        match fields::text(&object, "type")?.as_ref() {
            "transaction" => Ok(Means::Pull(transaction(&object, "signature")?)),
            "hash" => {
                let hash = fields::fixed(&fields::text(&object, "hash")?, 66);
                Ok(Means::Push(hash.ok_or_else(|| fields::wrong("hash"))?))
            }
            _ => Err(fields::wrong("type")),
        }
    };
    read().map_err(Refused::of_payload)
}

/// The member `key`, a signed transaction.
pub(super) fn transaction(object: &Object<'_>, key: &str) -> Result<Vec<u8>, Refusal> {
    let transaction = fields::bytes(&fields::text(object, key)?, TRANSACTION_BYTES_MAX);
    let transaction = transaction.filter(|bytes| !bytes.is_empty());
    transaction.ok_or_else(|| fields::wrong(key))
}

/// Fails when a credential names another payer than this one.
pub fn check_source(
    credential: &Credential,
    network: Network,
    payer: Address,
) -> Result<(), Refused> {
    let named = credential.source.as_deref();
    match named.is_none_or(|named| is_source(named, network, payer)) {
        true => Ok(()),
        false => Err(Refused::Source),
    }
}

/// The account that a credential names on this chain (did:pkh).
pub fn named_payer(credential: &Credential, network: Network) -> Option<Address> {
    let account = credential.source.as_deref()?.rsplit(':').next()?;
    let payer = fields::fixed(account, 42)?;
    check_source(credential, network, payer).ok()?;
    Some(payer)
}
