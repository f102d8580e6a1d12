//! The stage `size`: what the runtime takes of flash, RAM, stack and time, on a Cortex-M4, against gates and what is recorded.

use super::build::{on_the_host, program};
use super::console::scripted;
use super::sections::{Sections, sections};
use super::{Board, Carries, Loads, Setup};
use crate::instructions::value;
use crate::paths;
use crate::qemu::SYSTEM_ARM;
use crate::toolchain::Toolchain;
use anyhow::{Context as _, Result, ensure};
use bitnet_pack::board::{RUNTIME_FLASH, STACK, STATICS};
use bitnet_pack::emulator::{MPS2_AN386, Machine};
use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

const FILE: &str = "benches/size.toml";
const LIMIT: Duration = Duration::from_secs(300);
const PROMPT: &str = "once upon a time";
/// Instructions in a tick of the board's clock of 25 MHz: QEMU takes a nanosecond for each.
const INSTRUCTIONS: u64 = 40;
/// What a figure may grow by until it has to be recorded anew, in percent.
const TOLERANCE: f64 = 2.0;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Write the figures to benches/size.toml, with the day's date
    #[arg(long)]
    pub(crate) record: bool,
}

/// The firmware that is the runtime and nothing else.
const RUNTIME: Board = Board {
    name: "runtime",
    about: "the runtime and nothing else",
    folder: "tests/runtime",
    program: "runtime",
    target: "thumbv7em-none-eabihf",
    // SHA-256 as a loop: an image is checked once.
    flags: &["--cfg", "sha2_backend_soft=\"compact\""],
    loads: Loads::Elf,
    transcript: "",
    model: Carries::Program,
    cpus: &[("cortex-m4", "Cortex-M4F")],
    cores: 1,
    possible: 1..=1,
    tested: &[],
    // Its clock counts instructions.
    emulator: Machine { shift: Some(0), ..MPS2_AN386 },
    package: &SYSTEM_ARM,
    host: &[],
    tree: None,
};

/// What the names of gates begin with, and those of a crate's share of the flash.
const GATE: &str = "at most ";
const CRATE: &str = "flash of ";

/// Figures by name, in bytes or instructions.
type Figures = BTreeMap<String, u64>;

pub(crate) fn run(args: &Args) -> Result<()> {
    let path = paths::root().join(FILE);
    let recorded = fs::read_to_string(&path).with_context(|| format!("cannot read {FILE}"))?;
    let compiler = Toolchain::bare_metal(&[RUNTIME.target])?.version()?;
    let mut figures = Figures::new();
    for (kv, features) in [("f16", &[][..]), ("int8", &["int8"][..])] {
        measure(kv, features, &mut figures)?;
    }
    if args.record {
        return fs::write(&path, written(&recorded, &compiler, &figures)?)
            .with_context(|| format!("cannot write {FILE}"));
    }
    let date = value(&recorded, "date").unwrap_or("a day that it does not say");
    let same_compiler = value(&recorded, "rustc") == Some(&compiler);
    println!(
        "{FILE} is of {date}{}",
        if same_compiler { "" } else { ", with another compiler: only the gates are checked" }
    );
    let mut problems = broken_gates(&recorded, &figures)?;
    problems.extend(gone(&recorded, same_compiler, &figures));
    for (name, &figure) in &figures {
        let before = value(&recorded, name).and_then(|number| number.parse::<u64>().ok());
        println!(
            "{figure:>9}  {name:<36} {}",
            before.map_or("not recorded".to_owned(), |before| format!("recorded {before}"))
        );
        let grown = before.is_none_or(|before| figure as f64 > before as f64 * (1.0 + TOLERANCE / 100.0));
        // Crates are a report: code moves between them as the compiler inlines.
        if same_compiler && grown && !name.starts_with(CRATE) {
            problems.push(format!("{name} is {figure} and was {}", before.unwrap_or_default()));
        }
    }
    ensure!(
        problems.is_empty(),
        "{}; if that is right, `cargo xtask size --record` and say why",
        problems.join(", ")
    );
    Ok(())
}

/// Builds and runs the firmware; the figures of its flash are those of the build with an f16 cache.
fn measure(kv: &str, features: &[&str], figures: &mut Figures) -> Result<()> {
    let elf = program(&RUNTIME, RUNTIME.program, features)?;
    let sections = sections(&fs::read(&elf)?).with_context(|| elf.display().to_string())?;
    if features.is_empty() {
        figures.insert("flash".to_owned(), sections.flash);
        figures.extend(sections.crates.iter().map(|(name, bytes)| (format!("{CRATE}{name}"), *bytes)));
    }
    let setup = Setup { cpu: RUNTIME.cpus[0].0, cores: 1, model: None, parallel: false };
    let ended = scripted(RUNTIME.emulator(&setup, &elf)?, "", LIMIT, false)?;
    let said = ended.said;
    ensure!(ended.status == 0, "the firmware ended with status {}; it said:\n{said}", ended.status);
    let digest = on_the_host(None, PROMPT, None, &["--kv", kv])?;
    ensure!(
        said.contains(&format!("logit digest {digest}\n")),
        "the host's digest is {digest}; the firmware said:\n{said}"
    );
    let of = |line: &str| number(&said, line).with_context(|| format!("no {line:?} in\n{said}"));
    ensure!(of("stack: ")? + 256 <= STACK as u64, "the stack is nearly full:\n{said}");
    figures.insert(format!("stack {kv}"), of("stack: ")?);
    figures.insert(format!("RAM {kv}"), sections.ram + STACK as u64);
    figures.insert(format!("longest step {kv}, instructions"), INSTRUCTIONS * of("longest step: ")?);
    let beside = sections.ram - of("arena: ")?;
    ensure!(beside <= STATICS as u64, "{beside} bytes of RAM beside the arena, and {STATICS} are stated");
    check_constants(&sections)
}

/// What `bitnet-pack plan` says the runtime takes must hold.
fn check_constants(sections: &Sections) -> Result<()> {
    ensure!(
        sections.flash <= RUNTIME_FLASH as u64,
        "the runtime takes {} bytes of flash, and {RUNTIME_FLASH} are stated; {:?}",
        sections.flash,
        sections.crates
    );
    Ok(())
}

/// The number behind the beginning of a line.
fn number(said: &str, line: &str) -> Option<u64> {
    said.lines().find_map(|text| text.strip_prefix(line))?.split(' ').next()?.parse().ok()
}

/// What is recorded and was not measured. Crates come and go with another compiler's inlining.
fn gone(recorded: &str, same_compiler: bool, figures: &Figures) -> Vec<String> {
    let names = recorded.lines().filter_map(|line| line.strip_prefix('"')?.split('"').next());
    let gone = names.filter(|name| {
        let crates = !same_compiler && name.starts_with(CRATE);
        !name.starts_with(GATE) && !crates && !figures.contains_key(*name)
    });
    gone.map(|name| format!("{name} is recorded and no longer measured")).collect()
}

/// Lines `"at most NAME" = N`.
fn broken_gates(recorded: &str, figures: &Figures) -> Result<Vec<String>> {
    let mut broken = Vec::new();
    for line in recorded.lines().filter(|line| line.starts_with("\"at most ")) {
        let gate = line.split('"').nth(1).unwrap_or_default();
        let name = gate.trim_start_matches(GATE);
        let limit: u64 = value(recorded, gate)
            .and_then(|number| number.parse().ok())
            .with_context(|| format!("{FILE}: {line}"))?;
        let figure = *figures
            .get(name)
            .with_context(|| format!("{FILE} has a gate for {name}, which is not measured"))?;
        if figure > limit {
            broken.push(format!("{name} is {figure}, and at most {limit} is allowed"));
        }
    }
    Ok(broken)
}

/// The file with other figures: comments and gates stay.
fn written(recorded: &str, compiler: &str, figures: &Figures) -> Result<String> {
    let date = crate::command::output(std::process::Command::new("date").args(["-u", "+%Y-%m-%d"]))?;
    let kept = recorded
        .lines()
        .take_while(|line| line.is_empty() || line.starts_with('#') || line.starts_with("\"at most "));
    let head = [format!("date = \"{}\"", date.trim()), format!("rustc = \"{compiler}\"")];
    let figures = figures.iter().map(|(name, figure)| format!("\"{name}\" = {figure}"));
    let lines: Vec<_> = kept.map(str::to_owned).chain(head).chain(figures).collect();
    Ok(lines.join("\n") + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORDED: &str =
        "# why\n\n\"at most flash\" = 100\ndate = \"2026-01-02\"\nrustc = \"1\"\n\"flash\" = 90\n";

    #[test]
    fn gates_are_held_and_kept() {
        let figures = |flash| Figures::from([("flash".to_owned(), flash)]);
        assert!(broken_gates(RECORDED, &figures(100)).unwrap().is_empty());
        assert_eq!(broken_gates(RECORDED, &figures(101)).unwrap().len(), 1);
        assert!(broken_gates(RECORDED, &Figures::new()).is_err());
        let after = written(RECORDED, "2", &figures(95)).unwrap();
        assert!(
            after.starts_with("# why\n\n\"at most flash\" = 100\ndate = \"20")
                && after.ends_with("\n\"flash\" = 95\n"),
            "{after}"
        );
    }

    #[test]
    fn a_figure_that_is_gone_is_said() {
        let recorded = format!("{RECORDED}\"flash of a\" = 1\n");
        let figures = Figures::from([("flash".to_owned(), 90)]);
        assert_eq!(gone(&recorded, true, &figures), ["flash of a is recorded and no longer measured"]);
        assert!(gone(&recorded, false, &figures).is_empty() && gone(RECORDED, true, &figures).is_empty());
        assert_eq!(gone(RECORDED, false, &Figures::new()).len(), 1);
    }

    #[test]
    fn numbers_are_behind_their_words() {
        assert_eq!(number("a\nstack: 12 of 16 bytes\n", "stack: "), Some(12));
        assert_eq!(number("a\n", "stack: "), None);
    }
}
