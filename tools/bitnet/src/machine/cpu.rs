//! Processors, their caches, and who sets their clock.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::Root;
use super::root::{field, numbers};

/// The processors of a machine.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Processor {
    pub(crate) name: String,
    /// Hardware threads that are on.
    pub(crate) threads: Option<usize>,
    /// Cores, each of which may run several threads.
    pub(crate) cores: Option<usize>,
    pub(crate) caches: Vec<Cache>,
    /// Who sets the clock of the first processor, as Linux calls it: `schedutil`, `performance`, …
    pub(crate) governor: Option<String>,
    /// The driver of that one.
    pub(crate) clock_driver: Option<String>,
}

/// Caches of a kind.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Cache {
    /// `L1d`, `L1i`, `L2`, `L3`
    pub(crate) name: String,
    /// How many the machine has of them.
    pub(crate) count: usize,
    /// Bytes of one.
    pub(crate) bytes: u64,
}

const CPUS: &str = "sys/devices/system/cpu";

impl Processor {
    pub(super) fn read(root: &Root) -> Self {
        let online = root.read(&format!("{CPUS}/online")).map(|list| numbers(&list)).unwrap_or_default();
        let clock = |name: &str| root.read(&format!("{CPUS}/cpu0/cpufreq/{name}"));
        Self {
            name: Self::name(root),
            threads: Some(online.len()).filter(|&n| n > 0),
            cores: cores(root, &online),
            caches: caches(root, &online),
            governor: clock("scaling_governor"),
            clock_driver: clock("scaling_driver"),
        }
    }

    /// What the processor is called; ARM's have numbers there, and their boards names.
    pub(crate) fn name(root: &Root) -> String {
        let info = root.read("proc/cpuinfo").unwrap_or_default();
        let name = field(&info, "model name").or(field(&info, "Model")).map(str::to_owned);
        let board = || root.read("proc/device-tree/model");
        name.or_else(board).unwrap_or_else(|| std::env::consts::ARCH.to_owned())
    }
}

/// Different cores that `processors` are threads of; `None` where the system does not tell.
pub(super) fn cores(root: &Root, processors: &[usize]) -> Option<usize> {
    let siblings = |cpu: &usize| root.read(&format!("{CPUS}/cpu{cpu}/topology/thread_siblings_list"));
    let cores: Option<BTreeSet<String>> = processors.iter().map(siblings).collect();
    cores.map(|cores| cores.len()).filter(|&n| n > 0)
}

fn caches(root: &Root, processors: &[usize]) -> Vec<Cache> {
    // By name: the bytes of one, and who shares each of them.
    let mut found: BTreeMap<String, (u64, BTreeSet<String>)> = BTreeMap::new();
    for cpu in processors {
        for index in 0..8 {
            let read = |name: &str| root.read(&format!("{CPUS}/cpu{cpu}/cache/index{index}/{name}"));
            let Some(((level, size), shared)) =
                read("level").zip(read("size").and_then(|text| bytes(&text))).zip(read("shared_cpu_list"))
            else {
                continue;
            };
            let kind = match read("type").as_deref() {
                Some("Data") => "d",
                Some("Instruction") => "i",
                _ => "",
            };
            let (largest, groups) = found.entry(format!("L{level}{kind}")).or_default();
            *largest = size.max(*largest);
            groups.insert(shared);
        }
    }
    found.into_iter().map(|(name, (bytes, groups))| Cache { name, count: groups.len(), bytes }).collect()
}

/// Bytes of all caches of the last level, of which a processor of many cores has several; `None` where the system does not
/// tell.
pub(crate) fn last_level_caches(root: &Root) -> Option<u64> {
    let last = Processor::read(root).caches.pop()?;
    Some(last.bytes * last.count as u64)
}

/// A number of bytes as the system writes it: 512K, 32M.
fn bytes(text: &str) -> Option<u64> {
    let (digits, unit) = match text.strip_suffix('K') {
        Some(digits) => (digits, 1 << 10),
        None => (text.strip_suffix('M')?, 1 << 20),
    };
    digits.parse::<u64>().ok().map(|n| n * unit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::root::tests::root_with;

    fn desktop() -> tempfile::TempDir {
        let mut files = vec![
            ("sys/devices/system/cpu/online".to_owned(), "0-3\n".to_owned()),
            ("proc/cpuinfo".to_owned(), "processor\t: 0\nmodel name\t: Some Processor 9\n".to_owned()),
            (format!("{CPUS}/cpu0/cpufreq/scaling_governor"), "powersave\n".to_owned()),
            (format!("{CPUS}/cpu0/cpufreq/scaling_driver"), "acpi-cpufreq\n".to_owned()),
        ];
        for cpu in 0..4 {
            let core = cpu % 2;
            let pair = format!("{core},{}\n", core + 2);
            let folder = format!("{CPUS}/cpu{cpu}");
            files.push((format!("{folder}/topology/thread_siblings_list"), pair.clone()));
            for (index, (level, kind, size, shared)) in [
                ("1", "Data", "32K", pair.as_str()),
                ("1", "Instruction", "64K", &pair),
                ("2", "Unified", "1024K", &pair),
                ("3", "Unified", "32M", "0-3"),
            ]
            .into_iter()
            .enumerate()
            {
                let cache = format!("{folder}/cache/index{index}");
                for (name, text) in
                    [("level", level), ("type", kind), ("size", size), ("shared_cpu_list", shared)]
                {
                    files.push((format!("{cache}/{name}"), text.to_owned()));
                }
            }
        }
        root_with(files.iter().map(|(path, text)| (path.as_str(), text.as_str())))
    }

    #[test]
    fn cores_threads_and_caches_are_counted_once() {
        let folder = desktop();
        let root = Root::at(folder.path());
        let processor = Processor::read(&root);
        assert_eq!(processor.name, "Some Processor 9");
        assert_eq!((processor.threads, processor.cores), (Some(4), Some(2)));
        let caches = processor.caches.iter().map(|c| (c.name.as_str(), c.count, c.bytes));
        assert_eq!(
            caches.collect::<Vec<_>>(),
            [("L1d", 2, 32 << 10), ("L1i", 2, 64 << 10), ("L2", 2, 1 << 20), ("L3", 1, 32 << 20)]
        );
        assert_eq!(processor.governor.as_deref(), Some("powersave"));
        assert_eq!(last_level_caches(&root), Some(32 << 20));
        // Two threads of one core are one core.
        assert_eq!(
            (cores(&root, &[0, 2]), cores(&root, &[0, 1]), cores(&root, &[9])),
            (Some(1), Some(2), None)
        );
    }

    #[test]
    fn a_board_has_the_name_of_its_device_tree() {
        let folder = root_with([
            ("proc/cpuinfo", "processor\t: 0\nCPU part\t: 0xd0b\n"),
            ("proc/device-tree/model", "Board 5\0"),
        ]);
        let processor = Processor::read(&Root::at(folder.path()));
        assert_eq!(processor.name, "Board 5");
        assert_eq!((processor.threads, processor.cores, processor.caches.len()), (None, None, 0));
        let nothing = tempfile::tempdir().unwrap();
        assert_eq!(Processor::name(&Root::at(nothing.path())), std::env::consts::ARCH);
        assert_eq!(last_level_caches(&Root::at(nothing.path())), None);
    }
}
