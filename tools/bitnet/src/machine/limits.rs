//! What this process may use of the machine.

use serde::Serialize;

use super::Root;
use super::cpu::cores;
use super::root::{field, numbers};

/// Limits of control groups, of the affinity and of the process.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Limits {
    /// Processors' time that the control group may take: 1.5 is one and a half processors.
    pub(crate) processors: Option<f64>,
    /// Bytes of memory that the control group may have.
    pub(crate) memory: Option<u64>,
    /// Bytes that it has, the page cache included.
    pub(crate) memory_used: Option<u64>,
    /// Hardware threads that this process may run on.
    pub(crate) allowed_threads: Option<usize>,
    /// Cores that those belong to.
    pub(crate) allowed_cores: Option<usize>,
    /// Bytes of addresses that this process may have.
    pub(crate) address_space: Option<u64>,
}

/// Larger limits are none: version 1 writes the largest multiple of a page.
const UNLIMITED: u64 = 1 << 60;

impl Limits {
    pub(super) fn read(root: &Root) -> Self {
        let status = root.read("proc/self/status").unwrap_or_default();
        let allowed = field(&status, "Cpus_allowed_list").map(numbers).unwrap_or_default();
        let groups = Group::all(root);
        let memory = |files: [&str; 2]| {
            let found = groups.iter().filter_map(|group| group.number("memory", files));
            found.filter(|&bytes| bytes < UNLIMITED).collect::<Vec<_>>()
        };
        Self {
            processors: groups.iter().filter_map(Group::processors).reduce(f64::min),
            memory: memory(["memory.max", "memory.limit_in_bytes"]).into_iter().min(),
            memory_used: memory(["memory.current", "memory.usage_in_bytes"]).first().copied(),
            allowed_threads: Some(allowed.len()).filter(|&n| n > 0),
            allowed_cores: cores(root, &allowed),
            address_space: address_space(root),
        }
    }
}

fn address_space(root: &Root) -> Option<u64> {
    let limits = root.read("proc/self/limits")?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max address space"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// A control group that this process is in, or one above it.
struct Group<'a> {
    root: &'a Root,
    /// Of version 1: the controllers that the hierarchy has.
    controllers: Option<String>,
    /// Within the hierarchy, without a slash at either end.
    path: String,
}

impl<'a> Group<'a> {
    /// The groups of this process, from the innermost outwards. In a container the innermost one often is the root of what
    /// can be seen.
    fn all(root: &'a Root) -> Vec<Self> {
        let list = root.read("proc/self/cgroup").unwrap_or_default();
        let mut groups = Vec::new();
        for line in list.lines() {
            let mut parts = line.splitn(3, ':').skip(1);
            let Some((controllers, path)) = parts.next().zip(parts.next()) else { continue };
            let controllers = (!controllers.is_empty()).then(|| controllers.to_owned());
            let path = path.trim_matches('/');
            let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
            let mut ends: Vec<usize> = std::iter::once(0).chain(ends).collect();
            ends.dedup();
            for end in ends.into_iter().rev() {
                let path = path.get(..end).unwrap_or_default().to_owned();
                groups.push(Self { root, controllers: controllers.clone(), path });
            }
        }
        groups
    }

    /// What a file of a controller says: `names` are those of versions 2 and 1.
    fn read(&self, controller: &str, names: [&str; 2]) -> Option<String> {
        let Self { root, controllers, path } = self;
        match controllers {
            None => root.read(&format!("sys/fs/cgroup/{path}/{}", names[0])),
            Some(all) if all.split(',').any(|name| name == controller) => {
                root.read(&format!("sys/fs/cgroup/{controller}/{path}/{}", names[1]))
            }
            Some(_) => None,
        }
    }

    fn number(&self, controller: &str, names: [&str; 2]) -> Option<u64> {
        self.read(controller, names)?.parse().ok()
    }

    fn processors(&self) -> Option<f64> {
        let quota = self.read("cpu", ["cpu.max", "cpu.cfs_quota_us"])?;
        let (quota, period) = match quota.split_once(' ') {
            Some((quota, period)) => (quota.parse::<f64>().ok()?, period.parse::<f64>().ok()?),
            None => (quota.parse().ok()?, self.number("cpu", ["", "cpu.cfs_period_us"])? as f64),
        };
        (quota > 0.0 && period > 0.0).then(|| quota / period)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::root::tests::root_with;

    #[test]
    fn limits_of_version_2_hold_for_all_groups_below() {
        let folder = root_with([
            ("proc/self/cgroup", "0::/system.slice/box.scope/inner\n"),
            ("sys/fs/cgroup/system.slice/cpu.max", "400000 100000\n"),
            ("sys/fs/cgroup/system.slice/memory.max", "max\n"),
            ("sys/fs/cgroup/system.slice/box.scope/cpu.max", "150000 100000\n"),
            ("sys/fs/cgroup/system.slice/box.scope/memory.max", "2147483648\n"),
            ("sys/fs/cgroup/system.slice/box.scope/memory.current", "1073741824\n"),
            ("sys/fs/cgroup/system.slice/box.scope/inner/cpu.max", "max 100000\n"),
            ("proc/self/status", "Name:\tx\nCpus_allowed:\tff\nCpus_allowed_list:\t0-1,4\n"),
            (
                "proc/self/limits",
                "Limit  Soft Limit  Hard Limit  Units\nMax address space  4096000  unlimited  bytes\n",
            ),
        ]);
        let limits = Limits::read(&Root::at(folder.path()));
        assert_eq!(limits.processors, Some(1.5));
        assert_eq!((limits.memory, limits.memory_used), (Some(2 << 30), Some(1 << 30)));
        assert_eq!((limits.allowed_threads, limits.allowed_cores), (Some(3), None));
        assert_eq!(limits.address_space, Some(4_096_000));
    }

    #[test]
    fn limits_of_version_1_are_by_controller() {
        let folder = root_with([
            ("proc/self/cgroup", "5:memory:/box\n4:cpuset:/\n2:cpu,cpuacct:/box\n0::/\n"),
            ("sys/fs/cgroup/memory/box/memory.limit_in_bytes", "1000\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
            ("sys/fs/cgroup/cpu/box/cpu.cfs_quota_us", "50000\n"),
            ("sys/fs/cgroup/cpu/box/cpu.cfs_period_us", "100000\n"),
            ("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n"),
            ("proc/self/limits", "Max address space  unlimited  unlimited  bytes\n"),
        ]);
        let limits = Limits::read(&Root::at(folder.path()));
        assert_eq!((limits.processors, limits.memory), (Some(0.5), Some(1000)));
        assert_eq!((limits.memory_used, limits.address_space), (None, None));
    }

    #[test]
    fn no_group_is_no_limit() {
        let folder = tempfile::tempdir().unwrap();
        let limits = Limits::read(&Root::at(folder.path()));
        assert_eq!((limits.processors, limits.memory, limits.allowed_threads), (None, None, None));
    }
}
