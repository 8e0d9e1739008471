//! A configuration becomes a running gateway, and a running gateway stops in good order.

use super::{Failure, checks};
use crate::buying;
use crate::call::{Desk, DeskParts, Listings, PriceBook, Receipts};
use crate::chain::{LanePolicy, Relayer, Rpc};
use crate::config::{Config, Secret};
use crate::gateway::{App, Threads, serve};
use crate::ledger::{Ledger, OpenItems, SledStore};
use crate::payment::{
    Keeper, Keys, LedgerOutbox, Operations, Rails, Settlements, Sponsoring, Targets,
    quoted_settlers,
};
use crate::protocol::signature::Key;
use crate::stats::Metrics;
use alloy::signers::local::PrivateKeySigner;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::task::AbortOnDropHandle;

/// How long a start waits for the catalogues of models whose prices were never read.
const CATALOGUES_MAX: Duration = Duration::from_secs(10);

/// A gateway that answers.
pub(super) struct Gateway {
    /// Where it listens.
    pub(super) address: SocketAddr,
    /// The address that signs its receipts.
    pub(super) receipt_signer: alloy::primitives::Address,
    desk: Desk,
    /// What upstreams say of prices themselves.
    listings: Arc<Listings>,
    /// Looks after channels until this is dropped.
    keeper: Keeper,
    /// The same for sessions, where there is an escrow for them.
    sessions: Option<AbortOnDropHandle<()>>,
    ledger: Ledger,
    drain: Duration,
    stop: oneshot::Sender<()>,
    server: JoinHandle<()>,
}

impl Gateway {
    /// Opens the ledger, finds the chain, takes up what the last stop left open, and listens.
    pub(super) async fn start(config: &Config) -> Result<Self, Failure> {
        let listen = config.gateway.listen;
        let listener = TcpListener::bind(listen)
            .await
            .map_err(|error| Failure::other(format!("cannot listen on {listen}: {error}")))?;
        Self::start_on(listener, config).await
    }

    /// The same on a port that is held already, whatever the configuration says of it.
    pub(super) async fn start_on(listener: TcpListener, config: &Config) -> Result<Self, Failure> {
        small_pages();
        let rpc = connect(config).await?;
        let address = listener.local_addr().map_err(Failure::other)?;
        let (ledger, open) = open_ledger(config)?;
        let metrics = Arc::new(Metrics::default());
        let buyers = buying::buyers(config, &ledger, &metrics).map_err(Failure::other)?;
        let listings = Arc::new(Listings::remembered(&ledger, &config.upstreams));
        if !listings.lacking().is_empty() {
            // What cannot be read in this time comes later; all else is sold meanwhile.
            let _ = tokio::time::timeout(CATALOGUES_MAX, listings.read()).await;
            for model in listings.lacking() {
                tracing::error!(model, "no price of it could be read, so it is not there");
            }
        }
        let prices = PriceBook::open(
            &listings.priced(),
            buyers,
            config.payment.quote_grace,
            &config.gateway.data_dir,
        );
        let prices = prices.map_err(|error| no_client(&error))?;
        let (settled_sender, settled) = mpsc::channel(1024);
        let outbox = Arc::new(LedgerOutbox(ledger.clone()));
        let lane = |secret: &Secret| -> Result<_, Failure> {
            Ok(Relayer::spawn(
                rpc.clone(),
                signer(secret)?,
                policy(config),
                outbox.clone(),
            ))
        };
        let relayer = lane(&config.payment.relayer_key)?;
        // One lane per key in the whole world: a shared key shares the lane.
        let payout = match &config.payment.payout_key {
            Some(key) if signer(key)?.address() != relayer.0.address() => Some(lane(key)?),
            Some(_) => {
                return Err(Failure::other(
                    "payout_key and relayer_key must be two keys",
                ));
            }
            None => None,
        };
        let relayer_address = relayer.0.address();
        checks::contracts(config, &rpc, relayer_address).await?;
        let mut quoted = quoted_settlers(&open, relayer_address);
        quoted.extend(config.settler.address);
        let settlers = checks::settlers(&rpc, quoted, relayer_address).await?;
        let authorizer = config.channels.authorizer_key.as_ref();
        let keys = Keys {
            relayer: relayer_address,
            payout: payout.as_ref().map(|(lane, _)| lane.address()),
            authorizer: signer(authorizer.unwrap_or(&config.payment.relayer_key))?.address(),
            settlers: settlers.clone(),
        };
        checks::keys(config, &ledger, &open, &keys).await?;
        let sponsoring = Sponsoring::of(config, &rpc, &ledger, &relayer.0).await;
        let sponsoring = sponsoring.map_err(Failure::other)?;
        let targets = Targets {
            asset: config.asset.address,
            settler: config.settler,
            settlers,
            settle_margin: config.payment.settle_margin,
            confirmations: config.chain.confirmations,
        };
        let settlements = Settlements::new(
            &ledger,
            (&rpc, targets),
            relayer,
            payout,
            &metrics,
            &settled_sender,
        );
        let operations = Operations::new(&ledger, &settlements, &metrics);
        let rails = Rails::new(
            config,
            &rpc,
            &ledger,
            operations,
            relayer_address,
            sponsoring,
        )
        .map_err(|_| Failure::other("channels.authorizer_key is no private key"))?;
        let key = Key::from_hex(config.payment.receipt_key.reveal())
            .map_err(|_| Failure::other("receipt_key is no private key"))?;
        let receipts = Receipts::new(key, ledger.clone());
        let receipt_signer = receipts.signer();
        let parts = DeskParts {
            ledger: ledger.clone(),
            rails,
            settlements: settlements.clone(),
            receipts,
            metrics: Arc::clone(&metrics),
        };
        let desk = Desk::new(config, prices, parts);
        desk.keep_books(settled);
        desk.keep_prices(Arc::clone(&listings), config.gateway.catalogue_every);
        settlements.resume_batches(&open).await;
        desk.rails().resume_sponsoring(&open.operations);
        let (operations, settled) = (open.operations.clone(), open.settled_operations.clone());
        let keeper = Keeper::spawn(desk.rails().channels(), config, operations, settled).await;
        let sessions = desk.rails().session().ok().map(|sessions| {
            sessions.look_after(open.operations.clone(), config.channels.watch_every)
        });
        desk.resume(open).await;
        let origin = format!("http://{address}");
        let app = App::new(
            config,
            &origin,
            desk.clone(),
            ledger.clone(),
            settlements,
            metrics,
        );
        let (stop, stopped) = oneshot::channel::<()>();
        let threads = Threads::start()
            .map_err(|error| Failure::other(format!("threads cannot be started: {error}")))?;
        let server = tokio::spawn(serve(listener, threads, app.routes(), async move {
            // A dropped sender is a stop as well.
            let _ = stopped.await;
        }));
        tracing::info!(%address, "the gateway answers");
        Ok(Self {
            address,
            receipt_signer,
            desk,
            listings,
            keeper,
            sessions,
            ledger,
            drain: config.gateway.drain,
            stop,
            server,
        })
    }

    /// Puts the prices of a configuration that was read anew in force.
    pub(super) fn reprice(&self, config: &Config) -> Result<(), Failure> {
        self.listings.configure(&config.upstreams);
        self.desk
            .prices()
            .reprice(&self.listings.priced())
            .map_err(|error| no_client(&error))
    }

    /// Whether the server ended by itself, which it should not.
    pub(super) async fn ended(&mut self) -> Failure {
        match (&mut self.server).await {
            Err(error) => Failure::other(format!("the server failed: {error}")),
            Ok(()) => Failure::other("the server ended"),
        }
    }

    /// Stops: no new calls, those under way finish within the drain time, the ledger is closed last.
    pub(super) async fn stop(mut self) {
        tracing::info!(calls = self.desk.running(), "stopping");
        // The server listens until then: payers of streams have vouchers to send.
        self.desk.close(self.drain).await;
        // The server may be gone already.
        let _ = self.stop.send(());
        drop((self.keeper, self.sessions));
        let served = tokio::time::timeout(Duration::from_secs(2), &mut self.server).await;
        if served.is_err() {
            tracing::debug!("connections were still open");
            self.server.abort();
        }
        self.ledger.shutdown().await;
        tracing::info!("stopped");
    }
}

/// Takes no huge pages: the kernel clears two MiB for one that is touched, which takes milliseconds, and a
/// call may touch it.
fn small_pages() {
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        tracing::debug!(%error, "huge pages stay");
    }
}

async fn connect(config: &Config) -> Result<Rpc, Failure> {
    let chain = &config.chain;
    let rpc = Rpc::connect_within(chain.rpc_url.reveal(), chain.chain_id, chain.rpc_timeout).await;
    rpc.map_err(|error| {
        Failure::other(format!(
            "the chain at chain.rpc_url cannot be used: {error}"
        ))
    })
}

fn no_client(error: &reqwest::Error) -> Failure {
    Failure::other(format!("the HTTP client cannot start: {error}"))
}

fn open_ledger(config: &Config) -> Result<(Ledger, OpenItems), Failure> {
    let path = config.gateway.data_dir.join("ledger");
    let store = SledStore::open(&path).map_err(|error| {
        Failure::other(format!(
            "the ledger at {} cannot be opened (is another groat using it?): {error}",
            path.display()
        ))
    })?;
    Ledger::open(store).map_err(|error| {
        Failure::other(format!(
            "the ledger at {} is not sound: {error}",
            path.display()
        ))
    })
}

fn signer(secret: &Secret) -> Result<PrivateKeySigner, Failure> {
    secret
        .reveal()
        .parse()
        .map_err(|_| Failure::other("a key is no private key"))
}

fn policy(config: &Config) -> LanePolicy {
    LanePolicy {
        confirmations: config.chain.confirmations,
        final_depth: config.chain.final_depth,
        bump_after: config.chain.bump_after,
        ..LanePolicy::default()
    }
}
