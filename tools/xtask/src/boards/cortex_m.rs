//! Arm's FPGA boards, with a Cortex-M each, in QEMU.

use super::{Board, Carries, Loads};
use crate::qemu::SYSTEM_ARM;
use bitnet_pack::emulator;

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
    emulator: emulator::MPS2_AN386,
    package: &SYSTEM_ARM,
    host: &[],
    tree: None,
};

pub(super) const AN386: Board = BOARD;

pub(super) const AN500: Board = Board {
    name: "mps2-an500",
    about: "Arm MPS2 AN500: Cortex-M7",
    folder: "boards/mps2-an500",
    program: "mps2-an500",
    transcript: "boards/mps2-an500/transcript.txt",
    cpus: &[("cortex-m7", "Cortex-M7")],
    emulator: emulator::MPS2_AN500,
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
    emulator: emulator::MPS2_AN505,
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
    emulator: emulator::MPS3_AN547,
    ..BOARD
};
