//! Who may use a channel now: calls side by side, or a refund alone, and one transaction at a time.
//! In memory only: a start finds no calls running, and takes the doors of what the ledger has open.

use crate::ledger::ChannelId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// The doors of all channels; clones are the same.
#[derive(Debug, Clone, Default)]
pub(in crate::payment) struct Gate {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    doors: Mutex<HashMap<ChannelId, Doors>>,
    freed: Notify,
}

#[derive(Debug, Default)]
struct Doors {
    calls: u32,
    closed: bool,
    working: bool,
}

/// A call's place on its channel until this is dropped, once the ledger knows of the call: no refund
/// begins meanwhile.
#[derive(Debug)]
pub struct Lease {
    _held: Held,
}

/// A channel that takes no calls until this is dropped.
#[derive(Debug)]
pub(in crate::payment) struct Closed {
    _held: Held,
}

/// A channel with a transaction of ours under way, until this is dropped.
#[derive(Debug)]
pub(in crate::payment) struct Working {
    _held: Held,
}

#[derive(Debug)]
struct Held {
    gate: Gate,
    channel: ChannelId,
    leave: fn(&mut Doors),
}

impl Gate {
    /// Lets a call in, unless the channel is closed.
    pub(in crate::payment) fn enter(&self, channel: ChannelId) -> Option<Lease> {
        let enter = |doors: &mut Doors| {
            let calls = doors.calls.checked_add(1).filter(|_| !doors.closed)?;
            doors.calls = calls;
            Some(())
        };
        let held = self.take(channel, enter, |doors| {
            doors.calls = doors.calls.saturating_sub(1);
        });
        held.map(|_held| Lease { _held })
    }

    /// Closes a channel on which no call is.
    pub(in crate::payment) fn close(&self, channel: ChannelId) -> Option<Closed> {
        let close = |doors: &mut Doors| {
            let free = doors.calls == 0 && !doors.closed;
            free.then(|| doors.closed = true)
        };
        self.take(channel, close, |doors| doors.closed = false)
            .map(|_held| Closed { _held })
    }

    /// Takes the right to send a transaction about a channel, if nobody has it.
    pub(in crate::payment) fn work(&self, channel: ChannelId) -> Option<Working> {
        let begin = |doors: &mut Doors| (!doors.working).then(|| doors.working = true);
        self.take(channel, begin, |doors| doors.working = false)
            .map(|_held| Working { _held })
    }

    /// Waits for that right.
    pub(in crate::payment) async fn work_next(&self, channel: ChannelId) -> Working {
        loop {
            let freed = self.inner.freed.notified();
            tokio::pin!(freed);
            freed.as_mut().enable();
            if let Some(working) = self.work(channel) {
                return working;
            }
            freed.await;
        }
    }

    fn take(
        &self,
        channel: ChannelId,
        enter: impl FnOnce(&mut Doors) -> Option<()>,
        leave: fn(&mut Doors),
    ) -> Option<Held> {
        let mut doors = self.doors();
        let entered = enter(doors.entry(channel).or_default());
        drop(doors);
        entered.map(|()| Held {
            gate: self.clone(),
            channel,
            leave,
        })
    }

    fn doors(&self) -> MutexGuard<'_, HashMap<ChannelId, Doors>> {
        self.inner
            .doors
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut all = self.gate.doors();
        if let Some(doors) = all.get_mut(&self.channel) {
            (self.leave)(doors);
            if doors.calls == 0 && !doors.closed && !doors.working {
                all.remove(&self.channel);
            }
        }
        drop(all);
        self.gate.inner.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: ChannelId = ChannelId::from_bytes([1; 32]);
    const OTHER: ChannelId = ChannelId::from_bytes([2; 32]);

    #[test]
    fn a_refund_waits_for_calls_and_calls_wait_for_a_refund() {
        let gate = Gate::default();
        let calls = [gate.enter(ONE), gate.enter(ONE)];
        assert!(calls.iter().all(Option::is_some));
        assert!(gate.close(ONE).is_none(), "calls are running");
        let closed = gate.close(OTHER);
        assert!(closed.is_some(), "another channel is free");
        drop(calls);
        let closed_one = gate.close(ONE);
        assert!(closed_one.is_some());
        assert!(gate.close(ONE).is_none(), "one refund at a time");
        assert!(gate.enter(ONE).is_none(), "no call begins during a refund");
        drop((closed, closed_one));
        assert!(gate.enter(ONE).is_some());
        assert!(gate.doors().is_empty(), "nothing is kept of idle channels");
    }

    #[tokio::test]
    async fn one_transaction_at_a_time_is_sent_about_a_channel() {
        let gate = Gate::default();
        let working = gate.work(ONE);
        assert!(working.is_some() && gate.work(ONE).is_none());
        assert!(gate.enter(ONE).is_some(), "calls go on during a claim");
        let next = tokio::spawn({
            let gate = gate.clone();
            async move { gate.work_next(ONE).await }
        });
        tokio::task::yield_now().await;
        assert!(!next.is_finished());
        drop(working);
        assert!(next.await.is_ok());
        assert!(gate.work(ONE).is_some());
    }
}
