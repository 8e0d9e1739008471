//! Is this voucher good? By the ledger's account alone while that is fresh, else by one look at the
//! chain. The ledger decides again, for good, when the call is held.

use super::mirror::Unread;
use super::{ChannelRail, chain_id};
use crate::chain::{ChannelPreflight, ChannelQuestion, DepositCall, SignedDigest};
use crate::config::RailKind;
use crate::ledger::{ChannelState, ChannelUse, LedgerError, SettleWhen, Takes};
use crate::money::Units;
use crate::payment::authorized::{AuthorizeFailure, Authorized, PaidByChannel};
use crate::protocol::channel::{
    Account, ChannelConfig, Payload, Refused, Unfit, Voucher, accept, voucher_digest,
};
use crate::protocol::eip3009::Proof;
use crate::protocol::x402::Credential;
use alloy::primitives::Bytes;
use serde_json::json;
use std::sync::Arc;

impl ChannelRail {
    /// Judges a payment that passed [`Self::check`]; a deposit is made first, and waited for.
    pub(in crate::payment) async fn authorize(
        &self,
        credential: &Credential,
        payload: &Payload,
        ceiling: Units,
        proof: &Proof,
    ) -> Result<Authorized, AuthorizeFailure> {
        let used = self.used(payload.voucher(), self.offer_amount(ceiling))?;
        let lease = self.inner.gate.enter(used.channel).ok_or(Refused::Busy)?;
        let deposit = match payload {
            Payload::Voucher { config, voucher } => {
                let paying = Paying {
                    config,
                    voucher,
                    used: &used,
                    ceiling,
                    proof,
                };
                self.authorize_voucher(&paying).await?;
                None
            }
            Payload::Deposit {
                config,
                voucher,
                deposit,
            } => {
                let paying = Paying {
                    config,
                    voucher,
                    used: &used,
                    ceiling,
                    proof,
                };
                Box::pin(self.authorize_deposit(credential, &paying, deposit)).await?
            }
            Payload::Refund { .. } => return Err(Refused::PayloadType.into()),
        };
        let signature = Bytes::copy_from_slice(&payload.voucher().signature);
        Ok(Authorized {
            rail: RailKind::Channel,
            payer: payload.config().payer,
            settle_when: SettleWhen::ByClaim,
            takes: Takes::Charged,
            stored: json!({ "signature": signature }),
            reservation: None,
            channel: Some(PaidByChannel {
                used,
                deposit,
                lease: Some(Arc::new(lease)),
            }),
            end_waits: false,
            sent: None,
        })
    }

    async fn authorize_voucher(&self, paying: &Paying<'_>) -> Result<(), AuthorizeFailure> {
        let known = self.inner.ledger.channel(&paying.used.channel).await?;
        if let Some(state) = &known
            && !paying.asks_payer()
            && self.is_fresh(state)
        {
            match paying.fits(&state.account()) {
                // Something may have come in since.
                Err(Unfit::NotFound | Unfit::ExceedsBalance) => {}
                _ => return paying.judge(&state.account(), known.as_ref()),
            }
        }
        let state = if known.is_some() && !paying.asks_payer() {
            let states = self.refresh(&[paying.used.channel]).await?;
            states.into_iter().next().ok_or(AuthorizeFailure::Unknown)?
        } else {
            let preflight = self.look(paying, None).await?;
            self.adopted(paying, &preflight)
                .await?
                .ok_or(Refused::ChannelNotFound)?
        };
        paying.judge(&state.account(), Some(&state))
    }

    /// Asks the chain everything about a payment at once, and judges the voucher's signature by it.
    pub(super) async fn look(
        &self,
        paying: &Paying<'_>,
        deposit: Option<DepositCall>,
    ) -> Result<ChannelPreflight, AuthorizeFailure> {
        let (config, voucher) = (paying.config, paying.voucher);
        let domain = self.terms(Units::ZERO).domain();
        let signed = || SignedDigest {
            digest: voucher_digest(voucher.channel_id, voucher.max_claimable, domain),
            signature: Bytes::copy_from_slice(&voucher.signature),
        };
        let question = ChannelQuestion {
            contract: self.contract(),
            channel: chain_id(&paying.used.channel),
            payer: config.payer,
            token: config.token,
            voucher: paying.asks_payer().then(signed),
            deposit,
        };
        let sender = self.inner.operations.sender();
        let asked = self.inner.rpc.channel_preflight(&question, sender).await;
        let preflight = asked.map_err(Unread::from)?;
        // An account with code is asked, and only it: a delegated key's own signature is no fallback.
        let good = match preflight.voucher_valid {
            Some(valid) => valid,
            None => matches!(paying.proof, Proof::Payer),
        };
        match good {
            true => Ok(preflight),
            false => Err(Refused::VoucherSignature("it is another key's".to_owned()).into()),
        }
    }

    /// The account after what the chain said; one that the books do not have is opened when the chain
    /// has something in it.
    pub(super) async fn adopted(
        &self,
        paying: &Paying<'_>,
        preflight: &ChannelPreflight,
    ) -> Result<Option<ChannelState>, AuthorizeFailure> {
        let (state, head) = (&preflight.state, preflight.head);
        let known = self.observe(paying.used.channel, state, head).await?;
        if known.is_some() || state.balance == 0 {
            return Ok(known);
        }
        let base = paying.used.base;
        Ok(Some(self.open(paying.config, state, head, base).await?))
    }
}

/// A voucher for a call.
#[derive(Debug)]
pub(super) struct Paying<'a> {
    pub(super) config: &'a ChannelConfig,
    pub(super) voucher: &'a Voucher,
    pub(super) used: &'a ChannelUse,
    /// The most that the call can cost.
    pub(super) ceiling: Units,
    pub(super) proof: &'a Proof,
}

impl Paying<'_> {
    /// Whether the contract will ask the payer itself about the voucher, who may have code by then.
    pub(super) fn asks_payer(&self) -> bool {
        self.config.payer_authorizer.is_zero()
    }

    /// Whether the account pays for the call as things stand.
    pub(super) fn fits(&self, account: &Account) -> Result<(), Unfit> {
        let amount = self.used.max_claimable.minus(self.used.base)?;
        accept(
            account,
            self.used.max_claimable,
            amount,
            self.ceiling,
            self.used.rule,
        )
        .map(drop)
    }

    /// The same as an answer, with the books that refused where there are any.
    pub(super) fn judge(
        &self,
        account: &Account,
        books: Option<&ChannelState>,
    ) -> Result<(), AuthorizeFailure> {
        self.fits(account).map_err(|unfit| {
            let reason = Refused::from(unfit).into();
            match books {
                Some(books) => AuthorizeFailure::Channel {
                    reason,
                    state: Box::new(books.clone()),
                },
                None => AuthorizeFailure::Refused(reason),
            }
        })
    }
}

impl From<Refused> for AuthorizeFailure {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused.into())
    }
}

impl From<Unread> for AuthorizeFailure {
    fn from(error: Unread) -> Self {
        tracing::warn!(%error, "a channel's state cannot be found out");
        Self::Unknown
    }
}

impl From<LedgerError> for AuthorizeFailure {
    fn from(error: LedgerError) -> Self {
        Unread::from(error).into()
    }
}
