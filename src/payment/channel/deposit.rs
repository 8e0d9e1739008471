//! A deposit on its way into a channel: it is made only for a call that it will pay for, once, and the
//! call waits for it.

use super::authorize::Paying;
use super::job::{Once, StoredJob};
use super::{ChannelRail, permit};
use crate::chain::bindings::IBatchSettlement;
use crate::chain::{Authorization, ChannelPreflight, DepositCall, Head, SignedDigest};
use crate::clock::now_ms;
use crate::ledger::{
    ChannelState, Operation, OperationId, OperationKind, OperationState, Settlement,
};
use crate::money::Units;
use crate::payment::authorized::AuthorizeFailure;
use crate::protocol::channel::{
    self, Account, Deposit, Refused, check_deposit_signature, deposit_digest, erc3009_nonce,
};
use crate::protocol::eip3009::Proof;
use crate::protocol::permit2::{eip2612, erc20_approval};
use crate::protocol::x402::Credential;
use alloy::primitives::{Bytes, U256};
use alloy::sol_types::SolCall;
use sha2::{Digest, Sha256};

/// How often one deposit is tried that failed before: its authorization may still be good.
const TRIES: u8 = 8;

impl ChannelRail {
    /// Makes the deposit, unless that was done before, and judges the voucher by what it brought.
    pub(super) async fn authorize_deposit(
        &self,
        credential: &Credential,
        paying: &Paying<'_>,
        deposit: &Deposit,
    ) -> Result<Option<(String, Units)>, AuthorizeFailure> {
        let permit = permit(credential)?;
        let call = self.deposit_call(paying, deposit, permit.as_ref());
        let preflight = self.look(paying, Some(call.clone())).await?;
        let asked = preflight.deposit.as_ref();
        let asked = asked.ok_or(AuthorizeFailure::Unknown)?;
        if asked.spent {
            return self.made_before(paying, &call, deposit).await;
        }
        let known = self.adopted(paying, &preflight).await?;
        let account = account(known.as_ref(), paying);
        // It is not made for a voucher that would be refused.
        let with_deposit = Account {
            balance: account.balance.plus(deposit.amount).unwrap_or_default(),
            ..account
        };
        paying.judge(&with_deposit, known.as_ref())?;
        if let Err(refused) = self.judge_deposit(paying, deposit, &preflight, permit.is_some()) {
            // The chain is not read in one moment: what was unspent may have been made meanwhile, and then
            // nothing of it can be made again.
            let again = self.look(paying, Some(call.clone())).await?;
            if again.deposit.is_some_and(|asked| asked.spent) {
                return self.made_before(paying, &call, deposit).await;
            }
            return Err(match refused {
                Refused::Permit2Allowance if sends_approval(credential) => {
                    Refused::Erc20ApprovalUnavailable.into()
                }
                other => other.into(),
            });
        }
        if known.is_none() {
            let (state, head) = (&preflight.state, preflight.head);
            self.open(paying.config, state, head, paying.used.base)
                .await?;
        }
        let state = self.make(paying, &call, preflight.head).await?;
        match &state.settlement {
            Settlement::Confirmed { block, .. } => {
                let filled = self.refresh_from(paying.used.channel, *block).await?;
                paying.judge(&filled.account(), Some(&filled))?;
                Ok(made(&state, deposit))
            }
            Settlement::Failed { reason, .. } => Err(match reason.split(':').next() {
                Some("simulation_reverted") => Refused::DepositSimulation.into(),
                _ => Refused::DepositTransaction.into(),
            }),
            Settlement::None | Settlement::Sent { .. } => Err(AuthorizeFailure::Unknown),
        }
    }

    /// Judges the voucher of a deposit that was made already: by a lost answer's copy, or before we
    /// stopped. It is in the channel by now, but may not have been when the channel was read beside it.
    async fn made_before(
        &self,
        paying: &Paying<'_>,
        call: &DepositCall,
        deposit: &Deposit,
    ) -> Result<Option<(String, Units)>, AuthorizeFailure> {
        let before = self.tried(call).await?;
        let preflight = self.look(paying, None).await?;
        let known = self.adopted(paying, &preflight).await?;
        paying.judge(&account(known.as_ref(), paying), known.as_ref())?;
        Ok(before.and_then(|state| made(&state, deposit)))
    }

    /// Wants the deposit and waits for it; a copy of it that is under way is waited for instead.
    async fn make(
        &self,
        paying: &Paying<'_>,
        call: &DepositCall,
        head: Head,
    ) -> Result<OperationState, AuthorizeFailure> {
        let job = StoredJob::Deposit {
            calldata: call.calldata.clone(),
            once: Once::of(call.authorization, head.number()),
        };
        let mut operation = Operation {
            id: operation_id(call, 0),
            kind: OperationKind::Deposit,
            channels: vec![paying.used.channel],
            calls: Vec::new(),
            job: serde_json::json!(job),
            at_ms: now_ms(),
        };
        for turn in 0..TRIES {
            operation.id = operation_id(call, turn);
            let state = self.inner.ledger.operation(&operation.id).await?;
            match state.map(|state| state.settlement) {
                Some(Settlement::Failed { .. }) => {}
                // Not spent, says the node, though we saw it happen: one of the two is behind.
                Some(Settlement::Confirmed { .. }) => return Err(AuthorizeFailure::Unknown),
                None | Some(Settlement::None | Settlement::Sent { .. }) => {
                    let job = self.job(&operation).await;
                    let job = job.ok_or(AuthorizeFailure::Unknown)?;
                    return Ok(self.inner.operations.run(operation, job).await?);
                }
            }
        }
        Err(Refused::DepositTransaction.into())
    }

    /// The last operation that tried to make this deposit.
    async fn tried(&self, call: &DepositCall) -> Result<Option<OperationState>, AuthorizeFailure> {
        let mut last = None;
        for turn in 0..TRIES {
            match self
                .inner
                .ledger
                .operation(&operation_id(call, turn))
                .await?
            {
                Some(state) => last = Some(state),
                None => break,
            }
        }
        Ok(last)
    }

    /// The contract's `deposit`, and what keeps it once.
    fn deposit_call(
        &self,
        paying: &Paying<'_>,
        deposit: &Deposit,
        permit: Option<&eip2612::Signed>,
    ) -> DepositCall {
        let terms = self.terms(Units::ZERO);
        let config = paying.config;
        let call = IBatchSettlement::depositCall {
            config: super::job::bound(config),
            amount: deposit.amount.atomic(),
            collector: terms.collector(deposit.method()),
            collectorData: deposit.collector_data(permit).into(),
        };
        let (authorization, signature) = match &deposit.authorization {
            channel::Authorization::Erc3009(signed) => (
                Authorization::Eip3009 {
                    asset: config.token,
                    from: config.payer,
                    nonce: erc3009_nonce(paying.voucher.channel_id, signed.salt),
                },
                &signed.signature,
            ),
            channel::Authorization::Permit2(signed) => (
                Authorization::Permit2 {
                    permit2: terms.permit2,
                    owner: config.payer,
                    nonce: signed.nonce,
                    // Filled in once the chain said that it is unspent.
                    after_block: 0,
                },
                &signed.signature,
            ),
        };
        DepositCall {
            calldata: call.abi_encode().into(),
            authorization,
            signed: SignedDigest {
                digest: deposit_digest(config, deposit, &terms),
                signature: Bytes::copy_from_slice(signature),
            },
            permit2: match deposit.method() {
                channel::Method::Permit2 => Some(terms.permit2),
                channel::Method::Eip3009 => None,
            },
        }
    }

    /// Turns what the chain said of a deposit into the SDKs' reasons, the most telling one first.
    fn judge_deposit(
        &self,
        paying: &Paying<'_>,
        deposit: &Deposit,
        preflight: &ChannelPreflight,
        permitted: bool,
    ) -> Result<(), Refused> {
        let Some(asked) = &preflight.deposit else {
            return Err(Refused::StateUnavailable);
        };
        let signed = match asked.contract_signature_valid {
            Some(valid) => valid,
            None => {
                let terms = self.terms(Units::ZERO);
                check_deposit_signature(paying.config, deposit, &terms)? == Proof::Payer
            }
        };
        if !signed {
            let why = "it is another key's".to_owned();
            return Err(match deposit.method() {
                channel::Method::Eip3009 => Refused::ReceiveSignature(why),
                channel::Method::Permit2 => Refused::Permit2Signature(why),
            });
        }
        let amount = U256::from(deposit.amount.atomic());
        if preflight.balance < amount {
            return Err(Refused::InsufficientBalance);
        }
        if asked.allowance.is_some_and(|allowed| allowed < amount) && !permitted {
            return Err(Refused::Permit2Allowance);
        }
        asked.simulation.as_ref().copied().map_err(|reason| {
            tracing::info!(%reason, "a deposit's simulation reverted");
            Refused::DepositSimulation
        })
    }
}

/// The channel's account; of one that there is no book of, what its payer's own word makes it.
fn account(known: Option<&ChannelState>, paying: &Paying<'_>) -> Account {
    match known {
        Some(state) => state.account(),
        None => Account::adopted(Units::ZERO, Units::ZERO, paying.used.base),
    }
}

/// Whether the payer signed an approval transaction for us to send, which is done for calls' own
/// payments only.
fn sends_approval(credential: &Credential) -> bool {
    credential.extensions.contains_key(erc20_approval::KEY)
}

/// What a confirmed operation brought in.
fn made(state: &OperationState, deposit: &Deposit) -> Option<(String, Units)> {
    match &state.settlement {
        Settlement::Confirmed { transaction, .. } => Some((transaction.clone(), deposit.amount)),
        _ => None,
    }
}

/// The name of a try at a deposit: it follows from what keeps the deposit once, so that copies meet.
fn operation_id(call: &DepositCall, turn: u8) -> OperationId {
    let mut hash = Sha256::new();
    hash.update(b"groat/channel-deposit\0");
    match call.authorization {
        Authorization::Eip3009 { asset, from, nonce } => {
            hash.update(asset);
            hash.update(from);
            hash.update(nonce);
        }
        Authorization::Permit2 {
            permit2,
            owner,
            nonce,
            ..
        } => {
            hash.update(permit2);
            hash.update(owner);
            hash.update(nonce.to_be_bytes::<32>());
        }
        Authorization::Repeatable { .. } => hash.update(&call.calldata),
    }
    hash.update([turn]);
    let digest: [u8; 32] = hash.finalize().into();
    let [id, _] = digest.as_chunks::<16>().0 else {
        return OperationId::from_bytes([0; 16]);
    };
    OperationId::from_bytes(*id)
}
