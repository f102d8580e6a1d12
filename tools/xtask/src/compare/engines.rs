//! The two engines, each measured in a process of its own.

use crate::command::{self, cargo, output, run};
use crate::fetch::venv::Venv;
use crate::paths;
use anyhow::{Context as _, Result, bail};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const LLAMA: &str = "llama-cpp-python==0.3.36";
/// Where the scripts are.
const SCRIPTS: &str = "tests/python";

/// Speeds of an engine, in tokens/s.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Speeds {
    /// By tokens of the prompt.
    pub(super) prefill: BTreeMap<u32, f64>,
    pub(super) decode: Option<f64>,
    /// What the engine says of itself: backend, or instruction sets.
    pub(super) about: String,
    /// Read bandwidth in bytes/s, and the share of it that decoding reads in percent, where measured.
    #[serde(default)]
    pub(super) bandwidth: Option<f64>,
    #[serde(default)]
    pub(super) bandwidth_percent: Option<f64>,
    /// Why they do not count.
    #[serde(default)]
    pub(super) problems: Vec<String>,
}

/// Builds the programs; returns `bitnet` and `bitnet-pack`.
pub(super) fn build() -> Result<(PathBuf, PathBuf)> {
    run(cargo("build").args(["--release", "-p", "bitnet-edge", "-p", "bitnet-pack"]))?;
    let folder = paths::target().join("release");
    let program = |name: &str| folder.join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    Ok((program("bitnet"), program("bitnet-pack")))
}

/// What the figures call llama.cpp.
pub(super) fn peer() -> String {
    format!("llama.cpp of {LLAMA}, compiled for this machine")
}

/// llama.cpp in its Python package.
pub(super) struct Llama {
    venv: Venv,
}

impl Llama {
    /// The package, compiled for this machine if it is not there.
    pub(super) fn open() -> Result<Self> {
        let venv = Venv::open()?;
        let (name, version) = LLAMA.split_once("==").unwrap_or((LLAMA, ""));
        let mut show = venv.pip("show");
        let shown = show.arg(name).stderr(Stdio::null()).output()?;
        let there =
            String::from_utf8_lossy(&shown.stdout).lines().any(|line| line == format!("Version: {version}"));
        if !there {
            println!("compiling the PyPI package {LLAMA} for this machine (77 MB download; MIT)");
            // A prebuilt wheel would leave out what this machine can do.
            let mut install = venv.pip("install");
            install
                .args(["--no-binary", name, LLAMA])
                .env("CMAKE_ARGS", "-DGGML_NATIVE=ON -DLLAVA_BUILD=OFF");
            if run(&mut install).is_err() {
                bail!(command::Missing {
                    what: "what llama.cpp needs to compile".to_owned(),
                    command: "apt-get install g++ cmake".to_owned()
                });
            }
        }
        Ok(Self { venv })
    }

    /// One process: each prompt once, then decoding.
    pub(super) fn measure(
        &self,
        gguf: &Path,
        threads: usize,
        prefill: &[u32],
        decode: u32,
    ) -> Result<Speeds> {
        self.ask("compare_speed.py", gguf, threads, &[lengths(prefill), decode.to_string()])
    }

    /// What a script prints, of `tests/python`.
    pub(super) fn ask<T: DeserializeOwned>(
        &self,
        script: &str,
        gguf: &Path,
        threads: usize,
        arguments: &[String],
    ) -> Result<T> {
        let mut python = self.venv.command("python");
        // No compiled modules beside the sources.
        python.arg("-B").arg(paths::root().join(SCRIPTS).join(script)).arg(gguf);
        python.arg(threads.to_string()).args(arguments);
        serde_json::from_str(&output(&mut python)?)
            .with_context(|| format!("{script} printed something else than its answer"))
    }
}

/// Lengths of prompts as arguments.
fn lengths(prefill: &[u32]) -> String {
    prefill.iter().map(u32::to_string).collect::<Vec<_>>().join(",")
}

/// This project's program.
pub(super) struct Bitnet {
    pub(super) program: PathBuf,
    pub(super) image: PathBuf,
    pub(super) backend: Option<String>,
}

/// What is read of a report of `bitnet bench`.
#[derive(Deserialize)]
struct Report {
    backend: String,
    runs: Vec<Run>,
    /// Why the run is invalid, of which `bandwidth_percent` tells, too.
    problems: Vec<String>,
}

#[derive(Deserialize)]
struct Run {
    prefill: Vec<Prefill>,
    decode: Option<Median>,
    bandwidth: Option<Bandwidth>,
    bandwidth_percent: Option<f64>,
}

#[derive(Deserialize)]
struct Prefill {
    tokens: u32,
    median: f64,
}

#[derive(Deserialize)]
struct Median {
    median: f64,
}

#[derive(Deserialize)]
struct Bandwidth {
    bytes_per_second: BTreeMap<String, f64>,
}

impl Bitnet {
    /// A command of the program, on the model.
    pub(super) fn command(&self, name: &str, threads: usize) -> Command {
        let mut command = Command::new(&self.program);
        command.arg(name).arg("--model").arg(&self.image).args(["--threads", &threads.to_string()]);
        if let Some(backend) = &self.backend {
            command.arg(format!("--backend={backend}"));
        }
        command
    }

    pub(super) fn measure(&self, threads: usize, prefill: &[u32], decode: u32) -> Result<Speeds> {
        let mut bench = self.command("bench", threads);
        bench.args(["--json", "-", "--repetitions", "1"]);
        bench.args(["--decode", &decode.to_string(), "--prefill", &lengths(prefill)]);
        // An invalid run exits with an error behind its report: the round is kept, and the comparison says so.
        let done =
            bench.stderr(std::process::Stdio::inherit()).output().context("cannot run `bitnet bench`")?;
        let report: Report = serde_json::from_slice(&done.stdout)
            .with_context(|| format!("`bitnet bench` gave no report ({})", done.status))?;
        let run = report.runs.first().context("`bitnet bench` reported no run")?;
        let best = |bandwidth: &Bandwidth| bandwidth.bytes_per_second.values().copied().fold(0.0, f64::max);
        Ok(Speeds {
            prefill: run.prefill.iter().map(|prefill| (prefill.tokens, prefill.median)).collect(),
            decode: run.decode.as_ref().map(|decode| decode.median),
            about: report.backend,
            bandwidth: run.bandwidth.as_ref().map(best),
            bandwidth_percent: run.bandwidth_percent,
            problems: report.problems,
        })
    }
}
