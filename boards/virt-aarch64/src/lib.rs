//! QEMU's machine `virt`: where its devices are, its memory, its cores. Two programs run on it: the one that answers prompts
//! (`main.rs`), and the one that counts instructions.

#![no_std]

use core::ops::Range;
use core::sync::atomic::AtomicBool;
use core::sync::atomic::Ordering::Relaxed;

use bitnet_edge_board::Error;
use bitnet_edge_board::cores::Team;
use bitnet_edge_board_aarch64::memory::largest_gap;
use bitnet_edge_board_aarch64::{Kind, Pl011, cores, processor, tree};
use bitnet_edge_core::Line;
use dtoolkit::fdt::Fdt;
use smccc::{Hvc, Smc, psci};

/// Devices below the first GiB, memory above. Null is not mapped.
pub const REGIONS: [(u64, u64, Kind); 2] =
    [(0x0800_0000, 0x4000_0000, Kind::Device), (0x4000_0000, 0x40_0000_0000, Kind::Normal)];

/// The serial line.
#[must_use]
pub fn uart() -> Pl011 {
    // SAFETY: `virt` has its PL011 there, and QEMU has set it up.
    unsafe { Pl011::new(0x0900_0000) }
}

/// Whether PSCI is called with `smc`: so it is where the machine has EL2 (`-M virt,virtualization=on`).
static BY_SMC: AtomicBool = AtomicBool::new(false);

/// QEMU ends: by itself where all is well, else with this status.
pub fn exit(status: u32) -> ! {
    if status == 0 {
        // It returns only where there is no such call.
        let _ = if BY_SMC.load(Relaxed) { psci::system_off::<Smc>() } else { psci::system_off::<Hvc>() };
    }
    processor::semihosting_exit(status)
}

/// The machine as its device tree tells it.
pub struct Machine {
    /// What `-initrd` named.
    pub initrd: Option<&'static [u8]>,
    /// The memory that nothing lies in.
    pub memory: &'static mut [Line],
    cores: ([u64; tree::MAX_CORES], usize),
}

impl Machine {
    /// Reads the device tree at this address.
    ///
    /// # Errors
    /// What is missing.
    ///
    /// # Safety
    /// The address is the one that `main` was given, and this is the only call: it hands out the memory.
    pub unsafe fn find(device_tree: usize) -> Result<Self, &'static str> {
        // SAFETY: QEMU gives the address of its device tree, which nothing here writes to.
        let tree = unsafe { Fdt::from_raw(device_tree as *const u8) }
            .map_err(|_| "there is no device tree: QEMU gives one to an Image, not to an ELF file")?;
        let machine = tree::read(tree)?;
        BY_SMC.store(machine.psci_by_smc, Relaxed);
        let tree = device_tree as u64..device_tree as u64 + tree.data().len() as u64;
        let initrd = machine.initrd.as_ref().map(|file| {
            let len = (file.end - file.start) as usize;
            // SAFETY: The device tree says that the file is there, and nothing writes to it: the memory below leaves it out.
            unsafe { core::slice::from_raw_parts(file.start as *const u8, len) }
        });
        let free = free_memory(&machine, tree);
        let start = free.start.next_multiple_of(64);
        let lines = free.end.saturating_sub(start) as usize / size_of::<Line>();
        // SAFETY: This memory is mapped, aligned, used by nothing else, and outside of all that the compiler knows of; any bytes
        // are a `Line`. By the caller's promise this is the only reference.
        let memory = unsafe { core::slice::from_raw_parts_mut(start as *mut Line, lines) };
        Ok(Self { initrd, memory, cores: machine.cores })
    }

    /// Starts every core but this one. One that does not come is named and left out.
    ///
    /// # Errors
    /// As [`Crew::assemble`](bitnet_edge_board::cores::Crew::assemble).
    pub fn start_cores(&self) -> Result<Team<'static, cores::Event>, Error> {
        let (ids, count) = &self.cores;
        let others = ids.iter().take(*count).filter(|id| **id != processor::affinity());
        for (&id, number) in others.zip(1..) {
            cores::start(number, || cpu_on(id, number.into()).is_ok());
        }
        cores::CREW.assemble()
    }
}

fn cpu_on(id: u64, number: u64) -> Result<(), psci::error::Error> {
    let entry = cores::entry() as u64;
    if BY_SMC.load(Relaxed) {
        psci::cpu_on::<Smc>(id, entry, number)
    } else {
        psci::cpu_on::<Hvc>(id, entry, number)
    }
}

unsafe extern "C" {
    /// The linker script's symbol behind program, data and stacks.
    static __image_end: u8;
}

/// The largest piece of memory that neither the program, nor the device tree, nor the model lies in.
fn free_memory(machine: &tree::Machine, tree: Range<u64>) -> Range<u64> {
    let program = machine.memory.start..&raw const __image_end as u64;
    let model = machine.initrd.clone().unwrap_or(0..0);
    largest_gap(machine.memory.clone(), &mut [program, tree, model])
}
