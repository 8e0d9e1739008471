//! What it was measured on.

use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

/// The machine and the versions of what ran on it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Machine {
    pub(crate) cores: usize,
    pub(crate) cpu: String,
    pub(crate) memory_mib: u64,
    pub(crate) kernel: String,
    pub(crate) disk: String,
    pub(crate) rustc: String,
    pub(crate) commit: String,
    pub(crate) nginx: String,
    pub(crate) anvil: String,
    /// What else kept the machine busy when the run began.
    pub(crate) load_average: String,
}

impl Machine {
    /// Looks at this one; ledgers are in `folder`.
    pub(crate) fn look(folder: &Path) -> Self {
        let file = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let cpu = file("/proc/cpuinfo");
        let cpu = cpu.lines().find_map(|line| line.strip_prefix("model name"));
        let memory = crate::yard::process::number(&file("/proc/meminfo"), "MemTotal:");
        let root = env!("CARGO_MANIFEST_DIR");
        let dirty = said(
            "git",
            &["-C", root, "status", "--porcelain", "--untracked-files=no"],
        );
        let commit = said("git", &["-C", root, "rev-parse", "HEAD"]);
        let load = file("/proc/loadavg");
        Self {
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            cpu: cpu
                .unwrap_or_default()
                .trim_start_matches([' ', '\t', ':'])
                .to_owned(),
            memory_mib: memory.unwrap_or_default() / 1024,
            kernel: file("/proc/sys/kernel/osrelease").trim().to_owned(),
            disk: disk(folder),
            rustc: said("rustc", &["--version"]),
            commit: match dirty.is_empty() {
                true => commit,
                false => format!("{commit} and changes"),
            },
            nginx: String::new(),
            anvil: String::new(),
            load_average: load.split(' ').next().unwrap_or_default().to_owned(),
        }
    }

    pub(crate) fn json(&self) -> Value {
        json!({
            "cores": self.cores,
            "cpu": self.cpu,
            "memory_mib": self.memory_mib,
            "kernel": self.kernel,
            "disk": self.disk,
            "rustc": self.rustc,
            "commit": self.commit,
            "nginx": self.nginx,
            "anvil": self.anvil,
            "load_average_at_start": self.load_average,
        })
    }
}

/// What a command prints.
pub(crate) fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let output = output.map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&output)
        .lines()
        .next()
        .unwrap_or_default()
        .to_owned()
}

/// The kind of file system that a folder is on.
fn disk(folder: &Path) -> String {
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
    let of = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ');
        let (_, at, kind) = (words.next()?, words.next()?, words.next()?);
        folder
            .starts_with(at)
            .then_some((at.len(), kind.to_owned()))
    });
    of.max().map(|(_, kind)| kind).unwrap_or_default()
}
