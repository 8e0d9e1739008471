//! The rails of one gateway: a credential is of one of them, and that one judges it.

mod by_mpp;
mod standing;
mod told;

use super::approval::Sponsoring;
use super::authorized::{AuthorizeFailure, Authorized};
use super::channel::ChannelRail;
use super::credential::{kinds, payer, signature, signed_amount};
use super::exact::ExactRail;
use super::exposure::{Exposure, Reservation, Settles};
use super::lifetime::Lifetime;
use super::mpp::Mpp;
use super::operation::Operations;
use super::permit2::Permit2Rail;
use super::tempo::{ChargeRail, SessionRail};
use crate::chain::Rpc;
use crate::clock::now_ms;
use crate::config::{AssetConfig, Config, RailKind};
use crate::ledger::{CallState, Hold, Ledger, OperationState, ReplayKey, RequestHash, SettleWhen};
use crate::money::Units;
use crate::protocol::eip3009::Proof;
use crate::protocol::mpp::session::Action;
use crate::protocol::signature::SignatureError;
use crate::protocol::x402::{
    Credential, Extensions, Payload, Requirements, SettleResponse, Version, offer_matches,
};
use crate::protocol::{Network, Refusal, mpp, permit2};
use alloy::primitives::{Address, B256};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use std::time::Instant;

/// What every rail of one gateway has in common: who is paid, where and in what.
#[derive(Debug, Clone)]
pub(super) struct Payee {
    pub(super) network: Network,
    pub(super) asset: AssetConfig,
    pub(super) pay_to: Address,
    pub(super) max_timeout_seconds: u64,
    pub(super) lifetime: Lifetime,
}

/// Which offers a caller is made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Wish {
    /// Only this rail's, when it is offered at all.
    pub rail: Option<RailKind>,
    /// Only such as are paid before the answer leaves.
    pub prepaid: bool,
}

/// The rails; clones are the same.
#[derive(Debug, Clone)]
pub struct Rails {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    payee: Payee,
    ledger: Ledger,
    order: Vec<RailKind>,
    exposure: Exposure,
    exact: ExactRail,
    exact_permit2: Permit2Rail,
    upto: Permit2Rail,
    sponsoring: Sponsoring,
    channel: ChannelRail,
    tempo: Option<ChargeRail>,
    session: Option<SessionRail>,
    mpp: Option<Mpp>,
}

impl Rails {
    /// The rails of a configuration; `relayer` is the account that will settle, itself or through
    /// the settler. Fails when the key that is to sign claims is none.
    pub fn new(
        config: &Config,
        rpc: &Rpc,
        ledger: &Ledger,
        operations: Operations,
        relayer: Address,
        sponsoring: Sponsoring,
    ) -> Result<Self, SignatureError> {
        let payee = Payee {
            network: Network::from_chain_id(config.chain.chain_id),
            asset: config.asset.clone(),
            pay_to: config.payment.pay_to,
            max_timeout_seconds: config.payment.max_timeout_seconds,
            lifetime: Lifetime::new(config.payment.settle_margin),
        };
        let exposure = Exposure::new(config.exposure);
        let (settle, contracts) = (config.payment.settle, &config.contracts);
        let exact = ExactRail::new(
            rpc.clone(),
            payee.clone(),
            settle,
            relayer,
            exposure.clone(),
        );
        let exact_permit2 = Permit2Rail::exact(
            rpc.clone(),
            payee.clone(),
            contracts,
            relayer,
            settle,
            exposure.clone(),
            sponsoring.clone(),
        );
        let facilitator = config.settler.address.unwrap_or(relayer);
        let upto = Permit2Rail::upto(
            rpc.clone(),
            payee.clone(),
            contracts,
            facilitator,
            exposure.clone(),
            sponsoring.clone(),
        );
        let session = SessionRail::of(config, rpc, &payee, ledger, &operations);
        let channel = ChannelRail::new(
            config,
            rpc.clone(),
            payee.clone(),
            ledger.clone(),
            operations,
        )?;
        let tempo = ChargeRail::of(config, rpc, &payee);
        Ok(Self {
            inner: Arc::new(Inner {
                payee,
                ledger: ledger.clone(),
                order: config.payment.rails.clone(),
                exposure,
                exact,
                exact_permit2,
                upto,
                sponsoring,
                channel,
                tempo,
                session,
                mpp: Mpp::of(config),
            }),
        })
    }

    /// The chain that is paid on.
    pub fn network(&self) -> Network {
        self.inner.payee.network
    }

    /// The asset that is paid in.
    pub fn asset(&self) -> &AssetConfig {
        &self.inner.payee.asset
    }

    /// x402's offers of one amount at one price row, in the operator's order: the same for the same
    /// two, always. A rail that the caller wishes for comes alone, if it is offered here; a caller
    /// who must pay beforehand is not offered what is settled afterwards.
    pub fn offers(&self, amount: Units, price_row: &str, wish: Wish) -> Vec<Requirements> {
        self.offered(wish)
            .filter(|kind| kind.is_x402())
            .filter_map(|kind| self.offer(kind, amount, price_row))
            .collect()
    }

    /// What those offers say, in their order: all that differs between calls at one price row.
    pub fn amounts(&self, amount: Units, wish: Wish) -> Vec<Units> {
        let said = |kind| match kind {
            RailKind::Channel => self.inner.channel.offer_amount(amount),
            _ => amount,
        };
        let offered = self.offered(wish).filter(|kind| kind.is_x402());
        offered.map(said).collect()
    }

    fn offered(&self, wish: Wish) -> impl Iterator<Item = RailKind> {
        let order = &self.inner.order;
        let wished = wish.rail.filter(|kind| order.contains(kind));
        order
            .iter()
            .copied()
            .filter(move |kind| wished.is_none_or(|wished| wished == *kind))
            .filter(move |kind| !(wish.prepaid && *kind == RailKind::Upto))
    }

    /// The extensions that spare a payer the approval of Permit2, where a rail needs one.
    pub fn sponsoring(&self) -> Extensions {
        self.inner.sponsoring.advert()
    }

    /// Looks on for what was sent to sponsor payers before the last stop.
    pub fn resume_sponsoring(&self, operations: &[OperationState]) {
        self.inner.sponsoring.resume(operations);
    }

    /// Counts what a call of an earlier life of the process still owes.
    pub fn owed_again(&self, state: &CallState) -> Option<Reservation> {
        let hold = &state.hold;
        if hold.settle_when != SettleWhen::After {
            return None;
        }
        let payer = hold.payer.parse().ok()?;
        let draws = super::stored::draws(hold);
        let settles = Settles::Afterwards;
        let exposure = &self.inner.exposure;
        Some(exposure.count(payer, hold.held, settles, draws))
    }

    /// When the settlement of a held call must be sent at the latest, if the call could outlast that.
    pub fn settle_by(&self, hold: &Hold) -> Option<Instant> {
        let lifetime = self.inner.payee.lifetime;
        let left = lifetime.left(hold.settle_when, &hold.authorization, now_ms())?;
        Instant::now().checked_add(left)
    }

    /// Which rail's offer of this amount a credential accepted; version 1 echoes no price row.
    pub fn accepted(
        &self,
        credential: &Credential,
        amount: Units,
        price_row: &str,
    ) -> Option<RailKind> {
        let of_its_kind = |kind: &RailKind| kinds(&credential.payload).contains(kind);
        let mut kinds = self.inner.order.iter().copied().filter(of_its_kind);
        match (&credential.accepted, credential.version) {
            (Some(accepted), _) => kinds.find(|kind| {
                self.offer(*kind, amount, price_row)
                    .is_some_and(|offer| offer_matches(&offer, accepted))
            }),
            (None, Version::V1) => kinds.find(|kind| {
                *kind == RailKind::Exact
                    && credential.network == self.network()
                    && signed_amount(credential) == Some(amount)
            }),
            (None, Version::V2) => None,
        }
    }

    /// What a credential can be spent under only once, for a request. A channel's voucher may come
    /// again with the same request: each time it buys anew is another turn.
    pub fn replay_key(
        &self,
        credential: &Credential,
        request: RequestHash,
        turn: u32,
    ) -> ReplayKey {
        match &credential.payload {
            Payload::Eip3009(signed) => self.inner.exact.replay_key(credential.network, signed),
            Payload::Permit2(signed) => self.permit2(signed).replay_key(credential.network, signed),
            Payload::Tempo(signed) => ChargeRail::replay_key(signed),
            Payload::Session(signed) => SessionRail::replay_key(signed, request),
            Payload::Channel(payload) => self.inner.channel.replay_key(
                payload,
                request,
                credential.payment_id.as_ref(),
                turn,
            ),
        }
    }

    /// Whether a credential can buy the same request more than once.
    pub fn takes_turns(&self, credential: &Credential) -> bool {
        matches!(credential.payload, Payload::Channel(_))
    }

    /// The key of a payer's own payment identifier.
    pub fn payment_id_key(&self, credential: &Credential) -> Option<ReplayKey> {
        let id = credential.payment_id.as_ref()?;
        let mut hash = Sha256::new();
        hash.update(b"groat/payment-identifier\0");
        hash.update(payer(credential));
        hash.update(id.as_str());
        Some(ReplayKey::from_bytes(hash.finalize().into()))
    }

    /// Judges a payment of `amount` without asking the chain: terms first, then the signature.
    ///
    /// Costs one signature recovery at most.
    pub fn check(
        &self,
        credential: &Credential,
        amount: Units,
        now_s: u64,
    ) -> Result<Proof, Refusal> {
        match &credential.payload {
            Payload::Eip3009(signed) => self.inner.exact.check(credential, signed, amount, now_s),
            Payload::Permit2(signed) => self
                .permit2(signed)
                .check(credential, signed, amount, now_s),
            Payload::Channel(payload) => {
                let rail = &self.inner.channel;
                rail.check(credential, payload, amount, now_s)
            }
            // Who signed was found out when it was read.
            Payload::Tempo(signed) => {
                let checked = self.tempo()?.check_terms(signed, amount, now_s);
                checked.map(|()| Proof::Payer)
            }
            // Whose voucher it is can be told when its channel is looked at.
            Payload::Session(signed) => {
                let checked = self.session()?.check_terms(signed);
                checked.map(|()| Proof::Payer)
            }
        }
    }

    /// Judges only who signed, whatever the payment is worth: for a look at what was bought before.
    pub fn check_signer(&self, credential: &Credential, now_s: u64) -> Result<Proof, Refusal> {
        match &credential.payload {
            Payload::Channel(payload) => {
                return self.inner.channel.check_signer(credential, payload);
            }
            // What they signed may be in the chain for everybody to copy: it tells not who sends it.
            Payload::Tempo(_) | Payload::Session(_) => {
                let digest = B256::ZERO;
                return Ok(Proof::ContractOnly { digest });
            }
            Payload::Eip3009(_) | Payload::Permit2(_) => {}
        }
        let amount = signed_amount(credential).ok_or(Refusal::Value)?;
        self.check(credential, amount, now_s)
    }

    /// Asks the chain, in one batch, whether a payment that passed [`Self::check`] will settle.
    pub async fn authorize(
        &self,
        credential: &Credential,
        amount: Units,
        proof: &Proof,
    ) -> Result<Authorized, AuthorizeFailure> {
        let payer = payer(credential);
        match &credential.payload {
            Payload::Eip3009(signed) => {
                let exact = &self.inner.exact;
                let authorize = |settle_when| exact.authorize(signed, amount, proof, settle_when);
                self.within_standing(payer, exact.settle_when(), true, authorize)
                    .await
            }
            Payload::Permit2(signed) => {
                let rail = self.permit2(signed);
                let authorize =
                    |settle_when| rail.authorize(credential, signed, amount, proof, settle_when);
                self.within_standing(payer, rail.settle_when(), rail.can_prepay(), authorize)
                    .await
            }
            Payload::Channel(payload) => {
                let rail = &self.inner.channel;
                rail.authorize(credential, payload, amount, proof).await
            }
            Payload::Tempo(signed) => self.tempo()?.authorize(signed, amount).await,
            Payload::Session(signed) => self.session()?.authorize(signed, amount).await,
        }
    }

    /// Which field of a credential is not as offered, where that can be told.
    pub fn mismatch(&self, credential: &Credential, amount: Units, now_s: u64) -> Refusal {
        if !self
            .inner
            .order
            .iter()
            .any(|kind| kinds(&credential.payload).contains(kind))
        {
            return Refusal::UnsupportedScheme(credential.scheme.clone());
        }
        let checked = match &credential.payload {
            Payload::Eip3009(signed) => {
                let exact = &self.inner.exact;
                exact.check_terms(credential, signed, amount, now_s)
            }
            Payload::Permit2(signed) => {
                let rail = self.permit2(signed);
                rail.check_terms(credential, signed, amount, now_s)
            }
            Payload::Channel(payload) => {
                let rail = &self.inner.channel;
                rail.check_terms(credential, payload, amount, now_s)
            }
            Payload::Tempo(signed) => {
                let rail = self.tempo();
                rail.and_then(|rail| rail.check_terms(signed, amount, now_s))
            }
            Payload::Session(signed) => self.session().and_then(|rail| rail.check_terms(signed)),
        };
        let why = checked.err().unwrap_or(Refusal::NoMatchingOffer);
        match &credential.payload {
            Payload::Tempo(signed) => signed.refused(why),
            _ => why,
        }
    }

    /// Whether a hold was made with this very credential, signature included.
    pub fn same_credential(&self, hold: &Hold, credential: &Credential) -> bool {
        super::stored::signature(hold)
            .is_some_and(|stored| stored.as_ref() == signature(credential))
    }

    /// Whether a payment may bring a transaction on chain before its call is held.
    pub fn deposits(&self, credential: &Credential) -> bool {
        match &credential.payload {
            Payload::Channel(payload) => payload.deposit().is_some(),
            Payload::Permit2(_) => self.inner.sponsoring.carries(&credential.extensions),
            Payload::Session(signed) => matches!(signed.action, Action::Open { .. }),
            Payload::Eip3009(_) | Payload::Tempo(_) => false,
        }
    }

    /// Gives a channel's payer back what was not charged; the credential passed
    /// [`Self::check_signer`].
    pub async fn refund(
        &self,
        credential: &Credential,
        proof: &Proof,
    ) -> Result<(SettleResponse, Value), AuthorizeFailure> {
        let Payload::Channel(payload) = &credential.payload else {
            return Err(Refusal::UnsupportedPayload.into());
        };
        let refunded = self.inner.channel.refund(payload, proof).await?;
        let outcome = Ok((refunded.amount, refunded.transaction.as_str()));
        let response = SettleResponse {
            extra: Some(refunded.extra),
            ..self.settle_response(refunded.payer, outcome, Version::V2)
        };
        Ok((response, refunded.body))
    }

    /// The rail of channels, for who looks after them: those of an earlier configuration too, when it
    /// is not offered any more.
    pub fn channels(&self) -> &ChannelRail {
        &self.inner.channel
    }

    fn offer(&self, kind: RailKind, amount: Units, price_row: &str) -> Option<Requirements> {
        match kind {
            RailKind::Exact => Some(self.inner.exact.offer(amount, price_row)),
            RailKind::ExactPermit2 => Some(self.inner.exact_permit2.offer(amount, price_row)),
            RailKind::Upto => Some(self.inner.upto.offer(amount, price_row)),
            RailKind::Channel => Some(self.inner.channel.offer(amount, price_row)),
            RailKind::TempoCharge => {
                let tempo = self.inner.tempo.as_ref();
                tempo.map(|rail| rail.offer(amount, price_row))
            }
            RailKind::TempoSession => {
                let session = self.inner.session.as_ref();
                session.map(|rail| rail.offer(price_row))
            }
        }
    }

    /// The rail of sessions, where there is an escrow for them: offered or not, its channels are looked after.
    pub fn session(&self) -> Result<&SessionRail, Refusal> {
        let rail = self.inner.session.as_ref();
        rail.ok_or_else(|| mpp::Refused::NotTaken.into())
    }

    fn tempo(&self) -> Result<&ChargeRail, Refusal> {
        let rail = self.inner.tempo.as_ref();
        rail.ok_or_else(|| mpp::Refused::NotTaken.into())
    }

    fn permit2(&self, signed: &permit2::Signed) -> &Permit2Rail {
        match signed.authorization.witness.facilitator {
            Some(_) => &self.inner.upto,
            None => &self.inner.exact_permit2,
        }
    }
}
