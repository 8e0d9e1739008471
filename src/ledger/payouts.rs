//! Credit and its payouts: a payer is paid no more than what confirmed settlements left over.

use super::batch::{Batch, Change, decode, encode};
use super::error::LedgerError;
use super::keys;
use super::machine::{
    Credit, CreditKey, EntityId, Event, Withdrawal, WithdrawalId, WithdrawalState,
};
use super::store::Pair;
use serde::{Deserialize, Serialize};

/// A payer's credit in one asset on one chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreditEntry {
    /// Whose, where, in what.
    #[serde(flatten)]
    pub key: CreditKey,
    /// How much.
    #[serde(flatten)]
    pub credit: Credit,
}

impl Batch<'_> {
    /// Takes credit for a payout; refused when there is not enough.
    pub(super) fn request_withdrawal(
        &mut self,
        withdrawal: Withdrawal,
    ) -> Result<WithdrawalState, LedgerError> {
        self.writable()?;
        let id = withdrawal.id;
        let before = self.withdrawal(&id)?;
        let event = Event::WithdrawalRequested(withdrawal);
        let state = WithdrawalState::apply(before.as_ref(), &event)?;
        let available = self.credit(&state.credit_key()?)?.spendable();
        if state.withdrawal.amount > available {
            return Err(LedgerError::InsufficientCredit { available });
        }
        self.append_withdrawal(id, None, &state, &event)?;
        Ok(state)
    }

    /// Records what happened to a payout.
    pub(super) fn record_withdrawal(
        &mut self,
        id: WithdrawalId,
        event: &Event,
    ) -> Result<WithdrawalState, LedgerError> {
        self.writable()?;
        let unknown = LedgerError::Unknown(EntityId::Withdrawal(id));
        let before = self.withdrawal(&id)?.ok_or(unknown)?;
        let state = WithdrawalState::apply(Some(&before), event)?;
        self.append_withdrawal(id, Some(&before), &state, event)?;
        Ok(state)
    }

    /// A withdrawal's state.
    pub(super) fn withdrawal(
        &self,
        id: &WithdrawalId,
    ) -> Result<Option<WithdrawalState>, LedgerError> {
        self.read(&keys::state(&EntityId::Withdrawal(*id)))
    }

    /// All withdrawals with something left to do, in the order of their ids.
    pub(super) fn open_withdrawals(&self) -> Result<Vec<WithdrawalState>, LedgerError> {
        self.open_states(keys::OPEN_WITHDRAWALS, |id| self.read(&keys::state(id)))
    }

    /// All credits of a payer.
    pub(super) fn credits(&self, payer: &str) -> Result<Vec<CreditEntry>, LedgerError> {
        let pairs = self.scan(&keys::credits_of(payer), usize::MAX)?;
        pairs.iter().map(|(_, value)| decode(value)).collect()
    }

    /// The credit record after one share in it went from `old` to `new`; `None` when it stays.
    pub(super) fn moved_credit(
        &self,
        key: CreditKey,
        old: &Credit,
        new: &Credit,
    ) -> Result<Option<Pair>, LedgerError> {
        if old == new {
            return Ok(None);
        }
        let credit = self.credit(&key)?.moved(old, new)?;
        Ok(Some((
            keys::credit(&key),
            encode(&CreditEntry { key, credit })?,
        )))
    }

    fn append_withdrawal(
        &mut self,
        id: WithdrawalId,
        before: Option<&WithdrawalState>,
        state: &WithdrawalState,
        event: &Event,
    ) -> Result<(), LedgerError> {
        let old = before.map_or(Ok(Credit::default()), WithdrawalState::credit)?;
        let credit = self.moved_credit(state.credit_key()?, &old, &state.credit()?)?;
        let change = Change {
            id: EntityId::Withdrawal(id),
            state: encode(state)?,
            open: state.open(),
            beside: credit.into_iter().collect(),
        };
        self.append_event(event, change)
    }

    fn credit(&self, key: &CreditKey) -> Result<Credit, LedgerError> {
        let entry: Option<CreditEntry> = self.read(&keys::credit(key))?;
        Ok(entry.map_or_else(Credit::default, |entry| entry.credit))
    }
}
