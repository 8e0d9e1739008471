//! x402 by Permit2: `exact` for tokens without EIP-3009, and `upto`, which captures the bill alone.

use super::approval::Sponsoring;
use super::authorized::{AuthorizeFailure, Authorized};
use super::exposure::{Draws, Exposure, Full, Reservation, Settles};
use super::rails::Payee;
use super::stored::StoredPermit;
use crate::chain::bindings::Eip2612Permit;
use crate::chain::{PermitPreflight, PermitTransfer, Rpc};
use crate::clock::now_ms;
use crate::config::{ContractsConfig, RailKind};
use crate::ledger::{ReplayKey, SettleWhen, Takes};
use crate::money::Units;
use crate::protocol::eip712::Separator;
use crate::protocol::eip3009::Proof;
use crate::protocol::permit2::eip2612::{self, TokenDomain};
use crate::protocol::permit2::erc20_approval;
use crate::protocol::permit2::{self, METHOD, Refused, Signed, Terms, UPTO};
use crate::protocol::x402::{Credential, EXACT, Requirements};
use crate::protocol::{Network, Refusal};
use alloy::primitives::{Address, U256};
use serde_json::{Map, Value};

/// One of the two rails, with everything it needs to judge a payment.
#[derive(Debug, Clone)]
pub(super) struct Permit2Rail {
    rpc: Rpc,
    payee: Payee,
    permit2: Address,
    /// Permit2's.
    domain: Separator,
    proxy: Address,
    /// Who alone may settle: `upto` has one, `exact` has none.
    facilitator: Option<Address>,
    /// The account that calls the proxy.
    caller: Address,
    settle_when: SettleWhen,
    exposure: Exposure,
    sponsoring: Sponsoring,
}

impl Permit2Rail {
    /// `upto`, settled by `facilitator`, a relayer or the settler.
    pub(super) fn upto(
        rpc: Rpc,
        payee: Payee,
        contracts: &ContractsConfig,
        facilitator: Address,
        exposure: Exposure,
        sponsoring: Sponsoring,
    ) -> Self {
        Self {
            rpc,
            domain: Separator::of_permit2(payee.network, contracts.permit2),
            payee,
            permit2: contracts.permit2,
            proxy: contracts.upto_proxy,
            facilitator: Some(facilitator),
            caller: facilitator,
            settle_when: SettleWhen::After,
            exposure,
            sponsoring,
        }
    }

    /// `exact`, which anybody may settle; `caller` is who does.
    pub(super) fn exact(
        rpc: Rpc,
        payee: Payee,
        contracts: &ContractsConfig,
        caller: Address,
        settle_when: SettleWhen,
        exposure: Exposure,
        sponsoring: Sponsoring,
    ) -> Self {
        Self {
            rpc,
            domain: Separator::of_permit2(payee.network, contracts.permit2),
            payee,
            permit2: contracts.permit2,
            proxy: contracts.exact_proxy,
            facilitator: None,
            caller,
            settle_when,
            exposure,
            sponsoring,
        }
    }

    /// The offer of one amount at one price row (x402 scheme_exact_evm and scheme_upto_evm).
    pub(super) fn offer(&self, amount: Units, price_row: &str) -> Requirements {
        let facilitator = self.facilitator.map(|address| address.to_checksum(None));
        let extra = [
            ("name", self.payee.asset.name.as_str()),
            ("version", &self.payee.asset.version),
            ("assetTransferMethod", METHOD),
            (
                "facilitatorAddress",
                facilitator.as_deref().unwrap_or_default(),
            ),
            ("priceRow", price_row),
        ];
        let extra: Map<String, Value> = extra
            .into_iter()
            .filter(|(_, text)| !text.is_empty())
            .map(|(key, text)| (key.to_owned(), Value::from(text)))
            .collect();
        let scheme = if self.facilitator.is_some() {
            UPTO
        } else {
            EXACT
        };
        Requirements {
            scheme: scheme.to_owned(),
            network: self.payee.network,
            amount,
            asset: self.payee.asset.address,
            pay_to: self.payee.pay_to,
            max_timeout_seconds: self.payee.max_timeout_seconds,
            extra: Some(extra),
        }
    }

    /// When the operator wants payments settled; `upto` knows its amount only afterwards.
    pub(super) fn settle_when(&self) -> SettleWhen {
        self.settle_when
    }

    /// Whether its payments can be settled beforehand too.
    pub(super) fn can_prepay(&self) -> bool {
        self.facilitator.is_none()
    }

    pub(super) fn replay_key(&self, network: Network, signed: &Signed) -> ReplayKey {
        let authorization = &signed.authorization;
        let (from, nonce) = (authorization.from, authorization.nonce);
        ReplayKey::from_bytes(permit2::replay_key(network, self.permit2, from, nonce))
    }

    pub(super) fn check(
        &self,
        credential: &Credential,
        signed: &Signed,
        amount: Units,
        now_s: u64,
    ) -> Result<Proof, Refusal> {
        self.check_terms(credential, signed, amount, now_s)?;
        let proof = permit2::check_signature(signed, &self.terms(amount))?;
        if let Some(permit) = eip2612::extract(&credential.extensions).map_err(Refused::from)? {
            let authorization = &signed.authorization;
            let (owner, permitted) = (authorization.from, &authorization.permitted);
            eip2612::check_terms(&permit.permit, owner, permitted, self.permit2, now_s)
                .map_err(Refused::from)?;
            eip2612::check_signature(&permit, &self.token()).map_err(Refused::from)?;
        }
        Ok(proof)
    }

    pub(super) fn check_terms(
        &self,
        credential: &Credential,
        signed: &Signed,
        amount: Units,
        now_s: u64,
    ) -> Result<(), Refusal> {
        if credential.network != self.payee.network {
            return Err(match self.facilitator {
                Some(_) => Refused::UptoNetwork.into(),
                None => Refusal::Network,
            });
        }
        permit2::check_terms(signed, &self.terms(amount), now_s)?;
        match self.suffices(signed.authorization.deadline, now_s) {
            true => Ok(()),
            false => Err(Refused::Expired.into()),
        }
    }

    /// Whether a signature that expires then leaves time for an answer and its settlement.
    fn suffices(&self, expires_s: U256, now_s: u64) -> bool {
        let lifetime = self.payee.lifetime;
        lifetime.suffices(expires_s, self.settle_when, now_s)
    }

    /// `settle_when` is the operator's choice, or `before` for a payer who must prepay.
    pub(super) async fn authorize(
        &self,
        credential: &Credential,
        signed: &Signed,
        amount: Units,
        proof: &Proof,
        settle_when: SettleWhen,
    ) -> Result<Authorized, AuthorizeFailure> {
        let authorization = &signed.authorization;
        let permit = eip2612::extract(&credential.extensions)
            .map_err(|e| Refusal::from(Refused::from(e)))?;
        let mut transfer = PermitTransfer {
            permit2: self.permit2,
            proxy: self.proxy,
            asset: self.payee.asset.address,
            owner: authorization.from,
            to: authorization.witness.to,
            amount: authorization.permitted.amount,
            nonce: authorization.nonce,
            deadline: authorization.deadline,
            valid_after: authorization.witness.valid_after,
            facilitator: authorization.witness.facilitator,
            signature: permit2::settling_signature(&signed.signature).into(),
            digest: permit2::digest(authorization, &self.terms(amount)),
            permit2612: permit.as_ref().map(split),
        };
        let payer = authorization.from;
        let mut preflight = self.preflight(&transfer).await?;
        if !allowed(&preflight, transfer.amount, permit.as_ref())
            && let Some(approvals) = self.sponsoring.approvals()
            && let Some(approval) = erc20_approval::extract(&credential.extensions)
                .map_err(|e| Refusal::from(Refused::from(e)))?
        {
            let _turn = approvals.turn(payer).await;
            preflight = self.preflight(&transfer).await?;
            judge_payer(&preflight, proof, transfer.amount)?;
            if preflight.allowance < transfer.amount {
                // No coin for who could not owe this payment then.
                let draws = Draws::Allowance(U256::MAX);
                let balance = preflight.balance;
                let room = self.reserve(payer, amount, balance, settle_when, draws);
                drop(room.map_err(Refusal::from)?);
                let permitted = &authorization.permitted;
                approvals.carry(&approval, payer, permitted).await?;
                preflight = self.preflight(&transfer).await?;
            }
        }
        judge(&preflight, proof, transfer.amount, permit.as_ref())?;
        // An allowance that stands needs no permit, and a permit's nonce may be gone by then.
        let by_permit = preflight.allowance < transfer.amount;
        match &permit {
            Some(permit) if by_permit => {
                if !self.suffices(permit.permit.deadline, now_ms() / 1000) {
                    let expired = Refused::from(eip2612::Refused::Expired);
                    return Err(AuthorizeFailure::Refused(expired.into()));
                }
            }
            _ => transfer.permit2612 = None,
        }
        let draws = match by_permit {
            true => Draws::OwnPermit,
            false => Draws::Allowance(preflight.allowance),
        };
        let (settle_when, reservation) = self
            .reserve(payer, amount, preflight.balance, settle_when, draws)
            .map_err(|full| AuthorizeFailure::Refused(full.into()))?;
        let (rail, takes) = match self.facilitator {
            Some(_) => (RailKind::Upto, Takes::Charged),
            None => (RailKind::ExactPermit2, Takes::Held),
        };
        let stored = StoredPermit::of(&transfer, preflight.head.number());
        Ok(Authorized {
            rail,
            payer,
            settle_when,
            takes,
            stored: stored.to_json(&signed.signature),
            reservation: Some(reservation),
            channel: None,
            end_waits: by_permit,
            sent: None,
        })
    }

    fn reserve(
        &self,
        payer: Address,
        amount: Units,
        balance: U256,
        settle_when: SettleWhen,
        draws: Draws,
    ) -> Result<(SettleWhen, Reservation), Full> {
        let exposure = &self.exposure;
        if self.can_prepay() {
            return exposure.reserve_exact(payer, amount, balance, settle_when, draws);
        }
        let settles = Settles::Afterwards;
        let reserved = exposure.reserve(payer, amount, balance, settles, draws);
        Ok((SettleWhen::After, reserved?))
    }

    async fn preflight(
        &self,
        transfer: &PermitTransfer,
    ) -> Result<PermitPreflight, AuthorizeFailure> {
        let preflight = self.rpc.permit_preflight(transfer, self.caller).await;
        preflight.map_err(|error| {
            tracing::warn!(%error, "the chain cannot be asked about a payment");
            AuthorizeFailure::Unknown
        })
    }

    fn terms(&self, amount: Units) -> Terms {
        Terms {
            domain: self.domain,
            asset: self.payee.asset.address,
            pay_to: self.payee.pay_to,
            amount,
            proxy: self.proxy,
            facilitator: self.facilitator,
        }
    }

    fn token(&self) -> TokenDomain {
        TokenDomain {
            network: self.payee.network,
            asset: self.payee.asset.address,
            name: self.payee.asset.name.clone(),
            version: self.payee.asset.version.clone(),
        }
    }
}

/// The form in which the proxies take an EIP-2612 permit.
fn split(signed: &eip2612::Signed) -> Eip2612Permit {
    Eip2612Permit {
        value: signed.permit.amount,
        deadline: signed.permit.deadline,
        r: signed.signature.r(),
        s: signed.signature.s(),
        v: signed.signature.v(),
    }
}

/// Turns what the chain said into the SDKs' reasons, the most telling one first.
fn judge(
    preflight: &PermitPreflight,
    proof: &Proof,
    amount: U256,
    permit: Option<&eip2612::Signed>,
) -> Result<(), Refusal> {
    judge_payer(preflight, proof, amount)?;
    if !allowed(preflight, amount, permit) {
        return Err(Refused::AllowanceRequired.into());
    }
    match &preflight.simulation {
        Ok(()) => Ok(()),
        Err(reason) => {
            tracing::info!(%reason, "a payment's simulation reverted");
            Err(Refused::of_revert(reason.data())
                .unwrap_or(Refused::SimulationFailed)
                .into())
        }
    }
}

/// Everything that does not hang on an allowance.
fn judge_payer(preflight: &PermitPreflight, proof: &Proof, amount: U256) -> Result<(), Refusal> {
    if !preflight.asset_has_code {
        return Err(Refusal::AssetNotContract);
    }
    if !preflight.proxy_has_code || !preflight.permit2_has_code {
        return Err(Refused::ProxyNotDeployed.into());
    }
    // An account with code is asked, and only it: a delegated key's own signature is no fallback.
    let signed = match preflight.contract_signature_valid {
        Some(valid) => valid,
        None => matches!(proof, Proof::Payer),
    };
    if !signed {
        return Err(Refused::Signature("it is another key's".to_owned()).into());
    }
    if preflight.nonce_used {
        return Err(Refused::NonceUsed.into());
    }
    if preflight.balance < amount {
        return Err(Refused::InsufficientBalance.into());
    }
    Ok(())
}

/// Whether Permit2 may move the amount, by what stands or by the permit that comes along.
fn allowed(preflight: &PermitPreflight, amount: U256, permit: Option<&eip2612::Signed>) -> bool {
    let permitted = |signed: &eip2612::Signed| preflight.eip2612_nonce == Some(signed.permit.nonce);
    preflight.allowance >= amount || permit.is_some_and(permitted)
}

impl From<Full> for Refusal {
    fn from(full: Full) -> Self {
        match full {
            Full::Balance => Refused::InsufficientBalance.into(),
            Full::Limit => Self::UnsettledLimit,
            Full::Allowance => Refused::AllowanceRequired.into(),
        }
    }
}
