//! Raspberry Pi 3, 4 and Zero 2 W as a board: a model that answers on the serial line of GPIO 14 and 15.
//!
//! One program for all of them. The Raspberry Pi's own firmware loads it, starts the cores, and loads the model, which is
//! executed where it is (`initramfs model.bpk followkernel` in config.txt).

#![no_std]
#![no_main]

mod mailbox;
mod memory;
mod pi;
mod power;
mod serial;

use core::fmt::Write as _;

use bitnet_edge_board::cores::Team;
use bitnet_edge_board::{Console, Machine, run};
use bitnet_edge_board_aarch64::{Error, Kind, Map, Pl011, Serial, backends, board, cores, processor};

use mailbox::Mailbox;
use pi::Pi;

/// What the boot code needs. The rest of the memory is added once the firmware has said how much there is: the GPU has its
/// own part of it, and a Raspberry Pi 3 has other things where a 4 has memory.
const REGIONS: [(u64, u64, Kind); 3] = [
    (0, memory::BOOT_END, Kind::Normal),
    (0x3f00_0000, 0x4000_0000, Kind::Device),
    (0xfc00_0000, 0x1_0000_0000, Kind::Device),
];

board! { map: Map::new(&REGIONS), uart: serial::uart(Pi::here()), exit: power::exit, main: main }

/// Core 0, with the address of the device tree or of the ATAGs.
fn main(told: usize) -> ! {
    let pi = Pi::here();
    let mailbox = Mailbox::of(pi);
    power::find_emulator(&mailbox);
    let mut board = Serial(serial::set_up(pi, &mailbox));
    match start(&mut board, pi, &mailbox, told) {
        Ok(()) => power::exit(0),
        Err(error) => {
            // A console takes all text.
            let _ = writeln!(Console::new(&mut board), "error: {error}");
            power::exit(1)
        }
    }
}

fn start(board: &mut Serial<Pl011>, pi: Pi, mailbox: &Mailbox, told: usize) -> Result<(), Error> {
    let silent = || Error::Machine("the firmware does not answer in its mailbox");
    let revision = mailbox.board_revision().ok_or_else(silent)?;
    let arm_memory = mailbox.arm_memory().ok_or_else(silent)?;
    // SAFETY: The first core, with the address that it was given; the memory is what the firmware says, and this is the only
    // call.
    let (model, arena) = unsafe { memory::find(&BOARD_MAP, pi, arm_memory, told) }?;
    let megahertz = mailbox.run_at_full_speed().ok_or_else(silent)? / 1_000_000;
    let team = start_cores()?;
    let name = processor::Name::here();
    let title = format_args!("{}, {name}, {megahertz} MHz", pi::Model(revision));
    let machine = Machine {
        title: &title,
        model,
        arena,
        kernels: &backends(),
        split: team,
        options: None,
        budget: u32::MAX,
    };
    Ok(run(board, machine)?)
}

/// Starts the other three cores, which wait for an address in a word each. One that does not come is named and
/// left out.
fn start_cores() -> Result<Team<'static, cores::Event>, bitnet_edge_board::Error> {
    /// The word of core 0 (the firmware's `armstub8`; QEMU does the same).
    const SPIN_TABLE: usize = 0xd8;
    for core in 1..4_u32 {
        cores::start(core, || {
            let word = (SPIN_TABLE + 8 * core as usize) as *mut u64;
            // SAFETY: The word is in mapped memory that is nobody's but this core's and the waiting one's.
            unsafe { word.write_volatile(cores::by_affinity() as u64) };
            // The waiting core reads memory, with its caches off.
            // SAFETY: as above; the reference is gone when the call returns.
            processor::clean_and_drop(unsafe { &*word });
            processor::wake();
            true
        });
    }
    cores::CREW.assemble()
}
