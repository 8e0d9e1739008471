use std::path::PathBuf;

/// A tool that `scripts/setup` installs, by its variable; a missing one is a failure, never a skip.
#[expect(
    clippy::disallowed_methods,
    reason = "where a tool of the tests lies is no setting of the gateway"
)]
pub(crate) fn tool(variable: &str, setup_flag: &str) -> PathBuf {
    let remedy = format!("run ./scripts/setup {setup_flag}, then: source scripts/lib/env.sh");
    let path =
        std::env::var_os(variable).unwrap_or_else(|| panic!("{variable} is not set: {remedy}"));
    let path = PathBuf::from(path);
    assert!(
        path.exists(),
        "{variable} names {}, which is not there: {remedy}",
        path.display()
    );
    path
}
