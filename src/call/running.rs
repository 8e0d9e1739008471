//! A running call's output, which any number of connections may listen to. None of them can stop it; that
//! nobody is left is told to the call's task.

use super::{CallId, Refusal};
use bytes::Bytes;
use http::HeaderMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// The first thing a listener learns.
#[derive(Debug, Clone)]
pub enum Head {
    /// The answer begins: these headers, then the body.
    Answer(HeaderMap),
    /// There will be no answer, for this reason.
    Refused(Refusal),
}

/// What the call's task writes and listeners read.
#[derive(Debug)]
pub(super) struct Running {
    call: OnceLock<CallId>,
    progress: watch::Sender<Progress>,
    chunks: Mutex<Vec<Bytes>>,
    /// How often somebody began to listen.
    listened: AtomicU64,
}

#[derive(Debug, Clone, Default)]
struct Progress {
    head: Option<Arc<Head>>,
    chunks: usize,
    done: bool,
    settling: bool,
}

impl Running {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            call: OnceLock::new(),
            progress: watch::Sender::new(Progress::default()),
            chunks: Mutex::default(),
            listened: AtomicU64::new(0),
        })
    }

    /// Names the call, once it is held.
    pub(super) fn held(&self, call: CallId) {
        // A running call is held once.
        let _ = self.call.set(call);
    }

    pub(super) fn listen(self: &Arc<Self>) -> Listener {
        let listener = Listener {
            progress: self.progress.subscribe(),
            running: Arc::clone(self),
            next: 0,
        };
        // After the subscription: who counts it has come.
        self.listened.fetch_add(1, Ordering::Relaxed);
        listener
    }

    /// Waits until nobody has listened for this long.
    pub(super) async fn abandoned(&self, for_so_long: Duration) {
        loop {
            let before = self.listened.load(Ordering::Relaxed);
            self.progress.closed().await;
            tokio::time::sleep(for_so_long).await;
            let nobody_came = self.listened.load(Ordering::Relaxed) == before;
            if nobody_came && self.progress.is_closed() {
                return;
            }
        }
    }

    /// Says whether only the settlement is being waited for, so that listeners may lose patience.
    pub(super) fn settling(&self, settling: bool) {
        self.progress
            .send_modify(|progress| progress.settling = settling);
    }

    pub(super) fn begin(&self, head: Head) {
        let done = matches!(head, Head::Refused(_));
        self.progress.send_modify(|progress| {
            progress.head = Some(Arc::new(head));
            progress.done = done;
        });
    }

    /// Answers in one piece; `over` says that nothing is left to wait for.
    pub(super) fn answer(&self, headers: HeaderMap, body: Bytes, over: bool) {
        self.chunks().push(body);
        self.progress.send_modify(|progress| {
            progress.head = Some(Arc::new(Head::Answer(headers)));
            progress.chunks = 1;
            progress.done = over;
        });
    }

    pub(super) fn push(&self, bytes: Bytes) {
        let count = {
            let mut chunks = self.chunks();
            chunks.push(bytes);
            chunks.len()
        };
        self.progress
            .send_modify(|progress| progress.chunks = count);
    }

    pub(super) fn finish(&self) {
        self.progress.send_modify(|progress| progress.done = true);
    }

    /// Ends a call whose task is over without having said so.
    pub(super) fn give_up(&self) {
        self.progress.send_modify(|progress| {
            progress
                .head
                .get_or_insert_with(|| Arc::new(Head::Refused(Refusal::Internal)));
            progress.done = true;
        });
    }

    /// The body so far.
    pub(super) fn body(&self) -> Vec<u8> {
        self.chunks().concat()
    }

    fn chunks(&self) -> MutexGuard<'_, Vec<Bytes>> {
        self.chunks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One connection's view of a running call, from its first byte on.
#[derive(Debug)]
pub struct Listener {
    running: Arc<Running>,
    progress: watch::Receiver<Progress>,
    next: usize,
}

impl Listener {
    /// The call's id, once it is held.
    pub fn call(&self) -> Option<CallId> {
        self.running.call.get().copied()
    }

    /// Waits for the head; `None` when only the settlement is missing for longer than `patience`. The
    /// answer itself may take its time.
    pub async fn head(&mut self, patience: Duration) -> Option<Head> {
        loop {
            let begun = |progress: &Progress| progress.head.is_some() || progress.settling;
            let progress = self.progress.wait_for(begun).await.ok()?.clone();
            if let Some(head) = progress.head {
                return Some((*head).clone());
            }
            let settled = |progress: &Progress| progress.head.is_some() || !progress.settling;
            let settled = self.progress.wait_for(settled);
            tokio::time::timeout(patience, settled).await.ok()?.ok()?;
        }
    }

    /// The next piece of the body; `None` at its end.
    pub async fn next(&mut self) -> Option<Bytes> {
        let next = self.next;
        let ready = self
            .progress
            .wait_for(|progress| progress.chunks > next || progress.done);
        ready.await.ok()?;
        let chunk = self.running.chunks().get(next).cloned();
        self.next = next.saturating_add(1);
        chunk
    }

    /// The whole body, if it has come to its end in one piece and none of it was taken yet.
    pub fn whole(&self) -> Option<Bytes> {
        let over = self.next == 0 && self.progress.borrow().done;
        match self.running.chunks().as_slice() {
            [only] if over => Some(only.clone()),
            _ => None,
        }
    }
}
