//! `cargo xtask compare`: llama.cpp and `bitnet` on the same file, in turns.
#![allow(clippy::doc_markdown)] // doc comments of options are help texts: backticks would be printed

mod engines;
mod figures;

use crate::synth::{self, Head, Shape, Ternary};
use crate::{command, paths};
use anyhow::{Context as _, Result, bail, ensure};
use engines::{Bitnet, Llama};
use figures::{Comparison, Round};
use std::fs;
use std::hash::{Hash as _, Hasher as _};
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
#[command(
    after_help = "llama.cpp is the PyPI package llama-cpp-python, compiled for this machine on the first run (minutes), in the \
    environment that `cargo xtask fetch` uses. Both engines run in turns, a fresh process each; nothing else should run \
    meanwhile: its threads wait for each other by spinning, and suffer most. The table at the end has the medians over the \
    rounds, and the ratios round by round: median, least and largest.\n\n\
    Examples:\n  cargo xtask compare --threads 1,2\n  \
    cargo xtask compare --gguf target/fetched/SmolLM2-135M-Instruct.Q4_1.gguf"
)]
pub(crate) struct Args {
    /// A model that `cargo xtask synth` makes, with TQ2_0 matrices and a Q6_K head
    #[arg(long = "model-shape", value_enum, default_value = "2b4t", conflicts_with = "gguf")]
    shape: Shape,
    /// A file that both engines know
    #[arg(long, value_name = "FILE")]
    gguf: Option<PathBuf>,
    /// Numbers of threads
    #[arg(long, value_name = "N,N", value_delimiter = ',', default_values_t = [1, 2])]
    threads: Vec<usize>,
    /// How often each engine has its turn
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Lengths of prompts, in tokens
    #[arg(long, value_name = "N,N", value_delimiter = ',', default_values_t = [128, 512])]
    prefill: Vec<u32>,
    /// Tokens to decode; 0 for none
    #[arg(long, value_name = "N", default_value_t = 128)]
    decode: u32,
    /// The backend of bitnet
    #[arg(long, value_name = "NAME", allow_hyphen_values = true)]
    backend: Option<String>,
    /// Write the figures as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    ensure!(args.threads.iter().all(|&threads| threads > 0), "--threads needs numbers from 1 up");
    let (bitnet, packer) = engines::build()?;
    let llama = Llama::open()?;
    let (gguf, image) = model(args, &packer)?;
    let bitnet = Bitnet { program: bitnet, image, backend: args.backend.clone() };
    let busy = load().filter(|&load| load > MOST_LOAD);
    if let Some(load) = busy {
        println!("{}", busy_note(load));
    }
    let mut rounds = Vec::new();
    for round in 1..=args.rounds {
        for &threads in &args.threads {
            let theirs = llama.measure(&gguf, threads, &args.prefill, args.decode)?;
            let ours = bitnet.measure(threads, &args.prefill, args.decode)?;
            let done = Round { round, threads, theirs, ours };
            println!("{done}");
            rounds.push(done);
        }
    }
    let table = args.gguf.is_none().then(|| figures::table(args.shape)).flatten();
    let mut comparison = Comparison::new(&gguf, rounds, table);
    comparison.notes.extend(busy.map(busy_note));
    print!("\n{comparison}");
    if let Some(path) = &args.json {
        let text = serde_json::to_string_pretty(&comparison)? + "\n";
        fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    if let Some(problem) = comparison.problems.first() {
        bail!("this run is INVALID: {problem}");
    }
    Ok(())
}

/// The file for llama.cpp and the image for bitnet, made where they are not there yet.
fn model(args: &Args, packer: &Path) -> Result<(PathBuf, PathBuf)> {
    let folder = paths::target().join("models");
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let gguf = if let Some(gguf) = &args.gguf {
        ensure!(gguf.is_file(), "there is no file {}", gguf.display());
        gguf.clone()
    } else {
        let gguf = folder.join(format!("{}-tq2_0-q6_k.gguf", args.shape.name()));
        if !gguf.is_file() {
            let (ternary, head) = (Ternary::Tq2, Head::Q6K);
            synth::run(&synth::Args { shape: args.shape, ternary, head, seed: 1, output: gguf.clone() })?;
        }
        gguf
    };
    let name = gguf.file_stem().context("the file has no name")?.to_string_lossy();
    // Files of the same name in two folders are two models.
    let path = fs::canonicalize(&gguf).with_context(|| format!("cannot find {}", gguf.display()))?;
    let mut hasher = std::hash::DefaultHasher::new();
    path.hash(&mut hasher);
    let image = folder.join(format!("{name}-{:016x}.bpk", hasher.finish()));
    if !is_newer(&image, &gguf) || !is_newer(&image, packer) {
        command::run(
            std::process::Command::new(packer).arg("convert").arg(&gguf).arg("--output").arg(&image),
        )?;
    }
    Ok((gguf, image))
}

/// Programs that run on the average of the last minute, where the system tells; the build just before counts as well.
fn load() -> Option<f64> {
    fs::read_to_string("/proc/loadavg").ok()?.split_whitespace().next()?.parse().ok()
}

/// What a build leaves in the average, or nothing.
const MOST_LOAD: f64 = 2.5;

fn busy_note(load: f64) -> String {
    format!(
        "the load average was {load:.1} at the start: what else ran disturbed both engines, and threads most"
    )
}

fn is_newer(file: &Path, than: &Path) -> bool {
    let time = |path| fs::metadata(path).and_then(|metadata: fs::Metadata| metadata.modified());
    matches!((time(file), time(than)), (Ok(a), Ok(b)) if a >= b)
}
