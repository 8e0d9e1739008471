//! The walk over channels, their calls, and operations.

use super::*;

/// The channels' numbers; each belongs to the payer of its parity.
const CHANNELS: u8 = 3;

fn owner(n: u8) -> u64 {
    u64::from(n % 2)
}

impl Model {
    /// Opens a channel, or sees what its contract did.
    pub(super) fn see_channel(&mut self, batch: &mut Batch<'_>, [_, which, what, more]: [u8; 4]) {
        let n = which % CHANNELS;
        let id = channel_id(n);
        let before = self.channels.get(&id).cloned();
        let (balance, claimed) = match &before {
            None => (u128::from(more) * 2, u128::from(what % 8)),
            Some(state) => {
                let on_chain = &state.on_chain;
                let claimable = state.claimable_total().atomic();
                match what % 4 {
                    0 => (
                        on_chain.balance.atomic() + u128::from(more),
                        on_chain.total_claimed.atomic(),
                    ),
                    1 => (on_chain.balance.atomic(), claimable),
                    2 => (state.charged.atomic(), on_chain.total_claimed.atomic()),
                    // Somebody else claims, beyond everything charged.
                    _ => (
                        on_chain.balance.atomic(),
                        state.charged.atomic() + u128::from(more % 3),
                    ),
                }
            }
        };
        let mut seen = on_chain(balance, claimed);
        seen.withdrawal = (which >= 192).then_some(PendingWithdrawal {
            amount: Units::from_atomic(u128::from(more)),
            finalize_after_s: 900,
        });
        let charged_before = Units::from_atomic(u128::from(more % 16));
        let state = batch
            .open_channel(opening(n, owner(n)), seen, charged_before)
            .expect("opened or seen");
        let charged = match before {
            None => charged_before.max(seen.total_claimed),
            Some(before) => before.charged.max(seen.total_claimed),
        };
        assert_eq!((state.charged, state.on_chain), (charged, seen));
        self.channels.insert(id, state);
    }

    /// Mostly as a client does that has heard of all or of some charges, sometimes anyhow.
    pub(super) fn hold_on_channel(
        &mut self,
        batch: &mut Batch<'_>,
        [_, which, amount, how]: [u8; 4],
    ) {
        self.next += 1;
        let n = which % CHANNELS;
        let before = self.channels.get(&channel_id(n)).cloned();
        let held = u128::from(amount % 48);
        let charged = before.as_ref().map_or(0, |state| state.charged.atomic());
        let base = match how % 4 {
            0 => charged,
            1 | 2 => charged.saturating_sub(u128::from(how % 16)),
            _ => charged + u128::from(how % 3),
        };
        let max = base + held * u128::from(1 + how % 3);
        let mut terms = channel_hold(self.next, n, held, (base, max));
        terms.payer = payer(owner(n));
        terms.replay_key = key(1_000 + self.next);
        if how >= 192 {
            let used = terms.channel.as_mut().expect("a voucher");
            used.rule = crate::protocol::channel::Rule::Strict;
        }
        match (batch.hold(terms.clone()), before) {
            (Ok(Some(state)), Some(before)) => {
                self.covered(&before, &terms);
                let paper = Paper {
                    held,
                    upto: true,
                    ..Paper::default()
                };
                self.paper.insert(terms.call, paper);
                self.keys.insert(terms.replay_key, terms.call);
                let call = batch.call(&terms.call).expect("reads").expect("held");
                self.calls.insert(terms.call, call);
                self.channels.insert(channel_id(n), state);
            }
            (Err(HoldRefused::Channel { state, .. }), Some(before)) => {
                assert_eq!(*state, before);
                assert_eq!(batch.channel(&channel_id(n)), Ok(Some(before)));
                assert_eq!(batch.call(&terms.call), Ok(None));
            }
            (refused, None) => {
                assert_eq!(refused, Err(HoldRefused::UnknownChannel(channel_id(n))));
            }
            (other, Some(_)) => panic!("{other:?}"),
        }
    }

    /// What was taken is covered: by a voucher we hold, and by what no withdrawal can take.
    fn covered(&self, before: &ChannelState, terms: &Hold) {
        let running = self.calls.values().filter(|call| {
            let here = |used: &ChannelUse| used.channel == before.opening.channel;
            call.hold.channel.as_ref().is_some_and(here) && !self.paper[&call.hold.call].finished
        });
        let reserved: u128 = running.map(|call| call.hold.held.atomic()).sum();
        let used = terms.channel.as_ref().expect("a voucher");
        let best = before.voucher.as_ref().map(|v| v.max_claimable.atomic());
        let signed = best.unwrap_or(0).max(used.max_claimable.atomic());
        let leaving = before.on_chain.withdrawal.map_or(0, |w| w.amount.atomic());
        let staying = before.on_chain.balance.atomic().saturating_sub(leaving);
        let owed = before.charged.atomic() + reserved + terms.held.atomic();
        assert!(owed <= signed && owed <= staying, "a call is not covered");
        assert!(
            used.base <= before.charged,
            "a charge was claimed that never was"
        );
    }

    /// Wants an operation, or records what happened to one.
    pub(super) fn operate(&mut self, batch: &mut Batch<'_>, [_, which, what, bump]: [u8; 4]) {
        let ids: Vec<OperationId> = self.operations.keys().copied().collect();
        let chosen = ids.get(usize::from(which) % (ids.len() + 1));
        let Some(id) = chosen else {
            self.next += 1;
            let mut wanted = operation(self.next, OperationKind::Batch);
            wanted.channels = self.channels.keys().copied().collect();
            wanted.calls = self.calls.keys().take(3).copied().collect();
            if what == 0 {
                wanted.channels.push(channel_id(99));
                let unknown = LedgerError::Unknown(EntityId::Channel(channel_id(99)));
                assert_eq!(batch.request_operation(wanted), Err(unknown));
                return;
            }
            let state = batch.request_operation(wanted.clone()).expect("requested");
            self.operations.insert(wanted.id, state);
            return;
        };
        let event = match what % 4 {
            0 => sent(u64::from(bump), &format!("0x{bump}")),
            1 => confirmed(),
            2 => failed(),
            _ => Event::SettlementReorged { at_ms: 4 },
        };
        if let Ok(state) = batch.record_operation(*id, event) {
            self.operations.insert(*id, state);
        }
    }

    /// Channels, operations and standings: what was acknowledged, and what the paper adds up to.
    pub(super) fn channels_agree(&self, batch: &Batch<'_>) {
        let stored = batch.channels().expect("reads");
        assert!(stored.iter().eq(self.channels.values()));
        for (id, state) in &self.channels {
            let of_payer = batch.channels_of(&state.opening.payer).expect("reads");
            assert!(of_payer.contains(state));
            let (mut reserved, mut charged) = (0, state.charged_elsewhere.atomic());
            for (call, paper) in &self.paper {
                let used = self.calls[call].hold.channel.as_ref();
                if used.is_some_and(|used| used.channel == *id) {
                    charged += paper.charged;
                    reserved += if paper.finished { 0 } else { paper.held };
                }
            }
            let figures = (state.charged.atomic(), state.reserved.atomic());
            assert_eq!(figures, (charged, reserved), "{id}");
            assert_eq!(batch.channel(id).as_ref(), Ok(&Some(state.clone())));
        }
        let open = batch.open_operations().expect("reads");
        let expected = self.operations.values().filter(|state| state.open());
        assert!(open.iter().eq(expected));
        for who in 0..2 {
            let unpaid = self.paper.iter().filter(|(call, paper)| {
                let theirs = self.calls[*call].hold.payer == payer(who);
                let remembered = paper.upto || paper.remembered;
                theirs && remembered && paper.failed && paper.charged > 0
            });
            let (calls, sum) = unpaid.fold((0, 0), |(n, sum), (_, p)| (n + 1, sum + p.charged));
            let key = CreditKey::of(&payer(who), NETWORK, ASSET).expect("a key");
            let standing = batch.standing(&key).expect("reads");
            assert_eq!(
                (standing.unpaid_calls, standing.unpaid.atomic()),
                (calls, sum)
            );
        }
    }
}
