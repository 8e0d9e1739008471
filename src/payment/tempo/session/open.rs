//! Channels are filled by transactions that their payers signed whole: read before they are sent, wanted
//! in the ledger before that, and taken into the books when the chain has them.

use super::{PAUSE, PAUSE_MAX, READS, SessionRail, Unread, channel_id, on_chain};
use crate::chain::bindings::{IEip3009Token, IStreamChannel};
use crate::chain::{ChainError, Expect, ExpectedLog, Handed, Receipt};
use crate::clock::now_ms;
use crate::ledger::{
    ChannelOpening, ChannelState, LedgerError, Operation, OperationId, OperationKind,
    OperationState, Settlement,
};
use crate::money::Units;
use crate::payment::authorized::AuthorizeFailure;
use crate::payment::channel::Effect;
use crate::payment::tempo::stored::in_time;
use crate::protocol::Refusal;
use crate::protocol::mpp::Refused;
use crate::protocol::mpp::session::{Terms, Voucher};
use alloy::primitives::{Address, B256, Bytes, U256};
use alloy::sol_types::{SolCall, SolEvent};
use serde::{Deserialize, Serialize};

/// A payer's transaction, as it was read.
#[derive(Debug)]
pub(in crate::payment::tempo) struct Read {
    /// Who signed it.
    pub(in crate::payment::tempo) sender: Address,
    /// What it calls.
    pub(in crate::payment::tempo) calls: Vec<(Address, Bytes)>,
    /// Complete.
    pub(in crate::payment::tempo) raw: Bytes,
    /// Its hash.
    pub(in crate::payment::tempo) transaction: B256,
    /// In Unix seconds.
    pub(in crate::payment::tempo) valid_before: u64,
}

/// What an operation that fills a channel keeps.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct StoredDeposit {
    transaction: B256,
    raw: Bytes,
    valid_before: u64,
    /// The channel's contract, and which event says that it was filled.
    escrow: Address,
    event: B256,
    channel: B256,
    /// How much it puts in.
    amount: Units,
    /// What the channel is, where this opens it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    opens: Option<ChannelOpening>,
}

impl StoredDeposit {
    pub(super) fn effect_of(operation: &Operation) -> Option<Effect> {
        let stored: Self = serde_json::from_value(operation.job.clone()).ok()?;
        Some(Effect::Deposit {
            channel: channel_id(stored.channel),
            amount: stored.amount,
        })
    }

    pub(super) fn handed(&self) -> Handed {
        Handed {
            transaction: self.transaction,
            raw: Some(self.raw.clone()),
            valid_before: Some(self.valid_before),
            expect: Expect::Logs(vec![ExpectedLog {
                emitter: self.escrow,
                topics: vec![self.event, self.channel],
            }]),
        }
    }
}

impl SessionRail {
    /// Opens the channel of a first voucher; one that is open already is only looked at.
    pub(super) async fn open(
        &self,
        transaction: &[u8],
        voucher: &Voucher,
        payer: Address,
        ceiling: Units,
    ) -> Result<ChannelState, AuthorizeFailure> {
        let channel = channel_id(voucher.channel);
        let known = self.inner.ledger.channel(&channel).await;
        if let Some(state) = known.map_err(Unread::from)? {
            return Ok(state);
        }
        let read = self.inner.judge.read(transaction).map_err(Refusal::from)?;
        let (terms, deposit) = self.opened_by(&read)?;
        let (network, escrow) = (self.inner.payee.network, self.inner.escrow);
        if terms.id(network, escrow) != voucher.channel || terms.payer != payer {
            return Err(wrong("it opens another channel than the voucher's").into());
        }
        let signer = voucher.signer(self.inner.domain).map_err(Refusal::from)?;
        if signer != terms.signer() {
            return Err(Refusal::Signature("it is another key's".to_owned()).into());
        }
        // Refused before anything is sent: what is in the channel then could not be used.
        if deposit < ceiling.max(voucher.cumulative) {
            return Err(Refusal::from(Refused::DepositTooSmall(ceiling)).into());
        }
        let opening = ChannelOpening {
            channel,
            payer: format!("{:#x}", terms.payer),
            network: network.to_string(),
            contract: format!("{escrow:#x}"),
            asset: format!("{:#x}", terms.token),
            asset_decimals: self.inner.payee.asset.decimals,
            receiver: format!("{:#x}", terms.payee),
            config: serde_json::json!(terms),
            at_ms: now_ms(),
        };
        let filling = (voucher.channel, deposit);
        self.fill(&read, filling, Some(opening)).await?;
        self.known(channel).await
    }

    /// Takes a channel that was opened into the books, however long the chain cannot be read: what is in it
    /// is its payer's, who need not come back.
    async fn take_in(&self, opening: &ChannelOpening) {
        let mut pause = PAUSE;
        loop {
            match self.taken_in(opening).await {
                Ok(true) => return,
                // The node is some blocks behind.
                Ok(false) => {}
                Err(Unread::Ledger(LedgerError::Refused(why))) => {
                    return tracing::error!(%why, channel = %opening.channel, "a channel is not taken into the books");
                }
                Err(error) => {
                    tracing::warn!(%error, "an opened channel cannot be taken into the books now")
                }
            }
            tokio::time::sleep(pause).await;
            pause = pause.saturating_mul(2).min(PAUSE_MAX);
        }
    }

    async fn taken_in(&self, opening: &ChannelOpening) -> Result<bool, Unread> {
        let (head, read) = self.read_channel(opening.channel).await?;
        if read.deposit == 0 && !read.finalized {
            return Ok(false);
        }
        // Of what is in no books yet nobody was paid.
        let seen = on_chain(&read, Units::ZERO, &head);
        let ledger = &self.inner.ledger;
        let opened = ledger
            .open_channel(opening.clone(), seen, Units::ZERO)
            .await?;
        self.look_for(&opened);
        Ok(true)
    }

    /// Adds to a channel.
    pub(super) async fn top_up(
        &self,
        state: &ChannelState,
        transaction: &[u8],
        additional: Units,
    ) -> Result<(ChannelState, B256), AuthorizeFailure> {
        let read = self.inner.judge.read(transaction).map_err(Refusal::from)?;
        let channel = B256::from(*state.opening.channel.as_bytes());
        let escrow = self.inner.escrow;
        let of_this = |(to, input): &(Address, Bytes)| {
            let call = IStreamChannel::topUpCall::abi_decode(input).ok()?;
            (*to == escrow && call.channelId == channel).then_some(call.additionalDeposit)
        };
        let added: Vec<U256> = read.calls.iter().filter_map(of_this).collect();
        if added != [U256::from(additional.atomic())] {
            return Err(wrong("it does not add that to this channel").into());
        }
        let block = self.fill(&read, (channel, additional), None).await?;
        for _ in 0..READS {
            let after = self.observe(state.opening.channel).await?;
            if after.on_chain.block >= block {
                return Ok((after, read.transaction));
            }
            tokio::time::sleep(PAUSE).await;
        }
        Err(AuthorizeFailure::Unknown)
    }

    /// Has a transaction sent, and waits until the chain has it; the block that it is in.
    async fn fill(
        &self,
        read: &Read,
        (channel, amount): (B256, Units),
        opens: Option<ChannelOpening>,
    ) -> Result<u64, AuthorizeFailure> {
        let id = operation_of(read.transaction);
        let wanted = self.inner.operations.is_wanted(&id).await;
        if !wanted.map_err(Unread::from)? {
            self.check_fillable(read, amount).await?;
        }
        let event = match opens {
            Some(_) => IStreamChannel::ChannelOpened::SIGNATURE_HASH,
            None => IStreamChannel::TopUp::SIGNATURE_HASH,
        };
        let stored = StoredDeposit {
            transaction: read.transaction,
            raw: read.raw.clone(),
            valid_before: read.valid_before,
            escrow: self.inner.escrow,
            event,
            channel,
            amount,
            opens,
        };
        let operation = Operation {
            id,
            kind: OperationKind::SessionDeposit,
            // One that is being opened is in no books yet.
            channels: Vec::new(),
            calls: Vec::new(),
            job: serde_json::json!(stored),
            at_ms: now_ms(),
        };
        let operations = &self.inner.operations;
        let done = operations
            .run_handed(operation, &stored.handed(), self.take_what(&stored))
            .await;
        match done.map_err(Unread::from)?.settlement {
            Settlement::Confirmed { block, .. } => Ok(block),
            Settlement::Failed { reason, .. } => Err(wrong(&reason).into()),
            Settlement::None | Settlement::Sent { .. } => Err(AuthorizeFailure::Unknown),
        }
    }

    /// Finishes what an earlier life of the process wanted.
    pub(super) async fn finish_filling(&self, state: OperationState, stored: &StoredDeposit) {
        let finished = self
            .inner
            .operations
            .finish_handed(state, &stored.handed(), self.take_what(stored))
            .await;
        if let Err(error) = finished {
            tracing::error!(%error, "a deposit's outcome is not known");
        }
    }

    /// Takes what a deposit opened into the books; what was added to a channel is seen by the next look.
    async fn take_what(&self, stored: &StoredDeposit) {
        if let Some(opening) = &stored.opens {
            self.take_in(opening).await;
        }
    }

    /// Judges a transaction that was not wanted before: it must come to be soon, or be in the chain by
    /// now, when neither its time nor its payer's money matters any more.
    async fn check_fillable(&self, read: &Read, amount: Units) -> Result<(), AuthorizeFailure> {
        let fillable = match in_time(read.valid_before) {
            Ok(()) => self.can_pay(read.sender, amount).await,
            Err(late) => Err(Refusal::from(late).into()),
        };
        match fillable {
            Err(failure) if self.mined(read.transaction).await?.is_none() => Err(failure),
            _ => Ok(()),
        }
    }

    async fn mined(&self, transaction: B256) -> Result<Option<Receipt>, Unread> {
        Ok(self.inner.rpc.receipt(transaction).await?)
    }

    /// Whether its payer has so much: one who has not learns that before anything is sent.
    async fn can_pay(&self, payer: Address, amount: Units) -> Result<(), AuthorizeFailure> {
        let transfer = IEip3009Token::transferCall {
            to: self.inner.escrow,
            value: U256::from(amount.atomic()),
        };
        let asset = self.inner.payee.asset.address;
        let calldata = transfer.abi_encode().into();
        match self.inner.rpc.call_as(payer, asset, &calldata).await {
            Ok(_) => Ok(()),
            Err(ChainError::Reverted(_)) => Err(Refusal::InsufficientBalance.into()),
            Err(error) => Err(Unread::from(error).into()),
        }
    }

    /// The channel that a transaction opens, and with how much.
    fn opened_by(&self, read: &Read) -> Result<(Terms, Units), Refusal> {
        let opens = read.calls.iter().filter_map(|(to, input)| {
            let call = IStreamChannel::openCall::abi_decode(input).ok()?;
            (*to == self.inner.escrow).then_some(call)
        });
        let opens: Vec<_> = opens.collect();
        let [open] = opens.as_slice() else {
            return Err(wrong("it does not open one channel"));
        };
        let session = self.session();
        if open.payee != session.recipient || open.token != session.currency {
            return Err(wrong(
                "it opens a channel for somebody else, or in another token",
            ));
        }
        let terms = Terms {
            payer: read.sender,
            payee: open.payee,
            token: open.token,
            salt: open.salt,
            authorized_signer: open.authorizedSigner,
        };
        Ok((terms, Units::from_atomic(open.deposit)))
    }
}

/// A transaction fills a channel once, however often it comes.
fn operation_of(transaction: B256) -> OperationId {
    let bytes = transaction.first_chunk().copied().unwrap_or_default();
    OperationId::from_bytes(bytes)
}

fn wrong(what: &str) -> Refusal {
    Refused::Transaction(what.to_owned()).into()
}
