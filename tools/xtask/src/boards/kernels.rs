//! The kernels on Cortex-M: two programs of their own, for machines of QEMU that have each kind of core.

use super::build::{folder, quietly};
use super::console::scripted;
use crate::paths;
use crate::qemu::SYSTEM_ARM;
use crate::toolchain::Toolchain;
use anyhow::{Context as _, Result, ensure};
use bitnet_pack::emulator::{MPS2_AN386, MPS2_AN500, MPS2_AN505, MPS3_AN547, Machine};
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

pub(super) struct Core {
    machine: Machine<'static>,
    pub(super) name: &'static str,
    target: &'static str,
    /// The best of its tiers, which must be there.
    best: &'static str,
}

/// The targets of all.
pub(super) const TARGETS: [&str; 2] = ["thumbv7em-none-eabihf", "thumbv8m.main-none-eabihf"];

pub(super) const CORES: [Core; 4] = [
    Core { machine: MPS2_AN386, name: "cortex-m4", target: TARGETS[0], best: "table" },
    Core { machine: MPS2_AN500, name: "cortex-m7", target: TARGETS[0], best: "table" },
    Core { machine: MPS2_AN505, name: "cortex-m33", target: TARGETS[1], best: "table" },
    Core { machine: MPS3_AN547, name: "cortex-m55", target: TARGETS[1], best: "mve" },
];

const MANIFEST: &str = "boards/cortex-m-kernels/Cargo.toml";
const LIMIT: Duration = Duration::from_secs(300);

impl Core {
    /// Builds a program and runs it, an instruction a nanosecond. What it said.
    pub(super) fn run(&self, program: &str) -> Result<String> {
        let elf = self.build(program)?;
        SYSTEM_ARM.ready()?;
        let qemu = Machine { shift: Some(0), ..self.machine }.command(&elf);
        let ended = scripted(qemu, "", LIMIT, false)?;
        let machine = self.machine.board;
        ensure!(
            ended.status == 0,
            "{program} on {machine} ended with status {}; it said:\n{}",
            ended.status,
            ended.said
        );
        Ok(ended.said)
    }

    fn build(&self, program: &str) -> Result<PathBuf> {
        let (machine, target) = (self.machine.board, self.target);
        eprintln!("building {program} for {machine}");
        let mut build = Toolchain::bare_metal(&[target])?.cargo_with("build", target, &[]);
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
    for core in &CORES {
        let said = core.run("conformance")?;
        let lines: Vec<_> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        println!("{}: {} cases", core.name, lines.join(", "));
        let best = lines.iter().any(|line| line.split(' ').next() == Some(core.best));
        ensure!(best, "{} does not have the tier {}", core.name, core.best);
    }
    Ok(())
}
