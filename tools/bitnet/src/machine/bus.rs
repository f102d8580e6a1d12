//! How fast the machine reads its memory.

use std::collections::HashMap;

use anyhow::{Context, Result};
use bitnet_edge_std::bandwidth::{Memory, readers};
use serde::Serialize;

const REPETITIONS: usize = 5;

/// The memory bus, to be read between two measurements.
pub(crate) struct Bus(Memory);

impl Bus {
    /// Memory of `bytes` bytes to read, which should be a multiple of what the caches hold.
    pub(crate) fn new(bytes: usize) -> Result<Self> {
        let memory = Memory::new(bytes);
        Ok(Self(memory.with_context(|| {
            format!("the system has no {} MiB to measure its read bandwidth with", bytes >> 20)
        })?))
    }

    /// What `threads` threads read now: the best of five, by each reader.
    pub(crate) fn turn(&self, threads: usize) -> Bandwidth {
        let speed = |reader| self.0.bytes_per_second(reader, threads, REPETITIONS);
        let all = readers().into_iter().map(|(name, reader)| (name.to_owned(), speed(reader)));
        Bandwidth { bytes_per_second: all.collect() }
    }
}

/// Read bandwidth, by reader.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Bandwidth {
    pub(crate) bytes_per_second: HashMap<String, f64>,
}

impl Bandwidth {
    /// The best of each reader; `None` of no turns.
    pub(crate) fn best_of(turns: &[Self]) -> Option<Self> {
        let mut bytes_per_second = turns.first()?.bytes_per_second.clone();
        for (name, speed) in turns.iter().flat_map(|turn| &turn.bytes_per_second) {
            let best = bytes_per_second.entry(name.clone()).or_default();
            *best = best.max(*speed);
        }
        Some(Self { bytes_per_second })
    }

    pub(crate) fn best(&self) -> f64 {
        self.bytes_per_second.values().copied().fold(0.0, f64::max)
    }
}
