use super::answer::{Answer, PURGE_PAGE};
use super::batch::Batch;
use super::book::Book;
use super::draft::Draft;
use super::error::{ExportError, HoldRefused, LedgerError, OpenError};
use super::machine::{
    CallId, CallState, ChannelId, ChannelOnChain, ChannelOpening, ChannelState, CreditKey,
    EntityId, Event, Hold, KeptVoucher, Operation, OperationId, OperationState, ReplayKey,
    Standing, Withdrawal, WithdrawalId, WithdrawalState,
};
use super::notes::Note;
use super::payouts::CreditEntry;
use super::recent::Remembered;
use super::store::{Head, Pair, Reader, Store};
use super::verify::{self, VerifyReport};
use super::writer::{Haste, Job, Reply, Writer};
use crate::money::Units;
use std::sync::Weak;
use tokio::sync::oneshot;
use tokio::sync::oneshot::error::RecvError;

/// How many log entries an export reads at a time, so that calls are served meanwhile.
const EXPORT_PAGE: usize = 500;

/// How many of the newest log entries count as lately: more than a thousand calls.
const LATELY_ENTRIES: u64 = 8192;

/// The ledger, as everybody but its writer thread sees it; clones share one ledger. The store shows
/// nothing that a crash could still undo, so records are read beside the writer; what goes over many
/// goes through it.
#[derive(Debug, Clone)]
pub struct Ledger {
    reader: Weak<dyn Reader + Send + Sync>,
    remembered: Remembered,
    pub(super) writer: Writer,
}

/// What a restart has to take up again.
#[derive(Debug)]
pub struct OpenItems {
    /// Calls that are not finished, settled and receipted.
    pub calls: Vec<CallState>,
    /// Payouts that are neither confirmed nor failed.
    pub withdrawals: Vec<WithdrawalState>,
    /// Operations that are neither confirmed nor failed.
    pub operations: Vec<OperationState>,
    /// Calls whose settlement was confirmed lately, open or not: a reorganisation may undo what is
    /// not deep yet.
    pub settled_calls: Vec<CallState>,
    /// Payouts that were confirmed lately.
    pub settled_withdrawals: Vec<WithdrawalState>,
    /// Operations that were confirmed lately.
    pub settled_operations: Vec<OperationState>,
}

impl Ledger {
    /// Opens the ledger kept in `store` and starts its writer; fails when the end of the log is
    /// broken or an open item cannot be read.
    pub fn open(store: impl Store) -> Result<(Self, OpenItems), OpenError> {
        let book = Book::open(Box::new(store))?;
        let (reader, remembered) = (book.reader(), book.remembered());
        let batch = book.begin();
        let mut open = OpenItems {
            calls: batch.open_calls()?,
            withdrawals: batch.open_withdrawals()?,
            operations: batch.open_operations()?,
            settled_calls: Vec::new(),
            settled_withdrawals: Vec::new(),
            settled_operations: Vec::new(),
        };
        for id in batch.confirmed_lately(LATELY_ENTRIES)? {
            match id {
                EntityId::Call(id) => {
                    let settled = |call: &CallState| call.settlement.is_confirmed();
                    open.settled_calls.extend(batch.call(&id)?.filter(settled));
                }
                EntityId::Withdrawal(id) => {
                    let settled = |payout: &WithdrawalState| payout.settlement.is_confirmed();
                    open.settled_withdrawals
                        .extend(batch.withdrawal(&id)?.filter(settled));
                }
                EntityId::Operation(id) => {
                    let settled = |operation: &OperationState| operation.settlement.is_confirmed();
                    open.settled_operations
                        .extend(batch.operation(&id)?.filter(settled));
                }
                EntityId::Channel(_) => {}
            }
        }
        drop(batch);
        let writer = Writer::start(book).map_err(OpenError::Thread)?;
        let ledger = Self {
            reader,
            remembered,
            writer,
        };
        Ok((ledger, open))
    }

    /// Takes a credential for a call, once; durable when this returns. A call on a channel is taken
    /// only if the channel pays for it, and the channel is returned as it is then.
    pub async fn hold(&self, hold: Hold) -> Result<Option<ChannelState>, HoldRefused> {
        self.ask_here(move |batch| batch.hold(hold)).await
    }

    /// Records events of a call in their order, in one commit, and returns its new state; durable when
    /// this returns. An event that is refused is refused with all after it; those before it stand.
    pub async fn record_all(
        &self,
        id: CallId,
        events: Vec<Event>,
    ) -> Result<CallState, LedgerError> {
        self.ask_here(move |batch| Ok(batch.record_all(id, &events)?.call))
            .await
    }

    /// The same, and keeps the answer that `answer` makes of the books of the channel that pays, until
    /// the time it says (milliseconds since the Unix epoch); returns those books too. An answer that
    /// cannot be kept is logged and no failure.
    pub async fn record_with_answer<A>(
        &self,
        id: CallId,
        events: Vec<Event>,
        answer: Option<A>,
    ) -> Result<(CallState, Option<ChannelState>), LedgerError>
    where
        A: FnOnce(Option<&ChannelState>) -> (Answer, u64) + Send + 'static,
    {
        self.ask_here(move |batch| {
            let changed = batch.record_all(id, &events)?;
            if let Some(answer) = answer {
                let (answer, expires_ms) = answer(changed.channel.as_ref());
                if let Err(error) = batch.store_answer(&id, &answer, expires_ms) {
                    tracing::warn!(call = %id, %error, "an answer is not kept for its credential");
                }
            }
            Ok((changed.call, changed.channel))
        })
        .await
    }

    /// Records what happened to a call and returns its new state; durable when this returns.
    pub async fn record(&self, id: CallId, event: Event) -> Result<CallState, LedgerError> {
        self.ask_here(move |batch| batch.record(id, &event)).await
    }

    /// Takes credit for a payout; durable when this returns.
    pub async fn request_withdrawal(
        &self,
        withdrawal: Withdrawal,
    ) -> Result<WithdrawalState, LedgerError> {
        self.ask(move |batch| batch.request_withdrawal(withdrawal))
            .await
    }

    /// Records what happened to a payout and returns its new state; durable when this returns.
    pub async fn record_withdrawal(
        &self,
        id: WithdrawalId,
        event: Event,
    ) -> Result<WithdrawalState, LedgerError> {
        self.ask(move |batch| batch.record_withdrawal(id, &event))
            .await
    }

    /// Takes a channel into the books, of which `charged_before` was charged already by its payer's
    /// word, or sees a known one again; durable when this returns.
    pub async fn open_channel(
        &self,
        opening: ChannelOpening,
        on_chain: ChannelOnChain,
        charged_before: Units,
    ) -> Result<ChannelState, LedgerError> {
        self.ask(move |batch| batch.open_channel(opening, on_chain, charged_before))
            .await
    }

    /// Records what a channel's contract says of it now; durable when this returns.
    pub async fn observe_channel(
        &self,
        id: ChannelId,
        on_chain: ChannelOnChain,
    ) -> Result<ChannelState, LedgerError> {
        self.ask(move |batch| batch.observe_channel(id, on_chain))
            .await
    }

    /// Keeps a voucher that came without a call; durable when this returns.
    pub async fn sign_channel(
        &self,
        id: ChannelId,
        voucher: KeptVoucher,
        at_ms: u64,
    ) -> Result<ChannelState, LedgerError> {
        self.ask(move |batch| batch.sign_channel(id, voucher, at_ms))
            .await
    }

    /// Wants a transaction that is no single call's own; durable when this returns.
    pub async fn request_operation(
        &self,
        operation: Operation,
    ) -> Result<OperationState, LedgerError> {
        self.ask(move |batch| batch.request_operation(operation))
            .await
    }

    /// Records what happened to an operation and returns its new state; durable when this returns.
    pub async fn record_operation(
        &self,
        id: OperationId,
        event: Event,
    ) -> Result<OperationState, LedgerError> {
        self.ask(move |batch| batch.record_operation(id, event))
            .await
    }

    /// A call's state.
    pub async fn call(&self, id: &CallId) -> Result<Option<CallState>, LedgerError> {
        self.look(|batch| batch.call(id))
    }

    /// A payout's state.
    pub async fn withdrawal(
        &self,
        id: &WithdrawalId,
    ) -> Result<Option<WithdrawalState>, LedgerError> {
        let id = *id;
        self.ask(move |batch| batch.withdrawal(&id)).await
    }

    /// The call a credential bought.
    pub async fn by_replay_key(&self, key: &ReplayKey) -> Result<Option<CallState>, LedgerError> {
        self.look(|batch| batch.by_replay_key(key))
    }

    /// The call a payment identifier was used for.
    pub async fn by_payment_id(&self, key: &ReplayKey) -> Result<Option<CallState>, LedgerError> {
        self.look(|batch| batch.by_payment_id(key))
    }

    /// All calls with something left to do.
    pub async fn open_calls(&self) -> Result<Vec<CallState>, LedgerError> {
        self.ask(|batch| batch.open_calls()).await
    }

    /// All payouts with something left to do.
    pub async fn open_withdrawals(&self) -> Result<Vec<WithdrawalState>, LedgerError> {
        self.ask(|batch| batch.open_withdrawals()).await
    }

    /// All operations with something left to do.
    pub async fn open_operations(&self) -> Result<Vec<OperationState>, LedgerError> {
        self.ask(|batch| batch.open_operations()).await
    }

    /// An operation's state.
    pub async fn operation(&self, id: &OperationId) -> Result<Option<OperationState>, LedgerError> {
        let id = *id;
        self.ask(move |batch| batch.operation(&id)).await
    }

    /// A channel's account.
    pub async fn channel(&self, id: &ChannelId) -> Result<Option<ChannelState>, LedgerError> {
        self.look(|batch| batch.channel(id))
    }

    /// All channels.
    pub async fn channels(&self) -> Result<Vec<ChannelState>, LedgerError> {
        self.ask(|batch| batch.channels()).await
    }

    /// All channels of a payer (0x address, lowercase).
    pub async fn channels_of(&self, payer: &str) -> Result<Vec<ChannelState>, LedgerError> {
        let payer = payer.to_owned();
        self.ask(move |batch| batch.channels_of(&payer)).await
    }

    /// How a payer has paid what was charged after the fact.
    pub async fn standing(&self, key: &CreditKey) -> Result<Standing, LedgerError> {
        self.look(|batch| batch.standing(key))
    }

    /// All credits of a payer (0x address, lowercase).
    pub async fn credits(&self, payer: &str) -> Result<Vec<CreditEntry>, LedgerError> {
        let payer = payer.to_owned();
        self.ask(move |batch| batch.credits(&payer)).await
    }

    /// Keeps an answer until `expires_ms` (milliseconds since the Unix epoch), in place of one
    /// kept before.
    pub async fn store_answer(
        &self,
        call: &CallId,
        answer: Answer,
        expires_ms: u64,
    ) -> Result<(), LedgerError> {
        let call = *call;
        self.ask(move |batch| batch.store_answer(&call, &answer, expires_ms))
            .await
    }

    /// The answer kept for a call, unless it has expired by `now_ms`.
    pub async fn answer(&self, call: &CallId, now_ms: u64) -> Result<Option<Answer>, LedgerError> {
        self.look(|batch| batch.answer(call, now_ms))
    }

    /// Remembers notes of one kind, or forgets them.
    pub async fn take_notes(
        &self,
        kind: &'static str,
        notes: Vec<Note>,
    ) -> Result<(), LedgerError> {
        self.ask(move |batch| batch.take_notes(kind, notes)).await
    }

    /// All notes of one kind, by their names.
    pub fn notes(&self, kind: &str) -> Result<Vec<Pair>, LedgerError> {
        self.look(|batch| batch.notes(kind))
    }

    /// Forgets all answers that expired by `now_ms`; says how many.
    pub async fn purge_expired(&self, now_ms: u64) -> Result<usize, LedgerError> {
        let mut total: usize = 0;
        loop {
            let purged = self.ask(move |batch| batch.purge_expired(now_ms)).await?;
            total = total.saturating_add(purged);
            if purged < PURGE_PAGE {
                return Ok(total);
            }
        }
    }

    /// Walks the whole log, replays it from nothing, and lists everything that does not agree.
    /// No call is served meanwhile.
    pub async fn verify(&self) -> Result<VerifyReport, LedgerError> {
        self.ask(|batch| verify::verify(batch.committed_store()).map_err(LedgerError::from))
            .await
    }

    /// Writes all log entries recorded so far as JSON lines; says how many.
    pub async fn export<W: std::io::Write>(&self, writer: &mut W) -> Result<u64, ExportError> {
        let mut written: u64 = 0;
        loop {
            let page = self
                .ask(move |batch| batch.entries(written, EXPORT_PAGE))
                .await?;
            if page.is_empty() {
                writer.flush()?;
                return Ok(written);
            }
            for (_, entry) in page {
                writer.write_all(&entry)?;
                writer.write_all(b"\n")?;
                written = written.saturating_add(1);
            }
        }
    }

    /// Whether holds are taken; false for good once the store has failed or the ledger is closed.
    pub fn healthy(&self) -> bool {
        self.writer.healthy()
    }

    /// Commits what was asked before, closes the store and ends the writer; later commands fail.
    pub async fn shutdown(&self) {
        self.writer.stop().await;
    }

    /// Reads what is durable now, beside the writer.
    fn look<T>(
        &self,
        read: impl FnOnce(&Batch<'_>) -> Result<T, LedgerError>,
    ) -> Result<T, LedgerError> {
        let reader = self.reader.upgrade().ok_or(LedgerError::Unavailable)?;
        let draft = Draft::after(Head::EMPTY);
        let batch = Batch::new(reader.as_ref(), &self.remembered, draft, false);
        let result = read(&batch);
        if batch.finish().store_failed() {
            self.writer.fail();
        }
        result
    }

    /// Has the writer do something, and waits until that is durable.
    async fn ask<T, E, F>(&self, command: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<LedgerError> + Send + 'static,
        F: FnOnce(&mut Batch<'_>) -> Result<T, E> + Send + 'static,
    {
        let (job, answered) = asked(command);
        self.writer.queue(job).await?;
        said(answered.await)
    }

    /// The same for what is quickly done.
    async fn ask_here<T, E, F>(&self, command: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<LedgerError> + Send + 'static,
        F: FnOnce(&mut Batch<'_>) -> Result<T, E> + Send + 'static,
    {
        let (job, answered) = asked(command);
        self.writer.stage(job, Haste::Now).await?;
        said(answered.await)
    }
}

/// A command, and what comes of it once that is durable.
fn asked<T, E, F>(command: F) -> (Job, oneshot::Receiver<Result<T, E>>)
where
    T: Send + 'static,
    E: From<LedgerError> + Send + 'static,
    F: FnOnce(&mut Batch<'_>) -> Result<T, E> + Send + 'static,
{
    let (answer, answered) = oneshot::channel();
    let job = move |batch: &mut Batch<'_>| -> Reply {
        let result = command(batch);
        Box::new(move |committed| {
            let result = if committed {
                result
            } else {
                Err(LedgerError::Unavailable.into())
            };
            // The asker may have gone; what it asked for stands all the same.
            let _ = answer.send(result);
        })
    };
    (Box::new(job), answered)
}

fn said<T, E: From<LedgerError>>(answered: Result<Result<T, E>, RecvError>) -> Result<T, E> {
    answered.map_err(|_| E::from(LedgerError::Unavailable))?
}
