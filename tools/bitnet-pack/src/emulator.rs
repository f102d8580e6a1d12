//! The boards that QEMU has: the options that make it one of them, for whoever starts one.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

/// How a machine takes its firmware.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// A program, for memory or for the flash that the machine starts from.
    Kernel,
    /// The contents of a flash.
    Flash,
}

/// A machine of QEMU. What of it a run wants to have otherwise is changed in a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Machine<'a> {
    /// The board, and the folder of its firmware below `boards/`.
    pub board: &'static str,
    /// QEMU's program.
    pub program: &'static str,
    /// QEMU's name for it.
    pub machine: &'static str,
    /// QEMU's name for its processor, if there is a choice.
    pub cpu: Option<&'a str>,
    /// What the processor has and has not, behind its name.
    pub extensions: &'static str,
    /// Cores, if there is a choice.
    pub cores: Option<u32>,
    /// MiB of memory, if there is a choice.
    pub megabytes: Option<u64>,
    /// An instruction takes two to this power nanoseconds of the machine's time, so that clock and watchdog do not know how busy
    /// the host is.
    pub shift: Option<u32>,
    /// Whether it has a network of its own: what is on its board must have a peer, or QEMU warns. Others are given none.
    pub network: bool,
    /// Further options.
    pub options: &'static [&'static str],
    /// How it takes its firmware.
    pub takes: Takes,
}

/// QEMU's `virt` with a 64-bit ARM processor.
pub const VIRT_AARCH64: Machine<'static> = Machine {
    board: "virt-aarch64",
    program: "qemu-system-aarch64",
    machine: "virt",
    cpu: Some("cortex-a72"),
    extensions: "",
    cores: Some(2),
    megabytes: Some(1024),
    shift: None,
    network: false,
    options: &[],
    takes: Takes::Kernel,
};

/// Arm's FPGA boards.
pub const MPS2_AN386: Machine<'static> = cortex_m("mps2-an386", "cortex-m4");
/// With a Cortex-M7.
pub const MPS2_AN500: Machine<'static> = cortex_m("mps2-an500", "cortex-m7");
/// With a Cortex-M33.
pub const MPS2_AN505: Machine<'static> = cortex_m("mps2-an505", "cortex-m33");
/// With a Cortex-M55.
pub const MPS3_AN547: Machine<'static> = cortex_m("mps3-an547", "cortex-m55");

/// QEMU's `virt` with a 32-bit RISC-V processor: no more than the target has, and the memory protection that microcontrollers have.
pub const VIRT_RISCV32: Machine<'static> = Machine {
    board: "virt-riscv32",
    program: "qemu-system-riscv32",
    machine: "virt",
    cpu: Some("rv32i"),
    extensions: ",m=on,a=on,c=on,zicsr=on,zifencei=on,pmp=on",
    cores: None,
    megabytes: Some(16),
    shift: None,
    network: false,
    options: &["-bios", "none"],
    takes: Takes::Flash,
};

/// The machines whose firmware has its model, so that nothing else is needed to start one.
pub const MACHINES: [Machine<'static>; 6] =
    [VIRT_AARCH64, MPS2_AN386, MPS2_AN500, MPS2_AN505, MPS3_AN547, VIRT_RISCV32];

/// One of Arm's FPGA boards. An instruction takes 32 ns, about that of a processor at 25 MHz.
const fn cortex_m(board: &'static str, cpu: &'static str) -> Machine<'static> {
    Machine {
        board,
        program: "qemu-system-arm",
        machine: board,
        cpu: Some(cpu),
        extensions: "",
        cores: None,
        megabytes: None,
        shift: Some(5),
        network: true,
        options: &[],
        takes: Takes::Kernel,
    }
}

impl Machine<'_> {
    /// The machine of a board.
    pub fn of(board: &str) -> Result<Machine<'static>> {
        let Some(machine) = MACHINES.iter().find(|known| known.board == board) else {
            let known: Vec<_> = MACHINES.iter().map(|machine| machine.board).collect();
            bail!("there is no board {board:?} for QEMU; the boards are {}", known.join(", "));
        };
        Ok(*machine)
    }

    /// QEMU as this machine with a firmware, without a display and with semihosting. What its serial line is joined to is still to
    /// be said.
    #[must_use]
    pub fn command(&self, firmware: &Path) -> Command {
        let mut qemu = Command::new(self.program);
        qemu.args(["-M", self.machine]);
        if let Some(cpu) = self.cpu {
            qemu.arg("-cpu").arg(format!("{cpu}{}", self.extensions));
        }
        let numbers = [
            ("-smp", self.cores.map(|cores| cores.to_string())),
            ("-m", self.megabytes.map(|megabytes| format!("{megabytes}M"))),
            ("-icount", self.shift.map(|shift| format!("shift={shift}"))),
        ];
        for (option, value) in numbers {
            if let Some(value) = value {
                qemu.args([option, &value]);
            }
        }
        if !self.network {
            qemu.args(["-nic", "none"]);
        }
        qemu.args(self.options)
            .args(["-display", "none", "-monitor", "none"])
            .args(["-semihosting-config", "enable=on,target=native"]);
        match self.takes {
            Takes::Kernel => qemu.arg("-kernel").arg(firmware),
            Takes::Flash => qemu.arg("-drive").arg(part("if=pflash,format=raw,readonly=on,file=", firmware)),
        };
        qemu
    }
}

/// An option with several parts, of which this path is the last: a comma in it would begin another one.
fn part(before: &str, path: &Path) -> OsString {
    let mut option = OsString::from(before);
    match path.to_str() {
        Some(path) => option.push(path.replace(',', ",,")),
        None => option.push(path),
    }
    option
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(machine: &Machine<'_>) -> String {
        let command = machine.command(Path::new("a,b.img"));
        let args: Vec<_> = command.get_args().map(|arg| arg.to_str().unwrap()).collect();
        args.join(" ")
    }

    #[test]
    fn a_machine_is_what_the_table_says() {
        let virt = line(&Machine::of("virt-aarch64").unwrap());
        assert!(virt.starts_with("-M virt -cpu cortex-a72 -smp 2 -m 1024M -nic none "), "{virt}");
        assert!(virt.ends_with(" -kernel a,b.img"), "{virt}");
        let mps = line(&Machine::of("mps2-an500").unwrap());
        assert!(mps.starts_with("-M mps2-an500 -cpu cortex-m7 -icount shift=5 -display"), "{mps}");
        let riscv = line(&Machine::of("virt-riscv32").unwrap());
        assert!(riscv.contains("-cpu rv32i,m=on,") && riscv.ends_with(",file=a,,b.img"), "{riscv}");
    }

    #[test]
    fn a_board_that_is_not_there_is_an_error_with_those_that_are() {
        let error = Machine::of("abacus").unwrap_err().to_string();
        assert!(error.contains("abacus") && error.contains("mps2-an500"), "{error}");
    }

    #[test]
    fn boards_with_a_fixed_memory_that_qemu_has_are_in_both_tables() {
        let here: Vec<_> = MACHINES.iter().map(|machine| machine.board).collect();
        for board in crate::board::BOARDS.iter().filter(|board| board.name != "pico2") {
            assert!(here.contains(&board.name), "{}", board.name);
        }
    }
}
