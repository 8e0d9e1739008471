//! `tempo/session` of MPP, version 1: a channel that its payer fills once, and vouchers over what its
//! calls really cost (draft-tempo-session).
//!
//! A call's hold reserves its ceiling in the channel. Its answer is metered as it passes, and vouchers
//! come while it does: mid-stream over what is certain to be billed, and at the end over the bill itself,
//! so that what the payer signs is the sum of its bills and nothing else. Its capture charges the
//! channel's account; what is left unsigned the next call's voucher must cover. A close pays what was
//! signed and gives the rest back.

mod close;
mod metered;
mod open;
mod watch;

pub(in crate::payment) use close::effect;
pub use close::{Managed, is_session, session_account};
pub use metered::{Metered, SettledUp};
pub(super) use open::Read;

use close::has_ended;

use super::judge::Judge;
use crate::chain::{ChainError, Head, Rpc, StreamChannel};
use crate::clock::now_ms;
use crate::config::{Config, RailKind};
use crate::ledger::{
    ChannelId, ChannelOnChain, ChannelState, ChannelUse, KeptVoucher, Ledger, LedgerError,
    PendingWithdrawal, ReplayKey, RequestHash, SettleWhen, Takes,
};
use crate::money::Units;
use crate::payment::authorized::{AuthorizeFailure, Authorized, PaidByChannel};
use crate::payment::channel::Gate;
use crate::payment::operation::Operations;
use crate::payment::rails::Payee;
use crate::protocol::channel::{Rule, Unfit};
use crate::protocol::eip712::Separator;
use crate::protocol::mpp::session::{self, Action, Session, Signed, Terms, Voucher};
use crate::protocol::mpp::{self, Refused, tempo};
use crate::protocol::x402::Requirements;
use crate::protocol::{Network, Refusal};
use alloy::primitives::{Address, B256};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, Notify};

/// What an offer of it is called within; x402 has no such scheme.
const SCHEME: &str = "tempo/session";

/// What a request raises a voucher by: the least there is. What it costs is signed for when that is known.
const UNIT: Units = Units::from_atomic(1);

/// How long the contract makes a payer wait between asking for its money and taking it.
const GRACE_SECONDS: u64 = 15 * 60;

/// How old what is known of a channel may be when a call is taken on it; the grace is many times that.
const FRESH: Duration = Duration::from_secs(120);

/// How often a node that is behind is asked again, and how long after.
const READS: u32 = 20;
const PAUSE: Duration = Duration::from_millis(100);
/// The longest pause, where it is asked until it answers.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// The rail; clones are the same.
#[derive(Debug, Clone)]
pub struct SessionRail {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    rpc: Rpc,
    ledger: Ledger,
    operations: Operations,
    payee: Payee,
    judge: Judge,
    escrow: Address,
    domain: Separator,
    suggested_deposit: Units,
    patience: Duration,
    gate: Gate,
    /// Held while an answer of the chain is compared with what is known and written down.
    observing: Mutex<()>,
    /// Channels that hold anything.
    live: std::sync::Mutex<BTreeSet<ChannelId>>,
    /// A voucher has come, on whatever channel.
    signed: Notify,
}

/// Why a channel is not known: the chain or the ledger did not say.
#[derive(Debug, thiserror::Error)]
enum Unread {
    #[error(transparent)]
    Chain(#[from] ChainError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error("a stored record cannot be read")]
    Record,
}

impl From<Unread> for AuthorizeFailure {
    fn from(error: Unread) -> Self {
        tracing::warn!(%error, "a channel cannot be read");
        Self::Unknown
    }
}

impl SessionRail {
    /// `None` where there is no escrow to keep channels. Where it is not offered any more, channels are
    /// looked after all the same.
    pub(in crate::payment) fn of(
        config: &Config,
        rpc: &Rpc,
        payee: &Payee,
        ledger: &Ledger,
        operations: &Operations,
    ) -> Option<Self> {
        let escrow = config.tempo.escrow?;
        let judge = Judge::of(config)?;
        Some(Self {
            inner: Arc::new(Inner {
                rpc: rpc.clone(),
                ledger: ledger.clone(),
                operations: operations.clone(),
                payee: payee.clone(),
                judge,
                escrow,
                domain: session::domain(payee.network, escrow),
                suggested_deposit: config.tempo.suggested_deposit,
                patience: config.tempo.voucher_patience,
                gate: Gate::default(),
                observing: Mutex::default(),
                live: std::sync::Mutex::default(),
                signed: Notify::new(),
            }),
        })
    }

    /// What a session asks for. Only who is paid can close a channel, so that is who sends transactions.
    pub(in crate::payment) fn session(&self) -> Session {
        Session {
            amount: UNIT,
            suggested_deposit: self.inner.suggested_deposit,
            currency: self.inner.payee.asset.address,
            recipient: self.inner.operations.sender(),
            network: self.inner.payee.network,
            escrow: self.inner.escrow,
        }
    }

    /// The same in the form of every other offer: the same for the same price row, always.
    pub(in crate::payment) fn offer(&self, price_row: &str) -> Requirements {
        self.offer_of(&self.session(), price_row)
    }

    /// What was accepted by who pays by this.
    pub(in crate::payment) fn offer_of(&self, session: &Session, price_row: &str) -> Requirements {
        let extra = [
            ("priceRow", Value::from(price_row)),
            ("escrow", json!(session.escrow)),
        ];
        let extra = extra.map(|(key, value)| (key.to_owned(), value));
        Requirements {
            scheme: SCHEME.to_owned(),
            network: session.network,
            amount: session.amount,
            asset: session.currency,
            pay_to: session.recipient,
            max_timeout_seconds: self.inner.payee.max_timeout_seconds,
            extra: Some(Map::from_iter(extra)),
        }
    }

    /// Reads what a credential does, and for whom.
    pub(in crate::payment) fn read(
        &self,
        credential: &mpp::Credential,
        network: Network,
    ) -> Result<Signed, Refused> {
        let action = session::action(credential)?;
        let payer = match &action {
            Action::Open { transaction, .. } | Action::TopUp { transaction, .. } => {
                self.inner.judge.sender(transaction)?
            }
            Action::Voucher(_) | Action::Close(_) => {
                tempo::named_payer(credential, network).ok_or(Refused::Source)?
            }
        };
        tempo::check_source(credential, network, payer)?;
        Ok(Signed {
            credential: credential.clone(),
            payer,
            action,
        })
    }

    /// What a voucher is spent under. A request raises it, so another call has another; the same one with
    /// the same request is the same call.
    pub(in crate::payment) fn replay_key(signed: &Signed, request: RequestHash) -> ReplayKey {
        let mut hash = Sha256::new();
        hash.update(b"groat/tempo-session\0");
        hash.update(signed.action.channel());
        let cumulative = signed.action.pays().map(|voucher| voucher.cumulative);
        hash.update(cumulative.unwrap_or_default().atomic().to_be_bytes());
        hash.update(request.as_bytes());
        ReplayKey::from_bytes(hash.finalize().into())
    }

    /// Judges what can be told without the channel.
    pub(in crate::payment) fn check_terms(&self, signed: &Signed) -> Result<(), Refusal> {
        let session = Session::from_request(&signed.credential.challenge.request);
        let session = session.ok_or(Refused::NotTaken)?;
        let ours = self.session();
        if session.network != ours.network {
            return Err(Refusal::Network);
        }
        let same = session.recipient == ours.recipient
            && session.currency == ours.currency
            && session.escrow == ours.escrow;
        match same {
            true => Ok(()),
            false => Err(Refusal::Recipient),
        }
    }

    /// Takes a voucher for a call; with the channel, if that is opened for it.
    pub(in crate::payment) async fn authorize(
        &self,
        signed: &Signed,
        ceiling: Units,
    ) -> Result<Authorized, AuthorizeFailure> {
        let voucher = signed.action.pays();
        let voucher = voucher.ok_or(Refusal::UnsupportedPayload)?;
        let channel = channel_id(voucher.channel);
        let lease = self.inner.gate.enter(channel);
        let lease = lease.ok_or(Refused::ChannelClosed).map_err(Refusal::from)?;
        let state = match &signed.action {
            Action::Open { transaction, .. } => {
                self.open(transaction, voucher, signed.payer, ceiling)
                    .await?
            }
            _ => self.known(channel).await?,
        };
        let state = self.fresh(state).await?;
        if has_ended(&state) {
            return Err(Refusal::from(Refused::ChannelClosed).into());
        }
        self.check_voucher(&state, voucher, signed.payer)?;
        Ok(Authorized {
            rail: RailKind::TempoSession,
            payer: signed.payer,
            settle_when: SettleWhen::ByClaim,
            takes: Takes::Charged,
            stored: json!({}),
            reservation: None,
            channel: Some(PaidByChannel {
                used: ChannelUse {
                    channel,
                    rule: Rule::Metered,
                    base: voucher.cumulative,
                    max_claimable: voucher.cumulative,
                    signature: hexadecimal(&voucher.signature),
                },
                deposit: None,
                lease: Some(Arc::new(lease)),
            }),
            end_waits: false,
            sent: None,
        })
    }

    /// Keeps a voucher that comes without a call, and lets go on who waits for it.
    async fn keep(
        &self,
        signed: &Signed,
        voucher: &Voucher,
    ) -> Result<ChannelState, AuthorizeFailure> {
        let state = self.live(channel_id(voucher.channel)).await?;
        self.check_voucher(&state, voucher, signed.payer)?;
        let kept = KeptVoucher {
            max_claimable: voucher.cumulative,
            signature: hexadecimal(&voucher.signature),
        };
        let ledger = &self.inner.ledger;
        let state = ledger
            .sign_channel(state.opening.channel, kept, now_ms())
            .await
            .map_err(Unread::from)?;
        self.inner.signed.notify_waiters();
        Ok(state)
    }

    /// A channel of ours that the ledger knows.
    async fn known(&self, channel: ChannelId) -> Result<ChannelState, AuthorizeFailure> {
        let state = self.inner.ledger.channel(&channel).await;
        let state = state
            .map_err(Unread::from)?
            .filter(|state| self.keeps(state));
        state.ok_or_else(|| Refusal::from(Refused::NoChannel).into())
    }

    /// The same, if it has not ended.
    async fn live(&self, channel: ChannelId) -> Result<ChannelState, AuthorizeFailure> {
        let state = self.known(channel).await?;
        match has_ended(&state) {
            true => Err(Refusal::from(Refused::ChannelClosed).into()),
            false => Ok(state),
        }
    }

    fn keeps(&self, state: &ChannelState) -> bool {
        state.opening.contract == format!("{:#x}", self.inner.escrow)
    }

    fn check_voucher(
        &self,
        state: &ChannelState,
        voucher: &Voucher,
        payer: Address,
    ) -> Result<(), AuthorizeFailure> {
        let terms = terms_of(state).ok_or(AuthorizeFailure::Unknown)?;
        if terms.payer != payer {
            return Err(Refusal::from(Refused::Source).into());
        }
        if voucher.cumulative > state.on_chain.balance {
            return Err(AuthorizeFailure::Channel {
                reason: Refused::AboveDeposit.into(),
                state: Box::new(state.clone()),
            });
        }
        let signer = voucher.signer(self.inner.domain).map_err(Refusal::from)?;
        match signer == terms.signer() {
            true => Ok(()),
            false => Err(Refusal::Signature("it is another key's".to_owned()).into()),
        }
    }

    /// The same, if what is known of it is not old; else as the chain has it now.
    async fn fresh(&self, state: ChannelState) -> Result<ChannelState, Unread> {
        let fresh = u64::try_from(FRESH.as_millis()).unwrap_or(u64::MAX);
        match now_ms().saturating_sub(state.on_chain.at_ms) < fresh {
            true => Ok(state),
            false => self.observe(state.opening.channel).await,
        }
    }

    /// Writes down what the chain says of a channel.
    async fn observe(&self, channel: ChannelId) -> Result<ChannelState, Unread> {
        let ledger = &self.inner.ledger;
        let _one_at_a_time = self.inner.observing.lock().await;
        let state = ledger.channel(&channel).await?.ok_or(Unread::Record)?;
        let (head, read) = self.read_channel(channel).await?;
        if head.number() < state.on_chain.block {
            return Ok(state);
        }
        let mut paid = state.on_chain.total_claimed;
        if read.finalized {
            // The contract has forgotten how much that was.
            let (rpc, escrow) = (&self.inner.rpc, self.inner.escrow);
            let id = B256::from(*channel.as_bytes());
            let ended = rpc.stream_ended(escrow, id, state.on_chain.block).await?;
            paid = paid.max(Units::from_atomic(ended.unwrap_or_default()));
        }
        let seen = on_chain(&read, paid, &head);
        let observed = ledger.observe_channel(channel, seen).await?;
        self.look_for(&observed);
        Ok(observed)
    }

    async fn read_channel(&self, channel: ChannelId) -> Result<(Head, StreamChannel), Unread> {
        let (head, read) = self.read_channels(&[channel]).await?;
        let one = read.into_iter().next().ok_or(Unread::Record)?;
        Ok((head, one))
    }

    async fn read_channels(
        &self,
        channels: &[ChannelId],
    ) -> Result<(Head, Vec<StreamChannel>), Unread> {
        let ids: Vec<B256> = channels
            .iter()
            .map(|id| B256::from(*id.as_bytes()))
            .collect();
        let (rpc, escrow) = (&self.inner.rpc, self.inner.escrow);
        Ok(rpc.stream_channels(escrow, &ids).await?)
    }
}

/// The chain's word in the ledger's form, of a channel out of which so much was paid at least.
fn on_chain(read: &StreamChannel, paid: Units, head: &Head) -> ChannelOnChain {
    let deposit = Units::from_atomic(read.deposit);
    let settled = paid.max(Units::from_atomic(read.settled));
    let asked = read.close_requested_at_s != 0 && !read.finalized;
    ChannelOnChain {
        balance: if read.finalized { settled } else { deposit },
        total_claimed: settled,
        refund_nonce: 0,
        withdrawal: asked.then(|| PendingWithdrawal {
            amount: deposit.minus(settled).unwrap_or_default(),
            finalize_after_s: read.close_requested_at_s.saturating_add(GRACE_SECONDS),
        }),
        block: head.number(),
        at_ms: now_ms(),
    }
}

/// Why the ledger does not take a call that may cost so much.
pub fn unfit_for_session(unfit: Unfit, ceiling: Units) -> Refusal {
    let refused = match unfit {
        Unfit::Mismatch | Unfit::BelowClaimed => Refused::Unsigned,
        Unfit::ExceedsBalance => Refused::DepositTooSmall(ceiling),
        Unfit::Busy => Refused::ChannelBusy,
        // Its payer asks for all that is in it.
        Unfit::NotFound => Refused::ChannelClosed,
    };
    refused.into()
}

/// The ledger's form of a channel's id.
fn channel_id(channel: B256) -> ChannelId {
    ChannelId::from_bytes(channel.0)
}

/// What a channel is, as it was opened.
fn terms_of(state: &ChannelState) -> Option<Terms> {
    serde_json::from_value(state.opening.config.clone()).ok()
}

fn hexadecimal(bytes: &[u8]) -> String {
    format!("0x{}", hex::encode(bytes))
}
