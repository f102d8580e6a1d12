//! The figures, and how they are printed.

use std::fmt::Write as _;

use anyhow::Result;
use serde::Serialize;

use crate::machine::Bandwidth;

/// A run of the benchmark. Speeds are in tokens/s, times in seconds.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) version: String,
    pub(super) machine: Machine,
    pub(super) model: String,
    pub(super) model_bytes: u64,
    pub(super) converted_in_memory: bool,
    pub(super) backend: String,
    pub(super) why: String,
    pub(super) batch: u32,
    pub(super) load: Load,
    pub(super) memory: Memory,
    /// What a decode step reads: weights, and the KV cache on the average.
    pub(super) bytes_per_token: u64,
    pub(super) decode_tokens: u32,
    pub(super) runs: Vec<Run>,
    pub(super) notes: Vec<String>,
    /// Why the run is invalid; empty if it is not.
    pub(super) problems: Vec<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct Machine {
    pub(super) processor: String,
    pub(super) processors: usize,
    pub(super) os: String,
}

/// From opening the file to the first token, of a short prompt.
#[derive(Debug, Default, Serialize)]
pub(super) struct Load {
    pub(super) open_s: f64,
    pub(super) prompt_tokens: u32,
    pub(super) first_token_s: f64,
    /// Less what the prompt takes when everything is in place.
    pub(super) beyond_prefill_s: f64,
}

#[derive(Debug, Serialize)]
pub(super) struct Memory {
    pub(super) plan_bytes: usize,
    pub(super) peak_beyond_model_bytes: Option<u64>,
}

/// The figures of a number of threads.
#[derive(Debug, Default, Serialize)]
pub(super) struct Run {
    pub(super) threads: usize,
    pub(super) prefill: Vec<Prefill>,
    pub(super) decode: Option<Samples>,
    /// The best of all turns.
    pub(super) bandwidth: Option<Bandwidth>,
    /// What decoding reads, as a share of what the bus gave in the turns beside it: the median.
    pub(super) bandwidth_percent: Option<f64>,
    /// The same, repetition by repetition.
    pub(super) bandwidth_percents: Option<Samples>,
}

impl Run {
    /// Takes the speeds of decoding, where a token reads `bytes`, and the turns of the bus: one more than there are speeds.
    pub(super) fn set_decode(&mut self, speed: Samples, turns: &[Bandwidth], bytes: u64) {
        let beside = turns.windows(2).map(|pair| pair.iter().map(Bandwidth::best).fold(0.0, f64::max));
        let percents = speed.all.iter().zip(beside).map(|(speed, best)| 100.0 * bytes as f64 * speed / best);
        let percents = Samples::from(percents.collect::<Vec<_>>());
        self.bandwidth = Bandwidth::best_of(turns);
        self.bandwidth_percent = Some(percents.median);
        self.bandwidth_percents = Some(percents);
        self.decode = Some(speed);
    }
}

#[derive(Debug, Serialize)]
pub(super) struct Prefill {
    pub(super) tokens: u32,
    #[serde(flatten)]
    pub(super) speed: Samples,
}

/// A measurement that was repeated.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Samples {
    pub(super) median: f64,
    pub(super) min: f64,
    pub(super) max: f64,
    pub(super) all: Vec<f64>,
}

impl Samples {
    /// Measures `repetitions` times, at least once.
    pub(super) fn of(repetitions: u32, mut measure: impl FnMut() -> Result<f64>) -> Result<Self> {
        let all = (0..repetitions.max(1)).map(|_| measure()).collect::<Result<Vec<_>>>()?;
        Ok(Self::from(all))
    }
}

impl From<Vec<f64>> for Samples {
    fn from(all: Vec<f64>) -> Self {
        let mut sorted = all.clone();
        sorted.sort_by(f64::total_cmp);
        let at = |i: usize| sorted.get(i).copied().unwrap_or(f64::NAN);
        let half = sorted.len() / 2;
        let median = if sorted.len().is_multiple_of(2) {
            f64::midpoint(at(half.wrapping_sub(1)), at(half))
        } else {
            at(half)
        };
        Self { median, min: at(0), max: at(sorted.len().wrapping_sub(1)), all }
    }
}

impl Report {
    /// The figures as text.
    pub(super) fn table(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        let gb = |bytes: u64| bytes as f64 / 1e9;
        let mb = |bytes: u64| bytes as f64 / 1e6;
        let (machine, load) = (&self.machine, &self.load);
        let made = if self.converted_in_memory { ", converted in memory" } else { "" };
        writeln!(out, "model       {} ({:.3} GB{made})", self.model, gb(self.model_bytes))?;
        writeln!(
            out,
            "machine     {}, {} processors, {}",
            machine.processor, machine.processors, machine.os
        )?;
        writeln!(out, "backend     {} ({}), batch {}", self.backend, self.why, self.batch)?;
        writeln!(
            out,
            "first token {:.3} s after the start, with {} tokens of prompt: {:.3} s beyond its prefill; file opened in {:.3} s",
            load.first_token_s, load.prompt_tokens, load.beyond_prefill_s, load.open_s
        )?;
        let peak = self.memory.peak_beyond_model_bytes;
        let peak = peak.map_or_else(|| "not known here".to_owned(), |peak| format!("{:.1} MB", mb(peak)));
        writeln!(
            out,
            "memory      plan {:.1} MB, peak beyond the model {peak}",
            mb(self.memory.plan_bytes as u64)
        )?;
        writeln!(out, "reads       {:.4} GB a token when decoding", gb(self.bytes_per_token))?;
        writeln!(
            out,
            "\n{:>7}  {:<12} {:>10}  {:>19}  memory bus",
            "threads", "what", "tokens/s", "min - max"
        )?;
        for run in &self.runs {
            for prefill in &run.prefill {
                row(out, run.threads, &format!("prefill {}", prefill.tokens), &prefill.speed, "")?;
            }
            if let Some(decode) = &run.decode {
                let bus = run.bandwidth.as_ref().map_or_else(String::new, |bandwidth| {
                    let best = bandwidth.best() / 1e9;
                    match &run.bandwidth_percents {
                        Some(Samples { median, min, max, .. }) => {
                            format!("{median:.1} % ({min:.1} - {max:.1}); at best {best:.1} GB/s")
                        }
                        None => format!("at best {best:.1} GB/s"),
                    }
                });
                row(out, run.threads, &format!("decode {}", self.decode_tokens), decode, &bus)?;
            }
        }
        self.notes.iter().try_for_each(|note| writeln!(out, "note: {note}"))?;
        self.problems.iter().try_for_each(|problem| writeln!(out, "INVALID: {problem}"))
    }
}

fn row(out: &mut String, threads: usize, what: &str, s: &Samples, bus: &str) -> std::fmt::Result {
    let spread = format!("{:.1} - {:.1}", s.min, s.max);
    writeln!(
        out,
        "{}",
        format!("{threads:>7}  {what:<12} {:>10.1}  {spread:>19}  {bus}", s.median).trim_end()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_have_a_middle_and_ends() {
        let samples = Samples::from(vec![3.0, 1.0, 2.0]);
        assert_eq!((samples.median, samples.min, samples.max), (2.0, 1.0, 3.0));
        assert_eq!(Samples::from(vec![1.0, 2.0]).median, 1.5);
        assert_eq!(samples.all, [3.0, 1.0, 2.0]);
    }

    #[test]
    fn a_share_is_that_of_the_turns_beside_it() {
        // A bus that becomes three times as fast, and decoding with it.
        let turn =
            |sum, wide| Bandwidth { bytes_per_second: [("sum".into(), sum), ("wide".into(), wide)].into() };
        let turns = [turn(9.0, 10.0), turn(10.0, 8.0), turn(20.0, 30.0), turn(30.0, 15.0)];
        let mut run = Run::default();
        run.set_decode(Samples::from(vec![4.0, 6.0, 12.0]), &turns, 2);
        assert_eq!(run.bandwidth_percents.unwrap().all, [80.0, 40.0, 80.0]);
        assert_eq!(run.bandwidth_percent, Some(80.0));
        let best = run.bandwidth.unwrap();
        assert_eq!((best.bytes_per_second["sum"], best.bytes_per_second["wide"]), (30.0, 30.0));
    }
}
