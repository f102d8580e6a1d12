//! The kernels on Cortex-M: two programs of their own, for machines of QEMU that have each kind of core.

use super::build::{folder, quietly};
use super::console::scripted;
use crate::paths;
use crate::qemu::SYSTEM_ARM;
use crate::toolchain::Toolchain;
use anyhow::{Context as _, Result, ensure};
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

pub(super) struct Machine {
    /// QEMU's name, and that of the file that says where its memory is.
    machine: &'static str,
    pub(super) core: &'static str,
    target: &'static str,
    /// The best of its tiers, which must be there.
    best: &'static str,
}

pub(super) const MACHINES: [Machine; 4] = [
    Machine { machine: "mps2-an386", core: "cortex-m4", target: "thumbv7em-none-eabihf", best: "table" },
    Machine { machine: "mps2-an500", core: "cortex-m7", target: "thumbv7em-none-eabihf", best: "table" },
    Machine { machine: "mps2-an505", core: "cortex-m33", target: "thumbv8m.main-none-eabihf", best: "table" },
    Machine { machine: "mps3-an547", core: "cortex-m55", target: "thumbv8m.main-none-eabihf", best: "mve" },
];

const MANIFEST: &str = "boards/cortex-m-kernels/Cargo.toml";
const LIMIT: Duration = Duration::from_secs(300);

impl Machine {
    /// Builds a program and runs it, an instruction a nanosecond. What it said.
    pub(super) fn run(&self, program: &str) -> Result<String> {
        let elf = self.build(program)?;
        SYSTEM_ARM.ready()?;
        let mut qemu = Command::new("qemu-system-arm");
        qemu.args(["-M", self.machine, "-nic", "none", "-display", "none", "-monitor", "none"])
            .args(["-semihosting-config", "enable=on,target=native", "-icount", "shift=0", "-kernel"])
            .arg(elf);
        let ended = scripted(qemu, "", LIMIT, false)?;
        let Self { machine, .. } = self;
        ensure!(
            ended.status == 0,
            "{program} on {machine} ended with status {}; it said:\n{}",
            ended.status,
            ended.said
        );
        Ok(ended.said)
    }

    fn build(&self, program: &str) -> Result<PathBuf> {
        let Self { machine, target, .. } = self;
        eprintln!("building {program} for {machine}");
        let mut build = Toolchain::bare_metal()?.cargo_with("build", target, &[]);
        build.args(["--manifest-path", MANIFEST, "--bin", program]).env("BITNET_EDGE_MACHINE", machine);
        quietly(&mut build)?;
        let elf = paths::target().join("bare-metal").join(target).join("release").join(program);
        // The next machine's program has the same name.
        let own = folder()?.join(format!("{program}-{machine}.elf"));
        fs::copy(&elf, &own).with_context(|| format!("cannot copy {}", elf.display()))?;
        Ok(own)
    }
}

/// Every kernel of every tier against the definition, on every machine.
pub(crate) fn check() -> Result<()> {
    for machine in &MACHINES {
        let said = machine.run("conformance")?;
        let lines: Vec<_> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        println!("{}: {} cases", machine.core, lines.join(", "));
        let best = lines.iter().any(|line| line.split(' ').next() == Some(machine.best));
        ensure!(best, "{} does not have the tier {}", machine.machine, machine.best);
    }
    Ok(())
}
