//! QEMU's machine `virt` as a board: a model that answers on the serial line.
//!
//! The story model is a part of the program; another flash image comes with `-initrd`, and is executed where QEMU puts it.
//! `cargo xtask simulate virt-aarch64` builds and starts it.

#![no_std]
#![no_main]

use core::fmt::Write as _;

use bitnet_edge_board::{Console, run};
use bitnet_edge_board_aarch64::{Error, Map, Pl011, Serial, backends, board, processor};
use bitnet_edge_core::include_image;
use virt_aarch64::{Machine, REGIONS, exit, uart};

/// The story model.
static STORY: &[u8] = include_image!(env!("BITNET_EDGE_IMAGE"));

board! { map: Map::new(&REGIONS), uart: uart(), exit: exit, main: main }

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

fn start(board: &mut Serial<Pl011>, device_tree: usize) -> Result<(), Error> {
    // SAFETY: The boot code's address, and the only call.
    let machine = unsafe { Machine::find(device_tree) }?;
    let team = machine.start_cores()?;
    let title = format_args!("QEMU virt, {}", processor::Name::here());
    let machine = bitnet_edge_board::Machine {
        title: &title,
        model: machine.initrd.unwrap_or(STORY),
        arena: machine.memory,
        kernels: &backends(),
        split: team,
        options: None,
        budget: u32::MAX,
    };
    Ok(run(board, machine)?)
}
