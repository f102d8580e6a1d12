//! `cargo xtask compare`: llama.cpp and `bitnet` on the same file: speed, in turns; text; perplexity.
#![allow(clippy::doc_markdown)] // doc comments of options are help texts: backticks would be printed

mod engines;
mod figures;
mod perplexity;
mod side;
mod text;

use crate::synth::{self, Head, Shape, Ternary};
use crate::{command, paths};
use anyhow::{Context as _, Result, bail, ensure};
use engines::{Bitnet, Llama};
use figures::{Comparison, Round};
use perplexity::PerplexityArgs;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs;
use std::hash::{Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use text::TextArgs;

#[derive(clap::Args)]
#[command(
    after_help = "llama.cpp is the PyPI package llama-cpp-python, compiled for this machine on the first run (minutes), in the \
    environment that `cargo xtask fetch` uses. Speed is measured unless --text or --perplexity asks for something else. Both \
    engines run in turns, a fresh process each; nothing else should run meanwhile: its threads wait for each other by \
    spinning, and suffer most. The table at the end has the medians over the rounds, and the ratios round by round: median, \
    least and largest.\n\n\
    --text shows both texts, where bitnet's first has a token that is not llama.cpp's likeliest behind the same tokens, and by \
    how much that was ahead; rounding of activations moves log-probabilities, so that close tokens change places. \
    --perplexity: docs/perplexity.md. Both fail beyond their bounds.\n\n\
    Examples:\n  cargo xtask compare --threads 1,2\n  \
    cargo xtask compare --gguf target/fetched/SmolLM2-135M-Instruct.Q4_1.gguf\n  \
    cargo xtask compare --gguf model.gguf --text --prompt \"The sun is\" --stop \".\"\n  \
    cargo xtask compare --gguf model.gguf --perplexity text.txt --chunks 16"
)]
pub(crate) struct Args {
    /// A model that `cargo xtask synth` makes, with TQ2_0 matrices and a Q6_K head
    #[arg(long = "model-shape", value_enum, default_value = "2b4t", conflicts_with = "gguf")]
    shape: Shape,
    /// A file that both engines know
    #[arg(long, value_name = "FILE")]
    gguf: Option<PathBuf>,
    /// Numbers of threads; text and perplexity take the largest
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
    #[command(flatten)]
    text: TextArgs,
    #[command(flatten)]
    perplexity: PerplexityArgs,
}

/// Both engines, for what is compared once.
struct Engines {
    llama: Llama,
    bitnet: Bitnet,
    gguf: PathBuf,
    threads: usize,
}

impl Engines {
    /// What a script of llama.cpp's answers.
    fn ask<T: DeserializeOwned>(&self, script: &str, arguments: &[String]) -> Result<T> {
        self.llama.ask(script, &self.gguf, self.threads, arguments)
    }
}

/// What is compared beside speed.
#[derive(Serialize)]
struct Contents {
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<text::Texts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    perplexity: Option<perplexity::Perplexities>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    ensure!(args.threads.iter().all(|&threads| threads > 0), "--threads needs numbers from 1 up");
    let (bitnet, packer) = engines::build()?;
    let llama = Llama::open()?;
    let (gguf, image) = model(args, &packer)?;
    let bitnet = Bitnet { program: bitnet, image, backend: args.backend.clone() };
    if args.text.text || args.perplexity.perplexity.is_some() {
        let threads = args.threads.iter().copied().max().unwrap_or(1);
        return contents(&Engines { llama, bitnet, gguf, threads }, args);
    }
    speeds(&llama, &bitnet, &gguf, args)
}

/// Compares text and perplexity, as far as they are asked for.
fn contents(engines: &Engines, args: &Args) -> Result<()> {
    let text = args.text.text.then(|| text::compare(engines, &args.text)).transpose()?;
    if let Some(text) = &text {
        print!("{text}");
    }
    let file = args.perplexity.perplexity.as_deref();
    let perplexity = file.map(|file| perplexity::compare(engines, &args.perplexity, file)).transpose()?;
    if let Some(perplexity) = &perplexity {
        print!("{}{perplexity}", if text.is_some() { "\n" } else { "" });
    }
    let of_text = text.iter().flat_map(|text| &text.problems);
    let problem =
        of_text.chain(perplexity.iter().flat_map(|perplexity| &perplexity.problems)).next().cloned();
    finish(args, &Contents { text, perplexity }, problem.as_deref())
}

/// Compares speed, in rounds.
fn speeds(llama: &Llama, bitnet: &Bitnet, gguf: &Path, args: &Args) -> Result<()> {
    let busy = load().filter(|&load| load > MOST_LOAD);
    if let Some(load) = busy {
        println!("{}", busy_note(load));
    }
    let mut rounds = Vec::new();
    for round in 1..=args.rounds {
        for &threads in &args.threads {
            let theirs = llama.measure(gguf, threads, &args.prefill, args.decode)?;
            let ours = bitnet.measure(threads, &args.prefill, args.decode)?;
            let done = Round { round, threads, theirs, ours };
            println!("{done}");
            rounds.push(done);
        }
    }
    let table = args.gguf.is_none().then(|| figures::table(args.shape)).flatten();
    let mut comparison = Comparison::new(gguf, rounds, table);
    comparison.notes.extend(busy.map(busy_note));
    print!("\n{comparison}");
    finish(args, &comparison, comparison.problems.first().map(String::as_str))
}

/// Writes the figures where they are asked for, and ends with the first problem.
fn finish(args: &Args, figures: &impl Serialize, problem: Option<&str>) -> Result<()> {
    if let Some(path) = &args.json {
        let text = serde_json::to_string_pretty(figures)? + "\n";
        fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    if let Some(problem) = problem {
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
