//! Version 2 of sessions (TIP-1034): channels are kept by a precompile, `TIP20 Channel Reserve`, which
//! remembers little of them, so that every credential carries the whole descriptor; and a channel's end is
//! signed for by a message of its own.
//!
//! These are the words and digests alone. No chain that can be run here has the precompile (it comes with
//! Tempo's hard fork T5), so no rail offers this version yet; what is here is held to numbers of published
//! kits. Of the signatures that the precompile takes, those of secp256k1 are read; those by P-256 and passkeys are not.

use super::super::request::LIMITS;
use super::super::{Credential, Refused};
use super::{amount, canonical, transaction, word};
use crate::json::Object;
use crate::money::Units;
use crate::protocol::eip712::{Separator, struct_hash, type_hash};
use crate::protocol::signature::{EcdsaSignature, SignatureError};
use crate::protocol::{Network, Refusal, fields};
use alloy::primitives::{Address, B256, U256, address, keccak256};
use alloy::sol_types::{SolValue as _, eip712_domain};
use serde::{Deserialize, Serialize};
use std::sync::LazyLock;

/// The precompile.
pub const ESCROW: Address = address!("0x4d50500000000000000000000000000000000000");

/// The most that it counts of a channel, 2⁹⁶ − 1.
pub const AMOUNT_MAX: u128 = (1 << 96) - 1;

/// The typed data as the precompile defines it.
mod typed {
    alloy::sol! {
        struct Voucher {
            bytes32 channelId;
            uint96 cumulativeAmount;
        }

        struct CloseAuthorization {
            bytes32 channelId;
            uint96 cumulativeAmount;
        }
    }
}

static VOUCHER: LazyLock<B256> = LazyLock::new(type_hash::<typed::Voucher>);
static CLOSE: LazyLock<B256> = LazyLock::new(type_hash::<typed::CloseAuthorization>);

/// The precompile's domain.
pub fn domain(network: Network, escrow: Address) -> Separator {
    Separator::of(&eip712_domain! {
        name: "TIP20 Channel Reserve",
        version: "1",
        chain_id: network.chain_id(),
        verifying_contract: escrow,
    })
}

/// What a channel is; its id is the digest of it and of where it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Descriptor {
    /// Who fills it.
    pub payer: Address,
    /// Who is paid out of it.
    pub payee: Address,
    /// Who may settle and close it for the payee; nobody stands for the payee alone.
    pub operator: Address,
    /// The token.
    pub token: Address,
    /// The payer's own word.
    pub salt: B256,
    /// Who signs vouchers; nobody stands for the payer.
    pub authorized_signer: Address,
    /// The hash of the transaction that opened it, as its sender signed it.
    pub expiring_nonce_hash: B256,
}

impl Descriptor {
    fn read(object: &Object<'_>) -> Result<Self, Refusal> {
        Ok(Self {
            payer: fields::address(object, "payer")?,
            payee: fields::address(object, "payee")?,
            operator: fields::address(object, "operator")?,
            token: fields::address(object, "token")?,
            salt: word(object, "salt")?,
            authorized_signer: fields::address(object, "authorizedSigner")?,
            expiring_nonce_hash: word(object, "expiringNonceHash")?,
        })
    }

    /// The channel's id, as the precompile computes it.
    pub fn id(&self, network: Network, escrow: Address) -> B256 {
        let words = (
            self.payer,
            self.payee,
            self.operator,
            self.token,
            self.salt,
            self.authorized_signer,
            self.expiring_nonce_hash,
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

/// A payer's signature over so much of a channel in all: a voucher, or leave to end the channel at that.
/// One is never the other.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Sum {
    /// The channel.
    pub channel: B256,
    /// All that may be taken, from the channel's first day on.
    pub cumulative: Units,
    /// `r`, `s`, and 27 or 28.
    pub signature: [u8; 65],
}

impl std::fmt::Debug for Sum {
    /// Leaves the signature out: it buys something.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sum")
            .field("channel", &self.channel)
            .field("cumulative", &self.cumulative)
            .finish_non_exhaustive()
    }
}

impl Sum {
    /// What is signed of a voucher.
    pub fn voucher_digest(&self, domain: Separator) -> B256 {
        self.digest(domain, *VOUCHER)
    }

    /// What is signed of a leave to close.
    pub fn close_digest(&self, domain: Separator) -> B256 {
        self.digest(domain, *CLOSE)
    }

    fn digest(&self, domain: Separator, kind: B256) -> B256 {
        let amount = U256::from(self.cumulative.atomic());
        domain.digest(struct_hash(kind, [self.channel, amount.into()]))
    }

    /// Who signed this as a voucher; costs one recovery.
    pub fn voucher_signer(&self, domain: Separator) -> Result<Address, SignatureError> {
        EcdsaSignature::from_bytes(&self.signature)?.recover(self.voucher_digest(domain))
    }

    /// Who signed this as a leave to close; costs one recovery.
    pub fn close_signer(&self, domain: Separator) -> Result<Address, SignatureError> {
        EcdsaSignature::from_bytes(&self.signature)?.recover(self.close_digest(domain))
    }
}

/// What a credential does, and with which channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    /// The channel, as it is described.
    pub descriptor: Descriptor,
    /// What is to be done.
    pub action: Action,
}

/// What a credential does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Fills a new channel, and pays.
    Open {
        /// The payer's signed transaction.
        transaction: Vec<u8>,
        /// The first voucher.
        voucher: Sum,
    },
    /// Adds to a channel.
    TopUp {
        /// The payer's signed transaction.
        transaction: Vec<u8>,
        /// How much, in atomic units.
        additional: Units,
    },
    /// Pays.
    Voucher(Sum),
    /// Ends a channel.
    Close {
        /// This is spent at most.
        voucher: Sum,
        /// The leave to end it at that.
        leave: Sum,
    },
}

/// Reads what a credential does. Fails when the channel that it names is not the one that it describes.
pub fn payload(
    credential: &Credential,
    network: Network,
    escrow: Address,
) -> Result<Payload, Refused> {
    let read = || -> Result<Payload, Refusal> {
        let object = Object::of(&credential.payload, &LIMITS).map_err(fields::malformed)?;
        let descriptor = fields::object(&object, "descriptor");
        let descriptor = descriptor.map_err(|_| fields::wrong("descriptor"))?;
        let descriptor = Descriptor::read(&descriptor)?;
        let channel = word(&object, "channelId")?;
        if descriptor.id(network, escrow) != channel {
            let what = "\"channelId\" is not the channel of \"descriptor\"";
            return Err(Refusal::Malformed(what.to_owned()));
        }
        let action = action(&object, channel)?;
        Ok(Payload { descriptor, action })
    };
    read().map_err(Refused::of_payload)
}

fn action(object: &Object<'_>, channel: B256) -> Result<Action, Refusal> {
    let sum = |key: &str| -> Result<Sum, Refusal> {
        let signature = fields::bytes(&fields::text(object, key)?, 65);
        let whole = signature.filter(|bytes| bytes.len() == 65);
        let whole = whole.and_then(|bytes| canonical(&bytes));
        Ok(Sum {
            channel,
            cumulative: within(object, "cumulativeAmount")?,
            signature: whole.ok_or_else(|| fields::wrong(key))?,
        })
    };
    Ok(match fields::text(object, "action")?.as_ref() {
        "open" => Action::Open {
            transaction: transaction(object)?,
            voucher: sum("signature")?,
        },
        "topUp" => Action::TopUp {
            transaction: transaction(object)?,
            additional: within(object, "additionalDeposit")?,
        },
        "voucher" => Action::Voucher(sum("signature")?),
        "close" => Action::Close {
            voucher: sum("signature")?,
            leave: sum("closeSignature")?,
        },
        _ => return Err(fields::wrong("action")),
    })
}

/// The member `key`, an amount that the precompile can count.
fn within(object: &Object<'_>, key: &str) -> Result<Units, Refusal> {
    let units = amount(object, key)?;
    match units.atomic() <= AMOUNT_MAX {
        true => Ok(units),
        false => Err(fields::wrong(key)),
    }
}
