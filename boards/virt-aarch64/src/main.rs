//! QEMU's machine `virt` as a board: a model that answers on the serial line.
//!
//! The story model is a part of the program; another flash image comes with `-initrd`, and is executed where QEMU puts it.
//! `cargo xtask simulate virt-aarch64` builds and starts it.

#![no_std]
#![no_main]

mod backends;

use core::fmt::{self, Display, Write};
use core::ops::Range;

use bitnet_edge_board::{Console, Machine, run};
use bitnet_edge_board_aarch64::memory::largest_gap;
use bitnet_edge_board_aarch64::{Kind, Map, Pl011, Serial, board, cores, processor, tree};
use bitnet_edge_core::{Line, include_image};
use dtoolkit::fdt::Fdt;
use smccc::{Hvc, psci};

/// The story model.
static STORY: &[u8] = include_image!(env!("BITNET_EDGE_IMAGE"));

board! {
    map: Map::new(&[
        (0x0800_0000, 0x4000_0000, Kind::Device),
        (0x4000_0000, 0x40_0000_0000, Kind::Normal),
    ]),
    uart: uart(),
    exit: exit,
    main: main,
}

fn uart() -> Pl011 {
    // SAFETY: `virt` has its PL011 there, and QEMU has set it up.
    unsafe { Pl011::new(0x0900_0000) }
}

/// QEMU ends: by itself where all is well, else with this status.
fn exit(status: u32) -> ! {
    if status == 0 {
        // It returns only where there is no such call.
        let _ = psci::system_off::<Hvc>();
    }
    processor::semihosting_exit(status)
}

/// Core 0, with the address of the device tree.
fn main(device_tree: usize) -> ! {
    let mut board = Serial(uart());
    match start(&mut board, device_tree) {
        Ok(()) => exit(0),
        Err(error) => {
            // A console takes all text.
            let _ = writeln!(Console::new(&mut board), "error: {error}");
            exit(1)
        }
    }
}

/// Why there is nothing to run.
enum Error {
    DeviceTree(&'static str),
    Board(bitnet_edge_board::Error),
}

impl Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DeviceTree(what) => f.write_str(what),
            Self::Board(error) => error.fmt(f),
        }
    }
}

fn start(board: &mut Serial<Pl011>, device_tree: usize) -> Result<(), Error> {
    // SAFETY: QEMU gives the address of its device tree, which nothing here writes to.
    let tree = unsafe { Fdt::from_raw(device_tree as *const u8) }.map_err(|_| {
        Error::DeviceTree("there is no device tree: QEMU gives one to an Image, not to an ELF file")
    })?;
    let machine = tree::read(tree).map_err(Error::DeviceTree)?;
    let tree = device_tree as u64..device_tree as u64 + tree.data().len() as u64;
    let model = match &machine.initrd {
        // SAFETY: The device tree says that the file is there, and nothing writes to it: `free_memory` leaves it out.
        Some(file) => unsafe {
            core::slice::from_raw_parts(file.start as *const u8, (file.end - file.start) as usize)
        },
        None => STORY,
    };
    let arena = free_memory(&machine, tree);
    start_cores(&machine);
    let team = cores::CREW.assemble().map_err(Error::Board)?;
    let title = format_args!("QEMU virt, {}", processor::Name::here());
    let kernels = backends::available();
    let machine = Machine {
        title: &title,
        model,
        arena,
        kernels: &kernels,
        split: team,
        options: None,
        budget: u32::MAX,
    };
    run(board, machine).map_err(Error::Board)
}

/// Starts every core but this one; what does not come is left out, and the statistics say with how many it runs.
fn start_cores(machine: &tree::Machine) {
    let (ids, count) = &machine.cores;
    let others = ids.iter().take(*count).filter(|id| **id != processor::affinity());
    for (&id, number) in others.zip(1..) {
        cores::start(|| psci::cpu_on::<Hvc>(id, cores::entry() as u64, number).is_ok());
    }
}

unsafe extern "C" {
    /// The linker script's symbol behind program, data and stacks.
    static __image_end: u8;
}

/// The largest piece of memory that neither the program, nor the device tree, nor the model lies in.
fn free_memory(machine: &tree::Machine, tree: Range<u64>) -> &'static mut [Line] {
    let program = machine.memory.start..&raw const __image_end as u64;
    let model = machine.initrd.clone().unwrap_or(0..0);
    let free = largest_gap(machine.memory.clone(), &mut [program, tree, model]);
    let start = free.start.next_multiple_of(64);
    let lines = free.end.saturating_sub(start) as usize / size_of::<Line>();
    // SAFETY: This memory is mapped, aligned, used by nothing else, and outside of all that the compiler knows of; any bytes
    // are a `Line`. `main` calls this once.
    unsafe { core::slice::from_raw_parts_mut(start as *mut Line, lines) }
}
