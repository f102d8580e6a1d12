//! Boards that QEMU has.

use std::path::Path;
use std::process::{Child, Stdio};

use anyhow::{Context, Result, bail};
use bitnet_pack::emulator::Machine;

/// Starts a board; its serial line is stdin and stdout of the child.
pub(super) fn start(board: &str, firmware: &Path) -> Result<Child> {
    let machine = Machine::of(board).context("--qemu")?;
    if !firmware.is_file() {
        bail!(
            "there is no firmware {}; `cargo xtask simulate {board} --build` makes one and prints its path",
            firmware.display()
        );
    }
    let mut qemu = machine.command(firmware);
    qemu.args(["-serial", "stdio"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    // Ctrl-C ends the answer, not the emulator.
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut qemu, 0);
    #[cfg(windows)]
    std::os::windows::process::CommandExt::creation_flags(&mut qemu, CREATE_NEW_PROCESS_GROUP);
    qemu.spawn().with_context(|| {
        format!(
            "cannot start {}; install QEMU 9 or later, for example with `sudo apt-get install qemu-system`, \
             `sudo dnf install qemu` or `brew install qemu`",
            machine.program
        )
    })
}

#[cfg(windows)]
const CREATE_NEW_PROCESS_GROUP: u32 = 0x200;
