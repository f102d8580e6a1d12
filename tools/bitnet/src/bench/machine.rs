//! The machine: its name, its memory, how fast it reads.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use bitnet_edge_std::bandwidth::{Memory, readers};
use bitnet_pack::source::Source;

use super::report::{Bandwidth, Machine};

/// What is read to measure the bandwidth, in bytes.
const READ_BYTES: usize = 1 << 30;
const REPETITIONS: usize = 5;

pub(super) fn describe() -> Machine {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    // ARM's processors have numbers there; its boards have names.
    let board = fs::read_to_string("/proc/device-tree/model").ok();
    let name = name.map(|(_, name)| name).or(board.as_deref()).map(|name| name.trim_matches(['\0', ' ']));
    Machine {
        processor: name.unwrap_or(std::env::consts::ARCH).to_owned(),
        processors: std::thread::available_parallelism().map_or(1, usize::from),
        os: std::env::consts::OS.to_owned(),
    }
}

/// The memory bus, to be read between two measurements.
pub(super) struct Bus(Memory);

impl Bus {
    pub(super) fn new() -> Result<Self> {
        let memory = Memory::new(READ_BYTES);
        Ok(Self(memory.context("the system has no 1 GiB to measure its read bandwidth with")?))
    }

    /// What `threads` threads read now: the best of five over 1 GiB, by each reader.
    pub(super) fn turn(&self, threads: usize) -> Bandwidth {
        let speed = |reader| self.0.bytes_per_second(reader, threads, REPETITIONS);
        let all = readers().into_iter().map(|(name, reader)| (name.to_owned(), speed(reader)));
        Bandwidth { bytes_per_second: all.collect() }
    }
}

/// The largest resident memory so far less the model's own, in bytes; `None` where the system does not tell.
pub(super) fn peak_beyond(source: &Source, path: &Path) -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let peak = kilobytes(status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?)?;
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

fn kilobytes(text: &str) -> Option<u64> {
    text.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|n| n * 1024)
}

/// Bytes of all caches of the last level, of which a processor of many cores has several; `None` where the system does not tell.
pub(super) fn last_level_caches() -> Option<u64> {
    let mut largest = BTreeMap::new();
    for cpu in 0..std::thread::available_parallelism().map_or(1, usize::from) {
        let caches = (0..8).filter_map(|index| {
            let folder = format!("/sys/devices/system/cpu/cpu{cpu}/cache/index{index}");
            let read = |name: &str| fs::read_to_string(format!("{folder}/{name}")).ok();
            Some((bytes(read("size")?.trim())?, read("shared_cpu_list")?))
        });
        // The same cache of several processors is one.
        let (size, processors) = caches.max()?;
        largest.insert(processors, size);
    }
    Some(largest.values().sum())
}

/// A number of bytes as the system writes it: 512K, 32M.
fn bytes(text: &str) -> Option<u64> {
    let (digits, unit) = match text.strip_suffix('K') {
        Some(digits) => (digits, 1 << 10),
        None => (text.strip_suffix('M')?, 1 << 20),
    };
    digits.parse::<u64>().ok().map(|n| n * unit)
}
