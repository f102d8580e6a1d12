//! `bitnet bench`: how fast a model runs on this machine, and how far that is from its memory bus.

mod engine;
mod measure;
mod plot;
mod report;

use std::io::{Write, stdout};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use bitnet_edge_core::Model;
use bitnet_edge_kernels::Kernels;
use bitnet_edge_std::physical_cores;
use bitnet_pack::cli::{HOST_BATCH, ImportArgs};
use bitnet_pack::output::Destination;
use bitnet_pack::report::say;
use bitnet_pack::source::{self, Source};
use clap::Args;

use crate::engine::BackendArgs;
use crate::machine::{self, Bus, Processor, Root};
use crate::traffic::Traffic;
use engine::Setup;
use report::{Load, Machine, Memory, Report, Run};

/// Above this share of the measured read bandwidth something was measured wrongly.
const MOST_PERCENT: f64 = 105.0;
/// What is read to measure the bandwidth, in bytes.
const READ_BYTES: usize = 1 << 30;

#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// A flash image (.bpk), or a GGUF file, which is converted in memory; without it the story model
    #[arg(short, long)]
    model: Option<PathBuf>,
    /// Numbers of threads [default: 1 up to the cores of this machine]
    #[arg(short, long, value_name = "N,N", value_delimiter = ',', value_parser = crate::engine::threads)]
    threads: Vec<usize>,
    /// Lengths of prompts, in tokens
    #[arg(long, value_name = "N,N", value_delimiter = ',', default_values_t = [16, 128, 512],
        value_parser = clap::value_parser!(u32).range(1..))]
    prefill: Vec<u32>,
    /// Tokens to decode, one after the other
    #[arg(long, value_name = "N", default_value_t = 128)]
    decode: u32,
    /// How often each is measured
    #[arg(short, long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
    repetitions: u32,
    /// Tokens of a prompt that go through the model together
    #[arg(long, value_name = "N", default_value_t = HOST_BATCH, value_parser = clap::value_parser!(u32).range(1..=4096))]
    batch: u32,
    #[command(flatten)]
    backend: BackendArgs,
    /// Write the figures as JSON; - is stdout, in place of the table
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write a chart
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
    #[command(flatten)]
    import: ImportArgs,
}

pub(crate) fn run(args: &BenchArgs) -> Result<()> {
    // What cannot be written is known before anything is measured, and nothing is written over the model.
    let model = args.model.as_deref().unwrap_or(Path::new(""));
    let json = args.json.as_deref().filter(|path| *path != Path::new("-"));
    let [json, plot] =
        [json, args.plot.as_deref()].map(|path| path.map(|path| Destination::new(path, model)));
    let (json, plot) = (json.transpose()?, plot.transpose()?);
    let report = measure(args)?;
    if let Some(file) = plot {
        write(&file, &plot::svg(&report))?;
    }
    let text = serde_json::to_string_pretty(&report)? + "\n";
    if let Some(file) = json {
        write(&file, &text)?;
    }
    let on_stdout = if args.json.as_deref() == Some(Path::new("-")) { text } else { report.table() };
    stdout().lock().write_all(on_stdout.as_bytes()).context("cannot write to stdout")?;
    if let Some(problem) = report.problems.first() {
        bail!("this run is INVALID: {problem}");
    }
    Ok(())
}

/// Writes a whole file or none.
fn write(to: &Destination, text: &str) -> Result<()> {
    let mut file = to.begin()?;
    file.append(text.as_bytes())?;
    file.finish()
}

fn measure(args: &BenchArgs) -> Result<Report> {
    let started = Instant::now();
    let source = crate::model::open(args.model.as_deref(), &args.import, args.backend.huge_pages)?;
    let path = args.model.as_deref().unwrap_or(Path::new("the story model"));
    let model = source::model(source.bytes(), path)?;
    let opened = started.elapsed().as_secs_f64();
    let selection = args.backend.select()?;
    let threads = thread_counts(&args.threads);
    let (prefill, decode) = lengths(args, &model)?;
    let context = prefill.iter().copied().max().unwrap_or(0).max(decode) + 1;
    let context = context.min(model.config().context);
    let traffic = Traffic::of(&model);

    let setup = |threads| Setup { selection: &selection, threads, batch: args.batch, context };
    let mut runs = Vec::new();
    let mut load = Load { open_s: opened, ..Load::default() };
    let mut plan_bytes = 0;
    for &threads in &threads {
        let first = runs.is_empty().then_some(started);
        let done = engine::with_session(&model, &setup(threads), |session| {
            measure::prompts(session, &prefill, args.repetitions, first)
        })?;
        plan_bytes = plan_bytes.max(done.plan_bytes);
        if let Some(first) = done.first {
            load = Load { open_s: opened, ..first };
        }
        runs.push(Run { threads, prefill: done.prefill, ..Run::default() });
    }
    // Before there is memory to measure the bus with.
    let memory = Memory { plan_bytes, peak_beyond_model_bytes: machine::peak_beyond(&source, path) };
    if decode > 0 {
        let (bus, bytes) = (Bus::new(READ_BYTES)?, traffic.decode(decode));
        for run in &mut runs {
            let (speed, turns) = engine::with_session(&model, &setup(run.threads), |session| {
                measure::decode(session, decode, args.repetitions, || bus.turn(run.threads))
            })?;
            run.set_decode(speed, &turns, bytes);
        }
    }

    let mut report = Report {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        machine: describe(),
        model: path.display().to_string(),
        model_bytes: source.bytes().len() as u64,
        converted_in_memory: matches!(source, Source::Converted { .. }),
        backend: selection.backend.name().to_owned(),
        why: selection.why,
        batch: args.batch.min(context),
        load,
        memory,
        bytes_per_token: traffic.decode(decode),
        decode_tokens: decode,
        runs,
        notes: Vec::new(),
        problems: Vec::new(),
    };
    judge(&mut report, machine::last_level_caches(&Root::system()));
    Ok(report)
}

fn describe() -> Machine {
    Machine {
        processor: Processor::name(&Root::system()),
        processors: std::thread::available_parallelism().map_or(1, usize::from),
        os: std::env::consts::OS.to_owned(),
    }
}

fn thread_counts(asked: &[usize]) -> Vec<usize> {
    if asked.is_empty() { (1..=physical_cores()).collect() } else { asked.to_vec() }
}

/// The lengths that fit the model's context; the others are left out aloud.
fn lengths(args: &BenchArgs, model: &Model<'_>) -> Result<(Vec<u32>, u32)> {
    let context = model.config().context;
    let (fit, over): (Vec<u32>, Vec<u32>) = args.prefill.iter().partition(|&&n| n > 0 && n <= context);
    if !over.is_empty() {
        say(format_args!("left out: prompts of {over:?} tokens, for the model's context is {context}"));
    }
    let decode = args.decode.min(context);
    if decode < args.decode {
        say(format_args!("decode of {decode} tokens, for that is the model's context"));
    }
    ensure!(!fit.is_empty() || decode > 0, "nothing to measure: no prompt length and no decode");
    Ok((fit, decode))
}

/// What a model reads is compared with the bus only where the caches can hold no more than a quarter of it.
fn judge(report: &mut Report, caches: Option<u64>) {
    let cached = caches.filter(|bytes| report.bytes_per_token < 4 * bytes);
    if let Some(bytes) = cached {
        report.notes.push(format!(
            "no share of the bandwidth: up to {:.0} MB of what a token reads can be in caches",
            bytes as f64 / 1e6
        ));
    }
    for run in &mut report.runs {
        if cached.is_some() {
            (run.bandwidth_percent, run.bandwidth_percents) = (None, None);
        }
        if let Some(percent) = run.bandwidth_percent.filter(|percent| *percent > MOST_PERCENT) {
            report.problems.push(format!(
                "{} threads read {percent:.1} % of the measured bandwidth; more than {MOST_PERCENT} % cannot be",
                run.threads
            ));
        }
    }
}
