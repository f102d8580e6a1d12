//! Boards that QEMU has.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};

/// A board: its name, QEMU's program, and what makes it this machine.
const BOARDS: [(&str, &str, &[&str]); 5] = [
    (
        "virt-aarch64",
        "qemu-system-aarch64",
        &["-M", "virt", "-cpu", "cortex-a72", "-smp", "2", "-m", "1024M"],
    ),
    ("mps2-an386", "qemu-system-arm", &["-M", "mps2-an386"]),
    ("mps2-an500", "qemu-system-arm", &["-M", "mps2-an500"]),
    ("mps2-an505", "qemu-system-arm", &["-M", "mps2-an505"]),
    ("mps3-an547", "qemu-system-arm", &["-M", "mps3-an547"]),
];

/// Starts a board; its serial line is stdin and stdout of the child.
pub(super) fn start(board: &str, firmware: &Path) -> Result<Child> {
    let Some((_, program, machine)) = BOARDS.iter().find(|(name, ..)| *name == board) else {
        let known: Vec<_> = BOARDS.iter().map(|(name, ..)| *name).collect();
        bail!("there is no board {board:?} for --qemu; the boards are {}", known.join(", "));
    };
    if !firmware.is_file() {
        bail!(
            "there is no firmware {}; `cargo xtask simulate {board} --build` makes one and prints its path",
            firmware.display()
        );
    }
    let mut qemu = Command::new(program);
    qemu.args(*machine)
        .args(["-nic", "none", "-display", "none", "-monitor", "none", "-serial", "stdio"])
        .args(["-semihosting-config", "enable=on,target=native"])
        .arg("-kernel")
        .arg(firmware)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    // Ctrl-C ends the answer, not the emulator.
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut qemu, 0);
    #[cfg(windows)]
    std::os::windows::process::CommandExt::creation_flags(&mut qemu, CREATE_NEW_PROCESS_GROUP);
    qemu.spawn().with_context(|| {
        format!(
            "cannot start {program}; install QEMU 9 or later, for example with `sudo apt-get install qemu-system-arm`, \
             `sudo dnf install qemu-system-aarch64` or `brew install qemu`"
        )
    })
}

#[cfg(windows)]
const CREATE_NEW_PROCESS_GROUP: u32 = 0x200;
