//! Tests under emulated processors, several at a time.

use anyhow::{Context as _, Result, bail};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use crate::command::line;
use crate::paths;

/// A test program on a processor.
pub(super) struct Run {
    /// `PACKAGE/TARGET`.
    pub(super) name: String,
    pub(super) program: PathBuf,
    /// The folder that cargo runs tests in: the package's.
    pub(super) folder: PathBuf,
    /// One of the emulator's.
    pub(super) processor: &'static str,
    /// For the test program.
    pub(super) arguments: &'static [&'static str],
}

/// No test takes as long; a program that waits forever is ended.
const MOST_SECONDS: &str = "600";

impl Run {
    fn output(&self) -> Result<Output> {
        let emulator = super::emulator(self.processor);
        Command::new("timeout")
            .args(["--kill-after=10", MOST_SECONDS])
            .arg(emulator.get_program())
            .args(emulator.get_args())
            .arg(&self.program)
            // Several programs share the processors: each runs its tests one by one.
            .args(["--show-output", "--test-threads=1"])
            .args(self.arguments)
            .current_dir(&self.folder)
            .env("BITNET_EDGE_RUNNER", line(&emulator))
            .env("BITNET_EDGE_FETCHED", paths::fetched())
            // As cargo sets it for tests.
            .env("CARGO_MANIFEST_DIR", &self.folder)
            .output()
            .context("cannot start `timeout`")
    }
}

/// Runs all of them, as many at a time as there are processors here, in this order; fails if one does.
pub(super) fn all(runs: &[Run]) -> Result<()> {
    let next = AtomicUsize::new(0);
    let failed = Mutex::new(Vec::new());
    let threads = thread::available_parallelism().map_or(1, usize::from).min(runs.len());
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(run) = runs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let started = Instant::now();
                    let ended = run.output();
                    let mut failed = failed.lock().expect("no thread panics with the lock");
                    if let Err(error) = report(run, ended, started.elapsed().as_secs_f64()) {
                        println!("{error:#}");
                        failed.push(format!("{} on {}", run.name, run.processor));
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().expect("no thread panics with the lock");
    if !failed.is_empty() {
        bail!("{} of {} runs failed: {}", failed.len(), runs.len(), failed.join(", "));
    }
    Ok(())
}

/// One line for a run, and the lines of its output that say what ran and what did not.
fn report(run: &Run, ended: Result<Output>, seconds: f64) -> Result<()> {
    let output = ended?;
    let text = String::from_utf8_lossy(&output.stdout);
    let passed = passed(&text);
    // One program has tests of several kinds.
    let name = std::iter::once(&*run.name).chain(run.arguments.iter().copied()).collect::<Vec<_>>().join(" ");
    let (Some(passed @ 1..), true) = (passed, output.status.success()) else {
        bail!(
            "{:<11} {name}: FAILED ({}, {passed:?} tests passed, {seconds:.1} s)\n{text}\n{}",
            run.processor,
            output.status,
            String::from_utf8_lossy(&output.stderr)
        )
    };
    let told = told(&text);
    if let Some(tier) = left_out(super::tiers(run.processor), &told, run.name.ends_with("/conformance")) {
        bail!("{:<11} {name}: FAILED: the processor has {tier}, and it did not run\n{text}", run.processor);
    }
    println!("{:<11} {name}: {passed} passed ({seconds:.1} s)", run.processor);
    for line in told {
        println!("{:<11}   {line}", "");
    }
    Ok(())
}

/// The number of tests that passed, as the last line says; `None` if there is no such line.
fn passed(text: &str) -> Option<u32> {
    let line = text.lines().rev().find_map(|line| line.strip_prefix("test result: ok. "))?;
    line.split_once(" passed")?.0.parse().ok()
}

/// The first tier of a processor that did not run: tests say so, and conformance says how many cases those had that did.
fn left_out<'a>(tiers: &[&'a str], told: &[&str], conformance: bool) -> Option<&'a str> {
    let is_missing = |tier: &str| told.iter().any(|line| line.starts_with(&format!("not run: {tier} ")));
    let has_cases = |tier: &str| told.iter().any(|line| line.starts_with(&format!("{tier}: ")));
    tiers.iter().copied().find(|tier| is_missing(tier) || (conformance && !has_cases(tier)))
}

/// What tests print of backends: each line once.
fn told(text: &str) -> Vec<&str> {
    let mut seen = BTreeSet::new();
    let of_backends = |line: &&str| line.starts_with("not run: ") || line.ends_with(" cases");
    text.lines().map(str::trim).filter(of_backends).filter(|&line| seen.insert(line)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_is_read() {
        let text = "running 2 tests\ntest a ... ok\n---- a stdout ----\nnot run: i8mm (it needs i8mm)\nneon: 812 cases\n\
                    not run: i8mm (it needs i8mm)\n\ntest result: ok. 2 passed; 0 failed; 0 ignored\n";
        assert_eq!(passed(text), Some(2));
        assert_eq!(told(text), ["not run: i8mm (it needs i8mm)", "neon: 812 cases"]);
        let told = told(text);
        assert_eq!(left_out(&["neon"], &told, true), None);
        assert_eq!(left_out(&["neon", "i8mm"], &told, false), Some("i8mm"));
        assert_eq!(left_out(&["neon", "dotprod"], &told, true), Some("dotprod"));
        assert_eq!(passed("test result: FAILED. 1 passed; 1 failed"), None);
        assert_eq!(passed(""), None);
    }
}
