//! What speed to expect: what a token reads, beside what the memory gives.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use bitnet_edge_core::{MemoryPlan, PlanOptions};
use bitnet_pack::cli::HOST_BATCH;
use bitnet_pack::convert::Options;
use bitnet_pack::report::advised;
use bitnet_pack::source::{self, Source};
use serde::Serialize;

use crate::machine::{self, Root, last_level_caches};
use crate::traffic::Traffic;
use crate::{model, models};

/// Bytes to measure the bandwidth with, at least and at most; it takes this share of the free memory at most.
const LEAST: u64 = 256 << 20;
const MOST: u64 = 1 << 30;
const SHARE: u64 = 4;
/// Tokens that a speed is given for: the cache is then half as long on the average.
const TOKENS: u32 = 128;

/// The read bandwidth of this machine.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Bus {
    /// What was read.
    pub(super) bytes: u64,
    pub(super) runs: Vec<BusRun>,
    /// Why it was not measured.
    pub(super) failed: Option<String>,
}

/// What a number of threads read.
#[derive(Clone, Debug, Serialize)]
pub(super) struct BusRun {
    pub(super) threads: usize,
    pub(super) bytes_per_second: f64,
}

impl Bus {
    pub(super) fn measure(root: &Root, threads: usize) -> Self {
        let bytes = Self::size(last_level_caches(root), machine::Machine::read(root).memory.available);
        match machine::Bus::new(usize::try_from(bytes).unwrap_or(LEAST as usize)) {
            Err(error) => Self { bytes, runs: Vec::new(), failed: Some(format!("{error:#}")) },
            Ok(bus) => {
                // More threads than processors read no more.
                let threads = threads.min(std::thread::available_parallelism().map_or(1, usize::from));
                let counts = if threads > 1 { vec![1, threads] } else { vec![1] };
                let run = |threads| BusRun { threads, bytes_per_second: bus.turn(threads).best() };
                Self { bytes, runs: counts.into_iter().map(run).collect(), failed: None }
            }
        }
    }

    /// Eight times the caches, so that they hold little of it.
    fn size(caches: Option<u64>, available: Option<u64>) -> u64 {
        let wanted = (8 * caches.unwrap_or_default()).clamp(LEAST, MOST);
        available.map_or(wanted, |free| wanted.min(free / SHARE)).max(1 << 20)
    }
}

/// The model that the machine is judged for.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Subject {
    pub(super) name: String,
    pub(super) path: Option<PathBuf>,
    /// Bytes of the file.
    pub(super) file_bytes: Option<u64>,
    /// Bytes of memory that a run takes: the image, and the plan of `bitnet run` where the image is at hand.
    pub(super) memory_bytes: Option<u64>,
    /// Whether it is converted whenever it is run.
    pub(super) converted: bool,
    /// What a token reads.
    pub(super) bytes_per_token: Option<u64>,
    /// Whether that is the file's size, of which a token reads no more.
    pub(super) by_file_size: bool,
    /// What keeps this version from running it.
    pub(super) obstacle: Option<String>,
}

impl Subject {
    /// A model file, or a known model by its name.
    pub(super) fn find(model: &Path) -> Result<Self> {
        let text = model.to_string_lossy();
        let pulled = model::locate(model);
        if let (Err(_), Some(known)) = (&pulled, models::find(&text)) {
            return Ok(Self {
                obstacle: known.obstacle(),
                name: known.name.to_owned(),
                path: None,
                file_bytes: known.bytes,
                memory_bytes: known.bytes,
                converted: false,
                bytes_per_token: known.bytes,
                by_file_size: true,
            });
        }
        let path = pulled?;
        if !path.exists() {
            bail!(
                "cannot open {}: there is no such file, and no model is known by that name (bitnet pull --list)",
                path.display()
            );
        }
        Self::open(&path)
    }

    fn open(path: &Path) -> Result<Self> {
        let source = Source::open(path, &Options::default())?;
        let model = source::model(source.bytes(), path)?;
        let mut options = PlanOptions::new(&model.config());
        options.batch = HOST_BATCH.min(options.context.max(1));
        let plan = MemoryPlan::new(&model.config(), &options).map_err(advised)?;
        let file = path.metadata().with_context(|| format!("cannot read {}", path.display()))?;
        Ok(Self {
            name: path.display().to_string(),
            path: Some(path.to_owned()),
            file_bytes: Some(file.len()),
            memory_bytes: Some(source.bytes().len() as u64 + plan.bytes() as u64),
            converted: matches!(source, Source::Converted { .. }),
            bytes_per_token: Some(Traffic::of(&model).decode(TOKENS.min(model.config().context))),
            by_file_size: false,
            obstacle: None,
        })
    }
}

/// Derived, not measured: tokens a second when each reads the model from memory once.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Expected {
    pub(super) bytes_per_token: u64,
    pub(super) runs: Vec<Speed>,
}

/// The speed of a number of threads.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Speed {
    pub(super) threads: usize,
    /// Tokens a second if nothing but reading took time.
    pub(super) at_most: f64,
    /// The share of the bandwidth, in percent, that was measured of this program on one machine, where it was.
    pub(super) measured_percent: Option<[f64; 2]>,
    /// Tokens a second at that share.
    pub(super) likely: Option<[f64; 2]>,
}

/// Shares of the read bandwidth that decoding reached in the measurements of `docs/performance.md`, in percent, with one
/// thread and with two. More threads were not measured.
const MEASURED: [[f64; 2]; 2] = [[76.0, 84.0], [45.0, 81.0]];

impl Expected {
    /// `None` where nothing can be derived: caches can hold much of what a token reads, or the bandwidth is not known.
    pub(super) fn of(model: &Subject, bus: &Bus, root: &Root) -> Option<Self> {
        let bytes_per_token = model.bytes_per_token.filter(|&bytes| bytes > 0)?;
        let cached = last_level_caches(root).is_some_and(|caches| bytes_per_token < 4 * caches);
        (!cached && !bus.runs.is_empty()).then(|| Self::from_bandwidth(bytes_per_token, bus))
    }

    fn from_bandwidth(bytes_per_token: u64, bus: &Bus) -> Self {
        let speed = |run: &BusRun| {
            let at_most = run.bytes_per_second / bytes_per_token as f64;
            let measured_percent = run.threads.checked_sub(1).and_then(|i| MEASURED.get(i).copied());
            let likely = measured_percent.map(|range| range.map(|percent| at_most * percent / 100.0));
            Speed { threads: run.threads, at_most, measured_percent, likely }
        };
        Self { bytes_per_token, runs: bus.runs.iter().map(speed).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bus_is_read_with_more_than_the_caches_and_less_than_the_memory() {
        assert_eq!(Bus::size(None, None), LEAST);
        assert_eq!(Bus::size(Some(64 << 20), Some(64 << 30)), 512 << 20);
        assert_eq!(Bus::size(Some(1 << 30), None), MOST);
        assert_eq!(Bus::size(None, Some(400 << 20)), 100 << 20);
        assert_eq!(Bus::size(None, Some(0)), 1 << 20);
    }

    #[test]
    fn a_speed_is_what_is_given_over_what_is_read() {
        let run = |threads, bytes_per_second| BusRun { threads, bytes_per_second };
        let bus = Bus { bytes: 1, runs: vec![run(1, 30e9), run(2, 50e9), run(8, 90e9)], failed: None };
        let expected = Expected::from_bandwidth(1_000_000_000, &bus);
        let at_most: Vec<f64> = expected.runs.iter().map(|speed| speed.at_most).collect();
        assert_eq!(at_most, [30.0, 50.0, 90.0]);
        let [low, high] = expected.runs[0].likely.unwrap();
        assert!((low - 22.8).abs() < 1e-9 && (high - 25.2).abs() < 1e-9);
        assert!(expected.runs[2].likely.is_none());
    }

    #[test]
    fn a_known_model_is_known_by_its_name_and_another_is_an_error() {
        let known = Subject::find(Path::new("bitnet-b1.58-2b-4t")).unwrap();
        assert!(known.by_file_size && known.path.is_none() && known.bytes_per_token > Some(1 << 30));
        let error = Subject::find(Path::new("no-such-model")).unwrap_err().to_string();
        assert!(error.contains("no-such-model") && error.contains("pull --list"), "{error}");
    }
}
