//! The machine that this runs on, as its system describes it. What a system does not tell is `None`, never a guess.

mod bus;
mod cpu;
mod limits;
mod memory;
mod root;
mod system;

pub(crate) use bus::{Bandwidth, Bus};
pub(crate) use cpu::{Processor, last_level_caches};
pub(crate) use limits::Limits;
pub(crate) use memory::{HugePages, Memory, peak_beyond};
pub(crate) use root::Root;
pub(crate) use system::{System, file_system, is_remote};

use serde::Serialize;

/// What is known of a machine. Sizes are in bytes.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Machine {
    pub(crate) processor: Processor,
    pub(crate) memory: Memory,
    pub(crate) huge_pages: Option<HugePages>,
    pub(crate) limits: Limits,
    pub(crate) system: System,
}

impl Machine {
    /// What the system below `root` tells.
    pub(crate) fn read(root: &Root) -> Self {
        Self {
            processor: Processor::read(root),
            memory: Memory::read(root),
            huge_pages: HugePages::read(root),
            limits: Limits::read(root),
            system: System::read(root),
        }
    }
}
