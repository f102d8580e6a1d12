//! Boards that QEMU has.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};

/// A board: its name, QEMU's program, what makes it this machine, and what is written before the program's path.
struct Board {
    name: &'static str,
    program: &'static str,
    machine: &'static [&'static str],
    firmware: (&'static str, &'static str),
}

const KERNEL: (&str, &str) = ("-kernel", "");

/// With the devices that `cargo xtask simulate` gives them.
const BOARDS: [Board; 6] = [
    Board {
        name: "virt-aarch64",
        program: "qemu-system-aarch64",
        machine: &["-M", "virt", "-cpu", "cortex-a72", "-smp", "2", "-m", "1024M"],
        firmware: KERNEL,
    },
    cortex_m("mps2-an386", &["-M", "mps2-an386", "-icount", "shift=5"]),
    cortex_m("mps2-an500", &["-M", "mps2-an500", "-icount", "shift=5"]),
    cortex_m("mps2-an505", &["-M", "mps2-an505", "-icount", "shift=5"]),
    cortex_m("mps3-an547", &["-M", "mps3-an547", "-icount", "shift=5"]),
    Board {
        name: "virt-riscv32",
        program: "qemu-system-riscv32",
        machine: &[
            "-M",
            "virt",
            "-bios",
            "none",
            "-m",
            "16M",
            "-cpu",
            "rv32i,m=on,a=on,c=on,zicsr=on,zifencei=on,pmp=on",
        ],
        firmware: ("-drive", "if=pflash,format=raw,readonly=on,file="),
    },
];

/// An instruction takes 32 ns of the machine's time, so that its watchdog does not know how busy this one is.
const fn cortex_m(name: &'static str, machine: &'static [&'static str]) -> Board {
    Board { name, program: "qemu-system-arm", machine, firmware: KERNEL }
}

/// Starts a board; its serial line is stdin and stdout of the child.
pub(super) fn start(board: &str, firmware: &Path) -> Result<Child> {
    let Some(Board { program, machine, firmware: (option, before), .. }) =
        BOARDS.iter().find(|known| known.name == board)
    else {
        let known: Vec<_> = BOARDS.iter().map(|board| board.name).collect();
        bail!("there is no board {board:?} for --qemu; the boards are {}", known.join(", "));
    };
    if !firmware.is_file() {
        bail!(
            "there is no firmware {}; `cargo xtask simulate {board} --build` makes one and prints its path",
            firmware.display()
        );
    }
    let mut path = OsString::from(before);
    match firmware.to_str() {
        // In an option with several parts a comma begins the next one.
        Some(firmware) if !before.is_empty() => path.push(firmware.replace(',', ",,")),
        _ => path.push(firmware),
    }
    let mut qemu = Command::new(program);
    qemu.args(*machine)
        .args(["-nic", "none", "-display", "none", "-monitor", "none", "-serial", "stdio"])
        .args(["-semihosting-config", "enable=on,target=native"])
        .arg(option)
        .arg(path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    // Ctrl-C ends the answer, not the emulator.
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut qemu, 0);
    #[cfg(windows)]
    std::os::windows::process::CommandExt::creation_flags(&mut qemu, CREATE_NEW_PROCESS_GROUP);
    qemu.spawn().with_context(|| {
        format!(
            "cannot start {program}; install QEMU 9 or later, for example with `sudo apt-get install qemu-system`, \
             `sudo dnf install qemu` or `brew install qemu`"
        )
    })
}

#[cfg(windows)]
const CREATE_NEW_PROCESS_GROUP: u32 = 0x200;
