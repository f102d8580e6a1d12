//! RISC-V boards in QEMU.

use super::{Board, Carries, Loads};
use crate::qemu::SYSTEM_RISCV;
use bitnet_pack::emulator;

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
    emulator: emulator::VIRT_RISCV32,
    package: &SYSTEM_RISCV,
    host: &["--kv", "int8"],
    tree: None,
};
