//! What a process and those below it have used, as `/proc` says.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The kernel's ticks a second in `/proc/*/stat`, the same on all Linux that we build for.
const TICKS_A_SECOND: u64 = 100;

/// What a process tree has used so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Used {
    /// Time on a core, in microseconds.
    pub(crate) cpu_us: u64,
    /// Memory of its own now, in bytes.
    pub(crate) rss: u64,
    /// Bytes that it caused to be sent to the disk.
    pub(crate) written: u64,
}

impl Used {
    /// What was used since an earlier look; memory is as it is now.
    pub(crate) fn since(self, earlier: Self) -> Self {
        Self {
            cpu_us: self.cpu_us.saturating_sub(earlier.cpu_us),
            rss: self.rss,
            written: self.written.saturating_sub(earlier.written),
        }
    }

    /// Both together.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            cpu_us: self.cpu_us + other.cpu_us,
            rss: self.rss + other.rss,
            written: self.written + other.written,
        }
    }
}

/// What a process and all below it have used.
pub(crate) fn used(root: u32) -> Used {
    let all = std::iter::once(root).chain(below(root));
    all.filter_map(of_one).fold(Used::default(), Used::and)
}

fn of_one(pid: u32) -> Option<Used> {
    let file = |name: &str| std::fs::read_to_string(format!("/proc/{pid}/{name}")).ok();
    let stat = file("stat")?;
    // The name in parentheses may hold spaces and parentheses itself.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(Used {
        cpu_us: (user + system) * 1_000_000 / TICKS_A_SECOND,
        rss: number(&file("status")?, "VmRSS:").unwrap_or_default() * 1024,
        written: file("io")
            .and_then(|io| number(&io, "write_bytes:"))
            .unwrap_or_default(),
    })
}

fn below(root: u32) -> Vec<u32> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    for pid in entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()) {
        if let Some(parent) = parent(pid) {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut found = vec![root];
    let mut next = 0;
    while let Some(pid) = found.get(next) {
        found.extend(children.remove(pid).unwrap_or_default());
        next += 1;
    }
    found.split_off(1)
}

fn parent(pid: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields = stat.rsplit_once(')')?.1;
    fields.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// The number behind a name at the beginning of a line.
pub(crate) fn number(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}
