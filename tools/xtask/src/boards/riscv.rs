//! RISC-V boards in QEMU.

use super::{Board, Carries, Loads, Setup};
use crate::qemu::SYSTEM_RISCV;
use anyhow::Result;

pub(super) const VIRT: Board = Board {
    name: "virt-riscv32",
    about: "QEMU's machine `virt`, RV32IMAC: no FPU, flash, 200 KiB of RAM, NS16550",
    folder: "boards/virt-riscv32",
    program: "virt-riscv32",
    target: "riscv32imac-unknown-none-elf",
    flags: &[],
    loads: Loads::Flash(32 << 20),
    transcript: "boards/virt-riscv32/transcript.txt",
    model: Carries::Program,
    cpus: &[("rv32i", "RV32IMAC")],
    cores: 1,
    possible: 1..=1,
    tested: &[&[1]],
    emulator: "qemu-system-riscv32",
    package: &SYSTEM_RISCV,
    host: &["--kv", "int8"],
    machine,
};

/// With no more than the target has, and the memory protection that microcontrollers have.
fn machine(setup: &Setup<'_>) -> Result<Vec<String>> {
    let cpu = format!("{},m=on,a=on,c=on,zicsr=on,zifencei=on,pmp=on", setup.cpu);
    Ok(["-M", "virt", "-bios", "none", "-m", "16M", "-cpu", &cpu].map(str::to_owned).to_vec())
}
