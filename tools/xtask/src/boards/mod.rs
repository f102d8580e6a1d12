//! Boards without an operating system: `cargo xtask simulate`, and the stage `boards`.

mod build;
mod card;
mod check;
mod console;
mod cortex_m;
mod defmt;
mod extras;
mod instructions;
mod kernels;
mod pico2;
mod riscv;
mod rpi;
mod sections;
pub(crate) mod size;
mod stack;
mod uf2;
mod uf2_reader;

pub(crate) use check::check;
pub(crate) use instructions::count as count_instructions;
pub(crate) use kernels::check as check_kernels;

use crate::qemu::{Qemu, SYSTEM_ARM};
use anyhow::{Context as _, Result, bail};
use bitnet_pack::emulator::{self, Machine};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The board
    #[arg(required_unless_present_any = ["list", "record"])]
    board: Option<String>,
    /// The prompt; without one the board's console is this terminal
    prompt: Option<String>,
    /// The processor, where the board has a choice
    #[arg(long, value_name = "NAME")]
    cpu: Option<String>,
    /// Cores
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=8))]
    cores: Option<u32>,
    /// A flash image (.bpk) for the board's memory, in place of the story model that the firmware has
    #[arg(long, value_name = "IMAGE")]
    model: Option<PathBuf>,
    /// Tokens to generate at most
    #[arg(long, value_name = "N")]
    tokens: Option<u32>,
    /// Seconds after which a board that was given a prompt is stopped
    #[arg(long, value_name = "N", default_value_t = 600)]
    timeout: u64,
    /// Build the firmware only, and print where it is and what talks to it
    #[arg(long, conflicts_with_all = ["prompt", "list", "record"])]
    build: bool,
    /// List the boards
    #[arg(long)]
    list: bool,
    /// Run every board as the tests do, and record what it says as its transcript
    #[arg(long, conflicts_with_all = ["board", "list"])]
    record: bool,
}

/// Where a board has its model from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Carries {
    /// The program has the story model; a loader can bring another one.
    Either,
    /// A loader brings it: the program has none of its own.
    Loader,
    /// The program has it.
    Program,
}

/// What a loader takes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Loads {
    /// The memory from its first byte on.
    Flat,
    /// What the linker wrote.
    Elf,
    /// The contents of a flash of so many bytes.
    Flash(u64),
}

/// A board that QEMU has.
pub(crate) struct Board {
    pub(crate) name: &'static str,
    about: &'static str,
    /// The folder of its firmware, which is a workspace of its own.
    pub(crate) folder: &'static str,
    /// The program in that folder.
    program: &'static str,
    target: &'static str,
    /// For the compiler.
    flags: &'static [&'static str],
    loads: Loads,
    transcript: &'static str,
    model: Carries,
    /// Processors, the default first: QEMU's name and the board's own.
    pub(crate) cpus: &'static [(&'static str, &'static str)],
    /// Cores unless something else is asked for.
    cores: u32,
    /// How many it can have.
    possible: RangeInclusive<u32>,
    /// Counts of cores that the tests run it with, for each processor; the transcript is of the first.
    tested: &'static [&'static [u32]],
    /// The emulator, as this machine.
    emulator: Machine<'static>,
    /// What the emulator comes with.
    package: &'static Qemu,
    /// What `bitnet run` is told to compute the same.
    host: &'static [&'static str],
    /// A device tree for the emulator.
    tree: Option<fn() -> Result<PathBuf>>,
}

/// What a run of a board is made of.
pub(crate) struct Setup<'a> {
    pub(crate) cpu: &'a str,
    pub(crate) cores: u32,
    pub(crate) model: Option<PathBuf>,
    /// A thread of QEMU for each core: cores that wait for each other then need a processor each, all the time. Else one thread
    /// takes turns for all cores.
    pub(crate) parallel: bool,
}

/// The target of boards with a 64-bit ARM processor.
pub(crate) const AARCH64_TARGET: &str = "aarch64-unknown-none";

pub(crate) const BOARDS: &[Board] = &[
    Board {
        name: "virt-aarch64",
        about: "QEMU's machine `virt`: AArch64, 1 to 8 cores, PL011",
        folder: "boards/virt-aarch64",
        program: "virt-aarch64",
        target: AARCH64_TARGET,
        flags: &AARCH64,
        loads: Loads::Flat,
        transcript: "boards/virt-aarch64/transcript.txt",
        model: Carries::Either,
        cpus: &[
            ("cortex-a72", "Cortex-A72"),
            ("cortex-a53", "Cortex-A53"),
            ("cortex-a76", "Cortex-A76"),
            ("max", "QEMU max"),
        ],
        cores: 2,
        possible: 1..=8,
        tested: &[&[2, 1, 4], &[1, 4], &[2], &[4]],
        emulator: emulator::VIRT_AARCH64,
        package: &SYSTEM_ARM,
        host: &[],
        tree: None,
    },
    Board {
        name: "rpi3",
        about: "Raspberry Pi 3 (also Zero 2 W): 4 cores, 1 GiB, PL011",
        folder: "boards/rpi",
        program: "rpi",
        target: AARCH64_TARGET,
        flags: &AARCH64,
        loads: Loads::Flat,
        transcript: "boards/rpi/transcript-3.txt",
        model: Carries::Loader,
        cpus: &[("cortex-a53", "Cortex-A53")],
        cores: 4,
        possible: 4..=4,
        tested: &[&[4]],
        emulator: rpi::THREE,
        package: &SYSTEM_ARM,
        host: &[],
        tree: None,
    },
    Board {
        name: "rpi4",
        about: "Raspberry Pi 4: 4 cores, 2 GiB, PL011",
        folder: "boards/rpi",
        program: "rpi",
        target: AARCH64_TARGET,
        flags: &AARCH64,
        loads: Loads::Flat,
        transcript: "boards/rpi/transcript-4.txt",
        model: Carries::Loader,
        cpus: &[("cortex-a72", "Cortex-A72")],
        cores: 4,
        possible: 4..=4,
        tested: &[&[4]],
        emulator: rpi::FOUR,
        package: &SYSTEM_ARM,
        host: &[],
        tree: Some(rpi::tree),
    },
    cortex_m::AN386,
    cortex_m::AN500,
    cortex_m::AN505,
    cortex_m::AN547,
    riscv::VIRT,
];

/// The targets' own specification forbids accesses that are not aligned, for code that runs before the MMU does; vectors
/// would then be loaded byte by byte. All Rust code of the boards runs with MMU and caches on.
const AARCH64: [&str; 1] = ["-Ctarget-feature=-strict-align"];

impl Board {
    fn named(name: &str) -> Result<&'static Self> {
        BOARDS.iter().find(|board| board.name == name).with_context(|| {
            let known: Vec<_> = BOARDS.iter().map(|board| board.name).collect();
            format!("there is no board {name:?}; the boards are {}", known.join(", "))
        })
    }

    /// QEMU, ready to start the firmware in `image`.
    fn emulator(&self, setup: &Setup<'_>, image: &Path) -> Result<Command> {
        self.package.ready()?;
        let mut machine = self.emulator;
        machine.cpu = machine.cpu.map(|_| setup.cpu);
        machine.cores = machine.cores.map(|_| setup.cores);
        if self.model == Carries::Either {
            // The image is copied to memory, behind the first 128 MiB; the arena is what is left.
            let bytes =
                setup.model.as_ref().and_then(|path| path.metadata().ok()).map_or(0, |file| file.len());
            machine.megabytes = machine.megabytes.map(|megabytes| megabytes + 2 * (bytes >> 20));
        }
        if setup.cpu == "max" {
            // The processor that has everything begins at EL2, as boards do whose firmware leaves it to the program.
            machine.machine = "virt,virtualization=on";
        }
        let mut qemu = machine.command(image);
        qemu.args(["-accel", if setup.parallel { "tcg,thread=multi" } else { "tcg,thread=single" }]);
        if let Some(tree) = self.tree {
            qemu.arg("-dtb").arg(tree()?);
        }
        if let Some(model) = &setup.model {
            qemu.arg("-initrd").arg(model);
        }
        Ok(qemu)
    }
}

/// Boards that start from something that is made here.
#[derive(clap::Subcommand)]
pub(crate) enum Made {
    /// Raspberry Pi 3, 4 and Zero 2 W: the folder for an SD card
    Rpi(card::Args),
    /// Raspberry Pi Pico 2: the file for its BOOTSEL drive
    Pico2(pico2::Args),
}

pub(crate) fn make(board: &Made) -> Result<()> {
    match board {
        Made::Rpi(args) => card::run(args),
        Made::Pico2(args) => pico2::run(args),
    }
}

pub(crate) fn simulate(args: &Args) -> Result<()> {
    if args.list {
        for board in BOARDS {
            let cpus: Vec<_> = board.cpus.iter().map(|(cpu, _)| *cpu).collect();
            println!("{:<14} {}; --cpu {}", board.name, board.about, cpus.join(", "));
        }
        return Ok(());
    }
    if args.record {
        return check(true);
    }
    let board = Board::named(args.board.as_deref().unwrap_or_default())?;
    if args.build {
        return print_device(board);
    }
    let cpu = args.cpu.as_deref().or(board.cpus.first().map(|(cpu, _)| *cpu)).unwrap_or_default();
    if !board.cpus.iter().any(|(known, _)| *known == cpu) {
        let known: Vec<_> = board.cpus.iter().map(|(cpu, _)| *cpu).collect();
        bail!("{} runs with --cpu {}, not {cpu}", board.name, known.join(", "));
    }
    if let Some(model) = args.model.as_deref().filter(|model| !model.is_file()) {
        bail!("there is no file {}; `bitnet-pack convert` makes a flash image", model.display());
    }
    if board.model == Carries::Program && args.model.is_some() {
        bail!("{} has its model in the program, not from --model", board.name);
    }
    let cores = args.cores.unwrap_or(board.cores);
    if !board.possible.contains(&cores) {
        bail!("{} has {} to {} cores", board.name, board.possible.start(), board.possible.end());
    }
    let story = if board.model == Carries::Loader { Some(build::story()?) } else { None };
    // With one processor to spare, for what else the machine does.
    let parallel = cores > 1 && console::has_processors(cores + 1);
    let setup = Setup { cpu, cores, model: args.model.clone().or(story), parallel };
    let firmware = build::firmware(board, &[])?;
    let emulator = board.emulator(&setup, &firmware)?;
    let status = match &args.prompt {
        None => console::interactive(emulator)?,
        Some(prompt) => {
            let keys = keys(prompt, args.tokens)?;
            console::scripted(emulator, &keys, Duration::from_secs(args.timeout), true)?.status
        }
    };
    // The board's status is this program's.
    if status == 0 { Ok(()) } else { std::process::exit(status) }
}

/// Builds a firmware, and prints the command that starts it and talks to it.
fn print_device(board: &Board) -> Result<()> {
    let firmware = build::firmware(board, &[])?;
    if board.model == Carries::Loader {
        println!("{}", firmware.display());
    } else {
        println!(
            "bitnet device --qemu {} --firmware {} \"once upon a time\"",
            board.name,
            firmware.display()
        );
    }
    Ok(())
}

/// What is typed for a prompt.
fn keys(prompt: &str, tokens: Option<u32>) -> Result<String> {
    if prompt.contains(['\n', '\r']) || prompt.starts_with('/') {
        bail!("a prompt is one line that begins with no slash");
    }
    let tokens = tokens.map(|tokens| format!("/tokens {tokens}\n")).unwrap_or_default();
    Ok(format!("{tokens}{prompt}\n/quit\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boards_are_found_by_name() {
        assert_eq!(Board::named("virt-aarch64").unwrap().name, "virt-aarch64");
        let unknown = Board::named("abacus").err().unwrap().to_string();
        assert!(unknown.contains("virt-aarch64"), "{unknown}");
    }

    #[test]
    fn a_prompt_is_one_line() {
        assert_eq!(keys("once", Some(3)).unwrap(), "/tokens 3\nonce\n/quit\n");
        assert_eq!(keys("once", None).unwrap(), "once\n/quit\n");
        assert!(keys("a\nb", None).is_err() && keys("/quit", None).is_err());
    }
}
