use crate::config::from_environment;
use tracing_subscriber::EnvFilter;

/// What others may log. Below this the store prints stored bytes, and logs while its thread's locals are
/// being destroyed, which ends the process; and the chain's client prints payers' transactions, and the
/// node's URL with the key that may be in it.
const OTHERS: [&str; 5] = [
    "sled=info",
    "alloy_rpc_client=info",
    "alloy_transport=info",
    "alloy_transport_http=info",
    "alloy_provider=info",
];

/// Logs to standard error: `default` unless `GROAT_LOG` says otherwise; JSON with `GROAT_LOG_FORMAT=json`.
pub(super) fn start(default: &str) {
    let filter = EnvFilter::try_from_env("GROAT_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let others = OTHERS.iter().filter_map(|others| others.parse().ok());
    let filter = others.fold(filter, EnvFilter::add_directive);
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let json = from_environment("GROAT_LOG_FORMAT").is_some_and(|format| format == "json");
    // A second start in one process keeps the first.
    let _ = if json {
        builder.json().try_init()
    } else {
        builder.try_init()
    };
}
