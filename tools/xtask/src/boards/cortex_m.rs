//! Arm's FPGA boards, with a Cortex-M each, in QEMU.

use super::{Board, Carries, Loads, Setup};
use crate::qemu::SYSTEM_ARM;
use anyhow::Result;

/// An instruction takes 32 ns of the machine's time, about that of a processor at 25 MHz: so the same clock, watchdog and
/// statistics on every host, however busy it is.
const COUNT: [&str; 2] = ["-icount", "shift=5"];

pub(super) const AN386: Board = Board {
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

fn machine(name: &str, setup: &Setup<'_>) -> Result<Vec<String>> {
    Ok(["-M", name, "-cpu", setup.cpu].into_iter().chain(COUNT).map(str::to_owned).collect())
}
