//! Threads that serve connections, each with a runtime of its own: a call that stays where its connection is
//! wakes no other thread on its way (docs/performance/changes.md says what that is worth).

use std::io;
use std::num::NonZero;
use std::sync::Arc;
use std::thread::available_parallelism;
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Handle};
use tokio_util::sync::{CancellationToken, DropGuard};

/// One for each processor; they end, with all that runs on them, when this is dropped.
#[derive(Debug)]
pub struct Threads {
    spread: Spread,
    _end: DropGuard,
}

/// Gives work to the thread that has the least.
#[derive(Debug, Clone)]
pub(super) struct Spread(Arc<[Thread]>);

#[derive(Debug)]
struct Thread {
    runtime: Handle,
    /// As many clones of it are there as the thread has to serve.
    place: Arc<()>,
}

impl Threads {
    /// Starts them.
    ///
    /// Fails when the system gives no thread, or a thread no means to wait for its connections.
    pub fn start() -> io::Result<Self> {
        let end = CancellationToken::new();
        // Where one cannot be started, those before it end.
        let guard = end.clone().drop_guard();
        let count = available_parallelism().map_or(1, NonZero::get);
        let threads: io::Result<_> = (0..count).map(|_| Thread::start(end.clone())).collect();
        Ok(Self {
            spread: Spread(threads?),
            _end: guard,
        })
    }

    /// For what comes on one connection side by side: it does not keep the threads.
    pub(super) fn spread(&self) -> Spread {
        self.spread.clone()
    }

    /// Has a connection served by the thread that serves the fewest.
    pub(super) fn serve<F>(
        &self,
        stream: TcpStream,
        connection: impl FnOnce(TcpStream) -> F,
    ) -> io::Result<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        if let Some(thread) = self.spread.freest() {
            let stream = stream.into_std()?;
            let entered = thread.runtime.enter();
            let stream = TcpStream::from_std(stream)?;
            drop(entered);
            thread.spawn(connection(stream));
        }
        Ok(())
    }
}

impl Spread {
    fn freest(&self) -> Option<&Thread> {
        let threads = self.0.iter();
        threads.min_by_key(|thread| Arc::strong_count(&thread.place))
    }
}

/// The requests of one connection of HTTP/2 run on all threads.
impl<F> hyper::rt::Executor<F> for Spread
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, future: F) {
        if let Some(thread) = self.freest() {
            thread.spawn(future);
        }
    }
}

impl Thread {
    fn start(end: CancellationToken) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let thread = std::thread::Builder::new().name("connections".to_owned());
        thread.spawn(move || runtime.block_on(end.cancelled()))?;
        Ok(Self {
            runtime: handle,
            place: Arc::default(),
        })
    }

    fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        let place = Arc::clone(&self.place);
        self.runtime.spawn(async move {
            future.await;
            drop(place);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::rt::Executor as _;
    use std::collections::HashSet;
    use std::thread::{self, ThreadId};
    use tokio::net::TcpListener;
    use tokio::sync::mpsc;

    async fn connected() -> TcpStream {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (stream, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        accepted.expect("accepted");
        stream.expect("connected")
    }

    /// Says which thread it runs on, and stays.
    fn staying(told: &mpsc::Sender<ThreadId>) -> impl Future<Output = ()> + use<> {
        let told = told.clone();
        async move {
            let own = thread::current().id();
            told.send(own).await.expect("somebody listens");
            std::future::pending().await
        }
    }

    #[tokio::test]
    async fn connections_and_what_is_spread_are_served_by_all_threads_alike() {
        let threads = Threads::start().expect("threads");
        let (spread, count) = (threads.spread(), threads.spread.0.len());
        let (told, mut heard) = mpsc::channel(1);
        let mut turn = Vec::new();
        for number in 0..2 * count {
            if number % 2 == 0 {
                let stream = connected().await;
                let served = threads.serve(stream, |_| staying(&told));
                served.expect("served");
            } else {
                spread.execute(staying(&told));
            }
            turn.push(heard.recv().await.expect("it runs"));
        }
        let own = thread::current().id();
        assert!(!turn.contains(&own), "the acceptor serves nobody");
        for round in turn.chunks(count) {
            let different: HashSet<_> = round.iter().collect();
            assert_eq!(different.len(), count, "{turn:?}");
        }
    }

    #[tokio::test]
    async fn what_is_served_ends_with_the_threads() {
        let threads = Threads::start().expect("threads");
        let (told, mut heard) = mpsc::channel(1);
        let (stream, _spread) = (connected().await, threads.spread());
        let served = threads.serve(stream, |_| staying(&told));
        served.expect("served");
        heard.recv().await.expect("it runs");
        drop((threads, told));
        assert_eq!(heard.recv().await, None, "its task is gone");
    }
}
