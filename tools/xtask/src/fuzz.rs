//! `cargo xtask fuzz`: libFuzzer on stable, without cargo-fuzz and without a nightly compiler.

use crate::command::{self, Missing, Unsupported, cargo, output, run as run_command};
use crate::paths;
use anyhow::{Context as _, Result, bail};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// How long each target runs
    #[arg(long, default_value_t = 60)]
    pub(crate) seconds: u64,
    /// Run only this target (may be repeated)
    #[arg(long = "target", value_name = "NAME")]
    pub(crate) targets: Vec<String>,
    /// Record nine tenths of the edges reached now as what every run must reach
    #[arg(long)]
    pub(crate) record: bool,
    /// Run one target on one file, to reproduce a crash
    #[arg(long, value_name = "FILE")]
    pub(crate) reproduce: Option<PathBuf>,
}

/// What libFuzzer needs of the compiler: the flags of cargo-fuzz. The passes are LLVM's own, in every compiler.
const FLAGS: [&str; 6] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "--cfg=fuzzing",
];

/// What a run reports.
struct Figures {
    runs: u64,
    edges: u64,
    corpus: u64,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let targets = chosen(&args.targets)?;
    let programs = build()?;
    if let Some(file) = &args.reproduce {
        let [target] = &targets[..] else { bail!("--reproduce needs exactly one --target") };
        return run_command(Command::new(programs.join(target)).arg(file));
    }
    let seeds = paths::target().join("fuzz/seeds");
    if seeds.exists() {
        fs::remove_dir_all(&seeds)?;
    }
    run_command(Command::new(programs.join("seeds")).arg(&seeds))?;
    let recorded = fs::read_to_string(edges_file()).context("cannot read fuzz/edges.toml")?;
    let mut new_record = recorded.clone();
    for target in &targets {
        let corpus = corpus(target, args.record)?;
        let figures = fuzz(&programs.join(target), target, &[&corpus, &seeds.join(target)], args.seconds)?;
        let least = edges_of(&recorded, target);
        println!(
            "fuzz {target}: {} runs, {} edges (recorded: {}), corpus {} inputs, {} s",
            figures.runs,
            figures.edges,
            least.map_or_else(|| "none".to_owned(), |least| least.to_string()),
            figures.corpus,
            args.seconds
        );
        if args.record {
            new_record = with_edges(&new_record, target, figures.edges * 9 / 10);
        } else {
            judge(target, &figures, least)?;
        }
    }
    if args.record {
        fs::write(edges_file(), new_record).context("cannot write fuzz/edges.toml")?;
    }
    Ok(())
}

fn judge(target: &str, figures: &Figures, least: Option<u64>) -> Result<()> {
    let Some(least) = least else {
        bail!(
            "fuzz/edges.toml has no line for {target}; add it with `cargo xtask fuzz --target {target} --record`"
        );
    };
    if figures.edges < least {
        bail!(
            "{target} reached {} edges, below the recorded {least}: the target no longer gets where it did; if that is \
             right, `cargo xtask fuzz --target {target} --record`",
            figures.edges
        );
    }
    Ok(())
}

/// The targets are the files of `fuzz/targets`.
fn chosen(names: &[String]) -> Result<Vec<String>> {
    let mut known = Vec::new();
    for file in fs::read_dir(paths::root().join("fuzz/targets")).context("cannot read fuzz/targets")? {
        if let Some(name) = Path::new(&file?.file_name()).file_stem() {
            known.push(name.to_string_lossy().into_owned());
        }
    }
    known.sort();
    if let Some(unknown) = names.iter().find(|name| !known.contains(name)) {
        bail!("there is no fuzz target {unknown:?}; the targets are {}", known.join(", "));
    }
    Ok(if names.is_empty() { known } else { names.to_vec() })
}

/// Begins to build every target on one processor, beside stages that leave one alone for minutes; without a word, for the stage itself
/// waits for it and says what is wrong.
pub(crate) fn ahead() -> Option<Child> {
    let (mut build, _) = builder().ok()?;
    build.args(["--quiet", "--jobs", "1"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok()
}

/// Builds every target; returns the folder of the programs.
fn build() -> Result<PathBuf> {
    let (mut build, programs) = builder()?;
    run_command(&mut build)?;
    Ok(programs)
}

/// What builds every target, and where the programs will be.
fn builder() -> Result<(Command, PathBuf)> {
    if cfg!(windows) {
        bail!(Unsupported("libFuzzer for Windows needs another linker set-up".to_owned()));
    }
    if command::find("c++").is_none() {
        bail!(Missing {
            what: "a C++ compiler, for libFuzzer".to_owned(),
            command: "apt-get install g++".to_owned()
        });
    }
    let version = output(Command::new("rustc").arg("-vV").current_dir(paths::root()))?;
    let host =
        version.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc -vV names no host")?;
    let folder = paths::target().join("fuzz");
    // With `--target`, the flags do not reach build scripts and macros.
    let mut build = cargo("build");
    build
        .args(["--release", "--bins", "--manifest-path", "fuzz/Cargo.toml", "--target", host, "--target-dir"])
        .arg(&folder)
        .env("CARGO_ENCODED_RUSTFLAGS", FLAGS.join("\x1f"));
    Ok((build, folder.join(host).join("release")))
}

/// Where new inputs are kept. What is recorded must be reachable from the seeds, so recording starts from nothing else.
fn corpus(target: &str, fresh: bool) -> Result<PathBuf> {
    let folder = match fresh {
        true => paths::target().join("fuzz/fresh-corpus").join(target),
        false => paths::root().join("fuzz/corpus").join(target),
    };
    if fresh && folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    Ok(folder)
}

/// Runs one target on the inputs in `corpus`, the first folder of which takes the new ones.
fn fuzz(program: &Path, target: &str, corpus: &[&Path], seconds: u64) -> Result<Figures> {
    let artifacts = paths::root().join("fuzz/artifacts").join(target);
    fs::create_dir_all(&artifacts)?;
    let log = paths::target().join("fuzz").join(format!("{target}.log"));
    let mut command = Command::new(program);
    command
        .args(corpus)
        .arg(format!("-artifact_prefix={}/", artifacts.display()))
        .arg(format!("-max_total_time={seconds}"))
        .args(["-print_final_stats=1", "-timeout=10", "-rss_limit_mb=2048"])
        .stderr(fs::File::create(&log).with_context(|| format!("cannot create {}", log.display()))?);
    eprintln!("$ {}", command::line(&command));
    let status = command.status()?;
    let text = String::from_utf8_lossy(&fs::read(&log)?).into_owned();
    if !status.success() {
        bail!("{}", crash(target, &text, &log));
    }
    figures(&text).with_context(|| format!("cannot read the figures in {}", log.display()))
}

/// What a finding looks like, and how to see it again.
fn crash(target: &str, log: &str, path: &Path) -> String {
    let mut message = format!("fuzzing {target} found a failure (the log is {})", path.display());
    for line in log.lines().filter(|line| line.contains("panicked at") || line.contains("ERROR: libFuzzer")) {
        let _ = write!(message, "\n    {line}");
    }
    if let Some(file) =
        log.lines().find_map(|line| line.split_once("Test unit written to ")).map(|(_, file)| file)
    {
        let _ =
            write!(message, "\nreproduce it with\n    cargo xtask fuzz --target {target} --reproduce {file}");
    }
    message
}

/// Reads `#1234 DONE cov: 567 ft: 890 corp: 123/4567b …`.
fn figures(log: &str) -> Option<Figures> {
    let words: Vec<_> = log.lines().rfind(|line| line.contains("\tDONE "))?.split_whitespace().collect();
    let after =
        |label| words.iter().position(|word| *word == label).and_then(|at| words.get(at + 1)).copied();
    Some(Figures {
        runs: words.first()?.strip_prefix('#')?.parse().ok()?,
        edges: after("cov:")?.parse().ok()?,
        corpus: after("corp:")?.split('/').next()?.parse().ok()?,
    })
}

fn edges_file() -> PathBuf {
    paths::root().join("fuzz/edges.toml")
}

/// The number in the line `target = number`.
fn edges_of(recorded: &str, target: &str) -> Option<u64> {
    let lines = recorded.lines().filter_map(|line| line.split_once('='));
    lines.filter(|(name, _)| name.trim() == target).find_map(|(_, edges)| edges.trim().parse().ok())
}

/// The file with that line replaced or added.
fn with_edges(recorded: &str, target: &str, edges: u64) -> String {
    let others =
        recorded.lines().filter(|line| line.split_once('=').is_none_or(|(name, _)| name.trim() != target));
    let line = format!("{target} = {edges}");
    others.chain([line.as_str()]).map(|line| format!("{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::{crash, edges_of, figures, with_edges};
    use std::path::Path;

    #[test]
    fn figures_are_read_from_the_last_line() {
        let log = "#2\tINITED cov: 9 ft: 9 corp: 1/1b\n#75012\tDONE   cov: 321 ft: 900 corp: 45/6Kb lim: 9 rss: 44Mb\nDone";
        let figures = figures(log).unwrap();
        assert_eq!((figures.runs, figures.edges, figures.corpus), (75012, 321, 45));
    }

    #[test]
    fn a_log_without_figures_is_noticed() {
        assert!(figures("#2\tINITED cov: 9 ft: 9 corp: 1/1b\n").is_none());
    }

    #[test]
    fn edges_are_recorded_one_line_a_target() {
        let file = with_edges("# comment\ngguf = 10\n", "image", 20);
        assert_eq!(
            (edges_of(&file, "gguf"), edges_of(&file, "image"), edges_of(&file, "text")),
            (Some(10), Some(20), None)
        );
        assert_eq!(with_edges(&file, "gguf", 11), "# comment\nimage = 20\ngguf = 11\n");
    }

    #[test]
    fn a_crash_comes_with_the_command_that_reproduces_it() {
        let log = "thread panicked at src/x.rs:1:2:\nartifact_prefix='a/'; Test unit written to a/crash-1\n";
        let message = crash("gguf", log, Path::new("gguf.log"));
        assert!(
            message.contains("src/x.rs:1:2") && message.ends_with("--target gguf --reproduce a/crash-1"),
            "{message}"
        );
    }
}
