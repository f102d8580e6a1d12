//! Raspberry Pi Pico 2 as a board: a model that answers on a serial port over USB.
//!
//! The model is in flash, behind the program, and is executed there. `cargo xtask board pico2 --uf2 OUT.uf2` builds the file for
//! the boot loader's drive.

#![no_std]
#![no_main]

mod board;
mod fpu;
mod plan;
mod usb;
mod words;

use bitnet_edge_board::{Console, Machine, run};
use bitnet_edge_board_cortex_m::{backends, run_on_own_stack};
use bitnet_edge_core::Line;
use bitnet_edge_core::memory::MemoryPlan;
use core::fmt::Write as _;
use rp235x_hal as hal;

use board::{Pico2, start};
use plan::{MODEL, OPTIONS, PLAN};

/// Multiply-accumulates between two looks at the keyboard: about a token of the story model.
const BUDGET: u32 = 4_000_000;

/// What the boot ROM looks for: a program for the Arm cores, in secure state.
#[unsafe(link_section = ".start_block")]
#[used]
static IMAGE_DEF: hal::block::ImageDef = hal::block::ImageDef::secure_exe();

const LINES: usize = Line::count(MemoryPlan::bytes(&PLAN));

#[hal::entry]
fn main() -> ! {
    // SAFETY: `memory.x` makes the symbols, of memory that nothing else is put into. This is the boot code's only call.
    unsafe { run_on_own_stack(program) }
}

extern "C" fn program() -> ! {
    static mut ARENA: [Line; LINES] = [Line::ZERO; LINES];
    let arena = &raw mut ARENA;
    // SAFETY: This function, of which there is one call, is all that sees it.
    let arena = unsafe { &mut *arena };
    let (mut board, team) = match start() {
        Ok(started) => started,
        Err(error) => panic!("{error}"),
    };
    loop {
        board.wait_for_caller();
        words::show(&mut Console::new(&mut board));
        if let Some(what) = board.core_1() {
            // A console takes all text.
            let _ = writeln!(Console::new(&mut board), "*** core 1 {what}: it is left out");
        }
        let machine = Machine {
            title: &"Raspberry Pi Pico 2, RP2350 at 150 MHz",
            model: MODEL,
            arena: &mut *arena,
            kernels: &backends(),
            split: &team,
            options: Some(OPTIONS),
            budget: BUDGET,
        };
        if let Err(error) = run(&mut board, machine) {
            refuse(&mut board, &error);
        }
    }
}

/// Says what is wrong, until somebody hangs up: the next one is told again.
fn refuse(board: &mut Pico2, error: &bitnet_edge_board::Error) {
    let mut console = Console::new(board);
    // A console takes all text.
    let _ = writeln!(console, "error: {error}");
    while console.read_line("") != bitnet_edge_board::Input::End {}
}
