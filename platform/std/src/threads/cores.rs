//! How many threads a machine is good for.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::thread::available_parallelism;

/// Cores that this process may use: no more than the machine has, two threads of a core counted once where the system
/// says so (Linux), and no more than the process's affinity and quota allow.
///
/// ```
/// assert!(bitnet_edge_std::physical_cores() >= 1);
/// ```
#[must_use]
pub fn physical_cores() -> usize {
    let allowed = available_parallelism().map_or(1, usize::from);
    siblings(Path::new("/sys/devices/system/cpu")).map_or(allowed, |cores| cores.min(allowed))
}

/// Different lists of threads that share a core, one list a core; `None` where the system has no such folder.
fn siblings(cpus: &Path) -> Option<usize> {
    let lists = fs::read_dir(cpus).ok()?.filter_map(|entry| {
        fs::read_to_string(entry.ok()?.path().join("topology/thread_siblings_list")).ok()
    });
    Some(lists.collect::<BTreeSet<_>>().len()).filter(|&cores| cores > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_threads_of_a_core_count_once() {
        let folder = std::env::temp_dir().join(format!("bitnet-edge-siblings-{}", std::process::id()));
        for (cpu, list) in ["0,4", "1,5", "2-3", "2-3", "0,4", "1,5"].iter().enumerate() {
            let topology = folder.join(format!("cpu{cpu}/topology"));
            fs::create_dir_all(&topology).unwrap();
            fs::write(topology.join("thread_siblings_list"), format!("{list}\n")).unwrap();
        }
        fs::create_dir(folder.join("cpufreq")).unwrap();
        let found = siblings(&folder);
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(found, Some(3));
        assert_eq!(siblings(&folder), None);
    }
}
