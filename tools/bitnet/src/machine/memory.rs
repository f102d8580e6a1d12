//! Memory, swap, huge pages, and what this process has of them.

use std::fs;
use std::path::Path;

use bitnet_pack::source::Source;
use serde::Serialize;

use super::Root;
use super::root::{field, kilobytes};

/// The memory of a machine, in bytes.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Memory {
    pub(crate) total: Option<u64>,
    /// What can be had without swapping.
    pub(crate) available: Option<u64>,
    pub(crate) swap_total: Option<u64>,
    pub(crate) swap_used: Option<u64>,
}

impl Memory {
    pub(super) fn read(root: &Root) -> Self {
        let info = root.read("proc/meminfo").unwrap_or_default();
        let get = |key| field(&info, key).and_then(kilobytes);
        let swap_total = get("SwapTotal");
        Self {
            total: get("MemTotal"),
            available: get("MemAvailable"),
            swap_total,
            swap_used: swap_total.zip(get("SwapFree")).map(|(total, free)| total.saturating_sub(free)),
        }
    }
}

/// Huge pages as Linux has them.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct HugePages {
    /// When the system gives them by itself: `always`, `madvise` or `never`.
    pub(crate) transparent: String,
    /// Bytes of one.
    pub(crate) bytes: Option<u64>,
}

impl HugePages {
    /// `None` where the system does not know them.
    pub(super) fn read(root: &Root) -> Option<Self> {
        let choices = root.read("sys/kernel/mm/transparent_hugepage/enabled")?;
        let chosen = choices.split_once('[')?.1.split_once(']')?.0;
        let bytes = root.number("sys/kernel/mm/transparent_hugepage/hpage_pmd_size");
        Some(Self { transparent: chosen.to_owned(), bytes })
    }
}

/// The largest resident memory so far less the model's own, in bytes; `None` where the system does not tell.
pub(crate) fn peak_beyond(source: &Source, path: &Path) -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let peak = kilobytes(field(&status, "VmHWM")?)?;
    let model = match source {
        Source::Converted { image, .. } => image.as_slice().len() as u64,
        Source::Image(_) => mapped(path)?,
        Source::Copied(copy) => copy.len() as u64,
    };
    Some(peak.saturating_sub(model))
}

/// Resident bytes of a mapped file.
fn mapped(path: &Path) -> Option<u64> {
    let path = fs::canonicalize(path).ok()?;
    let maps = fs::read_to_string("/proc/self/smaps").ok()?;
    let mut inside = false;
    let mut bytes = 0;
    for line in maps.lines() {
        if let Some(rss) = line.strip_prefix("Rss:") {
            bytes += if inside { kilobytes(rss)? } else { 0 };
        } else if line.split_whitespace().next().is_some_and(|word| word.contains('-')) {
            inside = line.ends_with(path.to_str()?);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::root::tests::root_with;

    #[test]
    fn memory_and_swap_are_read() {
        let folder = root_with([
            (
                "proc/meminfo",
                "MemTotal:        8000000 kB\nMemFree:          100 kB\nMemAvailable:    6000000 kB\nSwapTotal:  2000 kB\n\
                 SwapFree:  500 kB\n",
            ),
            ("sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n"),
            ("sys/kernel/mm/transparent_hugepage/hpage_pmd_size", "2097152\n"),
        ]);
        let root = Root::at(folder.path());
        let memory = Memory::read(&root);
        assert_eq!((memory.total, memory.available), (Some(8_192_000_000), Some(6_144_000_000)));
        assert_eq!((memory.swap_total, memory.swap_used), (Some(2_048_000), Some(1_536_000)));
        let pages = HugePages::read(&root).unwrap();
        assert_eq!((pages.transparent.as_str(), pages.bytes), ("madvise", Some(2 << 20)));
    }

    #[test]
    fn what_is_not_told_is_not_known() {
        let folder = root_with([("sys/kernel/mm/transparent_hugepage/enabled", "?\n")]);
        let root = Root::at(folder.path());
        assert!(HugePages::read(&root).is_none());
        assert_eq!((Memory::read(&root).total, Memory::read(&root).swap_used), (None, None));
    }
}
