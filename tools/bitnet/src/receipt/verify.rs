//! `bitnet receipt verify`.

use std::fmt::Display;
use std::fs;
use std::io::{self, Read, Write, stdout};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use bitnet_pack::cli::ImportArgs;
use bitnet_pack::report::Failure;
use bitnet_pack::source;
use clap::Args;

use super::check::{against, consistency, hygiene};
use super::file::{File, MOST_BYTES};
use super::form::OwnedReceipt;
use super::keys::PublicKey;
use super::replay::{plan, replay};
use crate::engine::{self, BackendArgs, Engine};
use crate::model::open;

/// Exit code of a receipt that does not verify.
const REFUSED: u8 = 10;

/// What no replay can prove: it was measured, or it is of the machine.
const NOT_PROVABLE: &str = "not provable by replay: times, speeds, memory, the machine, its program, its self-test, how often \
                            kernels were called";

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// The receipt
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The public key that must have signed it: PEM, or 64 hexadecimal digits
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Run it again with this model, a flash image (.bpk) or a GGUF file, and compare; `story` is the model in the program
    #[arg(long, value_name = "MODEL")]
    replay: Option<PathBuf>,
    /// Compare its counts with the program of this model, without running it
    #[arg(short, long, conflicts_with = "replay")]
    model: Option<PathBuf>,
    /// With --replay: threads that compute [default: one a physical core]
    #[arg(long, value_name = "N", value_parser = engine::threads)]
    threads: Option<usize>,
    #[command(flatten, next_help_heading = "With --replay")]
    backend: BackendArgs,
    #[command(flatten)]
    import: ImportArgs,
}

/// Prints what holds, line by line, and ends with the first thing that does not. Whether anyone reads the lines does not change it.
pub(super) fn verify(args: &VerifyArgs) -> Result<()> {
    let mut lines = Lines::default();
    check(args, &mut lines)?;
    lines.failed.map_or(Ok(()), |error| Err(error).context("cannot write to stdout"))
}

/// An error that is the receipt's fault, and of no other.
fn refused(what: &'static str) -> impl Fn(anyhow::Error) -> anyhow::Error {
    move |error| Failure::error(REFUSED, error.context(what).context("the receipt does not verify"))
}

fn check(args: &VerifyArgs, lines: &mut Lines) -> Result<()> {
    let bytes = read(&args.file)?;
    let key = args.key.as_deref().map(PublicKey::read).transpose()?;
    let file = File::read(&bytes).map_err(refused("schema"))?;
    lines.print(args.file.display());
    lines.line("schema", &format!("version {}", file.receipt.schema));
    lines.line("hygiene", &hygiene(&file.receipt).map_err(refused("hygiene"))?);
    lines.line("hash", &hash(&file).map_err(refused("hash"))?);
    lines.line("signature", &signature(&file, key).map_err(refused("signature"))?);
    lines.line("consistency", &consistency(&file.receipt).map_err(refused("consistency"))?);
    describe(&file.receipt, lines);
    let Some(path) = args.replay.as_deref().or(args.model.as_deref()) else { return Ok(()) };
    let path = Some(path).filter(|path| *path != Path::new("story"));
    let source = open(path, &args.import, args.backend.huge_pages)?;
    let model = source::model(source.bytes(), path.unwrap_or(Path::new("the story model")))?;
    lines.line("model", &against(&file.receipt, &model).map_err(refused("model"))?);
    if args.model.is_some() {
        return Ok(());
    }
    let plan = plan(&file.receipt, &model).map_err(refused("replay"))?;
    let engine = Engine::new(&args.backend.select()?, args.threads)?;
    let mut arena = engine::arena(&plan)?;
    engine.counts().reset();
    let cpu = engine.cpu(&model, &plan, &mut arena)?;
    let found = replay(&file.receipt, &model, &plan, cpu, engine.counts()).map_err(refused("replay"))?;
    lines.line("replay", &engine.describe());
    found.agrees.iter().for_each(|what| lines.line("  agrees", what));
    found.differs.iter().for_each(|what| lines.line("  differs", what));
    found.notes.iter().for_each(|what| lines.line("  note", what));
    lines.line("", NOT_PROVABLE);
    let first = found.differs.into_iter().next();
    first.map_or(Ok(()), |first| Err(refused("replay")(anyhow::anyhow!(first))))
}

/// What is printed. A reader that has gone is found out at the end: the verdict comes first.
#[derive(Default)]
struct Lines {
    failed: Option<io::Error>,
}

impl Lines {
    fn print(&mut self, line: impl Display) {
        if self.failed.is_none() {
            self.failed = writeln!(stdout(), "{line}").err();
        }
    }

    fn line(&mut self, what: &str, text: &str) {
        self.print(format_args!("{what:<12} {text}"));
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let cannot = || format!("cannot read the receipt {}", path.display());
    let mut bytes = Vec::new();
    let file = fs::File::open(path).with_context(cannot)?;
    file.take(MOST_BYTES + 1).read_to_end(&mut bytes).with_context(cannot)?;
    ensure!(bytes.len() as u64 <= MOST_BYTES, "{} is larger than any receipt", path.display());
    Ok(bytes)
}

fn hash(file: &File) -> Result<String> {
    let (there, here) = (file.sha256, file.receipt.digest());
    ensure!(there == here, "the record was changed: its SHA-256 is {here}, and the file says {there}");
    Ok(format!("sha256 {here}"))
}

fn signature(file: &File, key: Option<PublicKey>) -> Result<String> {
    let Some(signature) = &file.signature else {
        ensure!(key.is_none(), "it has none, and --key asks for one");
        return Ok("none: the hash catches accidents; only a signature (--sign) catches forgery".to_owned());
    };
    let by = signature.check(&file.sha256)?;
    match key {
        Some(key) if key == by => Ok(format!("good, by the key {by}")),
        Some(key) => anyhow::bail!("it is by the key {by}, and --key is {key}"),
        None => Ok(format!("good, by the key {by}, which may be anyone's: --key FILE says whose it must be")),
    }
}

/// The run in a few lines.
fn describe(receipt: &OwnedReceipt, lines: &mut Lines) {
    let backend = &receipt.backend;
    let plural = if backend.threads == 1 { "" } else { "s" };
    let asked = backend.asked.as_ref().map_or("nothing".to_owned(), |asked| format!("`{asked}`"));
    lines.line("run", &format!("{}, {}, on {}", receipt.versions.program, speed(receipt), receipt.machine));
    let (chosen, why, threads) = (&backend.chosen, &backend.why, backend.threads);
    lines.line("backend", &format!("{chosen}, {threads} thread{plural}; asked for: {asked}; why: {why}"));
    lines.line(
        "fallbacks",
        &if receipt.fallbacks.is_empty() { "none".to_owned() } else { receipt.fallbacks.join(", ") },
    );
    lines.line(
        "self-test",
        &match backend.self_test {
            None => "the kernels were not compared with their definition before this run".to_owned(),
            Some(test) => format!("{} of {} cases wrong", test.failures, test.cases),
        },
    );
    let program = receipt.program.map_or("unknown".to_owned(), |digest| format!("sha256 {digest}"));
    lines.line("program", &program);
}

fn speed(receipt: &OwnedReceipt) -> String {
    let of =
        |milli: Option<u64>| milli.map_or("-".to_owned(), |milli| format!("{:.1}", milli as f64 / 1000.0));
    let phases = &receipt.phases;
    format!(
        "{} prompt tokens, {} generated, prefill {} tokens/s, decode {} tokens/s",
        receipt.prompt.tokens,
        receipt.output.tokens,
        of(phases.prefill.milli_tokens_per_second),
        of(phases.decode.milli_tokens_per_second)
    )
}
