use crate::config::from_environment;
use tracing_subscriber::EnvFilter;

/// What the store may log: below this it prints stored bytes, and logs while its thread's locals are
/// being destroyed, which ends the process.
const STORE: &str = "sled=info";

/// Logs to standard error: `default` unless `GROAT_LOG` says otherwise; JSON with `GROAT_LOG_FORMAT=json`.
pub(super) fn start(default: &str) {
    let filter = EnvFilter::try_from_env("GROAT_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let filter = match STORE.parse() {
        Ok(directive) => filter.add_directive(directive),
        Err(_) => filter,
    };
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
