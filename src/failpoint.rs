//! Named places where a test may kill the process; nothing at all without the `failpoints` feature.

/// The places, in the order a call passes them.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Failpoint {
    /// The hold is durable.
    Hold,
    /// The upstream is about to be called.
    Forward,
    /// The upstream's first byte is here.
    FirstByte,
    /// The usage is known.
    Usage,
    /// The capture is durable.
    Capture,
    /// The wish to settle many calls at once is durable.
    Batch,
    /// The settlement is durable and about to be broadcast.
    SettleSent,
    /// The settlement is confirmed and durable.
    SettleConfirmed,
    /// The receipt is durable.
    Receipt,
}

/// Aborts the process if the test asked for it here, in the variable `FAILPOINTS`.
#[cfg(feature = "failpoints")]
pub(crate) fn pass(at: Failpoint) {
    // The crate itself reads the variable only for a scenario that one thread must keep alive.
    static ARMED: std::sync::Once = std::sync::Once::new();
    ARMED.call_once(arm);
    let name = match at {
        Failpoint::Hold => "hold",
        Failpoint::Forward => "forward",
        Failpoint::FirstByte => "first_byte",
        Failpoint::Usage => "usage",
        Failpoint::Capture => "capture",
        Failpoint::Batch => "batch",
        Failpoint::SettleSent => "settle_sent",
        Failpoint::SettleConfirmed => "settle_confirmed",
        Failpoint::Receipt => "receipt",
    };
    fail::fail_point!(name, |_| std::process::abort());
}

/// Takes `name=actions;name=actions` from the environment.
#[cfg(feature = "failpoints")]
#[expect(
    clippy::disallowed_methods,
    reason = "only a test's own build reads it, and no configuration may name a place to die"
)]
fn arm() {
    let text = std::env::var("FAILPOINTS").unwrap_or_default();
    for one in text.split(';').filter(|one| !one.is_empty()) {
        let (name, actions) = one.split_once('=').unwrap_or((one, ""));
        if let Err(error) = fail::cfg(name, actions) {
            tracing::error!(name, error, "a failpoint is not armed");
        }
    }
}

/// Does nothing.
#[cfg(not(feature = "failpoints"))]
pub(crate) fn pass(_at: Failpoint) {}
