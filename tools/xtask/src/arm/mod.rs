//! `cargo xtask test --stage arm`: the workspace's tests as programs for 64-bit ARM, under emulated processors.

mod package;
mod runs;

use crate::command::line;
use crate::toolchain::linux::{AARCH64, Compiler};
use crate::{fetch, qemu};
use anyhow::{Context as _, Result, bail};
use runs::Run;
use serde::Deserialize;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// Processors, as QEMU names them, what they stand for, and the tiers that must run there.
const PROCESSORS: [(&str, &str, &[&str]); 4] = [
    ("cortex-a53", "ARMv8.0, in order: Raspberry Pi 3, Zero 2 W", &["scalar", "neon"]),
    ("cortex-a72", "ARMv8.0, out of order: Raspberry Pi 4", &["scalar", "neon"]),
    ("cortex-a76", "dotprod: Raspberry Pi 5", &["scalar", "neon", "dotprod"]),
    (
        "max",
        "all that QEMU knows, i8mm too: stands for Neoverse N2, V1, Grace",
        &["scalar", "neon", "dotprod", "i8mm"],
    ),
];

/// The tiers that must run on a processor, the best one last.
pub(crate) fn tiers(processor: &str) -> &'static [&'static str] {
    PROCESSORS.iter().find(|(name, ..)| *name == processor).map_or(&[], |(.., tiers)| tiers)
}

/// Test programs that run on processors, and why there.
struct Group {
    /// `PACKAGE/TARGET`.
    programs: &'static [&'static str],
    processors: &'static [&'static str],
    arguments: &'static [&'static str],
    why: &'static str,
}

const EVERY: &[&str] = &["cortex-a53", "cortex-a72", "cortex-a76", "max"];

/// The longest first, so that the last of them end together.
const GROUPS: &[Group] = &[
    Group {
        programs: &["bitnet-edge-tests/arithmetic"],
        processors: &["cortex-a76"],
        arguments: &["digests::smollm2"],
        why: "SmolLM2's digest, with the tiers of one processor: what is left of the others, smaller models run as well",
    },
    Group {
        programs: &["bitnet-edge-tests/arithmetic"],
        processors: &["max", "cortex-a76", "cortex-a53"],
        arguments: &["digests::", "--skip=smollm2"],
        why: "digests of logits, the same constants as on x86-64, for every tier on one, two and three threads",
    },
    Group {
        programs: &["bitnet-edge-tests/arithmetic"],
        processors: &["max"],
        arguments: &["options::"],
        why: "every option of generation: tokens, log-probabilities and logits, the same constants as on x86-64, for every tier",
    },
    Group {
        programs: &["bitnet-edge-tests/arithmetic"],
        processors: EVERY,
        arguments: &["golden::", "--skip=smollm2", "--skip=tiny_2b4t"],
        why: "other engines' logits, with the best tier; the models left out have the digests of x86-64, where they run",
    },
    Group {
        programs: &["bitnet-edge-arm/conformance"],
        processors: EVERY,
        arguments: &[],
        why: "every kernel of every tier against the definition",
    },
    Group {
        programs: &["bitnet-edge-tests/arithmetic"],
        processors: &["max"],
        arguments: &["linear::"],
        why: "packed matrices",
    },
    Group {
        programs: &["bitnet-edge-tests/arithmetic"],
        processors: &["max"],
        arguments: &["ggml_quantize::"],
        why: "ggml's quantized blocks",
    },
    Group {
        programs: &[
            "bitnet-edge-core/bitnet_edge_core",
            "bitnet-edge-core/generator",
            "bitnet-edge-kernels/definition",
            "bitnet-edge-arm/bitnet_edge_arm",
            "bitnet-edge-std/bitnet_edge_std",
            "bitnet-edge-std/pool",
        ],
        processors: &["max"],
        // It compares with regular expressions for most of a minute, without a number in it.
        arguments: &["--skip=words_are_those_of_the_regular_expressions"],
        why: "the definition, threads, generation: code that does not ask for the processor",
    },
];

/// What of the workspace's tests does not run here.
const NOT_RUN: [(&str, &str); 5] = [
    (
        "unit tests of bitnet-edge-kernels",
        "minutes under emulation (all conversions there are, every planted fault); conformance runs",
    ),
    ("bitnet-edge-x86", "kernels of another architecture"),
    (
        "tests of batches, budgets, splits, and allocations with whole models",
        "minutes under emulation; the digests have every tier and up to three threads",
    ),
    (
        "tests of parsers, conversion, command lines",
        "no arithmetic of the model is in them; they run on this machine",
    ),
    ("examples in the documentation", "as above"),
];

/// A line of cargo's messages.
#[derive(Deserialize)]
struct Message {
    manifest_path: Option<PathBuf>,
    package_id: Option<String>,
    target: Option<Target>,
    profile: Option<Profile>,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

#[derive(Deserialize)]
struct Profile {
    test: bool,
}

/// A test program that cargo built.
struct Program {
    name: String,
    path: PathBuf,
    folder: PathBuf,
}

pub(crate) fn run() -> Result<()> {
    qemu::USER.ready()?;
    let compiler = AARCH64.compiler()?;
    fetch::run(&fetch::Args { what: fetch::What::SmolLm2 })?;
    let started = Instant::now();
    let programs = build(&compiler)?;
    println!("{} test programs for {} built in {:.0} s", programs.len(), AARCH64.target, seconds(started));
    let runs = plan(&programs)?;
    let started = Instant::now();
    runs::all(&runs)?;
    println!("{} runs under emulation: {:.0} s", runs.len(), seconds(started));
    let started = Instant::now();
    package::check(&compiler)?;
    println!("Debian package: {:.0} s", seconds(started));
    Ok(())
}

/// QEMU as one of its processors, to be given a program.
///
/// Programs use this machine's C library for ARM, where it has one. That of the cross compiler stands in where not; never
/// the two together, because threads of one then wait for the other's forever.
pub(crate) fn emulator(processor: &str) -> Command {
    let mut command = Command::new("qemu-aarch64");
    command.args(["-cpu", processor]);
    if !Path::new("/lib/ld-linux-aarch64.so.1").exists() {
        command.args(["-L", "/usr/aarch64-linux-gnu"]);
    }
    command
}

fn emulated(program: &Program, processor: &'static str, arguments: &'static [&'static str]) -> Run {
    let Program { name, path, folder } = program;
    Run { name: name.clone(), program: path.clone(), folder: folder.clone(), processor, arguments }
}

fn seconds(started: Instant) -> f64 {
    started.elapsed().as_secs_f64()
}

/// Builds the test programs of [`GROUPS`], and the programs that they start.
fn build(compiler: &Compiler) -> Result<Vec<Program>> {
    let mut command = compiler.cargo("test");
    command.args(["--no-run", "--features", "bitnet-edge-tests/fetched", "--lib"]);
    let names: BTreeSet<_> =
        GROUPS.iter().flat_map(|group| group.programs).filter_map(|name| name.split_once('/')).collect();
    for (package, target) in names {
        command.args(["--package", package]);
        // A crate's own tests have its name; `--lib` is for them.
        if target != package.replace('-', "_") {
            command.args(["--test", target]);
        }
    }
    command.args(["--message-format", "json-render-diagnostics"]);
    eprintln!("$ {}", line(&command));
    let result = command.stderr(Stdio::inherit()).output().context("cannot start cargo")?;
    if !result.status.success() {
        bail!("the tests for {} do not build: {}", AARCH64.target, result.status);
    }
    let text = String::from_utf8(result.stdout).context("cargo printed bytes that are not UTF-8")?;
    text.lines().filter_map(|line| program(line).transpose()).collect()
}

/// The test program that a line of cargo's messages tells of.
fn program(line: &str) -> Result<Option<Program>> {
    let message: Message = serde_json::from_str(line).with_context(|| format!("cargo printed {line:?}"))?;
    let Message { manifest_path: Some(manifest), package_id: Some(id), target: Some(target), .. } = message
    else {
        return Ok(None);
    };
    let (Some(path), true) = (message.executable, message.profile.is_some_and(|profile| profile.test)) else {
        return Ok(None);
    };
    // `path+file:///…/tests#bitnet-edge-tests@0.1.0`; the name is left out where it is the folder's.
    let package = id.rsplit_once('#').map_or(&*id, |(_, name)| name);
    let folder = manifest.parent().context("a manifest without a folder")?.to_owned();
    let package = match package.split_once('@') {
        Some((name, _)) => name.to_owned(),
        None => folder.file_name().unwrap_or_default().to_string_lossy().into_owned(),
    };
    Ok(Some(Program { name: format!("{package}/{}", target.name), path, folder }))
}

/// Which program runs on which processor; says so, and why.
fn plan(programs: &[Program]) -> Result<Vec<Run>> {
    for (processor, what, _) in PROCESSORS {
        println!("{processor:<11} {what}");
    }
    let mut runs = Vec::new();
    for group in GROUPS {
        println!(
            "{} {} on {}: {}",
            group.programs.join(", "),
            group.arguments.join(" "),
            group.processors.join(", "),
            group.why
        );
        for name in group.programs {
            let program = programs.iter().find(|program| program.name == *name);
            let program = program.with_context(|| format!("no test program is called {name}"))?;
            runs.extend(
                group.processors.iter().map(|processor| emulated(program, processor, group.arguments)),
            );
        }
    }
    for (what, why) in NOT_RUN {
        println!("not run: {what} ({why})");
    }
    Ok(runs)
}
