//! Arm's FPGA boards, with a Cortex-M each, in QEMU.

use super::{Board, Carries, Loads, Setup};
use crate::qemu::SYSTEM_ARM;
use anyhow::Result;

/// An instruction takes 32 ns of the machine's time, about that of a processor at 25 MHz: so clock and watchdog are the same
/// on every host, however busy it is.
const COUNT: [&str; 2] = ["-icount", "shift=5"];

/// What the boards have in common; the rest is that of the first one.
const BOARD: Board = Board {
    name: "mps2-an386",
    about: "Arm MPS2 AN386: Cortex-M4F",
    folder: "boards/mps2-an386",
    program: "mps2-an386",
    target: "thumbv7em-none-eabihf",
    flags: &[],
    loads: Loads::Elf,
    transcript: "boards/mps2-an386/transcript.txt",
    model: Carries::Program,
    cpus: &[("cortex-m4", "Cortex-M4F")],
    cores: 1,
    possible: 1..=1,
    tested: &[&[1]],
    emulator: "qemu-system-arm",
    package: &SYSTEM_ARM,
    host: &[],
    machine: |setup| machine("mps2-an386", setup),
};

pub(super) const AN386: Board = BOARD;

pub(super) const AN500: Board = Board {
    name: "mps2-an500",
    about: "Arm MPS2 AN500: Cortex-M7",
    folder: "boards/mps2-an500",
    program: "mps2-an500",
    transcript: "boards/mps2-an500/transcript.txt",
    cpus: &[("cortex-m7", "Cortex-M7")],
    machine: |setup| machine("mps2-an500", setup),
    ..BOARD
};

pub(super) const AN505: Board = Board {
    name: "mps2-an505",
    about: "Arm MPS2 AN505: Cortex-M33",
    folder: "boards/mps2-an505",
    program: "mps2-an505",
    target: "thumbv8m.main-none-eabihf",
    transcript: "boards/mps2-an505/transcript.txt",
    cpus: &[("cortex-m33", "Cortex-M33")],
    machine: |setup| machine("mps2-an505", setup),
    ..BOARD
};

pub(super) const AN547: Board = Board {
    name: "mps3-an547",
    about: "Arm MPS3 AN547: Cortex-M55 with Helium",
    folder: "boards/mps3-an547",
    program: "mps3-an547",
    target: "thumbv8m.main-none-eabihf",
    transcript: "boards/mps3-an547/transcript.txt",
    cpus: &[("cortex-m55", "Cortex-M55")],
    machine: |setup| machine("mps3-an547", setup),
    ..BOARD
};

fn machine(name: &str, setup: &Setup<'_>) -> Result<Vec<String>> {
    Ok(["-M", name, "-cpu", setup.cpu].into_iter().chain(COUNT).map(str::to_owned).collect())
}
