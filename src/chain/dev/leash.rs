//! Programs that must not outlive this process, however it ends.

use std::path::Path;
use std::process::Stdio;
use tokio::process::Command;

/// A shell leaves a watcher behind and becomes the program, so that both have one process id. The
/// watcher reads a pipe whose other end is this process's alone, and kills the program's group when it
/// closes: a program with workers of its own would leave them behind otherwise.
const LEASH: &str =
    r#"exec 3<&0; (cat <&3; kill -9 -$$) >/dev/null 2>&1 & exec "$@" </dev/null 3<&-"#;

/// A command for a program that ends with this process, even one that is killed and cannot stop it.
///
/// Its standard input is taken, and closing that kills the program. It is in a process group of its
/// own: an interrupt at the terminal is ours to answer, in our order.
pub fn leashed(program: &Path) -> Command {
    let mut command = Command::new("sh");
    command.arg("-c").arg(LEASH).arg("sh").arg(program);
    command
        .stdin(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    command
}
