//! A call that costs nothing, whatever it uses: nobody pays for it and nobody is charged, so it needs no
//! credential. It is held, metered and receipted like any other.

use super::attempt::{Payment, Registered, haste, hold};
use super::desk::Shared;
use super::quote::QuotedCall;
use super::refusal::Refusal;
use super::running::Running;
use super::sales::app;
use super::task::Task;
use crate::clock::now_ms;
use crate::ledger::{CallId, Event, ReplayKey, SettleWhen, Takes};
use crate::protocol::x402::Version;
use alloy::primitives::Address;
use http::HeaderMap;
use serde_json::Value;
use std::sync::{Arc, Mutex};
use tokio::sync::OwnedSemaphorePermit;

/// The rail of a call that nothing is paid for.
const RAIL: &str = "free";

/// A request for what costs nothing; no two of them are the same.
pub(super) struct Gift {
    pub(super) shared: Arc<Shared>,
    pub(super) running: Arc<Running>,
    pub(super) key: [u8; 32],
    pub(super) call: QuotedCall,
    pub(super) headers: HeaderMap,
    /// Its place among those that may run at once.
    pub(super) place: OwnedSemaphorePermit,
}

impl Gift {
    /// Holds and runs the call; listeners learn whatever happens.
    pub(super) async fn run(self) {
        let registered = Registered {
            shared: Arc::clone(&self.shared),
            running: Arc::clone(&self.running),
            key: self.key,
            call: CallId::new(now_ms(), rand::random()),
        };
        if let Err(refusal) = self.hold_and_run(registered.call).await {
            registered.refuse(refusal);
        }
    }

    async fn hold_and_run(self, id: CallId) -> Result<(), Refusal> {
        let Self {
            shared,
            running,
            key,
            call,
            headers,
            place,
        } = self;
        let (payer, settle_when, takes) = (Address::ZERO, SettleWhen::After, Takes::Charged);
        let payment = Payment {
            call: id,
            rail: RAIL,
            replay_key: ReplayKey::from_bytes(key),
            payment_id: None,
            payer,
            app: app(&headers),
            settle_when,
            takes,
            channel: None,
            stored: Value::Null,
        };
        shared.registry().calls.insert(id, Arc::clone(&running));
        let conversation = call.conversation(&shared.routing.namer, &payer, &headers)?;
        let hold = hold(&shared, &call, payment)?;
        let forwarded = Event::Forwarded { at_ms: now_ms() };
        let begun = shared
            .ledger
            .begin(hold, vec![forwarded], haste(call.stream))
            .await;
        let (state, hold) = begun.map_err(|error| {
            tracing::error!(%error, "a hold was not taken");
            Refusal::LedgerUnavailable
        })?;
        running.held(id);
        let task = Box::new(Task {
            shared,
            running,
            id,
            call,
            payer,
            conversation,
            settle_when,
            takes,
            settle_by: None,
            reservation: Mutex::default(),
            channel: None,
            metered: None,
            end_waits: false,
            version: Version::V2,
            challenge: None,
            headers,
        });
        task.run(state, hold).await;
        drop(place);
        Ok(())
    }
}
