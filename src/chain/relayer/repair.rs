//! What the lane sends again, dearer, or into gaps.

use super::fees::Fees;
use super::lane::Lane;
use super::look::Sky;
use super::send::Draft;
use super::work::{Try, Work};
use crate::chain::ChainError;
use std::collections::BTreeSet;
use tokio::time::Instant;

/// Most lost nonces filled in one round.
const FILLS_MAX: usize = 16;

/// Gas of a plain transfer of the native coin.
const FILLER_GAS: u64 = 21_000;

impl Lane {
    /// Sends again what the node forgot, raises fees of what is stuck, and fills lost nonces.
    pub(super) async fn repair(&mut self, sky: &Sky) -> Result<(), ChainError> {
        self.resend(sky).await?;
        self.bump(sky).await?;
        self.heal(sky).await
    }

    async fn resend(&mut self, sky: &Sky) -> Result<(), ChainError> {
        let relayer = self.relayer;
        let mut again = Vec::new();
        for (seq, work) in &mut self.works {
            let Some(raw) = work.live(relayer).map(|t| t.raw().clone()) else {
                continue;
            };
            let Some(flight) = work.flight_mut() else {
                continue;
            };
            let forgotten = sky.pending <= flight.nonce && !flight.unchecked;
            if forgotten && raw.is_empty() {
                // A long one is not kept over a restart: it is signed anew.
                flight.bump_at = Instant::now();
            } else if forgotten && flight.resend.is_due() {
                flight.resend.push_back();
                again.push((flight.nonce, *seq, raw));
            }
        }
        again.sort_unstable_by_key(|(nonce, ..)| *nonce);
        self.broadcast(again.into_iter().map(|(_, seq, raw)| (seq, raw)).collect())
            .await
    }

    async fn bump(&mut self, sky: &Sky) -> Result<(), ChainError> {
        let now = Instant::now();
        let due: Vec<(u64, Try)> = self
            .flying()
            .filter(|(_, work, nonce)| {
                sky.mined <= *nonce
                    && work
                        .flight()
                        .is_some_and(|f| f.bump_at <= now && !f.unchecked)
            })
            .filter_map(|(seq, work, _)| Some((seq, work.live(self.relayer)?.clone())))
            // Behind the first unmined one, only what the base fee has outgrown needs more.
            .filter(|(_, live)| {
                live.sent.lane_nonce == sky.mined
                    || live.fees.max_fee < sky.head.base_fee().saturating_add(live.fees.tip)
                    || live.fees.max_fee == 0
            })
            .take(self.policy.in_flight_max)
            .collect();
        let cap = self.policy.fee_per_gas_max;
        let mut drafts = Vec::new();
        for (seq, live) in due {
            if let Some(flight) = self.works.get_mut(&seq).and_then(Work::flight_mut) {
                flight.bump_at = now + self.policy.bump_after;
            }
            let suggested = Fees::suggest(sky.head.base_fee(), sky.tip, cap);
            let bumped = suggested
                .and_then(|suggested| live.fees.bumped(suggested, self.policy.bump_percent, cap));
            let fees = match bumped {
                Ok(fees) => fees,
                Err(asked) => {
                    self.fee_above_cap(asked);
                    continue;
                }
            };
            let gas = if live.gas == 0 {
                self.works
                    .get(&seq)
                    .map_or(0, |work| work.gas_limit_max(&self.policy))
            } else {
                live.gas
            };
            if let Some(attempt) = self.sign(seq, live.sent.lane_nonce, gas, fees) {
                drafts.push(Draft { seq, attempt });
            }
        }
        self.send(drafts).await
    }

    /// Gives lost nonces below ours a transaction, so that ours can be mined.
    async fn heal(&mut self, sky: &Sky) -> Result<(), ChainError> {
        let flown: BTreeSet<u64> = self.flying().map(|(.., nonce)| nonce).collect();
        let Some(top) = flown.last().copied() else {
            self.gap = None;
            self.stuck = None;
            return Ok(());
        };
        // The node holds a transaction at the nonces below its pending count, even if we do not know
        // it; only when that does not get mined for long is it outbid.
        let stuck_long = self.policy.bump_after.saturating_mul(4);
        let low = if stands(&mut self.stuck, sky.mined).elapsed() >= stuck_long {
            sky.mined
        } else {
            sky.mined.max(sky.pending)
        };
        let gaps: Vec<u64> = (low..top)
            .filter(|nonce| !flown.contains(nonce))
            .take(FILLS_MAX)
            .collect();
        let Some(first) = gaps.first().copied() else {
            self.gap = None;
            return Ok(());
        };
        if stands(&mut self.gap, first).elapsed() < self.policy.doubt {
            return Ok(());
        }
        let Some(fees) = self.fees(sky) else {
            return Ok(());
        };
        tracing::warn!(relayer = %self.relayer, nonce = first, "a lost nonce is filled");
        self.gap = None;
        // What put us above the gap may have been a lie; the flights below say how far we are.
        self.nonce_floor = Some(sky.mined);
        let mut movable: Vec<(u64, u64, u64)> = self
            .flying()
            .filter(|(_, work, _)| work.authorization().is_some())
            .filter_map(|(seq, work, nonce)| Some((nonce, seq, work.live(self.relayer)?.gas)))
            .filter(|(.., gas)| *gas > 0)
            .collect();
        movable.sort_unstable();
        let mut drafts = Vec::new();
        for nonce in gaps {
            let from_above = movable.pop_if(|(above, ..)| *above > nonce);
            let (seq, gas) = match from_above {
                Some((_, seq, gas)) => (seq, gas),
                None => (self.insert(Work::filler()), FILLER_GAS),
            };
            if let Some(attempt) = self.sign(seq, nonce, gas, fees) {
                drafts.push(Draft { seq, attempt });
            }
        }
        self.send(drafts).await
    }
}

/// Since when `mark` stands at `value`; it starts anew when the value changes.
fn stands(mark: &mut Option<(u64, Instant)>, value: u64) -> Instant {
    match *mark {
        Some((at, since)) if at == value => since,
        _ => {
            let now = Instant::now();
            *mark = Some((value, now));
            now
        }
    }
}
