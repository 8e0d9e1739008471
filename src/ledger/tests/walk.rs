//! Random walks over the whole ledger, checked against a model that a child could do on paper.

mod channels;

use super::super::batch::Batch;
use super::super::book::Book;
use super::super::verify;
use super::*;
use crate::money::Units;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// One paper record of a call: amounts only.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Paper {
    held: u128,
    upto: bool,
    remembered: bool,
    charged: u128,
    finished: bool,
    confirmed: bool,
    failed: bool,
}

/// What was acknowledged so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Model {
    pub(super) calls: BTreeMap<CallId, CallState>,
    pub(super) payouts: BTreeMap<WithdrawalId, WithdrawalState>,
    pub(super) channels: BTreeMap<ChannelId, ChannelState>,
    pub(super) operations: BTreeMap<OperationId, OperationState>,
    keys: BTreeMap<ReplayKey, CallId>,
    paper: BTreeMap<CallId, Paper>,
    paid: BTreeMap<WithdrawalId, u128>,
    next: u64,
}

const WHEN: [SettleWhen; 3] = [
    SettleWhen::Before,
    SettleWhen::OnFirstByte,
    SettleWhen::After,
];

impl Model {
    /// Does the step that `dice` chooses, and keeps the books; panics when the ledger is wrong.
    pub(super) fn step(&mut self, batch: &mut Batch<'_>, dice: [u8; 4]) {
        match dice[0] % 14 {
            0 | 1 => self.hold(batch, dice),
            2 => self.withdraw(batch, dice),
            3 => self.pay_out(batch, dice),
            4 => self.see_channel(batch, dice),
            5 | 6 => self.hold_on_channel(batch, dice),
            7 => self.operate(batch, dice),
            _ => self.record(batch, dice),
        }
    }

    fn hold(&mut self, batch: &mut Batch<'_>, [_, which, amount, when]: [u8; 4]) {
        self.next += 1;
        let when = WHEN[usize::from(when) % 3];
        let mut terms = hold(self.next, u128::from(amount), when);
        terms.replay_key = key(u64::from(which % 6));
        terms.payer = payer(u64::from(which % 2));
        let result = batch.hold(terms.clone());
        match self.keys.get(&terms.replay_key) {
            Some(winner) => assert!(
                matches!(result, Err(HoldRefused::Taken { call, .. }) if call == *winner),
                "a key was held twice: {result:?}"
            ),
            None => {
                assert!(result.is_ok(), "{result:?}");
                self.keys.insert(terms.replay_key, terms.call);
                let paper = Paper {
                    held: terms.held.atomic(),
                    upto: terms.takes == Takes::Charged,
                    remembered: terms.remembered,
                    ..Paper::default()
                };
                self.paper.insert(terms.call, paper);
                let state = batch.call(&terms.call).expect("reads").expect("held");
                self.calls.insert(terms.call, state);
            }
        }
    }

    fn record(&mut self, batch: &mut Batch<'_>, [_, which, what, amount]: [u8; 4]) {
        let ids: Vec<CallId> = self.calls.keys().copied().collect();
        let Some(id) = ids.get(usize::from(which) % ids.len().max(1)) else {
            return;
        };
        let before = self.calls[id].clone();
        let event = match (what % 13, &before.work) {
            // Mostly the next thing that happens to a call, sometimes anything at all.
            (0..4, Work::Held) | (4, _) => Event::Forwarded { at_ms: 1 },
            (0..4, Work::Forwarded) | (5, _) => Event::Answered { at_ms: 2 },
            (0..4, Work::Answered) | (6, _) => capture(
                &before.hold,
                u128::from(amount) % (before.hold.held.atomic() + 2),
            ),
            (0..4, _) | (7, _) => receipt(),
            (8, _) => {
                let reason = [VoidReason::Restart, VoidReason::UpstreamRefused];
                let reason = reason[usize::from(amount) % 2];
                Event::Voided { reason, at_ms: 3 }
            }
            (9, _) => sent(1, &format!("0x{amount}")),
            (10, _) => confirmed(),
            (11, _) => failed(),
            _ => Event::SettlementReorged { at_ms: 4 },
        };
        match batch.record(*id, &event) {
            Ok(state) => {
                let paper = self.paper.get_mut(id).expect("a paper record");
                match &event {
                    Event::Captured(c) => {
                        (paper.charged, paper.finished) = (c.charged.atomic(), true)
                    }
                    Event::Voided { .. } => paper.finished = true,
                    Event::SettlementConfirmed { .. } => {
                        (paper.confirmed, paper.failed) = (true, false)
                    }
                    Event::SettlementFailed { .. } => paper.failed = true,
                    Event::SettlementReorged { .. } => {
                        (paper.confirmed, paper.failed) = (false, false)
                    }
                    _ => {}
                }
                assert!(paper.charged <= paper.held, "charged above held");
                if let Some(used) = &state.hold.channel {
                    let channel = batch.channel(&used.channel).expect("reads");
                    self.channels
                        .insert(used.channel, channel.expect("a channel"));
                }
                self.calls.insert(*id, state);
            }
            Err(LedgerError::Refused(_)) => {
                assert_eq!(
                    batch.call(id),
                    Ok(Some(before)),
                    "a refused event left a trace"
                );
            }
            Err(error) => panic!("{error}"),
        }
    }

    fn withdraw(&mut self, batch: &mut Batch<'_>, [_, which, amount, _]: [u8; 4]) {
        self.next += 1;
        let who = u64::from(which % 2);
        let request = withdrawal(self.next, who, u128::from(amount % 64) + 1);
        let available = self.available(who);
        let wanted = i128::try_from(request.amount.atomic()).expect("small");
        match batch.request_withdrawal(request.clone()) {
            Ok(state) => {
                assert!(wanted <= available, "more was paid out than was there");
                self.paid.insert(request.id, request.amount.atomic());
                self.payouts.insert(request.id, state);
            }
            Err(LedgerError::InsufficientCredit { available: told }) => {
                assert!(wanted > available);
                assert_eq!(
                    told,
                    Units::from_atomic(u128::try_from(available).unwrap_or(0))
                );
            }
            Err(error) => panic!("{error}"),
        }
    }

    fn pay_out(&mut self, batch: &mut Batch<'_>, [_, which, what, bump]: [u8; 4]) {
        let ids: Vec<WithdrawalId> = self.payouts.keys().copied().collect();
        let Some(id) = ids.get(usize::from(which) % ids.len().max(1)) else {
            return;
        };
        let event = match what % 4 {
            0 => sent(3, &format!("0x{bump}")),
            1 => confirmed(),
            2 => failed(),
            _ => Event::SettlementReorged { at_ms: 4 },
        };
        let Ok(state) = batch.record_withdrawal(*id, &event) else {
            return;
        };
        let amount = state.withdrawal.amount.atomic();
        let failed = matches!(event, Event::SettlementFailed { .. });
        self.paid.insert(*id, if failed { 0 } else { amount });
        self.payouts.insert(*id, state);
    }

    /// Uses no number that `other` has used.
    pub(super) fn skip_to(&mut self, other: &Self) {
        self.next = other.next;
    }

    /// A payer's credit by paper: what confirmed, finished calls left over, less what was paid.
    pub(super) fn available(&self, who: u64) -> i128 {
        let mut sum = 0i128;
        for (id, paper) in &self.paper {
            let theirs = self.calls[id].hold.payer == payer(who);
            if theirs && paper.finished && paper.confirmed && !paper.upto {
                sum += i128::try_from(paper.held - paper.charged).expect("small");
            }
        }
        for (id, paid) in &self.paid {
            if self.payouts[id].withdrawal.payer == payer(who) {
                sum -= i128::try_from(*paid).expect("small");
            }
        }
        sum
    }

    /// Compares everything with what the ledger says, and lets the ledger check itself.
    pub(super) fn agree(&self, book: &Book) {
        let batch = book.begin();
        for (id, state) in &self.calls {
            let stored = batch.call(id).expect("reads");
            assert_eq!(
                stored.as_ref(),
                Some(state),
                "an acknowledged write was lost"
            );
        }
        for (id, state) in &self.payouts {
            assert_eq!(batch.withdrawal(id).expect("reads").as_ref(), Some(state));
        }
        self.channels_agree(&batch);
        for who in 0..2 {
            let credits = batch.credits(&payer(who)).expect("reads");
            let stored = credits.first().map_or(0, |entry| entry.credit.available);
            assert_eq!(stored, self.available(who), "the credit of payer {who}");
        }
        let open: Vec<CallId> = self
            .calls
            .iter()
            .filter(|(_, c)| c.open())
            .map(|(id, _)| *id)
            .collect();
        let stored = batch.open_calls().expect("reads");
        assert_eq!(stored.iter().map(|c| c.hold.call).collect::<Vec<_>>(), open);
        let report = verify::verify(batch.committed_store()).expect("reads");
        assert!(report.is_sound(), "{:?}", report.faults);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Rule 1, over arbitrary sequences of operations, in batches of arbitrary size.
    #[test]
    fn rule_1_conservation(steps in prop::collection::vec(any::<[u8; 4]>(), 1..120), size in 1usize..20) {
        let mut book = Book::open(Box::new(MemoryDisk::new().open())).expect("opens");
        let mut model = Model::default();
        for chunk in steps.chunks(size) {
            let mut batch = book.begin();
            for dice in chunk {
                model.step(&mut batch, *dice);
            }
            let staged = batch.finish();
            prop_assert!(book.commit(staged).is_ok());
        }
        model.agree(&book);
    }
}
