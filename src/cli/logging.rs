use crate::config::from_environment;
use tracing_subscriber::EnvFilter;

/// Logs to standard error: `default` unless `GROAT_LOG` says otherwise; JSON with `GROAT_LOG_FORMAT=json`.
pub(super) fn start(default: &str) {
    let filter = EnvFilter::try_from_env("GROAT_LOG").unwrap_or_else(|_| EnvFilter::new(default));
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
